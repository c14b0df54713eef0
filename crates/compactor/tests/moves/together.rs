//! Two compactors work on the same tiers, each with its own stores, while users make changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cold::{ColdError, ColdOptions};
use compactor::{ClosedPolicy, CompactionSettings};
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::Tier;
use tokio::sync::Barrier;

use super::stores::{Frozen, Steps};
use super::world::{
    Cast, Ground, SETTINGS, Said, World, ago, cancel, copied, give, is_conflict, now,
    open_partition, order, orphans, prepared, redeem, said, void,
};

/// Both compactors begin each of them at the same time.
const ROUNDS: usize = 5;

/// Coupons of one round.
const COUPONS: u64 = 24;

/// What the answers said about one coupon.
#[derive(Debug, Default)]
struct Told {
    /// The orders that redeemed it, oldest first. All but the last were cancelled.
    redeemed: Vec<String>,
    /// Whether the last one was cancelled, too.
    cancelled: bool,
    void: bool,
}

/// Each coupon has a different holder, so that nobody reaches their limit.
fn owner(code: &Code) -> String {
    format!("ann-{code}")
}

/// Users change `code` one after the other, in whichever tier it is. All changes happen 60 days ago
/// by the clock of the shop, so that a compactor may archive each coupon as soon as it is redeemed,
/// before a cancel or after it.
async fn lives(world: &World, code: &Code, nth: usize) -> Told {
    let (mut told, past, ann) = (Told::default(), ago(60), owner(code));
    if nth.is_multiple_of(6) {
        world.done(code, void(), past).await;
        told.void = true;
        return told;
    }
    world.done(code, give(&ann), past).await;
    for order in 0..3 {
        let order = order.to_string();
        let said = world.ask(code, redeem(&ann, &order), past).await;
        assert_eq!(said, Said::Accepted, "{code}, order {order}");
        told.redeemed.push(order.clone());
        told.cancelled = false;
        let again = world.ask(code, redeem(&ann, &order), past).await;
        assert_eq!(again, Said::Replayed, "{code}: a repeated request");
        let rival = world.ask(code, redeem(&ann, "rival"), past).await;
        assert_eq!(rival, Said::Refused(Refusal::AlreadyRedeemed), "{code}");
        if nth % 6 < 3 {
            return told;
        }
        match world.ask(code, cancel(&order), past).await {
            Said::Accepted => told.cancelled = true,
            // It is in cold now, or about to be, and final.
            Said::Refused(Refusal::CancelClosed) => return told,
            other => panic!("{code}: {other:?}"),
        }
        let again = world.ask(code, redeem(&ann, &order), past).await;
        assert_ne!(again, Said::Accepted, "{code}: an order redeems once");
    }
    told
}

/// Two orders at the same time for each coupon: one of them redeems it.
async fn race(one: Arc<World>, other: Arc<World>, codes: &[Code]) -> Vec<Told> {
    let mut told = Vec::new();
    for code in codes {
        let ann = owner(code);
        one.done(code, give(&ann), ago(60)).await;
        let (first, second) = tokio::join!(
            one.ask(code, redeem(&ann, "left"), ago(60)),
            other.ask(code, redeem(&ann, "right"), ago(60)),
        );
        let order = match (first, second) {
            (Said::Accepted, Said::Refused(Refusal::AlreadyRedeemed)) => "left",
            (Said::Refused(Refusal::AlreadyRedeemed), Said::Accepted) => "right",
            other => panic!("{code}: {other:?}"),
        };
        told.push(Told { redeemed: vec![order.into()], ..Told::default() });
    }
    told
}

/// Every answer is true.
async fn is_as_told(world: &World, code: &Code, told: &Told) {
    let coupon = world.see(code).await.expect("it is there").coupon;
    let redeemed: Vec<String> = coupon
        .events()
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Redeemed { order, .. } => Some(order.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(redeemed, told.redeemed, "{code}");
    let live = told.redeemed.last().filter(|_| !told.cancelled).map(|last| order(last));
    assert_eq!(coupon.redemption().map(|it| it.order.clone()), live, "{code}");
    assert_eq!(coupon.state().as_str() == "void", told.void, "{code}");
    if let Some(order) = live {
        let by = coupon.holder().unwrap().to_string();
        let again = world.ask(code, redeem(&by, order.as_str()), ago(60)).await;
        assert_eq!(again, Said::Replayed, "{code}");
        let other = world.ask(code, redeem(&by, "another"), ago(60)).await;
        assert_eq!(other, Said::Refused(Refusal::AlreadyRedeemed), "{code}");
    }
}

/// Compacts without a pause until all users are done.
async fn compacts(world: Arc<World>, starts: Arc<Barrier>, over: Arc<AtomicBool>) -> (u64, u64) {
    let (mut runs, mut conflicts) = (0, 0);
    let compactor = world.compactor();
    starts.wait().await;
    loop {
        let last = over.load(Ordering::SeqCst);
        match compactor.run(now(), ClosedPolicy::Now).await {
            Ok(report) => {
                for (work, error) in report.failed {
                    assert!(is_conflict(&error), "{work:?}: {error}");
                    conflicts += 1;
                }
            }
            // The next run does the rest.
            Err(error) => {
                assert!(is_conflict(&error), "{error}");
                conflicts += 1;
            }
        }
        runs += 1;
        if last {
            return (runs, conflicts);
        }
    }
}

/// Issues with an issue_ref during the compaction, and repeats each request a little later.
async fn issues(world: Arc<World>, campaign: CampaignId, round: usize) -> Vec<(Code, Told)> {
    let mut issued = Vec::new();
    for nth in 0..10 {
        let name = format!("r{round}-{nth}");
        let applied = world.issue(&campaign, &name, "a", ago(60)).await;
        assert_eq!(said(&applied), Said::Accepted);
        let code = applied.snapshot.unwrap().coupon.code().clone();
        let past: Millis = ago(60);
        let redemption = redeem(&name, "1");
        world.done(&code, redemption, past).await;
        let again = world.issue(&campaign, &name, "a", ago(60)).await;
        assert_eq!(said(&again), Said::Replayed, "{name} gets the same coupon");
        assert_eq!(*again.snapshot.unwrap().coupon.code(), code, "the same coupon");
        let told = Told { redeemed: vec!["1".into()], ..Told::default() };
        issued.push((code, told));
    }
    issued
}

/// Reads all codes without a pause, and once more at the end: no coupon goes back to an earlier
/// state.
async fn reads(world: Arc<World>, codes: Vec<Code>, over: Arc<AtomicBool>) -> [u64; 2] {
    let mut versions = vec![0; codes.len()];
    let mut tiers = [0; 2];
    loop {
        let last = over.load(Ordering::SeqCst);
        for (code, version) in codes.iter().zip(&mut versions) {
            let snapshot = world.see(code).await.unwrap_or_else(|| panic!("{code} is lost"));
            assert!(
                snapshot.coupon.version() >= *version,
                "{code} went back to {:?}",
                snapshot.coupon
            );
            *version = snapshot.coupon.version();
            tiers[usize::from(snapshot.tier == Tier::Cold)] += 1;
        }
        if last {
            return tiers;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_at_once() {
    if !crate::place::is_there() {
        return;
    }
    let disk = crate::place::folder();
    let (one, other) = (Arc::new(World::open(disk.path())), Arc::new(World::open(disk.path())));
    let campaign = one.campaign("open", open_partition()).await;
    let stock = one.campaign("stock", open_partition()).await;
    one.minted(&stock, "S", 10 * ROUNDS as u64).await;
    let mut all: Vec<(Code, Told)> = Vec::new();
    let (runs, conflicts, seen) =
        (AtomicU64::new(0), AtomicU64::new(0), [const { AtomicU64::new(0) }; 2]);
    for round in 0..ROUNDS {
        let codes = one.minted(&campaign, &format!("B{round}"), COUPONS).await;
        let racing = one.minted(&campaign, &format!("R{round}"), 8).await;
        let fresh = all.len();
        let starts = Arc::new(Barrier::new(3));
        let (over, moved) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let compactors = [&one, &other].map(|world| {
            tokio::spawn(compacts(Arc::clone(world), Arc::clone(&starts), Arc::clone(&over)))
        });
        starts.wait().await;
        let reader = tokio::spawn(reads(Arc::clone(&one), codes.clone(), Arc::clone(&moved)));
        let issuer = tokio::spawn(issues(Arc::clone(&other), stock.id.clone(), round));
        let customers: Vec<_> = (0..3_usize)
            .map(|lane| {
                let world = Arc::clone(if lane == 0 { &one } else { &other });
                let codes = codes.clone();
                tokio::spawn(async move {
                    let mut told = Vec::new();
                    for (nth, code) in codes.iter().enumerate().filter(|(nth, _)| nth % 3 == lane) {
                        told.push((code.clone(), lives(&world, code, nth / 3).await));
                    }
                    told
                })
            })
            .collect();
        let raced = race(Arc::clone(&one), Arc::clone(&other), &racing).await;
        all.extend(racing.into_iter().zip(raced));
        for customer in customers {
            all.extend(customer.await.unwrap());
        }
        all.extend(issuer.await.unwrap());
        over.store(true, Ordering::SeqCst);
        for compactor in compactors {
            let (run, late) = compactor.await.unwrap();
            runs.fetch_add(run, Ordering::SeqCst);
            conflicts.fetch_add(late, Ordering::SeqCst);
        }
        moved.store(true, Ordering::SeqCst);
        for (total, tier) in seen.iter().zip(reader.await.unwrap()) {
            total.fetch_add(tier, Ordering::SeqCst);
        }
        for (code, told) in &all[fresh..] {
            is_as_told(if round % 2 == 0 { &one } else { &other }, code, told).await;
        }
    }
    println!(
        "{} coupons, {runs:?} runs, {conflicts:?} conflicts, {seen:?} reads of hot and cold",
        all.len()
    );
    assert!(seen.iter().all(|tier| tier.load(Ordering::SeqCst) > 0), "both tiers were read");
    let cancelled = all.iter().filter(|(_, told)| told.cancelled || told.redeemed.len() > 1);
    println!("{} late cancels came before the archive commit", cancelled.count());
    for (code, told) in &all {
        is_as_told(&other, code, told).await;
    }
    let codes = all.iter().map(|(code, _)| code.clone()).collect();
    let cast = Cast { codes, campaigns: vec![campaign.id.clone(), stock.id.clone()] };
    let before = one.census(&cast).await;
    // In the end both of them archive everything at the same time.
    let later = open_partition().end().plus_days(40);
    let (left, right) = (one.compactor(), other.compactor());
    let (first, second) =
        tokio::join!(left.run(later, ClosedPolicy::Now), right.run(later, ClosedPolicy::Now));
    for ended in [first, second] {
        assert!(ended.as_ref().err().is_none_or(is_conflict), "{ended:?}");
    }
    other.compacts(later).await;
    other.is_settled(later, &before, &cast, "all are in cold").await;
    assert!(one.rows().await.is_empty());
}

/// Many look at the clock of one store at the same time. A server that keeps objects as files may
/// then find that the folder of an object is away, because another one has just deleted the last
/// object in it, and refuse the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_probe_one_store() {
    if !crate::place::is_there() {
        return;
    }
    const STORES: usize = 8;
    const PROBES: usize = 40;
    let disk = crate::place::folder();
    let probes = (0..STORES).map(|_| {
        let cold = crate::place::cold(&disk.path().join("cold"), ColdOptions::default());
        tokio::spawn(async move {
            for _ in 0..PROBES {
                cold.probe().await?;
            }
            Ok::<_, ColdError>(())
        })
    });
    for probe in probes.collect::<Vec<_>>() {
        probe.await.unwrap().unwrap();
    }
}

/// Files that a slow compactor has written and not committed are not swept, as long as nobody else
/// has committed their number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_spares_what_may_still_be_committed() {
    if !crate::place::is_there() {
        return;
    }
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    for step in ["before put coupons/_delta_log/", "before put coupons_by_holder/_delta_log/"] {
        let disk = copied(disk.path());
        let world = World::open(disk.path());
        let before = world.census(&cast).await;
        // The tables exist from now on.
        let settings = CompactionSettings { closed_wait_days: 3_000, ..SETTINGS };
        world.compactor_of(settings).run(now(), ClosedPolicy::WhenWorthwhile).await.unwrap();
        let frozen = Frozen::new();
        let steps = Steps::named(step, frozen.act());
        let compactor = steps.compactor(&world);
        let now = now();
        let mut slow = tokio::spawn(async move { compactor.run(now, ClosedPolicy::Now).await });
        frozen.arrives(&mut slow).await;
        let written = orphans(&world.at);
        assert_eq!(written.len(), 1, "{step}: {written:?}");
        world.cold.sweep(now).await.unwrap();
        assert_eq!(orphans(&world.at), written, "{step}: the file is still there");
        frozen.thaws();
        let report = slow.await.unwrap().unwrap();
        assert!(report.failed.is_empty(), "{step}: {report:?}");
        world.is_settled(now, &before, &cast, step).await;
    }
}
