//! Erasures: operators let people be forgotten while callers go on to ask in their names.
//!
//! The list of erasures is a fact of the store in the product, which the engine changes; here it is the memory of the
//! seed. What the engine does with it is written a second time in [`settles`]: change both.
//!
//! In these seeds nothing is moved to cold, which knows of erasures by itself.

mod accounts;
mod ending;
mod late;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::erasure::{Erasure, erased_name};
use coupon::ids::UserId;
use hot::audit::Act;
use hot::{HotError, HotStore, ImportLine};
use tokio::time::{sleep, timeout};

use super::SimulatedWorld;
use super::machine::SimulatedMachine;
use super::plan::ErasurePlan;
use super::slots::some_machine;
use super::stocked_campaign::user;
use super::stops::ProcessStop;
use crate::check::erasures::KnownErasure;
pub(crate) use ending::ends;
pub(crate) use late::writes_late;
use simulated_cluster::rng::Rng;

/// Longest pause of an operator. An erasure takes some seconds.
const PAUSE_MS: u64 = 6_000;

/// An operator asks another process after this time. The first one goes on all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often of 1,000 times a process that erases somebody is stopped before or after one of its next writes.
const STOPPED: u32 = 400;

/// Such a write comes within so many.
const STEPS_AHEAD: u64 = 12;

/// How often of 1,000 times somebody signs up before somebody is erased.
const SIGNS_UP: u32 = 300;

/// One erasure that is under way, or was.
#[derive(Clone, Debug)]
struct ErasureState {
    known: KnownErasure,
    is_settled: bool,
}

/// The erasures of a seed, by number.
#[derive(Default)]
pub(crate) struct ErasureLog {
    all: Mutex<Vec<ErasureState>>,
    sign_ups: accounts::SignUpLog,
}

impl ErasureLog {
    /// Opens an erasure of a person, or finds the one that is under way; `None` if there were enough.
    fn open(&self, plan: &ErasurePlan, user: UserId, at_ms: u64, rng: &mut Rng) -> Option<Erasure> {
        self.with(|log| {
            let open = log.iter().find(|it| !it.is_settled && it.known.erasure.user == user);
            if let Some(open) = open {
                return Some(open.known.erasure.clone());
            }
            let number = log.len() as u64 + 1;
            if number > plan.most {
                return None;
            }
            Some(opened(log, user, at_ms, rng.u64()))
        })
    }

    pub(crate) fn known(&self) -> Vec<KnownErasure> {
        self.with(|log| log.iter().map(|it| it.known.clone()).collect())
    }

    /// Those that are not done.
    fn unfinished(&self) -> Vec<ErasureState> {
        self.with(|log| log.iter().filter(|it| it.known.admitted_ms.is_none()).cloned().collect())
    }

    fn note(&self, number: u64, note: impl Fn(&mut ErasureState)) {
        self.with(|log| {
            log.iter_mut().filter(|it| it.known.erasure.number == number).for_each(note);
        });
    }

    /// A file without the lines of persons who were erased, which the engine rejects.
    pub(crate) fn without_erased(&self, file: &[ImportLine]) -> Vec<ImportLine> {
        let erased: Vec<UserId> = self.known().into_iter().map(|it| it.erasure.user).collect();
        let is_of = |line: &&ImportLine| {
            line.imported_state.holder().is_none_or(|user| !erased.contains(user))
        };
        file.iter().filter(is_of).cloned().collect()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<ErasureState>) -> T) -> T {
        work(&mut self.all.lock().expect("no holder panics"))
    }
}

fn opened(log: &mut Vec<ErasureState>, user: UserId, began_ms: u64, random: u64) -> Erasure {
    let erasure = Erasure { number: log.len() as u64 + 1, user, name: erased_name(random) };
    let known = KnownErasure {
        erasure: erasure.clone(),
        began_ms,
        found_ms: None,
        admitting_ms: None,
        admitted_ms: None,
    };
    log.push(ErasureState { known, is_settled: false });
    erasure
}

/// All operators of a seed. Never ends.
pub(crate) async fn erases(world: Arc<SimulatedWorld>, rng: Rng) {
    let Some(plan) = &world.plan.erasures else { return std::future::pending().await };
    let operators = (0..plan.operators).map(|number| {
        let (world, rng) = (Arc::clone(&world), rng.fork(&format!("operator {number}")));
        operates(world, plan, rng)
    });
    futures::future::join_all(operators).await;
}

async fn operates(world: Arc<SimulatedWorld>, plan: &ErasurePlan, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.below(PAUSE_MS))).await;
        let (_, machine) = some_machine(&world.slots, &mut rng).await;
        let person = user(rng.below(plan.persons));
        if rng.chance(SIGNS_UP) {
            accounts::signs_up(&world, &machine, &person).await;
        }
        stops(&world, &machine, &mut rng);
        let world = Arc::clone(&world);
        // A process that is frozen goes on with it later, whoever waits.
        let call = if rng.chance(400) {
            let at_ms = world.trace.at_ms();
            let Some(erasure) = world.erasures.open(plan, person, at_ms, &mut rng) else {
                continue;
            };
            tokio::spawn(async move {
                drop(machine.life.alive(finds(&world, &machine, &erasure)).await);
            })
        } else {
            tokio::spawn(async move {
                drop(machine.life.alive(settles(&world, &machine)).await);
            })
        };
        let _ = timeout(PATIENCE, call).await;
    }
}

/// Stops processes between the steps of an erasure, in the seeds that stop them at steps.
fn stops(world: &SimulatedWorld, machine: &SimulatedMachine, rng: &mut Rng) {
    let faults = &world.plan.faults;
    if faults.stopped_at_step > 0 && rng.chance(STOPPED) {
        let long = Duration::from_millis(rng.between(1, faults.freeze_ms));
        let stop = if rng.chance(500) { ProcessStop::Kill } else { ProcessStop::Freeze(long) };
        machine.life.stop_at(rng.below(STEPS_AHEAD), rng.chance(500), stop);
    }
}

async fn finds(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    erasure: &Erasure,
) -> Result<(), HotError> {
    let people = machine.hot.people();
    let (name, number) = (machine.life.process.name(), erasure.number);
    world.trace.say(name, format!("erasure {number}: finds {}", erasure.user));
    let found = people.erase(erasure).await;
    world.trace.say(name, format!("erasure {number}: is found: {found:?}"));
    found?;
    let at_ms = world.trace.at_ms();
    world.erasures.note(number, |it| {
        it.known.found_ms.get_or_insert(at_ms);
    });
    Ok(())
}

/// As `Engine::settle_erasures`.
async fn settles(world: &SimulatedWorld, machine: &SimulatedMachine) -> Result<(), HotError> {
    let people = machine.hot.people();
    let log = world.erasures.unfinished();
    for state in log.iter().filter(|it| it.known.found_ms.is_none()) {
        finds(world, machine, &state.known.erasure).await?;
    }
    let unsettled = log.iter().filter(|it| !it.is_settled);
    let unsettled: Vec<Erasure> = unsettled.map(|it| it.known.erasure.clone()).collect();
    let name = machine.life.process.name();
    if !unsettled.is_empty() {
        let settled = people.settle(&unsettled).await;
        world.trace.say(name, format!("{} erasures are settled: {settled:?}", unsettled.len()));
        settled?;
        for erasure in &unsettled {
            world.erasures.note(erasure.number, |it| it.is_settled = true);
        }
    }
    for state in &log {
        let (number, at_ms) = (state.known.erasure.number, world.trace.at_ms());
        world.erasures.note(number, |it| {
            it.known.admitting_ms.get_or_insert(at_ms);
        });
        let act = Act::of_system("simulation", machine.now());
        let admitted = people.admit(&state.known.erasure, &act).await;
        world.trace.say(name, format!("erasure {number}: the next is admitted: {admitted:?}"));
        admitted?;
        let at_ms = world.trace.at_ms();
        world.erasures.note(number, |it| {
            it.known.admitted_ms.get_or_insert(at_ms);
        });
        world.trace.reached("erasure: the next person is admitted");
    }
    Ok(())
}
