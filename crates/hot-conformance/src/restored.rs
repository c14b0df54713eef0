//! A store that was restored from a backup reconciles from cold what cold has newer.

use coupon::apply::Action;
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::imported::{ImportedState, arrive};
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{ImportLine, ImportOutcome, Reconciled, Tier};

use super::kit::{
    ChangeOutcome, Kit, NOW, extend, give, of, redeem, redeem_worth, reference, revoke, run_of,
    said, void,
};

/// Puts the coupons into cold and reconciles the store with them.
async fn reconcile(kit: &Kit, day: Day, coupons: &[Coupon]) -> Reconciled {
    coupons.iter().for_each(|coupon| kit.archive.keep(day, coupon));
    kit.hot.reconcile(day, coupons.to_vec()).await.unwrap()
}

fn reconciled(reconciled: u64) -> Reconciled {
    Reconciled { reconciled, ..Reconciled::default() }
}

/// A restore of a store whose compactor was stopped between the seal of a partition and its end.
pub(crate) async fn a_sealed_partition_stays_empty(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let (minted, imported) = (kit.stocked(&campaign, 2).await, kit.imported(&campaign, 1).await);
    let [ann, _] = kit.users();
    let day = campaign.expiry_day();
    kit.done(&minted[0], give(&ann, reference("old"))).await;
    let story = [give(&ann, reference("new")), redeem(&ann, "1")];
    let mut newer = vec![kit.later(&campaign, kit.coupon(&minted[0]).await, &story[1..])];
    for code in [&minted[1], &imported[0]] {
        newer.push(kit.later(&campaign, kit.coupon(code).await, &story));
    }
    let now = kit.time_to_seal(day).await;
    assert!(kit.hot.seal(day, now).await.unwrap(), "its time is over");
    reconcile(kit, day, &newer).await;
    kit.archive_partition(day, now).await;
    assert_eq!(kit.hot.count(day).await.unwrap(), 0, "no row outlives the seal");
    for coupon in &newer {
        let snapshot = kit.see(coupon.code()).await.unwrap();
        assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, coupon));
    }
}

pub(crate) async fn nothing_is_redeemed_again(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&campaign, 5).await;
    let imported = kit.imported(&campaign, 2).await;
    let [ann, bob] = kit.users();
    let day = campaign.expiry_day();
    for code in [&codes[1], &imported[1]] {
        kit.done(code, give(&ann, reference("old"))).await;
    }
    let spent = [give(&ann, reference("new")), redeem_worth(&ann, "1", "KRW 30000 3000")];
    let foreign = [give(&ann, reference("foreign")), redeem(&ann, "1")];
    let stories: [(&str, &Code, &[Action]); 5] = [
        ("untouched, minted", &codes[0], &spent),
        ("in a wallet, minted", &codes[1], &spent[1..]),
        ("void, minted", &codes[2], &[void()]),
        ("available, imported", &imported[0], &foreign),
        ("in a wallet, imported", &imported[1], &spent[1..]),
    ];
    let mut newer = Vec::new();
    for (_, code, story) in stories {
        newer.push(kit.later(&campaign, kit.coupon(code).await, story));
    }
    assert_eq!(reconcile(kit, day, &newer).await, reconciled(5));
    let again = reconcile(kit, day, &newer).await;
    assert_eq!(again, Reconciled { known: 5, ..Reconciled::default() }, "once");
    let counts = CampaignCounts { stock: 7, issued: 0, redeemed: 4, void: 1 };
    assert_eq!(kit.counts(&campaign).await, counts);
    let counted = kit.hot.counted_campaigns().await.unwrap().into_iter();
    let worth = counted.filter(|it| it.terms.id == campaign.id).find_map(|it| it.worth);
    if let Some(worth) = worth {
        assert_eq!(worth.to_string(), "KRW 3 90000 9000 9000 0 0 0 0");
    }
    kit.is_sound().await;
    for ((name, code, story), newer) in stories.into_iter().zip(&newer) {
        let snapshot = kit.see(code).await.unwrap();
        assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, newer), "{name}");
        let (same, other) = match story.last() {
            Some(Action::Redeem { .. }) => {
                (ChangeOutcome::Replayed, ChangeOutcome::Refused(Refusal::AlreadyRedeemed))
            }
            _ => (
                ChangeOutcome::Refused(Refusal::NotFound),
                ChangeOutcome::Refused(Refusal::NotFound),
            ),
        };
        assert_eq!(kit.said(code, redeem(&ann, "1")).await, same, "{name}");
        assert_eq!(kit.said(code, redeem(&ann, "2")).await, other, "{name}");
    }
    // The claim has them all, with their issue_refs.
    let named = [("old", &codes[1]), ("new", &codes[0]), ("foreign", &imported[0])];
    for (name, code) in named {
        let again = kit.issue(&campaign, &ann, reference(name)).await;
        assert_eq!((said(&again), of(&again).code()), (ChangeOutcome::Replayed, code), "{name}");
    }
    let fresh = kit.issued(&campaign, &bob, "r").await;
    assert!(codes[3..].contains(&fresh), "an issued coupon is not issued again");
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    assert_eq!(kit.see(&codes[0]).await.unwrap().coupon, newer[0]);
}

/// Coupons that a user got after the backup count towards their limit.
pub(crate) async fn limits_are_kept(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    let codes = kit.stocked(&campaign, 5).await;
    let ann = kit.user("ann");
    let mut newer = Vec::new();
    for (code, name) in [(&codes[0], "a"), (&codes[1], "b")] {
        let story = [give(&ann, reference(name)), redeem(&ann, name)];
        newer.push(kit.later(&campaign, kit.coupon(code).await, &story));
    }
    assert_eq!(reconcile(kit, campaign.expiry_day(), &newer).await, reconciled(2));
    let third = kit.issue(&campaign, &ann, reference("c")).await;
    assert_eq!(said(&third), ChangeOutcome::Refused(Refusal::LimitPerUser));
    let named = kit.said(&codes[4], give(&ann, None)).await;
    assert_eq!(named, ChangeOutcome::Refused(Refusal::LimitPerUser));
}

/// An import that ran after the backup.
pub(crate) async fn foreign_codes_stay_taken(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    kit.create(&campaign).await;
    let other = Campaign { expires_at: campaign.expires_at, ..kit.draft() };
    kit.create(&other).await;
    let unknown = Campaign { expires_at: campaign.expires_at, ..kit.draft() };
    let (batch, elsewhere) = (kit.open_import(&campaign).await, kit.open_import(&other).await);
    let ann = kit.user("ann");
    let spent = |order: Option<&str>| ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: None,
        at: NOW,
        order: order.map(super::kit::order),
        worth: None,
    };
    let coupon_of = |of: &Campaign, line: &ImportLine| {
        let genesis = coupon::coupon::Genesis {
            code: line.code.clone(),
            campaign: of.id.clone(),
            batch: batch.clone(),
            valid_from: line.valid_from,
            expires_at: line.expires_at,
            zone: of.zone.clone(),
            created_at: NOW,
        };
        arrive(genesis, &line.imported_state, &kit.import_run())
    };
    let line = kit.line(&campaign, &kit.code(), spent(Some("1")));
    let without = kit.line(&campaign, &kit.code(), spent(None));
    let strange = kit.line(&campaign, &kit.code(), spent(None));
    let newer = [
        coupon_of(&campaign, &line),
        coupon_of(&campaign, &without),
        coupon_of(&unknown, &strange),
    ];
    let came = reconcile(kit, campaign.expiry_day(), &newer).await;
    assert_eq!(came, Reconciled { reconciled: 2, known: 0, strangers: 1 });
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 2, redeemed: 2, ..CampaignCounts::default() }
    );
    assert_eq!(kit.coupon(&line.code).await, newer[0]);
    let files = [
        ("the same line", &campaign, &batch, &line, ImportOutcome::AlreadyThere),
        ("a line without an order", &campaign, &batch, &without, ImportOutcome::AlreadyThere),
        ("in another campaign", &other, &elsewhere, &line, ImportOutcome::CodeTaken),
        ("of a campaign that is gone", &campaign, &batch, &strange, ImportOutcome::CodeTaken),
    ];
    for (name, campaign, batch, line, want) in files {
        let outcome = kit.import(campaign, batch, vec![line.clone()]).await;
        assert_eq!(outcome, [want], "{name}");
    }
    assert_eq!(kit.find(&strange.code).await, None, "its campaign is unknown");
    let fifth = kit.issue(&campaign, &ann, None).await;
    assert_eq!(said(&fifth), ChangeOutcome::Refused(Refusal::SoldOut), "it is not stock");
}

/// Extended after the backup, and archived in the later partition.
pub(crate) async fn extended_and_found(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let minted = kit.stocked(&campaign, 2).await;
    let imported = kit.imported(&campaign, 2).await;
    let ann = kit.user("ann");
    let end = campaign.expires_at.plus_days(3);
    // One of each was extended before the backup, to a partition in between.
    for code in [&minted[1], &imported[1]] {
        kit.done(code, extend(campaign.expires_at.plus_days(1))).await;
    }
    let mut newer = Vec::new();
    for code in minted.iter().chain(&imported) {
        let story = [extend(end), give(&ann, None), redeem(&ann, "1")];
        newer.push(kit.later(&campaign, kit.coupon(code).await, &story));
    }
    assert_eq!(reconcile(kit, Day::expiry_day_of(end), &newer).await, reconciled(4));
    for newer in &newer {
        let snapshot = kit.see(newer.code()).await.unwrap();
        assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, newer));
        assert_eq!(kit.said(newer.code(), redeem(&ann, "1")).await, ChangeOutcome::Replayed);
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 4, redeemed: 4, ..CampaignCounts::default() }
    );
}

/// Voids a coupon of `user` and replaces it, both after the backup. Returns the void one.
async fn replaced(kit: &Kit, campaign: &Campaign, user: &UserId, prefix: Option<&str>) -> Code {
    let codes = kit.codes(&kit.mint(campaign, 2).await);
    let name = match prefix {
        Some(_) => codes[0].printed(prefix),
        None => codes[0].to_string(),
    };
    let stories = [
        vec![give(user, None), void()],
        vec![give(user, reference(&format!("replaces:{name}"))), redeem(user, "1")],
    ];
    let mut newer = Vec::new();
    for (code, story) in codes.iter().zip(&stories) {
        newer.push(kit.later(campaign, kit.coupon(code).await, story));
    }
    assert_eq!(reconcile(kit, campaign.expiry_day(), &newer).await, reconciled(2));
    codes[0].clone()
}

/// A coupon replaced after the backup is not replaced again, however its code is written.
pub(crate) async fn replaced_once(kit: &Kit) {
    let prefix = Some("SALE".parse().unwrap());
    let campaign = Campaign { code_prefix: prefix, per_user_limit: Some(9), ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    for (name, prefix) in [("bare", None), ("printed", Some("SALE"))] {
        let user = kit.user("user");
        let old = replaced(kit, &campaign, &user, prefix).await;
        for text in [old.to_string(), old.printed(None), old.printed(Some("SALE"))] {
            let again = kit.issue(&campaign, &user, reference(&format!("replaces:{text}"))).await;
            assert_ne!(said(&again), ChangeOutcome::Accepted, "{name}, then {text}");
        }
    }
}

pub(crate) async fn a_replaced_coupon_does_not_count(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let ann = kit.user("ann");
    replaced(kit, &campaign, &ann, None).await;
    kit.issued(&campaign, &ann, "second").await;
    let third = kit.issue(&campaign, &ann, reference("third")).await;
    assert_eq!(said(&third), ChangeOutcome::Refused(Refusal::LimitPerUser));
}

pub(crate) async fn used_serials_are_skipped(kit: &Kit) {
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let before = run_of(&kit.mint(&campaign, 10).await);
    kit.hot.pass_over_serials().await.unwrap();
    let after = run_of(&kit.mint(&campaign, 10).await);
    assert!(after.first > before.first + 1_000_000_000, "{before:?}, {after:?}");
    let fresh = kit.draft();
    kit.create(&fresh).await;
    let first = run_of(&kit.mint(&fresh, 10).await);
    assert!(first.first > 1_000_000_000, "also on a day that is not in the backup: {first:?}");
    kit.hot.pass_over_serials().await.unwrap();
    let again = run_of(&kit.mint(&fresh, 10).await);
    assert!(again.first > first.first + 1_000_000_000, "and after each restore: {again:?}");
    let ann = kit.user("ann");
    kit.issued(&campaign, &ann, "a").await;
    let code = kit.issued(&fresh, &ann, "a").await;
    kit.done(&code, revoke(&ann)).await;
}
