//! Opens the stores that the settings name, with their keys.

mod checks;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use api::token::TokenService;
use cold::{BucketPatience, BucketTraffic, ColdStore};
use coupon::ids::Actor;
use cql_session::KeyspaceAddress;
use engine::{AuditEvent, Caller, Clock, ColdArchive, Engine, Role, SystemClock};
use hot::audit::{Act, AuditEntry};
use hot::{Batches, HotStore};
use hot_sqlite::{SqliteHot, SqliteOptions};
use router::{KeyRing, Router};
use webhooks::Webhooks;

use crate::cql::{self, NotOpen, OpenCql, Waiting};
use crate::failure::{CliError, Result};
use crate::keys::{Keys, Kind};
use crate::output;
use crate::settings::{Cold, Hot, Settings};

pub(crate) use checks::{
    RESTORING, UNFINISHED, found_older, missing_keys, moved_away, must_be_there, must_have_a_store,
    must_have_every_key, must_not_be_half_restored, must_not_have_moved, no_data, no_keys,
    no_store,
};
pub(crate) use tokens::{external, local_keys, tokens};

/// How many times as long the log of webhooks is on a cluster, which has room for it.
const LOG_TIMES_ON_A_CLUSTER: u64 = 10;

/// How often the keys that batches name are checked: a new key is made about once a year.
const KEYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To write to it. Makes the store and its first keys if there are none.
    Make,
    /// To write to it. Fails if there is no store, so that a mistyped folder is not made.
    Write,
    /// To read it, even if it has moved to another store.
    Read,
}

/// The admin in whose name the commands act.
pub(crate) fn caller() -> Caller {
    Caller::new(Role::Admin, "cli".parse().expect("a word makes a name"))
}

pub(crate) fn act() -> Act {
    Act { actor: Actor::new(&caller().to_string()), at: SystemClock.now(), reason: None }
}

/// Enters something that a command did in the audit, if there is a store. The command has done its work: where
/// the entry cannot be made, it only says so. Does not read the cold tier, which may be far away.
pub(crate) async fn record(settings: &Settings, keys: &Keys, event: AuditEvent) {
    if must_have_a_store(settings).is_err() {
        return;
    }
    let record = async {
        must_not_be_half_restored(&settings.data.value)?;
        let cold = cold(settings, BucketPatience::Caller)?;
        let (store, _) = store(settings, keys, &cold).await?;
        match store.audit() {
            Some(audit) => Ok(audit.record(AuditEntry { act: act(), event }).await?),
            None => Ok::<_, CliError>(()),
        }
    };
    if let Err(error) = record.await {
        output::note(&format!("the audit has no entry of this: {error}"));
    }
}

/// What a process works with: both tiers, and the keys.
pub struct Opened {
    pub(crate) engine: Arc<Engine>,
    pub(crate) keys: Keys,
    /// The hot store once more, if it is on a cluster, for what only a cluster has.
    pub(crate) cluster: Option<OpenCql>,
    pub(crate) settings: Settings,
}

impl Opened {
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// # Errors
    /// Usage: an incomplete description of an identity provider.
    pub fn tokens(&self) -> Result<TokenService> {
        tokens(&self.settings, &self.keys)
    }

    /// The webhooks of the store. `None` where events are not kept, and on one machine that is not to post.
    pub(crate) fn webhooks(&self) -> Result<Option<Arc<Webhooks>>> {
        let (settings, is_cluster) = (&self.settings, self.cluster.is_some());
        let may_post = settings.post_webhooks.value || is_cluster;
        if settings.events_keep.value.every.is_none() || !may_post {
            return Ok(None);
        }
        let allow_private = settings.webhook_allow_private.value;
        let log_keep = settings.deliveries_keep();
        let mut options =
            webhooks::Options { allow_private, log_keep, ..webhooks::Options::default() };
        if is_cluster {
            options.log_rows_max *= LOG_TIMES_ON_A_CLUSTER;
        }
        let opened = Webhooks::new(self.engine.tables(), options);
        opened.map(|webhooks| Some(Arc::new(webhooks))).map_err(CliError::of)
    }

    /// Writes what is only in memory. Call it at the end, however the work ended.
    pub async fn close(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.flush().await;
        }
    }
}

/// Does a command's `work` with the stores, with or without a running `serve`. Waits for a cluster
/// that does not answer.
pub(crate) async fn with<T>(
    settings: &Settings,
    purpose: Purpose,
    work: impl AsyncFnOnce(&Opened) -> Result<T>,
) -> Result<T> {
    let attempt = async || opened(settings, purpose, BucketPatience::Work).await;
    let opened = patiently(settings, Waiting::Command, attempt).await?;
    let done = work(&opened).await;
    opened.close().await;
    done
}

/// Repeats `attempt` while the store is on a cluster that does not answer.
pub(crate) async fn patiently<T>(
    settings: &Settings,
    waiting: Waiting,
    mut attempt: impl AsyncFnMut() -> Result<T, NotOpen>,
) -> Result<T> {
    match &settings.hot.value {
        Hot::Sqlite => Ok(attempt().await?),
        Hot::Cql(target) => cql::patiently(target, waiting, attempt).await,
    }
}

/// Opens the stores and keys that the settings name. Other processes may use the same ones.
///
/// # Errors
/// A folder that cannot be used, or has no data and none is to be made; a batch whose key is
/// missing; a cluster that does not answer or lacks its schema.
pub(crate) async fn opened(
    settings: &Settings,
    purpose: Purpose,
    patience: BucketPatience,
) -> Result<Opened, NotOpen> {
    let data = &settings.data.value;
    must_not_be_half_restored(data)?;
    let cold = cold(settings, patience)?;
    let keys = match (&settings.hot.value, purpose) {
        (Hot::Cql(target), _) => cluster_keys(settings, target, purpose).await?,
        (Hot::Sqlite, Purpose::Make) => Keys::load_or_make(data)?,
        (Hot::Sqlite, Purpose::Write | Purpose::Read) => {
            must_be_there(settings)?;
            Keys::load(data)?
        }
    };
    let (store, cluster) = store(settings, &keys, &cold).await?;
    if purpose != Purpose::Read {
        must_not_have_moved(store.as_ref()).await?;
    }
    checks::must_fit(store.as_ref(), &cold).await?;
    must_have_every_key(store.as_ref(), &keys).await?;
    let engine = Arc::new(engine_over(store, cold, &keys).await?);
    Ok(Opened { engine, keys, cluster, settings: settings.clone() })
}

/// Opens the hot store that the settings name; the second is the same one, if it is on a cluster.
pub(crate) async fn store(
    settings: &Settings,
    keys: &Keys,
    cold: &Arc<ColdStore>,
) -> Result<(Arc<dyn HotStore>, Option<OpenCql>), NotOpen> {
    match &settings.hot.value {
        Hot::Sqlite => Ok((Arc::new(sqlite(settings, keys, cold)?), None)),
        Hot::Cql(target) => {
            let archive = Arc::new(ColdArchive(Arc::clone(cold)));
            let cql = cql::connect(settings, target, keys.ring(), archive).await?;
            Ok((Arc::clone(&cql.store) as Arc<dyn HotStore>, Some(cql)))
        }
    }
}

/// The keys of the data folder, for a command that opens no store. Makes none: nobody would take
/// what keys of a mistyped folder sign.
pub(crate) fn keys(settings: &Settings) -> Result<Keys> {
    let data = &settings.data.value;
    must_not_be_half_restored(data)?;
    match (data.join("keys").is_dir(), &settings.hot.value) {
        (true, _) => Keys::load(data),
        (false, Hot::Sqlite) => Err(no_data(data)),
        (false, Hot::Cql(_)) => Err(no_keys(data)),
    }
}

/// The keys of this machine for a cluster. Makes them only for one on which nothing was minted yet: with
/// keys of its own, this machine would refuse the codes of the other machines, and they its codes.
async fn cluster_keys(
    settings: &Settings,
    target: &KeyspaceAddress,
    purpose: Purpose,
) -> Result<Keys, NotOpen> {
    let data = &settings.data.value;
    let keys = Keys::load_if_any(data)?;
    if keys.newest(Kind::Code).is_some() && keys.newest(Kind::Token).is_some() {
        return Ok(keys);
    }
    if purpose != Purpose::Make {
        return Err(no_keys(data).into());
    }
    let archive = Arc::new(hot::NoArchive);
    let cql = cql::connect(settings, target, keys.ring(), archive).await?;
    match cql.store.keys_in_use().await?.first() {
        Some(_) => Err(no_keys(data).into()),
        None => Ok(Keys::load_or_make(data)?),
    }
}

/// Logs each key that another machine mints with and this machine lacks, until it is dropped: this
/// machine refuses the codes of that key.
pub(crate) async fn watch_keys(engine: Arc<Engine>, keys: KeyRing) {
    let mut logged = Vec::new();
    loop {
        match missing_keys(engine.hot(), &keys).await {
            Ok(missing) if missing != logged => {
                for key in &missing {
                    tracing::error!(
                        %key,
                        "another machine mints with a code key that is not here, so this machine \
                         refuses its codes: give all machines the same folder `keys`"
                    );
                }
                logged = missing;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "cannot compare the keys"),
        }
        tokio::time::sleep(KEYS_LOOKED_AT_EVERY).await;
    }
}

pub(crate) async fn engine_over(
    store: Arc<dyn HotStore>,
    cold: Arc<ColdStore>,
    keys: &Keys,
) -> Result<Engine> {
    let engine = Engine::new(store, cold, Router::new(keys.ring()), Arc::new(SystemClock));
    engine.know_erasures().await?;
    Ok(engine)
}

/// The cold tier. Does not read it: hot coupons work while the cold tier does not answer.
///
/// # Errors
/// Usage: `AWS_*` variables with which a bucket cannot be reached.
pub(crate) fn cold(settings: &Settings, patience: BucketPatience) -> Result<Arc<ColdStore>> {
    cold_beside(settings, patience, Arc::default())
}

/// The same, whose requests are counted together with those of another one.
pub(crate) fn cold_beside(
    settings: &Settings,
    patience: BucketPatience,
    traffic: Arc<BucketTraffic>,
) -> Result<Arc<ColdStore>> {
    let options = cold::ColdOptions { patience, traffic, ..cold::ColdOptions::default() };
    let store = match &settings.cold.value {
        Cold::Folder(folder) => ColdStore::on_folder(folder, options),
        Cold::Bucket(address) => {
            ColdStore::on_bucket(address, options).map_err(|error| settings.cold.unusable(error))?
        }
    };
    Ok(Arc::new(store))
}

pub(crate) fn sqlite(settings: &Settings, keys: &Keys, cold: &Arc<ColdStore>) -> Result<SqliteHot> {
    let options = SqliteOptions {
        free_min_bytes: settings.free_min_mib.value << 20,
        store_max_bytes: Some(settings.store_max_mib.value << 20).filter(|bytes| *bytes > 0),
        events: settings.events_keep.value.every.is_some(),
        orders: settings.orders_keep.value.every.is_some(),
        joins_wal_writes: settings.join_wal_writes.value,
        ..SqliteOptions::default()
    };
    let archive = Arc::new(ColdArchive(Arc::clone(cold)));
    let store = SqliteHot::open(&settings.data.value, keys.ring(), archive, options);
    store.map_err(CliError::of)
}
