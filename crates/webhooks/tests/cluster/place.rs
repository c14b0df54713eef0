//! A keyspace on one node. Each test has partitions of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cql_session::{
    ConnectionSettings, CqlSession, CqlTables, Keyspace, KeyspaceAddress, SchemaOptions,
};
use hot::tables::Tables;
use tokio::runtime::Runtime;
use uuid::Uuid;
use webhooks::{Options, Webhooks};

/// The driver's tasks live longer than the runtime of one test.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// Runs something there. A test waits for it on its own thread.
fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(work)).join().unwrap())
}

fn connection(addresses: &str) -> ConnectionSettings {
    let target = format!("cql://{addresses}/webhooks").parse::<KeyspaceAddress>().unwrap();
    ConnectionSettings { patience: testcluster::STEADY_PATIENCE, ..ConnectionSettings::of(&target) }
}

/// `None` where there is no Cassandra: a printed line says why.
fn addresses() -> Option<&'static str> {
    static ADDRESSES: OnceLock<Option<&str>> = OnceLock::new();
    *ADDRESSES.get_or_init(|| {
        let addresses = testcluster::shared(1)?.addresses();
        let made = async {
            let keyspace = Keyspace::connect(&connection(addresses)).await.unwrap();
            keyspace.apply(&SchemaOptions::default()).await.unwrap();
        };
        wait(made);
        Some(addresses)
    })
}

fn session() -> Arc<CqlSession> {
    static SESSION: OnceLock<Arc<CqlSession>> = OnceLock::new();
    let connected = || {
        let Some(addresses) = addresses() else {
            // No case of this suite can run, and a printed line says why.
            std::process::exit(0)
        };
        let connection = connection(addresses);
        Arc::new(wait(async { CqlSession::connect(&connection).await.unwrap() }))
    };
    Arc::clone(SESSION.get_or_init(connected))
}

pub(crate) struct Place {
    prefix: String,
}

impl Place {
    /// `None` where there is no Cassandra.
    pub(crate) fn find() -> Option<Place> {
        addresses().map(|_| Place::new())
    }

    pub(crate) fn new() -> Place {
        Place { prefix: Uuid::new_v4().to_string() }
    }

    /// As another process would.
    pub(crate) fn open(&self, options: Options) -> Webhooks {
        open(self.tables(), options)
    }

    /// What [`open_named`] needs to open it in another process.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", addresses().unwrap(), self.prefix)
    }

    pub(crate) fn tables(&self) -> Arc<dyn Tables> {
        tables(session(), &self.prefix)
    }
}

fn tables(session: Arc<CqlSession>, prefix: &str) -> Arc<dyn Tables> {
    Arc::new(CqlTables::apart(session, prefix.into()))
}

fn open(tables: Arc<dyn Tables>, options: Options) -> Webhooks {
    // Leases have whole seconds on a cluster, and this machine may stall for some.
    let lease = options.lease.max(Duration::from_secs(6));
    let look_every = options.look_every.max(Duration::from_millis(20));
    Webhooks::new(tables, Options { lease, look_every, ..options }).unwrap()
}

pub(crate) async fn open_named(name: &str, options: Options) -> Webhooks {
    let (addresses, prefix) = name.split_once(' ').unwrap();
    let session = CqlSession::connect(&connection(addresses)).await.unwrap();
    let look_every = options.look_every.max(Duration::from_millis(20));
    let options = Options { look_every, ..options };
    Webhooks::new(tables(Arc::new(session), prefix), options).unwrap()
}
