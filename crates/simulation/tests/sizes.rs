//! How large the CQL partitions of a store on the simulated cluster become.

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;

use hot::HotStore;
use hot_conformance::kit::{Kit, MemoryArchive};
use hot_cql::{CqlHot, CqlOptions};
use simulated::ClusterFixture;

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
