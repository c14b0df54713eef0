//! The partition plan: entered, closing, each bucket sealed, sealed; and writers that race a seal.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use coupon::apply::Asker;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use futures::future::join_all;
use hot::inventory::Verifiable;
use hot::{
    CampaignRow, Campaigns, Coupons, HotError, ImportOutcome, Named, NewCampaign, Partitions,
    Residue,
};
use hot_cql::CqlHot;

use super::stage::{StepSweep, SteppedProcess, StopPoint, TestStage, patiently};
use hot_conformance::kit::{
    ACT, ChangeOutcome, NOW, extend, give, hold, of, redeem, reference, release, said, void,
};

type CreationResult = Result<Named<CampaignRow>, HotError>;

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It seals the partition, too.
    Seals,
    /// It changes coupons.
    Writes,
}

/// A partition with coupons. One of them is being extended to it from the day before.
struct Scene {
    campaign: Campaign,
    day: Day,
    late: Millis,
    codes: Vec<Code>,
    traveller: Code,
    /// The versions in the answers of the second process.
    accepted: RefCell<BTreeMap<Code, u64>>,
}

impl Scene {
    async fn of(stage: &TestStage, dies: &SteppedProcess) -> Scene {
        let kit = &stage.kit;
        let before = Campaign { cancel_days: 0, extend_days: 0, ..stage.draft() };
        let campaign = Campaign {
            expires_at: before.expires_at.plus_days(1),
            id: kit.draft().id,
            ..before.clone()
        };
        let codes = kit.stocked(&campaign, 5).await;
        let mut accepted = BTreeMap::new();
        for code in &codes[..4] {
            let coupon = kit.done(code, give(&kit.user("ann"), None)).await;
            accepted.insert(code.clone(), coupon.version());
        }
        let traveller = kit.stocked(&before, 1).await.remove(0);
        kit.done(&traveller, give(&kit.user("bob"), None)).await;
        let found = kit.found(&traveller).await;
        let change = kit.change(extend(campaign.expires_at), Asker::Shop, NOW);
        // Its old row forwards to this partition, and the new row is missing.
        dies.hand.stop(StopPoint::At("IF version = null"));
        tokio::select! {
            biased;
            moved = dies.hot.apply(&found, change) => panic!("{moved:?}"),
            _ = dies.hand.is_stopped() => {}
        }
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        Scene { campaign, day, late, codes, traveller, accepted: RefCell::new(accepted) }
    }
}

/// Redeems every coupon and remembers what was accepted.
async fn write(stage: &TestStage, scene: &Scene) -> usize {
    let kit = &stage.kit;
    let mut accepted = 0;
    for code in &scene.codes {
        let Some(holder) = kit.coupon(code).await.holder().cloned() else { continue };
        let found = kit.found(code).await;
        let ask = async || {
            let change = kit.change(redeem(&holder, "1"), Asker::Shop, NOW);
            kit.hot.apply(&found, change).await
        };
        let applied = patiently(ask).await;
        match said(&applied) {
            ChangeOutcome::Accepted => {
                accepted += 1;
                scene.accepted.borrow_mut().insert(code.clone(), of(&applied).version());
            }
            ChangeOutcome::Replayed => {}
            other => assert_eq!(other, ChangeOutcome::Refused(Refusal::Expired)),
        }
    }
    accepted
}

async fn residue(stage: &TestStage, day: Day) -> Vec<Coupon> {
    let residue = stage.kit.hot.residue(day, None, 100).await.unwrap();
    let coupon = |residue| match residue {
        Residue::Coupon(coupon) => *coupon,
        Residue::ArchivedMarker { code, .. } => panic!("{code} is an archived marker"),
    };
    residue.into_iter().map(coupon).collect()
}

pub(crate) async fn sealed_step_by_step(stage: &TestStage) {
    let kit = &stage.kit;
    let dies = stage.process().await;
    let scene = async || Scene::of(stage, &dies).await;
    let act = async |hot: &CqlHot, scene: &Scene| hot.seal(scene.day, scene.late).await;
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::Seals => {
            let sealed = async || kit.hot.seal(scene.day, scene.late).await;
            assert!(patiently(sealed).await, "its time is over");
        }
        Way::Writes => {
            write(stage, scene).await;
        }
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<Result<bool, HotError>>| {
        if let Some(answer) = answer {
            assert!(matches!(answer, Ok(true) | Err(HotError::Unavailable(_))), "{answer:?}");
        }
        // In every case the next run seals it, and then nothing is accepted.
        assert!(patiently(async || kit.hot.seal(scene.day, scene.late).await).await);
        assert!(kit.hot.partition(scene.day).await.unwrap().unwrap().sealed);
        let here = residue(stage, scene.day).await;
        assert_eq!(write(stage, scene).await, 0, "after the seal");
        let found: BTreeMap<Code, u64> =
            here.iter().map(|it| (it.code().clone(), it.version())).collect();
        let mut want = scene.accepted.borrow().clone();
        want.insert(scene.traveller.clone(), 2);
        assert_eq!(found, want, "every accepted change is stored, in the version of its answer");
        let line = kit.line(&scene.campaign, &kit.code(), ImportedState::Available);
        let batch = kit.open_import(&scene.campaign).await;
        let imported = kit.import(&scene.campaign, &batch, vec![line]).await;
        assert_eq!(imported, [ImportOutcome::Refused(Refusal::ExpiryDayClosed)]);
        let untouched = kit.said(&scene.codes[4], give(&kit.user("bob"), None)).await;
        assert_eq!(untouched, ChangeOutcome::Refused(Refusal::Expired));
        assert_eq!(residue(stage, scene.day).await, here);
    };
    let ways = [Way::Seals, Way::Writes];
    stage
        .sweep(StepSweep::of("plan: a partition is sealed", &ways), scene, act, pick_up, judge)
        .await;
}

/// A campaign with its first batch: the partition plan, the campaign's row, its shared code, its
/// serials. Then it is visible.
pub(crate) async fn a_campaign_made_step_by_step(stage: &TestStage) {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum SecondRequest {
        SameAgain,
        OtherTerms,
    }
    let kit = &stage.kit;
    let scene = async || {
        let word = kit.code();
        let handout = coupon::campaign::Handout::Shared;
        let campaign = Campaign { handout, shared_code: Some(word), ..stage.draft() };
        let first_batch = Some(kit.order_of(3));
        NewCampaign { campaign, created_as: "a request".into(), first_batch }
    };
    let other = |new: &NewCampaign| {
        let campaign = Campaign { name: "Another".into(), ..new.campaign.clone() };
        NewCampaign { campaign, created_as: "another".into(), ..new.clone() }
    };
    let make = async |new: NewCampaign| {
        patiently(async || kit.hot.create_campaign(new.clone(), &ACT).await).await
    };
    let act = async |hot: &CqlHot, new: &NewCampaign| hot.create_campaign(new.clone(), &ACT).await;
    let pick_up = async |new: &NewCampaign, by: SecondRequest| match by {
        SecondRequest::SameAgain => {
            let made = make(new.clone()).await;
            assert!(matches!(made, Named::Created(_) | Named::Same(_)), "{made:?}");
        }
        SecondRequest::OtherTerms => {
            make(other(new)).await;
        }
    };
    let judge = async |new: &NewCampaign, _: SecondRequest, answer: Option<CreationResult>| {
        // One of the two campaigns exists, and it is the one of the answer.
        let present = kit.hot.campaign(&new.campaign.id, NOW).await.unwrap();
        match answer {
            None | Some(Err(_)) => {}
            Some(Ok(Named::Created(row) | Named::Same(row))) => {
                assert_eq!(present.as_ref().map(|row| &row.campaign), Some(&row.campaign));
            }
            Some(Ok(Named::Refused(why))) => {
                assert_eq!(why, Refusal::NameTaken);
                assert!(present.is_none_or(|row| row.created_as == "another"));
            }
        }
        let mine = make(new.clone()).await;
        let theirs = make(other(new)).await;
        let is_made = |made: &Named<_>| !matches!(made, Named::Refused(Refusal::NameTaken));
        assert!(is_made(&mine) != is_made(&theirs), "{mine:?} {theirs:?}");
        // Its stock has the requested size.
        let word = kit.found(new.campaign.shared_code.as_ref().unwrap()).await;
        let mut codes = Vec::new();
        for n in 0..4 {
            let change = kit.change(redeem(&kit.user("ann"), "1"), Asker::Shop, NOW);
            let applied = kit.hot.apply(&word, change).await.unwrap();
            let want = if n < 3 {
                ChangeOutcome::Accepted
            } else {
                ChangeOutcome::Refused(Refusal::SoldOut)
            };
            assert_eq!(said(&applied), want);
            codes.extend(applied.snapshot.map(|snapshot| snapshot.coupon.code().clone()));
        }
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 3);
        let batches = kit.hot.batches(&new.campaign.id, None, 9).await.unwrap();
        assert_eq!(batches.len(), 1);
    };
    let ways = [SecondRequest::SameAgain, SecondRequest::OtherTerms];
    stage
        .sweep(StepSweep::of("plan: a campaign and its serials", &ways), scene, act, pick_up, judge)
        .await;
}

/// Writers of two processes change the coupons of a partition without a pause, while a third
/// process seals it. Every accepted change is kept, and none is accepted after the seal.
pub(crate) async fn writers_race_the_seal(stage: &TestStage) {
    const COUPONS: u64 = 40;
    // More than there are while the seal waits for a node that stalls.
    const TURNS_MAX: usize = 20_000;
    const ROUNDS: u64 = 3;
    let kit = &stage.kit;
    let (one, other, seals) = tokio::join!(stage.process(), stage.process(), stage.process());
    for round in 0..ROUNDS {
        let campaign = Campaign { cancel_days: 0, extend_days: 0, ..stage.draft() };
        let codes = kit.stocked(&campaign, COUPONS).await;
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        let is_sealed = Cell::new(false);
        let writer = async |(number, code): (usize, &Code)| -> Option<Coupon> {
            let (found, ann) = (kit.found(code).await, kit.user("ann"));
            let hot = if number % 2 == 0 { &one.hot } else { &other.hot };
            let mut last: Option<Coupon> = None;
            for turn in 0..TURNS_MAX {
                let action = match (&last, turn % 2) {
                    (None, _) => give(&ann, reference("a")),
                    (Some(_), 0) => release("1"),
                    (Some(_), _) if number % 4 == 0 => void(),
                    (Some(_), _) => hold(&ann, "1", 5),
                };
                let began_sealed = is_sealed.get();
                let ask = async || {
                    let change = kit.change(action.clone(), Asker::Shop, NOW);
                    hot.apply(&found, change).await
                };
                let applied = patiently(ask).await;
                match said(&applied) {
                    ChangeOutcome::Accepted => {
                        assert!(!began_sealed, "accepted after the seal: {applied:?}");
                        last = Some(of(&applied).clone());
                    }
                    ChangeOutcome::Replayed => {}
                    ChangeOutcome::Refused(Refusal::Expired | Refusal::ExpiryDayClosed) => {
                        return last;
                    }
                    ChangeOutcome::Refused(Refusal::Voided) => return last,
                    other => panic!("{code}: {other:?}"),
                }
            }
            panic!("{code}: never sealed");
        };
        let sealing = async {
            // In the middle, at a different moment each time.
            tokio::time::sleep(Duration::from_millis(100 * (round + 1))).await;
            assert!(patiently(async || seals.hot.seal(day, late).await).await);
            is_sealed.set(true);
        };
        let (written, ()) = tokio::join!(join_all(codes.iter().enumerate().map(writer)), sealing);
        let mut want: Vec<Coupon> = written.into_iter().flatten().collect();
        want.sort_by(|a, b| a.code().cmp(b.code()));
        assert_eq!(residue(stage, day).await, want, "round {round}");
        let none = reference("late");
        let late_issue = kit.issue(&campaign, &kit.user("bob"), none).await;
        assert!(matches!(said(&late_issue), ChangeOutcome::Refused(_)), "{late_issue:?}");
    }
}

/// Partitions are planned and written while they are compared with their plans.
pub(crate) async fn an_audit_beside_new_days(stage: &TestStage) {
    const DAYS: usize = 24;
    let process = stage.process().await;
    let over = Cell::new(false);
    let plan = async {
        for _ in 0..DAYS {
            let campaign = stage.draft();
            stage.kit.create(&campaign).await;
            stage.kit.imported(&campaign, 1).await;
        }
        over.set(true);
    };
    let audit = async {
        while !over.get() {
            assert_eq!(process.hot.engine_faults().await.unwrap(), Vec::<String>::new());
        }
    };
    tokio::join!(plan, audit);
}
