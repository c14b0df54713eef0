//! Seals: no coupon in a sealed partition changes.

use coupon::apply::Asker;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Day;
use futures::future::join_all;
use hot::{CLOSED_BOUND_MS, ImportLine, ImportOutcome, Named, NewCampaign, PartitionPlan, Residue};
use router::Found;

use crate::kit::{
    ACT, ChangeOutcome, Kit, MINUTE, NOW, extend, give, hold, redeem, release, said, void,
};

pub(crate) async fn sealed_only_when_its_time_is_over(kit: &Kit) {
    let campaign = Campaign { cancel_days: 3, extend_days: 7, ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let [ann, bob] = kit.users();
    let day = campaign.expiry_day();
    let over = day.end().plus_days(7).plus_ms(15 * MINUTE + CLOSED_BOUND_MS);
    let plan =
        PartitionPlan { day, seal_after: over, sealed: false, archive_commit: 0, emptied: false };
    assert_eq!(kit.hot.partition(day).await.unwrap(), Some(plan));
    // A second campaign needs the partition for longer. A third, for less, does not shorten that.
    for (extend_days, longer) in [(9, 2), (0, 2)] {
        let other = Campaign { extend_days, expires_at: campaign.expires_at, ..kit.draft() };
        kit.create(&Campaign { cancel_days: 0, ..other }).await;
        let plan = PartitionPlan { seal_after: over.plus_days(longer), ..plan };
        assert_eq!(kit.hot.partition(day).await.unwrap(), Some(plan));
    }
    let over = over.plus_days(2);
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[0], hold(&ann, "1", 5)).await;
    let last = codes[1].clone();
    for early in [NOW, over.plus_ms(-1), over] {
        assert!(!kit.hot.seal(day, early).await.unwrap());
        assert!(!kit.hot.partition(day).await.unwrap().unwrap().sealed);
    }
    kit.done(&last, void()).await;
    for _ in 0..2 {
        assert!(kit.hot.seal(day, over.plus_ms(1)).await.unwrap());
    }
    assert!(kit.hot.seal(day, NOW).await.unwrap(), "a seal stays, whatever the clock says");
    let sealed = PartitionPlan { seal_after: over, sealed: true, ..plan };
    assert_eq!(kit.hot.partition(day).await.unwrap(), Some(sealed));
    assert!(kit.hot.partitions().await.unwrap().contains(&sealed));

    // No coupon changes, also if its row is still in hot.
    let (refused, closed) = (ChangeOutcome::Refused, Refusal::ExpiryDayClosed);
    let cases = [
        ("redeemed", &codes[0], redeem(&ann, "1"), refused(Refusal::Expired)),
        ("held for longer", &codes[0], hold(&ann, "1", 9), refused(Refusal::Expired)),
        ("released", &codes[0], release("1"), refused(closed)),
        ("a minted code issued", &codes[2], give(&bob, None), refused(Refusal::Expired)),
        ("also over the limit", &codes[2], give(&ann, None), refused(Refusal::Expired)),
        ("a minted code voided", &codes[2], void(), refused(closed)),
        (
            "extended to a later partition",
            &codes[2],
            extend(day.end().plus_days(1)),
            refused(closed),
        ),
        ("a void coupon voided", &last, void(), ChangeOutcome::Replayed),
    ];
    for (name, code, action, want) in cases {
        let before = kit.see(code).await;
        assert_eq!(kit.said(code, action).await, want, "{name}");
        assert_eq!(kit.see(code).await, before, "{name}");
    }
}

/// A compactor may still be archiving closed coupons of a partition that another one seals.
pub(crate) async fn a_sealed_partition_evicts_nothing(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let lines = (0..3).map(|_| kit.line(&campaign, &kit.code(), ImportedState::VOID)).collect();
    kit.import(&campaign, &batch, lines).await;
    let closed = kit.hot.closed_codes(day, NOW, 9).await.unwrap();
    assert_eq!(closed.len(), 3);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    // At once: the store does not retry until its time limit.
    let copied: Vec<(Code, u64)> = closed.into_iter().map(|code| (code, 1)).collect();
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0);
    let residue = kit.hot.residue(day, None, 9).await.unwrap();
    assert_eq!(residue.iter().filter(|row| matches!(row, Residue::Coupon(_))).count(), 3);
}

/// A write in the same commit as a seal is either before it or after it.
pub(crate) async fn sealed_beside_other_writes(kit: &Kit) {
    const EACH: usize = 12;
    for _ in 0..5 {
        let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
        let codes = kit.stocked(&campaign, 2 * EACH as u64).await;
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        let mut addresses = Vec::new();
        for code in &codes {
            addresses.push(kit.found(code).await);
        }
        let kill = async |found: &Found| {
            let change = kit.change(void(), Asker::Shop, late);
            said(&kit.hot.apply(found, change).await.unwrap())
        };
        let (before, sealed, after) = tokio::join!(
            join_all(addresses[..EACH].iter().map(&kill)),
            kit.hot.seal(day, late),
            join_all(addresses[EACH..].iter().map(&kill)),
        );
        assert!(sealed.unwrap(), "and the plan is sealed");
        let mut accepted = 0;
        for (code, said) in codes.iter().zip(before.into_iter().chain(after)) {
            let version = match said {
                ChangeOutcome::Accepted => 1,
                other => {
                    assert_eq!(other, ChangeOutcome::Refused(Refusal::ExpiryDayClosed));
                    0
                }
            };
            assert_eq!(kit.coupon(code).await.version(), version, "{code}: {said:?}");
            accepted += version;
        }
        assert_eq!(kit.hot.count(day).await.unwrap(), accepted);
        assert_eq!(kit.counts(&campaign).await.void, accepted);
        assert_ne!(kill(&addresses[0]).await, ChangeOutcome::Accepted);
    }
}

pub(crate) async fn nothing_enters_a_sealed_partition(kit: &Kit) {
    let sealed = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&sealed, 1).await;
    let day = sealed.expiry_day();
    // Its own partition is the day before.
    let early = Campaign { expires_at: day.start(), ..kit.draft() };
    let code = kit.stocked(&early, 1).await.remove(0);
    let batch = kit.open_import(&early).await;
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    let before = kit.hot.partition(day).await.unwrap();
    for emptied in [false, true] {
        if emptied {
            kit.archive_partition(day, kit.time_to_seal(day).await).await;
        }
        let line = kit.line(&early, &kit.code(), ImportedState::Available);
        let line = ImportLine { expires_at: sealed.expires_at, ..line };
        let imported = kit.import(&early, &batch, vec![line.clone()]).await;
        assert_eq!(imported, [ImportOutcome::Refused(Refusal::ExpiryDayClosed)]);
        assert_eq!(kit.find(&line.code).await, None, "and has no directory entry");
        let closed = ChangeOutcome::Refused(Refusal::ExpiryDayClosed);
        assert_eq!(kit.said(&code, extend(sealed.expires_at)).await, closed);
        assert_eq!(
            kit.said(&code, extend(day.start().plus_ms(1))).await,
            closed,
            "its first millisecond"
        );
        let mint = kit.hot.mint(&sealed.id, kit.order_of(1), &ACT).await.unwrap();
        assert_eq!(mint, Named::Refused(Refusal::ExpiryDayClosed));
        let new = Campaign { expires_at: sealed.expires_at, ..kit.draft() };
        let new = NewCampaign { campaign: new, created_as: String::new(), first_batch: None };
        let new = kit.hot.create_campaign(new, &ACT).await.unwrap();
        assert_eq!(new, Named::Refused(Refusal::ExpiryDayClosed));
    }
    let after = kit.hot.partition(day).await.unwrap();
    assert_eq!(
        after,
        before.map(|plan| PartitionPlan { archive_commit: 1, emptied: true, ..plan })
    );
    kit.done(&code, extend(day.end().plus_days(1))).await;
}

pub(crate) async fn a_day_without_a_plan(kit: &Kit) {
    let day = Day(kit.draft().expiry_day().0 + 1);
    assert_eq!(kit.hot.partition(day).await.unwrap(), None);
    assert!(!kit.hot.seal(day, day.end().plus_days(9_999)).await.unwrap());
    assert_eq!(kit.hot.partition(day).await.unwrap(), None, "it still has no plan");
    assert_eq!(kit.hot.residue(day, None, 9).await.unwrap(), []);
    assert_eq!(kit.hot.count(day).await.unwrap(), 0);
    assert_eq!(kit.hot.closed_codes(day, NOW, 9).await.unwrap(), [] as [Code; 0]);
    assert!(kit.hot.partitions().await.unwrap().iter().all(|plan| plan.day != day));
}
