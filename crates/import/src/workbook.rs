//! Workbooks of Excel (`.xlsx`): the only place that opens one. What is in it becomes the CSV that
//! Excel would save, so that all else reads one kind of file.
//!
//! A workbook is a zip archive, whose directory is at its end: it has to be in memory as a whole.

use std::fmt::Write as _;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use calamine::{DataRef, Reader, SheetVisible, Xlsx, XlsxError};
use futures::channel::oneshot;
use parking_lot::Mutex;
use zip::ZipArchive;

/// Largest workbook, in bytes: some 200,000 rows. CSV of any length is read piece by piece.
pub const WORKBOOK_BYTES_MAX: usize = 8 << 20;

/// Most bytes that a workbook may have when it is unpacked, and its rows as CSV: an archive of a few
/// kilobytes can unpack to gigabytes.
pub const WORKBOOK_UNPACKED_MAX: u64 = 64 << 20;

/// Most columns of a sheet. A cell far to the right would fill each row with empty cells.
pub const WORKBOOK_COLUMNS_MAX: u32 = 100;

/// Rows of a sheet, as Excel has them. A blank row is one byte.
const ROWS_MAX: u32 = 1 << 20;

/// Workbooks that wait at a time, each with [`WORKBOOK_BYTES_MAX`]; one of them is opened.
const WAITING_MAX: usize = 16;

static WAITING: AtomicUsize = AtomicUsize::new(0);
static OPENED: Mutex<()> = Mutex::new(());

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWorkbook {
    #[error(
        "this Excel workbook has more than {} MiB, or {} MiB unpacked; save it as CSV UTF-8 and send that",
        WORKBOOK_BYTES_MAX >> 20,
        WORKBOOK_UNPACKED_MAX >> 20
    )]
    Size,
    #[error(
        "this Excel workbook has a cell beyond column {WORKBOOK_COLUMNS_MAX}; delete that column"
    )]
    Columns,
    #[error(
        "this Excel workbook has several sheets; keep the one with the codes, delete the others"
    )]
    Sheets,
    /// Excel would not open it either, or it is encrypted.
    #[error("this Excel workbook cannot be read ({0}); save it as CSV UTF-8 and send that")]
    Damaged(String),
    #[error("too many Excel workbooks are being read; send it again in a minute")]
    Busy,
}

/// The first sheet as CSV UTF-8, read on a thread of its own. Every row is one line, so that the
/// numbers of lines are those of rows; a line end in a cell is U+2028.
pub(crate) async fn to_csv(workbook: Vec<u8>) -> Result<Vec<u8>, BadWorkbook> {
    if WAITING.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        return Err(BadWorkbook::Busy);
    }
    let (answer, answered) = oneshot::channel();
    let place = WaitingSlot;
    let read = move || {
        // Counted down also if the reader of a damaged workbook panics.
        let _place = place;
        let _one = OPENED.lock();
        // Whoever asked may be gone.
        let _ = answer.send(read(workbook));
    };
    if thread::Builder::new().name("workbook".to_owned()).spawn(read).is_err() {
        return Err(BadWorkbook::Busy);
    }
    answered.await.unwrap_or_else(|_| Err(BadWorkbook::Damaged("it is damaged".to_owned())))
}

/// One of [`WAITING_MAX`].
struct WaitingSlot;

impl Drop for WaitingSlot {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read(workbook: Vec<u8>) -> Result<Vec<u8>, BadWorkbook> {
    check_parts(&workbook)?;
    let damaged = |error: XlsxError| BadWorkbook::Damaged(error.to_string());
    let mut book = Xlsx::new(Cursor::new(workbook)).map_err(damaged)?;
    let visible = book.sheets_metadata().iter().filter(|it| it.visible == SheetVisible::Visible);
    let names: Vec<String> = visible.map(|sheet| sheet.name.clone()).collect();
    let mut csv = String::new();
    for name in names {
        let mut cells = match book.worksheet_cells_reader(&name) {
            // A chart.
            Err(XlsxError::NotAWorksheet(_)) => continue,
            cells => cells.map_err(damaged)?,
        };
        let mut sheet = SheetWriter::default();
        while let Some(cell) = cells.next_cell().map_err(damaged)? {
            sheet.put(cell.get_position(), cell.get_value())?;
        }
        sheet.end_row();
        if !csv.is_empty() && !sheet.csv.is_empty() {
            return Err(BadWorkbook::Sheets);
        }
        csv.push_str(&sheet.csv);
    }
    Ok(csv.into_bytes())
}

/// Unpacks each part once, and keeps none: what the directory says about sizes may be wrong.
fn check_parts(workbook: &[u8]) -> Result<(), BadWorkbook> {
    let damaged = BadWorkbook::Damaged;
    let mut archive =
        ZipArchive::new(Cursor::new(workbook)).map_err(|error| damaged(error.to_string()))?;
    let mut left = WORKBOOK_UNPACKED_MAX;
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(|error| damaged(error.to_string()))?;
        let is_xml = file.name().to_lowercase().ends_with(".xml");
        let mut part = Vec::new();
        file.take(left + 1).read_to_end(&mut part).map_err(|error| damaged(error.to_string()))?;
        left = left.checked_sub(part.len() as u64).ok_or(BadWorkbook::Size)?;
        if is_xml && !has_true_counts(&part) {
            return Err(damaged(
                "it is no XML in UTF-8, or counts more texts than it has".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether a part of XML counts at most as many texts as it has bytes. The library makes room for
/// `uniqueCount` texts at once, and a process that gets no memory ends.
fn has_true_counts(part: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(part).ok().filter(|text| !text.contains('\0')) else {
        return false;
    };
    const COUNT: &str = "uniqueCount";
    text.match_indices(COUNT).all(|(at, _)| {
        let value = text[at + COUNT.len()..].trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = value.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.is_empty() || digits.parse::<usize>().is_ok_and(|count| count <= part.len())
    })
}

#[derive(Default)]
struct SheetWriter {
    csv: String,
    row: u32,
    column: u32,
    /// The columns of the first row: every other has at least as many.
    width: u32,
}

impl SheetWriter {
    fn put(&mut self, (row, column): (u32, u32), value: &DataRef<'_>) -> Result<(), BadWorkbook> {
        let Some(text) = text_of(value) else { return Ok(()) };
        if column >= WORKBOOK_COLUMNS_MAX {
            return Err(BadWorkbook::Columns);
        }
        if row >= ROWS_MAX || (row, column) < (self.row, self.column) {
            return Err(BadWorkbook::Damaged("its cells are out of order".to_owned()));
        }
        while self.row < row {
            self.end_row();
            self.csv.push('\n');
            (self.row, self.column) = (self.row + 1, 0);
        }
        while self.column < column {
            self.csv.push(',');
            self.column += 1;
        }
        let text =
            text.replace('"', "\"\"").replace("\r\n", "\u{2028}").replace(['\r', '\n'], "\u{2028}");
        // Writing to a text cannot fail.
        let _ = write!(self.csv, "\"{text}\"");
        if self.csv.len() as u64 <= WORKBOOK_UNPACKED_MAX { Ok(()) } else { Err(BadWorkbook::Size) }
    }

    /// Fills up the row, unless it is empty.
    fn end_row(&mut self) {
        if !self.csv.ends_with('"') {
            return;
        }
        if self.width == 0 {
            self.width = self.column + 1;
        }
        while self.column + 1 < self.width {
            self.csv.push(',');
            self.column += 1;
        }
    }
}

/// Numbers from here on have more digits than Excel keeps.
const EXACT_MAX: f64 = 1e15;

/// `None` for a cell without text.
fn text_of(value: &DataRef<'_>) -> Option<String> {
    match value {
        DataRef::Empty => None,
        DataRef::String(text) => Some(text.clone()),
        DataRef::SharedString(text) => Some((*text).to_owned()),
        DataRef::Bool(is) => Some(is.to_string()),
        DataRef::Int(number) => Some(number.to_string()),
        // Written as Excel does, so that a code that it rounded is known as one.
        DataRef::Float(number) if number.abs() >= EXACT_MAX => Some(format!("{number:E}")),
        DataRef::Float(number) => Some(number.to_string()),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
        }
        DataRef::DateTime(duration) => Some(duration.as_f64().to_string()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Some(text.clone()),
        DataRef::Error(error) => Some(error.to_string()),
    }
    .filter(|text| !text.is_empty())
}
