//! The mark of the feed while the cluster, or a part of it, does not answer.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, RowPage, StatementRequest};
use cql_session::{CqlSession, FeedMarks, StatementProfile};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all, ready};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession, StatementTamper};
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
    let (session, marks) = (CqlSession::on(Arc::new(session)), FeedMarks::new(0));

    let began = Instant::now();
    let answers = join_all((0..64).map(|_| session.mark_now(&marks))).await;
    assert!(answers.iter().all(Result::is_err), "no node hears another");
    // Its own read, after one that was under way when it asked; each asks one copy, and then the others.
    let longest = 4 * StatementProfile::Read.timeout() + Duration::from_secs(1);
    assert!(began.elapsed() <= longest, "the last of them waited for {:?}", began.elapsed());

    cluster.quiet().await;
    assert_eq!(session.mark_now(&marks).await.expect("the nodes answer"), i64::MIN);
}

/// The nodes of one copy of the mark are down.
struct CopyOutage(i32);

impl StatementTamper for CopyOutage {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let copy = BoundValue::Value(self.0.to_be_bytes().to_vec());
        let is_of_it = request.cql.contains("feed_progress")
            && request.rows.iter().any(|row| row.first() == Some(&copy));
        let (consistency, required, alive) = (Consistency::LocalQuorum, 2, 1);
        let down = DbError::Unavailable { consistency, required, alive };
        let down = RequestAttemptError::DbError(down, String::new());
        ready(is_of_it.then(|| Err(ExecutionError::LastAttemptError(down)))).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn changes_go_on_without_a_copy_of_the_mark() {
    for down in 0..3 {
        let (rng, trace) = (Rng::new(7), Trace::new(false));
        let (schema, weather) = (KeyspaceSchema::couponry(), NetworkWeather::calm());
        let cluster = SimulatedCluster::new(schema, rng.fork("cluster"), trace.clone(), weather);
        let session = |name| {
            let process = SimulatedProcess::new(name, 0);
            SimulatedSession::new(cluster.clone(), process, rng.fork(name), trace.clone())
        };
        let reader = CqlSession::on(Arc::new(session("reader")));
        reader.set_mark(&FeedMarks::new(0), 41).await.expect("all nodes are up");

        let cut = session("writer").with_tamper(Arc::new(CopyOutage(down)));
        let (writer, marks) = (CqlSession::on(Arc::new(cut)), FeedMarks::new(0));
        let seen = writer.mark_now(&marks).await.expect("the others have it");
        assert_eq!(seen, 41, "without copy {down}");
        let passed = writer.set_mark(&marks, 42).await;
        assert!(passed.is_err(), "a writer might read the copy {down}, which lacks the mark");
    }
}
