//! Partitions that are on some of the nodes only.

use super::*;

const READ_ALL: &str = "SELECT id FROM item";
const READ_SOME: &str = "SELECT value FROM item WHERE id IN ?";

const ITEMS: i32 = 40;

async fn filled(engine: CqlEngine, shape: ClusterShape) -> SimulatedCluster {
    let cluster = of_shape(engine, shape, 1, NetworkWeather::calm());
    for id in 0..ITEMS {
        let node = usize::try_from(id).expect("small") % shape.nodes;
        cluster.run(node, WRITE, &[int(id), int(id)], QUORUM).await.expect("calm");
    }
    cluster
}

/// Which of all items can be read at a quorum, and which changed by a condition.
async fn reached(cluster: &SimulatedCluster, node: usize, value: i32) -> (Vec<i32>, Vec<i32>) {
    let (mut read, mut changed) = (Vec::new(), Vec::new());
    for id in 0..ITEMS {
        if cluster.run(node, READ, &[int(id)], QUORUM).await.is_ok_and(|it| it.rows.len() == 1) {
            read.push(id);
        }
        let values = [int(value), int(id), int(id)];
        if cluster.run(node, CHANGE, &values, QUORUM).await.is_ok() {
            changed.push(id);
        }
    }
    (read, changed)
}

/// How many replicas of each item are among some nodes.
fn of_replicas(cluster: &SimulatedCluster, among: &[usize]) -> Vec<usize> {
    let count = |id| {
        let statement = cluster.prepare(READ).expect("a statement");
        let key = statement.partition(&[int(id)]).expect("a key").expect("one partition");
        let replicas = cluster.replicas(key.token());
        replicas.iter().filter(|node| among.contains(node)).count()
    };
    (0..ITEMS).map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_quorum_is_lost_for_some() {
    for engine in ENGINES {
        let cluster = filled(engine, ClusterShape::FIVE).await;
        assert!(cluster.replicas_are_equal());
        assert!(of_replicas(&cluster, &[0, 1, 2, 3, 4]).iter().all(|copies| *copies == 3));
        cluster.kill(1);
        cluster.kill(2);
        let copies = of_replicas(&cluster, &[0, 3, 4]);
        let decidable: Vec<i32> =
            (0..).zip(&copies).filter(|it| *it.1 >= 2).map(|it| it.0).collect();
        assert!((1..40).contains(&decidable.len()), "{decidable:?}");
        let (read, changed) = reached(&cluster, 0, 7).await;
        assert_eq!(read, decidable, "{}", engine.name());
        assert_eq!(changed, decidable, "{}", engine.name());
        assert!(cluster.run(0, READ_ALL, &[], QUORUM).await.is_err(), "some have no quorum");
        cluster.start(1);
        cluster.start(2);
        let all = cluster.run(4, READ_ALL, &[], QUORUM).await.expect("all are up");
        assert_eq!(all.rows.len(), usize::try_from(ITEMS).expect("small"));
        assert_eq!(reached(&cluster, 3, 7).await.0.len(), all.rows.len());
        cluster.quiet().await;
        assert!(cluster.replicas_are_equal());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_and_a_read_of_several_partitions_go_to_the_replicas_of_each() {
    let cluster = of_shape(CqlEngine::Cassandra, ClusterShape::FIVE, 1, NetworkWeather::calm());
    let rows: Vec<Vec<BoundValue>> = (0..ITEMS).map(|id| vec![int(id), int(1)]).collect();
    let statement = cluster.prepare(WRITE).expect("a statement");
    let options = ExecutionOptions { consistency: QUORUM, page: None };
    cluster.execute(0, &statement, &rows, options).await.expect("calm");
    assert!(cluster.replicas_are_equal());
    let mut ids = 2_i32.to_be_bytes().to_vec();
    for id in [3, 4] {
        ids.extend(4_i32.to_be_bytes());
        ids.extend(i32::to_be_bytes(id));
    }
    let some = cluster.run(2, READ_SOME, &[BoundValue::Value(ids)], QUORUM).await.expect("calm");
    assert_eq!(some.rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rows_move_to_more_copies_when_they_are_repaired() {
    let one = ClusterShape { copies: 1, ..ClusterShape::THREE };
    let cluster = filled(CqlEngine::Cassandra, one).await;
    let everything = usize::try_from(ITEMS).expect("small");
    assert_eq!(reached(&cluster, 0, 0).await.0.len(), everything);
    cluster.set_copies(3, 1);
    cluster.kill(0);
    let (read, _) = reached(&cluster, 1, 0).await;
    assert!(read.len() < everything, "a quorum has never heard of some rows");
    cluster.start(0);
    cluster.repair();
    cluster.kill(0);
    assert_eq!(reached(&cluster, 1, 0).await.0.len(), everything);
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_replaced() {
    for engine in ENGINES {
        let cluster = filled(engine, ClusterShape::FIVE).await;
        // The node that dies and one other have a change that the third copy lacks.
        let (replicas, id) = {
            let statement = cluster.prepare(READ).expect("a statement");
            let key = statement.partition(&[int(1)]).expect("a key").expect("one partition");
            (cluster.replicas(key.token()), 1)
        };
        let [dies, keeps, lacks] = replicas[..] else { panic!("three copies") };
        cluster.kill(lacks);
        cluster.run(keeps, WRITE, &[int(id), int(9)], QUORUM).await.expect("two of three");
        cluster.start(lacks);
        cluster.lose_disk(dies);
        assert!(!cluster.is_up(dies));
        cluster.replace(dies);
        cluster.kill(keeps);
        assert_eq!(cluster.value(dies, QUORUM).await.expect("two of three"), Some(9));
        cluster.start(keeps);
        cluster.quiet().await;
        assert!(cluster.replicas_are_equal());
    }
}
