//! Many clients work on a set of coupons and record their requests and answers.
//!
//! Some coupons are *hot* for a while: many clients send requests for the same few. The others are
//! *cold*: most requests find no other request for the coupon.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coupon::time::Millis;

use super::choice::ContestedCoupon;
use super::client::{Dice, at_once};
use super::data::PATIENCE;
use super::history::{Ask, Operation, Told};
use super::services::{Addresses, Caller};
use super::wire::{request, told};

/// Coupons that are hot at the same time.
const HOT: usize = 4;

/// Requests after which other coupons are hot: each got about 200 by then, more than a coupon may
/// have events.
const HOT_FOR: usize = 1_400;

/// Requests for a hot coupon, of a hundred.
const HOT_PERCENT: usize = 60;

/// About how many requests a cold coupon gets.
const COLD_FOR: usize = 25;

/// Pause between two requests of a client when there are enough, and only faults continue.
const THINK: Duration = Duration::from_millis(500);

/// Pause after a request of which nothing came. Without it an outage would fill the history.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// How many coupons this many requests need: hot ones, then cold ones.
pub(super) fn coupons_for(operations: usize) -> usize {
    hot_ones(operations) + (operations * (100 - HOT_PERCENT) / 100).div_ceil(COLD_FOR)
}

fn hot_ones(operations: usize) -> usize {
    operations.div_ceil(HOT_FOR) * HOT
}

/// The progress of the run, shared by the clients and the thread of the faults.
pub(super) struct Pace {
    /// The wanted number of requests with an answer or an unknown outcome.
    pub(super) operations: usize,
    asked: AtomicUsize,
    come_to: AtomicUsize,
    faults_over: AtomicBool,
    given_up: AtomicBool,
    deadline: Instant,
}

impl Pace {
    pub(super) fn new(operations: usize, at_most: Duration) -> Pace {
        Pace {
            operations,
            asked: AtomicUsize::new(0),
            come_to: AtomicUsize::new(0),
            faults_over: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            deadline: Instant::now() + at_most,
        }
    }

    /// The number of the next request, if one more is wanted.
    fn next(&self) -> Option<usize> {
        if self.come_to() >= self.operations {
            if self.faults_over.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(THINK);
        }
        (!self.is_over()).then(|| self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a request with an answer or an unknown outcome.
    fn count(&self) {
        self.come_to.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have an answer or an unknown outcome.
    pub(super) fn come_to(&self) -> usize {
        self.come_to.load(Ordering::Relaxed)
    }

    /// Whether the run is too long, or has failed.
    pub(super) fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// Held by the thread of the faults. When it ends, the clients need not continue for it.
pub(super) struct Faults<'a>(pub(super) &'a Pace);

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        self.0.faults_over.store(true, Ordering::Relaxed);
    }
}

/// Held by every thread of a run. When one fails, the others stop.
pub(super) struct Together<'a>(pub(super) &'a Pace);

impl Drop for Together<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.given_up.store(true, Ordering::Relaxed);
        }
    }
}

/// Everything that the clients need.
pub(super) struct Load<'a> {
    pub(super) clients: usize,
    pub(super) seed: u64,
    pub(super) token: &'a str,
    pub(super) addresses: &'a Addresses,
    pub(super) targets: &'a [ContestedCoupon],
    pub(super) pace: &'a Pace,
    /// When the run began, by the clock of the services.
    pub(super) start: Millis,
    /// The same instant by the clock of the history.
    pub(super) clock: Instant,
}

/// One request, and its coupon.
pub(super) struct Recorded {
    pub(super) target: usize,
    pub(super) operation: Operation,
    /// The status or the problem code, or the obstacle if nothing came.
    pub(super) word: String,
}

impl Load<'_> {
    /// Runs all clients until the pace says that it is enough.
    pub(super) fn run(&self) -> Vec<Recorded> {
        at_once(self.clients, |nth| self.client(nth)).into_iter().flatten().collect()
    }

    fn client(&self, client: usize) -> Vec<Recorded> {
        let _together = Together(self.pace);
        let mut dice = Dice(self.seed.wrapping_mul(1_000).wrapping_add(client as u64));
        let mut recorder = Recorder::new(self, client);
        let mut again: Option<(usize, Ask)> = None;
        while let Some(nth) = self.pace.next() {
            let name = format!("c{client}-{nth}");
            let (target, ask) = again.take().unwrap_or_else(|| {
                let target = self.any_target(&mut dice);
                (target, self.targets[target].choose(&mut dice, &name))
            });
            let through = dice.below(self.addresses.count() as u64) as usize;
            let told = recorder.ask(target, &ask, through);
            match told {
                Told::Nothing => std::thread::sleep(TRY_AGAIN),
                Told::Answer(_) => self.pace.count(),
                Told::Unknown => {
                    self.pace.count();
                    let repeat = dice.below(10) < 7;
                    let ask = repeat.then(|| self.targets[target].repeat(&ask)).flatten();
                    again = ask.map(|ask| (target, ask));
                }
            }
        }
        recorder.recorded
    }

    fn any_target(&self, dice: &mut Dice) -> usize {
        let (nth, hot) = (self.pace.come_to(), hot_ones(self.pace.operations));
        if dice.below(100) < HOT_PERCENT as u64 {
            return (nth / HOT_FOR * HOT + dice.below(HOT as u64) as usize) % hot;
        }
        hot + dice.below((self.targets.len() - hot) as u64) as usize
    }

    /// Reads every coupon with requests, at rest, through one service after the other.
    pub(super) fn read_all(&self, asked: impl Iterator<Item = usize>) -> Vec<Recorded> {
        let mut recorder = Recorder::new(self, self.clients);
        for target in asked {
            let begun = Instant::now();
            for nth in target.. {
                let told = recorder.ask(target, &Ask::Read, nth % self.addresses.count());
                if matches!(told, Told::Answer(_)) {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "no answer at rest: {told:?}");
                std::thread::sleep(TRY_AGAIN);
            }
        }
        recorder.recorded
    }
}

/// One client, which keeps a record.
struct Recorder<'a> {
    load: &'a Load<'a>,
    nth: usize,
    caller: Caller,
    recorded: Vec<Recorded>,
}

impl<'a> Recorder<'a> {
    fn new(load: &'a Load<'a>, nth: usize) -> Recorder<'a> {
        let caller = Caller::new(load.addresses.clone(), load.token);
        Recorder { load, nth, caller, recorded: Vec::new() }
    }

    /// Sends a request, and records it with its answer.
    fn ask(&mut self, target: usize, ask: &Ask, through: usize) -> Told {
        let Load { targets, start, clock, .. } = self.load;
        let request = request(&targets[target].code, ask, *start);
        let invoked = clock.elapsed();
        let heard = self.caller.call(through, &request.path, request.body.as_ref());
        let returned = clock.elapsed();
        let (told, word) = told(heard, *start);
        targets[target].heard(&told);
        let (client, ask) = (self.nth, ask.clone());
        let operation = Operation { client, invoked, returned, ask, told: told.clone() };
        self.recorded.push(Recorded { target, operation, word });
        told
    }
}
