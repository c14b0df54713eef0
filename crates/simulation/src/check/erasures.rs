//! Erasures: who may be named in what a call did.
//!
//! A call and the erasures of its user are spans of time. What a call had done before an erasure began has the
//! erased name. What a call did that began after the next person was admitted has not. Of what happens at the same
//! time, either is right.

use std::collections::{BTreeMap, BTreeSet};

use coupon::apply::Outcome;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind, State};
use coupon::erasure::{Erasure, acting_user, is_erased};
use coupon::ids::{CampaignId, OperationId, UserId};
use hot::CouponSnapshot;

use super::authors::{change_of, user_of};
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::names::{may_have_replaced, replaced_by};
use super::{KnownWorld, orders};

/// The kind of an event that another call than its own may have made.
const ISSUED: &str = "issued";

/// The actor of an import.
const IMPORT: &str = "admin:import";

/// One erasure, and when its steps were done.
#[derive(Clone, Debug)]
pub struct KnownErasure {
    pub erasure: Erasure,
    /// When somebody first asked for it.
    pub began_ms: u64,
    /// When a process first answered that whatever is found by the person has the erased name.
    pub found_ms: Option<u64>,
    /// When a process was first asked to let the next person have the name.
    pub admitting_ms: Option<u64>,
    /// When one first answered that it does.
    pub admitted_ms: Option<u64>,
}

/// What one change of a call was about, and how long it may have been under way.
struct CallSpan {
    /// Whom it names; `None` if nobody.
    user: Option<UserId>,
    from_ms: u64,
    /// `u64::MAX` if its outcome is unknown.
    to_ms: u64,
    is_refused: bool,
}

struct ErasedWorld<'a> {
    /// By number.
    erasures: &'a [KnownErasure],
    spans: BTreeMap<u128, Vec<CallSpan>>,
    /// Whom the lines of imports named, and when the first of them came.
    lines: BTreeMap<Code, BTreeMap<UserId, u64>>,
}

/// Everything that is wrong with the names in the coupons that were read at the end, and with their histories.
pub fn violations(
    known: &KnownWorld,
    erasures: &[KnownErasure],
    calls: &[RecordedCall],
    coupons: &BTreeMap<Code, CouponSnapshot>,
) -> Vec<String> {
    let (all, _) = orders::with_their_changes(calls);
    let world = ErasedWorld::of(erasures, &all);
    let mut wrong = Vec::new();
    for CouponSnapshot { coupon, .. } in coupons.values() {
        world.named(coupon, &mut wrong);
        one_name_for_each_holding(coupon, &mut wrong);
    }
    for call in &all {
        is_kept(&world, call, coupons, &mut wrong);
        world.gives_nothing(call, &mut wrong);
    }
    within_limits(known, &all, coupons, &mut wrong);
    wrong
}

impl<'a> ErasedWorld<'a> {
    fn of(erasures: &'a [KnownErasure], calls: &[RecordedCall]) -> ErasedWorld<'a> {
        let mut world = ErasedWorld { erasures, spans: BTreeMap::new(), lines: BTreeMap::new() };
        for call in calls {
            if let RecordedRequest::Import { lines, .. } = &call.asked {
                for line in lines {
                    let Some(user) = line.imported_state.holder() else { continue };
                    let users = world.lines.entry(line.code.clone()).or_default();
                    let first = users.entry(user.clone()).or_insert(call.began_ms);
                    *first = call.began_ms.min(*first);
                }
            }
            let Some(change) = change_of(&call.asked) else { continue };
            let is_refused = match &call.told {
                RecordedAnswer::NotDone(_) => true,
                RecordedAnswer::Applied(applied) => {
                    matches!(applied.outcome, Outcome::Refused(_))
                }
                _ => false,
            };
            // The user's next call finishes what their claim says was begun, whatever the first one was told.
            let is_open =
                matches!(call.told, RecordedAnswer::Unknown(_) | RecordedAnswer::NotDone(_));
            let ended_ms = call.ended_ms.filter(|_| !is_open);
            let to_ms = ended_ms.unwrap_or(u64::MAX);
            let user = user_of(&change.action).cloned();
            let span = CallSpan { user, from_ms: call.began_ms, to_ms, is_refused };
            world.spans.entry(change.operation.0).or_default().push(span);
        }
        world
    }

    /// Under which `user_id` somebody was known.
    fn person<'b>(&'b self, name: &'b UserId) -> &'b UserId {
        let erased = self.erasures.iter().find(|it| it.erasure.name == *name);
        erased.map_or(name, |it| &it.erasure.user)
    }

    /// Why a change that was under way from one instant to another cannot have been of `name`.
    fn why_not(&self, name: &UserId, (from_ms, to_ms): (u64, u64)) -> Option<String> {
        let theirs = self.erasures.iter().filter(|it| it.erasure.user == *self.person(name));
        for erased in theirs {
            let number = erased.erasure.number;
            let is_name = erased.erasure.name == *name;
            if is_name && erased.admitted_ms.is_some_and(|at| at < from_ms) {
                return Some(format!("erasure {number} was over before the call began"));
            }
            if is_name {
                return None;
            }
            if to_ms < erased.began_ms {
                return Some(format!("erasure {number} began after the call had ended"));
            }
        }
        is_erased(name).then(|| "no erasure gave this name".to_owned())
    }

    /// From the answer of an erasure until the next person is admitted, a call by the name does nothing.
    fn gives_nothing(&self, call: &RecordedCall, wrong: &mut Vec<String>) {
        let (Some(change), RecordedAnswer::Applied(applied), Some(to_ms)) =
            (change_of(&call.asked), &call.told, call.ended_ms)
        else {
            return;
        };
        let is_done = matches!(applied.outcome, Outcome::Accepted(_));
        let Some(user) = user_of(&change.action).filter(|_| is_done) else { return };
        for it in self.erasures.iter().filter(|it| it.erasure.user == *user) {
            let is_after = it.found_ms.is_some_and(|at| at < call.began_ms);
            if is_after && it.admitting_ms.is_none_or(|at| to_ms < at) {
                let (action, number) = (&change.action, it.erasure.number);
                wrong.push(format!("{action:?} was done while erasure {number} blocked the name"));
            }
        }
    }

    fn named(&self, coupon: &Coupon, wrong: &mut Vec<String>) {
        let code = coupon.code();
        for event in coupon.events() {
            let kind = event.kind.as_str();
            // A shop revokes it from whomever it belongs to by then, whatever name that is.
            let is_revoke = matches!(event.kind, EventKind::Revoked { .. });
            for name in names_of(event) {
                if let Some(why) = self.why_not_in(code, event.operation, &name, is_revoke) {
                    wrong.push(format!("{code}: {kind} names {name}: {why}"));
                }
            }
            if kind != ISSUED && self.is_refused(event.operation) {
                wrong
                    .push(format!("{code}: {kind} is of a call that was told that it did nothing"));
            }
        }
        if let Some(hold) = coupon.hold()
            && let Some(why) = self.why_not_in(code, hold.operation, &hold.by, false)
        {
            wrong.push(format!("{code} is held by {}: {why}", hold.by));
        }
    }

    fn is_refused(&self, operation: OperationId) -> bool {
        let spans = self.spans.get(&operation.0);
        spans.is_some_and(|spans| spans.iter().all(|span| span.is_refused))
    }

    fn why_not_in(
        &self,
        code: &Code,
        operation: OperationId,
        name: &UserId,
        is_revoke: bool,
    ) -> Option<String> {
        let person = self.person(name);
        let Some(spans) = self.spans.get(&operation.0) else {
            let lines = self.lines.get(code);
            return match lines.and_then(|users| users.get(person)) {
                Some(from_ms) => self.why_not(name, (*from_ms, u64::MAX)),
                None => Some("no call and no line named them".to_owned()),
            };
        };
        let is_theirs =
            |it: &&CallSpan| it.user.as_ref().is_none_or(|user| self.person(user) == person);
        let mut theirs = spans.iter().filter(is_theirs).peekable();
        if theirs.peek().is_none() {
            return Some(format!("the call was of {:?}", spans.first()?.user));
        }
        let mut why = None;
        for span in theirs {
            let from_ms = if is_revoke { 0 } else { span.from_ms };
            why = Some(self.why_not(name, (from_ms, span.to_ms))?);
        }
        why
    }
}

fn names_of(event: &Event) -> Vec<UserId> {
    let user = match &event.kind {
        EventKind::Issued { to, .. } => Some(to),
        EventKind::Redeemed { by, .. } => by.as_ref(),
        EventKind::Revoked { from, .. } => Some(from),
        EventKind::RedemptionCancelled { .. }
        | EventKind::Voided { .. }
        | EventKind::Extended { .. } => None,
    };
    let actor = acting_user(event.actor.as_str()).and_then(|name| name.parse().ok());
    user.cloned().into_iter().chain(actor).collect()
}

/// From an issue to the revoke, a coupon is one person's: half an erasure would show two names.
fn one_name_for_each_holding(coupon: &Coupon, wrong: &mut Vec<String>) {
    let mut holder: Option<&UserId> = None;
    for event in coupon.events() {
        let (name, after) = match &event.kind {
            EventKind::Issued { to, .. } => (None, Some(to)),
            EventKind::Redeemed { by, .. } => (by.as_ref(), holder),
            EventKind::Revoked { from, .. } => (Some(from), None),
            EventKind::RedemptionCancelled { .. }
            | EventKind::Voided { .. }
            | EventKind::Extended { .. } => (None, holder),
        };
        if let (Some(holder), Some(name)) = (holder, name)
            && holder != name
        {
            let (code, kind) = (coupon.code(), event.kind.as_str());
            wrong.push(format!("{code}: of {holder}, and {kind} names {name}"));
        }
        holder = after;
    }
    if let (Some(holder), Some(hold)) = (holder, coupon.hold())
        && *holder != hold.by
    {
        wrong.push(format!("{}: of {holder}, and held by {}", coupon.code(), hold.by));
    }
}

/// What an answer showed is in the history for ever, whatever it names.
fn is_kept(
    world: &ErasedWorld<'_>,
    call: &RecordedCall,
    coupons: &BTreeMap<Code, CouponSnapshot>,
    wrong: &mut Vec<String>,
) {
    let Some(CouponSnapshot { coupon: shown, .. }) = call.shown() else { return };
    let code = shown.code();
    let now = coupons.get(code).map(|it| &it.coupon);
    let events = now.map(Coupon::events).unwrap_or_default();
    // Two imports of one line may write one row, each with its own operation.
    let of = |event: &Event| {
        let known = world.spans.contains_key(&event.operation.0);
        (event.kind.as_str(), known.then_some((event.operation, event.at)))
    };
    let is_there = shown.events().len() <= events.len()
        && shown.events().iter().zip(events).all(|(one, other)| of(one) == of(other));
    let is_later = now.is_some_and(|now| now.version() >= shown.version());
    if !is_there || (!is_later && shown.version() > 0) {
        wrong.push(format!("{code} was {shown:?}, and is {now:?}"));
    }
}

/// The event by which the last holder got a coupon: a line may come after a shop has changed the coupon.
fn given_by(coupon: &Coupon) -> Option<&Event> {
    let is_revoke = |it: &&Event| matches!(it.kind, EventKind::Revoked { .. });
    let since = coupon.events().iter().rev().take_while(|it| !is_revoke(it));
    let issued = since.clone().find(|it| matches!(it.kind, EventKind::Issued { .. }));
    issued.or_else(|| since.clone().find(|it| matches!(it.kind, EventKind::Redeemed { .. })))
}

/// The code of the coupon in whose place another one was issued.
fn replaced_at(event: &Event) -> Option<String> {
    let EventKind::Issued { reference: Some(reference), .. } = &event.kind else { return None };
    replaced_by(reference)
}

/// No name has more coupons than the limit allows. An import may bring more, and so may a replacement of a void one; what
/// was replaced no longer counts.
fn within_limits(
    known: &KnownWorld,
    calls: &[RecordedCall],
    coupons: &BTreeMap<Code, CouponSnapshot>,
    wrong: &mut Vec<String>,
) {
    let events = coupons.values().flat_map(|it| it.coupon.events());
    // Also by a coupon that a shop has taken back since, and by a call that ended behind the entry of the replacement.
    let asked = calls.iter().filter_map(may_have_replaced).map(|(_, code)| code);
    let replaced: BTreeSet<String> = events.filter_map(replaced_at).chain(asked).collect();
    let mut held: BTreeMap<(&CampaignId, &UserId), BTreeSet<&Code>> = BTreeMap::new();
    for CouponSnapshot { coupon, .. } in coupons.values() {
        let is_imported = given_by(coupon).is_some_and(|it| it.actor.as_str() == IMPORT);
        let is_void = matches!(coupon.state(), State::Void { .. });
        let is_replacement = coupon.issue_ref().is_some_and(|it| it.replaces().is_some());
        let is_replaced = replaced.contains(coupon.code().as_str());
        let counts = !is_imported && !is_void && !is_replacement && !is_replaced;
        if let Some(holder) = coupon.holder().filter(|_| counts) {
            let of = (&coupon.genesis().campaign, holder);
            held.entry(of).or_default().insert(coupon.code());
        }
    }
    for ((campaign, user), codes) in held {
        let limit = known.campaigns.get(campaign).map_or(u32::MAX, |it| it.per_user_limit);
        if codes.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            wrong.push(format!("{campaign}: {user} has {codes:?}, and the limit is {limit}"));
        }
    }
}
