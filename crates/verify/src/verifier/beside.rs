//! Several partitions at a time: each thread is a run of its own over the partitions that it takes, and
//! what they have read and found is added up.

use std::sync::Arc;
use std::thread;

use coupon::time::Day;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::report::{VerifyProgress, VerifyStep};
use super::{OfferedSerials, Result, Verifier};

impl<'a> Verifier<'a> {
    pub(super) async fn days_beside(
        &mut self,
        jobs: usize,
        next: &tokio::sync::Mutex<Day>,
    ) -> Result<()> {
        let steps = Arc::new(Mutex::new(vec![VerifyProgress::default(); jobs]));
        let before = self.report.looked_at();
        let runs = (0..jobs).map(|nth| {
            let (progress, steps) = (Arc::clone(&self.progress), Arc::clone(&steps));
            self.beside(Box::new(move |step| progress(sum(&steps, before, nth, step))))
        });
        let runs: Vec<Verifier<'a>> = runs.collect();
        let runtime = Handle::current();
        // The threads wait for reads; this one waits for them.
        let ended: Vec<Result<Verifier<'a>>> = tokio::task::block_in_place(|| {
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
        for part in ended {
            self.take_in(part?);
        }
        Ok(())
    }

    /// A run over the same stores that has read and found nothing yet.
    fn beside(&self, progress: Box<dyn Fn(VerifyProgress) + Send + Sync + 'a>) -> Verifier<'a> {
        let Verifier { hot, cold, keys, now, .. } = *self;
        let offered = self.offered.iter();
        let offered = offered.map(|(run, it)| (*run, OfferedSerials { below: it.below, seen: 0 }));
        let untold = Box::new(|_: &_| {});
        Verifier {
            teller: Arc::clone(&self.teller),
            catalog: self.catalog.clone(),
            balance: self.balance.clone(),
            cold_is: self.cold_is,
            offered: offered.collect(),
            deleted: self.deleted.clone(),
            found_before: self.report.findings.keys().copied().collect(),
            ..Verifier::new(hot, cold, keys, now, self.options.clone(), untold, progress)
        }
    }

    async fn part(mut self, next: &tokio::sync::Mutex<Day>) -> Result<Verifier<'a>> {
        self.days(next).await?;
        self.look_again().await?;
        Ok(self)
    }

    fn take_in(&mut self, part: Verifier<'_>) {
        self.report.add(part.report);
        self.followed += part.followed;
        self.cold_is = self.cold_is.max(part.cold_is);
        for (sums, more) in
            [(&mut self.cold_states, part.cold_states), (&mut self.hot_states, part.hot_states)]
        {
            for (campaign, counts) in more {
                let sum = sums.entry(campaign).or_default();
                (0..sum.len()).for_each(|at| sum[at] += counts[at]);
            }
        }
        for (campaign, sums) in part.redeemed_worth {
            self.redeemed_worth.entry(campaign).or_default().add(&sums);
        }
        for (run, offered) in part.offered {
            if let Some(sum) = self.offered.get_mut(&run) {
                sum.seen += offered.seen;
            }
        }
    }
}

/// The progress of all runs, after that of the run `nth`.
fn sum(
    steps: &Mutex<Vec<VerifyProgress>>,
    before: u64,
    nth: usize,
    step: VerifyProgress,
) -> VerifyProgress {
    let mut steps = steps.lock();
    if let Some(mine) = steps.get_mut(nth) {
        *mine = step;
    }
    VerifyProgress {
        step: VerifyStep::Coupons,
        looked_at: before + steps.iter().map(|step| step.looked_at).sum::<u64>(),
        findings: steps.iter().map(|step| step.findings).sum(),
    }
}
