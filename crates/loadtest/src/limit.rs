//! The highest rate at which a server still keeps a promise.

use std::io;

use serde::Serialize;

use crate::plan::RunPlan;
use crate::report::LoadReport;
use crate::run::run;
use crate::schedule::RateSchedule;

/// A rate is kept if at least this share of the due requests was answered right.
const DONE_MIN: f64 = 0.99;

/// The search ends when the highest kept rate is this near to the lowest missed one.
const NEAR: f64 = 1.05;

/// Most steps.
const STEPS_MAX: usize = 24;

/// One rate that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct RateStep {
    /// Requests a second that were due.
    pub rate: f64,
    /// Whether the bound was kept.
    pub kept: bool,
    /// The report of the run.
    pub report: LoadReport,
}

/// Every rate that was tried.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LimitSearch {
    /// In milliseconds: the bound of p99.
    pub bound: f64,
    /// In the order of the search.
    pub steps: Vec<RateStep>,
}

impl LimitSearch {
    /// The highest rate that was kept, in requests a second.
    pub fn highest(&self) -> Option<f64> {
        let kept = self.steps.iter().filter(|step| step.kept).map(|step| step.rate);
        kept.max_by(f64::total_cmp)
    }

    /// The lowest rate that was not kept.
    fn lowest_missed(&self) -> Option<f64> {
        let missed = self.steps.iter().filter(|step| !step.kept).map(|step| step.rate);
        missed.min_by(f64::total_cmp)
    }
}

/// The next rate to try, from `first` on. None if the limit is known.
fn next(kept: Option<f64>, missed: Option<f64>, steps: usize, first: f64) -> Option<f64> {
    match (kept, missed) {
        _ if steps >= STEPS_MAX => None,
        (None, None) => Some(first),
        (Some(kept), None) => Some(kept * 2.0),
        (None, Some(missed)) => (missed > 1.0).then_some(missed / 2.0),
        // Also if a rate above a missed one was kept: then the machine is not steady, and more
        // steps do not help.
        (Some(kept), Some(missed)) if missed / kept < NEAR => None,
        (Some(kept), Some(missed)) => Some((kept * missed).sqrt()),
    }
}

/// Searches from `first` requests a second on, by doubling and then by halving. `plan` is one step.
/// Its coupons continue where the step before ended. Calls `told` for each step.
///
/// # Errors
/// As for [`run`]. The search ends with a step that has a wrong answer, or no coupons left.
pub fn find(
    plan: &RunPlan,
    first: f64,
    bound_ms: f64,
    mut told: impl FnMut(&RateStep),
) -> io::Result<LimitSearch> {
    let mut limit = LimitSearch { bound: bound_ms, steps: Vec::new() };
    let mut plan = plan.clone();
    while let Some(rate) = next(limit.highest(), limit.lowest_missed(), limit.steps.len(), first) {
        plan.schedule = Some(RateSchedule::steady(rate, plan.time));
        let report = run(&plan)?;
        // The next step begins after the coupons that this one used.
        plan.ground.turns.start += report.used.coupons;
        plan.ground.stock = plan.ground.stock.saturating_sub(report.used.stock);
        plan.ground.first_user += (rate * plan.time.as_secs_f64()) as u64 + 1;
        let due = rate * (plan.time - plan.warm_up).as_secs_f64();
        let kept = report.latency.p99 <= bound_ms
            && report.latency.count as f64 >= DONE_MIN * due
            && report.failed() as f64 <= (1.0 - DONE_MIN) * due;
        let is_over = report.wrong > 0 || report.ran_out;
        limit.steps.push(RateStep { rate, kept, report });
        if let Some(step) = limit.steps.last() {
            told(step);
        }
        if is_over {
            break;
        }
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that the search tries with a server that keeps every rate up to `able`.
    fn searched(able: f64, first: f64) -> Vec<(f64, bool)> {
        let (mut kept, mut missed, mut asked) = (None, None, Vec::new());
        while let Some(rate) = next(kept, missed, asked.len(), first) {
            asked.push((rate, rate <= able));
            if rate <= able { kept = Some(rate) } else { missed = Some(rate) }
        }
        asked
    }

    #[test]
    fn the_search_comes_near_the_limit() {
        for (able, first) in [(10_000.0, 1_000.0), (10_000.0, 50_000.0), (33.0, 1_000.0)] {
            let asked = searched(able, first);
            let best = asked.iter().filter(|(_, kept)| *kept).map(|(rate, _)| *rate);
            let best = best.fold(0.0, f64::max);
            assert!(best <= able && best * NEAR >= able, "{able} from {first}: {best}");
            assert!(asked.len() <= STEPS_MAX, "{able}: {} steps", asked.len());
        }
        assert_eq!(searched(0.0, 100.0).last().map(|(_, kept)| *kept), Some(false));
    }
}
