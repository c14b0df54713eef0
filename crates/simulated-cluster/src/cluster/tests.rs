//! The cluster under the faults that the store has to survive.

mod placement;
mod tombstones;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, CqlEngine};
use scylla::errors::DbError;
use scylla::statement::Consistency;
use tokio::time::{Instant, sleep};

use super::paxos::PaxosProposal;
use super::{
    ClusterShape, CoordinatorAnswer, CoordinatorFailure, ExecutionOptions, NetworkWeather,
    SimulatedCluster,
};
use crate::cql::KeyspaceSchema;
use crate::rng::Rng;
use crate::trace::Trace;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS item (id int PRIMARY KEY, value int);";
const READ: &str = "SELECT value FROM item WHERE id = ?";
const WRITE: &str = "INSERT INTO item (id, value) VALUES (?, ?)";
const CHANGE: &str = "UPDATE item SET value = ? WHERE id = ? IF value = ?";

const QUORUM: Consistency = Consistency::LocalQuorum;
const SERIAL: Consistency = Consistency::LocalSerial;

fn cluster(seed: u64, weather: NetworkWeather) -> SimulatedCluster {
    of_engine(CqlEngine::Cassandra, seed, weather)
}

fn of_engine(engine: CqlEngine, seed: u64, weather: NetworkWeather) -> SimulatedCluster {
    of_shape(engine, ClusterShape::THREE, seed, weather)
}

fn of_shape(
    engine: CqlEngine,
    shape: ClusterShape,
    seed: u64,
    weather: NetworkWeather,
) -> SimulatedCluster {
    let schema = Arc::new(KeyspaceSchema::parse(SCHEMA).expect("a schema"));
    let (rng, trace) = (Rng::new(seed), Trace::new(false));
    SimulatedCluster::of_engine(engine, shape, schema, rng, trace, weather)
}

const ENGINES: [CqlEngine; 2] = [CqlEngine::Cassandra, CqlEngine::Scylla];

fn stormy() -> NetworkWeather {
    let (late_ms, noticed_ms) = ((2, 40), (10, 100));
    NetworkWeather {
        lost: 100,
        late: 200,
        late_ms,
        twice: 80,
        noticed_ms,
        ..NetworkWeather::calm()
    }
}

fn int(value: i32) -> BoundValue {
    BoundValue::Value(value.to_be_bytes().to_vec())
}

impl SimulatedCluster {
    async fn run(
        &self,
        node: usize,
        cql: &str,
        values: &[BoundValue],
        consistency: Consistency,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let statement = self.prepare(cql).expect("a statement");
        self.execute(
            node,
            &statement,
            &[values.to_vec()],
            ExecutionOptions { consistency, page: None },
        )
        .await
    }

    async fn value(
        &self,
        node: usize,
        consistency: Consistency,
    ) -> Result<Option<i32>, CoordinatorFailure> {
        let answer = self.run(node, READ, &[int(1)], consistency).await?;
        let cell = answer.rows.first().and_then(|row| row.get(4..8)?.try_into().ok());
        Ok(cell.map(i32::from_be_bytes))
    }

    async fn set(&self, node: usize, value: i32) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        self.run(node, WRITE, &[int(1), int(value)], QUORUM).await
    }

    /// Whether a conditional update from one value to another was applied.
    async fn step(
        &self,
        node: usize,
        from: BoundValue,
        to: i32,
    ) -> Result<bool, CoordinatorFailure> {
        let answer = self.run(node, CHANGE, &[int(to), int(1), from], QUORUM).await?;
        Ok(answer.rows.first().and_then(|row| row.get(4)) == Some(&1))
    }

    /// A serial read, as often as it takes.
    async fn serially(&self, mut node: usize) -> Option<i32> {
        loop {
            match self.value(node, SERIAL).await {
                Ok(value) => return value,
                Err(_) => node = (node + 1) % 3,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quorum_sees_what_a_quorum_wrote() {
    for down in 0..3 {
        let cluster = cluster(1, NetworkWeather::calm());
        cluster.kill(down);
        cluster.set((down + 1) % 3, 7).await.expect("two of three are enough");
        cluster.start(down);
        cluster.kill((down + 1) % 3);
        let read = cluster.value((down + 2) % 3, QUORUM).await.expect("two of three are enough");
        assert_eq!(read, Some(7));
        cluster.kill((down + 2) % 3);
        let alone = cluster.value(down, QUORUM).await;
        let refused =
            matches!(alone, Err(CoordinatorFailure::Refused(DbError::Unavailable { .. }, _)));
        assert!(refused, "{alone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_repairs_what_it_merged() {
    let cluster = cluster(1, NetworkWeather::calm());
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    let alone = cluster.set(0, 7).await;
    assert!(
        matches!(alone, Err(CoordinatorFailure::Refused(DbError::WriteTimeout { .. }, _))),
        "{alone:?}"
    );
    cluster.mend(0, 1);
    cluster.mend(0, 2);
    assert_eq!(cluster.value(0, QUORUM).await.expect("all are up"), Some(7));
    cluster.kill(0);
    let later = cluster.value(1, QUORUM).await.expect("two are up");
    assert_eq!(later, Some(7), "read once, read always");
}

#[tokio::test(start_paused = true)]
async fn calm_weather_is_quick() {
    let cluster = cluster(1, NetworkWeather::calm());
    let began = Instant::now();
    assert!(cluster.step(0, BoundValue::Null, 1).await.expect("calm"));
    assert!(!cluster.step(1, BoundValue::Null, 1).await.expect("calm"));
    assert!(cluster.step(2, int(1), 2).await.expect("calm"));
    assert_eq!(cluster.value(0, SERIAL).await.expect("calm"), Some(2));
    assert_eq!(cluster.value(1, QUORUM).await.expect("calm"), Some(2));
    assert!(began.elapsed() < Duration::from_millis(20), "{:?}", began.elapsed());
    assert!(cluster.replicas_are_equal());
}

#[tokio::test(start_paused = true)]
async fn a_conditional_update_is_applied_once() {
    for (seed, engine) in (0..10).flat_map(|seed| ENGINES.map(|engine| (seed, engine))) {
        let cluster = of_engine(engine, seed, stormy());
        let (mut last, mut unknown) = (None, 0);
        for number in 0..20 {
            let before = last.map_or(BoundValue::Null, int);
            let node = usize::try_from(number).expect("small") % 3;
            let outcome = cluster.step(node, before, number).await;
            let now = cluster.serially(node).await;
            match outcome {
                Ok(true) => assert_eq!(now, Some(number), "seed {seed}: applied"),
                // Nobody else writes, and nothing before it is open.
                Ok(false) => panic!("seed {seed}: {number} was refused after {last:?}"),
                Err(_) => {
                    unknown += 1;
                    assert!(now == Some(number) || now == last, "seed {seed}: {now:?}");
                }
            }
            assert_eq!(cluster.serially((node + 1) % 3).await, now, "seed {seed}: final");
            last = now;
        }
        assert!(unknown < 20, "seed {seed}");
        cluster.quiet().await;
        assert!(cluster.replicas_are_equal());
        assert_eq!(cluster.value(0, QUORUM).await.expect("calm"), last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_round_finishes_an_accepted_proposal() {
    let cases = [(&[1_usize][..], None), (&[0_usize, 1][..], Some(9))];
    for ((by, seen), engine) in cases.iter().flat_map(|case| ENGINES.map(|it| (*case, it))) {
        let cluster = of_engine(engine, 3, NetworkWeather::calm());
        let statement = cluster.prepare(WRITE).expect("a statement");
        let values = [int(1), int(9)];
        let key = statement.partition(&values).expect("a key").expect("one partition");
        cluster.with(|state| {
            let ballot = state.ballot(0, &key, 0);
            let mutation = statement.mutation(&values, ballot.us, 0).expect("a mutation");
            let proposal = PaxosProposal { ballot, update: Some(Arc::new(mutation)) };
            for node in by {
                assert!(state.nodes[*node].acceptor(&key).accept(&proposal));
            }
        });
        assert_eq!(cluster.value(2, QUORUM).await.expect("calm"), None, "not committed");
        if seen.is_none() {
            // Neither of the two that are left accepted it: it ends for good.
            cluster.kill(1);
        }
        assert_eq!(cluster.serially(2).await, seen);
        cluster.start(1);
        assert_eq!(cluster.serially(1).await, seen, "once ended, it never comes back");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_at_the_same_time_one_is_refused() {
    for seed in 0..10 {
        let weather = match seed {
            0 => NetworkWeather::calm(),
            _ => NetworkWeather { late: 300, late_ms: (2, 30), ..NetworkWeather::calm() },
        };
        let cluster = cluster(seed, weather);
        let steps = futures::future::join(
            cluster.step(0, BoundValue::Null, 10),
            cluster.step(1, BoundValue::Null, 11),
        );
        let (one, other) = steps.await;
        let value = cluster.serially(2).await;
        let applied = |outcome: &Result<bool, CoordinatorFailure>| matches!(outcome, Ok(true));
        assert!(!(applied(&one) && applied(&other)), "seed {seed}");
        assert!(!applied(&one) || value == Some(10), "seed {seed}: {value:?}");
        assert!(!applied(&other) || value == Some(11), "seed {seed}: {value:?}");
        assert!(seed > 0 || (applied(&one) && matches!(other, Ok(false))), "{one:?} {other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_writes_late() {
    let cluster = cluster(1, NetworkWeather::calm());
    cluster.freeze(1, Duration::from_secs(20));
    cluster.freeze(2, Duration::from_secs(20));
    cluster.with(|state| {
        for node in &mut state.nodes {
            node.suspicion = Default::default();
        }
    });
    let began = Instant::now();
    let timed_out = cluster.set(0, 5).await;
    assert!(matches!(timed_out, Err(CoordinatorFailure::Refused(DbError::WriteTimeout { .. }, _))));
    assert_eq!(began.elapsed().as_secs(), 2);
    sleep(Duration::from_secs(20)).await;
    assert!(cluster.replicas_are_equal(), "what waited was handled");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_dies_breaks_its_connections() {
    let cluster =
        cluster(1, NetworkWeather { late: 1_000, late_ms: (500, 500), ..NetworkWeather::calm() });
    let (set, ()) = futures::future::join(cluster.set(0, 5), async {
        sleep(Duration::from_millis(100)).await;
        cluster.kill(0);
    })
    .await;
    assert!(matches!(set, Err(CoordinatorFailure::Broken)), "{set:?}");
    cluster.quiet().await;
    assert_eq!(cluster.value(1, QUORUM).await.expect("calm"), Some(5), "it was on its way");
}

#[tokio::test(start_paused = true)]
async fn after_quiet_all_replicas_are_equal() {
    for (seed, engine) in (0..5).flat_map(|seed| ENGINES.map(|engine| (seed, engine))) {
        let weather = NetworkWeather { very_late: 100, very_late_ms: (1_000, 50_000), ..stormy() };
        let cluster = of_engine(engine, seed, weather);
        for number in 0..30 {
            let node = usize::try_from(number).expect("small") % 3;
            // Some time out.
            cluster.set(node, number).await.ok();
            cluster.step(node, int(number), 100 + number).await.ok();
        }
        cluster.kill(2);
        cluster.quiet().await;
        assert!(cluster.replicas_are_equal() && cluster.is_up(2));
        let value = cluster.value(0, QUORUM).await.expect("calm");
        assert_eq!(cluster.value(1, SERIAL).await.expect("calm"), value);
    }
}
