//! The limit: how many coupons a user gets, one after the other.

use std::collections::HashSet;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, Handout};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use hot::CampaignPatch;

use super::SOLD_OUT;
use crate::kit::{ACT, ChangeOutcome, Kit, NOW, cancel, give, of, redeem, reference, revoke, said};

pub(crate) async fn one_each(kit: &Kit) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 2).await;
    let [ann, bob, eve] = kit.users();
    let first = kit.issue(&campaign, &ann, None).await;
    assert_eq!(said(&first), ChangeOutcome::Accepted);
    for name in [None, reference("r1"), reference("r2")] {
        let again = kit.issue(&campaign, &ann, name).await;
        assert_eq!(
            (said(&again), of(&again)),
            (ChangeOutcome::Replayed, of(&first)),
            "the same coupon"
        );
    }
    let second = kit.issued(&campaign, &bob, "r").await;
    assert!(codes.contains(&second) && &second != of(&first).code());
    assert_eq!(said(&kit.issue(&campaign, &eve, None).await), SOLD_OUT);
    let again = kit.issue(&campaign, &ann, None).await;
    assert_eq!(said(&again), ChangeOutcome::Replayed, "only users without a coupon get SOLD_OUT");
    let unknown = kit.draft();
    let nowhere = kit.issue(&unknown, &ann, None).await;
    assert_eq!(
        (said(&nowhere), nowhere.snapshot),
        (ChangeOutcome::Refused(Refusal::NotFound), None)
    );
}

pub(crate) async fn three_each(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(3), ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    let [ann, bob] = kit.users();
    let mut codes = HashSet::new();
    for name in ["a", "b", "c"] {
        let code = kit.issued(&campaign, &ann, name).await;
        let again = kit.issue(&campaign, &ann, reference(name)).await;
        assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, &code), "{name}");
        codes.insert(code);
    }
    assert_eq!(codes.len(), 3);
    let fourth = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&fourth), ChangeOutcome::Refused(Refusal::LimitPerUser));
    let code = kit.issued(&campaign, &bob, "a").await;
    assert!(!codes.contains(&code), "an issue_ref belongs to its user");
    let first = kit.issue(&campaign, &ann, reference("a")).await;
    let first = of(&first).code().clone();
    kit.done(&first, redeem(&ann, "1")).await;
    let again = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(
        (said(&again), of(&again).code()),
        (ChangeOutcome::Replayed, &first),
        "a redeemed one, too"
    );
    let patch = CampaignPatch { per_user_limit: Some(Some(4)), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, patch, &ACT).await.unwrap();
    kit.issued(&campaign, &ann, "d").await;
    let fifth = kit.issue(&campaign, &ann, reference("e")).await;
    assert_eq!(
        said(&fifth),
        ChangeOutcome::Refused(Refusal::LimitPerUser),
        "a redeemed one counts"
    );
}

pub(crate) async fn a_cancelled_coupon_keeps_its_holder(kit: &Kit) {
    let campaign = kit.draft();
    kit.stocked(&campaign, 2).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "a").await;
    kit.done(&code, redeem(&ann, "1")).await;
    kit.done(&code, cancel("1")).await;
    let again = kit.issue(&campaign, &ann, reference("b")).await;
    assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, &code));
}

/// Statements that one call may cost, whatever the length of the claim. The background work of a
/// cluster may add some.
const STATEMENTS_MAX: u64 = 16;

/// Issue_refs that the shop used before. A call does not read the coupon of each.
const NAMES: usize = 150;

async fn issue_as(
    kit: &Kit,
    campaign: &Campaign,
    asker: Asker,
    to: &UserId,
    name: &str,
) -> ChangeOutcome {
    let change = kit.change(give(to, reference(name)), asker, NOW);
    said(&kit.hot.issue(&campaign.id, change).await.unwrap())
}

/// An issue, a replay and a refusal read no more after many issue_refs for one coupon and many
/// coupons that were issued and revoked.
pub(crate) async fn a_long_claim_costs_little(kit: &Kit) {
    const CALLS: u64 = 10;
    let one = Campaign { handout: Handout::SelfService, ..kit.draft() };
    let two = Campaign { handout: Handout::SelfService, per_user_limit: Some(2), ..kit.draft() };
    for campaign in [&one, &two] {
        kit.stocked(campaign, 60).await;
    }
    let ann = kit.user("ann");
    kit.issued(&one, &ann, "first").await;
    for number in 0..NAMES {
        let name = format!("name-{number}");
        assert_eq!(issue_as(kit, &one, Asker::Shop, &ann, &name).await, ChangeOutcome::Replayed);
    }
    for name in ["a", "b"] {
        kit.issued(&two, &ann, name).await;
    }
    let user = || Asker::User(ann.clone());
    let limit = ChangeOutcome::Refused(Refusal::LimitPerUser);
    let calls = [
        ("a replay", &one, "name-3", ChangeOutcome::Replayed),
        ("one more issue_ref", &one, "another", ChangeOutcome::Replayed),
        ("a replay of two", &two, "a", ChangeOutcome::Replayed),
        ("a refusal", &two, "c", limit),
    ];
    for (what, campaign, name, want) in calls {
        let before = kit.hot.gauge().statements;
        for _ in 0..CALLS {
            assert_eq!(issue_as(kit, campaign, user(), &ann, name).await, want, "{what}");
        }
        let each = (kit.hot.gauge().statements - before) / CALLS;
        assert!(each <= STATEMENTS_MAX, "{what}: {each} statements a call");
    }
    let before = kit.hot.gauge().statements;
    for number in 0..CALLS {
        let bob = kit.user(&format!("bob-{number}"));
        assert_eq!(
            issue_as(kit, &one, Asker::User(bob.clone()), &bob, "x").await,
            ChangeOutcome::Accepted
        );
    }
    let each = (kit.hot.gauge().statements - before) / CALLS;
    assert!(each <= 2 * STATEMENTS_MAX, "an issue: {each} statements");
}

/// A claim stores sixteen issue_refs for the coupons that a user has. A request with one more gets
/// the same coupon, and its issue_ref is not stored. A revoke makes room again; its issue_ref stays
/// used.
pub(crate) async fn sixteen_issue_refs_are_stored(kit: &Kit) {
    let campaign = Campaign { handout: Handout::SelfService, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "name-1").await;
    kit.issued(&campaign, &bob, "name-1").await;
    for number in 2..=18 {
        let name = format!("name-{number}");
        let asker = Asker::User(ann.clone());
        assert_eq!(
            issue_as(kit, &campaign, asker, &ann, &name).await,
            ChangeOutcome::Replayed,
            "{name}"
        );
        assert_eq!(
            issue_as(kit, &campaign, Asker::Shop, &bob, &name).await,
            ChangeOutcome::Replayed
        );
    }
    let patch = CampaignPatch { per_user_limit: Some(Some(2)), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, patch, &ACT).await.unwrap();
    let asks = [
        ("the sixteenth", &ann, "name-16", ChangeOutcome::Replayed),
        ("a shop's eighteenth", &bob, "name-18", ChangeOutcome::Replayed),
        ("an issue_ref that was not stored is new", &ann, "name-17", ChangeOutcome::Accepted),
        ("and is stored now", &ann, "name-17", ChangeOutcome::Replayed),
        ("the limit is two", &ann, "name-18", ChangeOutcome::Refused(Refusal::LimitPerUser)),
    ];
    for (what, user, name, want) in asks {
        let asker = Asker::User(user.clone());
        assert_eq!(issue_as(kit, &campaign, asker, user, name).await, want, "{what}");
    }
    kit.done(&code, revoke(&ann)).await;
    let asker = || Asker::User(ann.clone());
    let spent = issue_as(kit, &campaign, asker(), &ann, "name-16").await;
    assert_eq!(spent, ChangeOutcome::Refused(Refusal::NameTaken));
    assert_eq!(issue_as(kit, &campaign, asker(), &ann, "name-19").await, ChangeOutcome::Accepted);
    let full = issue_as(kit, &campaign, asker(), &ann, "name-20").await;
    assert_eq!(full, ChangeOutcome::Refused(Refusal::LimitPerUser));
}
