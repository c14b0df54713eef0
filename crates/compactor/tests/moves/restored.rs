//! A hot store restored from a backup, with the present cold tier.

use std::fs;

use compactor::{ClosedPolicy, CompactError, StoreMismatch, check_pairing};
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use hot::{ColdMark, ImportLine, ImportOutcome, Imports, Partitions, Reconciled, Tier};
use hot_sqlite::FILE_NAME;
use tempfile::TempDir;

use super::world::{
    Said, World, acts_at, ago, copied, give, hot_folder, now, open_partition, over_partition,
    redeem, said, spent,
};

/// Reconciles the store with everything in cold, as `couponry restore` does.
async fn reconciles(world: &World) -> Reconciled {
    world.hot.pass_over_serials().await.unwrap();
    let found = match check_pairing(&*world.hot, &world.cold).await {
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => found,
        other => panic!("{other:?}"),
    };
    let mut all = Reconciled::default();
    for partition in world.cold.partitions().await.unwrap() {
        for file in &partition.files {
            let mut rows = world.cold.rows(file).await.unwrap();
            while let Some(coupons) = rows.next().await.unwrap() {
                let here = world.hot.reconcile(partition.day, coupons).await.unwrap();
                all.reconciled += here.reconciled;
                all.known += here.known;
                all.strangers += here.strangers;
            }
        }
    }
    let mark = ColdMark { begun: Some(found), committed: Some(found) };
    world.hot.raise_cold_mark(mark).await.unwrap();
    check_pairing(&*world.hot, &world.cold).await.unwrap();
    all
}

/// A backup, and the changes since.
struct Past {
    disk: TempDir,
    campaign: Campaign,
    /// Redeemed for order 1 after the backup, and archived.
    spent: Vec<Code>,
    /// Redeemed for order 1 and archived before the backup.
    known: Code,
    /// In a wallet at the backup and now.
    held: Code,
    /// Minted after the backup.
    late: Vec<Code>,
    strange: Code,
    lost: Code,
}

/// Puts the hot store of the backup beside the present cold tier.
async fn put_back() -> Past {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let campaign = world.campaign("open", open_partition()).await;
    let over = world.campaign("over", over_partition()).await;
    let codes = world.minted(&campaign, "a", 20).await;
    let gone = world.minted(&over, "o", 4).await;
    let imported = world.imported(&campaign, "F", vec![ImportedState::Available; 3]).await;
    for code in [&codes[0], &codes[1], &codes[2], &imported[0], &gone[0]] {
        world.done(code, give("ann"), ago(200).max(campaign.valid_from)).await;
    }
    world.done(&codes[2], redeem("ann", "1"), ago(60)).await;
    world.compacts(ago(1)).await;
    let backup = disk.path().join("backup.db");
    world.hot.back_up(&backup).await.unwrap();
    // After the backup.
    world.done(&codes[0], redeem("ann", "1"), ago(60)).await;
    for code in [&codes[3], &imported[0], &imported[1]] {
        if *code != imported[0] {
            world.done(code, give("ann"), ago(60)).await;
        }
        world.done(code, redeem("ann", "1"), ago(60)).await;
    }
    let foreign = world.line(&campaign, "F", 9, spent(ago(60), "1"));
    world.import(&campaign, &"F".parse().unwrap(), vec![foreign.clone()]).await;
    let unknown = world.campaign("unknown", open_partition()).await;
    let lost = world.minted(&unknown, "u", 1).await.remove(0);
    world.done(&lost, give("ann"), ago(60)).await;
    world.done(&lost, redeem("ann", "1"), ago(60)).await;
    let strange = world.imported(&unknown, "X", vec![spent(ago(60), "1")]).await.remove(0);
    let late = world.minted(&campaign, "b", 5).await;
    for code in &late {
        world.done(code, give("bob"), ago(60)).await;
        world.done(code, redeem("bob", "1"), ago(60)).await;
    }
    world.compacts(now()).await;
    drop(world);
    for name in [FILE_NAME, "hot.db-wal", "hot.db-shm"] {
        let _ = fs::remove_file(hot_folder(disk.path()).join(name));
    }
    fs::rename(&backup, hot_folder(disk.path()).join(FILE_NAME)).unwrap();
    let spent = [&codes[0], &codes[3], &imported[0], &imported[1], &foreign.code];
    let spent = spent.into_iter().cloned().collect();
    let (known, held) = (codes[2].clone(), codes[1].clone());
    Past { disk, campaign, spent, known, held, late, strange, lost }
}

fn opened(past: &Past) -> (TempDir, World) {
    let disk = copied(past.disk.path());
    let world = World::open(disk.path());
    (disk, world)
}

#[tokio::test]
async fn no_archived_coupon_is_redeemed_again() {
    let past = put_back().await;
    let (_disk, world) = opened(&past);
    let ended = world.compactor().run(now(), ClosedPolicy::Now).await;
    assert!(
        matches!(ended, Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { .. }))),
        "{ended:?}"
    );
    let reconciled = reconciles(&world).await;
    assert!(
        reconciled.reconciled >= past.spent.len() as u64 && reconciled.known >= 1,
        "{reconciled:?}"
    );
    assert!(reconciled.strangers >= 2, "{reconciled:?}");
    world.is_sound("reconciled").await;
    for code in past.spent.iter().chain([&past.known]) {
        let snapshot = world.see(code).await.unwrap();
        assert_eq!(snapshot.tier, Tier::Cold, "{code}");
        let by = snapshot.coupon.holder().unwrap().to_string();
        assert_eq!(world.ask(code, redeem(&by, "2"), ago(60)).await, SPENT, "{code}");
        let same = world.ask(code, redeem(&by, "1"), ago(60)).await;
        assert_eq!(same, Said::Replayed, "{code}");
    }
    assert_eq!(world.see(&past.held).await.unwrap().tier, Tier::Hot);
    let campaign_counts = counts_of(&world, &past).await;
    assert_eq!(
        (campaign_counts.redeemed, campaign_counts.issued, campaign_counts.void),
        counts(&past),
        "{campaign_counts:?}"
    );
    world.done(&past.held, redeem("ann", "1"), ago(60)).await;
    // Reconciling twice changes nothing more.
    let before = counts_of(&world, &past).await;
    for partition in world.cold.partitions().await.unwrap() {
        for file in &partition.files {
            let mut rows = world.cold.rows(file).await.unwrap();
            while let Some(coupons) = rows.next().await.unwrap() {
                let again = world.hot.reconcile(partition.day, coupons).await.unwrap();
                assert_eq!(again.reconciled, 0, "{again:?}");
            }
        }
    }
    assert_eq!(counts_of(&world, &past).await, before);
    world.is_sound("reconciled again").await;
}

const SPENT: Said = Said::Refused(Refusal::AlreadyRedeemed);

async fn counts_of(world: &World, past: &Past) -> CampaignCounts {
    world.counts(&past.campaign.id).await
}

/// Redeemed, issued, void.
fn counts(past: &Past) -> (u64, u64, u64) {
    // The late ones are of a batch that is not in the backup.
    (past.spent.len() as u64 + 1, 1, 0)
}

/// The compactor works on the restored store.
#[tokio::test]
async fn a_restored_store_is_compacted() {
    let past = put_back().await;
    let (_disk, world) = opened(&past);
    reconciles(&world).await;
    let mut coupons = Vec::new();
    for code in &past.spent {
        coupons.push(world.see(code).await.unwrap().coupon);
    }
    let campaign_counts = counts_of(&world, &past).await;
    for at in [now(), open_partition().end().plus_days(40)] {
        world.compacts(at).await;
        for (code, coupon) in past.spent.iter().zip(&coupons) {
            assert_eq!(world.see(code).await.unwrap().coupon, *coupon, "{code}");
        }
        assert_eq!(counts_of(&world, &past).await, campaign_counts);
        world.is_sound("compacted").await;
        let works = world.compactor().plan(at, ClosedPolicy::Now).await.unwrap();
        assert!(works.is_empty(), "{works:?}");
    }
    assert!(world.rows().await.is_empty(), "all partitions are over");
}

#[tokio::test]
async fn codes_made_after_the_backup_stay_taken() {
    let past = put_back().await;
    let (_disk, world) = opened(&past);
    reconciles(&world).await;
    // Imported after the backup, one of them into a campaign that is not in the backup.
    let batch = "again".parse().unwrap();
    world.hot.open_import(&past.campaign.id, &batch, &acts_at(now())).await.unwrap();
    for (code, want) in
        [(&past.spent[4], ImportOutcome::AlreadyThere), (&past.strange, ImportOutcome::CodeTaken)]
    {
        let line = world.line(&past.campaign, "F", 9, ImportedState::Available);
        let line = ImportLine { code: code.clone(), ..line };
        let outcome = world.import(&past.campaign, &batch, vec![line]).await;
        assert_eq!(outcome, [want], "{code}");
    }
    for code in [&past.strange, &past.lost] {
        assert!(world.find(code).await.is_none(), "{code}: its campaign is unknown");
    }
    // Minted again.
    let mut fresh = world.minted(&past.campaign, "c", 300).await;
    let other = world.campaign("fresh", open_partition()).await;
    fresh.extend(world.minted(&other, "c", 300).await);
    let lying = world.lying().await;
    for code in &fresh {
        assert!(!past.late.contains(code) && !lying.contains_key(code), "{code} is minted twice");
        assert_eq!(world.see(code).await.unwrap().coupon.version(), 0, "{code}");
    }
    let applied = world.issue(&past.campaign.id, "eve", "r", ago(60)).await;
    assert_eq!(said(&applied), Said::Accepted);
    let code = applied.snapshot.unwrap().coupon.code().clone();
    assert!(!lying.contains_key(&code), "{code} was minted before the restore");
}
