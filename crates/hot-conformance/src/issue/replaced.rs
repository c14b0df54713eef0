//! Replacements of coupons that can no longer be redeemed.

use coupon::apply::Asker;
use coupon::campaign::{Campaign, Handout};
use coupon::refusal::Refusal;

use crate::kit::{ChangeOutcome, Kit, NOW, give, of, redeem, reference, revoke, said, void};

pub(crate) async fn replaced_once(kit: &Kit) {
    let campaign = Campaign { code_prefix: Some("SALE".parse().unwrap()), ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let other = kit.draft();
    kit.stocked(&other, 9).await;
    let [ann, bob] = kit.users();
    let old = kit.issued(&campaign, &ann, "a").await;
    let name = reference(&format!("replaces:{old}"));
    let still_good = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!((said(&still_good), of(&still_good).code()), (ChangeOutcome::Replayed, &old));
    let strangers = kit.issue(&campaign, &bob, name.clone()).await;
    assert_eq!(said(&strangers), ChangeOutcome::Refused(Refusal::NotFound));
    kit.done(&old, void()).await;
    let replacement = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!(said(&replacement), ChangeOutcome::Accepted, "not refused by the limit");
    let new = of(&replacement).code().clone();
    assert_ne!(new, old);
    let again = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, &new));
    let plain = kit.issue(&campaign, &ann, None).await;
    assert_eq!(of(&plain).code(), &new, "the new one counts, the old one does not");
    let taken = ChangeOutcome::Refused(Refusal::NameTaken);
    let to_bob = kit.issue(&campaign, &bob, name.clone()).await;
    assert_eq!(said(&to_bob), taken, "not for another user");
    let elsewhere = kit.issue(&other, &ann, name.clone()).await;
    assert_eq!(said(&elsewhere), taken, "not in another campaign");
    assert_eq!(kit.counts(&other).await.issued, 0);
    // Another spelling of the code names the same coupon.
    for text in [
        old.printed(None),
        old.printed(Some("SALE")),
        old.as_str().to_lowercase(),
        old.as_str().replace('0', "o").replace('1', "l"),
    ] {
        let to_bob = kit.issue(&campaign, &bob, reference(&format!("replaces:{text}"))).await;
        assert_eq!(said(&to_bob), taken, "{text}");
    }
    kit.done(&new, revoke(&ann)).await;
    let spent = kit.issue(&campaign, &ann, name).await;
    assert_eq!(said(&spent), taken, "not again after the new one was revoked");
    // The printed form also names the coupon the first time.
    let chained = kit.issued(&campaign, &bob, "b").await;
    let printed = reference(&format!("replaces:{}", chained.printed(Some("SALE"))));
    kit.done(&chained, void()).await;
    let replacement = kit.issue(&campaign, &bob, printed).await;
    assert_eq!(said(&replacement), ChangeOutcome::Accepted);
}

/// A coupon is replaced, from any campaign that runs, only once it can no longer be extended and its
/// redemption can no longer be cancelled.
pub(crate) async fn replaced_only_if_it_cannot_work_again(kit: &Kit) {
    let over = kit.draft();
    kit.stocked(&over, 2).await;
    let running = Campaign { expires_at: over.expires_at.plus_days(200), ..kit.draft() };
    kit.stocked(&running, 5).await;
    let [ann, bob] = kit.users();
    let dead = kit.issued(&over, &ann, "a").await;
    let spent = kit.issued(&over, &bob, "b").await;
    let last = over.expires_at.plus_ms(-1);
    assert_eq!(said(&kit.at(last, &spent, redeem(&bob, "1")).await), ChangeOutcome::Accepted);
    let closed = over.expires_at.plus_days(over.extend_days);
    let cases = [
        ("it can be redeemed", &ann, &dead, last, ChangeOutcome::Replayed),
        (
            "it can be extended",
            &ann,
            &dead,
            closed.plus_ms(-1),
            ChangeOutcome::Refused(Refusal::Expired),
        ),
        ("another user's coupon", &bob, &dead, closed, ChangeOutcome::Refused(Refusal::NotFound)),
        ("neither is possible", &ann, &dead, closed, ChangeOutcome::Accepted),
        (
            "it can be cancelled",
            &bob,
            &spent,
            last.plus_days(over.cancel_days).plus_ms(-1),
            ChangeOutcome::Refused(Refusal::AlreadyRedeemed),
        ),
        (
            "it cannot be cancelled",
            &bob,
            &spent,
            last.plus_days(over.cancel_days),
            ChangeOutcome::Accepted,
        ),
    ];
    for (name, user, code, at, want) in cases {
        let reference = reference(&format!("replaces:{code}"));
        let answer = kit.issue_at(at, &running.id, user, reference).await;
        assert_eq!(said(&answer), want, "{name}");
    }
}

pub(crate) async fn users_may_not_replace(kit: &Kit) {
    let campaign = Campaign { handout: Handout::SelfService, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "a").await;
    let name = reference(&format!("replaces:{code}"));
    let change = kit.change(give(&ann, name), Asker::User(ann.clone()), NOW);
    let more = kit.hot.issue(&campaign.id, change).await.unwrap();
    assert_eq!(
        said(&more),
        ChangeOutcome::Refused(Refusal::NotIssuable),
        "users could get any number of coupons"
    );
    assert_eq!(kit.counts(&campaign).await.issued, 1);
}
