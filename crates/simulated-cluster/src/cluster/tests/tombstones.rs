//! What is left of deleted rows.

use super::*;

const DELETE: &str = "DELETE FROM item WHERE id = ?";

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_repaired_brings_deleted_rows_back() {
    let rows = [
        ("it was repaired in time", true, true, None),
        ("it was not, and others have forgotten that it is deleted", false, true, Some(7)),
        ("it was not, and the others still know", false, false, None),
    ];
    for (name, is_repaired, is_compacted, seen) in rows {
        let cluster = cluster(1, NetworkWeather::calm());
        cluster.set(0, 7).await.expect("calm");
        cluster.kill(2);
        cluster.run(0, DELETE, &[int(1)], QUORUM).await.expect("two of three");
        if is_repaired {
            cluster.start(2);
            cluster.repair();
        }
        if is_compacted {
            cluster.compact();
        }
        cluster.start(2);
        cluster.kill(0);
        assert_eq!(cluster.value(1, QUORUM).await.expect("two of three"), seen, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_counts_what_it_passes() {
    let cluster = cluster(1, NetworkWeather::calm());
    let passed = || cluster.tombstones().get("item").copied().unwrap_or_default();
    cluster.set(0, 7).await.expect("calm");
    cluster.value(0, QUORUM).await.expect("calm");
    assert_eq!(passed(), 0);
    for id in 0..30 {
        cluster.run(0, DELETE, &[int(id)], QUORUM).await.expect("calm");
    }
    cluster.run(0, "SELECT id FROM item", &[], QUORUM).await.expect("calm");
    assert_eq!(passed(), 30);
}
