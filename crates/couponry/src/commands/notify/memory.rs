//! The memory of one destination of notices: the folder `notices/NAME` of the data folder.
//!
//! The *journal* has one JSON record a line. A run appends to it; its start rewrites it without the
//! records that no longer matter. A last line without a line end does not count. A run holds the
//! lock file `lock`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use engine::Watch;
use serde::{Deserialize, Serialize};

use super::notice::{Key, Notice};
use crate::failure::CliError;
use crate::files;

/// Days after a coupon's last day that a sent notice is remembered. By then the day is over in
/// every time zone, and no more notices are due.
const KEPT_DAYS: u16 = 2;

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
    /// Since when each number of days is watched: others count again when a later run names them.
    since: BTreeMap<u16, Millis>,
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
        files::private_folder(folder)?;
        let only = lock(&folder.join("lock"))?;
        let (path, staged) = (folder.join("journal"), folder.join("journal.new"));
        let mut open = OpenOptions::new();
        open.create(true).truncate(true).write(true).mode(0o600);
        let file = open.open(&staged).map_err(CliError::cannot("write", &staged))?;
        let mut memory = Memory { path: path.clone(), journal: BufWriter::new(file), _only: only };
        let recalled = Memory::look(folder, days, now, &mut |key| {
            memory.add(&Record::Told(key.clone()))?;
            tell(key)
        })?;
        let watches = recalled.since.iter().map(|(days, since)| Record::Watch(*days, since.0));
        let file = recalled.file.map(Record::File);
        let pending = recalled.pending.iter().map(|notice| Record::Try(notice.line.clone()));
        watches.chain(file).chain(pending).try_for_each(|record| memory.add(&record))?;
        // Synced before the rename: a crash leaves the old journal or the whole new one.
        memory.write_out()?;
        let published = files::publish(memory.journal.get_ref(), &staged, &path);
        published.map_err(CliError::cannot("write", &path))?;
        Ok((memory, recalled))
    }

    /// Reads the journal as [`Memory::open`] does. Writes nothing.
    pub(super) fn look(
        folder: &Path,
        days: &[u16],
        now: Millis,
        tell: Tell<'_>,
    ) -> Result<Recalled, CliError> {
        let mut recalled = Recalled::default();
        let today = Date::of(now, &Zone::utc());
        replay(&folder.join("journal"), |record| {
            match record {
                Record::Watch(days, since) => {
                    recalled.since.entry(days).or_insert(Millis(since));
                }
                Record::Told(key) if key.expires_on.plus_days(KEPT_DAYS) < today => {}
                Record::Told(key) => tell(&key)?,
                Record::File(mark) => recalled.file = Some(mark),
                Record::Try(line) => recalled.pending.extend(Notice::read(&line)),
                Record::Done(id) => recalled.pending.retain(|notice| notice.id != id),
            }
            Ok(())
        })?;
        recalled.pending.retain(|notice| now < notice.expires_at);
        for days in days {
            let since = *recalled.since.entry(*days).or_insert(now);
            recalled.watches.push(Watch { days: *days, since });
        }
        Ok(recalled)
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
        CliError::cannot("write", &self.path)
    }
}

pub(super) fn sent_lines(notice: &Notice) -> Result<String, CliError> {
    let keys = notice.keys.iter().map(|key| Record::Told(key.clone()));
    let records = keys.chain([Record::Done(notice.id.clone())]);
    records.map(|record| Ok(line(&record)? + "\n")).collect()
}

fn line(record: &Record) -> Result<String, CliError> {
    serde_json::to_string(record).map_err(CliError::of)
}

fn lock(path: &Path) -> Result<File, CliError> {
    let file = files::lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(CliError::new(format!(
            "another `couponry notify` is at work on the same destination: {} is locked",
            path.display()
        ))),
    }
}

fn replay(
    path: &Path,
    mut each: impl FnMut(Record) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let cannot = || CliError::cannot("read", path);
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
