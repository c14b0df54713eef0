//! The session as hot-cql uses it.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, CqlCluster, CqlEngine, RowPage, StatementProfile, StatementRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use tokio::time::{Instant, sleep};

use super::{SimulatedProcess, SimulatedSession, StatementTamper};
use crate::cluster::{ClusterShape, NetworkWeather, SimulatedCluster};
use crate::cql::KeyspaceSchema;
use crate::rng::Rng;
use crate::trace::Trace;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS item (id int, number int, value int, \
                      PRIMARY KEY ((id), number));";
const READ: &str = "SELECT value FROM item WHERE id = ? AND number = ?";
const SCAN: &str = "SELECT number FROM item WHERE id = ?";
const WRITE: &str = "INSERT INTO item (id, number, value) VALUES (?, ?, ?)";
const CHANGE: &str = "UPDATE item SET value = ? WHERE id = ? AND number = ? IF value = null";

fn made(weather: NetworkWeather) -> (SimulatedCluster, SimulatedProcess, SimulatedSession) {
    of_engine(CqlEngine::Cassandra, 1, weather)
}

fn of_engine(
    engine: CqlEngine,
    seed: u64,
    weather: NetworkWeather,
) -> (SimulatedCluster, SimulatedProcess, SimulatedSession) {
    let schema = Arc::new(KeyspaceSchema::parse(SCHEMA).expect("a schema"));
    let trace = Trace::new(true);
    let (shape, rng) = (ClusterShape::THREE, Rng::new(seed));
    let cluster = SimulatedCluster::of_engine(engine, shape, schema, rng, trace.clone(), weather);
    let process = SimulatedProcess::new("serve 1", 0);
    let session = SimulatedSession::new(cluster.clone(), process.clone(), Rng::new(2), trace);
    (cluster, process, session)
}

fn int(value: i32) -> BoundValue {
    BoundValue::Value(value.to_be_bytes().to_vec())
}

fn request(profile: StatementProfile, cql: &'static str, values: &[i32]) -> StatementRequest {
    let rows = vec![values.iter().copied().map(int).collect()];
    StatementRequest { cql, rows, profile, from: None, page_rows: 2_000 }
}

/// The first cell of each row, a number.
fn numbers(page: &RowPage) -> Vec<i32> {
    let cell = |row: &Vec<u8>| row.get(4..8)?.try_into().ok().map(i32::from_be_bytes);
    page.rows.iter().filter_map(cell).collect()
}

#[tokio::test(start_paused = true)]
async fn a_frozen_coordinator_applies_the_update_after_the_client_gave_up() {
    let noticed_ms = (60_000, 60_000);
    let (cluster, _, session) = made(NetworkWeather { noticed_ms, ..NetworkWeather::calm() });
    for node in 0..3 {
        cluster.freeze(node, Duration::from_secs(10));
    }
    let began = Instant::now();
    let change = request(StatementProfile::Change, CHANGE, &[5, 1, 1]);
    let outcome = session.execute(change).await;
    assert!(matches!(outcome, Err(ExecutionError::RequestTimeout(_))), "{outcome:?}");
    assert_eq!(began.elapsed().as_secs(), StatementProfile::Change.timeout().as_secs());
    sleep(Duration::from_secs(10)).await;
    let read = session.execute(request(StatementProfile::Serial, READ, &[1, 1])).await;
    assert_eq!(numbers(&read.expect("all are up")), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_to_a_second_node_when_the_first_is_slow() {
    let noticed_ms = (60_000, 60_000);
    let (cluster, _, session) = made(NetworkWeather { noticed_ms, ..NetworkWeather::calm() });
    let write = request(StatementProfile::Write, WRITE, &[1, 1, 5]);
    session.execute(write).await.expect("calm");
    cluster.freeze(0, Duration::from_secs(600));
    for _ in 0..10 {
        let began = Instant::now();
        let read = session.execute(request(StatementProfile::Read, READ, &[1, 1])).await;
        assert_eq!(numbers(&read.expect("two are up")), [5]);
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn without_nodes_nothing_is_sent() {
    let (cluster, _, session) = made(NetworkWeather::calm());
    for node in 0..3 {
        cluster.kill(node);
    }
    let outcome = session.execute(request(StatementProfile::Change, CHANGE, &[5, 1, 1])).await;
    assert!(matches!(outcome, Err(ExecutionError::EmptyPlan)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other() {
    let (_, _, session) = made(NetworkWeather::calm());
    let rows = (0..7).map(|row| vec![int(1), int(row), int(0)]).collect();
    let batch = StatementRequest { rows, ..request(StatementProfile::Bulk, WRITE, &[]) };
    session.execute(batch).await.expect("calm");
    let (mut all, mut pages, mut from) = (Vec::new(), 0, Some(PagingState::start()));
    while let Some(state) = from {
        let scan = request(StatementProfile::Bulk, SCAN, &[1]);
        let scan = StatementRequest { from: Some(state), page_rows: 3, ..scan };
        let page = session.execute(scan).await.expect("calm");
        all.extend(numbers(&page));
        (pages, from) = (pages + 1, page.next);
    }
    assert_eq!((all, pages), ((0..7).collect::<Vec<_>>(), 3));
}

#[tokio::test(start_paused = true)]
async fn pages_of_scylladb_are_short_or_empty_and_lose_nothing() {
    let (mut short, mut empty, mut empty_first) = (0, 0, 0);
    for seed in 0..30 {
        let (_, _, session) = of_engine(CqlEngine::Scylla, seed, NetworkWeather::calm());
        let rows = (0..40).map(|row| vec![int(1), int(row), int(0)]).collect();
        let batch = StatementRequest { rows, ..request(StatementProfile::Bulk, WRITE, &[]) };
        session.execute(batch).await.expect("calm");
        let (mut all, mut from) = (Vec::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let scan = request(StatementProfile::Bulk, SCAN, &[1]);
            let scan = StatementRequest { from: Some(state), page_rows: 10, ..scan };
            let page = session.execute(scan).await.expect("calm");
            let goes_on = page.next.is_some();
            empty_first += u32::from(page.rows.is_empty() && goes_on && all.is_empty());
            empty += u32::from(page.rows.is_empty() && goes_on);
            short += u32::from((1..10).contains(&page.rows.len()) && goes_on);
            all.extend(numbers(&page));
            from = page.next;
        }
        assert_eq!(all, (0..40).collect::<Vec<_>>(), "seed {seed}");
        let whole = session.execute(request(StatementProfile::Bulk, SCAN, &[1])).await;
        assert_eq!(numbers(&whole.expect("calm")).len(), 40, "an answer in one piece is whole");
    }
    assert!(short > 10 && empty > 5 && empty_first > 0, "{short} {empty} {empty_first}");
}

struct NoWrites;

impl StatementTamper for NoWrites {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let answer = request.cql.starts_with("INSERT").then(|| Ok(RowPage::default()));
        async move { answer }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tamper_answers_in_the_place_of_the_cluster() {
    let (_, process, session) = made(NetworkWeather::calm());
    let session = session.with_tamper(Arc::new(NoWrites));
    session.execute(request(StatementProfile::Write, WRITE, &[1, 1, 5])).await.expect("answered");
    let read = session.execute(request(StatementProfile::Read, READ, &[1, 1])).await;
    assert!(read.expect("calm").rows.is_empty());
    process.kill();
    let read = session.execute(request(StatementProfile::Read, READ, &[1, 1]));
    assert!(tokio::time::timeout(Duration::from_secs(60), read).await.is_err(), "it is dead");
}
