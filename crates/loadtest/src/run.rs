//! One run: senders in parallel, and the sum of their counts.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::answer_counts::AnswerCounts;
use crate::plan::RunPlan;
use crate::report::{LoadReport, SenderUsage, StockUsage};
use crate::scenario::{IssuedCodes, SenderBook};
use crate::worker::{SendPace, SenderResult, SenderWork, work};

/// Time for the senders to open their connections.
const OPENING: Duration = Duration::from_millis(300);

/// If the sender used at least this share of its threads' time, it was the bottleneck.
const BUSY: f64 = 0.9;

/// If requests were sent later than this at the 99th percentile, the times are those of the
/// machine, not of the server.
const LATE_MAX_US: u64 = 1_000;

/// Runs the plan until its end and the last answer.
///
/// # Errors
/// Nobody listens; no threads, no descriptors.
pub fn run(plan: &RunPlan) -> io::Result<LoadReport> {
    let senders = plan.senders.clamp(1, plan.connections.max(1));
    let (ground, target) = (Arc::new(plan.ground.clone()), Arc::new(plan.target.clone()));
    let begin = Instant::now() + OPENING;
    let end = begin + plan.time;
    let cpu = cpu_time();
    let works = (0..senders).map(|sender| SenderWork {
        target: Arc::clone(&target),
        book: SenderBook::new(
            Arc::clone(&ground),
            Arc::clone(&target),
            plan.scenario,
            sender,
            senders,
        ),
        batch: plan.batch,
        connections: share(plan.connections, sender, senders),
        pace: match &plan.schedule {
            Some(schedule) => SendPace::Open(schedule.share(sender, senders)),
            None => SendPace::Closed,
        },
        begin,
        end,
        patience: plan.patience,
        counts: AnswerCounts::new(begin, begin + plan.warm_up, end),
    });
    let threads: Vec<_> = works.map(|it| std::thread::spawn(move || work(it))).collect();
    let mut counts = AnswerCounts::new(begin, begin + plan.warm_up, end);
    let (mut given, mut taken) = (IssuedCodes::default(), 0);
    for thread in threads {
        let ended = thread.join().map_err(|_| io::Error::other("a sender panicked"))?;
        let SenderResult { counts: of_sender, book } = ended?;
        counts.add(of_sender);
        // Senders take turns with the coupons, so the one that took most tells how many are used.
        taken = (book.coupons * senders as u64).max(taken);
        if let Some(wrong) = given.add(book.given) {
            counts.note_wrong(wrong);
        }
    }
    if let Some(wrong) = given.wrong(plan.ground.stock).filter(|_| plan.ground.checked) {
        counts.note_wrong(wrong);
    }
    let wall = begin.elapsed().as_secs_f64();
    let cpu_share = (cpu_time() - cpu).as_secs_f64() / wall;
    let late_p99_us = counts.lateness.value_at_quantile(0.99);
    let sender = SenderUsage {
        threads: senders,
        cpu_share,
        late_p99_us,
        was_the_bottleneck: cpu_share > BUSY * senders as f64,
        was_late: late_p99_us > LATE_MAX_US,
    };
    let used = StockUsage { coupons: taken, stock: given.codes.len() as u64 };
    Ok(LoadReport::new(plan, &counts, used, sender))
}

fn share(all: usize, nth: usize, of: usize) -> usize {
    all / of + usize::from(nth < all % of)
}

/// The processor time that this process used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
