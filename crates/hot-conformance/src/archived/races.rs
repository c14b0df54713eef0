//! Races: changes beside a compactor that archives the same coupons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use coupon::apply::{Asker, Change};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::{Applied, HotError, Tier};

use crate::kit::{Kit, NOW, Said, of, redeem, reference, said};

/// Repeats a call until cold answers.
async fn insist(kit: &Kit, code: &Code, change: &Change) -> Applied {
    for _ in 0..100_000 {
        let found = kit.found(code).await;
        match kit.hot.apply(&found, change.clone()).await {
            Err(HotError::Cold(_)) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
    panic!("cold never answers for {code}")
}

/// Promise 1 beside the compactor: of eight orders for a coupon one redeems it, while redeemed
/// coupons are archived and cold fails now and then.
pub(crate) async fn one_order_redeems_while_archiving(kit: &Arc<Kit>) {
    const TASKS: usize = 8;
    let campaign = Campaign {
        handout: Handout::Bearer,
        cancel_days: 0,
        per_user_limit: Some(1),
        ..kit.draft()
    };
    let mut codes = kit.stocked(&campaign, 100).await;
    codes.extend(kit.imported(&campaign, 100).await);
    let day = campaign.expiry_day();
    let busy = Arc::new(AtomicUsize::new(TASKS));
    let tasks = (0..TASKS).map(|task| {
        let (kit, codes, busy) = (Arc::clone(kit), codes.clone(), Arc::clone(&busy));
        tokio::spawn(async move {
            let mut won = Vec::new();
            for step in 0..codes.len() {
                // Half of them race for each coupon. The others come when it may be archived.
                let code = &codes[(step + task % 2 * 50) % codes.len()];
                let user = kit.user("user");
                let change = kit.change(redeem(&user, "1"), Asker::Shop, NOW);
                let first = said(&insist(&kit, code, &change).await);
                let again = said(&insist(&kit, code, &change).await);
                let spent = Said::Refused(Refusal::AlreadyRedeemed);
                match first {
                    Said::Accepted => assert_eq!(again, Said::Replayed, "{code}"),
                    other => assert_eq!((other, again), (spent, spent), "{code}"),
                }
                if first == Said::Accepted {
                    won.push((code.clone(), user));
                }
            }
            busy.fetch_sub(1, Ordering::AcqRel);
            won
        })
    });
    let tasks = join_all(tasks);
    let compactor = async {
        let mut moved = 0;
        while busy.load(Ordering::Acquire) > 0 {
            moved += kit.archive_closed(day, NOW).await;
            kit.archive.goes_out();
            tokio::task::yield_now().await;
            kit.archive.comes_back();
        }
        moved
    };
    let (won, moved) = tokio::join!(tasks, compactor);
    assert!(moved > 0, "some were archived while others were redeemed");
    let won: Vec<_> = won.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(won.len(), codes.len(), "each once");
    assert_eq!(moved + kit.archive_closed(day, NOW).await, codes.len() as u64);
    for (code, user) in &won {
        let snapshot = kit.see(code).await.unwrap();
        assert_eq!((snapshot.tier, snapshot.coupon.holder()), (Tier::Cold, Some(user)), "{code}");
    }
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 200, redeemed: 200, ..CampaignCounts::default() });
}

/// Promise 3 beside the compactor: no user exceeds the limit because their coupons were archived.
pub(crate) async fn limits_hold_while_archiving(kit: &Arc<Kit>) {
    const USERS: usize = 40;
    let campaign = Campaign { cancel_days: 0, per_user_limit: Some(3), ..kit.draft() };
    kit.stocked(&campaign, 4 * USERS as u64).await;
    let day = campaign.expiry_day();
    let over = Arc::new(AtomicBool::new(false));
    let compactor = {
        let (kit, over) = (Arc::clone(kit), Arc::clone(&over));
        tokio::spawn(async move {
            let mut moved = 0;
            while !over.load(Ordering::Acquire) {
                moved += kit.archive_closed(day, NOW).await;
                tokio::task::yield_now().await;
            }
            moved
        })
    };
    let tasks = (0..USERS).map(|_| {
        let (kit, campaign) = (Arc::clone(kit), campaign.clone());
        tokio::spawn(async move {
            let user = kit.user("user");
            let mut codes = Vec::new();
            for wish in ["a", "b", "c"] {
                let issued = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                assert_eq!(said(&issued), Said::Accepted, "{wish}");
                let code = of(&issued).code().clone();
                let change = kit.change(redeem(&user, wish), Asker::Shop, NOW);
                assert_eq!(said(&insist(&kit, &code, &change).await), Said::Accepted, "{wish}");
                codes.push((wish, code));
                for (wish, code) in &codes {
                    let again = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                    assert_eq!((said(&again), of(&again).code()), (Said::Replayed, code));
                }
            }
            let more = kit.issue_at(NOW, &campaign.id, &user, reference("d")).await;
            assert_eq!(said(&more), Said::Refused(Refusal::LimitPerUser));
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    over.store(true, Ordering::Release);
    let moved = compactor.await.unwrap();
    assert!(moved > 0, "some were archived during the test");
    let want = CampaignCounts { stock: 160, redeemed: 120, ..CampaignCounts::default() };
    assert_eq!(kit.counts(&campaign).await, want);
    kit.archive_closed(day, NOW).await;
    assert_eq!(kit.counts(&campaign).await, want);
}
