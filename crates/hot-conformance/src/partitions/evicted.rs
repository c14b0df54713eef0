//! Eviction: archived markers take the place of coupons.

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::Tier;

use crate::kit::{ChangeOutcome, Kit, NOW, cancel, give, redeem, said, void};

pub(crate) async fn evicted_only_in_the_copied_version(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let ann = kit.user("ann");
    for code in &codes[..3] {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, redeem(&ann, "1")).await;
    }
    let day = campaign.expiry_day();
    // Cancelled after the copy: the copy is older than the coupon.
    for code in &codes[..3] {
        kit.archive.keep(day, &kit.coupon(code).await);
    }
    kit.done(&codes[0], cancel("1")).await;
    let counts = kit.counts(&campaign).await;
    let copied = vec![
        (codes[0].clone(), 2),
        (codes[1].clone(), 1),
        (codes[1].clone(), 3),
        (codes[2].clone(), 2),
        (codes[3].clone(), 0),
        (kit.code(), 1),
    ];
    assert_eq!(kit.hot.evict(day, copied.clone()).await.unwrap(), 1);
    assert_eq!(kit.hot.evict(Day(day.0 + 1), vec![(codes[1].clone(), 2)]).await.unwrap(), 0);
    assert_eq!(kit.hot.evict(day, Vec::new()).await.unwrap(), 0);
    let tiers = [Tier::Hot, Tier::Hot, Tier::Cold, Tier::Hot];
    for (code, tier) in codes.iter().zip(tiers) {
        assert_eq!(kit.see(code).await.unwrap().tier, tier, "{code}");
    }
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0, "once");
    assert_eq!(kit.counts(&campaign).await, counts);
    kit.is_sound().await;
    // Coupons that stayed can change. Evicted ones are final.
    kit.done(&codes[0], redeem(&ann, "2")).await;
    kit.done(&codes[1], cancel("1")).await;
    kit.done(&codes[3], void()).await;
    assert_eq!(
        kit.said(&codes[2], cancel("1")).await,
        ChangeOutcome::Refused(Refusal::CancelClosed)
    );
}

/// A late write and an archived marker race for one row. One of them wins and is not undone.
pub(crate) async fn an_archived_marker_stops_late_writes(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    let codes = kit.stocked(&campaign, 60).await;
    let (day, ann) = (campaign.expiry_day(), kit.user("ann"));
    for code in &codes {
        kit.done(code, give(&ann, None)).await;
        let coupon = kit.done(code, redeem(&ann, "1")).await;
        kit.archive.keep(day, &coupon);
    }
    let mut both = [0, 0];
    for code in &codes {
        let found = kit.found(code).await;
        let change = kit.change(cancel("1"), Asker::Shop, NOW);
        let evict = kit.hot.evict(day, vec![(code.clone(), 2)]);
        let (cancelled, evicted) = tokio::join!(kit.hot.apply(&found, change), evict);
        let (cancelled, evicted) = (said(&cancelled.unwrap()), evicted.unwrap());
        let snapshot = kit.see(code).await.unwrap();
        match evicted {
            0 => {
                assert_eq!(cancelled, ChangeOutcome::Accepted);
                assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Hot, 3));
            }
            _ => {
                assert_eq!(cancelled, ChangeOutcome::Refused(Refusal::CancelClosed));
                assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Cold, 2));
            }
        }
        both[evicted as usize] += 1;
    }
    let want = CampaignCounts { stock: 60, issued: both[0], redeemed: both[1], void: 0 };
    assert_eq!(kit.counts(&campaign).await, want);
}

pub(crate) async fn many_coupons_are_evicted(kit: &Kit) {
    const MANY: usize = 450;
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let codes: Vec<Code> = (0..MANY).map(|_| kit.code()).collect();
    let line = |code| kit.line(&campaign, code, ImportedState::VOID);
    kit.import(&campaign, &batch, codes.iter().map(line).collect()).await;
    let closed = kit.hot.closed_codes(day, NOW, 1_000).await.unwrap();
    assert_eq!(closed.len(), MANY);
    let coupons = kit.hot.coupons_of(day, closed).await.unwrap();
    coupons.iter().for_each(|coupon| kit.archive.keep(day, coupon));
    let copied: Vec<_> = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
    assert_eq!(kit.hot.evict(day, copied.clone()).await.unwrap(), MANY as u64);
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0);
    kit.is_sound().await;
    kit.archive.asked();
    assert_eq!(kit.coupon(&codes[MANY - 1]).await.state(), &State::Void { holder: None });
    assert_eq!(kit.archive.asked(), (1, 1));
}
