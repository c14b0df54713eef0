//! Reads: an archived coupon is always found, and never looks like a new one.

use coupon::apply::Asker;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{HotError, ListQuery, ListScope, Tier};
use router::Found;

use super::{CLOSED, closed_ones, is_cold, open_ones};
use crate::kit::{
    ACT, ChangeOutcome, Kit, NOW, all_of, extend, give, of, redeem, reference, release, run_of,
    said, void,
};

pub(crate) async fn archived_coupons_are_read(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let [ann] = kit.users();
    let closed = closed_ones(kit, &campaign, &ann).await;
    let open = open_ones(kit, &campaign, &ann).await;
    let day = campaign.expiry_day();
    let mut before = Vec::new();
    for (_, code) in closed.iter().chain(&open) {
        before.push(kit.see(code).await.unwrap());
    }
    let all = || closed.iter().chain(&open).zip(&before);
    assert!(before.iter().any(|snapshot| snapshot.coupon.hold().is_some()), "one has a hold");
    kit.archive_closed(day, CLOSED).await;
    for (n, ((name, code), was)) in all().enumerate() {
        let snapshot = kit.see(code).await.unwrap();
        let tier = if n < closed.len() { Tier::Cold } else { Tier::Hot };
        assert_eq!((snapshot.tier, &snapshot.coupon), (tier, &was.coupon), "{name}");
    }
    let listed = async || {
        let query = ListQuery { limit: 100, ..all_of(ListScope::Campaign(campaign.id.clone())) };
        kit.hot.list(query).await.unwrap().coupons.len()
    };
    assert_eq!(listed().await, open.len(), "lists of hot have no archived coupon");
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    assert_eq!(listed().await, 0);
    for ((name, code), was) in all() {
        let snapshot = kit.see(code).await.unwrap();
        assert_eq!((snapshot.tier, snapshot.coupon.hold()), (Tier::Cold, None), "{name}");
        assert_eq!(snapshot.coupon.version(), was.coupon.version(), "{name}");
        assert_eq!(snapshot.coupon.events(), was.coupon.events(), "{name}");
        assert_eq!((&snapshot.campaign, snapshot.batch_paused), (&was.campaign, false), "{name}");
    }
    // The campaign beside the coupon is the current one.
    let batch = &before[0].coupon.genesis().batch;
    kit.hot.pause_batch(&campaign.id, batch, true, &ACT).await.unwrap();
    assert!(kit.see(&closed[0].1).await.unwrap().batch_paused);
}

/// Reads, dry-runs and redeems a coupon of `ann`.
async fn all_ways(kit: &Kit, code: &Code, ann: &UserId) -> [Result<(), HotError>; 3] {
    let found = kit.found(code).await;
    let Found::Coupon(address) = &found else { panic!("{code} is found") };
    let change = kit.change(redeem(ann, "1"), Asker::Shop, NOW);
    [
        kit.hot
            .read(address)
            .await
            .map(|snapshot| assert!(snapshot.is_some(), "{code} is not found")),
        kit.hot.dry_run(&found, change.clone()).await.map(drop),
        kit.hot.apply(&found, change).await.map(drop),
    ]
}

pub(crate) async fn an_outage_of_cold_is_an_error(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let [ann, bob] = kit.users();
    let sealed = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let sealed_codes = kit.stocked(&sealed, 3).await;
    for code in [&codes[0], &codes[1], &sealed_codes[0], &sealed_codes[1]] {
        let user = if code == &codes[1] || code == &sealed_codes[1] { &bob } else { &ann };
        kit.done(code, give(user, None)).await;
    }
    kit.done(&codes[0], redeem(&ann, "1")).await;
    let gone = kit.imported(&campaign, 1).await.remove(0);
    kit.done(&gone, void()).await;
    assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, 2);
    kit.archive_partition(sealed.expiry_day(), kit.time_to_seal(sealed.expiry_day()).await).await;
    let in_cold =
        [("minted", &codes[0]), ("imported", &gone), ("in a sealed partition", &sealed_codes[0])];
    let counts = kit.counts(&campaign).await;

    kit.archive.goes_out();
    for (name, code) in in_cold {
        let answers = all_ways(kit, code, &ann).await;
        assert!(answers.iter().all(is_cold), "{name}: {answers:?}");
    }
    let unknown = all_ways(kit, &sealed_codes[2], &ann).await;
    assert!(unknown.iter().all(is_cold), "it may be in cold: {unknown:?}");
    let name = reference("more");
    let change = kit.change(give(&ann, name.clone()), Asker::Shop, NOW);
    let more = kit.hot.issue(&campaign.id, change).await;
    assert!(is_cold(&more), "cold has to say whether the user has one: {more:?}");
    assert_eq!(kit.counts(&campaign).await, counts, "nothing was written");
    // A call that does not need cold succeeds.
    assert!(all_ways(kit, &codes[1], &bob).await.iter().all(Result::is_ok));
    assert_eq!(kit.said(&codes[2], give(&bob, None)).await, ChangeOutcome::Accepted);
    assert_eq!(kit.coupon(&codes[3]).await.version(), 0);
    kit.archive.comes_back();

    assert!(all_ways(kit, &codes[0], &ann).await.iter().all(Result::is_ok));
    let more = kit.issue(&campaign, &ann, name).await;
    assert_eq!(
        (said(&more), of(&more).code()),
        (ChangeOutcome::Accepted, &codes[3]),
        "the next one"
    );

    // There is an archived marker, so a cold tier without the coupon is an error.
    for (name, code) in in_cold.into_iter().take(2) {
        let lost = kit.archive.lose(campaign.expiry_day(), code);
        let answers = all_ways(kit, code, &ann).await;
        assert!(answers.iter().all(is_cold), "{name}: {answers:?}");
        kit.archive.keep(campaign.expiry_day(), &lost);
        assert_eq!(kit.coupon(code).await, lost, "{name}");
    }
}

/// A minted code of a sealed partition that neither tier has was never touched and never will be.
pub(crate) async fn an_untouched_code_behind_a_seal(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 3).await;
    let codes = kit.codes(&batch);
    let (ann, word) = (kit.user("ann"), kit.code());
    kit.done(&codes[1], give(&ann, None)).await;
    let day = campaign.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_partition(day, late).await, 1);
    kit.archive.asked();
    assert_eq!(kit.find(&word).await, None);
    assert_eq!(kit.archive.asked(), (0, 0), "a code of no campaign is not looked up");
    let snapshot = kit.see(&codes[0]).await.unwrap();
    assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Hot, 0));
    assert_eq!(snapshot.coupon.state(), &State::Available);
    let refused = ChangeOutcome::Refused;
    let cases = [
        ("redeemed", redeem(&ann, "1"), refused(Refusal::NotIssued)),
        ("issued", give(&ann, None), refused(Refusal::Expired)),
        ("voided", void(), refused(Refusal::ExpiryDayClosed)),
        ("extended", extend(campaign.expires_at.plus_days(90)), refused(Refusal::ExpiryDayClosed)),
        ("released", release("1"), ChangeOutcome::Replayed),
    ];
    for (name, action, want) in cases {
        for at in [late, NOW] {
            assert_eq!(said(&kit.at(at, &codes[0], action.clone()).await), want, "{name}");
        }
    }
    for at in [late, NOW] {
        let none = kit.issue_at(at, &campaign.id, &kit.user("bob"), None).await;
        assert_eq!(said(&none), refused(Refusal::Expired), "it is not stock now");
    }
    let untouched = kit.hot.untouched(run_of(&batch), codes.clone()).await.unwrap();
    assert_eq!(untouched, [true, false, true]);
}

pub(crate) async fn untouched_asks_cold(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 6).await;
    let codes = kit.codes(&batch);
    kit.done(&codes[0], void()).await;
    let user = kit.user("ann");
    kit.done(&codes[1], give(&user, None)).await;
    kit.done(&codes[2], extend(campaign.expires_at.plus_days(1))).await;
    let day = campaign.expiry_day();
    let want = [false, false, false, true, true, true];
    let untouched = || kit.hot.untouched(run_of(&batch), codes.clone());
    assert_eq!(untouched().await.unwrap(), want, "with rows");
    assert_eq!(kit.archive_closed(day, NOW).await, 1);
    kit.archive.asked();
    kit.archive.goes_out();
    assert_eq!(untouched().await.unwrap(), want, "with an archived marker");
    assert_eq!(kit.archive.asked(), (0, 0), "an archived marker needs no read of cold");
    kit.archive.comes_back();
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    assert_eq!(untouched().await.unwrap(), want, "behind a seal");
    // All but the one that the directory names in a later partition.
    assert_eq!(kit.archive.asked(), (1, 5));
    kit.archive.goes_out();
    let unknown = untouched().await;
    assert!(is_cold(&unknown), "{unknown:?}");
    kit.archive.comes_back();
}

/// A coupon that was extended to a later partition and archived there.
pub(crate) async fn extended_and_archived(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(4), ..kit.draft() };
    let minted = kit.stocked(&campaign, 3).await;
    let imported = kit.imported(&campaign, 2).await;
    let [ann] = kit.users();
    let (home, end) = (campaign.expiry_day(), campaign.expires_at.plus_days(3));
    let later = Day::expiry_day_of(end);
    let stories = [
        ("minted, redeemed", &minted[0], true),
        ("minted, in a wallet", &minted[1], false),
        ("imported, redeemed", &imported[0], true),
        ("imported, in a wallet", &imported[1], false),
    ];
    for (_, code, redeemed) in stories {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, extend(end)).await;
        if redeemed {
            kit.done(code, redeem(&ann, "1")).await;
        }
    }
    let check = async |what: &str, tier_of: &dyn Fn(bool) -> Tier| {
        for (name, code, redeemed) in stories {
            let snapshot = kit.see(code).await.unwrap();
            assert_eq!(snapshot.tier, tier_of(redeemed), "{name}, {what}");
            assert_eq!((snapshot.coupon.expires_at(), snapshot.coupon.holder()), (end, Some(&ann)));
            if redeemed {
                assert_eq!(
                    kit.said(code, redeem(&ann, "1")).await,
                    ChangeOutcome::Replayed,
                    "{name}, {what}"
                );
                let other = kit.said(code, redeem(&ann, "2")).await;
                assert_eq!(
                    other,
                    ChangeOutcome::Refused(Refusal::AlreadyRedeemed),
                    "{name}, {what}"
                );
            }
        }
        let fifth = kit.issue(&campaign, &ann, reference("r")).await;
        assert_eq!(said(&fifth), ChangeOutcome::Refused(Refusal::LimitPerUser), "{what}");
    };
    let only_redeemed = |redeemed| if redeemed { Tier::Cold } else { Tier::Hot };
    assert_eq!(kit.archive_closed(later, CLOSED).await, 2);
    check("its last partition has an archived marker", &only_redeemed).await;
    assert_eq!(kit.archive_partition(home, kit.time_to_seal(home).await).await, 0);
    check("its first partition is sealed", &only_redeemed).await;
    assert_eq!(kit.archive_partition(later, kit.time_to_seal(later).await).await, 4);
    check("both are sealed", &|_| Tier::Cold).await;
}
