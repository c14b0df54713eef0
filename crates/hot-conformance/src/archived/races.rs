//! Races: changes beside a compactor that archives the same coupons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use coupon::apply::{Asker, Change};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::{Applied, HotError, Tier};
use tokio::time::{Instant, sleep};

use crate::kit::{ChangeOutcome, Kit, NOW, of, redeem, reference, said};

/// Longer than the machine stops for while cold is out.
const PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two tries. A sleep, since a simulated clock stands still while tasks only
/// yield.
const PAUSE: Duration = Duration::from_millis(1);

/// Repeats a call until cold answers.
async fn insist(kit: &Kit, code: &Code, change: &Change) -> Applied {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let found = kit.found(code).await;
        match kit.hot.apply(&found, change.clone()).await {
            Err(HotError::Cold(_)) => sleep(PAUSE).await,
            answer => return answer.unwrap(),
        }
    }
    panic!("cold never answers for {code}")
}

/// Waits until the compactor has archived some coupons, so that the rest happens after that.
async fn some_are_archived(moved: &AtomicU64) {
    let begun = Instant::now();
    while moved.load(Ordering::Acquire) == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is archived");
        sleep(PAUSE).await;
    }
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
    let (busy, moved) = (Arc::new(AtomicUsize::new(TASKS)), Arc::new(AtomicU64::new(0)));
    let tasks = (0..TASKS).map(|task| {
        let (kit, codes) = (Arc::clone(kit), codes.clone());
        let (busy, moved) = (Arc::clone(&busy), Arc::clone(&moved));
        tokio::spawn(async move {
            let mut won = Vec::new();
            for step in 0..codes.len() {
                if step == codes.len() / 2 {
                    some_are_archived(&moved).await;
                }
                // Half of them race for each coupon. The others come when it may be archived.
                let code = &codes[(step + task % 2 * 50) % codes.len()];
                let user = kit.user("user");
                let change = kit.change(redeem(&user, "1"), Asker::Shop, NOW);
                let first = said(&insist(&kit, code, &change).await);
                let again = said(&insist(&kit, code, &change).await);
                let spent = ChangeOutcome::Refused(Refusal::AlreadyRedeemed);
                match first {
                    ChangeOutcome::Accepted => assert_eq!(again, ChangeOutcome::Replayed, "{code}"),
                    other => assert_eq!((other, again), (spent, spent), "{code}"),
                }
                if first == ChangeOutcome::Accepted {
                    won.push((code.clone(), user));
                }
            }
            busy.fetch_sub(1, Ordering::AcqRel);
            won
        })
    });
    let tasks = join_all(tasks);
    let compactor = async {
        while busy.load(Ordering::Acquire) > 0 {
            moved.fetch_add(kit.archive_closed(day, NOW).await, Ordering::AcqRel);
            kit.archive.goes_out();
            sleep(PAUSE).await;
            kit.archive.comes_back();
        }
    };
    let (won, ()) = tokio::join!(tasks, compactor);
    let moved = moved.load(Ordering::Acquire);
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
    let (over, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let compactor = {
        let (kit, over, moved) = (Arc::clone(kit), Arc::clone(&over), Arc::clone(&moved));
        tokio::spawn(async move {
            while !over.load(Ordering::Acquire) {
                moved.fetch_add(kit.archive_closed(day, NOW).await, Ordering::AcqRel);
                sleep(PAUSE).await;
            }
        })
    };
    let tasks = (0..USERS).map(|_| {
        let (kit, campaign, moved) = (Arc::clone(kit), campaign.clone(), Arc::clone(&moved));
        tokio::spawn(async move {
            let user = kit.user("user");
            let mut codes = Vec::new();
            for wish in ["a", "b", "c"] {
                if wish == "c" {
                    some_are_archived(&moved).await;
                }
                let issued = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                assert_eq!(said(&issued), ChangeOutcome::Accepted, "{wish}");
                let code = of(&issued).code().clone();
                let change = kit.change(redeem(&user, wish), Asker::Shop, NOW);
                assert_eq!(
                    said(&insist(&kit, &code, &change).await),
                    ChangeOutcome::Accepted,
                    "{wish}"
                );
                codes.push((wish, code));
                for (wish, code) in &codes {
                    let again = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                    assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, code));
                }
            }
            let more = kit.issue_at(NOW, &campaign.id, &user, reference("d")).await;
            assert_eq!(said(&more), ChangeOutcome::Refused(Refusal::LimitPerUser));
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    over.store(true, Ordering::Release);
    compactor.await.unwrap();
    assert!(moved.load(Ordering::Acquire) > 0, "some were archived during the test");
    let want = CampaignCounts { stock: 160, redeemed: 120, ..CampaignCounts::default() };
    assert_eq!(kit.counts(&campaign).await, want);
    kit.archive_closed(day, NOW).await;
    assert_eq!(kit.counts(&campaign).await, want);
}
