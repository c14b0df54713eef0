//! Expiry days that were kept for long enough are deleted, also if the compactor fails at any of its writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cold::DeletedDay;
use compactor::{ClosedPolicy, CompactionSettings, DeletedReport};
use coupon::code::Code;
use coupon::imported::ImportedState;
use hot::inventory::{Item, Table, all};
use hot::{ImportLine, ImportOutcome, Imports, Partitions};
use tempfile::TempDir;

use super::stores::{Act, Steps};
use super::world::{
    SETTINGS, World, acts_at, ago, cold_options, copied, give, now, open_partition, over_partition,
    redeem, spent, user,
};

/// The partition that is over was kept for 100 days.
const KEEP: CompactionSettings = CompactionSettings { keep_archived_days: Some(60), ..SETTINGS };

/// More claims than a wallet has.
const MANY: u64 = 40;

/// Both tiers: ann and a user of many coupons have some of a day that is to be deleted, and one that stays.
struct Stage {
    disk: TempDir,
    deleted: Vec<Code>,
    stays: Vec<Code>,
}

impl Stage {
    async fn set() -> Stage {
        let disk = crate::place::folder();
        let world = World::open(disk.path());
        let (open, over) = (open_partition(), over_partition());
        let (open, over) = (world.campaign("open", open).await, world.campaign("over", over).await);
        let mut deleted = world.minted(&over, "A", MANY + 1).await;
        let (ann, many) = deleted.split_at(1);
        for (code, holder) in
            ann.iter().map(|it| (it, "ann")).chain(many.iter().map(|it| (it, "max")))
        {
            world.done(code, give(holder), ago(180)).await;
            world.done(code, redeem(holder, code.as_str()), ago(180)).await;
        }
        let line = spent(ago(150), "2");
        deleted.extend(world.imported(&over, "OLD", vec![line, ImportedState::Available]).await);
        let stays = world.minted(&open, "B", 2).await;
        for (code, holder) in stays.iter().zip(["ann", "max"]) {
            world.done(code, give(holder), ago(60)).await;
            world.done(code, redeem(holder, "1"), ago(60)).await;
        }
        world.compacts(now()).await;
        assert!(world.hot.partition(over_partition()).await.unwrap().unwrap().emptied);
        Stage { disk, deleted, stays }
    }

    fn copied(&self) -> (TempDir, World) {
        let disk = copied(self.disk.path());
        let world = World::open(disk.path());
        (disk, world)
    }

    /// Nothing of the day is left, and nothing else is missing.
    async fn is_deleted(&self, world: &World, name: &str) {
        for code in &self.deleted {
            assert_eq!(world.see(code).await, None, "{name}: {code}");
        }
        for code in &self.stays {
            assert!(world.see(code).await.is_some(), "{name}: {code}");
        }
        let (day, cold) = (over_partition(), &world.cold);
        assert_eq!(cold.partition(day).await.unwrap().files, Vec::new(), "{name}");
        for (holder, held) in [("ann", 1), ("max", 1), ("dan", 0)] {
            let found = cold.of_holder(&user(holder), None).await.unwrap();
            assert_eq!(found.len(), held, "{name}: {holder}");
        }
        assert!(!world.complete_days().await.contains_key(&day), "{name}");
        let mut claims: BTreeMap<String, u64> = BTreeMap::new();
        for item in all(&*world.hot, Table::Claims).await.unwrap() {
            let Item::Claim(claim) = item else { panic!("{name}: {item:?}") };
            *claims.entry(claim.user.to_string()).or_default() += 1;
        }
        // The number of claims in a wallet says whether there are others.
        let want = [("ann".to_owned(), 1), ("max".to_owned(), MANY + 1)];
        assert_eq!(claims, want.into(), "{name}");
    }

    /// Finishes it with a run that nothing disturbs.
    async fn ends(&self, world: &World, name: &str) {
        let run = world.compactor_of(KEEP).run(now(), ClosedPolicy::WhenWorthwhile).await.unwrap();
        assert!(run.not_deleted.is_none() && run.failed.is_empty(), "{name}: {run:?}");
        self.is_deleted(world, name).await;
        let again = world.compactor_of(KEEP).run(now(), ClosedPolicy::WhenWorthwhile).await;
        assert_eq!(again.unwrap().deleted, DeletedReport::default(), "{name}: again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_deleted_when_its_time_has_come() {
    let stage = Stage::set().await;
    let coupons = stage.deleted.len() as u64;
    let rows = [
        ("for ever", None, 0),
        ("not old enough", Some(101), 0),
        ("it waits for others", Some(71), 0),
        ("it is time", Some(60), 1),
    ];
    for (name, keep_archived_days, days) in rows {
        let (_disk, world) = stage.copied();
        let settings = CompactionSettings { keep_archived_days, ..SETTINGS };
        let compactor = world.compactor_of(settings);
        let want = DeletedReport { days, coupons: days * coupons };
        assert_eq!(compactor.would_delete(now()).await.unwrap(), want, "{name}");
        let run = compactor.run(now(), ClosedPolicy::OnlyFinish).await.unwrap();
        assert_eq!(run.deleted, DeletedReport::default(), "{name}: the clock is not trusted");
        let run = compactor.run(now(), ClosedPolicy::WhenWorthwhile).await.unwrap();
        assert_eq!(run.deleted, want, "{name}");
        if days > 0 {
            stage.is_deleted(&world, name).await;
            let had = world.cold.deleted(over_partition()).await.unwrap().unwrap();
            let DeletedDay { coupons: had_coupons, campaigns } = had;
            let over = &campaigns[&"over".parse().unwrap()];
            assert_eq!(
                (had_coupons, over.states),
                (coupons, [0, i64::try_from(coupons).unwrap() - 1, 0])
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_a_campaign_that_goes_on_stays() {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let campaign = world.campaign("open", open_partition()).await;
    // Its line expires before the campaign.
    let batch = "old".parse().unwrap();
    world.hot.open_import(&campaign.id, &batch, &acts_at(campaign.created_at)).await.unwrap();
    let line = world.line(&campaign, "EARLY", 1, spent(ago(150), "1"));
    let line = ImportLine { expires_at: over_partition().end(), ..line };
    let outcomes = world.import(&campaign, &batch, vec![line.clone()]).await;
    assert_eq!(outcomes, [ImportOutcome::Imported]);
    world.compacts(now()).await;
    let compactor = world.compactor_of(KEEP);
    assert_eq!(compactor.would_delete(now()).await.unwrap().days, 1);
    let run = compactor.run(now(), ClosedPolicy::WhenWorthwhile).await.unwrap();
    assert_eq!(run.deleted, DeletedReport::default());
    assert!(world.see(&line.code).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_fails_at_each_write() {
    let stage = Stage::set().await;
    let mut points = Vec::new();
    for nth in (1..).step_by(usize::try_from(crate::place::stride().min(5)).unwrap()) {
        let (_disk, world) = stage.copied();
        let seen = AtomicU64::new(0);
        let is_it = move |step: &str| {
            let is_write = step.starts_with("before ") || step.starts_with("after ");
            is_write && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth
        };
        let steps: Arc<Steps> = Steps::new(is_it, Act::Fail);
        let compactor = steps.compactor_of(&world, KEEP, cold_options());
        let ended = compactor.run(now(), ClosedPolicy::WhenWorthwhile).await;
        let Some((_, kind)) = steps.at() else { break };
        let name = format!("failed at {nth}, {kind}: {ended:?}");
        for code in &stage.stays {
            assert!(world.see(code).await.is_some(), "{name}: {code}");
        }
        stage.ends(&world, &name).await;
        points.push(kind);
    }
    assert!(points.len() > 5, "{points:?}");
}
