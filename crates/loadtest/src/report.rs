//! The report of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::answer_counts::AnswerCounts;
use crate::plan::RunPlan;
use crate::scenario::{CallKind, LoadScenario};

/// Times from the instant at which a request was due to its answer, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Answers.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 took no longer.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl LatencySummary {
    fn of(times: &Histogram<u64>) -> LatencySummary {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1_000.0;
        LatencySummary {
            count: times.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: times.max() as f64 / 1_000.0,
        }
    }
}

/// A piece of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunInterval {
    /// Seconds from the begin of the run, warm-up included.
    pub at: f64,
    /// Waiting times of all requests of the piece, whatever the answer.
    pub latency: LatencySummary,
}

/// What the sender used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SenderUsage {
    /// Its threads.
    pub threads: usize,
    /// Processors that it kept busy: 1 is one processor all the time.
    pub cpu_share: f64,
    /// How late requests were sent though a connection was free, in microseconds.
    pub late_p99_us: u64,
    /// Whether the sender limited the throughput, not the server.
    pub was_the_bottleneck: bool,
    /// Whether the machine was too busy to send on time, so that the times are not only those of
    /// the server.
    pub was_late: bool,
}

/// What a run used up, with its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StockUsage {
    /// Coupons with a redeem request. The next run on the same coupons begins after them.
    pub coupons: u64,
    /// Coupons that were issued from the campaign.
    pub stock: u64,
}

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// The scenario.
    pub scenario: LoadScenario,
    /// `open` or `closed`.
    #[serde(rename = "loop")]
    pub pace: &'static str,
    /// Requests a second that were due, in an open loop. For a spike: before and after it.
    pub rate: Option<f64>,
    /// Over all senders.
    pub connections: usize,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Right answers a second.
    pub per_second: f64,
    /// Right answers.
    pub latency: LatencySummary,
    /// The same by kind.
    pub by_kind: BTreeMap<CallKind, LatencySummary>,
    /// What the run used up on the server.
    pub used: StockUsage,
    /// Requests that were not done, by the answer of the server.
    pub refused: BTreeMap<String, u64>,
    /// Requests for which no connection became free in time.
    pub unsent: u64,
    /// Answers that must never happen.
    pub wrong: u64,
    /// Some of these answers, as text.
    pub wrong_samples: Vec<String>,
    /// Whether no coupons were left before the end.
    pub ran_out: bool,
    /// The sender.
    pub sender: SenderUsage,
    /// Over time.
    pub intervals: Vec<RunInterval>,
}

impl LoadReport {
    pub(crate) fn new(
        plan: &RunPlan,
        counts: &AnswerCounts,
        used: StockUsage,
        sender: SenderUsage,
    ) -> LoadReport {
        let seconds = counts.measured();
        let each = counts.interval.as_secs_f64();
        let interval = |(at, times): (usize, &Histogram<u64>)| RunInterval {
            at: at as f64 * each,
            latency: LatencySummary::of(times),
        };
        LoadReport {
            scenario: plan.scenario,
            pace: if plan.schedule.is_some() { "open" } else { "closed" },
            rate: plan.schedule.as_ref().map(crate::schedule::RateSchedule::base),
            connections: plan.connections,
            seconds,
            per_second: if seconds > 0.0 { counts.times.len() as f64 / seconds } else { 0.0 },
            latency: LatencySummary::of(&counts.times),
            by_kind: counts
                .by_kind
                .iter()
                .map(|(kind, it)| (*kind, LatencySummary::of(it)))
                .collect(),
            used,
            refused: counts.refused.clone(),
            unsent: counts.unsent,
            wrong: counts.wrong,
            wrong_samples: counts.samples.clone(),
            ran_out: counts.ran_out,
            sender,
            intervals: counts.intervals.iter().enumerate().map(interval).collect(),
        }
    }

    /// Requests that were not done, or wrong.
    pub fn failed(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unsent + self.wrong
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = match self.rate {
            Some(rate) => format!("{rate:.0} a second were due"),
            None => "each connection asks when it was answered".to_owned(),
        };
        let word = serde_json::to_value(self.scenario).unwrap_or_default();
        let word = word.as_str().unwrap_or_default().to_owned();
        writeln!(to, "{word}: {} connections, {pace}", self.connections)?;
        writeln!(
            to,
            "{} right answers in {:.1} s: {:.0} a second",
            self.latency.count, self.seconds, self.per_second
        )?;
        let mut table = String::new();
        let mut row = |name: &str, it: &LatencySummary| {
            let _ = writeln!(
                table,
                "{name:<16} {:>10} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
                it.count, it.p50, it.p90, it.p99, it.p999, it.max
            );
        };
        if self.by_kind.len() > 1 {
            for (kind, latency) in &self.by_kind {
                let kind = serde_json::to_value(kind).unwrap_or_default();
                row(kind.as_str().unwrap_or_default(), latency);
            }
        }
        row("all", &self.latency);
        writeln!(
            to,
            "{:<16} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "count", "p50", "p90", "p99", "p99.9", "longest"
        )?;
        to.write_str(&table)?;
        for (code, count) in &self.refused {
            writeln!(to, "not done: {count} times {code}")?;
        }
        if self.unsent > 0 {
            writeln!(to, "not sent: {} found no free connection in time", self.unsent)?;
        }
        if self.ran_out {
            writeln!(to, "ended early: no coupon was left")?;
        }
        if self.used.coupons > 0 {
            writeln!(to, "{} more coupons are used up (--prepared --used)", self.used.coupons)?;
        }
        writeln!(
            to,
            "the sender kept {:.2} processors busy, and was {:.2} ms late at p99{}",
            self.sender.cpu_share,
            self.sender.late_p99_us as f64 / 1_000.0,
            match (self.sender.was_the_bottleneck, self.sender.was_late) {
                (true, _) => ": IT WAS THE BOTTLENECK, the server can do more",
                (false, true) => ": THE MACHINE WAS TOO BUSY to send on time",
                (false, false) => "",
            }
        )?;
        if self.wrong > 0 {
            writeln!(to, "FAILED: {} wrong answers", self.wrong)?;
            for sample in &self.wrong_samples {
                writeln!(to, "  {sample}")?;
            }
        }
        Ok(())
    }
}
