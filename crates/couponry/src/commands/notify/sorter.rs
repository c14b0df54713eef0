//! Sorts more lines than fit into memory: splits them into parts by the hash that they begin with,
//! and sorts one part at a time.

use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;
use std::vec::IntoIter;

use tempfile::{SpooledTempFile, spooled_tempfile_in};

use crate::failure::CliError;

/// Parts: one for each value of the first two hexadecimal digits of a line.
const PARTS: usize = 256;

/// Bytes of a part in memory. A larger part is a temporary file without a name, so a killed process
/// leaves none behind.
const SPOOLED_BYTES: usize = 128 << 10;

/// Most bytes of all lines: about a hundred million coupons. Then a part has 64 MiB, and sorting it
/// takes somewhat more than twice that.
pub(super) const SORTED_BYTES_MAX: u64 = 16 << 30;

/// Takes lines and sorts them bytewise.
pub(super) struct Sorter {
    parts: Vec<BufWriter<SpooledTempFile>>,
    bytes: u64,
    bytes_max: u64,
}

impl Sorter {
    /// Temporary files go to `folder`.
    pub(super) fn new(folder: &Path, bytes_max: u64) -> Sorter {
        let part = || BufWriter::new(spooled_tempfile_in(SPOOLED_BYTES, folder));
        let parts = std::iter::repeat_with(part).take(PARTS).collect();
        Sorter { parts, bytes: 0, bytes_max }
    }

    /// Takes a line without a line end. It begins with a hash in hexadecimal digits.
    pub(super) fn push(&mut self, line: &str) -> Result<(), CliError> {
        self.bytes += line.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(CliError::new(format!(
                "more than {} GiB of coupons are due at once: name fewer --days at a time",
                self.bytes_max >> 30
            )));
        }
        let part = line.get(..2).and_then(|hash| usize::from_str_radix(hash, 16).ok());
        let part = &mut self.parts[part.unwrap_or(0)];
        writeln!(part, "{line}").map_err(CliError::because("cannot write a temporary file"))
    }

    pub(super) fn finish(self) -> Sorted {
        Sorted { parts: self.parts.into_iter(), lines: Vec::new().into_iter() }
    }
}

pub(super) struct Sorted {
    parts: IntoIter<BufWriter<SpooledTempFile>>,
    /// The rest of the lines of one part.
    lines: IntoIter<String>,
}

impl Sorted {
    pub(super) fn next(&mut self) -> Result<Option<String>, CliError> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            let lines = sorted(part).map_err(CliError::because("cannot read a temporary file"))?;
            self.lines = lines.into_iter();
        }
    }
}

fn sorted(mut part: BufWriter<SpooledTempFile>) -> std::io::Result<Vec<String>> {
    let mut text = String::new();
    part.rewind()?;
    part.get_mut().read_to_string(&mut text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts() {
        let folder = tempfile::tempdir().unwrap();
        // Name, lines, different hashes, length of a line.
        let cases = [
            ("nothing", 0, 1, 8),
            ("one", 1, 1, 8),
            ("one part", 500, 1, 8),
            ("every part", 500, PARTS, 8),
            ("larger than memory", 500, 2, SPOOLED_BYTES / 100),
        ];
        for (name, count, hashes, length) in cases {
            let mut sorter = Sorter::new(folder.path(), SORTED_BYTES_MAX);
            // 7 and 501 have no factor in common: each line once, in no order.
            let line = |n: usize| format!("{:02x}\t{n:0length$}", n % hashes);
            let mut lines: Vec<String> = (0..count).map(|n| line(n * 7 % 501)).collect();
            for line in &lines {
                sorter.push(line).unwrap();
            }
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "{name}: files with a name");
            let mut sorted = sorter.finish();
            let mut found = Vec::new();
            while let Some(line) = sorted.next().unwrap() {
                found.push(line);
            }
            lines.sort();
            assert_eq!(found, lines, "{name}");
        }
    }

    #[test]
    fn no_more_bytes_than_there_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), 100);
        for _ in 0..10 {
            sorter.push("00\t4567890").unwrap();
        }
        assert!(sorter.push("0").is_err(), "one byte too many");
    }
}
