//! Many users at once: no coupon twice, none lost, no limit exceeded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use coupon::apply::{Asker, Outcome};
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::refusal::Refusal;
use futures::future::join_all;

use crate::kit::{ChangeOutcome, Kit, NOW, of, reference, revoke, said};

/// Promise 3, with more demand than stock: each user sends every request twice at once.
async fn exactly_a_thousand(kit: &Arc<Kit>, limit: u16, wishes: usize) {
    const STOCK: u64 = 1_000;
    let campaign = Campaign { per_user_limit: Some(limit), ..kit.draft() };
    kit.create(&campaign).await;
    // A part is minted, a part is imported, and a part was issued and revoked before.
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
            let news = [&one, &other].map(|applied| said(applied) == ChangeOutcome::Accepted);
            assert!(news != [true, true], "two equal requests give one coupon");
            accepted += news.iter().filter(|new| **new).count() as u64;
            // Stock only shrinks here: after a refusal the same request gets no coupon a moment
            // later.
            assert_eq!(both[0], both[1], "both answers are the same");
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

/// A coupon that is revoked during a sale is not lost: SOLD_OUT is the answer only if none is left.
pub(crate) async fn revoked_while_others_issue(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    kit.stocked(&campaign, 32).await;
    let tasks = (0..32).map(|_| {
        let (kit, id) = (Arc::clone(kit), campaign.id.clone());
        tokio::spawn(async move {
            // At most 32 users have one at a time, so one is always left. No history becomes
            // full, because issues are spread over the coupons.
            for turn in 0..10 {
                let user = kit.user("user");
                let applied = kit.issue_at(NOW, &id, &user, reference("r")).await;
                assert_eq!(said(&applied), ChangeOutcome::Accepted, "turn {turn}");
                let code = of(&applied).code().clone();
                let found = kit.found(&code).await;
                let back = kit.change(revoke(&user), Asker::Shop, NOW);
                assert_eq!(
                    said(&kit.hot.apply(&found, back).await.unwrap()),
                    ChangeOutcome::Accepted
                );
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
