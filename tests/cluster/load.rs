//! Many clients at work on a set of coupons, and the history of what they asked and heard.
//!
//! Some coupons are *hot* for a while: many clients ask for the same few at once. Others are
//! *cold*, so that most requests meet a coupon at rest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coupon::time::Millis;

use super::choice::ContestedCoupon;
use super::client::{Dice, at_once};
use super::data::PATIENCE;
use super::history::{Ask, Operation, Told};
use super::services::{Addresses, Caller};
use super::wire::{request, told};

/// Coupons that are hot at a time.
const HOT: usize = 4;

/// Requests after which others are hot: each of them gets about 200 by then, more than a coupon
/// may have events.
const HOT_FOR: usize = 1_400;

/// Of a hundred requests, those for a hot one.
const HOT_PERCENT: usize = 60;

/// Requests that a cold one gets, about.
const COLD_FOR: usize = 25;

/// Between two requests of a client once there are as many as wanted, and only faults go on.
const THINK: Duration = Duration::from_millis(500);

/// Between a request of which nothing came and the next one: else an outage would be all there is.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// How many coupons so many requests need: hot ones, then cold ones.
pub(super) fn coupons_for(operations: usize) -> usize {
    hot_ones(operations) + (operations * (100 - HOT_PERCENT) / 100).div_ceil(COLD_FOR)
}

fn hot_ones(operations: usize) -> usize {
    operations.div_ceil(HOT_FOR) * HOT
}

/// How far the run has come, between those who ask and who makes the faults.
pub(super) struct Pace {
    /// Requests that shall come to something: an answer, or an unknown outcome.
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

    /// The number of the next request, if there shall be one more.
    fn next(&self) -> Option<usize> {
        if self.come_to() >= self.operations {
            if self.faults_over.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(THINK);
        }
        (!self.is_over()).then(|| self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// One more request has come to something.
    fn count(&self) {
        self.come_to.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have come to something.
    pub(super) fn come_to(&self) -> usize {
        self.come_to.load(Ordering::Relaxed)
    }

    /// Whether the run takes longer than it may, or has failed.
    pub(super) fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// Of the thread that makes the faults: when it ends, the clients need not go on for its sake.
pub(super) struct Faults<'a>(pub(super) &'a Pace);

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        self.0.faults_over.store(true, Ordering::Relaxed);
    }
}

/// Of every thread of a run: when one fails, the others need not go on.
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
    /// The same moment by the clock of the history.
    pub(super) clock: Instant,
}

/// One request and the coupon that it was about.
pub(super) struct Recorded {
    pub(super) target: usize,
    pub(super) operation: Operation,
    /// The status or the problem code; what stood in the way where nothing came.
    pub(super) word: String,
}

impl Load<'_> {
    /// Has all clients ask until the pace says that it is enough.
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

    /// Reads every coupon that was asked for, at rest, through one service after the other.
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

/// One client, who keeps a record.
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

    /// Asks, and writes down what was asked and told.
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
