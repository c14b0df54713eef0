//! The columns of a file to import: what its beginning shows of them, and what people say that they are.
//!
//! A file is never kept here, so the form carries each choice, and the beginning of the file comes with it again.

use std::convert::Infallible;

use bytes::Bytes;
use coupon::campaign::Campaign;
use engine::import::columns::{BadColumnMap, ColumnMap, KnownColumn, distance};
use engine::import::dates::DateOrder;
use engine::import::encoding::TextEncoding;
use engine::import::exports::KnownExport;
use engine::import::record::{FileHeader, RecordDefaults, RowError};
use engine::import::states::{StateWord, ValueMap};
use engine::import::{File, FileFormat, REJECT_HEADER, record_cells, said_separator, separators};
use engine::{BadFile, Failure};
use futures::stream::{BoxStream, Stream, StreamExt, iter};

use crate::fields::FormFields;
use crate::trouble::ConsoleResult;

/// Bytes of a file that are enough to see its columns.
pub(crate) const HEAD_BYTES: usize = 256 * 1_024;

/// The directory of a workbook is at its end, so all of it comes. The largest has 8 MiB; of a larger one this is
/// enough to be refused as one.
const WORKBOOK_BYTES: usize = (8 << 20) + 1;

/// Most rows whose states are looked at before the file is checked.
const SCANNED_MAX: usize = 2_000;

const SHOWN_ROWS: usize = 4;

/// Most columns with a choice: those of the largest export that shops have, on a page below 60 kB.
const CHOICES_MAX: usize = 40;

/// What a value of the state means whose lines are not imported.
pub(crate) const LEAVE_OUT: &str = "leave-out";

/// The farthest that a cell may be from the name of its column.
const DISTANCE_MAX: usize = 2;

/// What has arrived of an upload when its columns can be shown.
pub(crate) struct FileHead {
    pieces: Vec<Bytes>,
    /// The rest of the file has not arrived.
    is_cut: bool,
    /// Why nothing arrives behind it.
    broken: Option<String>,
}

impl FileHead {
    pub(crate) async fn read(pieces: &mut BoxStream<'_, Result<Bytes, String>>) -> FileHead {
        let mut head = FileHead { pieces: Vec::new(), is_cut: false, broken: None };
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    bytes += piece.len();
                    head.pieces.push(piece);
                }
                Err(why) => head.broken = Some(why),
            }
            let is_workbook = head.pieces.iter().flatten().take(2).eq(b"PK");
            head.is_cut = bytes >= if is_workbook { WORKBOOK_BYTES } else { HEAD_BYTES };
            if head.is_cut || head.broken.is_some() {
                break;
            }
        }
        head
    }

    fn again(&self) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin + use<> {
        iter(self.pieces.clone().into_iter().map(Ok))
    }

    /// The whole file, from its beginning.
    pub(crate) fn with<'a>(
        self,
        rest: BoxStream<'a, Result<Bytes, String>>,
    ) -> BoxStream<'a, Result<Bytes, String>> {
        let pieces = self.pieces.into_iter().map(Ok);
        iter(pieces.chain(self.broken.map(Err))).chain(rest).boxed()
    }
}

/// What each column is, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnChoices {
    /// `None` for a column to ignore.
    columns: Vec<Option<KnownColumn>>,
    pub(crate) has_header: bool,
}

impl ColumnChoices {
    /// Those of a form; `None` if it was sent without any.
    pub(crate) fn of(fields: &FormFields) -> Option<ColumnChoices> {
        let named = |name: &str| KnownColumn::ALL.into_iter().find(|it| it.as_str() == name);
        let columns: Vec<Option<KnownColumn>> = fields.all("column").map(named).collect();
        let has_header = fields.get("header") == Some("names");
        (!columns.is_empty()).then_some(ColumnChoices { columns, has_header })
    }

    /// As forms have them.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        self.columns.iter().map(|it| it.map_or("", KnownColumn::as_str)).collect()
    }
}

impl FormFields {
    /// What a form says about its file, but for the columns.
    pub(crate) fn file_format(&self) -> ConsoleResult<FileFormat> {
        let state = |word: &str| StateWord::ALL.into_iter().find(|it| it.as_str() == word);
        let values = self.meanings();
        let values = values.filter_map(|(value, word)| Some((value.to_owned(), state(word)?)));
        let left_out = self.meanings().filter(|(_, word)| *word == LEAVE_OUT);
        Ok(FileFormat {
            encoding: self.may::<TextEncoding>("encoding")?,
            values: ValueMap::from_iter(values).leaving_out(left_out.map(|(value, _)| value)),
            dates: self.may::<DateOrder>("dates")?.unwrap_or_default(),
            ..FileFormat::default()
        })
    }

    /// Values of the state with what they mean: a state, [`LEAVE_OUT`], or nothing for one whose lines are rejected.
    pub(crate) fn meanings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all("value").zip(self.all("means"))
    }
}

/// The beginning of a file as a table.
pub(crate) struct ColumnTable {
    pub(crate) choices: ColumnChoices,
    /// Whether somebody has made the choices.
    pub(crate) is_chosen: bool,
    /// Those with which the file is read without being told any.
    unaided: Option<ColumnChoices>,
    first: Vec<String>,
    /// Without the header.
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) export: Option<&'static KnownExport>,
    /// Values of the state, and what they are taken for: of one that nobody can know, nothing; or why the file cannot be
    /// read with these columns.
    pub(crate) values: Result<Vec<(String, Vec<StateWord>)>, BadFile>,
}

impl ColumnTable {
    /// The table with these choices, or with those that are guessed.
    ///
    /// # Errors
    /// [`Failure::BadFile`] if the file is no table at all.
    pub(crate) async fn of(
        head: &FileHead,
        format: &FileFormat,
        chosen: Option<ColumnChoices>,
        campaign: &Campaign,
    ) -> Result<ColumnTable, Failure> {
        let mut file = File::open(head.again(), format.encoding).await?;
        let begun = file.begin(format).await.ok().filter(|it| it.header.is_some());
        let is_named = begun.as_ref().is_some_and(|it| it.header_text.is_some());
        let (mut lines, header) = match begun {
            Some(begun) => {
                let first = begun.lines.iter().filter_map(|it| it.text().ok().map(str::to_owned));
                (begun.header_text.into_iter().chain(first).collect(), begun.header)
            }
            None => {
                file = File::open(head.again(), format.encoding).await?;
                (Vec::new(), None)
            }
        };
        while lines.len() < SCANNED_MAX {
            match file.next().await {
                Some(Ok(line)) => lines.extend(line.text().ok().map(str::to_owned)),
                Some(Err(_)) | None => {
                    // The last record of a file that is cut may be half of one.
                    lines.truncate(if head.is_cut { lines.len().max(2) - 1 } else { lines.len() });
                    break;
                }
            }
        }
        if header.is_none() {
            lines = unwrapped(lines);
        }
        let Some(first) = lines.first() else {
            return Err(Failure::BadFile(BadFile::Kind("the file is empty".to_owned())));
        };
        let separator = header.as_ref().map_or_else(|| separators(first)[0], FileHeader::separator);
        let mut records = lines.iter().map(|line| cells(line, separator));
        let first = records.next().unwrap_or_default();
        let shown = first.len().min(CHOICES_MAX);
        let unaided = header.as_ref().map(|header| {
            let mut columns = header.columns().to_vec();
            columns.resize(shown, None);
            ColumnChoices { columns, has_header: is_named }
        });
        let chosen = chosen.filter(|it| it.columns.len() == shown);
        let is_chosen = chosen.is_some();
        let choices = chosen.or_else(|| unaided.clone()).unwrap_or_else(|| guessed(&first));
        let above = if choices.has_header { None } else { Some(first.clone()) };
        let rows = above.into_iter().chain(records).take(SHOWN_ROWS).map(|mut cells| {
            cells.resize(shown, String::new());
            cells
        });
        let mut table = ColumnTable {
            rows: rows.collect(),
            export: header.as_ref().and_then(FileHeader::export),
            values: Ok(Vec::new()),
            choices,
            is_chosen,
            unaided,
            first,
        };
        // What is wrong with the choices themselves is said with their names.
        if let Ok(format) = table.format(format.clone()) {
            // As they are read if nobody explains them.
            let format = FileFormat { values: ValueMap::default(), ..format };
            table.values = table.state_values(&lines, separator, &format, campaign);
        }
        Ok(table)
    }

    /// The cells of the first line, if it has names.
    pub(crate) fn names(&self) -> &[String] {
        let shown = self.choices.columns.len();
        if self.choices.has_header { &self.first[..shown] } else { &[] }
    }

    /// How many columns have no choice.
    pub(crate) fn more(&self) -> u64 {
        (self.first.len() - self.choices.columns.len()) as u64
    }

    /// The same format with the columns of this table.
    ///
    /// # Errors
    /// [`BadColumnMap`] if there is no code, or a column twice.
    pub(crate) fn format(&self, format: FileFormat) -> Result<FileFormat, BadColumnMap> {
        if self.unaided.as_ref() == Some(&self.choices) {
            return Ok(format);
        }
        let mut is_named = !self.choices.has_header;
        let (mut entries, mut ignored) = (Vec::new(), Vec::new());
        let choices = self.choices.columns.iter().chain(std::iter::repeat(&None));
        for (nth, (name, column)) in self.first.iter().zip(choices).enumerate() {
            let number = (nth + 1).to_string();
            let Some(column) = column else {
                ignored.push(number);
                continue;
            };
            // One name says that the first line has names; a number finds the others whatever they are called.
            let is_by_name = !is_named && self.finds(name);
            is_named |= is_by_name;
            entries.push(format!("{column}:{}", if is_by_name { name } else { &number }));
        }
        if entries.is_empty() {
            return Err(BadColumnMap::NoCode);
        }
        let columns = Some(entries.join(",").parse::<ColumnMap>()?);
        let ignore = ignored.join(",").parse().unwrap_or_default();
        Ok(FileFormat { columns, ignore, ..format })
    }

    /// The values of the state in these lines, those that nobody can know first.
    fn state_values(
        &self,
        lines: &[String],
        separator: char,
        format: &FileFormat,
        campaign: &Campaign,
    ) -> Result<Vec<(String, Vec<StateWord>)>, BadFile> {
        let header = FileHeader::read(lines.first().map_or("", String::as_str), format)?;
        let defaults = RecordDefaults {
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            zone: campaign.zone.clone(),
            currency: campaign.worth.currency,
        };
        let is_state = |it: &Option<KnownColumn>| *it == Some(KnownColumn::State);
        // Of several columns, each says a part of it.
        let is_one = self.choices.columns.iter().filter(|it| is_state(it)).count() == 1;
        let place = self.choices.columns.iter().position(is_state).filter(|_| is_one);
        let mut values: Vec<(String, Vec<StateWord>)> = Vec::new();
        for line in lines.iter().skip(usize::from(self.choices.has_header)) {
            let (value, guess) = match header.parse(line, &defaults) {
                Err(RowError::BadState { found }) => (found, None),
                Ok(record) => {
                    let value = place.and_then(|at| cells(line, separator).into_iter().nth(at));
                    let Some(value) = value.filter(|it| !it.is_empty()) else { continue };
                    let word = record.imported_state.as_str();
                    (value, StateWord::ALL.into_iter().find(|it| it.as_str() == word))
                }
                Err(_) => continue,
            };
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, known)) if guess.is_none_or(|it| known.contains(&it)) => {}
                Some((_, known)) => known.extend(guess),
                None => values.push((value, Vec::from_iter(guess))),
            }
        }
        values.sort_by_key(|(_, guesses)| !guesses.is_empty());
        Ok(values)
    }

    /// Whether a map of columns finds one by this name: only one has it, and it is no number.
    fn finds(&self, name: &str) -> bool {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let same = self.first.iter().filter(|it| it.to_lowercase() == name.to_lowercase());
        !is_number && !name.contains(',') && same.count() == 1
    }
}

/// The lines of a file without the line with which Excel names a separator, and of a file of rejected lines those
/// that were rejected.
fn unwrapped(mut lines: Vec<String>) -> Vec<String> {
    if lines.first().is_some_and(|first| said_separator(first).is_some()) {
        lines.remove(0);
    }
    match lines.first() {
        Some(first) if first.trim_start_matches('\u{feff}').trim() == REJECT_HEADER => {
            lines[1..].iter().filter_map(|line| cells(line, ',').into_iter().nth(1)).collect()
        }
        _ => lines,
    }
}

/// The cells of a record as people see them; all of it as one if a quote is not closed.
fn cells(line: &str, separator: char) -> Vec<String> {
    record_cells(line, separator).unwrap_or_else(|| vec![line.trim().to_owned()])
}

/// The columns whose names are near, and whether the first line has names.
fn guessed(first: &[String]) -> ColumnChoices {
    let shown = first.len().min(CHOICES_MAX);
    let mut columns: Vec<Option<KnownColumn>> = vec![None; shown];
    let mut take = |column: KnownColumn, is_it: &dyn Fn(&str) -> bool| {
        let is_free = |at: &usize| columns[*at].is_none() && is_it(&first[*at]);
        let at = (0..shown).find(is_free).filter(|_| !columns.contains(&Some(column)));
        at.map(|at| columns[at] = Some(column)).is_some()
    };
    // The nearest first: a cell that is a name is not taken by a column whose name is only like it.
    let is_named =
        KnownColumn::ALL.map(|column| take(column, &|cell| near(cell, column) == Some(0)));
    take(KnownColumn::State, &says_state);
    for far in 1..=DISTANCE_MAX {
        for column in KnownColumn::ALL {
            take(column, &|cell| near(cell, column) == Some(far));
        }
    }
    let has_digits = first.iter().any(|cell| cell.bytes().any(|byte| byte.is_ascii_digit()));
    let has_header = is_named.contains(&true) || !has_digits;
    if !has_header {
        columns.fill(None);
        columns[0] = Some(KnownColumn::Code);
    }
    ColumnChoices { columns, has_header }
}

fn near(cell: &str, column: KnownColumn) -> Option<usize> {
    let names = std::iter::once(column.as_str()).chain(column.aliases());
    names.filter_map(|name| distance(cell, name)).min()
}

/// Whether an import would never skip a column of this name: it says a state or a use.
fn says_state(name: &str) -> bool {
    let ignore = "rest".parse().unwrap_or_default();
    let rest = FileFormat { ignore, ..FileFormat::default() };
    FileHeader::read(&format!("code\t\"{}\"", name.replace('"', "")), &rest).is_err()
}
