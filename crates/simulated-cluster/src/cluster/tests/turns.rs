//! What a cluster of ScyllaDB does otherwise.

use futures::future::join;
use scylla::errors::WriteType;

use super::*;
use crate::cluster::paxos::PaxosBallot;
use crate::cql::PartitionKey;

const HOUR_US: i64 = 3_600_000_000;

fn scylla(weather: NetworkWeather) -> SimulatedCluster {
    of_engine(CqlEngine::Scylla, 1, weather)
}

/// Nobody notices that a node is away.
fn unnoticed() -> NetworkWeather {
    NetworkWeather { noticed_ms: (60_000, 60_000), ..NetworkWeather::calm() }
}

/// Each message between nodes takes 10 ms, so a round takes 20, and the first begins after 1.
fn slow() -> NetworkWeather {
    NetworkWeather { late: 1_000, late_ms: (10, 10), noticed_ms: (0, 0), ..NetworkWeather::calm() }
}

/// How many replicas accepted, of a time-out of type CAS.
fn time_out<T: std::fmt::Debug>(outcome: &Result<T, CoordinatorFailure>) -> i32 {
    match outcome {
        Err(CoordinatorFailure::Refused(
            DbError::WriteTimeout { received, write_type: WriteType::Cas, .. },
            _,
        )) => *received,
        other => panic!("no time-out of type CAS: {other:?}"),
    }
}

impl SimulatedCluster {
    fn key(&self) -> PartitionKey {
        let statement = self.prepare(READ).expect("a statement");
        statement.partition(&[int(1)]).expect("a key").expect("one partition")
    }

    /// Makes replicas promise a ballot that is later than all others.
    fn promise_ahead(&self, nodes: &[usize]) {
        let key = self.key();
        self.with(|state| {
            let us = state.clock_us(0) + HOUR_US;
            for node in nodes {
                state.nodes[*node].acceptor(&key).promised = PaxosBallot { us, number: u64::MAX };
            }
        });
    }

    /// Which replicas have accepted a proposal that is not committed.
    fn accepted_by(&self) -> Vec<bool> {
        let key = self.key();
        self.with(|state| {
            let nodes = state.nodes.iter_mut();
            nodes.map(|node| node.acceptor(&key).accepted.is_some()).collect()
        })
    }

    fn is_reached(&self, what: &str) -> bool {
        self.trace().states().contains_key(what)
    }
}

#[tokio::test(start_paused = true)]
async fn updates_of_one_key_wait_for_each_other_at_their_node() {
    let rows = [("the same node", 0, true, false), ("two nodes", 1, false, true)];
    for (name, other, waits, meets) in rows {
        let cluster = scylla(unnoticed());
        // No weather that is calm, and no message that is late.
        cluster.cut(1, 2);
        let (one, two) =
            join(cluster.step(0, BoundValue::Null, 10), cluster.step(other, BoundValue::Null, 11))
                .await;
        assert_eq!(
            cluster.is_reached("scylladb: an update waits for one before it"),
            waits,
            "{name}"
        );
        assert_eq!(cluster.is_reached("scylladb: a ballot is refused"), meets, "{name}");
        if waits {
            assert!(matches!((&one, &two), (Ok(true), Ok(false))), "{name}: {one:?} {two:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_gets_a_time_out() {
    let cluster = scylla(unnoticed());
    cluster.freeze(1, Duration::from_secs(60));
    cluster.freeze(2, Duration::from_secs(60));
    let began = Instant::now();
    let later = async {
        sleep(Duration::from_millis(500)).await;
        cluster.step(0, BoundValue::Null, 12).await
    };
    let first = join(cluster.step(0, BoundValue::Null, 10), cluster.step(0, BoundValue::Null, 11));
    let ((first, second), third) = join(first, later).await;
    assert_eq!(time_out(&first), 1, "the promise of the node itself");
    assert_eq!(time_out(&second), 0, "it waited for as long as the first");
    assert_eq!(time_out(&third), 0, "its turn came too late to begin");
    assert!(cluster.is_reached("scylladb: an update waited in vain"));
    assert!(cluster.is_reached("scylladb: contention ends without a proposal"));
    assert!(began.elapsed() < Duration::from_millis(2_600), "{:?}", began.elapsed());
    assert_eq!(cluster.accepted_by(), [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn replicas_read_when_they_promise() {
    let mut took = Vec::new();
    for engine in ENGINES {
        let cluster = of_engine(engine, 1, unnoticed());
        cluster.cut(1, 2);
        let began = Instant::now();
        assert!(cluster.step(0, BoundValue::Null, 10).await.expect("a quorum"));
        took.push(began.elapsed());
        let began = Instant::now();
        assert_eq!(cluster.value(0, SERIAL).await.expect("a quorum"), Some(10));
        took.push(began.elapsed());
    }
    let [change, read, change_in_turn, read_in_turn] = took[..] else { panic!("{took:?}") };
    let round = Duration::from_millis(1);
    assert_eq!((change - change_in_turn, read - read_in_turn), (round, round), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_disagree_are_read_again() {
    let cluster = scylla(NetworkWeather::calm());
    cluster.cut(0, 1);
    cluster.cut(0, 2);
    // Only node 0 has it.
    assert!(cluster.set(0, 7).await.is_err());
    cluster.mend(0, 2);
    assert!(cluster.step(0, int(7), 8).await.expect("a quorum"), "the later value is the one");
    assert!(cluster.is_reached("scylladb: replicas promise and disagree"));
}

#[tokio::test(start_paused = true)]
async fn a_proposal_that_some_accepted_is_a_time_out_at_once() {
    let cluster = scylla(slow());
    let began = Instant::now();
    let other = async {
        // The proposal is on its way.
        sleep(Duration::from_millis(25)).await;
        cluster.promise_ahead(&[1, 2]);
    };
    let (outcome, ()) = join(cluster.step(0, BoundValue::Null, 10), other).await;
    assert_eq!(time_out(&outcome), 1);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(cluster.is_reached("scylladb: timeout due to uncertainty"));
    assert_eq!(cluster.accepted_by(), [true, false, false], "a later round may finish it, or not");
}

#[tokio::test(start_paused = true)]
async fn contention_is_the_same_time_out_without_a_write() {
    for engine in ENGINES {
        let cluster = of_engine(engine, 1, NetworkWeather::calm());
        cluster.promise_ahead(&[0, 1, 2]);
        let began = Instant::now();
        let outcome = cluster.step(0, BoundValue::Null, 10).await;
        if engine == CqlEngine::Cassandra {
            assert!(outcome.expect("it takes a later ballot"));
            continue;
        }
        assert_eq!(time_out(&outcome), 0);
        assert_eq!(
            began.elapsed().as_secs(),
            1,
            "until its clock is ahead, or a second has passed"
        );
        sleep(Duration::from_micros(u64::try_from(HOUR_US).expect("an hour"))).await;
        assert!(cluster.step(0, BoundValue::Null, 11).await.expect("calm"), "nothing was proposed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_a_quorum_is_a_time_out() {
    for engine in ENGINES {
        let cluster = of_engine(engine, 1, slow());
        cluster.kill(2);
        let other = async {
            // The proposal has arrived; Cassandra has read before it.
            let arrived = if engine == CqlEngine::Cassandra { 55 } else { 35 };
            sleep(Duration::from_millis(arrived)).await;
            cluster.kill(1);
        };
        let (outcome, ()) = join(cluster.step(0, BoundValue::Null, 10), other).await;
        match (engine, &outcome) {
            (CqlEngine::Scylla, _) => assert_eq!(time_out(&outcome), 1),
            (_, Err(CoordinatorFailure::Refused(DbError::Unavailable { .. }, _))) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_node_dies_with_it() {
    let cluster = scylla(NetworkWeather { noticed_ms: (0, 0), ..NetworkWeather::calm() });
    cluster.freeze(0, Duration::from_secs(60));
    let (outcome, ()) = join(cluster.step(0, BoundValue::Null, 10), async {
        sleep(Duration::from_millis(100)).await;
        cluster.kill(0);
        cluster.start(0);
    })
    .await;
    assert!(matches!(outcome, Err(CoordinatorFailure::Broken)), "{outcome:?}");
    assert!(cluster.step(0, BoundValue::Null, 11).await.expect("calm"));
}

#[tokio::test(start_paused = true)]
async fn each_engine_refuses_at_prepare() {
    let cql = "SELECT v FROM t WHERE p = ? AND (a, b) > (?, ?) AND a <= ?";
    let tables =
        "CREATE TABLE IF NOT EXISTS t (p int, a int, b int, v int, PRIMARY KEY (p, a, b));";
    for engine in ENGINES {
        let schema = Arc::new(KeyspaceSchema::parse(tables).expect("a schema"));
        let (rng, trace) = (Rng::new(1), Trace::new(false));
        let cluster = SimulatedCluster::of_engine(
            engine,
            ClusterShape::THREE,
            schema,
            rng,
            trace,
            NetworkWeather::calm(),
        );
        assert_eq!(cluster.prepare(cql).is_ok(), engine == CqlEngine::Cassandra);
        assert_eq!(cluster.engine(), engine);
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_loses_plain_writes_that_are_not_synced() {
    let rows = [
        ("synced at once", false, 0, Some(1)),
        ("a moment later", true, 0, None),
        ("nine seconds later", true, 9, None),
        ("eleven seconds later", true, 11, Some(1)),
    ];
    let other = "INSERT INTO item (id, value) VALUES (2, 2) IF NOT EXISTS";
    for (name, is_periodic, seconds, plain) in rows {
        let cluster = scylla(NetworkWeather { noticed_ms: (0, 0), ..NetworkWeather::calm() });
        if is_periodic {
            cluster.sync_periodically();
        }
        cluster.set(0, 1).await.expect("calm");
        cluster.run(0, other, &[], QUORUM).await.expect("calm");
        sleep(Duration::from_secs(seconds)).await;
        // The third one would repair them.
        cluster.kill(2);
        for node in [0, 1] {
            cluster.cut_power(node);
            cluster.start(node);
        }
        assert_eq!(cluster.value(0, QUORUM).await.expect("two are up"), plain, "{name}");
        let conditional = cluster.run(0, READ, &[int(2)], QUORUM).await.expect("two are up");
        assert_eq!(conditional.rows, [[0, 0, 0, 4, 0, 0, 0, 2]], "{name}");
        cluster.quiet().await;
        let later = cluster.value(0, QUORUM).await.expect("calm");
        assert_eq!(later, Some(1), "{name}: the third one has it");
    }
}
