//! What follows from attempts. Pure.

use std::collections::BTreeMap;

use super::{WaitingDelivery, WebhookLane};
use crate::post::Verdict;
use crate::store::Tried;
use crate::store::numbers::millis;
use crate::store::waiting::DeliveryFacts;
use crate::{DeliveryState, Options, chance, pause, tried_for};

/// Most deliveries that are given up at once because their endpoint is down.
const GIVEN_UP_MAX: usize = 2_000;

/// What becomes of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryFate {
    Waits(DeliveryFacts),
    Ends(DeliveryState, DeliveryFacts),
}

impl DeliveryFate {
    pub(crate) fn facts(&self) -> &DeliveryFacts {
        match self {
            DeliveryFate::Waits(facts) | DeliveryFate::Ends(_, facts) => facts,
        }
    }
}

/// What follows from attempts: to be written first, and then to be applied.
#[derive(Debug, Default)]
pub(crate) struct LaneOutcome {
    pub(crate) fates: BTreeMap<i64, DeliveryFate>,
    pub(crate) failures: u64,
    pub(crate) failing_since: Option<i64>,
    pub(crate) attempts_failed: u64,
    /// The receiver wants nothing any more.
    pub(crate) is_gone: bool,
}

impl WebhookLane {
    pub(crate) fn outcome(
        &self,
        tried: &[&Tried],
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
            let is_delivered = one.answered.verdict == Verdict::Delivered;
            // What an old URL says is not said of a new one.
            let is_new = one.generation == self.row.generation;
            outcome.is_gone |= is_new && one.answered.verdict == Verdict::Gone;
            outcome.attempts_failed += u64::from(!is_delivered);
            if let Some(waiting) = self.waiting.get(&one.number) {
                outcome.fates.insert(one.number, fate(&waiting.facts, one, now, options));
            }
            if is_delivered {
                (outcome.failures, outcome.failing_since) = (0, None);
            } else {
                outcome.failing_since.get_or_insert(now);
                // Those that were under way beside each other must not make the pauses between probes long.
                let most = if one.probes { u64::MAX } else { options.failures_until_down };
                let more = (outcome.failures + 1).min(most);
                outcome.failures = outcome.failures.max(more);
            }
        }
        let old = now.saturating_sub(millis(tried_for(options)));
        let is_down = outcome.failures >= options.failures_until_down
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
            let tried = outcome.fates.get(number);
            let facts = match tried {
                Some(DeliveryFate::Ends(..)) => continue,
                Some(DeliveryFate::Waits(facts)) => facts,
                None => &waiting.facts,
            };
            let why = "the endpoint was down all the time".to_owned();
            let facts = DeliveryFacts {
                error: Some(facts.error.clone().unwrap_or(why)),
                ended_at: Some(now),
                ..facts.clone()
            };
            outcome.fates.insert(*number, DeliveryFate::Ends(DeliveryState::Failed, facts));
        }
    }
}

fn fate(facts: &DeliveryFacts, tried: &Tried, now: i64, options: &Options) -> DeliveryFate {
    let after = facts.tried(&tried.answered, now);
    let asked = match tried.answered.verdict {
        Verdict::Delivered => {
            let facts = DeliveryFacts { error: None, ended_at: Some(now), ..after };
            return DeliveryFate::Ends(DeliveryState::Delivered, facts);
        }
        Verdict::Failed { asked } => asked,
        Verdict::Gone => None,
    };
    match pause(after.attempts, asked, options, chance()) {
        Some(pause) => DeliveryFate::Waits(DeliveryFacts {
            next_at: now.saturating_add(millis(pause)),
            ..after
        }),
        None => DeliveryFate::Ends(
            DeliveryState::Failed,
            DeliveryFacts { ended_at: Some(now), ..after },
        ),
    }
}
