//! A file that notices are appended to. A notice in the file was sent, whether or not the journal
//! says so.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::memory::{Mark, Tell};
use super::notice::{BEGINS, Notice};
use crate::failure::CliError;
use crate::files;

/// Longest line that is read, in bytes: many times a notice.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// The file, with a lock that keeps other runs out.
pub(super) struct NoticeFile {
    path: PathBuf,
    file: File,
    end: u64,
}

impl NoticeFile {
    /// Opens or makes the file. Only its owner can read it, since codes are worth money.
    pub(super) fn open(path: &Path) -> Result<NoticeFile, CliError> {
        let found = path.metadata();
        if found.as_ref().is_ok_and(|it| !it.is_file()) {
            return Err(CliError::usage(format!(
                "--to {} is no ordinary file: leave --to out for standard output",
                path.display()
            )));
        }
        let mut open = OpenOptions::new();
        let file = open.read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(CliError::cannot("write", path))?;
        if file.try_lock().is_err() {
            let sentence = format!("another process has locked {}: wait for it", path.display());
            return Err(CliError::new(sentence));
        }
        if found.is_err() {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            files::sync_folder(folder.unwrap_or(Path::new(".")))?;
        }
        Ok(NoticeFile { path: path.to_owned(), file, end: 0 })
    }

    /// Calls `tell` with each key after `mark`, or with all if the mark is of another file. Removes
    /// an incomplete notice at the end.
    pub(super) fn catch_up(&mut self, mark: Option<Mark>, tell: Tell<'_>) -> Result<(), CliError> {
        let (end, torn) = read(&self.path, &self.file, mark, tell)?;
        if torn {
            let cut = self.file.set_len(end).and_then(|()| self.file.sync_all());
            cut.map_err(CliError::cannot("write", &self.path))?;
        }
        self.end = end;
        Ok(())
    }

    /// Calls `tell` as [`NoticeFile::catch_up`] does. Writes and makes nothing.
    pub(super) fn look(path: &Path, mark: Option<Mark>, tell: Tell<'_>) -> Result<(), CliError> {
        match File::open(path) {
            Ok(file) => read(path, &file, mark, tell).map(drop),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(CliError::cannot("read", path)(error)),
        }
    }

    /// Appends notices durably.
    pub(super) fn append(&mut self, notices: &[Notice]) -> Result<(), CliError> {
        let text: String = notices.iter().flat_map(|it| [it.line.as_str(), "\n"]).collect();
        let wrote = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        wrote.map_err(CliError::cannot("write", &self.path))?;
        self.end += text.len() as u64;
        Ok(())
    }

    pub(super) fn mark(&self) -> Result<Mark, CliError> {
        let about = self.file.metadata().map_err(CliError::cannot("read", &self.path))?;
        Ok(Mark { device: about.dev(), inode: about.ino(), end: self.end })
    }
}

/// Calls `tell` with each key after `mark`. Returns where the last complete line ends, and whether
/// an incomplete notice follows.
fn read(
    path: &Path,
    file: &File,
    mark: Option<Mark>,
    tell: Tell<'_>,
) -> Result<(u64, bool), CliError> {
    let cannot = || CliError::cannot("read", path);
    let about = file.metadata().map_err(cannot())?;
    let same = mark.filter(|mark| {
        (mark.device, mark.inode) == (about.dev(), about.ino()) && mark.end <= about.len()
    });
    let mut end = same.map_or(0, |mark| mark.end);
    let mut lines = BufReader::new(file);
    lines.seek(SeekFrom::Start(end)).map_err(cannot())?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut lines, LINE_BYTES_MAX);
        let length = limited.read_until(b'\n', &mut line).map_err(cannot())? as u64;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return torn(path, &line, length).map(|torn| (end, torn));
        }
        let notice = std::str::from_utf8(&line).ok().and_then(Notice::read);
        notice.iter().flat_map(|notice| &notice.keys).try_for_each(&mut *tell)?;
        end += length;
    }
}

fn torn(path: &Path, rest: &[u8], length: u64) -> Result<bool, CliError> {
    let begun = BEGINS.as_bytes();
    let ours = rest.starts_with(begun) || begun.starts_with(rest);
    match length {
        0 => Ok(false),
        1..LINE_BYTES_MAX if ours => Ok(true),
        _ => Err(CliError::new(format!(
            "the last line of {} has no end and is not a notice: name a file that no other program \
             writes",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use coupon::time::Millis;

    use super::super::notice::Key;
    use super::*;

    fn notice(code: &str) -> Notice {
        let line = format!(
            r#"{{"notice_id":"ntc_{code}","user_id":"ann","coupons":[{{"code":"{code}","days":7,"expires_at":"2027-01-01T00:00:00.000Z","expires_on":"2026-12-31"}}]}}"#
        );
        let notice = Notice::read(&line).unwrap();
        assert!(notice.expires_at > Millis(0));
        notice
    }

    #[test]
    fn what_is_in_it_was_sent() {
        let (one, two) = (notice("AAAA"), notice("BBBB"));
        let whole = format!("{}\n", one.line);
        let torn = |length: usize| format!("{whole}{}", &two.line[..length]);
        let long = "x".repeat(LINE_BYTES_MAX as usize + 1);
        let cases = [
            ("nothing", String::new(), Some((vec![], String::new()))),
            ("a notice", whole.clone(), Some((vec!["AAAA"], whole.clone()))),
            ("one byte of the next", torn(1), Some((vec!["AAAA"], whole.clone()))),
            ("half of the next", torn(40), Some((vec!["AAAA"], whole.clone()))),
            ("all but its end", torn(two.line.len()), Some((vec!["AAAA"], whole.clone()))),
            ("only half of one", two.line[..30].to_owned(), Some((vec![], String::new()))),
            (
                "lines of somebody else",
                format!("hello\n{whole}"),
                Some((vec!["AAAA"], format!("hello\n{whole}"))),
            ),
            ("somebody else's last line", format!("{whole}hello"), None),
            ("no lines at all", long, None),
        ];
        for (name, text, want) in cases {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notices.jsonl");
            std::fs::write(&path, &text).unwrap();
            let mut codes = Vec::new();
            let mut tell = |key: &Key| {
                codes.push(key.code.clone());
                Ok(())
            };
            let caught_up = NoticeFile::open(&path).unwrap().catch_up(None, &mut tell);
            let left = std::fs::read_to_string(&path).unwrap();
            match want {
                Some((want, text)) => {
                    caught_up.unwrap();
                    assert_eq!(
                        (codes, left),
                        (want.into_iter().map(String::from).collect(), text),
                        "{name}"
                    );
                }
                None => {
                    assert!(caught_up.is_err(), "{name}");
                    assert!(left == text, "{name}: it was changed");
                }
            }
        }
    }

    /// Reads only what the journal does not know. Reads another file from its start.
    #[test]
    fn behind_a_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices.jsonl");
        let mut file = NoticeFile::open(&path).unwrap();
        file.catch_up(None, &mut |_| Ok(())).unwrap();
        file.append(&[notice("AAAA")]).unwrap();
        let mark = file.mark().unwrap();
        file.append(&[notice("BBBB")]).unwrap();
        drop(file);
        let cases = [
            ("known", mark, 1),
            ("another file", Mark { inode: mark.inode + 1, ..mark }, 2),
            ("cut short", Mark { end: 1 << 30, ..mark }, 2),
        ];
        for (name, mark, want) in cases {
            let mut told = 0;
            let mut count = |_: &Key| {
                told += 1;
                Ok(())
            };
            NoticeFile::look(&path, Some(mark), &mut count).unwrap();
            assert_eq!(told, want, "{name}");
        }
        let held = NoticeFile::open(&path).unwrap();
        assert!(NoticeFile::open(&path).is_err(), "two at once");
        drop(held);
    }
}
