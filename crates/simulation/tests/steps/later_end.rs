//! A campaign gets a later end: the days of its codes are raised, then its terms change. And what a first change of a
//! coupon does that its code has on another day than the campaign by then.

use std::cell::RefCell;
use std::collections::BTreeSet;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::protocol::seal_after;
use hot::{Batches, CampaignPatch, Campaigns, Coupons, HotError, MintOrder, Named, Patched};
use hot_cql::CqlHot;

use super::stage::{ChangeResult, StepSweep, TestStage, patiently};
use hot_conformance::kit::{ACT, ChangeOutcome, NOW, give, of, redeem, reference, run_of, said};

/// How many days later a campaign ends.
const LATER: u16 = 4;

fn later(campaign: &Campaign) -> CampaignPatch {
    let expires_at = Some(campaign.expires_at.plus_days(LATER));
    CampaignPatch { expires_at, ..CampaignPatch::default() }
}

fn soon_over(stage: &TestStage) -> Campaign {
    Campaign { cancel_days: 1, extend_days: 1, ..stage.draft() }
}

async fn patched(stage: &TestStage, campaign: &Campaign) -> Patched {
    let hot = &stage.kit.hot;
    patiently(async || hot.patch_campaign(&campaign.id, later(campaign), &ACT).await).await
}

async fn terms_now(stage: &TestStage, campaign: &Campaign) -> Campaign {
    let row = stage.kit.hot.campaign(&campaign.id, NOW).await.unwrap().unwrap();
    (*row.campaign).clone()
}

/// What the second process does while the change of the terms is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    ChangesThemToo,
    /// It seals the day of the codes, when the time of the first end is over.
    Seals,
    /// It mints more codes.
    Mints,
}

pub(crate) async fn days_are_raised_before_the_terms(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let campaign = soon_over(stage);
        let code = kit.stocked(&campaign, 1).await.remove(0);
        (campaign, code)
    };
    let act = async |hot: &CqlHot, (campaign, _): &(Campaign, Code)| {
        hot.patch_campaign(&campaign.id, later(campaign), &ACT).await
    };
    let pick_up = async |(campaign, _): &(Campaign, Code), way: Meanwhile| match way {
        Meanwhile::ChangesThemToo => {
            let changed = patched(stage, campaign).await;
            assert!(matches!(changed, Patched::Done(_)), "{changed:?}");
        }
        Meanwhile::Seals => {
            let (day, over) = (campaign.expiry_day(), seal_after(campaign.expiry_day(), campaign));
            patiently(async || kit.hot.seal(day, over.plus_ms(1)).await).await;
        }
        Meanwhile::Mints => {
            let order = kit.order_of(2);
            patiently(async || kit.hot.mint(&campaign.id, order.clone(), &ACT).await).await;
        }
    };
    let judge = async |(campaign, code): &(Campaign, Code),
                       way: Meanwhile,
                       answer: Option<Result<Patched, HotError>>| {
        let now = terms_now(stage, campaign).await;
        let day = campaign.expiry_day();
        let plan = kit.hot.partition(day).await.unwrap().unwrap();
        match answer {
            Some(Ok(Patched::Done(_))) => assert_ne!(now.expires_at, campaign.expires_at),
            Some(Ok(Patched::NotExtended(why))) => {
                assert_eq!((why, way), (Refusal::ExpiryDayClosed, Meanwhile::Seals));
                assert_eq!(now.expires_at, campaign.expires_at);
            }
            _ => {}
        }
        if now.expires_at == campaign.expires_at {
            return;
        }
        assert!(!plan.sealed, "codes of it work until {:?}", now.expires_at);
        let batches = kit.hot.batches(&campaign.id, None, 9).await.unwrap();
        for run in batches.iter().map(run_of) {
            let plan = kit.hot.partition(run.day).await.unwrap().unwrap();
            assert!(plan.seal_after >= seal_after(now.expiry_day(), &now), "{run:?}: {plan:?}");
        }
        // Its last millisecond, from a day that would be sealed by the first end.
        let last = now.expires_at.plus_ms(-1);
        let issued = kit.at(last, code, give(&kit.user("ann"), None)).await;
        assert_eq!(said(&issued), ChangeOutcome::Accepted);
    };
    let ways = [Meanwhile::ChangesThemToo, Meanwhile::Seals, Meanwhile::Mints];
    stage.sweep(StepSweep::of("a later end", &ways), scene, act, pick_up, judge).await;
}

/// Serials are reserved by the terms of before, and the batch is made by those of after.
pub(crate) async fn a_mint_beside_it(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let campaign = soon_over(stage);
        kit.create(&campaign).await;
        (campaign, kit.order_of(2))
    };
    let act = async |hot: &CqlHot, (campaign, order): &(Campaign, MintOrder)| {
        hot.mint(&campaign.id, order.clone(), &ACT).await
    };
    let pick_up = async |(campaign, _): &(Campaign, MintOrder), (): ()| {
        let changed = patched(stage, campaign).await;
        assert!(matches!(changed, Patched::Done(_)), "{changed:?}");
    };
    let judge =
        async |(campaign, order): &(Campaign, MintOrder),
               (): (),
               _: Option<Result<Named<coupon::campaign::Batch>, HotError>>| {
            let mint = async || kit.hot.mint(&campaign.id, order.clone(), &ACT).await;
            let batch = match patiently(mint).await {
                Named::Created(batch) | Named::Same(batch) => batch,
                other @ Named::Refused(_) => panic!("{other:?}"),
            };
            let (run, now) = (run_of(&batch), terms_now(stage, campaign).await);
            let plan = kit.hot.partition(run.day).await.unwrap().unwrap();
            assert!(plan.seal_after >= seal_after(now.expiry_day(), &now), "{run:?}: {plan:?}");
        };
    stage
        .sweep(StepSweep::of("a mint beside a later end", &[()]), scene, act, pick_up, judge)
        .await;
}

/// How the second process meets a coupon whose first change has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The user asks for a coupon of the campaign.
    AsksAgain,
    /// The user names the code.
    NamesIt,
    /// Somebody else names the code.
    SomebodyElse,
}

struct FirstIssue {
    campaign: Campaign,
    code: Code,
    user: UserId,
    change: coupon::apply::Change,
    answered: RefCell<Vec<Code>>,
}

impl FirstIssue {
    fn days(&self) -> [Day; 2] {
        [self.campaign.earlier_ends[0], self.campaign.expires_at].map(Day::expiry_day_of)
    }
}

pub(crate) async fn a_first_issue_after_it(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let before = Campaign { handout: Handout::Shop, ..soon_over(stage) };
        let code = kit.stocked(&before, 2).await.remove(0);
        patched(stage, &before).await;
        let user = kit.user("ann");
        let change = kit.change(give(&user, reference("a")), Asker::Shop, NOW);
        let campaign = terms_now(stage, &before).await;
        FirstIssue { campaign, code, user, change, answered: RefCell::default() }
    };
    let act = async |hot: &CqlHot, it: &FirstIssue| {
        let found = kit.found(&it.code).await;
        hot.apply(&found, it.change.clone()).await
    };
    let pick_up = async |it: &FirstIssue, way: Next| {
        let applied = match way {
            Next::AsksAgain => {
                let change = kit.change(give(&it.user, reference("b")), Asker::Shop, NOW);
                patiently(async || kit.hot.issue(&it.campaign.id, change.clone()).await).await
            }
            Next::NamesIt | Next::SomebodyElse => {
                let user = if way == Next::NamesIt { it.user.clone() } else { kit.user("bob") };
                let ask = async || {
                    let change = kit.change(give(&user, reference("c")), Asker::Shop, NOW);
                    kit.hot.apply(&kit.found(&it.code).await, change).await
                };
                patiently(ask).await
            }
        };
        if way != Next::SomebodyElse {
            assert_eq!(of(&applied).holder(), Some(&it.user), "{applied:?}");
            it.answered.borrow_mut().push(of(&applied).code().clone());
        }
    };
    let judge = async |it: &FirstIssue, _: Next, answer: Option<ChangeResult>| {
        let now = kit.coupon(&it.code).await;
        if let Some(answer) = &answer {
            stage.is_true(answer, &it.change, std::slice::from_ref(&now)).await;
        }
        assert_eq!(now.expires_at(), it.campaign.expires_at);
        let mut counted = 0;
        for day in it.days() {
            counted += kit.hot.count(day).await.unwrap();
        }
        let answered = it.answered.borrow().clone();
        let touched: BTreeSet<&Code> = answered.iter().chain([&it.code]).collect();
        assert!(counted <= touched.len() as u64, "each has one row at most");
        // A limit of one: whoever was given one has it still, and can use it.
        for code in &answered {
            let last = it.campaign.expires_at.plus_ms(-1);
            let spent = said(&kit.at(last, code, redeem(&it.user, "1")).await);
            let is_spent = matches!(spent, ChangeOutcome::Accepted | ChangeOutcome::Replayed);
            assert!(is_spent, "{spent:?}");
        }
        let again = kit.change(give(&it.user, reference("d")), Asker::Shop, NOW);
        let again = kit.hot.issue(&it.campaign.id, again).await.unwrap();
        if let Some(code) = answered.first() {
            assert_eq!(of(&again).code(), code, "no second one");
        }
    };
    let ways = [Next::AsksAgain, Next::NamesIt, Next::SomebodyElse];
    let sweep = StepSweep::of("issue after a later end", &ways);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}
