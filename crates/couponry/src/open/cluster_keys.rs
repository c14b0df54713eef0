//! The keys of this machine for a cluster. All machines need the same keys: to a machine without a code key, the codes
//! of that key are unknown.

use std::sync::Arc;
use std::time::Duration;

use cql_session::KeyspaceAddress;
use engine::Engine;
use hot::Batches;
use router::KeyRing;

use super::Purpose;
use super::checks::{missing_keys, no_keys};
use crate::cql::{self, NotOpen};
use crate::keys::{Keys, Kind};
use crate::settings::Settings;

/// How often the keys that batches name are checked: a new key is made about once a year.
const KEYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// The keys of this machine. Makes them only for a cluster on which nothing was minted yet: with
/// keys of its own, this machine would refuse the codes of the other machines, and they its codes.
pub(super) async fn keys(
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
