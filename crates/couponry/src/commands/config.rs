//! `couponry config`: the settings that a command would run with; `couponry help settings`: all that there are.

use crate::failure::{Ended, Result};
use crate::settings::{Settings, help};
use crate::{output, serve};

pub(crate) fn run(settings: &Settings) -> Result<Ended> {
    let lines = settings.lines().into_iter().map(|(name, value, origin)| {
        let value = if value.is_empty() { "(none)" } else { &value };
        format!("{name} = {value}  # {origin}")
    });
    output::say(&lines.collect::<Vec<_>>().join("\n"))?;
    serve::check(settings)?;
    Ok(Ended::Done)
}

pub(crate) fn topic() -> Result<Ended> {
    output::done(help::topic().trim_end())
}
