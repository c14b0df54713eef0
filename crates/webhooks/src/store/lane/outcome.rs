//! What follows from attempts. Pure.

use std::collections::BTreeMap;

use super::{WaitingDelivery, WebhookLane};
use crate::post::AttemptVerdict;
use crate::retry::{FAILURES_UNTIL_DOWN, chance, pause, tried_for};
use crate::store::EndedAttempt;
use crate::store::delivery_rows::{DeliveryFacts, DeliveryRow};
use crate::store::numbers::millis;
use crate::{DeliveryState, Options};

/// Most deliveries that are given up at once because their endpoint is down.
const GIVEN_UP_MAX: usize = 2_000;

/// What follows from attempts: to be written first, and then to be applied.
#[derive(Debug, Default)]
pub(crate) struct LaneOutcome {
    pub(crate) rows: BTreeMap<i64, DeliveryRow>,
    pub(crate) failures: u64,
    pub(crate) failing_since: Option<i64>,
    pub(crate) attempts_failed: u64,
    /// The receiver wants nothing any more.
    pub(crate) is_gone: bool,
}

impl WebhookLane {
    pub(crate) fn outcome(
        &self,
        tried: &[&EndedAttempt],
        options: &Options,
        now: i64,
        trusted: bool,
    ) -> LaneOutcome {
        let mut outcome = LaneOutcome {
            failures: self.failures,
            failing_since: self.failing_since,
            ..LaneOutcome::default()
        };
        for one in tried {
            let is_delivered = one.answered.verdict == AttemptVerdict::Delivered;
            // What an old URL says is not said of a new one.
            let is_new = one.generation == self.row.generation;
            outcome.is_gone |= is_new && one.answered.verdict == AttemptVerdict::Gone;
            outcome.attempts_failed += u64::from(!is_delivered);
            if let Some(waiting) = self.waiting.get(&one.number) {
                let (state, facts) = after(&waiting.facts, one, now, options);
                outcome.rows.insert(one.number, waiting.row(one.number, state, facts));
            }
            if is_delivered {
                (outcome.failures, outcome.failing_since) = (0, None);
            } else {
                outcome.failing_since.get_or_insert(now);
                // Those that were under way beside each other must not make the pauses between probes long.
                let most = if one.probes { u64::MAX } else { FAILURES_UNTIL_DOWN };
                let more = (outcome.failures + 1).min(most);
                outcome.failures = outcome.failures.max(more);
            }
        }
        let old = now.saturating_sub(millis(tried_for(options)));
        let is_down = outcome.failures >= FAILURES_UNTIL_DOWN
            && outcome.failing_since.is_some_and(|since| since <= old);
        if is_down && trusted {
            self.give_up(&mut outcome, old, now);
        }
        outcome
    }

    /// While an endpoint is down only single deliveries are tried: those that have waited as long as one is tried
    /// end, too.
    fn give_up(&self, outcome: &mut LaneOutcome, old: i64, now: i64) {
        let is_old = |waiting: &WaitingDelivery| waiting.facts.created_at <= old;
        let waits = self.waiting.iter().filter(|(_, waiting)| is_old(waiting));
        for (number, waiting) in waits.take(GIVEN_UP_MAX) {
            let facts = match outcome.rows.get(number) {
                Some(row) if row.state != DeliveryState::Pending => continue,
                Some(row) => &row.facts,
                None => &waiting.facts,
            };
            let why = "the endpoint was down all the time".to_owned();
            let facts = DeliveryFacts {
                error: Some(facts.error.clone().unwrap_or(why)),
                ended_at: Some(now),
                ..facts.clone()
            };
            outcome.rows.insert(*number, waiting.row(*number, DeliveryState::Failed, facts));
        }
    }
}

/// What a delivery is after an attempt.
fn after(
    facts: &DeliveryFacts,
    tried: &EndedAttempt,
    now: i64,
    options: &Options,
) -> (DeliveryState, DeliveryFacts) {
    let mut after = facts.tried(&tried.answered, now);
    let asked = match tried.answered.verdict {
        AttemptVerdict::Delivered => {
            (after.error, after.ended_at) = (None, Some(now));
            return (DeliveryState::Delivered, after);
        }
        AttemptVerdict::Failed { asked } => asked,
        AttemptVerdict::Gone => None,
    };
    match pause(after.attempts, asked, options, chance()) {
        Some(pause) => {
            after.next_at = now.saturating_add(millis(pause));
            (DeliveryState::Pending, after)
        }
        None => {
            after.ended_at = Some(now);
            (DeliveryState::Failed, after)
        }
    }
}
