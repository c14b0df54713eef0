//! Checks of the keys: that there are some, that only their owner can read them, and that tokens
//! can be signed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Report, Verdict};
use crate::failure::CliError;
use crate::keys::{Keys, Kind};
use crate::open;
use crate::settings::Settings;

/// Checks the keys; returns them if they can be read.
pub(super) fn report(settings: &Settings, report: &mut Report) -> Result<Option<Keys>, CliError> {
    let keys = match Keys::load(&settings.data.value) {
        Ok(keys) => keys,
        Err(error) => {
            report.add("keys", Verdict::Fail(error.to_string()))?;
            return Ok(None);
        }
    };
    report.add("keys", present(&keys))?;
    report.add("key files", modes(&keys))?;
    report.add("tokens", tokens(settings, &keys))?;
    Ok(Some(keys))
}

fn present(keys: &Keys) -> Verdict {
    let newest = (keys.newest(Kind::Code), keys.newest(Kind::Token));
    let (Some(code), Some(token)) = newest else {
        let text = "a kind has no key in use: put the folder `keys` back from a backup";
        return Verdict::Fail(text.into());
    };
    Verdict::Ok(format!(
        "{} in {}; {} mints codes, {} signs tokens",
        keys.all.len(),
        code.path.parent().unwrap_or(Path::new("")).display(),
        code.id,
        token.id
    ))
}

fn modes(keys: &Keys) -> Verdict {
    let open = keys.all.iter().find_map(|key| {
        let mode = key.path.metadata().ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| (key.path.display(), mode))
    });
    match open {
        None => Verdict::Ok("only their owner can read them".into()),
        Some((path, mode)) => Verdict::Fail(format!(
            "{path} has mode {mode:03o}, so others can make codes or tokens: chmod 600 it"
        )),
    }
}

fn tokens(settings: &Settings, keys: &Keys) -> Verdict {
    let tested =
        open::tokens(settings, keys).and_then(|tokens| tokens.self_test().map_err(CliError::of));
    match (tested, &settings.identity_issuer.value) {
        (Err(error), _) => Verdict::Fail(error.to_string()),
        (Ok(()), None) => Verdict::Ok("signed and verified here".into()),
        (Ok(()), Some(issuer)) => {
            Verdict::Ok(format!("signed and verified here, and accepted from {issuer}"))
        }
    }
}
