//! Archiving: the closed pass and the expired pass killed at each of their writes, and writes that
//! were decided before a pass and arrive after it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::{CLOSED_BOUND_MS, Coupons, Emptying, HotError, HotStore, Residue, Tier};
use hot_cql::CqlHot;
use router::Found;

use super::stage::{ChangeResult, StepSweep, StopPoint, TestStage, patiently};
use hot_conformance::kit::{
    ChangeOutcome, MemoryArchive, NOW, cancel, extend, give, of, redeem, reference, revoke, said,
    void,
};

/// Runs after which a pass must be done.
const RUNS_MAX: usize = 5;

type PassResult = Result<(), HotError>;

/// Archives closed coupons as the compactor does.
async fn closed_pass(
    hot: &dyn HotStore,
    archive: &MemoryArchive,
    day: Day,
    now: Millis,
) -> PassResult {
    for _ in 0..RUNS_MAX {
        let codes = hot.closed_codes(day, now, 50).await?;
        if codes.is_empty() {
            return Ok(());
        }
        let coupons = hot.closed_coupons(day, codes, now).await?;
        coupons.iter().for_each(|coupon| archive.keep(day, coupon));
        let archive_commit =
            hot.partition(day).await?.expect("the day has a plan").archive_commit + 1;
        let copied = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
        hot.evict(day, copied).await?;
        hot.finish_archive_commit(day, archive_commit, None).await?;
    }
    panic!("the closed pass does not end");
}

/// Archives a partition whose time is over, as the compactor does.
async fn expired_pass(
    hot: &dyn HotStore,
    archive: &MemoryArchive,
    day: Day,
    now: Millis,
) -> PassResult {
    assert!(hot.seal(day, now).await?, "its time is over");
    let mut after = None;
    loop {
        let residue = hot.residue(day, after, 3).await?;
        let Some(last) = residue.last() else { break };
        after = Some(last.code().clone());
        for residue in &residue {
            match residue {
                Residue::Coupon(coupon) => archive.keep(day, coupon),
                Residue::ArchivedMarker { code, version } => {
                    let copied =
                        archive.coupon(day, code).expect("an archived marker has its coupon");
                    assert_eq!(copied.version(), *version);
                }
            }
        }
    }
    let archive_commit = hot.partition(day).await?.expect("the day has a plan").archive_commit + 1;
    let mut emptying = Emptying::default();
    while let Some(further) = hot.remove_residue(day, emptying).await? {
        emptying = further;
    }
    hot.finish_archive_commit(day, archive_commit, Some(now)).await
}

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It runs the pass again.
    NextRun,
    /// It gets requests that change coupons.
    Writers,
    /// It gets requests that read them.
    Readers,
}

const WAYS: [Way; 3] = [Way::NextRun, Way::Writers, Way::Readers];

struct Scene {
    campaign: Campaign,
    day: Day,
    /// When the pass runs.
    late: Millis,
    /// Their holder.
    users: Vec<UserId>,
    codes: Vec<Code>,
    /// The coupons of the last answers.
    known: RefCell<BTreeMap<Code, Coupon>>,
}

impl Scene {
    async fn know(&self, stage: &TestStage) {
        for code in &self.codes {
            let coupon = stage.kit.coupon(code).await;
            self.known.borrow_mut().insert(code.clone(), coupon);
        }
    }

    /// Checks that the coupon is found, and is as in its last answer.
    async fn reads(&self, stage: &TestStage) {
        for code in &self.codes {
            let known = self.known.borrow().get(code).cloned();
            assert_eq!(Some(stage.kit.coupon(code).await), known);
        }
    }

    /// Makes a change at noon, by a clock that is behind, and remembers it if it is accepted.
    async fn ask(&self, stage: &TestStage, code: &Code, action: Action) -> ChangeOutcome {
        let kit = &stage.kit;
        let found = kit.found(code).await;
        let ask = async || {
            let change = kit.change(action.clone(), Asker::Shop, NOW);
            kit.hot.apply(&found, change).await
        };
        let applied = patiently(ask).await;
        if said(&applied) == ChangeOutcome::Accepted {
            self.known.borrow_mut().insert(code.clone(), of(&applied).clone());
        }
        said(&applied)
    }
}

pub(crate) async fn closed_step_by_step(stage: &TestStage) {
    let (kit, archive) = (&stage.kit, &*stage.kit.archive);
    let scene = async || {
        let campaign = Campaign { cancel_days: 2, ..stage.draft() };
        let day = campaign.expiry_day();
        let codes = kit.stocked(&campaign, 3).await;
        let users: Vec<UserId> = codes.iter().map(|_| kit.user("ann")).collect();
        for (code, user) in codes.iter().zip(&users) {
            kit.done(code, give(user, reference("a"))).await;
        }
        for (code, user) in codes.iter().zip(&users).take(2) {
            kit.done(code, redeem(user, "1")).await;
        }
        let late = NOW.plus_days(2).plus_ms(CLOSED_BOUND_MS);
        let known = RefCell::default();
        let scene = Scene { campaign, day, late, users, codes, known };
        scene.know(stage).await;
        // The process that redeemed them has put them into the queue of closed coupons.
        assert_eq!(kit.hot.closed_codes(day, late, 9).await.unwrap().len(), 2);
        scene
    };
    let act =
        async |hot: &CqlHot, scene: &Scene| closed_pass(hot, archive, scene.day, scene.late).await;
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::NextRun => closed_pass(&*kit.hot, archive, scene.day, scene.late).await.unwrap(),
        Way::Writers => {
            let late = scene.ask(stage, &scene.codes[0], cancel("1")).await;
            let no = ChangeOutcome::Refused(Refusal::CancelClosed);
            assert!([ChangeOutcome::Accepted, no].contains(&late), "{late:?}");
            assert_eq!(
                scene.ask(stage, &scene.codes[2], redeem(&scene.users[2], "1")).await,
                ChangeOutcome::Accepted
            );
        }
        Way::Readers => scene.reads(stage).await,
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<PassResult>| {
        if let Some(answer) = answer {
            answer.unwrap();
        }
        scene.reads(stage).await;
        closed_pass(&*kit.hot, archive, scene.day, scene.late).await.unwrap();
        scene.reads(stage).await;
        for (code, user) in scene.codes.iter().zip(&scene.users) {
            let snapshot = kit.see(code).await.unwrap();
            let is_closed = snapshot.coupon.redemption().is_some();
            let want = if is_closed { Tier::Cold } else { Tier::Hot };
            assert_eq!(snapshot.tier, want, "{snapshot:?}");
            // It still counts towards the limit of its holder.
            let again = kit.issue(&scene.campaign, user, reference("b")).await;
            assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, code));
            if is_closed {
                assert_eq!(
                    scene.ask(stage, code, redeem(user, "1")).await,
                    ChangeOutcome::Replayed
                );
                let late = scene.ask(stage, code, cancel("1")).await;
                assert_eq!(late, ChangeOutcome::Refused(Refusal::CancelClosed));
            }
        }
        scene.reads(stage).await;
    };
    stage.sweep(StepSweep::of("cold: the closed pass", &WAYS), scene, act, pick_up, judge).await;
}

pub(crate) async fn expired_step_by_step(stage: &TestStage) {
    let (kit, archive) = (&stage.kit, &*stage.kit.archive);
    let scene = async || {
        let campaign = Campaign { cancel_days: 0, extend_days: 0, ..stage.draft() };
        let day = campaign.expiry_day();
        let codes = kit.stocked(&campaign, 5).await;
        let users: Vec<UserId> = codes.iter().map(|_| kit.user("ann")).collect();
        for (code, user) in codes.iter().zip(&users).take(2) {
            kit.done(code, give(user, reference("a"))).await;
        }
        kit.done(&codes[0], redeem(&users[0], "1")).await;
        // One that is an archived marker by then, one that was extended, and one that was never
        // touched.
        kit.done(&codes[2], void()).await;
        closed_pass(&*kit.hot, archive, day, NOW.plus_days(1)).await.unwrap();
        kit.done(&codes[3], extend(campaign.expires_at.plus_days(1))).await;
        let late = kit.time_to_seal(day).await;
        let known = RefCell::default();
        let scene = Scene { campaign, day, late, users, codes, known };
        scene.know(stage).await;
        scene
    };
    let act =
        async |hot: &CqlHot, scene: &Scene| expired_pass(hot, archive, scene.day, scene.late).await;
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::NextRun => expired_pass(&*kit.hot, archive, scene.day, scene.late).await.unwrap(),
        Way::Writers => {
            let late = scene.ask(stage, &scene.codes[1], redeem(&scene.users[1], "1")).await;
            let no = ChangeOutcome::Refused(Refusal::Expired);
            assert!([ChangeOutcome::Accepted, no].contains(&late), "{late:?}");
        }
        Way::Readers => scene.reads(stage).await,
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<PassResult>| {
        if let Some(answer) = answer {
            answer.unwrap();
        }
        scene.reads(stage).await;
        expired_pass(&*kit.hot, archive, scene.day, scene.late).await.unwrap();
        scene.reads(stage).await;
        assert_eq!(kit.hot.count(scene.day).await.unwrap(), 0);
        assert!(kit.hot.partition(scene.day).await.unwrap().unwrap().emptied);
        for code in &scene.codes[..3] {
            assert_eq!(kit.see(code).await.unwrap().tier, Tier::Cold);
        }
        let replay = scene.ask(stage, &scene.codes[0], redeem(&scene.users[0], "1")).await;
        assert_eq!(replay, ChangeOutcome::Replayed);
        for code in [&scene.codes[1], &scene.codes[4]] {
            let late = scene.ask(stage, code, void()).await;
            assert!(matches!(late, ChangeOutcome::Refused(_)), "{late:?}");
        }
        scene.reads(stage).await;
        assert_eq!(scene.ask(stage, &scene.codes[3], void()).await, ChangeOutcome::Accepted);
    };
    stage.sweep(StepSweep::of("cold: the expired pass", &WAYS), scene, act, pick_up, judge).await;
}

/// A write that was decided before the partition was sealed or emptied, or its coupon evicted, and
/// arrives afterwards.
pub(crate) async fn late_writes(stage: &TestStage) {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum PartitionFate {
        Sealed,
        Emptied,
        ArchivedMarkers,
    }
    struct LateWrite {
        campaign: Campaign,
        code: Code,
        found: Found,
        change: Change,
        is_issue: bool,
    }
    let (kit, archive) = (&stage.kit, &*stage.kit.archive);
    let names = ["redeem", "revoke", "extend", "cancel", "issue"];
    for name in names {
        let scene = async || {
            let campaign = Campaign { cancel_days: 2, extend_days: 2, ..stage.draft() };
            let user = kit.user("ann");
            let code = kit.stocked(&campaign, 1).await.remove(0);
            let is_issue = name == "issue";
            if !is_issue {
                kit.done(&code, give(&user, reference("a"))).await;
            }
            if name == "cancel" {
                kit.done(&code, redeem(&user, "1")).await;
            }
            let action = match name {
                "redeem" => redeem(&user, "1"),
                "revoke" => revoke(&user),
                "extend" => extend(campaign.expires_at.plus_days(1)),
                "cancel" => cancel("1"),
                _ => give(&user, reference("a")),
            };
            let found = kit.found(&code).await;
            let change = kit.change(action, Asker::Shop, NOW);
            LateWrite { campaign, code, found, change, is_issue }
        };
        let act = async |hot: &CqlHot, scene: &LateWrite| match scene.is_issue {
            true => hot.issue(&scene.campaign.id, scene.change.clone()).await,
            false => hot.apply(&scene.found, scene.change.clone()).await,
        };
        let pick_up = async |scene: &LateWrite, meanwhile: PartitionFate| {
            let day = scene.campaign.expiry_day();
            let late = kit.time_to_seal(day).await;
            match meanwhile {
                PartitionFate::Sealed => {
                    assert!(patiently(async || kit.hot.seal(day, late).await).await);
                }
                PartitionFate::Emptied => {
                    expired_pass(&*kit.hot, archive, day, late).await.unwrap()
                }
                PartitionFate::ArchivedMarkers => {
                    closed_pass(&*kit.hot, archive, day, late).await.unwrap()
                }
            }
        };
        let judge = async |scene: &LateWrite,
                           meanwhile: PartitionFate,
                           answer: Option<ChangeResult>| {
            let day = scene.campaign.expiry_day();
            let now = kit.coupon(&scene.code).await;
            stage.is_true(&answer.unwrap(), &scene.change, std::slice::from_ref(&now)).await;
            match meanwhile {
                PartitionFate::Sealed => {
                    let residue = kit.hot.residue(day, None, 9).await.unwrap();
                    let is_here = now.version() > 0 && now.expires_at() <= day.end();
                    let want = is_here.then(|| Residue::Coupon(Box::new(now.clone())));
                    assert_eq!(residue, Vec::from_iter(want));
                }
                PartitionFate::Emptied => assert_eq!(kit.hot.count(day).await.unwrap(), 0),
                PartitionFate::ArchivedMarkers => {}
            }
            let late = kit.time_to_seal(day).await;
            expired_pass(&*kit.hot, archive, day, late).await.unwrap();
            assert_eq!(kit.coupon(&scene.code).await, now, "the coupon is as in the last answer");
        };
        let ways: &[PartitionFate] = match name {
            "cancel" => {
                &[PartitionFate::Sealed, PartitionFate::Emptied, PartitionFate::ArchivedMarkers]
            }
            _ => &[PartitionFate::Sealed, PartitionFate::Emptied],
        };
        let name = format!("cold: a late {name}");
        stage.sweep(StepSweep::thawed(&name, ways), scene, act, pick_up, judge).await;
    }
}

/// Emptying a bucket deletes the rows before their index rows: a row without an index row would be
/// in no list.
pub(crate) async fn rows_go_before_their_index_rows(stage: &TestStage) {
    let (kit, archive) = (&stage.kit, &*stage.kit.archive);
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..stage.draft() };
    let day = campaign.expiry_day();
    let (codes, user) = (kit.stocked(&campaign, 1).await, kit.user("ann"));
    kit.done(&codes[0], give(&user, reference("a"))).await;
    kit.done(&codes[0], redeem(&user, "1")).await;
    let late = kit.time_to_seal(day).await;
    let first = stage.process().await;
    first.hand.stop(StopPoint::At("DELETE FROM wallet"));
    let emptied = expired_pass(&*first.hot, archive, day, late);
    tokio::select! {
        ended = emptied => panic!("index rows are deleted: {ended:?}"),
        _ = first.hand.is_stopped() => {}
    }
    let rows = kit.hot.coupons_of(day, codes.clone()).await.unwrap();
    assert_eq!(rows, [], "the row is deleted before");
    assert_eq!(kit.see(&codes[0]).await.unwrap().tier, Tier::Cold);
    expired_pass(&*kit.hot, archive, day, late).await.unwrap();
    assert!(kit.hot.partition(day).await.unwrap().unwrap().emptied);
}
