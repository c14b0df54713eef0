//! Codes and the numbers of their rows, sorted by code: in memory, or in a file if there are many.
//!
//! The file is a list of runs, each sorted; reading merges them. An entry is the length of its code in
//! one byte, the code, and the number in eight bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Entries of a run: some eleven megabytes in memory.
const RUN_ENTRIES: usize = 200_000;

/// How much of each run is in memory while it is read. A hundred million entries are 500 runs.
const READ_BYTES: usize = 16 << 10;

/// Bytes of an entry beside its code.
const EXTRA_BYTES: usize = 1 + size_of::<i64>();

pub(crate) type SortedEntry = (String, i64);

pub(crate) struct UnsortedRows {
    folder: PathBuf,
    run_entries: usize,
    entries: Vec<SortedEntry>,
    /// `None` while all entries are in memory. It has no name, so it ends with the process.
    file: Option<File>,
    /// Where each run of the file ends.
    ends: Vec<u64>,
}

impl UnsortedRows {
    /// No entries yet. A file for them is made in `folder`.
    pub(crate) fn new(folder: &Path) -> UnsortedRows {
        UnsortedRows {
            folder: folder.to_owned(),
            run_entries: RUN_ENTRIES,
            entries: Vec::new(),
            file: None,
            ends: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, entry: SortedEntry) {
        self.entries.push(entry);
    }

    /// Writes the entries in memory to the file if there are many.
    pub(crate) fn relieve(&mut self) -> io::Result<()> {
        if self.entries.len() < self.run_entries {
            return Ok(());
        }
        self.entries.sort_unstable();
        let mut run = Vec::new();
        for (code, number) in mem::take(&mut self.entries) {
            let length = u8::try_from(code.len()).map_err(io::Error::other)?;
            run.push(length);
            run.extend_from_slice(code.as_bytes());
            run.extend_from_slice(&number.to_le_bytes());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all(&run)?;
        self.ends.push(self.ends.last().unwrap_or(&0) + run.len() as u64);
        Ok(())
    }

    pub(crate) fn sorted(mut self) -> io::Result<SortedRows> {
        self.entries.sort_unstable();
        self.entries.reverse();
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let run =
            |(from, end): (u64, &u64)| SortedRun { from, end: *end, bytes: Vec::new(), at: 0 };
        let mut runs: Vec<SortedRun> = starts.zip(&self.ends).map(run).collect();
        let mut first = BinaryHeap::new();
        if let Some(file) = &self.file {
            for (at, run) in runs.iter_mut().enumerate() {
                first.extend(run.next(file)?.map(|entry| Reverse((entry, at))));
            }
        }
        Ok(SortedRows { file: self.file, runs, first, in_memory: self.entries })
    }
}

/// A run of the file, and what of it is in memory.
struct SortedRun {
    from: u64,
    end: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl SortedRun {
    fn next(&mut self, file: &File) -> io::Result<Option<SortedEntry>> {
        if self.bytes.len() - self.at < EXTRA_BYTES + usize::from(u8::MAX) {
            self.bytes.drain(..self.at);
            self.at = 0;
            let (had, left) = (self.bytes.len(), self.end - self.from);
            let more = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
            self.bytes.resize(had + more, 0);
            file.read_exact_at(&mut self.bytes[had..], self.from)?;
            self.from += more as u64;
        }
        let Some((length, rest)) = self.bytes[self.at..].split_first() else { return Ok(None) };
        let cut = || io::Error::new(ErrorKind::InvalidData, "a run of sorted codes is cut off");
        let (code, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(cut)?;
        let number = rest.first_chunk().ok_or_else(cut)?;
        let code = str::from_utf8(code).map_err(io::Error::other)?.to_owned();
        self.at += EXTRA_BYTES + code.len();
        Ok(Some((code, i64::from_le_bytes(*number))))
    }
}

pub(crate) struct SortedRows {
    file: Option<File>,
    runs: Vec<SortedRun>,
    /// The next entry of each run.
    first: BinaryHeap<Reverse<(SortedEntry, usize)>>,
    /// The entries of no run, the next one last.
    in_memory: Vec<SortedEntry>,
}

impl SortedRows {
    pub(crate) fn next(&mut self) -> io::Result<Option<SortedEntry>> {
        let (Some(Reverse((entry, at))), Some(file)) = (self.first.peek(), &self.file) else {
            return Ok(self.in_memory.pop());
        };
        if self.in_memory.last().is_some_and(|other| other < entry) {
            return Ok(self.in_memory.pop());
        }
        let at = *at;
        let after = self.runs[at].next(file)?.map(|after| Reverse((after, at)));
        let entry = self.first.pop().map(|Reverse((entry, _))| entry);
        self.first.extend(after);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, count, run_entries) in [
            ("none", 0, 10),
            ("one", 1, 10),
            ("in memory", 1_000, 2_000),
            ("all in runs", 1_000, 100),
            ("some in no run", 1_050, 100),
            ("runs of several reads", 20_000, 5_000),
        ] {
            let mut unsorted = UnsortedRows::new(folder.path());
            unsorted.run_entries = run_entries;
            let entry = |nth: i64| (format!("C{}", nth * 7_919 % 100_003), nth);
            for nth in 0..count {
                unsorted.push(entry(nth));
                unsorted.relieve().expect("written");
            }
            assert_eq!(unsorted.file.is_some(), count >= run_entries as i64, "{name}");
            let mut sorted = unsorted.sorted().expect("sorted");
            let mut found = Vec::new();
            while let Some(entry) = sorted.next().expect("read") {
                found.push(entry);
            }
            let mut want: Vec<SortedEntry> = (0..count).map(entry).collect();
            want.sort_unstable();
            assert_eq!(found, want, "{name}");
        }
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "no file has a name");
    }
}
