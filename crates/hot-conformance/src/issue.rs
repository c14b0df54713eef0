//! Issuing from stock: exactly as many as there are, to nobody more than his limit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use coupon::apply::{Asker, Outcome};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Millis};
use futures::future::join_all;
use hot::CampaignPatch;

use super::kit::{Kit, NOW, Said, cancel, extend, give, of, redeem, reference, revoke, said, void};

const SOLD_OUT: Said = Said::Refused(Refusal::SoldOut);

pub(crate) async fn one_each(kit: &Kit) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 2).await;
    let [ann, bob, eve] = kit.users();
    let first = kit.issue(&campaign, &ann, None).await;
    assert_eq!(said(&first), Said::Accepted);
    for name in [None, reference("r1"), reference("r2")] {
        let again = kit.issue(&campaign, &ann, name).await;
        assert_eq!((said(&again), of(&again)), (Said::Replayed, of(&first)), "the same coupon");
    }
    let second = kit.issued(&campaign, &bob, "r").await;
    assert!(codes.contains(&second) && &second != of(&first).code());
    assert_eq!(said(&kit.issue(&campaign, &eve, None).await), SOLD_OUT);
    let again = kit.issue(&campaign, &ann, None).await;
    assert_eq!(said(&again), Said::Replayed, "sold out is for those who have none");
    let unknown = kit.draft();
    let nowhere = kit.issue(&unknown, &ann, None).await;
    assert_eq!((said(&nowhere), nowhere.snapshot), (Said::Refused(Refusal::NotFound), None));
}

pub(crate) async fn three_each(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(3), ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    let [ann, bob] = kit.users();
    let mut codes = HashSet::new();
    for name in ["a", "b", "c"] {
        let code = kit.issued(&campaign, &ann, name).await;
        let again = kit.issue(&campaign, &ann, reference(name)).await;
        assert_eq!((said(&again), of(&again).code()), (Said::Replayed, &code), "{name}");
        codes.insert(code);
    }
    assert_eq!(codes.len(), 3);
    let fourth = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&fourth), Said::Refused(Refusal::LimitPerUser));
    let code = kit.issued(&campaign, &bob, "a").await;
    assert!(!codes.contains(&code), "a name is its user's own");
    let first = kit.issue(&campaign, &ann, reference("a")).await;
    let first = of(&first).code().clone();
    kit.done(&first, redeem(&ann, "1")).await;
    let again = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!((said(&again), of(&again).code()), (Said::Replayed, &first), "a spent one too");
    let patch = CampaignPatch { per_user_limit: Some(Some(4)), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, patch, NOW).await.unwrap();
    kit.issued(&campaign, &ann, "d").await;
    let fifth = kit.issue(&campaign, &ann, reference("e")).await;
    assert_eq!(said(&fifth), Said::Refused(Refusal::LimitPerUser), "a redeemed one counts");
}

pub(crate) async fn a_spent_name_and_a_coupon_that_came_back(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "a").await;
    assert_eq!(said(&kit.issue(&campaign, &bob, reference("a")).await), SOLD_OUT);
    kit.done(&code, revoke(&ann)).await;
    let spent = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(said(&spent), Said::Refused(Refusal::NameTaken), "its name is spent");
    assert_eq!(kit.issued(&campaign, &bob, "a").await, code, "what came back is handed out again");
    kit.done(&code, revoke(&bob)).await;
    assert_eq!(kit.issued(&campaign, &ann, "b").await, code, "also to whom it was taken from");
    let spent = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(said(&spent), Said::Refused(Refusal::NameTaken), "and its first name stays spent");
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("b")).await), Said::Replayed);
    // Given twice, one coupon: it counts once.
    kit.mint(&campaign, 2).await;
    kit.issued(&campaign, &ann, "c").await;
    let third = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&third), Said::Refused(Refusal::LimitPerUser));
}

/// Codes that were voided or given by name lie among the serials; each other one is handed out.
pub(crate) async fn what_is_gone_is_skipped(kit: &Kit) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 40).await;
    let mut left: HashSet<&Code> = codes.iter().collect();
    for at in [0, 1, 5, 17, 38, 39] {
        kit.done(&codes[at], void()).await;
        left.remove(&codes[at]);
    }
    for at in [2, 6, 18] {
        kit.done(&codes[at], give(&kit.user("named"), None)).await;
        left.remove(&codes[at]);
    }
    kit.done(&codes[7], extend(campaign.expires_at.plus_days(2))).await;
    while !left.is_empty() {
        let code = kit.issued(&campaign, &kit.user("user"), "r").await;
        assert!(left.remove(&code), "{code} was there, and once");
    }
    assert_eq!(said(&kit.issue(&campaign, &kit.user("late"), None).await), SOLD_OUT);
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 40, issued: 34, redeemed: 0, void: 6 });
}

pub(crate) async fn thousands_in_a_row_are_skipped(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 2_503).await;
    let voids = codes[..2_501].chunks(50).map(|codes| {
        let (kit, codes) = (Arc::clone(kit), codes.to_vec());
        tokio::spawn(async move {
            for code in codes {
                let change = kit.change(void(), Asker::Shop, NOW);
                let found = kit.found(&code).await;
                assert_eq!(said(&kit.hot.apply(&found, change).await.unwrap()), Said::Accepted);
            }
        })
    });
    for voided in join_all(voids).await {
        voided.unwrap();
    }
    let [ann, bob, eve] = kit.users();
    let two = [kit.issued(&campaign, &ann, "r").await, kit.issued(&campaign, &bob, "r").await];
    assert_eq!(two, codes[2_501..]);
    assert_eq!(said(&kit.issue(&campaign, &eve, None).await), SOLD_OUT);
}

pub(crate) async fn paused_stock(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let (first, second) = (kit.mint(&campaign, 2).await, kit.mint(&campaign, 1).await);
    let ann = kit.user("ann");
    let pause = |paused| kit.hot.pause_batch(&campaign.id, &first.id, paused, None);
    pause(true).await.unwrap();
    let code = kit.issued(&campaign, &ann, "a").await;
    assert_eq!(kit.coupon(&code).await.genesis().batch, second.id, "the one that is not paused");
    let paused = Said::Refused(Refusal::Paused);
    let none = kit.issue(&campaign, &ann, reference("b")).await;
    assert_eq!((said(&none), none.snapshot), (paused, None), "only paused ones are left");
    pause(false).await.unwrap();
    let code = kit.issued(&campaign, &ann, "b").await;
    kit.issued(&campaign, &ann, "c").await;
    pause(true).await.unwrap();
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("d")).await), SOLD_OUT, "none is left");
    kit.done(&code, revoke(&ann)).await;
    let back = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&back), paused, "one that came back is left too");
    pause(false).await.unwrap();
    let stop = CampaignPatch { paused: Some(true), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, stop, NOW).await.unwrap();
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("d")).await), paused, "all of it");
    let again = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(said(&again), Said::Replayed, "a repeat is answered all the same");
}

pub(crate) async fn the_issue_window(kit: &Kit) {
    let (from, until) = (NOW, NOW.plus_ms(1_000));
    let campaign = Campaign {
        per_user_limit: Some(9),
        issue_from: Some(from),
        issue_until: Some(until),
        ..kit.draft()
    };
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    let closed = |opens_at| Said::Refused(Refusal::IssueClosed { opens_at });
    let cases = [
        ("a millisecond early", from.plus_ms(-1), closed(Some(from))),
        ("the first", from, Said::Accepted),
        ("the last", until.plus_ms(-1), Said::Accepted),
        ("one too late", until, closed(None)),
        ("too late and expired", campaign.expires_at, Said::Refused(Refusal::Expired)),
    ];
    for (n, (name, at, want)) in cases.into_iter().enumerate() {
        let applied = kit.issue_at(at, &campaign.id, &ann, reference(&n.to_string())).await;
        assert_eq!(said(&applied), want, "{name}");
    }
}

pub(crate) async fn imported_stock(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let ann = kit.user("ann");
    let soon = NOW.plus_ms(DAY_MS);
    let codes: [Code; 4] = std::array::from_fn(|_| kit.code());
    let mut lines = vec![
        kit.line(&campaign, &codes[0], ImportedState::Available),
        kit.line(&campaign, &codes[1], ImportedState::Void),
        kit.line(&campaign, &codes[2], ImportedState::Issued { holder: kit.user("x"), at: None }),
        kit.line(&campaign, &codes[3], ImportedState::Available),
    ];
    lines[3].expires_at = soon;
    kit.import(&campaign, &batch, lines).await;
    assert_eq!(kit.issued(&campaign, &ann, "a").await, codes[3], "what expires first goes first");
    kit.done(&codes[3], revoke(&ann)).await;
    let late = kit.issue_at(soon, &campaign.id, &ann, reference("b")).await;
    assert_eq!(of(&late).code(), &codes[0], "an expired line is not offered");
    let early = kit.issue_at(soon.plus_ms(-1), &campaign.id, &ann, reference("c")).await;
    assert_eq!(of(&early).code(), &codes[3], "a millisecond before it expires it is");
    kit.done(&codes[0], revoke(&ann)).await;
    kit.done(&codes[3], revoke(&ann)).await;
    let end = kit.issue_at(campaign.expires_at, &campaign.id, &ann, reference("d")).await;
    assert_eq!(said(&end), Said::Refused(Refusal::Expired), "only expired ones are left");
    kit.done(&codes[0], void()).await;
    kit.done(&codes[3], void()).await;
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("e")).await), SOLD_OUT);
}

pub(crate) async fn valid_days_count_from_the_issue(kit: &Kit) {
    let campaign =
        Campaign { valid_days: Some(14), zone: "Asia/Seoul".parse().unwrap(), ..kit.draft() };
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let [ann, bob] = kit.users();
    kit.issued(&campaign, &ann, "a").await;
    // The 14th day after 2026-11-20 21:00 in Seoul ends at 2026-12-04 24:00 there.
    let until = Millis((20_777 + 15) * DAY_MS - 9 * 3_600_000);
    assert_eq!(kit.coupon(&code).await.expires_at(), until);
    let late = kit.at(until, &code, redeem(&ann, "1")).await;
    assert_eq!(said(&late), Said::Refused(Refusal::Expired));
    // In the partition of the campaign there is room for a later one.
    kit.done(&code, extend(until.plus_days(1))).await;
    assert_eq!(kit.coupon(&code).await.expires_at(), until.plus_days(1));
    kit.done(&code, revoke(&ann)).await;
    assert_eq!(kit.coupon(&code).await.expires_at(), campaign.expires_at, "it starts anew");
    let again = kit.issue_at(NOW.plus_ms(2 * DAY_MS), &campaign.id, &bob, reference("b")).await;
    assert_eq!(of(&again).expires_at(), until.plus_days(2));
    kit.done(&code, revoke(&bob)).await;
    let end = campaign.expires_at;
    let last = kit.issue_at(end.plus_ms(-1), &campaign.id, &bob, reference("c")).await;
    assert_eq!(of(&last).expires_at(), end, "but never later than the campaign's");
    kit.agrees(&last).await;
    let named = Campaign { valid_days: Some(1), ..kit.draft() };
    let code = kit.stocked(&named, 1).await.remove(0);
    kit.done(&code, give(&ann, None)).await;
    let until = Millis((20_777 + 2) * DAY_MS);
    assert_eq!(kit.coupon(&code).await.expires_at(), until, "a named code too");
}

pub(crate) async fn bearer_stock_is_not_issued(kit: &Kit) {
    let campaign = Campaign { handout: Handout::Bearer, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let none = kit.issue(&campaign, &kit.user("ann"), None).await;
    assert_eq!(said(&none), Said::Refused(Refusal::NotIssuable));
}

pub(crate) async fn replaced_once(kit: &Kit) {
    let campaign = Campaign { code_prefix: Some("SALE".parse().unwrap()), ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let other = kit.draft();
    kit.stocked(&other, 9).await;
    let [ann, bob] = kit.users();
    let old = kit.issued(&campaign, &ann, "a").await;
    let name = reference(&format!("replaces:{old}"));
    let still_good = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!((said(&still_good), of(&still_good).code()), (Said::Replayed, &old));
    let not_his = kit.issue(&campaign, &bob, name.clone()).await;
    assert_eq!(said(&not_his), Said::Refused(Refusal::NotFound));
    kit.done(&old, void()).await;
    let replacement = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!(said(&replacement), Said::Accepted, "not refused by the limit");
    let new = of(&replacement).code().clone();
    assert_ne!(new, old);
    let again = kit.issue(&campaign, &ann, name.clone()).await;
    assert_eq!((said(&again), of(&again).code()), (Said::Replayed, &new));
    let plain = kit.issue(&campaign, &ann, None).await;
    assert_eq!(of(&plain).code(), &new, "the new one counts, the old one does not");
    let taken = Said::Refused(Refusal::NameTaken);
    let to_bob = kit.issue(&campaign, &bob, name.clone()).await;
    assert_eq!(said(&to_bob), taken, "not for another user");
    let elsewhere = kit.issue(&other, &ann, name.clone()).await;
    assert_eq!(said(&elsewhere), taken, "not in another campaign");
    assert_eq!(kit.counts(&other).await.issued, 0);
    // However the code is written, it is the same coupon.
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
    assert_eq!(said(&spent), taken, "and not again when the new one was taken back");
    // The printed form names the same coupon the first time, too.
    let chained = kit.issued(&campaign, &bob, "b").await;
    let printed = reference(&format!("replaces:{}", chained.printed(Some("SALE"))));
    kit.done(&chained, void()).await;
    let replacement = kit.issue(&campaign, &bob, printed).await;
    assert_eq!(said(&replacement), Said::Accepted);
}

/// What can still be extended, or whose redemption can still be cancelled, is not replaced; after
/// that it is, out of any campaign that runs.
pub(crate) async fn replaced_when_nothing_else_helps(kit: &Kit) {
    let over = kit.draft();
    kit.stocked(&over, 2).await;
    let running = Campaign { expires_at: over.expires_at.plus_days(200), ..kit.draft() };
    kit.stocked(&running, 5).await;
    let [ann, bob] = kit.users();
    let dead = kit.issued(&over, &ann, "a").await;
    let spent = kit.issued(&over, &bob, "b").await;
    let last = over.expires_at.plus_ms(-1);
    assert_eq!(said(&kit.at(last, &spent, redeem(&bob, "1")).await), Said::Accepted);
    let closed = over.expires_at.plus_days(over.extend_days);
    let cases = [
        ("it works", &ann, &dead, last, Said::Replayed),
        ("it can be extended", &ann, &dead, closed.plus_ms(-1), Said::Refused(Refusal::Expired)),
        ("somebody else's", &bob, &dead, closed, Said::Refused(Refusal::NotFound)),
        ("nothing helps", &ann, &dead, closed, Said::Accepted),
        (
            "it can be cancelled",
            &bob,
            &spent,
            last.plus_days(over.cancel_days).plus_ms(-1),
            Said::Refused(Refusal::AlreadyRedeemed),
        ),
        ("it cannot", &bob, &spent, last.plus_days(over.cancel_days), Said::Accepted),
    ];
    for (name, user, code, at, want) in cases {
        let reference = reference(&format!("replaces:{code}"));
        let answer = kit.issue_at(at, &running.id, user, reference).await;
        assert_eq!(said(&answer), want, "{name}");
    }
}

pub(crate) async fn nobody_replaces_for_himself(kit: &Kit) {
    let campaign = Campaign { handout: Handout::SelfService, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "a").await;
    let name = reference(&format!("replaces:{code}"));
    let change = kit.change(give(&ann, name), Asker::User(ann.clone()), NOW);
    let more = kit.hot.issue(&campaign.id, change).await.unwrap();
    assert_eq!(said(&more), Said::Refused(Refusal::NotIssuable), "or he had as many as he likes");
    assert_eq!(kit.counts(&campaign).await.issued, 1);
}

/// A coupon whose history is full stays where it is; those behind it are handed out.
pub(crate) async fn one_with_a_full_history_is_passed_over(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let mut full = Vec::new();
    for _ in 0..2 {
        full.extend(kit.imported(&campaign, 1).await);
    }
    let ann = kit.user("ann");
    for code in &full {
        for _ in 0..14 {
            kit.done(code, give(&ann, None)).await;
            kit.done(code, revoke(&ann)).await;
        }
        // One more place in its history: issued once more, it could not be redeemed.
    }
    let none = kit.issue(&campaign, &ann, reference("none")).await;
    assert_eq!(said(&none), SOLD_OUT, "nobody can get those two any more");
    let fresh = kit.imported(&campaign, 1).await.remove(0);
    assert_eq!(kit.issued(&campaign, &ann, "a").await, fresh, "a batch behind them");
    let batch = kit.mint(&campaign, 1).await;
    assert_eq!(kit.issued(&campaign, &ann, "b").await, kit.codes(&batch)[0]);
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("c")).await), SOLD_OUT);
}

/// Giving and taking back goes round: no coupon is worn out while others lie about.
pub(crate) async fn wear_is_spread(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let codes = kit.imported(&campaign, 3).await;
    for turn in 0..6 {
        let user = kit.user("user");
        let code = kit.issued(&campaign, &user, "r").await;
        kit.done(&code, revoke(&user)).await;
        if turn % 3 == 2 {
            for code in &codes {
                assert_eq!(kit.coupon(code).await.events().len(), 2 * (turn / 3 + 1));
            }
        }
    }
}

/// Promise 3, with more demand than stock: each user asks each time twice at once.
async fn exactly_a_thousand(kit: &Arc<Kit>, limit: u16, wishes: usize) {
    const STOCK: u64 = 1_000;
    let campaign = Campaign { per_user_limit: Some(limit), ..kit.draft() };
    kit.create(&campaign).await;
    // Part of it minted, part of it imported, part of it gone already and come back.
    kit.mint(&campaign, 600).await;
    kit.imported(&campaign, 100).await;
    kit.mint(&campaign, STOCK - 700).await;
    let tasks = (0..200).map(|_| {
        let (kit, id) = (Arc::clone(kit), campaign.id.clone());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for user in kit.users::<6>() {
                for wish in 0..wishes {
                    let name = reference(&format!("wish-{wish}"));
                    let ask = || kit.issue_at(NOW, &id, &user, name.clone());
                    let (one, other) = tokio::join!(ask(), ask());
                    answers.push((user.clone(), one, other));
                }
            }
            answers
        })
    });
    let mut held: HashMap<_, HashSet<Code>> = HashMap::new();
    let mut accepted = 0;
    for task in join_all(tasks).await {
        for (user, one, other) in task.unwrap() {
            let both = [&one, &other].map(|applied| match &applied.outcome {
                Outcome::Refused(refusal) => {
                    let known = [Refusal::SoldOut, Refusal::LimitPerUser];
                    assert!(known.contains(refusal), "{refusal:?}");
                    None
                }
                Outcome::Accepted(_) | Outcome::Replayed => Some(of(applied).code().clone()),
            });
            let news = [&one, &other].map(|applied| said(applied) == Said::Accepted);
            assert!(news != [true, true], "nobody gets two by asking twice at once");
            accepted += news.iter().filter(|new| **new).count() as u64;
            // Stock only shrinks here: one who is refused first is not given it a moment later.
            assert_eq!(both[0], both[1], "both are told the same");
            held.entry(user).or_default().extend(both.into_iter().flatten());
        }
    }
    assert_eq!(accepted, STOCK);
    assert!(held.values().all(|codes| codes.len() <= usize::from(limit)), "the limit");
    let all: HashSet<&Code> = held.values().flatten().collect();
    assert_eq!(all.len() as u64, STOCK, "no coupon has two holders");
    assert_eq!(held.values().map(HashSet::len).sum::<usize>() as u64, STOCK);
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: STOCK, issued: STOCK, ..CampaignCounts::default() });
}

pub(crate) async fn exactly_a_thousand_one_each(kit: &Arc<Kit>) {
    exactly_a_thousand(kit, 1, 1).await;
}

pub(crate) async fn exactly_a_thousand_three_each(kit: &Arc<Kit>) {
    exactly_a_thousand(kit, 3, 4).await;
}

/// What is taken back while others ask is never lost: sold out is said only when it is true.
pub(crate) async fn taken_back_while_others_ask(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    kit.stocked(&campaign, 32).await;
    let tasks = (0..32).map(|_| {
        let (kit, id) = (Arc::clone(kit), campaign.id.clone());
        tokio::spawn(async move {
            // At most 32 at a time hold one, so there is always one for the next; and none is
            // given so often that its history is full while others lie about.
            for turn in 0..10 {
                let user = kit.user("user");
                let applied = kit.issue_at(NOW, &id, &user, reference("r")).await;
                assert_eq!(said(&applied), Said::Accepted, "turn {turn}");
                let code = of(&applied).code().clone();
                let found = kit.found(&code).await;
                let back = kit.change(revoke(&user), Asker::Shop, NOW);
                assert_eq!(said(&kit.hot.apply(&found, back).await.unwrap()), Said::Accepted);
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 32, ..CampaignCounts::default() }
    );
}

pub(crate) async fn a_cancelled_one_is_still_his(kit: &Kit) {
    let campaign = kit.draft();
    kit.stocked(&campaign, 2).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "a").await;
    kit.done(&code, redeem(&ann, "1")).await;
    kit.done(&code, cancel("1")).await;
    let again = kit.issue(&campaign, &ann, reference("b")).await;
    assert_eq!((said(&again), of(&again).code()), (Said::Replayed, &code));
}

/// Statements that one call may cost, whatever stands in the claim; a cluster's upkeep may run
/// some more meanwhile.
const STATEMENTS_MAX: u64 = 16;

/// Names that a shop has given before; each call once looked at the coupon of every one.
const NAMES: usize = 150;

async fn issue_as(kit: &Kit, campaign: &Campaign, asker: Asker, to: &UserId, name: &str) -> Said {
    let change = kit.change(give(to, reference(name)), asker, NOW);
    said(&kit.hot.issue(&campaign.id, change).await.unwrap())
}

/// Many names for one coupon, and coupons that were given and taken back: an issue, a replay and a
/// refusal read no more than before.
pub(crate) async fn a_long_history_costs_little(kit: &Kit) {
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
        assert_eq!(issue_as(kit, &one, Asker::Shop, &ann, &name).await, Said::Replayed);
    }
    for name in ["a", "b"] {
        kit.issued(&two, &ann, name).await;
    }
    let user = || Asker::User(ann.clone());
    let limit = Said::Refused(Refusal::LimitPerUser);
    let calls = [
        ("a replay", &one, "name-3", Said::Replayed),
        ("one more name", &one, "another", Said::Replayed),
        ("a replay of two", &two, "a", Said::Replayed),
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
        assert_eq!(issue_as(kit, &one, Asker::User(bob.clone()), &bob, "x").await, Said::Accepted);
    }
    let each = (kit.hot.gauge().statements - before) / CALLS;
    assert!(each <= 2 * STATEMENTS_MAX, "an issue: {each} statements");
}

/// A user may name what they have sixteen times; what they ask for under more names they get, and
/// the name is not kept. A revoke gives the place back, and the name stays spent.
pub(crate) async fn a_user_gives_sixteen_names(kit: &Kit) {
    let campaign = Campaign { handout: Handout::SelfService, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "name-1").await;
    kit.issued(&campaign, &bob, "name-1").await;
    for number in 2..=18 {
        let name = format!("name-{number}");
        let asker = Asker::User(ann.clone());
        assert_eq!(issue_as(kit, &campaign, asker, &ann, &name).await, Said::Replayed, "{name}");
        assert_eq!(issue_as(kit, &campaign, Asker::Shop, &bob, &name).await, Said::Replayed);
    }
    let patch = CampaignPatch { per_user_limit: Some(Some(2)), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, patch, NOW).await.unwrap();
    let asks = [
        ("the sixteenth", &ann, "name-16", Said::Replayed),
        ("a shop's eighteenth", &bob, "name-18", Said::Replayed),
        ("one that was not kept is new", &ann, "name-17", Said::Accepted),
        ("and is kept now", &ann, "name-17", Said::Replayed),
        ("two is the limit", &ann, "name-18", Said::Refused(Refusal::LimitPerUser)),
    ];
    for (what, user, name, want) in asks {
        let asker = Asker::User(user.clone());
        assert_eq!(issue_as(kit, &campaign, asker, user, name).await, want, "{what}");
    }
    kit.done(&code, revoke(&ann)).await;
    let asker = || Asker::User(ann.clone());
    let spent = issue_as(kit, &campaign, asker(), &ann, "name-16").await;
    assert_eq!(spent, Said::Refused(Refusal::NameTaken));
    assert_eq!(issue_as(kit, &campaign, asker(), &ann, "name-19").await, Said::Accepted);
    let full = issue_as(kit, &campaign, asker(), &ann, "name-20").await;
    assert_eq!(full, Said::Refused(Refusal::LimitPerUser));
}
