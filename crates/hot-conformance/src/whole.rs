//! The whole store: counts equal rows, and reads and writes run side by side.

use std::sync::Arc;

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::coupon::State;
use coupon::imported::ImportedState;
use futures::future::join_all;
use hot::ListScope;

use super::kit::{
    Kit, NOW, all_of, cancel, extend_days, give, hold, redeem, reference, release, revoke, void,
};

pub(crate) async fn writable(kit: &Kit) {
    assert_eq!(kit.hot.writable().await, Ok(()));
    let before = kit.hot.gauge();
    kit.hot.touch(NOW).await.unwrap();
    kit.hot.touch(NOW.plus_ms(1)).await.unwrap();
    kit.hot.campaign(&kit.draft().id, NOW).await.unwrap();
    let after = kit.hot.gauge();
    assert!(after.writes >= before.writes + 2 && after.commits > before.commits, "{after:?}");
    assert!(after.reads > before.reads, "{after:?}");
}

/// 32 tasks make all kinds of changes to 60 coupons. In the end the counts equal the rows.
pub(crate) async fn counts_after_a_mixed_load(kit: &Arc<Kit>) {
    let campaign = Campaign { per_user_limit: Some(4), ..kit.draft() };
    let mut codes = kit.stocked(&campaign, 40).await;
    codes.extend(kit.imported(&campaign, 20).await);
    let users: Vec<_> = (0..8).map(|_| kit.user("user")).collect();
    let tasks = (0..32_u64).map(|task| {
        let (kit, campaign, codes, users) =
            (Arc::clone(kit), campaign.clone(), codes.clone(), users.clone());
        tokio::spawn(async move {
            // A small random generator: the same steps in every run.
            let mut seed = task + 1;
            let mut pick = |of: usize| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as usize % of
            };
            for turn in 0..60 {
                let (code, user) = (&codes[pick(codes.len())], &users[pick(users.len())]);
                let order = format!("{}", pick(40));
                let action = match pick(12) {
                    0..=2 => give(user, None),
                    3..=5 => redeem(user, &order),
                    6 => hold(user, &order, 5),
                    7 => release(&order),
                    8 => cancel(&order),
                    9 => revoke(user),
                    10 if turn % 5 == 0 => void(),
                    10 => extend_days(&campaign, 1 + pick(5) as u16),
                    _ => {
                        let name = reference(&format!("{task}:{turn}"));
                        kit.issue_at(NOW, &campaign.id, user, name).await;
                        continue;
                    }
                };
                change(&kit, code, action).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let mut want = CampaignCounts { stock: 60, ..CampaignCounts::default() };
    for code in &codes {
        match kit.coupon(code).await.state() {
            State::Available => {}
            State::Issued { .. } => want.issued += 1,
            State::Redeemed { .. } => want.redeemed += 1,
            State::Void { .. } => want.void += 1,
        }
    }
    assert_eq!(kit.counts(&campaign).await, want);
    assert!(want.issued > 0 && want.redeemed > 0 && want.void > 0, "{want:?}");
    kit.is_sound().await;
}

async fn change(kit: &Kit, code: &coupon::code::Code, action: Action) {
    let found = kit.found(code).await;
    kit.hot.apply(&found, kit.change(action, Asker::Shop, NOW)).await.unwrap();
}

/// A caller that drops its read does not slow the other callers.
pub(crate) async fn readers_that_are_dropped(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    kit.imported(&campaign, 400).await;
    let query = || all_of(ListScope::Campaign(campaign.id.clone()));
    for _ in 0..40 {
        let asks = (0..24).map(|n| {
            let (kit, query) = (Arc::clone(kit), query());
            let asked = tokio::spawn(async move { kit.hot.list(query).await.map(|_| ()) });
            if n % 2 == 0 {
                asked
            } else {
                let abort = asked.abort_handle();
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    abort.abort();
                    let _ = asked.await;
                    Ok(())
                })
            }
        });
        for asked in join_all(asks).await {
            asked.unwrap().expect("a reader becomes free");
        }
    }
}

/// One coupon in each state, for each handout. The store finds no damage in itself.
pub(crate) async fn one_of_each(kit: &Kit) {
    for handout in [Handout::Shop, Handout::SelfService, Handout::Bearer] {
        let campaign = Campaign { handout, per_user_limit: Some(2), ..kit.draft() };
        let codes = kit.stocked(&campaign, 5).await;
        let batch = kit.open_import(&campaign).await;
        let [ann] = kit.users();
        let spent = ImportedState::Redeemed {
            holder: Some(ann.clone()),
            issued_at: None,
            at: NOW,
            order: None,
            worth: None,
        };
        let line = kit.line(&campaign, &kit.code(), spent);
        kit.import(&campaign, &batch, vec![line]).await;
        kit.done(&codes[0], give(&ann, None)).await;
        kit.done(&codes[1], extend_days(&campaign, 3)).await;
        kit.done(&codes[2], void()).await;
        kit.done(&codes[0], redeem(&ann, "1")).await;
        let counts = kit.counts(&campaign).await;
        assert_eq!(counts, CampaignCounts { stock: 6, issued: 0, redeemed: 2, void: 1 });
    }
    kit.is_sound().await;
}
