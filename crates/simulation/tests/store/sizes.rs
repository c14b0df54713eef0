//! How large the CQL partitions of a store on the simulated cluster become.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::simulated::ClusterFixture;
use coupon::campaign::Campaign;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use cql_session::{RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use hot::HotStore;
use hot::redemptions::RedemptionQuery;
use hot_conformance::kit::{ChangeOutcome, Kit, MemoryArchive, NOW, give, of, redeem, said};
use hot_cql::{CqlHot, CqlOptions};
use scylla::errors::ExecutionError;
use simulated_cluster::session::StatementTamper;

const ROWS_MAX: u64 = 100_000;

async fn opened() -> (Arc<CqlHot>, Kit) {
    let options = CqlOptions { bucket_bits: 4, clock_bound_ms: 0, ..ClusterFixture::options() };
    let archive = Arc::new(MemoryArchive::default());
    let hot = ClusterFixture::calm(1).process(options, Arc::clone(&archive) as _, None).await;
    let kit = Kit::new(Arc::clone(&hot) as Arc<dyn HotStore>, archive);
    (hot, kit)
}

#[tokio::test(start_paused = true)]
async fn the_buckets_of_a_day_follow_its_coupons() {
    let (_, kit) = opened().await;
    // Coupons of the first batch of a day, and the bits of its buckets.
    let rows: [(&str, u64, u8); 5] = [
        ("a few: the least that is set up", 3, 4),
        ("as many as the least takes", 16 << 16, 4),
        ("one more", (16 << 16) + 1, 5),
        ("30 % of ten billion", 3_000_000_000, 16),
        ("ten billion that perhaps nobody draws: each bucket has to be sealed", 10_000_000_000, 16),
    ];
    for (name, coupons, want) in rows {
        let campaign = kit.draft();
        kit.create(&campaign).await;
        kit.mint(&campaign, coupons).await;
        let bits = kit.hot.bucket_bits(campaign.expiry_day()).await.unwrap();
        assert_eq!(bits, Some(want), "{name}");
        assert!(coupons > 3_000_000_000 || coupons >> want < ROWS_MAX, "{name}");
        // A later batch does not move a code to another bucket.
        kit.mint(&campaign, 3_000_000_000).await;
        let later = kit.hot.bucket_bits(campaign.expiry_day()).await.unwrap();
        assert_eq!(later, Some(want), "{name}, and more of them later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redemption_in_two_partitions_is_listed_once() {
    let (hot, kit) = opened().await;
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let ann = kit.user("ann");
    for code in &codes {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, redeem(&ann, "order")).await;
    }
    let list = kit.hot.redemptions().expect("it has records");
    let listed = async |limit| {
        let (campaign, before) = (Some(campaign.id.clone()), NOW.plus_days(1));
        let query = RedemptionQuery { campaign, from: Millis(0), before, after: None, limit };
        let page = list.redemptions(query).await.unwrap();
        page.rows.iter().map(|row| row.snapshot.coupon.code().clone()).collect::<Vec<_>>()
    };
    let mut once = listed(10).await;
    while once.len() < codes.len() {
        // The feed has an event some seconds later, by the clock of the cluster.
        tokio::time::sleep(Duration::from_secs(1)).await;
        once = listed(10).await;
    }

    // Another process has counted more of this hour, and enters them one level higher.
    let higher = |shard: &mut [u8]| shard[7] += 100;
    let cql = "SELECT kind, part, key, value FROM record";
    type Row = (String, Vec<u8>, Vec<u8>, Option<Vec<u8>>);
    let rows: Vec<Row> = hot.session().scan(cql, ()).await.unwrap();
    for (kind, mut part, mut key, value) in rows {
        match kind.as_str() {
            "redemption" => higher(&mut part[8..16]),
            "redeemed_hour" => higher(&mut key[8..16]),
            _ => continue,
        }
        let cql = "INSERT INTO record (kind, part, key, value) VALUES (?, ?, ?, ?)";
        hot.session().write(cql, (kind, part, key, value)).await.unwrap();
    }
    assert_eq!(listed(10).await, once);
    assert_eq!(listed(2).await, once[..2], "and a page is full with as many");
}

#[tokio::test(start_paused = true)]
async fn counts_of_processes_that_ended_become_one() {
    const STARTS: u64 = 12;
    let cluster = ClusterFixture::calm(3);
    let archive = Arc::new(MemoryArchive::default());
    let started = async || {
        let archive = Arc::clone(&archive);
        let hot = cluster.process(ClusterFixture::options(), Arc::clone(&archive) as _, None).await;
        let kit = Kit::new(Arc::clone(&hot) as Arc<dyn HotStore>, archive);
        (hot, kit)
    };
    let (hot, kit) = started().await;
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    let codes = kit.stocked(&campaign, 2 * STARTS).await;
    drop((hot, kit));
    let (mut most, mut code) = (0, codes.iter());
    for start in 1..=STARTS {
        let (hot, kit) = started().await;
        // Two changes in a row of its own.
        for user in ["ann", "ben"] {
            kit.done(code.next().unwrap(), give(&kit.user(user), None)).await;
            hot.flush().await;
        }
        let row = kit.hot.campaign(&campaign.id, NOW).await.unwrap().unwrap();
        assert_eq!(row.counts.issued, 2 * start, "start {start}");
        let cql = "SELECT process, batch_id FROM campaign_counts WHERE campaign_id = ?";
        let rows: Vec<(Option<uuid::Uuid>, Option<String>)> =
            hot.session().scan(cql, (campaign.id.as_str(),)).await.unwrap();
        most = most.max(rows.len());
        drop((hot, kit));
        // Nobody runs meanwhile.
        tokio::time::sleep(Duration::from_secs(25 * 3_600)).await;
    }
    assert!(most <= 4, "{most} rows of {STARTS} processes, one a day");
}

/// Counts the coupons that a process reads.
#[derive(Default)]
struct CouponReads(AtomicUsize);

impl StatementTamper for CouponReads {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        if request.cql.starts_with("SELECT") && request.cql.contains("FROM coupon WHERE") {
            self.0.fetch_add(request.rows.len(), Ordering::Relaxed);
        }
        ready(None).boxed()
    }
}

/// Replaces the hint in the lease of a campaign that has one.
async fn set_done(hot: &CqlHot, campaign: &Campaign, done: Option<i32>) {
    let cql = "SELECT campaign_id, batch_id, kind, first, name FROM lease";
    type Row = (String, String, Option<i32>, Option<i64>, Option<String>);
    let rows: Vec<Row> = hot.session().scan(cql, ()).await.unwrap();
    let row = rows.into_iter().find(|(id, ..)| id == campaign.id.as_str()).expect("a lease");
    let cql = "UPDATE lease SET done = ? WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
               AND first = ? AND name = ?";
    hot.session().write(cql, (done, row.0, row.1, row.2, row.3, row.4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_issue_after_a_quiet_while_does_not_read_what_was_issued_before() {
    /// More than a process reads at once.
    const ISSUED: usize = 100;
    const LEASED: usize = 200;
    let cluster = ClusterFixture::calm(1);
    let archive = Arc::new(MemoryArchive::default());
    let started = async || {
        let reads = Arc::new(CouponReads::default());
        let options = CqlOptions { bucket_bits: 4, clock_bound_ms: 0, ..ClusterFixture::options() };
        let (archive, tamper) = (Arc::clone(&archive), Some(Arc::clone(&reads) as _));
        let hot = cluster.process(options, Arc::clone(&archive) as _, tamper).await;
        let kit = Kit::new(Arc::clone(&hot) as Arc<dyn HotStore>, archive);
        (hot, kit, reads)
    };
    let (one, other) = (started().await, started().await);
    // Issues one more coupon, and returns how many were read for it.
    let next = async |process: &(Arc<CqlHot>, Kit, _), campaign: &Campaign, user: &str| {
        let (_, kit, reads): &(_, _, Arc<CouponReads>) = process;
        let before = reads.0.load(Ordering::Relaxed);
        let issued = kit.issue_at(NOW, &campaign.id, &one.1.user(user), None).await;
        (issued, reads.0.load(Ordering::Relaxed) - before)
    };
    let quiet = async || tokio::time::sleep(Duration::from_secs(5)).await;
    for name in ["minted", "imported"] {
        let campaign = one.1.draft();
        one.1.create(&campaign).await;
        match name {
            "minted" => drop(one.1.mint(&campaign, LEASED as u64 * 64).await),
            _ => drop(one.1.imported(&campaign, LEASED).await),
        }
        let mut issued = BTreeSet::new();
        for nth in 0..ISSUED {
            let (applied, _) = next(&one, &campaign, &format!("{name}-{nth}")).await;
            issued.insert(of(&applied).code().clone());
        }
        let rows = [
            ("the same process", &one, None, 0..=8),
            ("another one", &other, None, 0..=8),
            ("the first one again", &one, None, 0..=8),
            ("without the hint", &other, Some(None), ISSUED..=2 * LEASED),
            ("with a hint that is too high", &one, Some(Some(150)), 0..=8),
        ];
        for (case, process, hint, want) in rows {
            quiet().await;
            if let Some(done) = hint {
                set_done(&one.0, &campaign, done).await;
            }
            let (applied, read) = next(process, &campaign, &format!("{name}-after")).await;
            assert!(want.contains(&read), "{name}, {case}: {read} coupons were read for one issue");
            issued.insert(of(&applied).code().clone());
        }
        assert_eq!(issued.len(), ISSUED + 5, "{name}: no coupon was issued twice");
        if name == "imported" {
            // The hint hides nothing.
            for nth in issued.len()..LEASED {
                let (applied, _) = next(&other, &campaign, &format!("{name}-{nth}")).await;
                issued.insert(of(&applied).code().clone());
            }
            assert_eq!(issued.len(), LEASED);
            let (applied, _) = next(&one, &campaign, "late").await;
            assert_eq!(said(&applied), ChangeOutcome::Refused(Refusal::SoldOut));
        }
    }
}
