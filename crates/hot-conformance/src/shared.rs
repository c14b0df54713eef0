//! Shared codes: one code for everybody; each user who shows it gets a coupon of their own.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, CampaignCounts, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::{Applied, HotError};
use router::Found;

use super::campaigns::some_worth;
use super::kit::{
    ChangeOutcome, Kit, NOW, cancel, extend, give, hold, of, order, redeem, redeem_worth,
    reference, release, revoke, said, void, with_worth,
};

fn shared(kit: &Kit, limit: u16) -> (Campaign, Code) {
    let word = kit.code();
    let campaign = Campaign {
        handout: Handout::Shared,
        shared_code: Some(word.clone()),
        per_user_limit: Some(limit),
        ..kit.draft()
    };
    (campaign, word)
}

async fn say(kit: &Kit, word: &Code, asker: Asker, action: Action) -> Applied {
    let found = kit.found(word).await;
    assert!(matches!(found, Found::Shared { .. }), "{found:?}");
    let change = kit.change(action, asker, NOW);
    let applied = kit.hot.apply(&found, change).await.unwrap();
    kit.agrees(&applied).await;
    applied
}

async fn shop(kit: &Kit, word: &Code, action: Action) -> Applied {
    say(kit, word, Asker::Shop, action).await
}

async fn user(kit: &Kit, word: &Code, user: &UserId, action: Action) -> Applied {
    say(kit, word, Asker::User(user.clone()), action).await
}

pub(crate) async fn redeemed(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    let codes = kit.stocked(&campaign, 2).await;
    let [ann, bob, eve] = kit.users();
    let first = shop(kit, &word, redeem(&ann, "1")).await;
    assert_eq!(said(&first), ChangeOutcome::Accepted);
    assert!(codes.contains(of(&first).code()), "a coupon of the stock with its own code");
    let kinds: Vec<_> = of(&first).events().iter().map(|event| event.kind.as_str()).collect();
    assert_eq!((kinds.as_slice(), of(&first).version()), (&["issued", "redeemed"][..], 2));
    let again = shop(kit, &word, redeem(&ann, "1")).await;
    assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
    let second = shop(kit, &word, redeem(&ann, "2")).await;
    assert_eq!(said(&second), ChangeOutcome::Refused(Refusal::AlreadyRedeemed), "one each");
    assert_eq!(said(&user(kit, &word, &bob, redeem(&bob, "1")).await), ChangeOutcome::Accepted);
    let none = shop(kit, &word, redeem(&eve, "1")).await;
    assert_eq!(said(&none), ChangeOutcome::Refused(Refusal::SoldOut));
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 2, redeemed: 2, ..CampaignCounts::default() });
    // The shared code and the coupon's own code lead to one coupon.
    assert_eq!(kit.said(of(&first).code(), redeem(&ann, "1")).await, ChangeOutcome::Replayed);
}

/// Also of coupons that users have already: held, or given back.
pub(crate) async fn budget_of_a_shared_code(kit: &Kit) {
    if !kit.hot.keeps_budgets() {
        return;
    }
    let (campaign, word) = shared(kit, 1);
    let worth = CampaignWorth { budget: Some(5_000), ..some_worth("amount 3000") };
    let campaign = Campaign { worth, ..campaign };
    kit.stocked(&campaign, 5).await;
    let [ann, bob, eve] = kit.users();
    let spends = |by: &UserId, at: &str| redeem_worth(by, at, "KRW 50000 -");
    let holds = with_worth(hold(&bob, "1", 5), "KRW 50000 -");
    assert_eq!(said(&shop(kit, &word, holds).await), ChangeOutcome::Accepted);
    let first = shop(kit, &word, spends(&ann, "1")).await;
    assert_eq!(said(&first), ChangeOutcome::Accepted);
    for (name, by) in [("a coupon that is held", &bob), ("a coupon of the stock", &eve)] {
        let refused = shop(kit, &word, spends(by, "1")).await;
        assert_eq!(said(&refused), ChangeOutcome::Refused(Refusal::BudgetSpent), "{name}");
        assert_eq!(refused.snapshot.is_some(), by == &bob, "{name}");
    }
    let by_code = kit.said(of(&first).code(), cancel("1")).await;
    assert_eq!(by_code, ChangeOutcome::Accepted, "ann's redemption is given back");
    assert_eq!(said(&shop(kit, &word, spends(&bob, "1")).await), ChangeOutcome::Accepted);
    let again = shop(kit, &word, spends(&ann, "2")).await;
    assert_eq!(said(&again), ChangeOutcome::Refused(Refusal::BudgetSpent), "the coupon she has");
}

pub(crate) async fn cancelled_by_the_shared_code(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    kit.stocked(&campaign, 3).await;
    let [ann, bob] = kit.users();
    let first = shop(kit, &word, redeem(&ann, "1")).await;
    let strangers = user(kit, &word, &bob, cancel("1")).await;
    assert_eq!(said(&strangers), ChangeOutcome::Refused(Refusal::NotFound));
    assert_eq!(said(&user(kit, &word, &ann, cancel("1")).await), ChangeOutcome::Accepted);
    assert_eq!(said(&user(kit, &word, &ann, cancel("1")).await), ChangeOutcome::Replayed);
    let same = shop(kit, &word, redeem(&ann, "1")).await;
    assert_eq!(said(&same), ChangeOutcome::Refused(Refusal::RedemptionCancelled));
    let next = shop(kit, &word, redeem(&ann, "2")).await;
    assert_eq!((said(&next), of(&next).code()), (ChangeOutcome::Accepted, of(&first).code()));
}

pub(crate) async fn held_by_the_shared_code(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    kit.stocked(&campaign, 3).await;
    let [ann, bob] = kit.users();
    let held = user(kit, &word, &ann, hold(&ann, "1", 10)).await;
    assert_eq!((said(&held), of(&held).holder()), (ChangeOutcome::Accepted, Some(&ann)));
    assert!(of(&held).hold().is_some());
    let code = of(&held).code().clone();
    assert_eq!(said(&user(kit, &word, &ann, hold(&ann, "1", 10)).await), ChangeOutcome::Replayed);
    let longer = user(kit, &word, &ann, hold(&ann, "1", 20)).await;
    assert_eq!(
        (said(&longer), of(&longer).code()),
        (ChangeOutcome::Accepted, &code),
        "the same coupon, for longer"
    );
    let other = user(kit, &word, &ann, hold(&ann, "2", 10)).await;
    assert!(
        matches!(said(&other), ChangeOutcome::Refused(Refusal::Held { .. })),
        "one each: {other:?}"
    );
    assert_eq!(said(&user(kit, &word, &ann, release("1")).await), ChangeOutcome::Accepted);
    let redeemed = user(kit, &word, &ann, redeem(&ann, "2")).await;
    assert_eq!((said(&redeemed), of(&redeemed).code()), (ChangeOutcome::Accepted, &code));
    let none = user(kit, &word, &bob, release("1")).await;
    assert_eq!(said(&none), ChangeOutcome::Refused(Refusal::NotFound), "bob has none");
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 3, redeemed: 1, ..CampaignCounts::default() });
}

pub(crate) async fn three_each(kit: &Kit) {
    let (campaign, word) = shared(kit, 3);
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    let mut codes = HashSet::new();
    for name in ["1", "2", "3"] {
        let applied = shop(kit, &word, redeem(&ann, name)).await;
        assert_eq!(said(&applied), ChangeOutcome::Accepted);
        codes.insert(of(&applied).code().clone());
    }
    assert_eq!(codes.len(), 3);
    let fourth = shop(kit, &word, redeem(&ann, "4")).await;
    assert_eq!(said(&fourth), ChangeOutcome::Refused(Refusal::LimitPerUser));
    for name in ["1", "2", "3"] {
        let again = shop(kit, &word, redeem(&ann, name)).await;
        assert_eq!(said(&again), ChangeOutcome::Replayed, "{name}");
        assert_eq!(
            of(&again).redemption().unwrap().order,
            order(name),
            "each order has its own coupon"
        );
    }
    user(kit, &word, &ann, cancel("2")).await;
    let fourth = shop(kit, &word, redeem(&ann, "4")).await;
    assert_eq!(said(&fourth), ChangeOutcome::Accepted, "the cancelled coupon");
    assert_eq!(kit.counts(&campaign).await.redeemed, 3);
}

pub(crate) async fn the_own_coupon_is_used_first(kit: &Kit) {
    let (campaign, word) = shared(kit, 2);
    let codes = kit.stocked(&campaign, 5).await;
    let ann = kit.user("ann");
    kit.done(&codes[3], give(&ann, None)).await;
    let first = shop(kit, &word, redeem(&ann, "1")).await;
    assert_eq!((said(&first), of(&first).code()), (ChangeOutcome::Accepted, &codes[3]));
    let second = shop(kit, &word, redeem(&ann, "2")).await;
    assert_eq!(said(&second), ChangeOutcome::Accepted);
    assert_ne!(of(&second).code(), &codes[3], "then a new coupon");
    let by_call = kit.issue(&campaign, &ann, reference("r")).await;
    assert_eq!(
        said(&by_call),
        ChangeOutcome::Refused(Refusal::LimitPerUser),
        "one limit for the code and the campaign"
    );
}

pub(crate) async fn a_refusal_issues_nothing(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    let campaign = Campaign { valid_from: NOW.plus_ms(1), ..campaign };
    kit.stocked(&campaign, 2).await;
    let ann = kit.user("ann");
    let early = shop(kit, &word, redeem(&ann, "1")).await;
    let not_started = ChangeOutcome::Refused(Refusal::NotStarted { valid_from: NOW.plus_ms(1) });
    assert_eq!(said(&early), not_started);
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 2, ..CampaignCounts::default() }
    );
    for action in [revoke(&ann), void(), extend(campaign.expires_at), give(&ann, None)] {
        let refused = shop(kit, &word, action.clone()).await;
        assert_eq!(said(&refused), ChangeOutcome::Refused(Refusal::NotFound), "{action:?}");
    }
}

pub(crate) async fn a_dry_run_writes_nothing(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    let codes = kit.stocked(&campaign, 1).await;
    let [ann, bob] = kit.users();
    let found = kit.found(&word).await;
    let dry_run = |action| kit.hot.dry_run(&found, kit.change(action, Asker::Shop, NOW));
    for user in [&ann, &bob] {
        let would = dry_run(redeem(user, "1")).await.unwrap();
        assert_eq!(said(&would), ChangeOutcome::Accepted, "either user may redeem");
        assert_eq!(of(&would).holder(), Some(user));
    }
    assert_eq!(kit.coupon(&codes[0]).await.version(), 0, "nothing is written");
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 1, ..CampaignCounts::default() }
    );
    shop(kit, &word, redeem(&ann, "1")).await;
    assert_eq!(said(&dry_run(redeem(&ann, "1")).await.unwrap()), ChangeOutcome::Replayed);
    let late = dry_run(redeem(&bob, "1")).await.unwrap();
    assert_eq!(said(&late), ChangeOutcome::Refused(Refusal::SoldOut));
}

/// Promise 3 for a shared code: never more coupons than the stock, and each user up to the limit.
pub(crate) async fn never_more_than_the_stock(kit: &Arc<Kit>) {
    const STOCK: usize = 1_000;
    const ASKED_AGAIN: usize = 5;
    for (limit, wishes) in [(1, 1), (3, 4)] {
        let (campaign, word) = shared(kit, limit);
        kit.stocked(&campaign, STOCK as u64).await;
        let tasks = (0..200).map(|_| {
            let (kit, word) = (Arc::clone(kit), word.clone());
            tokio::spawn(async move {
                let mut codes = Vec::new();
                for user in kit.users::<6>() {
                    let before = codes.len();
                    for wish in 0..wishes {
                        let name = format!("order-{wish}");
                        let found = kit.found(&word).await;
                        // After an answer that says that nothing was done, a caller asks again.
                        let ask = async || {
                            let change = kit.change(redeem(&user, &name), Asker::Shop, NOW);
                            let mut answer = kit.hot.apply(&found, change.clone()).await;
                            for _ in 0..ASKED_AGAIN {
                                if matches!(answer, Err(HotError::Unavailable(_))) {
                                    answer = kit.hot.apply(&found, change.clone()).await;
                                }
                            }
                            answer
                        };
                        let (one, other) = tokio::join!(ask(), ask());
                        let both = [one.unwrap(), other.unwrap()];
                        let news = both.each_ref().map(said);
                        assert!(
                            news != [ChangeOutcome::Accepted; 2],
                            "two equal requests give one coupon"
                        );
                        let new =
                            both.iter().find(|applied| said(applied) == ChangeOutcome::Accepted);
                        codes.extend(new.map(|applied| of(applied).code().clone()));
                    }
                    assert!(codes.len() - before <= usize::from(limit), "the limit");
                }
                codes
            })
        });
        let codes: Vec<Code> = join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(codes.len(), STOCK);
        assert_eq!(codes.into_iter().collect::<HashSet<_>>().len(), STOCK, "each once");
        let counts = kit.counts(&campaign).await;
        assert_eq!(
            counts,
            CampaignCounts { stock: 1_000, redeemed: 1_000, ..CampaignCounts::default() }
        );
    }
}

pub(crate) async fn cancelled_after_a_revoke(kit: &Kit) {
    let (campaign, word) = shared(kit, 1);
    kit.stocked(&campaign, 2).await;
    let ann = kit.user("ann");
    let held = shop(kit, &word, hold(&ann, "1", 5)).await;
    let code = of(&held).code().clone();
    kit.done(&code, release("1")).await;
    kit.done(&code, revoke(&ann)).await;
    let next = shop(kit, &word, redeem(&ann, "2")).await;
    assert_eq!(said(&next), ChangeOutcome::Accepted, "a revoked coupon does not count");
    assert_eq!(kit.counts(&campaign).await.redeemed, 1);
}
