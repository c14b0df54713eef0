//! `couponry config`: the settings that a command would run with; `couponry help settings`: all
//! that there are.

use crate::failure::{CliError, Ended};
use crate::output;
use crate::settings::{Settings, help};

pub(crate) fn run(settings: &Settings) -> Result<Ended, CliError> {
    let lines = settings.lines().into_iter().map(|(name, value, origin)| {
        let value = if value.is_empty() { "(none)" } else { &value };
        format!("{name} = {value}  # {origin}")
    });
    output::done(&lines.collect::<Vec<_>>().join("\n"))
}

/// Prints what `couponry help settings` prints.
pub(crate) fn topic() -> Result<Ended, CliError> {
    output::done(help::topic().trim_end())
}
