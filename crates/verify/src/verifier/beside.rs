//! Several partitions at a time: each thread is a run of its own over the partitions that it takes, and
//! what they have read and found is added up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use coupon::time::Day;
use tokio::runtime::Handle;

use super::report::{VerifyProgress, VerifyReport, VerifyStep};
use super::{ColdIs, FindingSink, OfferedSerials, TOLD_MAX, Verifier, VerifyError};
use crate::finding::{Finding, FindingKind};

impl<'a> Verifier<'a> {
    pub(super) async fn days_beside(
        &mut self,
        jobs: usize,
        next: &tokio::sync::Mutex<Day>,
    ) -> Result<(), VerifyError> {
        let told =
            Mutex::new((std::mem::replace(&mut self.tell, Box::new(|_| {})), BTreeMap::new()));
        let steps = Mutex::new(vec![VerifyProgress::default(); jobs]);
        let (before, said, steps) = (self.report.looked_at(), &self.progress, &steps);
        let runs: Vec<Verifier<'_>> = (0..jobs)
            .map(|nth| {
                let progress = move |step| said(sum(steps, before, nth, step));
                self.beside(Box::new(|finding| tell(&told, finding)), Box::new(progress))
            })
            .collect();
        let runtime = Handle::current();
        // The threads wait for reads; this one waits for them.
        let ended: Vec<Result<PartialReport, VerifyError>> = tokio::task::block_in_place(|| {
            thread::scope(|scope| {
                let threads: Vec<_> = runs
                    .into_iter()
                    .map(|run| {
                        let runtime = runtime.clone();
                        scope.spawn(move || runtime.block_on(run.part(next)))
                    })
                    .collect();
                let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                threads.into_iter().map(join).collect()
            })
        });
        let (tell, _) = told.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.tell = tell;
        for part in ended {
            self.take_in(part?);
        }
        Ok(())
    }

    /// A run over the same stores that has read and found nothing yet.
    fn beside<'b>(
        &'b self,
        tell: FindingSink<'b>,
        progress: Box<dyn Fn(VerifyProgress) + Send + Sync + 'b>,
    ) -> Verifier<'b> {
        let Verifier { hot, cold, keys, now, .. } = *self;
        let offered = self.offered.iter();
        let offered = offered.map(|(run, it)| (*run, OfferedSerials { below: it.below, seen: 0 }));
        Verifier {
            catalog: self.catalog.clone(),
            balance: self.balance.clone(),
            cold_is: self.cold_is,
            offered: offered.collect(),
            found_before: self.report.findings.keys().copied().collect(),
            ..Verifier::new(hot, cold, keys, now, self.options.clone(), tell, progress)
        }
    }

    async fn part(mut self, next: &tokio::sync::Mutex<Day>) -> Result<PartialReport, VerifyError> {
        self.days(next).await?;
        self.look_again().await?;
        let Verifier { report, cold_is, cold_states, hot_states, offered, followed, .. } = self;
        Ok(PartialReport { report, cold_is, cold_states, hot_states, offered, followed })
    }

    fn take_in(&mut self, part: PartialReport) {
        self.report.add(part.report);
        self.followed += part.followed;
        self.cold_is = match (self.cold_is, part.cold_is) {
            (ColdIs::Damaged, _) | (_, ColdIs::Damaged) => ColdIs::Damaged,
            (ColdIs::Whole, _) | (_, ColdIs::Whole) => ColdIs::Whole,
            (ColdIs::Unused, ColdIs::Unused) => ColdIs::Unused,
        };
        for (sums, more) in
            [(&mut self.cold_states, part.cold_states), (&mut self.hot_states, part.hot_states)]
        {
            for (campaign, counts) in more {
                let sum = sums.entry(campaign).or_default();
                (0..sum.len()).for_each(|at| sum[at] += counts[at]);
            }
        }
        for (run, offered) in part.offered {
            if let Some(sum) = self.offered.get_mut(&run) {
                sum.seen += offered.seen;
            }
        }
    }
}

struct PartialReport {
    report: VerifyReport,
    cold_is: ColdIs,
    cold_states: super::StateTotals,
    hot_states: super::StateTotals,
    offered: super::OfferedRuns,
    followed: u64,
}

/// Tells a finding, if there are not too many of its kind in all runs together.
fn tell(told: &Mutex<(FindingSink<'_>, BTreeMap<FindingKind, u64>)>, finding: &Finding) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let count = told.1.entry(finding.kind).or_default();
    *count += 1;
    if *count <= TOLD_MAX {
        (told.0)(finding);
    }
}

/// The progress of all runs, after that of the run `nth`.
fn sum(
    steps: &Mutex<Vec<VerifyProgress>>,
    before: u64,
    nth: usize,
    step: VerifyProgress,
) -> VerifyProgress {
    let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(mine) = steps.get_mut(nth) {
        *mine = step;
    }
    VerifyProgress {
        step: VerifyStep::Coupons,
        looked_at: before + steps.iter().map(|step| step.looked_at).sum::<u64>(),
        findings: steps.iter().map(|step| step.findings).sum(),
    }
}
