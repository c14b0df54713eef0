//! Campaigns, coupons and claims for the tests of the protocol.
//!
//! The user is ann. A coupon has one event a day before [`NOW`] for each kind, written by the operations
//! 1, 2 and so on, and its version is the number of its events.

use std::sync::Arc;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, IssueRef, OperationId, OrderRef, UserId};
use coupon::time::{DAY_MS, Day, Millis};

use super::{Claim, ClaimEnd, Counting, Decision, Here, Located};
use crate::{Applied, Tier};

/// 2026-11-20T12:00Z.
pub(super) const NOW: Millis = Millis(1_795_176_000_000);

/// The partition of the campaign's coupons, thirty days later.
pub(super) const DAY: Day = Day(20_807);

pub(super) const SLOT: u32 = 7;

#[derive(Clone, Debug)]
pub(super) struct InTest(Arc<Campaign>);

impl Here for InTest {
    fn terms(&self) -> &Arc<Campaign> {
        &self.0
    }
}

pub(super) type TestLocated = Located<InTest>;
pub(super) type TestClaim = Claim<InTest, u32>;

pub(super) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(super) fn order(name: &str) -> OrderRef {
    name.parse().unwrap()
}

pub(super) fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// Each user gets one; a redemption can be cancelled and a coupon extended for 30 days.
pub(crate) fn campaign() -> Campaign {
    Campaign {
        id: "summer".parse().unwrap(),
        name: "Summer".to_owned(),
        handout: Handout::Shop,
        shared_code: None,
        code_prefix: None,
        valid_from: NOW.plus_ms(-100 * DAY_MS),
        expires_at: DAY.end(),
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 30,
        extend_days: 30,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: NOW.plus_ms(-100 * DAY_MS),
    }
}

pub(super) fn bearer() -> Campaign {
    Campaign { handout: Handout::Bearer, ..campaign() }
}

pub(super) fn issued(to: &str) -> EventKind {
    EventKind::Issued { to: user(to), reference: None, expires_at: None }
}

pub(super) fn revoked(from: &str) -> EventKind {
    EventKind::Revoked { from: user(from), reference: None, reason: None }
}

pub(super) fn redeemed(by: &str, by_order: &str) -> EventKind {
    EventKind::Redeemed { by: Some(user(by)), order: order(by_order), worth: None }
}

pub(super) fn voided() -> EventKind {
    EventKind::Voided { reason: None }
}

pub(super) fn coupon(text: &str, kinds: Vec<EventKind>) -> Coupon {
    let genesis = Genesis {
        code: code(text),
        campaign: campaign().id,
        batch: "first".parse().unwrap(),
        valid_from: campaign().valid_from,
        expires_at: DAY.end(),
        zone: Zone::utc(),
        created_at: campaign().created_at,
    };
    let at = NOW.plus_ms(-DAY_MS);
    let event = |(kind, operation)| Event {
        at,
        actor: Actor::new("shop:till"),
        operation: OperationId(operation),
        kind,
    };
    let events: Vec<Event> = kinds.into_iter().zip(1..).map(event).collect();
    let version = events.len() as u64;
    Coupon::of(genesis, events, None, version, at)
}

pub(super) fn located_in(terms: Campaign, coupon: Coupon) -> TestLocated {
    let here = InTest(Arc::new(terms));
    Located { coupon, batch_paused: false, day: DAY, tier: Tier::Hot, frozen: false, here }
}

pub(super) fn located(coupon: Coupon) -> TestLocated {
    located_in(campaign(), coupon)
}

/// A coupon that ann holds.
pub(super) fn held(text: &str) -> TestLocated {
    located(coupon(text, vec![issued("ann")]))
}

/// What a shop asks for now, as operation 99.
pub(super) fn request(action: Action) -> Change {
    Change {
        action,
        asker: Asker::Shop,
        actor: Actor::new("shop:till"),
        operation: OperationId(99),
        at: NOW,
        if_version: None,
    }
}

pub(super) fn issue_to(name: &str, reference: Option<&str>) -> Change {
    let reference = reference.map(IssueRef::stored);
    request(Action::Issue { to: user(name), reference, expires_at: None })
}

pub(super) fn redeem(by: &str, by_order: &str) -> Change {
    request(Action::Redeem { by: user(by), order: order(by_order), money: Default::default() })
}

pub(super) fn claim_end(limit: Option<u16>) -> ClaimEnd<u32> {
    ClaimEnd { limit, slot: SLOT, overflows: false, names: 0, unfinished: None }
}

/// The claim of ann with these coupons, the newest first.
pub(super) fn claim_ending(end: ClaimEnd<u32>, newest_first: Vec<TestLocated>) -> TestClaim {
    let ann = user("ann");
    let mut counting = Counting::begin(&ann, None, None);
    newest_first.into_iter().for_each(|located| counting.take(located, None));
    counting.end(end)
}

pub(super) fn claim(limit: Option<u16>, newest_first: Vec<TestLocated>) -> TestClaim {
    claim_ending(claim_end(limit), newest_first)
}

/// A decision in words: the outcome, and the code that the answer shows.
pub(super) fn said<S>(decision: &Decision<InTest, S>) -> String {
    let Applied { outcome, snapshot } = &decision.applied;
    let is_accepted = matches!(outcome, Outcome::Accepted(_));
    assert_eq!(decision.writes.is_some(), is_accepted, "only what is accepted is written");
    let said = match outcome {
        Outcome::Accepted(_) => "accepted".to_owned(),
        Outcome::Replayed => "replayed".to_owned(),
        Outcome::Refused(refusal) => format!("refused {}", refusal.as_str()),
    };
    match snapshot {
        Some(shown) => format!("{said} {}", shown.coupon.code()),
        None => said,
    }
}
