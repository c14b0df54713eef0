//! The stock: which coupon is issued, and when there is none.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Millis};
use futures::future::join_all;
use hot::CampaignPatch;

use super::SOLD_OUT;
use crate::kit::{
    ACT, ChangeOutcome, Kit, NOW, extend, give, of, redeem, reference, revoke, said, void,
};

pub(crate) async fn a_revoked_coupon_is_issued_again(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "a").await;
    assert_eq!(said(&kit.issue(&campaign, &bob, reference("a")).await), SOLD_OUT);
    kit.done(&code, revoke(&ann)).await;
    let spent = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(said(&spent), ChangeOutcome::Refused(Refusal::NameTaken), "the issue_ref is used");
    assert_eq!(kit.issued(&campaign, &bob, "a").await, code, "the revoked coupon is issued again");
    kit.done(&code, revoke(&bob)).await;
    assert_eq!(kit.issued(&campaign, &ann, "b").await, code, "also to the user who had it");
    let spent = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(
        said(&spent),
        ChangeOutcome::Refused(Refusal::NameTaken),
        "the first issue_ref stays used"
    );
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("b")).await), ChangeOutcome::Replayed);
    // One coupon, issued twice, counts once.
    kit.mint(&campaign, 2).await;
    kit.issued(&campaign, &ann, "c").await;
    let third = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&third), ChangeOutcome::Refused(Refusal::LimitPerUser));
}

/// Serials whose codes were voided or issued by code are skipped. Every other serial is issued.
pub(crate) async fn used_serials_are_skipped(kit: &Kit) {
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
        assert!(left.remove(&code), "{code} was free, and is issued once");
    }
    assert_eq!(said(&kit.issue(&campaign, &kit.user("late"), None).await), SOLD_OUT);
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 40, issued: 34, redeemed: 0, void: 6 });
}

pub(crate) async fn thousands_of_used_serials_are_skipped(kit: &Arc<Kit>) {
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 2_503).await;
    let voids = codes[..2_501].chunks(50).map(|codes| {
        let (kit, codes) = (Arc::clone(kit), codes.to_vec());
        tokio::spawn(async move {
            for code in codes {
                let change = kit.change(void(), Asker::Shop, NOW);
                let found = kit.found(&code).await;
                assert_eq!(
                    said(&kit.hot.apply(&found, change).await.unwrap()),
                    ChangeOutcome::Accepted
                );
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

pub(crate) async fn paused_stock_is_not_issued(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let (first, second) = (kit.mint(&campaign, 2).await, kit.mint(&campaign, 1).await);
    let ann = kit.user("ann");
    let pause = |paused| kit.hot.pause_batch(&campaign.id, &first.id, paused, &ACT);
    pause(true).await.unwrap();
    let code = kit.issued(&campaign, &ann, "a").await;
    assert_eq!(kit.coupon(&code).await.genesis().batch, second.id, "the batch that is not paused");
    let paused = ChangeOutcome::Refused(Refusal::Paused);
    let none = kit.issue(&campaign, &ann, reference("b")).await;
    assert_eq!((said(&none), none.snapshot), (paused, None), "only paused batches are left");
    pause(false).await.unwrap();
    let code = kit.issued(&campaign, &ann, "b").await;
    kit.issued(&campaign, &ann, "c").await;
    pause(true).await.unwrap();
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("d")).await), SOLD_OUT, "none is left");
    kit.done(&code, revoke(&ann)).await;
    let back = kit.issue(&campaign, &ann, reference("d")).await;
    assert_eq!(said(&back), paused, "a revoked one is left, too");
    pause(false).await.unwrap();
    let stop = CampaignPatch { paused: Some(true), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, stop, &ACT).await.unwrap();
    assert_eq!(
        said(&kit.issue(&campaign, &ann, reference("d")).await),
        paused,
        "the whole campaign is paused"
    );
    let again = kit.issue(&campaign, &ann, reference("a")).await;
    assert_eq!(said(&again), ChangeOutcome::Replayed, "a replay is answered");
}

pub(crate) async fn issue_window(kit: &Kit) {
    let (from, until) = (NOW, NOW.plus_ms(1_000));
    let campaign = Campaign {
        per_user_limit: Some(9),
        issue_from: Some(from),
        issue_until: Some(until),
        ..kit.draft()
    };
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    let closed = |opens_at| ChangeOutcome::Refused(Refusal::IssueClosed { opens_at });
    let cases = [
        ("a millisecond early", from.plus_ms(-1), closed(Some(from))),
        ("the first", from, ChangeOutcome::Accepted),
        ("the last", until.plus_ms(-1), ChangeOutcome::Accepted),
        ("a millisecond too late", until, closed(None)),
        ("too late and expired", campaign.expires_at, ChangeOutcome::Refused(Refusal::Expired)),
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
        kit.line(&campaign, &codes[1], ImportedState::VOID),
        kit.line(&campaign, &codes[2], ImportedState::Issued { holder: kit.user("x"), at: None }),
        kit.line(&campaign, &codes[3], ImportedState::Available),
    ];
    lines[3].expires_at = soon;
    kit.import(&campaign, &batch, lines).await;
    assert_eq!(
        kit.issued(&campaign, &ann, "a").await,
        codes[3],
        "the first to expire is issued first"
    );
    kit.done(&codes[3], revoke(&ann)).await;
    let late = kit.issue_at(soon, &campaign.id, &ann, reference("b")).await;
    assert_eq!(of(&late).code(), &codes[0], "an expired coupon is not issued");
    let early = kit.issue_at(soon.plus_ms(-1), &campaign.id, &ann, reference("c")).await;
    assert_eq!(of(&early).code(), &codes[3], "a millisecond before its end it is issued");
    kit.done(&codes[0], revoke(&ann)).await;
    kit.done(&codes[3], revoke(&ann)).await;
    let end = kit.issue_at(campaign.expires_at, &campaign.id, &ann, reference("d")).await;
    assert_eq!(said(&end), ChangeOutcome::Refused(Refusal::Expired), "only expired ones are left");
    kit.done(&codes[0], void()).await;
    kit.done(&codes[3], void()).await;
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("e")).await), SOLD_OUT);
}

pub(crate) async fn valid_days_count_from_issue(kit: &Kit) {
    let campaign =
        Campaign { valid_days: Some(14), zone: "Asia/Seoul".parse().unwrap(), ..kit.draft() };
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let [ann, bob] = kit.users();
    kit.issued(&campaign, &ann, "a").await;
    // The 14th day after 2026-11-20 21:00 in Seoul ends at 2026-12-04 24:00 there.
    let until = Millis((20_777 + 15) * DAY_MS - 9 * 3_600_000);
    assert_eq!(kit.coupon(&code).await.expires_at(), until);
    let late = kit.at(until, &code, redeem(&ann, "1")).await;
    assert_eq!(said(&late), ChangeOutcome::Refused(Refusal::Expired));
    // An extension within the partition of the campaign.
    kit.done(&code, extend(until.plus_days(1))).await;
    assert_eq!(kit.coupon(&code).await.expires_at(), until.plus_days(1));
    kit.done(&code, revoke(&ann)).await;
    assert_eq!(
        kit.coupon(&code).await.expires_at(),
        campaign.expires_at,
        "a revoke restores the campaign's expiry"
    );
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
    assert_eq!(kit.coupon(&code).await.expires_at(), until, "also if it is issued by code");
}

pub(crate) async fn bearer_stock_is_not_issued(kit: &Kit) {
    let campaign = Campaign { handout: Handout::Bearer, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let none = kit.issue(&campaign, &kit.user("ann"), None).await;
    assert_eq!(said(&none), ChangeOutcome::Refused(Refusal::NotIssuable));
}

/// A coupon with a full history is skipped. The coupons after it are issued.
pub(crate) async fn a_full_history_is_skipped(kit: &Kit) {
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
        // One more event fits: after one more issue it could not be redeemed.
    }
    let none = kit.issue(&campaign, &ann, reference("none")).await;
    assert_eq!(said(&none), SOLD_OUT, "those two cannot be issued");
    let fresh = kit.imported(&campaign, 1).await.remove(0);
    assert_eq!(kit.issued(&campaign, &ann, "a").await, fresh, "the next batch");
    let batch = kit.mint(&campaign, 1).await;
    assert_eq!(kit.issued(&campaign, &ann, "b").await, kit.codes(&batch)[0]);
    assert_eq!(said(&kit.issue(&campaign, &ann, reference("c")).await), SOLD_OUT);
}

/// Issues and revokes use all coupons in turn: no history becomes full while another coupon is
/// left.
pub(crate) async fn issues_are_spread_over_coupons(kit: &Kit) {
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
