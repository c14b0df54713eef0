//! What a data folder and a hot store must be like before a command uses them, and what a command says if they are not.
//! A hot store that is older than the cold tier is refused: a redemption that is archived could be made again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cold::ColdStore;
use compactor::{CompactError, StoreMismatch, check_pairing};
use coupon::minted::{CodeKey, KeyId};
use engine::Engine;
use hot::{Fact, Facts, HotError, HotStore};
use hot_sqlite::FILE_NAME;
use router::KeyRing;

use crate::cql::NotOpen;
use crate::failure::{CliError, Result};
use crate::files;
use crate::keys::Keys;
use crate::settings::{Hot, Settings};

/// The folder inside the data folder where `restore` prepares a backup.
pub(crate) const RESTORING: &str = "restoring";

/// The file that is in the data folder while `restore` works on its store.
pub(crate) const UNFINISHED: &str = "restore-unfinished";

/// How long the start waits for the cold tier: hot coupons do not need it.
const PAIRING_WAIT: Duration = Duration::from_secs(8);

/// How often `serve` checks whether its store has moved, and tries again to read a cold tier that did not answer at
/// the start.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(crate) fn must_be_there(settings: &Settings) -> Result<()> {
    must_not_be_half_restored(&settings.data.value)?;
    must_have_a_store(settings)
}

/// The same where a restore may have been interrupted.
pub(crate) fn must_have_a_store(settings: &Settings) -> Result<()> {
    let data = &settings.data.value;
    let (path, missing) = match settings.hot.value {
        Hot::Sqlite => (data.join(FILE_NAME), no_data(data)),
        Hot::Cql(_) => (data.join("keys"), no_keys(data)),
    };
    match path.try_exists().map_err(CliError::cannot("look for", &path))? {
        true => Ok(()),
        false => Err(missing),
    }
}

/// Refuses a folder in which a restore was interrupted: a command could make a new store in it, or
/// open the old one without its keys. Refuses a store that only another tool has put there, too: it may
/// be older than what its callers have seen.
pub(crate) fn must_not_be_half_restored(data: &Path) -> Result<()> {
    let why = if data.join(RESTORING).exists() {
        "a restore into it was interrupted: run `couponry restore DIR --replace` again"
    } else if data.join(UNFINISHED).exists() {
        "a restore into it was interrupted: run it again, or `couponry restore --adopt`"
    } else if data.join(FILE_NAME).exists() && !hot_sqlite::was_opened(data) {
        "another tool has put the store there: run `couponry restore --adopt`"
    } else {
        return Ok(());
    };
    Err(CliError::new(format!("{} cannot be used: {why}", data.display())))
}

/// Refuses a store that was copied to another one for good: a coupon could be spent in both.
pub(crate) async fn must_not_have_moved(store: &dyn Facts) -> Result<(), NotOpen> {
    store.fact(Fact::MovedTo).await?.map_or(Ok(()), |to| Err(moved_to(&to).into()))
}

/// Ends when the store is copied to another one while the service runs.
pub(crate) async fn moved_away(engine: Arc<Engine>) -> CliError {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Ok(Some(to)) = engine.hot().fact(Fact::MovedTo).await {
            return moved_to(&to);
        }
    }
}

fn moved_to(to: &str) -> CliError {
    CliError::new(format!("this store has moved to {to} and accepts no writes: use that one"))
        .and("only if that one was never used, `couponry copy --lift --from` opens this one again")
}

/// Refuses a store with a batch whose key is missing: its codes would be refused as forgeries.
pub(crate) async fn must_have_every_key(store: &dyn HotStore, keys: &Keys) -> Result<(), NotOpen> {
    match missing_keys(store, &keys.ring()).await?.first() {
        None => Ok(()),
        Some(id) => Err(NotOpen::Never(CliError::new(format!(
            "a batch was minted with code key {id}, which is not in {}: put code-{id}.key there, \
             from a backup or another machine",
            keys.folder.display()
        )))),
    }
}

/// The keys that batches name and that are not here.
pub(crate) async fn missing_keys(
    store: &dyn HotStore,
    keys: &KeyRing,
) -> Result<Vec<KeyId>, HotError> {
    let used = store.keys_in_use().await?;
    let here: Vec<KeyId> = keys.current().iter().map(CodeKey::id).collect();
    Ok(used.into_iter().filter(|id| !here.contains(id)).collect())
}

/// Refuses a hot store that is older than the cold tier. Only warns about a cold tier that does not
/// answer or is the older one.
pub(super) async fn must_fit(store: &dyn HotStore, cold: &ColdStore) -> Result<(), NotOpen> {
    let Ok(paired) = tokio::time::timeout(PAIRING_WAIT, check_pairing(store, cold)).await else {
        tracing::warn!(
            location = cold.location(),
            "the cold tier does not answer: archived coupons cannot be looked up"
        );
        return Ok(());
    };
    match paired {
        Ok(()) => Ok(()),
        Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
            Err(CliError::of(mismatch).into())
        }
        Err(CompactError::Hot(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                %error,
                "the cold tier cannot be used: archived coupons cannot be looked up"
            );
            Ok(())
        }
    }
}

/// Ends when the cold tier, which did not answer at the start, turns out to be newer than the hot store.
pub(crate) async fn found_older(engine: Arc<Engine>) -> CliError {
    loop {
        match check_pairing(engine.hot(), engine.cold()).await {
            Ok(()) => std::future::pending().await,
            Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
                return CliError::of(mismatch);
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

pub(crate) fn no_data(data: &Path) -> CliError {
    no_store(data)
        .and("name the folder of the store with --data; `couponry serve` makes a new store")
}

pub(crate) fn no_store(data: &Path) -> CliError {
    CliError::new(format!("there is no couponry data in {}", files::whole(data)))
}

pub(crate) fn no_keys(data: &Path) -> CliError {
    CliError::new(format!(
        "there are no keys in {}: copy the folder `keys` from another machine; on a new cluster \
         `couponry serve` makes them",
        data.join("keys").display()
    ))
}
