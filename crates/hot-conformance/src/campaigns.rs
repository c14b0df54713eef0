//! Campaigns: created by name, and changed as far as the rules allow.

use coupon::apply::{Action, Asker};
use coupon::benefit::BenefitTitle;
use coupon::campaign::{Campaign, CampaignCounts, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::audit::Act;
use hot::{CampaignPatch, MintOrder, Named, NewCampaign, Patched};

use super::kit::{
    ACT, ChangeOutcome, Kit, NOW, cancel, of, redeem, redeem_worth, reference, run_of, said,
};

fn named(campaign: &Campaign, created_as: &str, first_batch: Option<MintOrder>) -> NewCampaign {
    NewCampaign { campaign: campaign.clone(), created_as: created_as.into(), first_batch }
}

pub(crate) async fn created_once(kit: &Kit) {
    let campaign = Campaign {
        metadata: Some(r#"{"worth":5}"#.into()),
        code_prefix: Some("SUMMER".parse().unwrap()),
        valid_days: Some(14),
        issue_from: Some(NOW.plus_ms(-5)),
        issue_until: Some(NOW.plus_ms(5)),
        zone: "Asia/Seoul".parse().unwrap(),
        ..kit.draft()
    };
    let order = kit.order_of(7);
    let new = || named(&campaign, "{}", Some(order.clone()));
    let Named::Created(row) = kit.hot.create_campaign(new(), &ACT).await.unwrap() else { panic!() };
    assert_eq!(*row.campaign, campaign);
    assert_eq!(row.counts, CampaignCounts { stock: 7, ..CampaignCounts::default() });
    assert_eq!(row.created_as, "{}");
    let again = kit.hot.create_campaign(new(), &ACT).await.unwrap();
    assert_eq!(again, Named::Same(row.clone()), "the same body is a replay");
    let other = kit.hot.create_campaign(named(&campaign, "{ }", None), &ACT).await.unwrap();
    assert_eq!(other, Named::Refused(Refusal::NameTaken), "another body is not");
    assert_eq!(kit.hot.campaign(&campaign.id, NOW).await.unwrap(), Some(row));
    let batches = kit.hot.batches(&campaign.id, None, 10).await.unwrap();
    assert_eq!(batches.iter().map(|it| (&it.id, it.count)).collect::<Vec<_>>(), [(&order.id, 7)]);
    assert_eq!(kit.hot.campaign(&kit.draft().id, NOW).await.unwrap(), None, "an unknown campaign");
}

pub(crate) async fn a_shared_code_is_taken_once(kit: &Kit) {
    let word = kit.code();
    let shared =
        || Campaign { shared_code: Some(word.clone()), handout: Handout::Shared, ..kit.draft() };
    let first = shared();
    kit.create(&first).await;
    let second = shared();
    let order = Some(kit.order_of(5));
    let taken = kit.hot.create_campaign(named(&second, "x", order), &ACT).await.unwrap();
    assert_eq!(taken, Named::Refused(Refusal::NameTaken), "another campaign has the shared code");
    assert_eq!(
        kit.hot.campaign(&second.id, NOW).await.unwrap(),
        None,
        "and the campaign is not created"
    );

    let other = kit.draft();
    kit.create(&other).await;
    let code = kit.imported(&other, 1).await.remove(0);
    let third = Campaign { shared_code: Some(code), ..shared() };
    let taken = kit.hot.create_campaign(named(&third, "x", None), &ACT).await.unwrap();
    assert_eq!(taken, Named::Refused(Refusal::NameTaken), "an imported coupon has the code");

    let batch = kit.open_import(&other).await;
    let line = kit.line(&other, &word, ImportedState::Available);
    let outcomes = kit.import(&other, &batch, vec![line]).await;
    assert_eq!(outcomes, [hot::ImportOutcome::CodeTaken], "no coupon gets the shared code");
}

pub(crate) async fn an_expired_campaign_has_no_stock(kit: &Kit) {
    let campaign = Campaign { expires_at: NOW, ..kit.draft() };
    let new = named(&campaign, "x", Some(kit.order_of(5)));
    let refused = kit.hot.create_campaign(new, &ACT).await.unwrap();
    assert_eq!(refused, Named::Refused(Refusal::Expired));
    assert_eq!(kit.hot.campaign(&campaign.id, NOW).await.unwrap(), None);
    kit.create(&campaign).await;
    let minted = kit.hot.mint(&campaign.id, kit.order_of(1), &ACT).await.unwrap();
    assert_eq!(minted, Named::Refused(Refusal::Expired));
    let before = Act { at: NOW.plus_ms(-1), ..ACT.clone() };
    let early = kit.hot.mint(&campaign.id, kit.order_of(1), &before).await.unwrap();
    assert!(matches!(early, Named::Created(_)), "a millisecond before its end");
}

pub(crate) async fn serials_of_a_day_run_out(kit: &Kit) {
    let campaign = kit.draft();
    let all = coupon::minted::SERIALS_PER_DAY;
    let new = named(&campaign, "x", Some(kit.order_of(all + 1)));
    let refused = kit.hot.create_campaign(new, &ACT).await.unwrap();
    assert_eq!(refused, Named::Refused(Refusal::SoldOut));
    assert_eq!(
        kit.hot.campaign(&campaign.id, NOW).await.unwrap(),
        None,
        "the batch is not created"
    );
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, all).await;
    assert_eq!(run_of(&batch).first, 0, "a refused batch takes no serials");
    let more = kit.hot.mint(&campaign.id, kit.order_of(1), &ACT).await.unwrap();
    assert_eq!(more, Named::Refused(Refusal::SoldOut));
}

pub(crate) async fn listed_by_name(kit: &Kit) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        let campaign = kit.draft();
        kit.create(&campaign).await;
        ids.push(campaign.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = kit.hot.campaigns(after.take(), 2, NOW).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.campaign.id.clone());
        seen.extend(page.into_iter().map(|row| row.campaign.id.clone()));
    }
    assert!(seen.is_sorted(), "by name");
    seen.retain(|id| ids.contains(id));
    ids.sort();
    assert_eq!(seen, ids, "each once");
}

pub(crate) async fn patched(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(3), ..kit.draft() };
    let code = kit.stocked(&campaign, 2).await.remove(0);
    let patch = |patch| kit.hot.patch_campaign(&campaign.id, patch, &ACT);
    let nothing = CampaignPatch::default;
    let (from, until) = (NOW.plus_ms(-10), NOW.plus_ms(10));
    let refused = [
        (
            "a lower limit",
            CampaignPatch { per_user_limit: Some(Some(2)), ..nothing() },
            Patched::LimitNotRaised { present: Some(3) },
        ),
        (
            "an empty window",
            CampaignPatch {
                issue_from: Some(Some(until)),
                issue_until: Some(Some(until)),
                ..nothing()
            },
            Patched::WindowEmpty,
        ),
    ];
    for (name, ask, want) in refused {
        assert_eq!(patch(ask).await.unwrap(), want, "{name}");
        assert_eq!(*kit.see(&code).await.unwrap().campaign, campaign, "{name} changes nothing");
    }
    let both = CampaignPatch {
        issue_from: Some(Some(from)),
        issue_until: Some(Some(until)),
        metadata: Some(Some("{}".into())),
        ..nothing()
    };
    patch(both).await.unwrap();
    let half = CampaignPatch { issue_until: Some(Some(from)), ..nothing() };
    assert_eq!(patch(half).await.unwrap(), Patched::WindowEmpty, "with its present values");
    let rest = CampaignPatch {
        name: Some("Another name".into()),
        metadata: Some(None),
        paused: Some(true),
        issue_from: Some(None),
        per_user_limit: Some(Some(3)),
        ..nothing()
    };
    let Patched::Done(row) = patch(rest).await.unwrap() else { panic!() };
    let want = Campaign {
        name: "Another name".into(),
        paused: true,
        issue_until: Some(until),
        ..campaign.clone()
    };
    assert_eq!(*row.campaign, want, "other fields stay as they are");
    assert_eq!(*kit.see(&code).await.unwrap().campaign, want, "and applies at once");
    let unknown = kit.hot.patch_campaign(&kit.draft().id, nothing(), &ACT).await.unwrap();
    assert_eq!(unknown, Patched::NotFound);

    let free = Campaign { handout: Handout::Bearer, per_user_limit: None, ..kit.draft() };
    kit.create(&free).await;
    let limit = CampaignPatch { per_user_limit: Some(Some(100)), ..nothing() };
    let present = kit.hot.patch_campaign(&free.id, limit, &ACT).await.unwrap();
    assert_eq!(
        present,
        Patched::LimitNotRaised { present: None },
        "no limit is higher than any limit"
    );
}

/// What coupons are worth is kept whole, and changes only while nobody has one.
pub(crate) async fn worth(kit: &Kit) {
    let campaign = Campaign { worth: some_worth("amount 5000"), ..kit.draft() };
    kit.stocked(&campaign, 2).await;
    let after = some_worth("percent 12.5 max 5000 from 30000");
    let patch = |worth: &CampaignWorth| {
        let patch = CampaignPatch {
            currency: Some(worth.currency),
            benefit: Some(worth.benefit.map(|benefit| (benefit, worth.title.clone()))),
            ..CampaignPatch::default()
        };
        kit.hot.patch_campaign(&campaign.id, patch, &ACT)
    };
    let Patched::Done(row) = patch(&after).await.unwrap() else { panic!("nobody has a coupon") };
    assert_eq!(row.campaign.worth, after);
    let shown = kit.hot.campaign(&campaign.id, NOW).await.unwrap().unwrap();
    assert_eq!(shown.campaign.worth, after, "and read again");
    let none = CampaignWorth { currency: None, ..after.clone() };
    assert_eq!(patch(&none).await.unwrap(), Patched::CurrencyMissing);
    kit.issued(&campaign, &kit.user("user"), "first").await;
    assert_eq!(patch(&campaign.worth).await.unwrap(), Patched::WorthFixed);
    assert!(matches!(patch(&after).await.unwrap(), Patched::Done(_)), "what it is already");
}

/// A redemption keeps its amounts, and a refusal leaves none.
pub(crate) async fn amounts(kit: &Kit) {
    let worth = some_worth("percent 12.5 max 5000 from 30000");
    let campaign = Campaign { worth, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let ann = kit.user("user");
    let code = kit.issued(&campaign, &ann, "first").await;
    let refused = ChangeOutcome::Refused;
    let small = Refusal::OrderTooSmall { min_order: 30_000, missing: 1 };
    let steps = [
        ("nothing is said", redeem(&ann, "1"), refused(Refusal::AmountRequired), None),
        ("too small", redeem_worth(&ann, "1", "KRW 29999 -"), refused(small), None),
        (
            "another discount",
            redeem_worth(&ann, "1", "KRW 30000 1"),
            refused(Refusal::DiscountMismatch { discount: 3_750 }),
            None,
        ),
        (
            "another currency",
            redeem_worth(&ann, "1", "USD 30000 3750"),
            refused(Refusal::CurrencyMismatch),
            None,
        ),
        (
            "as it should be",
            redeem_worth(&ann, "1", "KRW 30000 -"),
            ChangeOutcome::Accepted,
            Some("KRW 30000 3750"),
        ),
        (
            "a replay keeps the first",
            redeem_worth(&ann, "1", "KRW 90000 -"),
            ChangeOutcome::Replayed,
            Some("KRW 30000 3750"),
        ),
        ("cancelled", cancel("1"), ChangeOutcome::Accepted, Some("KRW 30000 3750")),
        (
            "the most",
            redeem_worth(&ann, "2", "KRW 90000 5000"),
            ChangeOutcome::Accepted,
            Some("KRW 90000 5000"),
        ),
    ];
    for (name, action, want, kept) in steps {
        let of_order = match &action {
            Action::Redeem { order, .. } | Action::CancelRedemption { order, .. } => order.clone(),
            _ => unreachable!("no other action"),
        };
        let applied = kit.at(NOW, &code, action).await;
        assert_eq!(said(&applied), want, "{name}");
        let redemption = of(&applied).redemption_of(&of_order);
        let worth = redemption.and_then(|it| it.worth).map(|worth| worth.to_string());
        assert_eq!(worth.as_deref(), kept, "{name}");
    }
}

pub(super) fn some_worth(benefit: &str) -> CampaignWorth {
    let title = BenefitTitle { en: Some("Spring".into()), ko: Some("봄맞이 \"할인\"".into()) };
    let (currency, benefit) = ("KRW".parse().ok(), benefit.parse().ok());
    CampaignWorth { currency, benefit, title, budget: None }
}

/// At no instant do redemptions cost more than the budget, and none is refused while enough is left.
pub(crate) async fn budget(kit: &Kit) {
    if !kit.hot.keeps_budgets() {
        return;
    }
    let worth = CampaignWorth { budget: Some(10_000), ..some_worth("amount 3000") };
    let campaign = Campaign { worth, per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 12).await;
    let ann = kit.user("ann");
    let mut codes = Vec::new();
    for nth in 0..12 {
        codes.push(kit.issued(&campaign, &ann, &format!("no-{nth}")).await);
    }
    let spends = |code: &Code| redeem_worth(&ann, code.as_str(), "KRW 50000 -");
    let spent = async || kit.hot.campaign(&campaign.id, NOW).await.unwrap().unwrap().spent;
    // All at the same time, so that some are of one transaction, and none can be foretold.
    let all = join_all(codes.iter().map(async |code| {
        let change = kit.change(spends(code), Asker::Shop, NOW);
        said(&kit.hot.apply(&kit.found(code).await, change).await.unwrap())
    }))
    .await;
    let refused = ChangeOutcome::Refused(Refusal::BudgetSpent);
    let redeemed: Vec<&Code> = codes
        .iter()
        .zip(&all)
        .filter(|(_, said)| **said == ChangeOutcome::Accepted)
        .map(|it| it.0)
        .collect();
    assert_eq!((redeemed.len(), spent().await), (3, 9_000));
    assert!(all.iter().all(|said| [&ChangeOutcome::Accepted, &refused].contains(&said)), "{all:?}");
    let next = codes.iter().zip(&all).find(|(_, said)| **said == refused).map(|it| it.0).unwrap();
    let patch = |budget| {
        let patch = CampaignPatch { budget: Some(budget), ..CampaignPatch::default() };
        kit.hot.patch_campaign(&campaign.id, patch, &ACT)
    };
    assert_eq!(patch(Some(8_999)).await.unwrap(), Patched::BudgetBelow { spent: 9_000 });
    assert_eq!(kit.said(redeemed[0], spends(redeemed[0])).await, ChangeOutcome::Replayed);
    kit.done(redeemed[0], cancel(redeemed[0].as_str())).await;
    assert_eq!(spent().await, 6_000, "a cancellation gives back");
    kit.done(next, spends(next)).await;
    let last = codes.iter().rfind(|code| !redeemed.contains(code) && *code != next).unwrap();
    assert_eq!(kit.said(last, spends(last)).await, refused);
    assert!(matches!(patch(Some(12_000)).await.unwrap(), Patched::Done(_)), "raised");
    kit.done(last, spends(last)).await;
    assert!(matches!(patch(None).await.unwrap(), Patched::Done(_)), "none any more");
}

/// A patch returns counts that include every write before it.
pub(crate) async fn a_patch_returns_exact_counts(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.stocked(&campaign, 200).await;
    let user = kit.user("user");
    let mut asks = Vec::new();
    for n in 0..40 {
        let (campaign, user) = (&campaign, &user);
        asks.push(async move {
            // Some once, some twice, so that issues and patches overlap.
            for turn in 0..1 + n % 2 {
                kit.issue_at(NOW, &campaign.id, user, reference(&format!("{n}:{turn}"))).await;
            }
            let patch = CampaignPatch { paused: Some(false), ..CampaignPatch::default() };
            match kit.hot.patch_campaign(&campaign.id, patch, &ACT).await.unwrap() {
                Patched::Done(row) => row.counts.issued,
                other => panic!("{other:?}"),
            }
        });
    }
    let mut counts = join_all(asks).await;
    counts.sort_unstable();
    // At least n issues were answered before the n-th patch.
    for (n, count) in counts.into_iter().enumerate() {
        assert!(count > n as u64, "{count} issued, when {} were answered", n + 1);
    }
}
