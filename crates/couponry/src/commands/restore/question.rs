//! Says from when a backup is and what a restore of it loses, and asks whether that is wanted.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use cold::BucketPatience;
use coupon::calendar::format_instant;
use hot_sqlite::backup::{engine_faults, newest_event};
use hot_sqlite::{FILE_NAME, is_current};

use crate::commands::backup::Label;
use crate::failure::{CliError, Result};
use crate::keys::Keys;
use crate::open::{self, RESTORING};
use crate::output::note;
use crate::settings::Settings;

const LOST: &str = "it loses what happened after that copy and was not archived; people who were \
                    removed after it may sign in again, and old passwords are good again \
                    (docs/operations.md, What a restore loses)";

/// Asks, unless somebody `has_decided`; returns only if the restore is wanted.
///
/// # Errors
/// Usage: nobody is there to answer. A backup whose label cannot be read.
pub(super) async fn must_be_wanted(
    settings: &Settings,
    from: &Path,
    has_decided: bool,
) -> Result<()> {
    let backup = match Label::read(from)? {
        Some(label) => label.to_string(),
        None => "an earlier release made it: only the time of its files says when".to_owned(),
    };
    note(&format!("the backup in {}, {backup}", from.display()));
    let present = match present(settings).await {
        Ok(Some(label)) => label.to_string(),
        Ok(None) => "which has none yet".to_owned(),
        Err(why) => format!("cannot be compared: {why}"),
    };
    note(&format!("the store in {}, {present}", settings.data.value.display()));
    must_be_answered(has_decided)
}

/// The same for the store in the data folder, which another tool has put there.
pub(super) async fn must_be_adopted(settings: &Settings, has_decided: bool) -> Result<()> {
    let data = &settings.data.value;
    let (has, newest) = match present(settings).await {
        Ok(Some(label)) => {
            (label.counts(), newest_event(&data.join(FILE_NAME)).map_err(CliError::of)?)
        }
        Ok(None) => return Err(open::no_data(data)),
        Err(why) => (format!("cannot be counted: {why}"), None),
    };
    let newest = newest.map_or_else(|| "unknown".to_owned(), format_instant);
    note(&format!("the copy in {}: {has}; its newest event: {newest}", data.display()));
    must_be_answered(has_decided)?;
    // A tool that copies pages can leave an index that lacks rows.
    note("SQLite checks the copy, and reads all of it");
    match engine_faults(&data.join(FILE_NAME)).map_err(CliError::of)?.first() {
        None => Ok(()),
        Some(fault) => {
            Err(CliError::new(format!("the copy in {} is damaged: {fault}", data.display()))
                .and("nothing was changed: put another copy there, or restore a backup"))
        }
    }
}

fn must_be_answered(has_decided: bool) -> Result<()> {
    note(LOST);
    if has_decided {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage("add --yes to restore it: nobody is here to ask"));
    }
    let mut answer = String::new();
    let asked = write!(std::io::stderr(), "Restore it? [y/N] ");
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    read.map_err(CliError::because("cannot ask"))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::new("nothing was restored")),
    }
}

async fn present(settings: &Settings) -> Result<Option<Label>> {
    let data = &settings.data.value;
    if data.join(RESTORING).exists() {
        return Err(CliError::new("a restore into it was interrupted"));
    }
    if !data.join(FILE_NAME).exists() {
        return Ok(None);
    }
    // To open an older one would upgrade it.
    if !is_current(data).map_err(CliError::of)? {
        return Err(CliError::new("it is of an earlier release"));
    }
    let (keys, cold) = (Keys::load_if_any(data)?, open::cold(settings, BucketPatience::Caller)?);
    let store = Arc::new(open::sqlite(settings, &keys, &cold)?);
    Label::of(settings, &open::engine_over(store, cold, &keys).await?).await.map(Some)
}
