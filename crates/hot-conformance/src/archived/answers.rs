//! A change of an archived coupon has the same answer as before it was archived.

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::Tier;

use super::{BEHIND, BY_CLOCKS, CLOSED, closed_ones, open_ones};
use crate::kit::{
    ChangeOutcome, Kit, cancel, extend, give, hold, redeem, reference, release, revoke, said, void,
};

/// Every action, by everybody who may make it.
fn asks(campaign: &Campaign, ann: &UserId, bob: &UserId) -> Vec<(&'static str, Action, Asker)> {
    let (own, others) = (Asker::User(ann.clone()), Asker::User(bob.clone()));
    let end = campaign.expires_at;
    vec![
        ("the same order", redeem(ann, "1"), Asker::Shop),
        ("another order", redeem(ann, "2"), Asker::Shop),
        ("a cancelled order", redeem(ann, "0"), Asker::Shop),
        ("the same order for another user", redeem(bob, "1"), Asker::Shop),
        ("the same order, by the user", redeem(ann, "1"), own.clone()),
        ("another user's order, by that user", redeem(bob, "3"), others.clone()),
        ("the same order holds", hold(ann, "1", 20), Asker::Shop),
        ("another order holds", hold(ann, "2", 20), Asker::Shop),
        ("another user holds", hold(bob, "2", 20), Asker::Shop),
        ("the user holds", hold(ann, "2", 20), own.clone()),
        ("the same order releases", release("1"), Asker::Shop),
        ("another order releases", release("2"), Asker::Shop),
        ("the user releases", release("1"), own.clone()),
        ("another user releases", release("1"), others.clone()),
        ("the same order cancels", cancel("1"), Asker::Shop),
        ("another order cancels", cancel("2"), Asker::Shop),
        ("the cancelled order cancels", cancel("0"), Asker::Shop),
        ("the user cancels", cancel("1"), own.clone()),
        ("another user cancels", cancel("1"), others),
        ("revoked", revoke(ann), Asker::Shop),
        ("revoked from another user", revoke(bob), Asker::Shop),
        ("voided", void(), Asker::Shop),
        ("extended to another partition", extend(end.plus_days(3)), Asker::Shop),
        ("extended to the same end", extend(end), Asker::Shop),
        ("extended to an earlier end", extend(end.plus_ms(-1)), Asker::Shop),
        ("issued", give(ann, None), Asker::Shop),
        ("issued to another user", give(bob, None), Asker::Shop),
        ("issued to the user by themselves", give(ann, reference("r")), own),
    ]
}

/// The refusal of an action that the rules accept and the seal refuses.
fn by_seal(action: &Action) -> Refusal {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => Refusal::Expired,
        Action::CancelRedemption { .. } => Refusal::CancelClosed,
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Refusal::ExpiryDayClosed,
    }
}

/// What each of `codes` answers to every action at `at`, before it is archived.
async fn answers(
    kit: &Kit,
    codes: &[(&'static str, Code)],
    asks: &[(&'static str, Action, Asker)],
    at: Millis,
) -> Vec<ChangeOutcome> {
    let mut answers = Vec::new();
    for (_, code) in codes {
        let found = kit.found(code).await;
        for (_, action, asker) in asks {
            let change = kit.change(action.clone(), asker.clone(), at);
            answers.push(said(&kit.hot.dry_run(&found, change).await.unwrap()));
        }
    }
    answers
}

/// Checks that each answer is the one of `before`, except that nothing is accepted, and that it shows the
/// archived coupon.
async fn same_answers(
    kit: &Kit,
    day: Day,
    codes: &[(&'static str, Code)],
    asks: &[(&'static str, Action, Asker)],
    (clock, at): (&str, Millis),
    before: Vec<ChangeOutcome>,
) {
    let mut before = before.into_iter();
    for (state, code) in codes {
        let found = kit.found(code).await;
        let coupon = kit.archive.coupon(day, code).expect("the coupon is in cold");
        for (name, action, asker) in asks {
            let name = format!("{state}, {clock}: {name}");
            let change = kit.change(action.clone(), asker.clone(), at);
            let dry_run = kit.hot.dry_run(&found, change.clone()).await.unwrap();
            let applied = kit.hot.apply(&found, change).await.unwrap();
            assert_eq!(dry_run, applied, "{name}");
            let want = match before.next().unwrap() {
                ChangeOutcome::Accepted => ChangeOutcome::Refused(by_seal(action)),
                other => other,
            };
            assert_eq!(said(&applied), want, "{name}");
            let snapshot = applied.snapshot.expect("the coupon is found");
            assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, &coupon), "{name}");
        }
    }
}

pub(crate) async fn closed_coupons_answer_as_before(kit: &Kit) {
    for handout in [Handout::Shop, Handout::SelfService, Handout::Bearer] {
        let campaign = Campaign { handout, per_user_limit: Some(100), ..kit.draft() };
        kit.create(&campaign).await;
        let [ann, bob] = kit.users();
        let codes = closed_ones(kit, &campaign, &ann).await;
        let asks = asks(&campaign, &ann, &bob);
        let mut before = Vec::new();
        for (_, at) in BY_CLOCKS {
            before.push(answers(kit, &codes, &asks, at).await);
        }
        assert!(
            !before[0].contains(&ChangeOutcome::Accepted),
            "no action is accepted for a closed coupon"
        );
        assert!(
            before[0].contains(&ChangeOutcome::Replayed)
                && before[1].contains(&ChangeOutcome::Accepted)
        );
        let counts = kit.counts(&campaign).await;
        let day = campaign.expiry_day();
        assert_eq!(kit.archive_closed(day, CLOSED).await, codes.len() as u64);
        for (clock, before) in BY_CLOCKS.into_iter().zip(before.clone()) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        kit.archive_partition(day, kit.time_to_seal(day).await).await;
        for (clock, before) in BY_CLOCKS.into_iter().zip(before) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    }
}

pub(crate) async fn sealed_coupons_answer_as_before(kit: &Kit) {
    for handout in [Handout::Shop, Handout::Bearer] {
        let campaign = Campaign { handout, per_user_limit: Some(100), ..kit.draft() };
        kit.create(&campaign).await;
        let [ann, bob] = kit.users();
        let mut codes = closed_ones(kit, &campaign, &ann).await;
        codes.extend(open_ones(kit, &campaign, &ann).await);
        let asks = asks(&campaign, &ann, &bob);
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        let clocks = [("its time is over", late), ("by a clock that is behind", BEHIND)];
        let mut before = Vec::new();
        for (_, at) in clocks {
            before.push(answers(kit, &codes, &asks, at).await);
        }
        let counts = kit.counts(&campaign).await;
        assert_eq!(kit.archive_partition(day, late).await, codes.len() as u64);
        for (clock, before) in clocks.into_iter().zip(before) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        assert_eq!(kit.counts(&campaign).await, counts, "coupons in cold are counted, too");
    }
}
