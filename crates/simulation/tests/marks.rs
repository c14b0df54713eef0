//! The mark of the feed while the cluster does not answer.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{CqlSession, FeedMarks, StatementProfile};
use futures::future::join_all;
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession};
use simulated_cluster::trace::Trace;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_failures_of_others() {
    let (rng, trace) = (Rng::new(7), Trace::new(false));
    let (schema, weather) =
        (KeyspaceSchema::couponry(), NetworkWeather { lost: 1_000, ..NetworkWeather::calm() });
    let cluster = SimulatedCluster::new(schema, rng.fork("cluster"), trace.clone(), weather);
    let process = SimulatedProcess::new("process", 0);
    let session =
        SimulatedSession::new(cluster.clone(), process, rng.fork("session"), trace.clone());
    let (session, marks) = (CqlSession::on(Arc::new(session)), FeedMarks::default());

    let began = Instant::now();
    let answers = join_all((0..64).map(|_| session.mark_now(&marks))).await;
    assert!(answers.iter().all(Result::is_err), "no node hears another");
    // Its own read, after one that was under way when it asked.
    let longest = 2 * StatementProfile::Read.timeout() + Duration::from_secs(1);
    assert!(began.elapsed() <= longest, "the last of them waited for {:?}", began.elapsed());

    cluster.quiet().await;
    assert_eq!(session.mark_now(&marks).await.expect("the nodes answer"), i64::MIN);
}
