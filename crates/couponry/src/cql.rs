//! The hot store on a cluster: how commands and `serve` connect to it.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use cql_session::{ConnectError, KeyspaceAddress, TlsSettings};
use hot::Archive;
use hot_cql::{CqlHot, CqlOptions};
use router::KeyRing;
use tokio::time::timeout;

use crate::failure::{CliError, cause};
use crate::settings::Settings;

pub(crate) use waiting::{NotOpen, Waiting, patiently};

/// How long the end of a command waits to write counts, which may lag behind.
const FLUSH_MAX: Duration = Duration::from_secs(5);

pub(crate) fn options(settings: &Settings, target: &KeyspaceAddress) -> CqlOptions {
    let password = settings.cql_password.value.as_ref().map(|it| it.reveal().to_owned());
    let mut options = CqlOptions::of(target);
    options.events_keep = settings.events_keep.value.every;
    let connection = &mut options.connection;
    connection.datacenter = settings.cql_datacenter.value.clone();
    connection.login = settings.cql_user.value.clone().zip(password);
    connection.tls =
        settings.cql_authority.value.clone().map(|authority| TlsSettings { authority });
    options
}

pub(crate) async fn connect(
    settings: &Settings,
    target: &KeyspaceAddress,
    keys: KeyRing,
    archive: Arc<dyn Archive>,
) -> Result<OpenCql, NotOpen> {
    let options = options(settings, target);
    let orders_keep = settings.orders_keep.value.every;
    let connected = CqlHot::connect(options, keys, archive).await;
    let store = connected.map_err(|error| not_open(target, error))?;
    let store = store.with_records(|tables, source| records::records(tables, source, orders_keep));
    Ok(OpenCql { store: Arc::new(store), target: target.clone() })
}

/// What an error of the connection means for a caller that waits.
pub(crate) fn not_open(target: &KeyspaceAddress, error: ConnectError) -> NotOpen {
    match error {
        ConnectError::Away(why) => NotOpen::Away(cause(why.as_ref())),
        ConnectError::Schema(why) => NotOpen::Never(CliError::new(format!(
            "the cluster is not made ready: {why}: run `couponry schema apply --hot {target}`"
        ))),
        ConnectError::Setting(why) => NotOpen::Never(CliError::usage(why)),
        ConnectError::Clock(why) | ConnectError::Copies(why) => NotOpen::Never(CliError::new(why)),
    }
}

pub(crate) struct OpenCql {
    pub(crate) store: Arc<CqlHot>,
    pub(crate) target: KeyspaceAddress,
}

impl OpenCql {
    /// The engine, its version and the keyspace, for the operator.
    pub(crate) async fn name(&self) -> String {
        let keyspace = self.target.keyspace();
        match self.store.session().version().await {
            Ok((engine, version)) => format!("{} {version}, keyspace {keyspace}", engine.name()),
            Err(error) => format!("keyspace {keyspace} ({error})"),
        }
    }

    /// Writes what only this process knows, such as counts, to the cluster.
    pub(crate) async fn flush(&self) {
        if timeout(FLUSH_MAX, self.store.flush()).await.is_err() {
            tracing::warn!("the cluster is slow: the counts of campaigns may lag behind");
        }
    }
}
