//! Batches: no two share a serial, and their coupons exist without rows.

use std::collections::HashSet;

use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::refusal::Refusal;
use hot::audit::Act;
use hot::{MintOrder, Named};
use router::Found;

use super::kit::{ACT, ChangeOutcome, Kit, give, run_of, void};

pub(crate) async fn minted_once(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let order = kit.order_of(10);
    let mint = |order: &MintOrder| kit.hot.mint(&campaign.id, order.clone(), &ACT);
    let Named::Created(batch) = mint(&order).await.unwrap() else { panic!() };
    assert_eq!((batch.count, batch.paused, run_of(&batch).count), (10, false, 10));
    assert_eq!(mint(&order).await.unwrap(), Named::Same(batch.clone()));
    let more = MintOrder { count: 11, ..order.clone() };
    assert_eq!(mint(&more).await.unwrap(), Named::Refused(Refusal::NameTaken), "another count");
    let import = kit.hot.open_import(&campaign.id, &order.id, &ACT).await.unwrap();
    assert_eq!(
        import,
        Named::Refused(Refusal::NameTaken),
        "an import with the name of a minted batch"
    );
    let imported = kit.open_import(&campaign).await;
    let named_like_it = MintOrder { id: imported.clone(), ..kit.order_of(1) };
    assert_eq!(mint(&named_like_it).await.unwrap(), Named::Refused(Refusal::NameTaken));
    let nowhere = kit.hot.mint(&kit.draft().id, kit.order_of(1), &ACT).await.unwrap();
    assert_eq!(nowhere, Named::Refused(Refusal::NotFound));
    let nowhere = kit.hot.open_import(&kit.draft().id, &kit.batch_id(), &ACT).await.unwrap();
    assert_eq!(nowhere, Named::Refused(Refusal::NotFound));

    let second = kit.mint(&campaign, 5).await;
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 15, ..CampaignCounts::default() }
    );
    let page = kit.hot.batches(&campaign.id, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|it| &it.id).collect::<Vec<_>>(), [&batch.id, &imported]);
    let page = kit.hot.batches(&campaign.id, Some(imported), 2).await.unwrap();
    assert_eq!(page, [second], "after the second");
    assert_eq!(kit.hot.batch(&campaign.id, &batch.id).await.unwrap(), Some(batch.clone()));
    let elsewhere = kit.draft();
    kit.create(&elsewhere).await;
    assert_eq!(kit.hot.batch(&elsewhere.id, &batch.id).await.unwrap(), None);
    let paused = kit.hot.pause_batch(&elsewhere.id, &batch.id, true, &ACT).await.unwrap();
    assert_eq!(paused, None, "a batch belongs to its campaign");
}

pub(crate) async fn batches_of_a_day_share_no_code(kit: &Kit) {
    let first = kit.draft();
    let second = coupon::campaign::Campaign { expires_at: first.expires_at, ..kit.draft() };
    kit.create(&first).await;
    kit.create(&second).await;
    let old = kit.router.keys()[1].id();
    let mut seen = HashSet::new();
    for (campaign, count) in [(&first, 3), (&second, 5), (&first, 1), (&second, 2)] {
        for key in [kit.router.keys()[0].id(), old] {
            let order = MintOrder { key, ..kit.order_of(count) };
            let minted = kit.hot.mint(&campaign.id, order, &ACT).await.unwrap();
            let Named::Created(batch) = minted else { panic!("{minted:?}") };
            for code in kit.codes(&batch) {
                let Found::Coupon(address) = kit.found(&code).await else { panic!() };
                let owner = (&address.owner.campaign, &address.owner.batch);
                assert_eq!(owner, (&campaign.id, &batch.id));
                assert_eq!(kit.coupon(&code).await.genesis().campaign, campaign.id);
                assert!(seen.insert(code), "a code is minted once");
            }
        }
    }
    let in_use = kit.hot.keys_in_use().await.unwrap();
    for key in kit.router.keys().iter() {
        assert!(in_use.contains(&key.id()), "{:?}", key.id());
    }
}

pub(crate) async fn ten_billion_in_one_batch(kit: &Kit) {
    const ALL: u64 = 10_000_000_000;
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, ALL).await;
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: ALL, ..CampaignCounts::default() }
    );
    let run = run_of(&batch);
    for offset in [0, 1, 1 << 32, ALL - 1] {
        let coupon = kit.coupon(&kit.code_at(&run, offset)).await;
        assert_eq!((coupon.version(), coupon.state()), (0, &State::Available), "{offset}");
    }
    assert_eq!(kit.find(&kit.code_at(&run, ALL)).await, None, "one after the last");
    let last = kit.code_at(&run, ALL - 1);
    let ann = kit.user("ann");
    kit.done(&last, give(&ann, None)).await;
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: ALL, issued: 1, ..CampaignCounts::default() }
    );
}

pub(crate) async fn untouched_coupons_are_found(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 3).await;
    let codes = kit.codes(&batch);
    let snapshot = kit.see(&codes[1]).await.unwrap();
    assert_eq!(*snapshot.campaign, campaign);
    assert!(!snapshot.batch_paused);
    let genesis = snapshot.coupon.genesis();
    assert_eq!((&genesis.code, &genesis.batch), (&codes[1], &batch.id));
    assert_eq!((genesis.valid_from, genesis.created_at), (campaign.valid_from, batch.created_at));
    assert_eq!(snapshot.coupon.expires_at(), campaign.expires_at);
    assert_eq!((snapshot.coupon.version(), snapshot.coupon.events().len()), (0, 0));

    let leaked = Act { reason: Some("a leak".parse().unwrap()), ..ACT.clone() };
    kit.hot.pause_batch(&campaign.id, &batch.id, true, &leaked).await.unwrap();
    assert!(kit.see(&codes[1]).await.unwrap().batch_paused);
    assert!(kit.hot.batch(&campaign.id, &batch.id).await.unwrap().unwrap().paused);
    kit.hot.pause_batch(&campaign.id, &batch.id, false, &ACT).await.unwrap();
    assert!(!kit.see(&codes[1]).await.unwrap().batch_paused);
    assert_eq!(kit.find(&kit.code()).await, None, "a code that does not exist");
}

pub(crate) async fn untouched_lists_what_is_left(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 6).await;
    let codes = kit.codes(&batch);
    let ann = kit.user("ann");
    kit.done(&codes[1], give(&ann, None)).await;
    kit.done(&codes[1], super::kit::revoke(&ann)).await;
    kit.done(&codes[2], void()).await;
    kit.done(&codes[4], super::kit::extend(campaign.expires_at.plus_days(3))).await;
    assert_eq!(
        kit.said(&codes[3], super::kit::redeem(&ann, "1")).await,
        ChangeOutcome::Refused(Refusal::NotIssued)
    );
    let left = kit.hot.untouched(run_of(&batch), codes).await.unwrap();
    assert_eq!(left, [true, false, false, true, false, true]);
    assert_eq!(kit.hot.untouched(run_of(&batch), Vec::new()).await.unwrap(), [false; 0]);
}

/// A list of codes reads rows, not codes. A list that starts again sees the changes since.
pub(crate) async fn untouched_codes_are_not_read_one_by_one(kit: &Kit) {
    const CODES: u64 = 3_000;
    const CHUNK: usize = 500;
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let run = run_of(&kit.mint(&campaign, CODES).await);
    let codes: Vec<Code> = (0..CODES).map(|offset| kit.code_at(&run, offset)).collect();
    let mut touched: Vec<usize> = vec![0, 499, 500, 1_234, 2_999];
    for at in &touched {
        kit.done(&codes[*at], void()).await;
    }
    for more in [None, Some(777)] {
        if let Some(at) = more {
            kit.done(&codes[at], give(&kit.user("ann"), None)).await;
            touched.push(at);
        }
        let before = kit.hot.gauge().reads;
        let mut untouched = Vec::new();
        for some in codes.chunks(CHUNK) {
            untouched.extend(kit.hot.untouched(run, some.to_vec()).await.unwrap());
        }
        let reads = kit.hot.gauge().reads - before;
        let want: Vec<bool> = (0..codes.len()).map(|at| !touched.contains(&at)).collect();
        assert_eq!(untouched, want);
        assert!(reads <= CODES / 100, "{reads} reads");
    }
    // A few codes, or codes that are not consecutive, are looked up one by one: the same answer.
    for some in [vec![0, 1, 2], vec![777, 5, 2_999]] {
        let asked = some.iter().map(|at| codes[*at].clone()).collect();
        let untouched = kit.hot.untouched(run, asked).await.unwrap();
        let want: Vec<bool> = some.iter().map(|at| !touched.contains(at)).collect();
        assert_eq!(untouched, want, "{some:?}");
    }
}
