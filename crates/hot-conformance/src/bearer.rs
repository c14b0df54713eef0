//! Bearer codes: whoever shows one redeems it or puts it into their wallet.

use std::sync::Arc;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::refusal::Refusal;
use futures::future::join_all;

use super::kit::{ChangeOutcome, Kit, NOW, cancel, give, hold, redeem, release, revoke, said};

fn bearer(kit: &Kit, limit: Option<u16>) -> Campaign {
    Campaign { handout: Handout::Bearer, per_user_limit: limit, ..kit.draft() }
}

pub(crate) async fn redeemed_from_paper(kit: &Kit) {
    let campaign = bearer(kit, Some(2));
    let codes = kit.stocked(&campaign, 5).await;
    let [ann, bob] = kit.users();
    let coupon = kit.done(&codes[0], redeem(&ann, "1")).await;
    assert_eq!((coupon.holder(), coupon.version()), (Some(&ann), 1));
    let limit = ChangeOutcome::Refused(Refusal::LimitPerUser);
    kit.done(&codes[1], redeem(&ann, "2")).await;
    assert_eq!(kit.said(&codes[2], redeem(&ann, "3")).await, limit, "a third redemption");
    assert_eq!(kit.said(&codes[2], give(&ann, None)).await, limit, "a third in the wallet");
    let held = kit.said(&codes[2], hold(&ann, "3", 5)).await;
    assert_eq!(held, limit, "a coupon that this user could not redeem is not held");
    assert_eq!(kit.said(&codes[0], redeem(&ann, "1")).await, ChangeOutcome::Replayed);
    let other = kit.said(&codes[0], redeem(&bob, "9")).await;
    assert_eq!(other, ChangeOutcome::Refused(Refusal::AlreadyRedeemed));
    kit.done(&codes[1], cancel("2")).await;
    assert_eq!(kit.coupon(&codes[1]).await.holder(), None, "it has no holder again");
    kit.done(&codes[2], redeem(&ann, "3")).await;
    assert_eq!(kit.said(&codes[1], redeem(&ann, "4")).await, limit);
    kit.done(&codes[1], redeem(&bob, "4")).await;
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 5, redeemed: 3, ..CampaignCounts::default() });
}

pub(crate) async fn put_into_a_wallet(kit: &Kit) {
    let campaign = bearer(kit, Some(1));
    let codes = kit.stocked(&campaign, 3).await;
    let [ann, bob] = kit.users();
    kit.done(&codes[0], give(&ann, None)).await;
    assert_eq!(kit.said(&codes[0], give(&ann, None)).await, ChangeOutcome::Replayed);
    for action in [give(&bob, None), redeem(&bob, "1"), hold(&bob, "1", 5)] {
        let others = kit.said(&codes[0], action).await;
        assert_eq!(others, ChangeOutcome::Refused(Refusal::AlreadyIssued));
    }
    let second = kit.said(&codes[1], give(&ann, None)).await;
    assert_eq!(second, ChangeOutcome::Refused(Refusal::LimitPerUser));
    let coupon = kit.done(&codes[0], redeem(&ann, "1")).await;
    assert_eq!(coupon.version(), 2, "a coupon in the wallet counts once");
    let cancelled = kit.done(&codes[0], cancel("1")).await;
    assert_eq!(cancelled.holder(), Some(&ann), "it is back in the wallet");
    kit.done(&codes[0], revoke(&ann)).await;
    kit.done(&codes[1], give(&ann, None)).await;
}

pub(crate) async fn held_by_any_bearer(kit: &Kit) {
    let campaign = bearer(kit, Some(1));
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let [ann, bob] = kit.users();
    kit.done(&code, hold(&ann, "1", 5)).await;
    assert_eq!(kit.coupon(&code).await.holder(), None, "held, without a holder");
    let held = kit.said(&code, redeem(&bob, "2")).await;
    assert!(matches!(held, ChangeOutcome::Refused(Refusal::Held { .. })));
    kit.done(&code, release("1")).await;
    kit.done(&code, redeem(&bob, "2")).await;
}

pub(crate) async fn without_a_limit(kit: &Kit) {
    let campaign = bearer(kit, None);
    let codes = kit.stocked(&campaign, 120).await;
    let ann = kit.user("ann");
    for (n, code) in codes.iter().enumerate() {
        let action = match n % 2 {
            0 => redeem(&ann, &n.to_string()),
            _ => give(&ann, None),
        };
        kit.done(code, action).await;
    }
}

/// One user shows 20 codes at once and may have three.
pub(crate) async fn the_limit_holds_under_concurrency(kit: &Arc<Kit>) {
    let campaign = bearer(kit, Some(3));
    let codes = kit.stocked(&campaign, 20).await;
    let ann = kit.user("ann");
    let tasks = codes.into_iter().enumerate().map(|(n, code)| {
        let (kit, ann) = (Arc::clone(kit), ann.clone());
        tokio::spawn(async move {
            let found = kit.found(&code).await;
            let change = kit.change(redeem(&ann, &n.to_string()), Asker::Shop, NOW);
            said(&kit.hot.apply(&found, change).await.unwrap())
        })
    });
    let answers: Vec<ChangeOutcome> =
        join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let count = |want| answers.iter().filter(|said| **said == want).count();
    let limit = ChangeOutcome::Refused(Refusal::LimitPerUser);
    assert_eq!((count(ChangeOutcome::Accepted), count(limit)), (3, 17));
}
