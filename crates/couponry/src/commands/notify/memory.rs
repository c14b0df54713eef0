//! What is remembered of one place that notices go to: `DATA/notices/NAME/`.
//!
//! The *journal* has one JSON record a line and is only ever appended to; at the start of a run
//! what no longer matters is left out of it. A line without its end was never written. `lock` is
//! held as long as a run lasts.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use engine::Watch;
use serde::{Deserialize, Serialize};

use super::notice::{Key, Notice};
use crate::failure::CliError;

/// Days that what was told is remembered after a coupon's last day. By then the day is over in
/// every zone, and what has expired is told of no more.
const KEPT_DAYS: u16 = 2;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Record {
    /// So many days before the last day are told since this moment, in milliseconds.
    Watch(u16, i64),
    /// One coupon was told of.
    Told(Key),
    /// The file that notices go to, as far as it is known here.
    File(Mark),
    /// From here on somebody may have this notice: if it has to be sent again, then as it is.
    Try(String),
    /// It was taken, or it was refused and may be made anew: its id.
    Done(String),
}

/// A file, and how far it was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) end: u64,
}

/// What earlier runs have left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recalled {
    /// Those of the days asked for.
    pub(super) watches: Vec<Watch>,
    pub(super) file: Option<Mark>,
    /// Notices that somebody may have, and of which nobody knows, in the order of their tries.
    pub(super) pending: Vec<Notice>,
}

/// Told keys go where they are sorted.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&Key) -> Result<(), CliError>;

/// The journal of a place, open for a run.
pub(super) struct Memory {
    path: PathBuf,
    journal: BufWriter<File>,
    _only: File,
}

impl Memory {
    /// Takes the place's lock, and recalls what was told; `days` that are new are watched from
    /// `now` on.
    ///
    /// # Errors
    /// Another run is at work; a folder or a journal that cannot be used.
    pub(super) fn open(
        folder: &Path,
        days: &[u16],
        now: Millis,
        tell: Tell<'_>,
    ) -> Result<(Memory, Recalled), CliError> {
        let cannot = || CliError::because(format!("cannot write {}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot())?;
        let only = lock(&folder.join("lock"))?;
        let (path, staged) = (folder.join("journal"), folder.join("journal.new"));
        let mut open = OpenOptions::new();
        open.create(true).truncate(true).write(true).mode(0o600);
        let file = open.open(&staged).map_err(cannot())?;
        let mut memory = Memory { path, journal: BufWriter::new(file), _only: only };
        let journal = memory.path.clone();
        let recalled = recall(&journal, days, now, &mut |key| {
            memory.add(&Record::Told(key.clone()))?;
            tell(key)
        })?;
        for (days, since) in &recalled.all_watches {
            memory.add(&Record::Watch(*days, since.0))?;
        }
        if let Some(mark) = recalled.kept.file {
            memory.add(&Record::File(mark))?;
        }
        for notice in &recalled.kept.pending {
            memory.add(&Record::Try(notice.line.clone()))?;
        }
        memory.keep()?;
        std::fs::rename(&staged, &journal).map_err(cannot())?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot())?;
        Ok((memory, recalled.kept))
    }

    /// What [`Memory::open`] would recall; nothing is written.
    pub(super) fn look(
        folder: &Path,
        days: &[u16],
        now: Millis,
        tell: Tell<'_>,
    ) -> Result<Recalled, CliError> {
        Ok(recall(&folder.join("journal"), days, now, tell)?.kept)
    }

    /// Appends a record; [`Memory::keep`] makes it durable.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), CliError> {
        let wrote = writeln!(self.journal, "{}", line(record)?);
        wrote.map_err(self.cannot())
    }

    /// Appends that all of a notice was told.
    pub(super) fn told(&mut self, notice: &Notice) -> Result<(), CliError> {
        let wrote = self.journal.write_all(told_lines(notice)?.as_bytes());
        wrote.map_err(self.cannot())
    }

    /// Appends records written elsewhere, and makes them durable.
    pub(super) fn take_over(&mut self, records: &mut File) -> Result<(), CliError> {
        std::io::copy(records, &mut self.journal).map_err(self.cannot())?;
        self.keep()
    }

    /// Makes what was appended outlive this process, if not the machine: no sync.
    pub(super) fn write_out(&mut self) -> Result<(), CliError> {
        self.journal.flush().map_err(self.cannot())
    }

    /// Makes durable what was appended.
    pub(super) fn keep(&mut self) -> Result<(), CliError> {
        let kept = self.journal.flush().and_then(|()| self.journal.get_ref().sync_data());
        kept.map_err(self.cannot())
    }

    fn cannot(&self) -> impl FnOnce(std::io::Error) -> CliError + use<> {
        CliError::because(format!("cannot write {}", self.path.display()))
    }
}

/// What the journal says of a notice that was told.
pub(super) fn told_lines(notice: &Notice) -> Result<String, CliError> {
    let keys = notice.keys.iter().map(|key| Record::Told(key.clone()));
    let records = keys.chain([Record::Done(notice.id.clone())]);
    records.map(|record| Ok(line(&record)? + "\n")).collect()
}

fn line(record: &Record) -> Result<String, CliError> {
    serde_json::to_string(record).map_err(|error| CliError::new(error.to_string()))
}

fn lock(path: &Path) -> Result<File, CliError> {
    let mut open = OpenOptions::new();
    let file = open.create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(CliError::because(format!("cannot lock {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(CliError::new(format!(
            "another `couponry notify` is at work on the same place ({} is locked)",
            path.display()
        ))),
    }
}

struct Everything {
    kept: Recalled,
    /// Those of other days, too: they count when somebody asks for them again.
    all_watches: BTreeMap<u16, Millis>,
}

fn recall(
    journal: &Path,
    days: &[u16],
    now: Millis,
    tell: Tell<'_>,
) -> Result<Everything, CliError> {
    let (mut file, mut pending) = (None, Vec::<Notice>::new());
    let mut all_watches = BTreeMap::new();
    let today = Date::of(now, &Zone::utc());
    replay(journal, |record| {
        match record {
            Record::Watch(days, since) => {
                all_watches.entry(days).or_insert(Millis(since));
            }
            Record::Told(key) if key.expires_on.plus_days(KEPT_DAYS) < today => {}
            Record::Told(key) => tell(&key)?,
            Record::File(mark) => file = Some(mark),
            Record::Try(line) => pending.extend(Notice::read(&line)),
            Record::Done(id) => pending.retain(|notice| notice.id != id),
        }
        Ok(())
    })?;
    pending.retain(|notice| now < notice.expires_at);
    for days in days {
        all_watches.entry(*days).or_insert(now);
    }
    let watches = days.iter().map(|days| Watch { days: *days, since: all_watches[days] });
    Ok(Everything { kept: Recalled { watches: watches.collect(), file, pending }, all_watches })
}

fn replay(
    path: &Path,
    mut each: impl FnMut(Record) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let cannot = || CliError::because(format!("cannot read {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot()(error)),
    };
    let mut journal = BufReader::new(file);
    let mut line = Vec::new();
    for nth in 1_u64.. {
        line.clear();
        journal.read_until(b'\n', &mut line).map_err(cannot())?;
        if line.pop() != Some(b'\n') {
            break;
        }
        let record = serde_json::from_slice(&line).map_err(|error| {
            CliError::new(format!(
                "line {nth} of {} is damaged, or of a newer release ({error}): with the folder \
                 moved away what it remembers is told again",
                path.display()
            ))
        })?;
        each(record)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
