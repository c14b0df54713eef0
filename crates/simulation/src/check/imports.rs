//! Imports: each line is imported once, and what was imported is there.

use coupon::coupon::{Coupon, EventKind};
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Day;
use cql_session::CLOCK_BOUND_MS;
use hot::ImportOutcome;

use super::ViolationList;
use super::authors::line_makes;
use super::history::{RecordedAnswer, RecordedRequest};
use super::story::{ImportedLine, SeedStory};

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (nth, call) in story.calls.iter().enumerate() {
        if let (RecordedRequest::Import { lines, .. }, RecordedAnswer::Imported(outcomes)) =
            (&call.asked, &call.told)
            && lines.len() != outcomes.len()
        {
            let (lines, outcomes) = (lines.len(), outcomes.len());
            wrong.add(format!("an import of {lines} lines has {outcomes} outcomes"), [nth]);
        }
    }
    for lines in story.lines.values() {
        for (at, line) in lines.iter().enumerate() {
            if let Some(outcome) = line.outcome {
                let (others, after) = (&lines[..at], &lines[at + 1..]);
                let others: Vec<&ImportedLine<'_>> = others.iter().chain(after).collect();
                outcome_of(story, line, outcome, &others, wrong);
            }
        }
    }
}

fn outcome_of(
    story: &SeedStory<'_>,
    line: &ImportedLine<'_>,
    outcome: ImportOutcome,
    others: &[&ImportedLine<'_>],
    wrong: &mut ViolationList<'_>,
) {
    let code = &line.line.code;
    let began = story.calls[line.call].began_ms;
    let before =
        |other: &ImportedLine<'_>| other.call != line.call && story.ended(other.call) < began;
    let is_there = |other: &ImportedLine<'_>| {
        matches!(other.outcome, Some(ImportOutcome::Imported | ImportOutcome::AlreadyThere))
    };
    // An import that was cut short may have said more under this code. Then this line made the
    // coupon as that one said, and added nothing.
    let says_more = |other: &ImportedLine<'_>| {
        let is_open = other.outcome.is_none() || !before(other);
        let began = story.calls[other.call].began_ms <= story.ended(line.call);
        let more = other.line.imported_state.is_past(&line.line.imported_state);
        let coupon = story.timelines.get(code).map(|it| it.coupon);
        let is_so = coupon.is_some_and(|it| is_in(&other.line.imported_state, it));
        is_open && began && more && is_so && has_same_terms(other, line)
    };
    let mut same = others.iter().filter(|other| is_same(other, line) && is_there(other));
    let earlier = same.find(|other| before(other)).map(|other| other.call);
    let what = match outcome {
        ImportOutcome::Imported => match earlier {
            Some(_) => Some(format!("{code}: imported a second time")),
            None => lost(story, line).filter(|_| !others.iter().any(|it| says_more(it))),
        },
        ImportOutcome::AlreadyThere => {
            let ended = story.ended(line.call);
            let mut others = others.iter().filter(|other| {
                story.calls[other.call].began_ms <= ended && other.campaign == line.campaign
            });
            others.next().is_none().then(|| format!("{code}: already there, and it was not"))
        }
        ImportOutcome::CodeTaken => {
            earlier.map(|_| format!("{code}: taken, and an equal line was imported before"))
        }
        ImportOutcome::Refused(Refusal::ExpiryDayClosed) => {
            let latest = story.calls[line.call].clock.plus_ms(2 * CLOCK_BOUND_MS);
            let is_open = latest < Day::expiry_day_of(line.line.expires_at).end();
            is_open.then(|| format!("{code}: refused, and its expiry day is not over"))
        }
        ImportOutcome::Refused(why) => earlier
            .map(|_| format!("{code}: {}, and an equal line was imported before", why.as_str())),
    };
    if let Some(what) = what {
        wrong.add(what, [line.call].into_iter().chain(earlier));
    }
}

fn has_same_terms(one: &ImportedLine<'_>, other: &ImportedLine<'_>) -> bool {
    let dates = |it: &ImportedLine<'_>| (it.line.valid_from, it.line.expires_at);
    one.campaign == other.campaign && dates(one) == dates(other)
}

fn is_same(one: &ImportedLine<'_>, other: &ImportedLine<'_>) -> bool {
    one.campaign == other.campaign && one.line == other.line
}

/// An acknowledged line that is not in the history of its coupon.
fn lost(story: &SeedStory<'_>, line: &ImportedLine<'_>) -> Option<String> {
    let code = &line.line.code;
    let Some(timeline) = story.timelines.get(code) else {
        return Some(format!("{code}: it was imported, and it is not there"));
    };
    let genesis = timeline.coupon.genesis();
    let dates = (genesis.valid_from, genesis.expires_at);
    if genesis.campaign != *line.campaign || dates != (line.line.valid_from, line.line.expires_at) {
        return Some(format!("{code}: it was imported with another campaign or other dates"));
    }
    let said = &line.line.imported_state;
    (!is_in(said, timeline.coupon))
        .then(|| format!("{code}: imported as {said:?}, which its history lacks"))
}

/// Whether the last event of a line is in the history.
fn is_in(state: &ImportedState, coupon: &Coupon) -> bool {
    let is_last = |kind: &EventKind| match state {
        ImportedState::Available => true,
        ImportedState::Issued { .. } => matches!(kind, EventKind::Issued { .. }),
        ImportedState::Redeemed { .. } => matches!(kind, EventKind::Redeemed { .. }),
        ImportedState::Void { .. } => matches!(kind, EventKind::Voided { .. }),
    };
    *state == ImportedState::Available
        || coupon.events().iter().any(|event| {
            let of_line = line_makes(state, coupon.code(), &event.kind);
            // Somebody may have redeemed it for the same order here.
            is_last(&event.kind) && (of_line || holder_is_same(state, &event.kind))
        })
}

fn holder_is_same(state: &ImportedState, kind: &EventKind) -> bool {
    match (state, kind) {
        (ImportedState::Issued { holder, .. }, EventKind::Issued { to, .. }) => holder == to,
        _ => false,
    }
}
