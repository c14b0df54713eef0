//! From settings to the parts that do the work.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::jwks::Jwks;
use api::token::{ExternalIssuer, LocalKey, LocalKeys, PublicKey, Tokens};
use cold::{ColdStore, Patience};
use compactor::{CompactError, StoreMismatch, check_pairing};
use coupon::minted::{CodeKey, KeyId};
use engine::{Caller, ColdArchive, Engine, Role, SystemClock};
use hot::{Fact, Facts, HotError, HotStore};
use hot_sqlite::{FILE_NAME, Options, SqliteHot};
use router::{KeyRing, Router};

use crate::cluster::{self, ConnectedCluster, NotOpen, Waiting};
use crate::failure::CliError;
use crate::keys::Keys;
use crate::settings::{Cold, Hot, Settings};

/// The folder inside DATA in which `restore` has what it has not put in its place yet.
pub(crate) const RESTORING: &str = "restoring";

/// What a command opens a store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To write to it. Where there is none, one is made, with its first keys.
    Make,
    /// To write to it. Where there is none, the command says so: a mistyped folder is not to be
    /// made.
    Write,
    /// To read it, also where it has moved to another place.
    Read,
}

/// The commands act as an admin of this name.
pub(crate) fn caller() -> Caller {
    let subject = "cli".parse().expect("a word makes a name");
    Caller { role: Role::Admin, subject }
}

/// What a process works with.
pub(crate) struct Opened {
    /// Everything that is done with coupons.
    pub(crate) engine: Arc<Engine>,
    /// The keys of the data folder.
    pub(crate) keys: Keys,
    /// The hot store, where it is a cluster.
    pub(crate) cluster: Option<ConnectedCluster>,
}

impl Opened {
    /// To be called at the end, whatever that is: what is only in memory is written down.
    pub(crate) async fn close(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.flush().await;
        }
    }
}

/// Does a command's work with an engine, beside a running `serve` or without one. A cluster that is
/// not there is waited for.
///
/// # Errors
/// Those of the work; no data in the folder, where none is to be made; what [`opened`] says.
pub(crate) async fn with<T>(
    settings: &Settings,
    purpose: Purpose,
    work: impl AsyncFnOnce(&Arc<Engine>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let opened = match &settings.hot.value {
        Hot::Sqlite => {
            opened(settings, purpose, Patience::Work).await.map_err(NotOpen::cli_error)?
        }
        Hot::Cluster(target) => {
            let attempt = async || opened(settings, purpose, Patience::Work).await;
            cluster::patiently(target, Waiting::Command, attempt).await?
        }
    };
    let done = work(&opened.engine).await;
    opened.close().await;
    done
}

/// The engine over the stores and keys that the settings name. Other processes may work with the
/// same.
///
/// # Errors
/// A folder that cannot be used; a batch whose key is missing; a cluster that is away or not made
/// ready.
pub(crate) async fn opened(
    settings: &Settings,
    purpose: Purpose,
    patience: Patience,
) -> Result<Opened, NotOpen> {
    let data = &settings.data.value;
    must_not_be_half_restored(data)?;
    let cold = cold(settings, patience)?;
    let (keys, store, cluster): (Keys, Arc<dyn HotStore>, _) = match &settings.hot.value {
        Hot::Sqlite => {
            let keys = match purpose {
                Purpose::Make => Keys::load_or_make(data)?,
                Purpose::Write | Purpose::Read => {
                    must_be_there(settings)?;
                    Keys::load(data)?
                }
            };
            let store = sqlite(settings, &keys, &cold)?;
            (keys, Arc::new(store), None)
        }
        Hot::Cluster(target) => {
            let keys = cluster::keys(settings, target, purpose).await?;
            let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
            let cluster = cluster::connect(settings, target, keys.ring(), archive).await?;
            (keys, Arc::clone(&cluster.store) as Arc<dyn HotStore>, Some(cluster))
        }
    };
    if purpose != Purpose::Read {
        must_not_have_moved(store.as_ref()).await?;
    }
    belong_together(store.as_ref(), &cold).await?;
    if let Some(id) = missing_keys(store.as_ref(), &keys.ring()).await?.first() {
        return Err(no_key(settings, *id).into());
    }
    Ok(Opened { engine: Arc::new(engine_over(store, cold, &keys)), keys, cluster })
}

/// Refuses a data folder in which there is nothing to work with.
pub(crate) fn must_be_there(settings: &Settings) -> Result<(), CliError> {
    let data = &settings.data.value;
    must_not_be_half_restored(data)?;
    let (path, cli_error) = match settings.hot.value {
        Hot::Sqlite => (data.join(FILE_NAME), no_data(data)),
        Hot::Cluster(_) => (data.join("keys"), no_keys(data)),
    };
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(cli_error),
        Err(error) => Err(CliError::because(format!("cannot look for {}", path.display()))(error)),
    }
}

/// Refuses a store that was copied to another one for good: a coupon could be spent in both.
pub(crate) async fn must_not_have_moved(store: &dyn Facts) -> Result<(), NotOpen> {
    match store.fact(Fact::MovedTo).await? {
        None => Ok(()),
        Some(to) => Err(moved_to(&to).into()),
    }
}

fn moved_to(to: &str) -> CliError {
    CliError::new(format!(
        "this store has moved to {to}: nothing writes here any more, use that one"
    ))
    .and("only if that one was never used: `couponry copy --lift --from` with this store")
}

/// Time between two looks of `serve` at whether its store has moved.
const MOVED_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Ends when the store was copied to another one while the service ran.
pub(crate) async fn moved_away(engine: Arc<Engine>) -> CliError {
    loop {
        tokio::time::sleep(MOVED_LOOK_EVERY).await;
        if let Ok(Some(to)) = engine.hot().fact(Fact::MovedTo).await {
            return moved_to(&to);
        }
    }
}

/// Refuses a folder that a restore was stopped in: a new store would be made in it, or an old one
/// opened without its keys.
pub(crate) fn must_not_be_half_restored(data: &Path) -> Result<(), CliError> {
    match data.join(RESTORING).exists() {
        false => Ok(()),
        true => Err(CliError::new(format!(
            "a restore into {} has not come to its end: run `couponry restore DIR --replace` again",
            data.display()
        ))),
    }
}

/// What is said of a folder in which there is nothing.
pub(crate) fn no_data(data: &Path) -> CliError {
    let folder = data.display();
    CliError::new(format!("there is no couponry data in {folder}; `couponry serve` makes it"))
}

/// The keys of the data folder, for a command that opens no store. On a cluster they are not made
/// here: nobody knows yet whether another node has made them.
pub(crate) fn keys(settings: &Settings) -> Result<Keys, CliError> {
    let data = &settings.data.value;
    match settings.hot.value {
        Hot::Sqlite => Keys::load_or_make(data),
        Hot::Cluster(_) => {
            must_be_there(settings)?;
            Keys::load(data)
        }
    }
}

/// What is said of a data folder without the keys of its cluster.
pub(crate) fn no_keys(data: &Path) -> CliError {
    CliError::new(format!(
        "there are no keys in {}: copy the folder `keys` from a node that runs; on a new cluster \
         `couponry serve` makes them",
        data.join("keys").display()
    ))
}

/// What is said of a batch whose codes would be refused as forgeries.
fn no_key(settings: &Settings, id: KeyId) -> CliError {
    let folder = settings.data.value.join("keys");
    let from = match settings.hot.value {
        Hot::Sqlite => format!("put code-{id}.key back from a backup"),
        Hot::Cluster(_) => "copy the folder `keys` from a node that runs".to_owned(),
    };
    let folder = folder.display();
    CliError::new(format!(
        "a batch was minted with code key {id}, which is not in {folder}: {from}"
    ))
}

/// The engine over a store that is open already.
pub(crate) fn engine_over(store: Arc<dyn HotStore>, cold: Arc<ColdStore>, keys: &Keys) -> Engine {
    Engine::new(store, cold, Router::new(keys.ring()), Arc::new(SystemClock))
}

/// The cold tier. It is not looked at before something is asked of it: while it is away, what is
/// hot goes on.
///
/// # Errors
/// Wrong call: `AWS_*` variables that a bucket cannot be reached with.
pub(crate) fn cold(settings: &Settings, patience: Patience) -> Result<Arc<ColdStore>, CliError> {
    let options = cold::Options { patience, ..cold::Options::default() };
    let store = match &settings.cold.value {
        Cold::Folder(folder) => ColdStore::on_folder(folder, options),
        Cold::Bucket(address) => ColdStore::on_bucket(address, options).map_err(|error| {
            CliError::wrong_call(format!("cold is wrong ({}): {error}", settings.cold.origin))
        })?,
    };
    Ok(Arc::new(store))
}

/// How long a cold tier is waited for at the start: what is hot does not need it.
const PAIRING_WAIT: Duration = Duration::from_secs(8);

/// Time between two looks at a cold tier that was away when `serve` began.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Ends when it is known that the hot store is older than the cold tier, which was away at the
/// start: an archived redemption could be spent again.
pub(crate) async fn found_older(engine: Arc<Engine>) -> CliError {
    loop {
        match check_pairing(engine.hot(), engine.cold()).await {
            Ok(()) => std::future::pending().await,
            Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
                return CliError::new(mismatch.to_string());
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Refuses a hot store that is older than the cold tier; of a cold tier that is away or older it
/// only says so.
async fn belong_together(store: &dyn HotStore, cold: &ColdStore) -> Result<(), NotOpen> {
    let Ok(paired) = tokio::time::timeout(PAIRING_WAIT, check_pairing(store, cold)).await else {
        tracing::warn!(
            location = cold.location(),
            "the cold tier does not answer: what was archived cannot be looked up"
        );
        return Ok(());
    };
    match paired {
        Ok(()) => Ok(()),
        Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
            Err(CliError::new(mismatch.to_string()).into())
        }
        Err(CompactError::Hot(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                error = %error,
                "the cold tier is not as it should be: what was archived cannot be looked up"
            );
            Ok(())
        }
    }
}

/// The hot store in the data folder.
pub(crate) fn sqlite(
    settings: &Settings,
    keys: &Keys,
    cold: &Arc<ColdStore>,
) -> Result<SqliteHot, CliError> {
    let options =
        Options { free_min_bytes: settings.free_min_mib.value << 20, ..Options::default() };
    let archive = Arc::new(ColdArchive(Arc::clone(cold)));
    let store = SqliteHot::open(&settings.data.value, keys.ring(), archive, options);
    store.map_err(|error| CliError::new(error.to_string()))
}

/// Keys that some batch names and that are not there: without its key a batch's codes are
/// unknown, and would be refused as forgeries.
pub(crate) async fn missing_keys(
    store: &dyn HotStore,
    keys: &KeyRing,
) -> Result<Vec<KeyId>, HotError> {
    let used = store.keys_in_use().await?;
    let here: Vec<KeyId> = keys.current().iter().map(CodeKey::id).collect();
    Ok(used.into_iter().filter(|id| !here.contains(id)).collect())
}

/// Who may sign tokens: the keys here, and the identity provider that the settings name.
pub(crate) fn tokens(settings: &Settings, keys: &Keys) -> Result<Tokens, CliError> {
    let bad = |error: api::token::BadKey| CliError::new(error.to_string());
    Tokens::new(local_keys(keys)?, external(settings)?).map_err(bad)
}

/// The keys here that sign tokens.
pub(crate) fn local_keys(keys: &Keys) -> Result<LocalKeys, CliError> {
    let bad = |error: api::token::BadKey| CliError::new(error.to_string());
    let local = keys.token_keys().map(|key| match key.retired_at {
        None => LocalKey::active(&key.id, key.secret(), key.made_at.0),
        Some(_) => LocalKey::retired(&key.id),
    });
    let local = local.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    LocalKeys::new(local).map_err(bad)
}

fn external(settings: &Settings) -> Result<Option<ExternalIssuer>, CliError> {
    let wrong = |error: api::token::BadKey| CliError::wrong_call(error.to_string());
    let (issuer, audience) = (&settings.identity_issuer.value, &settings.identity_audience.value);
    let (issuer, audience) = match (issuer, audience) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(audience)) => (issuer, audience),
        _ => {
            let sentence = "identity_issuer and identity_audience go together";
            return Err(CliError::wrong_call(sentence));
        }
    };
    let key = (&settings.identity_key.value, &settings.identity_algorithm.value);
    match (key, &settings.identity_jwks.value) {
        ((None, None), Some(address)) => {
            let jwks =
                Jwks::new(address).map_err(|error| CliError::wrong_call(error.to_string()))?;
            ExternalIssuer::with_jwks(issuer, audience, jwks).map(Some).map_err(wrong)
        }
        ((Some(path), Some(algorithm)), None) => {
            let algorithm = algorithm.parse().map_err(wrong)?;
            let cannot = format!("cannot read {}", path.display());
            let pem = std::fs::read(path).map_err(CliError::because(cannot))?;
            let key = PublicKey::from_pem(algorithm, &pem).map_err(wrong)?;
            ExternalIssuer::with_key(issuer, audience, key).map(Some).map_err(wrong)
        }
        _ => Err(CliError::wrong_call(
            "identity_issuer needs identity_jwks, or identity_key and identity_algorithm",
        )),
    }
}
