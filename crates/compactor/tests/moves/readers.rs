//! A read during a compaction gets the right answer, from either tier.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use compactor::{ClosedPolicy, CompactionSettings};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::imported::ImportedState;
use hot::Tier;

use super::world::{Cast, World, ago, now, open_partition, over_partition, spent, user};

/// Coupons in each of the two partitions.
const COUPONS: usize = 30_000;

const READERS: u64 = 3;

fn imported_state(nth: usize, days: i32) -> ImportedState {
    match nth % 5 {
        0 => ImportedState::Available,
        1 => ImportedState::Issued { holder: user(&format!("u{nth}")), at: None },
        2 | 3 => spent(ago(days), &nth.to_string()),
        _ => ImportedState::VOID,
    }
}

fn is_right(nth: usize, state: &State) -> bool {
    match (nth % 5, state) {
        (0, State::Available) | (4, State::Void { holder: None }) => true,
        (1, State::Issued { holder }) => *holder == user(&format!("u{nth}")),
        (2 | 3, State::Redeemed { redemption, .. }) => redemption.order.as_str() == nth.to_string(),
        _ => false,
    }
}

/// Reads at random until the compaction ends. Returns the number of reads from each tier.
async fn reads(
    world: Arc<World>,
    codes: Arc<Vec<Code>>,
    seed: u64,
    over: Arc<AtomicBool>,
    total: Arc<AtomicU64>,
) -> [u64; 2] {
    let (mut random, mut tiers) = (seed, [0, 0]);
    // Some coupons of both tiers are read, also after a compaction that was faster than this task.
    while !over.load(Ordering::SeqCst) || tiers.iter().any(|reads| *reads < 100) {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (random >> 33) as usize % codes.len();
        let snapshot =
            world.see(&codes[at]).await.unwrap_or_else(|| panic!("{} is lost", codes[at]));
        let state = snapshot.coupon.state();
        assert!(is_right(at % COUPONS, state), "{}: {:?}", codes[at], snapshot.coupon);
        tiers[usize::from(snapshot.tier == Tier::Cold)] += 1;
        total.fetch_add(1, Ordering::Relaxed);
    }
    tiers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_during_a_compaction() {
    if !crate::place::is_there() {
        return;
    }
    let disk = crate::place::folder();
    let world = Arc::new(World::open(disk.path()));
    let began = Instant::now();
    let (mut codes, mut cast) = (Vec::new(), Cast::default());
    for (name, partition, days) in [("open", open_partition(), 60), ("over", over_partition(), 180)]
    {
        let campaign = world.campaign(name, partition).await;
        let imported_states = (0..COUPONS).map(|nth| imported_state(nth, days)).collect();
        let word = if name == "open" { "A" } else { "B" };
        codes.extend(world.imported(&campaign, word, imported_states).await);
        cast.campaigns.push(campaign.id);
    }
    println!("imported in {:?}", began.elapsed());
    cast.codes = codes.iter().step_by(1_999).cloned().collect();
    let before = world.census(&cast).await;
    let (over, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let codes = Arc::new(codes);
    let readers: Vec<_> = (1..=READERS)
        .map(|seed| {
            let (world, codes) = (Arc::clone(&world), Arc::clone(&codes));
            tokio::spawn(reads(world, codes, seed, Arc::clone(&over), Arc::clone(&total)))
        })
        .collect();
    let began = Instant::now();
    let now = now();
    let report = world
        .compactor_of(CompactionSettings::default())
        .run(now, ClosedPolicy::Now)
        .await
        .unwrap();
    let took = began.elapsed();
    over.store(true, Ordering::SeqCst);
    let mut tiers = [0, 0];
    for reader in readers {
        let read = reader.await.unwrap();
        tiers.iter_mut().zip(read).for_each(|(sum, read)| *sum += read);
    }
    println!("{took:?} for {report:?}; {tiers:?} reads of hot and cold meanwhile");
    assert!(report.failed.is_empty());
    let removed: u64 = report.partitions.iter().map(|partition| partition.removed).sum();
    assert_eq!(
        removed,
        (COUPONS + COUPONS / 5 * 3) as u64,
        "one partition, and the closed coupons"
    );
    assert!(tiers.iter().all(|reads| *reads >= 300), "both tiers were read: {tiers:?}");
    world.is_settled(now, &before, &cast, "afterwards").await;
}
