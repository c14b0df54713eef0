//! The history of each coupon at the end: each event was asked for, and the rules admitted it.

use std::collections::BTreeMap;

use coupon::apply::{Action, Change};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind};
use coupon::ids::{IssueRef, OrderRef};

use super::ViolationList;
use super::authors::{action_behind, change_of, may_have_changed};
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::life::{CouponLife, StateKind};
use super::rules::{RulesAnswer, ShownCoupon, possible};
use super::story::SeedStory;
use super::timeline::CouponTimeline;

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    let mut made: BTreeMap<(u128, &'static str), usize> = BTreeMap::new();
    for timeline in story.timelines.values() {
        for (at, event) in timeline.coupon.events().iter().enumerate() {
            was_asked_for(story, timeline, at, event, wrong);
            was_admitted(story, timeline, at, event, wrong);
            let authors = &timeline.authors[at].calls;
            if !authors.is_empty() {
                let key = (event.operation.0, event.kind.as_str());
                let events = made.entry(key).or_default();
                *events += 1;
                if *events > authors.len()
                    && *events == authors.len() + taken(story, timeline.coupon, event, authors) + 1
                {
                    let (code, kind) = (timeline.code, event.kind.as_str());
                    let what = format!("{code}: a request was done twice: event {kind}");
                    wrong.add(what, authors.iter().copied());
                }
            }
        }
        let life = timeline.lives.last();
        if life.is_some_and(|life| !life.is_that_of(timeline.coupon)) {
            let (code, coupon) = (timeline.code, timeline.coupon);
            wrong.add(format!("{code}: its state is not what its events say: {coupon:?}"), []);
        }
    }
}

/// How many other calls may each have taken a coupon that was issued for a call through a shared code.
///
/// Another process may finish that issue and give the coupon to another order of the user, or it may
/// be revoked or void before the call itself comes to it. Then the call issues one more.
fn taken(story: &SeedStory<'_>, coupon: &Coupon, event: &Event, authors: &[usize]) -> usize {
    let EventKind::Issued { to, reference, .. } = &event.kind else { return 0 };
    let is_shared =
        |nth: &&usize| matches!(story.calls[**nth].asked, RecordedRequest::Shared { .. });
    let shared: Vec<usize> = authors.iter().filter(is_shared).copied().collect();
    let began = shared.iter().map(|nth| story.calls[*nth].began_ms).min();
    let ended = shared.iter().map(|nth| story.ended(*nth)).max();
    let (Some(began), Some(ended)) = (began, ended) else { return 0 };
    let campaign = &coupon.genesis().campaign;
    let is_another = |order: &OrderRef| reference.as_ref() != Some(&IssueRef::of_order(order));
    let is_issued_by_it = |code: &Code| {
        let events = story.timelines.get(code).map(|it| it.coupon.events());
        events.into_iter().flatten().any(|it| it.operation == event.operation)
    };
    let takes = |(nth, call): &(usize, &RecordedCall)| {
        let meanwhile = call.began_ms <= ended && story.ended(*nth) >= began;
        if !meanwhile || authors.contains(nth) || !may_have_changed(call) {
            return false;
        }
        let Some(change) = change_of(&call.asked) else { return false };
        let its = match &call.asked {
            RecordedRequest::Shared { campaign: of, .. } => of == campaign,
            RecordedRequest::Change { code, .. } => is_issued_by_it(code),
            RecordedRequest::Issue { .. }
            | RecordedRequest::Order { .. }
            | RecordedRequest::Read { .. }
            | RecordedRequest::Import { .. } => false,
        };
        its && match &change.action {
            Action::Redeem { by, order, .. } | Action::Hold { by, order, .. } => {
                by == to && is_another(order)
            }
            Action::Revoke { .. } | Action::Void { .. } => true,
            _ => false,
        }
    };
    story.calls.iter().enumerate().filter(takes).count()
}

fn was_asked_for(
    story: &SeedStory<'_>,
    timeline: &CouponTimeline<'_>,
    at: usize,
    event: &Event,
    wrong: &mut ViolationList<'_>,
) {
    let authors = &timeline.authors[at];
    let (code, number, kind) = (timeline.code, at + 1, event.kind.as_str());
    if authors.all().next().is_none() {
        wrong.add(format!("{code}: nobody asked for event {number}: {event:?}"), []);
        return;
    }
    // A process may finish the issue of a shared code for another, whose change is refused then.
    let is_finished = |nth: usize| {
        matches!(story.calls[nth].asked, RecordedRequest::Shared { .. })
            && !matches!(story.calls[nth].told, RecordedAnswer::NotDone(_))
            && matches!(event.kind, EventKind::Issued { .. })
    };
    let mut calls = authors.calls.iter().copied();
    let is_possible = calls.any(|nth| may_have_changed(&story.calls[nth]) || is_finished(nth));
    if !is_possible && !authors.calls.is_empty() {
        let what = format!("{code}: event {number}, {kind}, was told not to have happened");
        wrong.add(what, authors.all());
    }
}

fn was_admitted(
    story: &SeedStory<'_>,
    timeline: &CouponTimeline<'_>,
    at: usize,
    event: &Event,
    wrong: &mut ViolationList<'_>,
) {
    let Some(terms) = story.campaign_of(timeline.coupon) else { return };
    let (life, code) = (&timeline.lives[at], timeline.code);
    let authors = &timeline.authors[at];
    let mut why = Vec::new();
    for nth in &authors.calls {
        let call = &story.calls[*nth];
        let (Some(change), Some(action)) =
            (change_of(&call.asked), action_behind(call, code, event))
        else {
            continue;
        };
        // Whoever finishes an issue of another process does it at its own time.
        let change = Change { action, at: event.at, ..change.clone() };
        let version = timeline.version_of_event(at);
        let hold = version.and_then(|version| timeline.hold_before(version));
        let version = version.map(|version| version - 1);
        let events = &timeline.coupon.events()[..at];
        let says = possible(ShownCoupon { life, events, version, hold }, &change, terms);
        if says.contains(&RulesAnswer::Accept) {
            return;
        }
        why = says;
    }
    if authors.calls.is_empty() && (authors.imports.is_empty() || may_be_imported(life, event)) {
        return;
    }
    let (number, kind) = (at + 1, event.kind.as_str());
    let state = format!("{:?} by {:?}", life.kind, life.holder);
    let what = format!("{code}: event {number}, {kind}, of a coupon {state}: the rules {why:?}");
    let before = at.checked_sub(1).map(|before| timeline.authors[before].all());
    wrong.add(what, authors.all().chain(before.into_iter().flatten()));
}

/// An import moves a coupon forward only.
fn may_be_imported(life: &CouponLife, event: &Event) -> bool {
    match (&event.kind, life.kind) {
        (EventKind::Issued { .. }, StateKind::Available)
        | (EventKind::Redeemed { .. }, StateKind::Available)
        | (EventKind::Voided { .. }, StateKind::Available | StateKind::Issued) => true,
        (EventKind::Redeemed { by, .. }, StateKind::Issued) => *by == life.holder,
        _ => false,
    }
}
