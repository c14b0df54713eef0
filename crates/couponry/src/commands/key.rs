//! `couponry key`: the keys that mint codes and sign tokens.

use clap::{Args, Subcommand};
use coupon::calendar::format_instant;

use crate::failure::{CliError, Ended};
use crate::keys::{Key, Keys, Kind};
use crate::open;
use crate::output::{self, Side};
use crate::settings::{Hot, Settings};

/// Said wherever keys change.
const KNOWN: &str = "a running `serve` knows it within a second";

/// The same where several processes work on one cluster: who does not have a new key refuses what
/// is minted with it.
const COPY_TO_ALL: &str = "copy the folder `keys` to all nodes before the next batch is minted; a \
                           running `serve` knows a new key within a second";

/// List, add and retire keys
///
/// Code keys mint codes, token keys sign tokens; they lie in DATA/keys. The newest of a kind is
/// the one that mints or signs.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the keys
    ///
    /// Prints one line for each: what it is for, its id, when it was made, and its state. The
    /// newest of a kind mints or signs; others in use still open their codes or verify their
    /// tokens; a retired code key still opens its codes, a retired token key verifies nothing.
    #[command(after_help = "\
Exit codes: 0 listed, 1 failed, 2 wrong call.

Example:
  couponry key list --data /var/lib/couponry")]
    List,
    /// Make a key; it is the newest of its kind from then on
    ///
    /// Prints it as `key list` does. Back up DATA/keys afterwards: codes minted with a lost key
    /// are lost with it.
    #[command(after_help = "\
Exit codes: 0 made, 1 failed, 2 wrong call.

Example, to change the key that signs tokens:
  couponry key add --kind token
  couponry key retire 1a2b3c4d       # when the tokens it signed have run out")]
    Add {
        /// What it is for
        #[arg(long)]
        kind: Kind,
    },
    /// Retire a key
    ///
    /// A retired token key verifies nothing any more, so every token that it signed is refused;
    /// a retired code key mints nothing, but its codes stay good. The last of a kind cannot be
    /// retired.
    #[command(after_help = "\
Exit codes: 0 retired, 1 failed, 2 no such key, or the only one in use.

Example:
  couponry key retire 1a2b3c4d")]
    Retire {
        /// Its id, as `key list` prints it
        id: String,
    },
}

pub(crate) fn run(settings: &Settings, ask: &KeyArgs) -> Result<Ended, CliError> {
    let data = &settings.data.value;
    let there = || match data.join("keys").is_dir() {
        true => Keys::load(data),
        false => Err(match settings.hot.value {
            Hot::Sqlite => open::no_data(data),
            Hot::Cluster(_) => open::no_keys(data),
        }),
    };
    let (keys, shown) = match &ask.what {
        What::List => {
            let keys = there()?;
            let all = keys.all.clone();
            (keys, all)
        }
        What::Add { kind } => {
            let mut keys = open::keys(settings)?;
            let key = keys.add(*kind)?;
            (keys, vec![key])
        }
        What::Retire { id } => {
            let mut keys = there()?;
            let key = keys.retire(id)?;
            (keys, vec![key])
        }
    };
    output::say(listed(&keys, &shown).trim_end())?;
    let next = match settings.hot.value {
        Hot::Sqlite => KNOWN,
        Hot::Cluster(_) => COPY_TO_ALL,
    };
    output::say(&format!("\n{next}"))?;
    Ok(Ended::Done)
}

fn listed(keys: &Keys, shown: &[Key]) -> String {
    let mut rows = vec![["KIND", "ID", "MADE", "STATE"].map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|key| {
        let made = format_instant(key.made_at);
        vec![key.kind.as_str().to_owned(), key.id.clone(), made, state(keys, key)]
    }));
    output::table(&[Side::Left; 4], &rows)
}

fn state(keys: &Keys, key: &Key) -> String {
    match key.retired_at {
        Some(at) => format!("retired {}", format_instant(at)),
        None if keys.newest(key.kind).is_some_and(|newest| newest.id == key.id) => "newest".into(),
        None => "in use".into(),
    }
}
