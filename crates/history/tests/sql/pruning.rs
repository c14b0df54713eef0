//! What a query does not read, as `explain` shows.

use compactor::ClosedPolicy;

use crate::world::World;

/// Partitions and plain files that the query reads.
async fn looked_at(world: &World, filter: &str) -> (String, String) {
    let sql = format!("explain select code from coupons where {filter}");
    let plan = world.ask(&sql).await.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let after = |word: &str| {
        let (_, rest) = plan.split_once(word).unwrap_or_else(|| panic!("no {word} in {plan}"));
        rest.split([',', '\n']).next().unwrap().to_owned()
    };
    (after("CouponsExec: partitions="), after("plain_files="))
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_files_are_ruled_out_before_they_are_read() {
    let world = World::full().await;
    world.compact(ClosedPolicy::Now).await;
    let cases = [
        ("no filter", "state = 'issued'", 3, 2),
        ("a partition", "expiry_day = '2026-03-01'", 1, 1),
        ("a partition that does not exist", "expiry_day = '2026-05-01'", 0, 0),
        ("several", "expiry_day in ('2026-03-01', '2026-12-31')", 2, 1),
        ("from an expires_on", "expires_on >= '2026-10-01'", 1, 0),
        ("from the expires_on of a partition", "expires_on >= '2026-03-03'", 2, 1),
        ("a zone to the east may be a day ahead", "expires_on >= '2026-03-02'", 3, 2),
        ("up to an expires_on", "expires_on <= '2026-02-27'", 1, 0),
        ("from an instant", "expires_at > '2026-03-03T00:00:00Z'", 1, 0),
        ("at the instant", "expires_at >= '2026-03-03T00:00:00Z'", 2, 1),
        ("a campaign", "campaign_id = 'spring'", 2, 1),
        ("two campaigns", "campaign_id = 'spring' or campaign_id = 'easter'", 3, 2),
        ("a code", "code = 'ZZZZZZ'", 1, 0),
        ("changed since", "modified_at >= '2026-11-21T00:00:00Z'", 1, 0),
        ("a tier", "tier = 'hot'", 1, 0),
        ("two filters that exclude each other", "expiry_day < '2026-03-02' and tier = 'hot'", 0, 0),
    ];
    for (name, filter, partitions, files) in cases {
        let want = (format!("{partitions} of 3"), format!("{files} of 2"));
        assert_eq!(looked_at(&world, filter).await, want, "{name}: {filter}");
        // The answer is right: it equals a query that cannot prune.
        let filtered = world.one(&format!("select count(*) from coupons where {filter}")).await;
        let sql = format!("select sum(case when {filter} then 1 else 0 end) from coupons");
        assert_eq!(filtered, world.one(&sql).await, "{name}: {filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_pruned_like_its_table() {
    let world = World::full().await;
    world.compact(ClosedPolicy::Now).await;
    let sql = "explain select count(*) from redemptions where expiry_day = '2026-03-01'";
    let plan = world.ask(sql).await.into_iter().flatten().collect::<Vec<_>>().join("\n");
    assert!(plan.contains("partitions=1 of 3"), "{plan}");
}
