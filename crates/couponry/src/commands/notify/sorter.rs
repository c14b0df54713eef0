//! Sorts more lines than fit into memory: sorts pieces in memory, writes them to temporary files,
//! and merges them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Cursor, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::CliError;

/// Bytes of a piece. Sorting takes twice that and eight bytes a line: the memory of a run, whatever
/// the number of coupons.
pub(super) const PIECE_BYTES: usize = 32 << 20;

/// Most pieces: each is an open file, and many systems allow a process 1,024. Together 16 GiB of
/// lines, some hundred million coupons.
const PIECES_MAX: usize = 512;

/// Takes lines and sorts them bytewise.
pub(super) struct Sorter {
    folder: PathBuf,
    piece_bytes: usize,
    text: Vec<u8>,
    lines: Vec<Range<u32>>,
    pieces: Vec<File>,
}

impl Sorter {
    /// An empty sorter that writes pieces of `piece_bytes` to temporary files in `folder`.
    pub(super) fn new(folder: &Path, piece_bytes: usize) -> Sorter {
        let folder = folder.to_owned();
        Sorter { folder, piece_bytes, text: Vec::new(), lines: Vec::new(), pieces: Vec::new() }
    }

    /// Takes a line without a line end.
    pub(super) fn push(&mut self, line: &str) -> Result<(), CliError> {
        if self.text.len() + line.len() > self.piece_bytes && !self.lines.is_empty() {
            self.write_piece()?;
        }
        let from = self.text.len() as u32;
        self.text.extend_from_slice(line.as_bytes());
        self.lines.push(from..self.text.len() as u32);
        Ok(())
    }

    fn write_piece(&mut self) -> Result<(), CliError> {
        if self.pieces.len() == PIECES_MAX {
            let most = (PIECES_MAX * self.piece_bytes) >> 30;
            return Err(CliError::new(format!(
                "more than {most} GiB of coupons are due at once: name fewer --days at a time"
            )));
        }
        let mut file = scratch(&self.folder)?;
        let wrote = file.write_all(&self.sorted()).and_then(|()| file.rewind());
        let cannot = format!("cannot write to {}", self.folder.display());
        wrote.map_err(CliError::because(cannot))?;
        self.pieces.push(file);
        self.text.clear();
        self.lines.clear();
        Ok(())
    }

    fn sorted(&mut self) -> Vec<u8> {
        let text = &self.text;
        let bytes = |line: &Range<u32>| &text[line.start as usize..line.end as usize];
        self.lines.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        let mut sorted = Vec::with_capacity(text.len() + self.lines.len());
        for line in &self.lines {
            sorted.extend_from_slice(bytes(line));
            sorted.push(b'\n');
        }
        sorted
    }

    /// The lines in their order.
    pub(super) fn finish(mut self) -> Result<Sorted, CliError> {
        let last: Box<dyn BufRead + Send> = Box::new(Cursor::new(self.sorted()));
        let mut sources = vec![last];
        for piece in self.pieces {
            sources.push(Box::new(BufReader::new(piece)));
        }
        let mut sorted = Sorted { sources, heads: BinaryHeap::new() };
        for at in 0..sorted.sources.len() {
            sorted.advance(at)?;
        }
        Ok(sorted)
    }
}

/// The lines in their order.
pub(super) struct Sorted {
    sources: Vec<Box<dyn BufRead + Send>>,
    /// The next line of each piece, the smallest on top.
    heads: BinaryHeap<Reverse<(String, usize)>>,
}

impl Sorted {
    /// The next line.
    pub(super) fn next(&mut self) -> Result<Option<String>, CliError> {
        let Some(Reverse((line, at))) = self.heads.pop() else { return Ok(None) };
        self.advance(at)?;
        Ok(Some(line))
    }

    fn advance(&mut self, at: usize) -> Result<(), CliError> {
        let mut line = String::new();
        let read = self.sources[at].read_line(&mut line);
        if read.map_err(CliError::because("cannot read a temporary file"))? > 0 {
            line.pop();
            self.heads.push(Reverse((line, at)));
        }
        Ok(())
    }
}

/// Makes a temporary file. It has no name, so a killed process leaves none behind.
pub(super) fn scratch(folder: &Path) -> Result<File, CliError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("notices-{}-{nth}.tmp", std::process::id()));
    let mut open = OpenOptions::new();
    open.read(true).write(true).create(true).truncate(true).mode(0o600);
    let made = open.open(&path).and_then(|file| std::fs::remove_file(&path).map(|()| file));
    made.map_err(CliError::because(format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("nothing", 100, 0),
            ("one", 100, 1),
            ("one piece", 1 << 20, 500),
            ("some pieces", 1_000, 500),
            ("a piece each", 1, 40),
        ];
        for (name, piece_bytes, count) in cases {
            let mut sorter = Sorter::new(folder.path(), piece_bytes);
            // 7 and the count have no factor in common: each line once, in no order.
            let mut lines: Vec<String> =
                (0..count).map(|n| format!("line\t{:04}", n * 7 % 501)).collect();
            for line in &lines {
                sorter.push(line).unwrap();
            }
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "{name}: files with a name");
            let mut sorted = sorter.finish().unwrap();
            let mut found = Vec::new();
            while let Some(line) = sorted.next().unwrap() {
                found.push(line);
            }
            lines.sort();
            assert_eq!(found, lines, "{name}");
        }
    }

    #[test]
    fn no_more_files_than_there_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), 1);
        for n in 0..=PIECES_MAX {
            sorter.push(&n.to_string()).unwrap();
        }
        assert!(sorter.push("one too many").is_err());
    }
}
