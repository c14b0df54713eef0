//! What the commands print: the only place where text goes to standard output or into a file of
//! somebody's choice.
//!
//! A reader that goes away (`| head`) is no fault: the command ends quietly.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::failure::CliError;

/// Bytes gathered before they are written: some hundred rows.
const BUFFER: usize = 64 << 10;

/// Where rows go.
pub struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// What it is called in error texts.
    name: String,
    staged: Option<Staged>,
}

/// A file that appears under its own name when it is complete; dropped before, it is gone.
struct Staged {
    file: File,
    part: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Out {
    /// Standard output.
    pub fn standard() -> Out {
        let writer = BufWriter::with_capacity(BUFFER, Box::new(std::io::stdout()) as Box<_>);
        Out { writer, name: "standard output".to_owned(), staged: None }
    }

    /// `path`, or standard output where none is named.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn to(path: Option<&Path>) -> Result<Out, CliError> {
        path.map_or_else(|| Ok(Out::standard()), Out::file)
    }

    /// A file readable by its owner alone: codes are worth money. It is written as `FILE.part`
    /// and renamed by [`Out::finish`].
    pub(crate) fn file(path: &Path) -> Result<Out, CliError> {
        let name = path.display().to_string();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // A device or a pipe is written to, never replaced.
        let in_place = path.metadata().is_ok_and(|it| !it.is_file());
        let part = if in_place { path.clone() } else { with_part(&path) };
        let mut open = OpenOptions::new();
        open.write(true).create_new(!in_place).mode(0o600);
        if !in_place {
            // Left by an export that was killed; whether there was one does not matter.
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
        Ok(Out { writer, name, staged })
    }

    /// Writes `text` as it is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&mut self, text: &str) -> Result<(), CliError> {
        let wrote = self.writer.write_all(text.as_bytes());
        wrote.map_err(|error| failed(&self.name, &error))
    }

    /// Lets readers have what was written so far.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.writer.flush().map_err(|error| failed(&self.name, &error))
    }

    /// Writes what is left; a file is durable and has its own name after it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<(), CliError> {
        self.flush()?;
        let Some(staged) = &mut self.staged else { return Ok(()) };
        let published =
            staged.file.sync_all().and_then(|()| std::fs::rename(&staged.part, &staged.path));
        published.map_err(|error| failed(&self.name, &error))?;
        staged.published = true;
        Ok(())
    }
}

/// For what writes bytes.
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
            // It may be gone already; either way there is nothing more to do about it.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// What is written under this name until it is complete.
pub(crate) fn with_part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn failed(name: &str, error: &std::io::Error) -> CliError {
    match error.kind() {
        ErrorKind::BrokenPipe => CliError::nobody_reads(),
        _ => CliError::new(format!("cannot write {name}: {error}")),
    }
}

/// Prints one piece of text and a line end.
pub(crate) fn say(text: &str) -> Result<(), CliError> {
    let mut out = Out::standard();
    out.put(text)?;
    out.put("\n")?;
    out.finish()
}

/// Prints JSON: for eyes on a terminal, on one line elsewhere.
pub(crate) fn say_json(value: &impl Serialize) -> Result<(), CliError> {
    let text = match std::io::stdout().is_terminal() {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    say(&text.map_err(|error| CliError::new(error.to_string()))?)
}

/// A sentence for people beside the output proper.
pub(crate) fn note(sentence: &str) {
    // Without anybody to read it there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "couponry: {sentence}");
}

/// Whether rows go past somebody's eyes.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A field of an answer as a cell: null is empty.
pub(crate) fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows under each other; each column as wide as its widest cell.
pub(crate) fn table(sides: &[Side], rows: &[Vec<String>]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(sides).zip(&widths).map(|((cell, side), width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_200_000, "1,200,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, want) in cases {
            assert_eq!(thousands(number), want);
        }
    }

    #[test]
    fn tables() {
        let rows = [vec!["ID".into(), "COUNT".into()], vec!["spring".into(), "7".into()]];
        assert_eq!(table(&[Side::Left, Side::Right], &rows), "ID      COUNT\nspring      7\n");
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
