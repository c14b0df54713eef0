//! A hot store on a cluster: connecting to it, and waiting until that can be done.

use std::sync::Arc;
use std::time::Duration;

use hot::{Archive, HotError, HotStore};
use hot_cql::{ConnectError, CqlHot, KeyspaceAddress, Options, Tls};
use router::KeyRing;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::failure::CliError;
use crate::keys::{Keys, Kind};
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

/// How long a command waits for a cluster that is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two attempts to connect.
const AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Longest time of one attempt: a node that is frozen takes connections and says nothing.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// What is only in memory at the end of a command is a hint: nobody waits longer for it.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at the keys that batches name: a node makes a key once in a year.
const KEYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// Why a store is not open.
pub(crate) enum NotOpen {
    /// The cluster does not answer; it may a moment later.
    Away(String),
    /// Waiting would not help.
    Never(CliError),
}

impl From<CliError> for NotOpen {
    fn from(cli_error: CliError) -> NotOpen {
        NotOpen::Never(cli_error)
    }
}

impl From<HotError> for NotOpen {
    fn from(error: HotError) -> NotOpen {
        match error {
            HotError::Unavailable(_) | HotError::Overloaded { .. } | HotError::Unknown(_) => {
                NotOpen::Away(error.to_string())
            }
            HotError::Full(_) | HotError::Cold(_) | HotError::Damaged(_) => {
                NotOpen::Never(error.into())
            }
        }
    }
}

impl NotOpen {
    /// The sentence, where nobody waits.
    pub(crate) fn cli_error(self) -> CliError {
        match self {
            NotOpen::Away(why) => CliError::new(why).and("try again later"),
            NotOpen::Never(cli_error) => cli_error,
        }
    }
}

/// Who tells the operator that a cluster is waited for, and for how long that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// `serve`: a line in the log for every attempt, for ever.
    Service,
    /// Every other command: a word about it, for [`PATIENCE`].
    Command,
}

/// Repeats `attempt` while the cluster is away.
///
/// # Errors
/// What waiting does not help against; of a command, that the cluster is still away.
pub(crate) async fn patiently<T>(
    target: &KeyspaceAddress,
    waiting: Waiting,
    mut attempt: impl AsyncFnMut() -> Result<T, NotOpen>,
) -> Result<T, CliError> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        let limit = match waiting {
            Waiting::Service => Instant::now() + ATTEMPT_MAX,
            Waiting::Command => deadline,
        };
        let why = match timeout_at(limit, attempt()).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(NotOpen::Never(cli_error))) => return Err(cli_error),
            Ok(Err(NotOpen::Away(why))) => why,
            // Cut off at the deadline, an attempt has nothing to say; one before it had.
            Err(_) => last
                .clone()
                .unwrap_or_else(|| format!("no answer within {} s", ATTEMPT_MAX.as_secs())),
        };
        let sentence = format!("waiting for the cluster: {target}: {why}");
        match waiting {
            Waiting::Service => tracing::warn!(cluster = %target, "{sentence}"),
            Waiting::Command if Instant::now() >= deadline => {
                let waited = PATIENCE.as_secs();
                return Err(CliError::new(format!(
                    "waited {waited} s for the cluster {target}: {why}"
                )));
            }
            Waiting::Command if last.is_none() => output::note(&sentence),
            Waiting::Command => {}
        }
        last = Some(why);
        let again = Instant::now() + AGAIN_AFTER;
        sleep_until(match waiting {
            Waiting::Service => again,
            Waiting::Command => again.min(deadline),
        })
        .await;
    }
}

/// How the settings want the cluster to be spoken to.
pub(crate) fn options(settings: &Settings, target: &KeyspaceAddress) -> Options {
    let login = match (&settings.cql_user.value, &settings.cql_password.value) {
        (Some(user), Some(password)) => Some((user.clone(), password.reveal().to_owned())),
        _ => None,
    };
    Options {
        datacenter: settings.cql_datacenter.value.clone(),
        login,
        tls: settings.cql_authority.value.clone().map(|authority| Tls { authority }),
        ..Options::of(target)
    }
}

/// A connection to the cluster, with the keys that are here.
pub(crate) async fn connect(
    settings: &Settings,
    target: &KeyspaceAddress,
    keys: impl Into<KeyRing>,
    archive: Arc<dyn Archive>,
) -> Result<ConnectedCluster, NotOpen> {
    let options = options(settings, target);
    let connected = CqlHot::connect(options, keys, archive).await;
    let store = connected.map_err(|error| not_open(target, error))?;
    Ok(ConnectedCluster { store: Arc::new(store), target: target.clone() })
}

/// What an error of a connection means for whoever waits.
pub(crate) fn not_open(target: &KeyspaceAddress, error: ConnectError) -> NotOpen {
    match error {
        ConnectError::Away(why) => NotOpen::Away(cause(why.as_ref())),
        ConnectError::Schema(why) => NotOpen::Never(CliError::new(format!(
            "the cluster is not made ready: {why}: run `couponry schema apply --hot {target}`"
        ))),
        ConnectError::Setting(why) => NotOpen::Never(CliError::wrong_call(why)),
        ConnectError::Clock(why) => NotOpen::Never(CliError::new(why)),
    }
}

/// The last error of the chain says why.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    last.to_string()
}

/// The keys of this node. They are made only for a cluster on which nothing was minted yet: what
/// another node has minted would be forgeries here, and the other way round.
pub(crate) async fn keys(
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
        return Err(open::no_keys(data).into());
    }
    let archive = Arc::new(hot::NoArchive);
    let cluster = connect(settings, target, keys.code_keys(), archive).await?;
    match cluster.store.keys_in_use().await?.first() {
        Some(_) => Err(open::no_keys(data).into()),
        None => Ok(Keys::load_or_make(data)?),
    }
}

/// Tells of batches that another node has minted with a key that is not here, until it is dropped:
/// their codes are refused as forgeries by this node.
pub(crate) async fn watch_keys(store: Arc<dyn HotStore>, keys: KeyRing) {
    let mut told = Vec::new();
    loop {
        match open::missing_keys(store.as_ref(), &keys).await {
            Ok(missing) if missing != told => {
                for key in &missing {
                    tracing::error!(
                        %key,
                        "another node mints with a code key that is not here, so its codes are \
                         refused by this one: give all nodes the same folder `keys`"
                    );
                }
                told = missing;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %error, "the keys could not be compared"),
        }
        tokio::time::sleep(KEYS_LOOKED_AT_EVERY).await;
    }
}

/// A cluster that is connected to.
pub(crate) struct ConnectedCluster {
    pub(crate) store: Arc<CqlHot>,
    pub(crate) target: KeyspaceAddress,
}

impl ConnectedCluster {
    /// The engine, its version and the keyspace, as an operator knows them.
    pub(crate) async fn name(&self) -> String {
        let keyspace = self.target.keyspace();
        match self.store.engine().await {
            Ok((engine, version)) => format!("{} {version}, keyspace {keyspace}", engine.name()),
            Err(error) => format!("keyspace {keyspace} ({error})"),
        }
    }

    /// Writes down what this process knows and the cluster does not, such as counts.
    pub(crate) async fn flush(&self) {
        if timeout(FLUSH_MAX, self.store.flush()).await.is_err() {
            tracing::warn!("the cluster is slow: the counts of campaigns may lag behind");
        }
    }
}
