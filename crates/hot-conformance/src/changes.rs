//! Changes of one coupon: the store writes what the pure rules decide.

use std::sync::Arc;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::coupon::State;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day};
use futures::future::join_all;
use hot::ImportOutcome;
use router::{Address, Found, Owner};

use super::kit::{
    ACT, ChangeOutcome, Kit, MINUTE, NOW, cancel, extend, give, hold, of, redeem, reference,
    release, revoke, said, void,
};

/// The same life for a minted coupon and for an imported one.
pub(crate) async fn a_whole_life(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(5), ..kit.draft() };
    let minted = kit.stocked(&campaign, 1).await.remove(0);
    let imported = kit.imported(&campaign, 1).await.remove(0);
    for code in [minted, imported] {
        let [ann, bob] = kit.users();
        let before = kit.counts(&campaign).await;
        let until = NOW.plus_ms(10 * MINUTE);
        let held = ChangeOutcome::Refused(Refusal::Held { until });
        let refused = ChangeOutcome::Refused;
        let steps = [
            ("not issued", redeem(&ann, "1"), refused(Refusal::NotIssued)),
            ("revoked before it is issued", revoke(&ann), refused(Refusal::NotIssued)),
            ("issued", give(&ann, None), ChangeOutcome::Accepted),
            ("issued again", give(&ann, None), ChangeOutcome::Replayed),
            ("issued to another user", give(&bob, None), refused(Refusal::AlreadyIssued)),
            ("redeemed by another user", redeem(&bob, "1"), refused(Refusal::NotFound)),
            ("held", hold(&ann, "1", 10), ChangeOutcome::Accepted),
            ("held for less time", hold(&ann, "1", 9), ChangeOutcome::Replayed),
            ("redeemed by another order", redeem(&ann, "2"), held),
            ("held by another order", hold(&ann, "2", 5), held),
            ("revoked while held", revoke(&ann), held),
            ("voided while held", void(), held),
            ("released by another order", release("2"), ChangeOutcome::Replayed),
            ("released", release("1"), ChangeOutcome::Accepted),
            ("released again", release("1"), ChangeOutcome::Replayed),
            ("held by the next order", hold(&ann, "2", 10), ChangeOutcome::Accepted),
            ("redeemed by the same order", redeem(&ann, "2"), ChangeOutcome::Accepted),
            ("repeated by the same order", redeem(&ann, "2"), ChangeOutcome::Replayed),
            ("redeemed by a third order", redeem(&ann, "3"), refused(Refusal::AlreadyRedeemed)),
            ("held after a redemption", hold(&ann, "3", 5), refused(Refusal::AlreadyRedeemed)),
            ("cancelled by another order", cancel("3"), refused(Refusal::NotRedeemed)),
            ("cancelled", cancel("2"), ChangeOutcome::Accepted),
            ("cancelled again", cancel("2"), ChangeOutcome::Replayed),
            (
                "redeemed by the cancelled order",
                redeem(&ann, "2"),
                refused(Refusal::RedemptionCancelled),
            ),
            ("revoked from another user", revoke(&bob), refused(Refusal::NotIssued)),
            ("revoked", revoke(&ann), ChangeOutcome::Accepted),
            ("issued to the other user", give(&bob, None), ChangeOutcome::Accepted),
            ("extended to the same end", extend(campaign.expires_at), ChangeOutcome::Replayed),
            ("voided", void(), ChangeOutcome::Accepted),
            ("voided again", void(), ChangeOutcome::Replayed),
            ("redeemed after the void", redeem(&bob, "4"), refused(Refusal::Voided)),
        ];
        for (name, action, want) in steps {
            assert_eq!(kit.said(&code, action).await, want, "{name}");
        }
        let coupon = kit.coupon(&code).await;
        assert_eq!(coupon.state(), &State::Void { holder: Some(bob.clone()) });
        let kinds: Vec<_> = coupon.events().iter().map(|event| event.kind.as_str()).collect();
        let want = ["issued", "redeemed", "redemption_cancelled", "revoked", "issued", "voided"];
        assert_eq!(kinds, want, "holds and replays add no events");
        let last = coupon.events().last().unwrap();
        assert_eq!((last.reference(), last.actor.as_str()), (Some("a misprint"), "shop:till-4"));
        let after = kit.counts(&campaign).await;
        assert_eq!(after, CampaignCounts { void: before.void + 1, ..before });
    }
}

pub(crate) async fn every_change_raises_the_version(kit: &Kit) {
    let campaign = kit.draft();
    let minted = kit.stocked(&campaign, 1).await.remove(0);
    let imported = kit.imported(&campaign, 1).await.remove(0);
    for (code, first) in [(minted, 0), (imported, 1)] {
        let [ann] = kit.users();
        assert_eq!(kit.coupon(&code).await.version(), first);
        let actions =
            [give(&ann, None), hold(&ann, "1", 5), release("1"), redeem(&ann, "2"), cancel("2")];
        for (action, version) in actions.into_iter().zip(first + 1..) {
            let at = NOW.plus_ms(version as i64);
            let applied = kit.at(at, &code, action).await;
            assert_eq!((of(&applied).version(), of(&applied).modified_at()), (version, at));
        }
    }
}

pub(crate) async fn a_hold_ends_by_the_clock(kit: &Kit) {
    let campaign = kit.draft();
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let ann = kit.user("ann");
    kit.done(&code, give(&ann, None)).await;
    kit.done(&code, hold(&ann, "1", 5)).await;
    let until = NOW.plus_ms(5 * MINUTE);
    let early = kit.at(until.plus_ms(-1), &code, redeem(&ann, "2")).await;
    assert_eq!(said(&early), ChangeOutcome::Refused(Refusal::Held { until }));
    let late = kit.at(until, &code, redeem(&ann, "2")).await;
    assert_eq!(said(&late), ChangeOutcome::Accepted);
    assert_eq!(of(&late).hold(), None);
}

pub(crate) async fn users_act_for_themselves(kit: &Kit) {
    let campaign = kit.draft();
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let [ann, bob] = kit.users();
    kit.done(&code, give(&ann, None)).await;
    kit.done(&code, redeem(&ann, "1")).await;
    let found = kit.found(&code).await;
    let cases =
        [(&bob, ChangeOutcome::Refused(Refusal::NotFound)), (&ann, ChangeOutcome::Accepted)];
    for (user, want) in cases {
        let change = kit.change(cancel("1"), Asker::User(user.clone()), NOW);
        assert_eq!(said(&kit.hot.apply(&found, change).await.unwrap()), want);
    }
}

pub(crate) async fn an_unknown_coupon_is_not_found(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 1).await;
    let code = kit.code();
    let day = campaign.expiry_day();
    let owner = Owner { campaign: campaign.id.clone(), batch: batch.id };
    let address = Address { code, bucket_key: day.into(), owner, minted: false, hint: None };
    let found = Found::Coupon(address.clone());
    assert_eq!(kit.hot.read(&address).await.unwrap(), None);
    for action in [redeem(&kit.user("ann"), "1"), void(), extend(campaign.expires_at)] {
        let change = kit.change(action, Asker::Shop, NOW);
        let applied = kit.hot.apply(&found, change).await.unwrap();
        assert_eq!(said(&applied), ChangeOutcome::Refused(Refusal::NotFound));
        assert_eq!(applied.snapshot, None);
    }
}

pub(crate) async fn extended_and_found_again(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let minted = kit.stocked(&campaign, 3).await;
    let imported = kit.imported(&campaign, 2).await;
    let end = campaign.expires_at;
    let [ann, bob] = kit.users();
    let stories = [
        ("minted, untouched", &minted[0], false),
        ("minted, in a wallet", &minted[1], true),
        ("imported, untouched", &imported[0], false),
        ("imported, in a wallet", &imported[1], true),
    ];
    for (name, code, given) in stories {
        if given {
            kit.done(code, give(&ann, None)).await;
        }
        let version = kit.coupon(code).await.version();
        for (turn, later) in (1..).zip([end.plus_ms(1), end.plus_days(3), end.plus_days(4)]) {
            kit.done(code, extend(later)).await;
            let coupon = kit.coupon(code).await;
            assert_eq!((coupon.expires_at(), coupon.version()), (later, version + turn), "{name}");
            assert_eq!(kit.said(code, extend(later)).await, ChangeOutcome::Replayed, "{name}");
            let back = kit.said(code, extend(later.plus_ms(-1))).await;
            assert_eq!(back, ChangeOutcome::Refused(Refusal::NotLater), "{name}");
        }
        let days = kit.hot.bucket_bits(Day::expiry_day_of(end.plus_days(4))).await.unwrap();
        assert!(days.is_some(), "the later day has a plan");
        if !given {
            kit.done(code, give(&ann, None)).await;
        }
        // The new partition has the whole coupon: it can be redeemed, cancelled and revoked.
        kit.done(code, redeem(&ann, "1")).await;
        kit.done(code, cancel("1")).await;
        kit.done(code, revoke(&ann)).await;
        assert_eq!(kit.coupon(code).await.expires_at(), end.plus_days(4), "{name}");
        kit.done(code, give(&bob, None)).await;
    }
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 5, issued: 4, ..CampaignCounts::default() });
    assert_eq!(kit.coupon(&minted[2]).await.version(), 0, "the coupon next to it did not change");
}

pub(crate) async fn extended_late(kit: &Kit) {
    let campaign = Campaign { extend_days: 10, ..kit.draft() };
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let end = campaign.expires_at;
    let ann = kit.user("ann");
    kit.done(&code, give(&ann, None)).await;
    let dead = kit.at(end, &code, redeem(&ann, "1")).await;
    assert_eq!(said(&dead), ChangeOutcome::Refused(Refusal::Expired));
    let closed = kit.at(end.plus_days(10), &code, extend(end.plus_days(20))).await;
    assert_eq!(said(&closed), ChangeOutcome::Refused(Refusal::ExpiryDayClosed));
    let in_time = kit.at(end.plus_days(10).plus_ms(-1), &code, extend(end.plus_days(20))).await;
    assert_eq!(said(&in_time), ChangeOutcome::Accepted);
    let alive = kit.at(end.plus_days(20).plus_ms(-1), &code, redeem(&ann, "1")).await;
    assert_eq!(said(&alive), ChangeOutcome::Accepted);
}

pub(crate) async fn an_import_knows_an_extended_coupon(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let code = kit.code();
    let ann = kit.user("ann");
    let line = |imported_state| vec![kit.line(&campaign, &code, imported_state)];
    let arrived = kit.import(&campaign, &batch, line(ImportedState::Available)).await;
    assert_eq!(arrived, [ImportOutcome::Imported]);
    kit.done(&code, extend(campaign.expires_at.plus_days(2))).await;
    let again = kit.import(&campaign, &batch, line(ImportedState::Available)).await;
    assert_eq!(again, [ImportOutcome::AlreadyThere], "with the dates of the first import");
    let imported_state = ImportedState::Issued { holder: ann.clone(), at: None };
    let forward = kit.import(&campaign, &batch, line(imported_state)).await;
    assert_eq!(forward, [ImportOutcome::Imported]);
    assert_eq!(kit.coupon(&code).await.holder(), Some(&ann));
    assert_eq!(
        said(&kit.issue(&campaign, &ann, None).await),
        ChangeOutcome::Replayed,
        "the same coupon: the limit is one"
    );
}

pub(crate) async fn a_full_history_allows_cancel_and_revoke(kit: &Kit) {
    let campaign = kit.draft();
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let ann = kit.user("ann");
    kit.done(&code, give(&ann, None)).await;
    for n in 0..14 {
        kit.done(&code, redeem(&ann, &n.to_string())).await;
        kit.done(&code, cancel(&n.to_string())).await;
    }
    assert_eq!(
        kit.said(&code, redeem(&ann, "x")).await,
        ChangeOutcome::Refused(Refusal::HistoryFull)
    );
    kit.done(&code, revoke(&ann)).await;
    kit.done(&code, void()).await;
    assert_eq!(kit.coupon(&code).await.events().len(), 31);
}

/// Promise 1: of 64 orders for one coupon, one redeems it; 64 repeats get that redemption.
pub(crate) async fn one_order_redeems(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 2).await;
    let [ann, bob] = kit.users();
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[1], give(&bob, None)).await;
    for (code, user, one_order) in [(&codes[0], &ann, false), (&codes[1], &bob, true)] {
        let tasks = (0..64).map(|n| {
            let (kit, code, user) = (Arc::clone(kit), code.clone(), user.clone());
            tokio::spawn(async move {
                let name = if one_order { "one".to_owned() } else { n.to_string() };
                let found = kit.found(&code).await;
                let change = kit.change(redeem(&user, &name), Asker::Shop, NOW);
                said(&kit.hot.apply(&found, change).await.unwrap())
            })
        });
        let answers: Vec<ChangeOutcome> =
            join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        let count = |want| answers.iter().filter(|said| **said == want).count();
        let rest = match one_order {
            true => ChangeOutcome::Replayed,
            false => ChangeOutcome::Refused(Refusal::AlreadyRedeemed),
        };
        assert_eq!((count(ChangeOutcome::Accepted), count(rest)), (1, 63));
        assert_eq!(kit.coupon(code).await.version(), 2);
    }
}

pub(crate) async fn issue_by_code_keeps_the_limit(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let ann = kit.user("ann");
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[1], give(&ann, None)).await;
    let third = kit.said(&codes[2], give(&ann, None)).await;
    assert_eq!(third, ChangeOutcome::Refused(Refusal::LimitPerUser));
    let third = kit.issue(&campaign, &ann, reference("r")).await;
    assert_eq!(said(&third), ChangeOutcome::Refused(Refusal::LimitPerUser), "by the campaign, too");
    kit.done(&codes[1], void()).await;
    let third = kit.said(&codes[2], give(&ann, None)).await;
    assert_eq!(third, ChangeOutcome::Refused(Refusal::LimitPerUser), "a void coupon counts");
    kit.done(&codes[0], revoke(&ann)).await;
    kit.done(&codes[2], give(&ann, None)).await;
    let fourth = kit.said(&codes[0], give(&ann, None)).await;
    assert_eq!(
        fourth,
        ChangeOutcome::Refused(Refusal::LimitPerUser),
        "a revoked coupon does not come back"
    );
}

pub(crate) async fn the_current_terms_decide(kit: &Kit) {
    let campaign = Campaign { valid_from: NOW, cancel_days: 2, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 2).await;
    let codes = kit.codes(&batch);
    let [ann, bob] = kit.users();
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[1], give(&bob, None)).await;
    let early = kit.at(NOW.plus_ms(-1), &codes[0], redeem(&ann, "1")).await;
    assert_eq!(said(&early), ChangeOutcome::Refused(Refusal::NotStarted { valid_from: NOW }));
    kit.hot.pause_batch(&campaign.id, &batch.id, true, &ACT).await.unwrap();
    let paused = ChangeOutcome::Refused(Refusal::Paused);
    assert_eq!(kit.said(&codes[0], redeem(&ann, "1")).await, paused);
    kit.hot.pause_batch(&campaign.id, &batch.id, false, &ACT).await.unwrap();
    kit.done(&codes[0], redeem(&ann, "1")).await;
    let closed = kit.at(NOW.plus_ms(2 * DAY_MS), &codes[0], cancel("1")).await;
    assert_eq!(said(&closed), ChangeOutcome::Refused(Refusal::CancelClosed));
    let open = kit.at(NOW.plus_ms(2 * DAY_MS - 1), &codes[0], cancel("1")).await;
    assert_eq!(said(&open), ChangeOutcome::Accepted);
    let pause = hot::CampaignPatch { paused: Some(true), ..hot::CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, pause, &ACT).await.unwrap();
    assert_eq!(kit.said(&codes[1], hold(&bob, "1", 5)).await, paused);
}
