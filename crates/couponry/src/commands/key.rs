//! `couponry key`: lists, adds and retires the keys that mint codes and sign tokens.

use clap::Subcommand;
use coupon::calendar::format_instant;
use engine::{AuditEvent, AuditKind, given};

use crate::failure::{Ended, Result};
use crate::keys::{Key, Keys, Kind};
use crate::open;
use crate::output::{self, Left};
use crate::settings::{Hot, Settings};

const KNOWN: &str = "a running `serve` sees a change within a second";

/// On a cluster: a machine without a new key refuses codes that others mint with it.
const COPY_TO_ALL: &str = "copy the folder `keys` to all machines before the next batch is minted; \
                           a running `serve` sees a new key within a second";

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys
    ///
    /// Prints one line for each key: its kind, its id, when it was made, and its state. The newest
    /// key of a kind mints or signs; the others in use still open their codes or verify their
    /// tokens. A retired code key still opens its codes; a retired token key verifies nothing.
    #[command(after_help = help_ending!("0 listed, 1 failed, 2 usage error",
        "couponry key list --data /var/lib/couponry"))]
    List,
    /// Make a key, which becomes the newest of its kind
    ///
    /// Prints it as `key list` does. Back up the folder `keys` afterwards: without the key that
    /// minted them, codes are lost.
    #[command(after_help = "\
Exit codes: 0 made, 1 failed, 2 usage error.

Example, to change the key that signs tokens:
  couponry key add --kind token
  couponry key retire 1a2b3c4d       # when the tokens it signed have expired")]
    Add {
        /// Kind of the key
        #[arg(long)]
        kind: Kind,
    },
    /// Retire a key
    ///
    /// Every token that a retired token key signed is refused. A retired code key mints nothing,
    /// but its codes stay valid. The last key in use of a kind cannot be retired.
    #[command(after_help = help_ending!("0 retired, 1 failed, 2 no such key, or the last one in use",
        "couponry key retire 1a2b3c4d"))]
    Retire {
        /// Id of the key, as `key list` prints it
        id: String,
    },
}

pub(crate) async fn run(settings: &Settings, command: &KeyCommand) -> Result<Ended> {
    let (keys, shown) = match command {
        KeyCommand::List => {
            let keys = open::keys(settings)?;
            let all = keys.all.clone();
            (keys, all)
        }
        KeyCommand::Add { kind } => {
            let mut keys = match settings.hot.value {
                Hot::Sqlite => Keys::load_or_make(&settings.data.value)?,
                // Only the store knows whether another machine has made them.
                Hot::Cql(_) => open::keys(settings)?,
            };
            let key = keys.add(*kind)?;
            open::record(settings, &keys, audit_event(AuditKind::KeyAdded, &key)).await;
            (keys, vec![key])
        }
        KeyCommand::Retire { id } => {
            let mut keys = open::keys(settings)?;
            let key = keys.retire(id)?;
            open::record(settings, &keys, audit_event(AuditKind::KeyRetired, &key)).await;
            (keys, vec![key])
        }
    };
    output::say(&listed(&keys, &shown))?;
    let next = match settings.hot.value {
        Hot::Sqlite => KNOWN,
        Hot::Cql(_) => COPY_TO_ALL,
    };
    output::done(&format!("\n{next}"))
}

fn audit_event(kind: AuditKind, key: &Key) -> AuditEvent {
    let changes = vec![given("kind", key.kind.as_str()), given("id", &key.id)];
    AuditEvent::of_store(kind, changes)
}

fn listed(keys: &Keys, shown: &[Key]) -> String {
    let row = |key: &Key| {
        let made = format_instant(key.made_at);
        [key.kind.as_str().to_owned(), key.id.clone(), made, state(keys, key)]
    };
    let heads = ["KIND", "ID", "MADE", "STATE"].map(|head| (head, Left));
    output::table(heads, shown.iter().map(row))
}

fn state(keys: &Keys, key: &Key) -> String {
    match key.retired_at {
        Some(at) => format!("retired {}", format_instant(at)),
        None if keys.newest(key.kind).is_some_and(|newest| newest.id == key.id) => "newest".into(),
        None => "in use".into(),
    }
}
