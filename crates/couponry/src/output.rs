//! What the commands print: the only module that writes to standard output or to a file that the caller names.
//!
//! A reader that closes the output (`| head`) is not an error: the command ends without a word.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::{CliError, Ended, Result};
use crate::files;

pub(crate) use command_line::CellAlignment::{Left, Right};
pub(crate) use command_line::{CellAlignment, LAYOUT, cell_text, printable, thousands};

/// Bytes of the write buffer: a few hundred rows.
const BUFFER: usize = 64 << 10;

pub struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    is_terminal: bool,
    /// Its name in error messages.
    name: String,
    staged: Option<Staged>,
}

/// A file that gets its own name when it is complete. Dropped before that, it is deleted.
struct Staged {
    file: File,
    part: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Out {
    pub fn standard() -> Out {
        let writer = BufWriter::with_capacity(BUFFER, Box::new(std::io::stdout()) as Box<_>);
        let name = "standard output".to_owned();
        Out { writer, is_terminal: is_terminal(), name, staged: None }
    }

    /// The file `path`, or standard output.
    pub fn to(path: Option<&Path>) -> Result<Out> {
        path.map_or_else(|| Ok(Out::standard()), Out::file)
    }

    /// A file that only its owner can read, since codes are worth money. It is written as
    /// `FILE.part`; [`Out::finish`] renames it.
    pub(crate) fn file(path: &Path) -> Result<Out> {
        let name = path.display().to_string();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // A device or a pipe is written in place, not replaced.
        let in_place = path.metadata().is_ok_and(|it| !it.is_file());
        let part = if in_place { path.clone() } else { path.with_added_extension("part") };
        let mut open = OpenOptions::new();
        open.write(true).create_new(!in_place).mode(0o600);
        if !in_place {
            // A killed command may have left one; it does not matter if there is none.
            let _ = std::fs::remove_file(&part);
        }
        let cannot = || CliError::because(format!("cannot write {}", part.display()));
        let file = open.open(&part).map_err(cannot())?;
        let staged = match in_place {
            true => None,
            false => {
                let file = file.try_clone().map_err(cannot())?;
                Some(Staged { file, part, path, published: false })
            }
        };
        let writer = BufWriter::with_capacity(BUFFER, Box::new(file) as Box<_>);
        Ok(Out { writer, is_terminal: false, name, staged })
    }

    /// Writes `text` as it is; on a terminal with escapes for what the terminal would obey.
    pub fn put(&mut self, text: &str) -> Result<()> {
        let text = if self.is_terminal { printable(text, LAYOUT) } else { Cow::Borrowed(text) };
        self.put_bytes(text.as_bytes())
    }

    /// Writes what is not for a terminal, such as a file that a service sends.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| failed(&self.name, &error))
    }

    /// Writes out the buffer, so that readers see what was written so far.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| failed(&self.name, &error))
    }

    /// Writes out the buffer. A file is then synced and gets its own name.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        let Some(staged) = &mut self.staged else { return Ok(()) };
        let published = files::publish(&staged.file, &staged.part, &staged.path);
        published.map_err(|error| failed(&self.name, &error))?;
        staged.published = true;
        Ok(())
    }
}

/// For writers of bytes, such as Parquet.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // Nothing else can be done if this fails.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

fn failed(name: &str, error: &std::io::Error) -> CliError {
    match error.kind() {
        ErrorKind::BrokenPipe => CliError::nobody_reads(),
        _ => CliError::new(format!("cannot write {name}: {error}")),
    }
}

/// Syncs standard output if it is a file: what follows relies on what it has.
pub(crate) fn sync() -> Result<()> {
    let file = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let synced = file.and_then(|file| match file.metadata()?.is_file() {
        true => file.sync_data(),
        false => Ok(()),
    });
    synced.map_err(|error| failed("standard output", &error))
}

pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = Out::standard();
    out.put(text)?;
    out.put("\n")?;
    out.finish()
}

pub(crate) fn done(text: &str) -> Result<Ended> {
    say(text)?;
    Ok(Ended::Done)
}

/// Prints JSON: indented on a terminal, on one line elsewhere.
pub(crate) fn say_json(value: &impl Serialize) -> Result<()> {
    match is_terminal() {
        true => say(&serde_json::to_string_pretty(value).map_err(CliError::of)?),
        false => say(&json_line(value)?),
    }
}

/// JSON on one line, which is safe wherever it is shown later.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(CliError::of)?;
    Ok(printable(&text, &[]).into_owned())
}

pub(crate) fn table<const COLUMNS: usize>(
    heads: [(&str, CellAlignment); COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let head = heads.map(|(name, _)| name.to_owned());
    let rows = std::iter::once(head).chain(rows).map(Vec::from).collect::<Vec<_>>();
    command_line::table(&heads.map(|(_, side)| side), &rows).trim_end().to_owned()
}

pub(crate) fn note(sentence: &str) {
    // If standard error is closed, nobody reads notes.
    let _ = writeln!(std::io::stderr(), "couponry: {}", printable(sentence, LAYOUT));
}

/// Whether standard output is a terminal.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_file() {
        let mut out = Out::file(Path::new("/dev/full")).unwrap();
        let failed = out.put_bytes(&[b'x'; 2 * BUFFER]).unwrap_err().to_string();
        assert!(failed.starts_with("cannot write /dev/full: "), "{failed}");
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for (is_terminal, want) in [(true, "a\tb\\u001b[2J\n"), (false, "a\tb\u{1b}[2J\n")] {
            let path = folder.path().join(is_terminal.to_string());
            let mut out = Out { is_terminal, ..Out::file(&path).unwrap() };
            out.put("a\tb\u{1b}[2J\n").unwrap();
            out.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
        }
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("a.csv"), folder.path().join("a.csv.part"));
        let mut out = Out::file(&path).unwrap();
        out.put("code\n").unwrap();
        assert!(!path.exists() && part.exists(), "half written");
        out.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "code\n");
        assert!(!part.exists(), "the part has its name");

        let mut out = Out::file(&path).unwrap();
        out.put("half").unwrap();
        drop(out);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "code\n", "the old one stays");
        assert!(!part.exists(), "what was given up is gone");
    }
}
