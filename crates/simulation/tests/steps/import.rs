//! Lines of an import: the directory entry, the claim, the stock, the row, and the plan of the day.

use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, EventKind, State};
use coupon::ids::{BatchId, UserId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{HotError, ImportLine, ImportOutcome, Imports, Residue};
use hot_cql::CqlHot;

use super::stage::{StepSweep, TestStage, patiently};
use hot_conformance::kit::{ChangeOutcome, Kit, NOW, of, order, reference, said};

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The holder of one of them requests a coupon. Then the same lines are imported again.
    SameAgain,
    /// The same codes, imported into another campaign.
    Elsewhere,
    /// The time of the day is over, and its partition is sealed.
    Sealed,
    /// And the partition is archived.
    Emptied,
}

const WAYS: [Way; 4] = [Way::SameAgain, Way::Elsewhere, Way::Sealed, Way::Emptied];

type LineOutcomes = Result<Vec<ImportOutcome>, HotError>;

struct Scene {
    campaign: Campaign,
    batch: BatchId,
    other: Campaign,
    other_batch: BatchId,
    holder: UserId,
    lines: Vec<ImportLine>,
    run: ImportRun,
}

impl Scene {
    async fn of(stage: &TestStage) -> Scene {
        let kit = &stage.kit;
        let campaign = stage.draft();
        let other = Campaign { id: kit.draft().id, ..campaign.clone() };
        kit.create(&campaign).await;
        kit.create(&other).await;
        let holder = kit.user("ann");
        let bob = Some(kit.user("bob"));
        let imported_states = [
            ImportedState::Available,
            ImportedState::Issued { holder: holder.clone(), at: None },
            ImportedState::Redeemed {
                holder: bob,
                issued_at: None,
                at: NOW,
                order: None,
                worth: None,
            },
        ];
        let line = |imported_state| kit.line(&campaign, &kit.code(), imported_state);
        let mut lines: Vec<ImportLine> = imported_states.into_iter().map(line).collect();
        // A coupon of another day.
        lines[2].expires_at = campaign.expires_at.plus_days(1);
        let batch = kit.open_import(&campaign).await;
        let other_batch = kit.open_import(&other).await;
        let run = kit.import_run();
        Scene { campaign, batch, other, other_batch, holder, lines, run }
    }

    fn day(&self) -> Day {
        self.campaign.expiry_day()
    }

    async fn import(&self, kit: &Kit) -> Vec<ImportOutcome> {
        let send = async || {
            kit.hot
                .import(&self.campaign.id, &self.batch, self.lines.clone(), kit.import_run())
                .await
        };
        patiently(send).await
    }
}

async fn pick_up(stage: &TestStage, scene: &Scene, way: Way) {
    let kit = &stage.kit;
    // The first line makes the plan of the day: without it there is nothing to seal.
    let has_plan = kit.hot.partition(scene.day()).await.unwrap().is_some();
    match way {
        Way::Sealed | Way::Emptied if !has_plan => {}
        Way::SameAgain => {
            let asked = kit.issue_at(NOW, &scene.campaign.id, &scene.holder, reference("a"));
            let asked = said(&asked.await);
            // The stock is the lines that have rows.
            let want = [
                ChangeOutcome::Accepted,
                ChangeOutcome::Replayed,
                ChangeOutcome::Refused(Refusal::SoldOut),
            ];
            assert!(want.contains(&asked), "{asked:?}");
            let outcomes = scene.import(kit).await;
            let good = [ImportOutcome::Imported, ImportOutcome::AlreadyThere];
            assert!(outcomes.iter().all(|it| good.contains(it)), "{outcomes:?}");
        }
        Way::Elsewhere => {
            let (id, batch) = (&scene.other.id, &scene.other_batch);
            let send = kit.hot.import(id, batch, scene.lines.clone(), kit.import_run());
            let outcomes = send.await.unwrap();
            let good = [ImportOutcome::Imported, ImportOutcome::CodeTaken];
            assert!(outcomes.iter().all(|it| good.contains(it)), "{outcomes:?}");
        }
        Way::Sealed => {
            let late = kit.time_to_seal(scene.day()).await;
            assert!(patiently(async || kit.hot.seal(scene.day(), late).await).await);
        }
        Way::Emptied => {
            let late = kit.time_to_seal(scene.day()).await;
            kit.archive_partition(scene.day(), late).await;
        }
    }
}

/// Whether the coupon is as its line says.
fn is_as_imported(coupon: &Coupon, line: &ImportLine) -> bool {
    match (&line.imported_state, coupon.state()) {
        (ImportedState::Available, State::Available | State::Issued { .. }) => true,
        (ImportedState::Issued { holder, .. }, State::Issued { holder: here }) => holder == here,
        (ImportedState::Redeemed { holder, .. }, State::Redeemed { redemption, .. }) => {
            *holder == redemption.by
        }
        _ => false,
    }
}

/// Every outcome of a line is true.
async fn stands(stage: &TestStage, scene: &Scene, line: &ImportLine, outcome: ImportOutcome) {
    let kit = &stage.kit;
    let seen = kit.see(&line.code).await;
    match outcome {
        ImportOutcome::Imported | ImportOutcome::AlreadyThere => {
            let coupon = seen.unwrap_or_else(|| panic!("{line:?} has a coupon")).coupon;
            assert_eq!(coupon.genesis().campaign, scene.campaign.id);
            assert!(is_as_imported(&coupon, line), "{line:?} is {coupon:?}");
        }
        ImportOutcome::CodeTaken => {
            let campaign = seen.map(|snapshot| snapshot.coupon.genesis().campaign.clone());
            assert_eq!(campaign, Some(scene.other.id.clone()));
        }
        ImportOutcome::Refused(Refusal::ExpiryDayClosed) => {
            assert_eq!(Day::expiry_day_of(line.expires_at), scene.day());
        }
        ImportOutcome::Refused(why) => panic!("{line:?}: {why}"),
    }
}

async fn judge(stage: &TestStage, scene: &Scene, way: Way, answer: Option<LineOutcomes>) {
    let kit = &stage.kit;
    let is_closed = kit.hot.partition(scene.day()).await.unwrap().is_some_and(|plan| plan.sealed);
    match answer {
        None | Some(Err(HotError::Unavailable(_) | HotError::Unknown(_))) => {}
        Some(Err(other)) => panic!("{other}"),
        Some(Ok(outcomes)) => {
            for (line, outcome) in scene.lines.iter().zip(outcomes) {
                stands(stage, scene, line, outcome).await;
            }
        }
    }
    let residue = match way {
        Way::Sealed | Way::Emptied => kit.hot.residue(scene.day(), None, 9).await.unwrap(),
        Way::SameAgain | Way::Elsewhere => Vec::new(),
    };
    assert!(
        way != Way::Emptied || !is_closed || residue.is_empty(),
        "deleted rows do not come back: {residue:?}"
    );
    let again = scene.import(kit).await;
    for (line, outcome) in scene.lines.iter().zip(&again) {
        stands(stage, scene, line, *outcome).await;
        let closed = is_closed && Day::expiry_day_of(line.expires_at) == scene.day();
        match outcome {
            ImportOutcome::Imported => assert!(!closed, "after the seal: {line:?}"),
            ImportOutcome::Refused(_) => {
                assert!(closed, "{line:?}");
                // It may have an entry, but it never had a row: there is no coupon.
                let rows = residue.iter().any(|it| *it.code() == line.code);
                assert!(!rows, "{line:?} is still there");
                assert_eq!(kit.see(&line.code).await, None);
            }
            ImportOutcome::AlreadyThere => {}
            ImportOutcome::CodeTaken => assert_eq!(way, Way::Elsewhere),
        }
    }
    let rows = |residue: &Residue| matches!(residue, Residue::Coupon(_));
    assert!(residue.iter().all(rows));
    for (last, before) in scene.import(kit).await.into_iter().zip(again) {
        let is_news = before == ImportOutcome::Imported;
        assert_eq!(last, if is_news { ImportOutcome::AlreadyThere } else { before });
    }
    if way == Way::SameAgain {
        // Every available coupon is in the stock.
        kit.issue_at(NOW, &scene.campaign.id, &kit.user("eve"), reference("e")).await;
        assert!(kit.coupon(&scene.lines[0].code).await.holder().is_some(), "it is stock");
        let theirs = kit.issue_at(NOW, &scene.campaign.id, &scene.holder, reference("a")).await;
        assert_eq!(
            (said(&theirs), of(&theirs).holder()),
            (ChangeOutcome::Replayed, Some(&scene.holder))
        );
    }
}

pub(crate) async fn lines_step_by_step(stage: &TestStage) {
    let scene = async || Scene::of(stage).await;
    let act = async |hot: &CqlHot, scene: &Scene| {
        hot.import(&scene.campaign.id, &scene.batch, scene.lines.clone(), scene.run.clone()).await
    };
    let pick_up = async |scene: &Scene, way: Way| pick_up(stage, scene, way).await;
    let judge = async |scene: &Scene, way: Way, answer: Option<LineOutcomes>| {
        judge(stage, scene, way, answer).await;
    };
    stage.sweep(StepSweep::of("import: new lines", &WAYS), scene, act, pick_up, judge).await;
}

/// What the second process does while a line redeems a coupon that was imported before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImportRival {
    SameAgain,
    /// The user requests a coupon and gets the one that was begun for them.
    UserAsks,
    Sealed,
}

/// The last file of the old system: a coupon imported as available was redeemed there.
pub(crate) async fn line_with_a_later_state(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let campaign = stage.draft();
        kit.create(&campaign).await;
        let batch = kit.open_import(&campaign).await;
        let (other, other_batch) = (campaign.clone(), batch.clone());
        let available = kit.line(&campaign, &kit.code(), ImportedState::Available);
        let arrived = kit.import(&campaign, &batch, vec![available.clone()]).await;
        assert_eq!(arrived, [ImportOutcome::Imported]);
        let holder = kit.user("ann");
        let order = Some(order("7"));
        let imported_state = ImportedState::Redeemed {
            holder: Some(holder.clone()),
            issued_at: None,
            at: NOW,
            order,
            worth: None,
        };
        let lines = vec![ImportLine { imported_state, ..available }];
        let run = kit.import_run();
        Scene { campaign, batch, other, other_batch, holder, lines, run }
    };
    let act = async |hot: &CqlHot, scene: &Scene| {
        hot.import(&scene.campaign.id, &scene.batch, scene.lines.clone(), scene.run.clone()).await
    };
    let asked = async |scene: &Scene| {
        kit.issue_at(NOW, &scene.campaign.id, &scene.holder, reference("a")).await
    };
    let pick_up = async |scene: &Scene, meanwhile: ImportRival| match meanwhile {
        ImportRival::SameAgain => drop(scene.import(kit).await),
        ImportRival::UserAsks => {
            let code = of(&asked(scene).await).code().clone();
            assert_eq!(code, scene.lines[0].code);
        }
        ImportRival::Sealed => {
            let late = kit.time_to_seal(scene.day()).await;
            assert!(patiently(async || kit.hot.seal(scene.day(), late).await).await);
        }
    };
    let judge = async |scene: &Scene, meanwhile: ImportRival, answer: Option<LineOutcomes>| {
        let again = scene.import(kit).await;
        let coupon = kit.coupon(&scene.lines[0].code).await;
        let redeemed: Vec<_> = coupon
            .events()
            .iter()
            .filter(|it| matches!(it.kind, EventKind::Redeemed { .. }))
            .collect();
        let closed = [ImportOutcome::Refused(Refusal::ExpiryDayClosed)];
        let answers = answer.and_then(Result::ok).into_iter().chain([again]);
        if redeemed.is_empty() {
            assert_eq!(meanwhile, ImportRival::Sealed, "{coupon:?}");
            answers.for_each(|outcomes| assert_eq!(outcomes, closed));
            return;
        }
        assert_eq!(redeemed.len(), 1, "{coupon:?}");
        assert_eq!(coupon.holder(), Some(&scene.holder));
        let good = [[ImportOutcome::Imported], [ImportOutcome::AlreadyThere]];
        for outcomes in answers {
            assert!(good.iter().any(|it| outcomes == it), "{outcomes:?}, and {coupon:?}");
        }
        assert_eq!(scene.import(kit).await, [ImportOutcome::AlreadyThere]);
        if meanwhile != ImportRival::Sealed {
            let theirs = asked(scene).await;
            assert_eq!(
                (said(&theirs), of(&theirs).code()),
                (ChangeOutcome::Replayed, coupon.code())
            );
        }
    };
    let ways = [ImportRival::SameAgain, ImportRival::UserAsks, ImportRival::Sealed];
    let sweep = StepSweep::of("import: a line with a later state", &ways);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}
