//! Reloads the keys while the service runs: it sees an added or retired key within a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::token::TokenService;
use console::Console;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::console::signing_keys;
use crate::failure::{CliError, Result};
use crate::keys::Keys;
use crate::open;

/// How often the folder is checked. An operator who adds a key and at once tries a token waits no longer than this.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A fingerprint of the folder: name, length and modification time of each file.
type Print = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Reloads the keys when the folder changes, and at every SIGHUP, until it is dropped. Keeps the
/// keys as they are if the folder cannot be read, has no token key, or has lost a code key: a slip
/// of an operator must not make codes unknown.
pub(crate) async fn watch(
    mut keys: Keys,
    tokens: Arc<TokenService>,
    console: Option<Arc<Console>>,
) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut seen = print(&keys.folder);
    loop {
        let hung_up = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            () = next_signal(&mut hangup) => true,
        };
        let now = print(&keys.folder);
        if now == seen && !hung_up {
            continue;
        }
        // Log the result once for each state of the folder.
        seen = now;
        match read_again(&mut keys, &tokens) {
            Ok(()) => {
                if let Some(console) = &console {
                    console.replace_keys(signing_keys(&keys));
                }
                tracing::info!(keys = keys.all.len(), "the keys were read again");
            }
            Err(error) => {
                tracing::error!(%error, "cannot reload the keys: the old ones stay in use")
            }
        }
    }
}

fn read_again(keys: &mut Keys, tokens: &TokenService) -> Result<()> {
    let found = keys.found()?;
    if let Some(gone) = keys.code_key_without(&found) {
        let folder = keys.folder.display();
        let sentence = format!("code key {gone} is gone from {folder}: its codes would be unknown");
        return Err(CliError::new(sentence).and("put the file back, if need be from a backup"));
    }
    // Check before replacing anything: without a token key nobody could sign in.
    let local = open::local_keys(&found)?;
    tokens.replace_local(local);
    keys.replace(found);
    Ok(())
}

async fn next_signal(signal: &mut Option<Signal>) {
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
