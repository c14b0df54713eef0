//! Orders of several coupons. Each change that an order makes is checked as if it were a call of its own; here is
//! what is true of an order beyond that.

use coupon::apply::{Action, Change, Outcome};
use coupon::coupon::EventKind;
use coupon::ids::OrderRef;
use coupon::refusal::Refusal;
use hot::Applied;
use hot::protocol::{cancel_for, hold_for, release_for};

use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::story::SeedStory;
use super::{Violation, ViolationList};

/// The calls, and behind them the changes that orders may have made, each with the number of its order.
pub(super) fn with_their_changes(calls: &[RecordedCall]) -> (Vec<RecordedCall>, Vec<usize>) {
    let (mut all, mut orders) = (calls.to_vec(), Vec::new());
    for (nth, call) in calls.iter().enumerate() {
        let RecordedRequest::Order { order, changes } = &call.asked else { continue };
        for (at, (code, change)) in changes.iter().enumerate() {
            for (change, told) in changes_of(order, change, answer(&call.told, change, at)) {
                let asked = RecordedRequest::Change { code: code.clone(), change };
                all.push(RecordedCall { asked, told, ..call.clone() });
                orders.push(nth);
            }
        }
    }
    (all, orders)
}

/// The violations, with orders in the place of their changes.
pub(super) fn named(mut found: Vec<Violation>, calls: usize, orders: &[usize]) -> Vec<Violation> {
    for nth in found.iter_mut().flat_map(|it| &mut it.calls) {
        *nth = nth.checked_sub(calls).map_or(*nth, |at| orders[at]);
    }
    found.iter_mut().for_each(|it| it.calls.dedup());
    found
}

/// What an order may do with one coupon, and the answer to each change.
fn changes_of(
    order: &OrderRef,
    change: &Change,
    told: RecordedAnswer,
) -> Vec<(Change, RecordedAnswer)> {
    let others = match &change.action {
        Action::Redeem { .. } => vec![hold_for(change), release_for(order, change)],
        Action::Hold { .. } => vec![release_for(order, change)],
        Action::Release { .. } => vec![cancel_for(order, change)],
        _ => Vec::new(),
    };
    let mut all = vec![(change.clone(), told)];
    let unknown = || RecordedAnswer::Unknown("a change of an order".to_owned());
    all.extend(others.into_iter().map(|change| (change, unknown())));
    if let [(Change { action: Action::Release { .. }, .. }, told), (cancel, other)] = &mut all[..]
        && let RecordedAnswer::Applied(applied) = told
        && is_of_cancel(applied, cancel)
    {
        std::mem::swap(told, other);
    }
    all
}

/// Whether it is the answer to the cancellation that follows a release which came too late.
fn is_of_cancel(applied: &Applied, cancel: &Change) -> bool {
    match &applied.outcome {
        Outcome::Accepted(after) => {
            after.events().last().is_some_and(|event| event.operation == cancel.operation)
        }
        Outcome::Refused(refusal) => {
            matches!(refusal, Refusal::CancelClosed | Refusal::NotRedeemed)
        }
        Outcome::Replayed => false,
    }
}

/// The answer to one change of an order.
fn answer(told: &RecordedAnswer, change: &Change, at: usize) -> RecordedAnswer {
    let nothing = |why: &str| match &change.action {
        // Held, and released again.
        Action::Hold { .. } | Action::Release { .. } => RecordedAnswer::Unknown(why.to_owned()),
        _ => RecordedAnswer::NotDone(why.to_owned()),
    };
    match told {
        RecordedAnswer::Order(all) => match all.get(at) {
            // What is not refused says what would have been, or what became of its hold.
            Some(applied) if applied.refusal().is_none() && is_refused(all) => {
                nothing("its order was refused")
            }
            Some(applied) => RecordedAnswer::Applied(Box::new(applied.clone())),
            None => nothing("it has no answer"),
        },
        RecordedAnswer::NotDone(why) => nothing(why),
        other => other.clone(),
    }
}

fn is_refused(all: &[Applied]) -> bool {
    all.iter().any(|it| it.refusal().is_some())
}

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (nth, call) in story.calls.iter().enumerate() {
        if let (RecordedRequest::Order { order, changes }, RecordedAnswer::Order(all)) =
            (&call.asked, &call.told)
        {
            if changes.len() != all.len() {
                wrong.add(
                    format!("{order}: {} changes, {} answers", changes.len(), all.len()),
                    [nth],
                );
            }
            if is_refused(all) {
                holds_nothing(story, nth, wrong);
            } else {
                is_given_back(story, nth, all, wrong);
            }
        }
    }
}

/// A refused order has released what it held.
fn holds_nothing(story: &SeedStory<'_>, nth: usize, wrong: &mut ViolationList<'_>) {
    let RecordedRequest::Order { order, changes } = &story.calls[nth].asked else { return };
    for (code, change) in changes {
        let hold = story.timelines.get(code).and_then(|it| it.coupon.hold());
        // What it held before, it still holds.
        if hold
            .is_some_and(|it| it.operation == hold_for(change).operation && it.since == change.at)
        {
            wrong.add(format!("{code}: {order} was refused, and holds it"), [nth]);
        }
    }
}

/// A call whose redemption was cancelled redeems nothing more of what was given back.
fn is_given_back(
    story: &SeedStory<'_>,
    nth: usize,
    all: &[Applied],
    wrong: &mut ViolationList<'_>,
) {
    let RecordedRequest::Order { order, changes } = &story.calls[nth].asked else { return };
    let gives_back =
        |it: &Change| matches!(it.action, Action::Release { .. } | Action::CancelRedemption { .. });
    if !changes.iter().all(|(_, change)| gives_back(change)) {
        return;
    }
    // The operations of the calls whose redemption this one has cancelled.
    let is_of_order =
        |kind: &EventKind| matches!(kind, EventKind::Redeemed { order: of, .. } if of == order);
    let cancelled = all.iter().filter_map(|it| match &it.outcome {
        Outcome::Accepted(after) => {
            let mut events = after.events().iter().rev();
            let redeemed = events.find(|event| is_of_order(&event.kind))?;
            Some(redeemed.operation)
        }
        Outcome::Replayed | Outcome::Refused(_) => None,
    });
    let cancelled: Vec<_> = cancelled.collect();
    for (other, call) in story.calls.iter().enumerate() {
        let RecordedRequest::Order { changes: redeems, .. } = &call.asked else { continue };
        if !redeems.iter().any(|(_, change)| cancelled.contains(&change.operation)) {
            continue;
        }
        for ((code, _), applied) in changes.iter().zip(all) {
            let shown = applied.snapshot.as_ref().map_or(0, |it| it.coupon.events().len());
            let events = story.timelines.get(code).map_or(&[][..], |it| it.coupon.events());
            if events.iter().skip(shown).any(|event| {
                is_of_order(&event.kind)
                    && redeems.iter().any(|(_, it)| it.operation == event.operation)
            }) {
                wrong.add(
                    format!("{code}: {order} was given back, and has redeemed it since"),
                    [nth, other],
                );
            }
        }
    }
}
