//! The SQL of a call: from the command line, a file or standard input.

use std::io::{ErrorKind, Read};

use couponry::bootstrap::{CliError, is_terminal};

use super::args::QueryArgs;
use super::cli_error;
use crate::formats::OutputFormat;
use crate::query::History;

/// Longest SQL, in bytes. Nobody writes more.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// Reads no store: a text that is no SQL needs none.
pub(super) fn statements(ask: &QueryArgs) -> Result<Vec<String>, CliError> {
    let can_show = match (ask.format, &ask.output) {
        (OutputFormat::Parquet | OutputFormat::Arrow, None) => !is_terminal(),
        _ => true,
    };
    if !can_show {
        return Err(CliError::usage(
            "a terminal cannot show this format: name a file with --output",
        ));
    }
    let one = |sql: String| match History::statements(&sql).map_err(cli_error)?.len() {
        1 => Ok(vec![sql]),
        several => Err(CliError::usage(format!(
            "{several} statements, want one: put them into a file and name it with --file"
        ))),
    };
    match (&ask.sql, &ask.file) {
        (Some(sql), _) if sql == "-" => one(read("standard input", std::io::stdin())?),
        (Some(sql), _) => one(sql.clone()),
        (None, Some(path)) => {
            let name = path.display().to_string();
            let cannot = format!("cannot read {name}");
            let file = std::fs::File::open(path).map_err(CliError::because(cannot))?;
            History::statements(&read(&name, file)?).map_err(cli_error)
        }
        (None, None) => Err(CliError::usage(
            "there is no SQL: give a statement, - for standard input, or --file; --help says more",
        )),
    }
}

fn read(name: &str, from: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    let read = from.take(SQL_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > SQL_BYTES_MAX => {
            Err(CliError::usage(format!("{name} has more than {SQL_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(CliError::usage(format!("{name} is not UTF-8")))
        }
        Err(error) => Err(CliError::new(format!("cannot read {name}: {error}"))),
    }
}
