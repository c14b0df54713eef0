//! Says from when a backup is and what a restore of it loses, and asks whether that is wanted.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cold::Patience;
use coupon::calendar::format_instant;
use coupon::time::Millis;
use engine::{Clock, SystemClock};
use hot_sqlite::{FILE_NAME, is_current};

use super::RestoreArgs;
use crate::commands::backup::{Contents, Label};
use crate::failure::CliError;
use crate::keys::Keys;
use crate::open::{self, RESTORING};
use crate::output;
use crate::settings::Settings;

/// What every restore does, whatever the stores have.
const LOST: &str = "lost is what happened after the backup and was not archived; people who were \
                    removed after it may sign in again, and old passwords are good again \
                    (docs/operations.md, What a restore loses)";

/// Asks; returns only if the restore is wanted.
///
/// # Errors
/// Usage: nobody is there to answer, and --yes is not given. A backup whose label cannot be read.
pub(super) async fn must_be_wanted(
    settings: &Settings,
    from: &Path,
    args: &RestoreArgs,
) -> Result<(), CliError> {
    let data = settings.data.value.display();
    output::note(&of_backup(from, Label::read(from)?.as_ref(), SystemClock.now()));
    match present(settings).await {
        None => output::note(&format!("there is no store in {data}")),
        Some(Ok(contents)) => output::note(&format!("the store in {data} now; {contents}")),
        Some(Err(why)) => output::note(&format!("cannot compare the store in {data}: {why}")),
    }
    output::note(LOST);
    if args.yes {
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

fn of_backup(from: &Path, label: Option<&Label>, now: Millis) -> String {
    let from_display = from.display();
    let Some(label) = label else {
        return format!(
            "the backup in {from_display} does not say when it was made, since an earlier release \
             made it; its file was written {}",
            written_at(from).map_or("at an unknown time".to_owned(), format_instant)
        );
    };
    let made = match label.made_at() {
        Some(at) => {
            format!("{} ({} hours ago)", format_instant(at), (now.0 - at.0) / 3_600_000)
        }
        None => "an unknown time".to_owned(),
    };
    format!("the backup in {from_display} was made at {made}; {}", label.contents)
}

/// When the store in a backup was written; a copy may have a later time.
fn written_at(from: &Path) -> Option<Millis> {
    let modified = from.join(FILE_NAME).metadata().and_then(|about| about.modified()).ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Millis)
}

/// What the store in the data folder has, if there is one.
async fn present(settings: &Settings) -> Option<Result<Contents, CliError>> {
    let data = &settings.data.value;
    if data.join(RESTORING).exists() {
        return Some(Err(CliError::new("a restore into it was interrupted")));
    }
    if !data.join(FILE_NAME).exists() {
        return None;
    }
    let contents = async {
        // To open an older one would upgrade it.
        if !is_current(data).map_err(CliError::of)? {
            return Err(CliError::new("it is of an earlier release"));
        }
        let keys = Keys::load_if_any(data)?;
        let cold = open::cold(settings, Patience::Caller)?;
        let store = Arc::new(open::sqlite(settings, &keys, &cold)?);
        Contents::of(&open::engine_over(store, cold, &keys)).await
    };
    Some(contents.await)
}
