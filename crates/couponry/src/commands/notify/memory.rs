//! The memory of one destination of notices: the folder `notices/NAME` of the data folder.
//!
//! The *journal* has one JSON record a line. A run appends to it; its start rewrites it without the
//! records that no longer matter. A last line without a line end does not count. A run holds the
//! lock file `lock`.

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

/// Days after a coupon's last day that a sent notice is remembered. By then the day is over in
/// every time zone, and no more notices are due.
const KEPT_DAYS: u16 = 2;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Record {
    /// Notices so many days before the last day are sent since this instant, in milliseconds.
    Watch(u16, i64),
    /// The notice of this key was sent.
    Told(Key),
    /// The file that notices go to, and how much of it the journal covers.
    File(Mark),
    /// This notice may arrive from now on: if it is sent again, then unchanged.
    Try(String),
    /// The notice with this id was accepted, or it was refused and a new one may be made.
    Done(String),
}

/// A file, and how far it is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) end: u64,
}

/// What earlier runs remembered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recalled {
    /// The watches of the days of this run.
    pub(super) watches: Vec<Watch>,
    pub(super) file: Option<Mark>,
    /// Notices that may or may not have arrived, in the order of their attempts.
    pub(super) pending: Vec<Notice>,
}

/// Takes the keys that were sent.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&Key) -> Result<(), CliError>;

/// The journal of a destination, open for a run.
pub(super) struct Memory {
    path: PathBuf,
    journal: BufWriter<File>,
    _only: File,
}

impl Memory {
    /// Locks the destination and reads the journal. Calls `tell` with each key that was sent. New
    /// numbers of `days` are watched from `now` on.
    ///
    /// # Errors
    /// Another run has the lock; the folder or the journal cannot be used.
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

    /// Reads the journal as [`Memory::open`] does. Writes nothing.
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

    /// Appends that a whole notice was sent.
    pub(super) fn sent(&mut self, notice: &Notice) -> Result<(), CliError> {
        let wrote = self.journal.write_all(sent_lines(notice)?.as_bytes());
        wrote.map_err(self.cannot())
    }

    /// Appends the records in another file, durably.
    pub(super) fn take_over(&mut self, records: &mut File) -> Result<(), CliError> {
        std::io::copy(records, &mut self.journal).map_err(self.cannot())?;
        self.keep()
    }

    /// Writes out what was appended, without a sync: it survives this process, but perhaps not the
    /// machine.
    pub(super) fn write_out(&mut self) -> Result<(), CliError> {
        self.journal.flush().map_err(self.cannot())
    }

    /// Syncs what was appended.
    pub(super) fn keep(&mut self) -> Result<(), CliError> {
        let kept = self.journal.flush().and_then(|()| self.journal.get_ref().sync_data());
        kept.map_err(self.cannot())
    }

    fn cannot(&self) -> impl FnOnce(std::io::Error) -> CliError + use<> {
        CliError::because(format!("cannot write {}", self.path.display()))
    }
}

/// The records of a notice that was sent.
pub(super) fn sent_lines(notice: &Notice) -> Result<String, CliError> {
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
            "another `couponry notify` is at work on the same destination: {} is locked",
            path.display()
        ))),
    }
}

struct Everything {
    kept: Recalled,
    /// The watches of all days: other days count again when a later run names them.
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
                "line {nth} of {} is damaged, or of a newer release ({error}): if you move the \
                 folder away, notices that it remembers are sent again",
                path.display()
            ))
        })?;
        each(record)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
