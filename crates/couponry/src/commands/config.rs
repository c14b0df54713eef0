//! `couponry config`: the settings that a command would run with; `couponry help settings`: all
//! that there are.

use crate::failure::{CliError, Ended};
use crate::settings::{Settings, help};
use crate::{output, serve};

pub(crate) fn run(settings: &Settings) -> Result<Ended, CliError> {
    let lines = settings.lines().into_iter().map(|(name, value, origin)| {
        let value = if value.is_empty() { "(none)" } else { &value };
        format!("{name} = {value}  # {origin}")
    });
    output::say(&lines.collect::<Vec<_>>().join("\n"))?;
    serve::check(settings)?;
    Ok(Ended::Done)
}

pub(crate) fn topic() -> Result<Ended, CliError> {
    output::done(help::topic().trim_end())
}
