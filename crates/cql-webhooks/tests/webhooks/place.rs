//! A keyspace on one node. Each test has a part of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cql_session::{Connection, CqlSession, Keyspace, KeyspaceAddress, SchemaOptions};
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

pub(crate) fn connection(addresses: &str) -> Connection {
    let target = format!("cql://{addresses}/webhooks").parse::<KeyspaceAddress>().unwrap();
    Connection { patience: testcluster::STEADY_PATIENCE, ..Connection::of(&target) }
}

/// `None` where there is no Cassandra: a printed line says why.
pub(crate) fn addresses() -> Option<&'static str> {
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
        let connection = connection(addresses().unwrap());
        Arc::new(wait(async { CqlSession::connect(&connection).await.unwrap() }))
    };
    Arc::clone(SESSION.get_or_init(connected))
}

pub(crate) struct Place {
    pub(crate) part: i32,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { part: Uuid::new_v4().as_fields().0.cast_signed() }
    }

    /// As another process would.
    pub(crate) fn open(&self, options: Options) -> Webhooks {
        // Leases have whole seconds on a cluster, and this machine may stall for some.
        let lease = options.lease.max(Duration::from_secs(6));
        let look_every = options.look_every.max(Duration::from_millis(20));
        let store = cql_webhooks::store_of_part(session(), &options, self.part);
        Webhooks::with(store, Options { lease, look_every, ..options }).unwrap()
    }

    /// Writes the next attempt of a delivery whose row is gone, as a process does that was frozen before that.
    pub(crate) async fn write_late(&self, name: &str, number: i64) {
        let session = session();
        let cql = "SELECT number FROM webhook WHERE part = ? AND webhook_id = ?";
        let found = session.row(cql, (self.part, name)).await.unwrap();
        let (webhook,): (i64,) = found.expect("the webhook");
        let facts = r#"{"id":"late","event_type":"coupon.redeemed","code":null,"created_at":0,"attempts":1,
            "redelivered":0,"tried_at":0,"status":500,"error":null,"duration_ms":1,"next_at":0,"ended_at":null}"#;
        let cql = "INSERT INTO webhook_pending (webhook, number, delivery) VALUES (?, ?, ?)";
        session.write(cql, (webhook, number, facts)).await.unwrap();
    }
}
