//! A simulated cluster for a test, and processes of couponry on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cql_session::{ConnectError, KeyspaceAddress};
use hot::Archive;
use hot_conformance::kit::keys;
use hot_cql::{CqlHot, CqlOptions};
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession, StatementTamper};
use simulated_cluster::trace::Trace;

/// Three nodes, which the test has to itself.
pub(crate) struct ClusterFixture {
    pub(crate) cluster: SimulatedCluster,
    rng: Rng,
    trace: Trace,
    processes: AtomicU32,
}

impl ClusterFixture {
    /// A cluster without faults. The seed decides which nodes are asked.
    pub(crate) fn calm(seed: u64) -> ClusterFixture {
        ClusterFixture::in_weather(seed, NetworkWeather::calm())
    }

    pub(crate) fn in_weather(seed: u64, weather: NetworkWeather) -> ClusterFixture {
        let (rng, trace) = (Rng::new(seed), Trace::new(false));
        let schema = KeyspaceSchema::couponry();
        let cluster = SimulatedCluster::new(schema, rng.fork("cluster"), trace.clone(), weather);
        ClusterFixture { cluster, rng, trace, processes: AtomicU32::new(0) }
    }

    /// Options for its processes.
    pub(crate) fn options() -> CqlOptions {
        let address: KeyspaceAddress = "cql://simulated:9042/couponry".parse().expect("an address");
        // A process that was stopped for a while may still find out what became of its write.
        CqlOptions { call_limit: Duration::from_secs(60), ..CqlOptions::of(&address) }
    }

    /// Opens a process. `tamper` sees each statement before it is sent.
    pub(crate) async fn process(
        &self,
        options: CqlOptions,
        archive: Arc<dyn Archive>,
        tamper: Option<Arc<dyn StatementTamper>>,
    ) -> Arc<CqlHot> {
        self.open(options, archive, tamper).await.expect("the cluster answers")
    }

    pub(crate) async fn open(
        &self,
        options: CqlOptions,
        archive: Arc<dyn Archive>,
        tamper: Option<Arc<dyn StatementTamper>>,
    ) -> Result<Arc<CqlHot>, ConnectError> {
        let number = self.processes.load(Ordering::Relaxed);
        let process = SimulatedProcess::new(&format!("process {number}"), 0);
        self.open_as(process, options, archive, tamper).await
    }

    /// Opens a process that the test has made.
    pub(crate) async fn open_as(
        &self,
        process: SimulatedProcess,
        options: CqlOptions,
        archive: Arc<dyn Archive>,
        tamper: Option<Arc<dyn StatementTamper>>,
    ) -> Result<Arc<CqlHot>, ConnectError> {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let rng = self.rng.fork(&format!("session {number}"));
        let session = SimulatedSession::new(self.cluster.clone(), process, rng, self.trace.clone());
        let session = match tamper {
            Some(tamper) => session.with_tamper(tamper),
            None => session,
        };
        let orders_keep = Some(Duration::from_secs(400 * 86_400));
        let hot = CqlHot::on(Arc::new(session), options, keys(), archive).await?;
        let hot = hot.with_records(|tables, source| records::records(tables, source, orders_keep));
        Ok(Arc::new(hot))
    }
}
