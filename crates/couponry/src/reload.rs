//! Keys that are added or retired while the service runs are known to it within a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::token::Tokens;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::CliError;
use crate::keys::Keys;
use crate::open;

/// Time between two looks at the folder: an operator who adds a key and tries a token at once waits
/// no longer.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells one state of the folder from another: name, length and time of change of each file.
type Print = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Looks at the folder twice a second, and at SIGHUP reads it in any case, until it is dropped. A
/// folder that cannot be read, has no key for tokens, or lacks a code key that was there, leaves the
/// keys as they are: an operator's slip makes no code unknown.
pub(crate) async fn watch(mut keys: Keys, tokens: Arc<Tokens>) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut seen = print(keys.folder());
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            () = hung_up(&mut hangup) => true,
        };
        let now = print(keys.folder());
        if now == seen && !asked {
            continue;
        }
        // Whatever comes of it, it is told once for each state of the folder.
        seen = now;
        match read_again(&mut keys, &tokens) {
            Ok(()) => tracing::info!(keys = keys.all.len(), "the keys were read again"),
            Err(cli_error) => tracing::error!(error = %cli_error, "the keys stay as they were"),
        }
    }
}

fn read_again(keys: &mut Keys, tokens: &Tokens) -> Result<(), CliError> {
    let found = keys.found()?;
    if let Some(gone) = keys.code_key_without(&found) {
        let folder = keys.folder().display();
        let sentence = format!("code key {gone} is gone from {folder}: its codes would be unknown");
        return Err(CliError::new(sentence).and("put the file back, from a backup if need be"));
    }
    // Before anything is replaced: without a key for tokens nobody could sign in.
    let local = open::local_keys(&found)?;
    tokens.replace_local(local);
    keys.replace(found);
    Ok(())
}

async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn print(folder: &Path) -> Print {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let about = |entry: std::fs::DirEntry| {
        let about = entry.metadata().ok()?;
        Some((entry.path(), about.len(), about.modified().ok()))
    };
    let mut print: Print = entries.filter_map(about).collect();
    print.sort();
    print
}
