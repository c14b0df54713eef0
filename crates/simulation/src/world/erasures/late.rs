//! Late writes: a process stops before a write that concerns a person. Another process erases them meanwhile, and the
//! next person of the name asks at once. Then the first process goes on.
//!
//! Callers and operators who act at random hardly ever meet so.

use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker};
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::erasure::Erasure;
use coupon::ids::UserId;
use futures::future::join;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, finds, settles};
use crate::check::history::RecordedAnswer;
use crate::world::SimulatedWorld;
use crate::world::machine::SimulatedMachine;
use crate::world::requests::{CallerRequest, RequestContent, asks, money_of};
use crate::world::rushes::another_machine;
use crate::world::slots::some_machine;
use crate::world::stocked_campaign::user;
use crate::world::stops::ProcessStop;
use simulated_cluster::rng::Rng;

/// For how long the first process stops: longer than an erasure takes.
const STOPPED: Duration = Duration::from_secs(40);

/// When the other process begins, at least and at most: the first one has come to its step by then, mostly.
const AFTER_MS: (u64, u64) = (200, 2_000);

/// Longest time of all of it, as bursts have one.
const LATE_MAX: Duration = Duration::from_secs(300);

/// How often the other process tries to end the erasure.
const TRIES: usize = 4;

/// Writes of a call that gives a person something, each behind a look at the list of who is being erased.
const OF_CALLS: [&str; 3] =
    ["claim: entry is written", "wallet: index row is written", "coupon: row is made"];

/// Writes of an erasure.
const OF_ERASURES: [&str; 4] = [
    "coupon: row is changed",
    "copy or erasure: entry of a claim",
    "erasure: claim is deleted",
    "copy or erasure: index row of a wallet is deleted",
];

/// A process, and its number.
type NumberedMachine = (usize, Arc<SimulatedMachine>);

/// A coupon that a person was given, and the number of its campaign.
type GivenCoupon = (usize, Code);

/// One late write, in the seeds that have them.
pub(crate) async fn writes_late(world: &Arc<SimulatedWorld>, mut rng: Rng) {
    let Some(plan) = world.plan.erasures.as_ref().filter(|plan| plan.writes_late) else { return };
    let person = user(rng.below(plan.persons));
    let first = some_machine(&world.slots, &mut rng).await;
    let late = async {
        match rng.chance(500) {
            true => call_is_late(world, &person, first, &mut rng).await,
            false => erasure_is_late(world, &person, first, &mut rng).await,
        }
    };
    if timeout(LATE_MAX, late).await.is_err() {
        world.trace.reached("a late write took too long");
    }
    sleep(STOPPED).await;
}

async fn call_is_late(
    world: &Arc<SimulatedWorld>,
    person: &UserId,
    first: NumberedMachine,
    rng: &mut Rng,
) {
    let nth = world.scene.some_campaign(rng);
    let Some(request) = wanted(world, rng, nth, person) else { return };
    stops(&first, &OF_CALLS, rng);
    let number = first.0;
    let others = async {
        after_a_while(rng).await;
        let Some((_, other)) = erased_by_another(world, person, number, rng).await else { return };
        asks_for_all(world, rng, person, &other).await;
    };
    join(asks(world, &request, first, 0), others).await;
}

async fn erasure_is_late(
    world: &Arc<SimulatedWorld>,
    person: &UserId,
    first: NumberedMachine,
    rng: &mut Rng,
) {
    let had = asks_for_all(world, rng, person, &first).await;
    let Some(erasure) = opened(world, person, rng) else { return };
    stops(&first, &OF_ERASURES, rng);
    let (number, machine) = first;
    let own = Arc::clone(world);
    // A process that is frozen goes on with it later, whoever waits.
    tokio::spawn(async move { drop(machine.life.alive(finds(&own, &machine, &erasure)).await) });
    after_a_while(rng).await;
    let Some((erasure, other)) = erased_by_another(world, person, number, rng).await else {
        return;
    };
    for coupon in had {
        gives_again(world, &coupon, &erasure, &other).await;
    }
    asks_for_all(world, rng, person, &other).await;
}

fn stops((_, machine): &NumberedMachine, steps: &[&'static str], rng: &mut Rng) {
    let step = *rng.pick(steps);
    machine.life.stop_at_step(step, false, ProcessStop::Freeze(STOPPED));
}

async fn after_a_while(rng: &mut Rng) {
    let (low, high) = AFTER_MS;
    sleep(Duration::from_millis(rng.between(low, high))).await;
}

fn opened(world: &SimulatedWorld, person: &UserId, rng: &mut Rng) -> Option<Erasure> {
    let plan = world.plan.erasures.as_ref()?;
    world.erasures.open(plan, person.clone(), world.trace.at_ms(), rng)
}

/// Another process erases a person, until the next one is admitted; `None` if it cannot.
async fn erased_by_another(
    world: &Arc<SimulatedWorld>,
    person: &UserId,
    than: usize,
    rng: &mut Rng,
) -> Option<(Erasure, NumberedMachine)> {
    let erasure = opened(world, person, rng)?;
    let (number, machine) = another_machine(world, rng, than).await;
    for _ in 0..TRIES {
        // A process that is stopped in good order meanwhile never answers.
        let settled = timeout(PATIENCE, machine.life.alive(settles(world, &machine))).await;
        if let Ok(Some(Ok(()))) = settled {
            world.trace.reached("erasure: ended while a process that concerns it was stopped");
            return Some((erasure, (number, machine)));
        }
    }
    None
}

/// A person asks for a coupon of each campaign; returns what they have then.
async fn asks_for_all(
    world: &SimulatedWorld,
    rng: &mut Rng,
    person: &UserId,
    machine: &NumberedMachine,
) -> Vec<GivenCoupon> {
    let mut given = Vec::new();
    for nth in 0..world.scene.stocked.len() {
        let Some(request) = wanted(world, rng, nth, person) else { continue };
        let told = asks(world, &request, machine.clone(), 0).await;
        if let Some(RecordedAnswer::Applied(applied)) = told
            && let Some(snapshot) = applied.snapshot
            && snapshot.coupon.holder() == Some(person)
        {
            given.push((nth, snapshot.coupon.code().clone()));
        }
    }
    given
}

/// By what a person gets a coupon of a campaign; `None` if nobody knows of one.
fn wanted(
    world: &SimulatedWorld,
    rng: &mut Rng,
    nth: usize,
    person: &UserId,
) -> Option<CallerRequest> {
    let by = person.clone();
    let content = match world.scene.stocked[nth].campaign.handout {
        Handout::Shared => {
            let order = world.scene.some_order(rng, None);
            let money = money_of(&order);
            RequestContent::Shared { nth, action: Action::Redeem { by, order, money } }
        }
        Handout::Bearer => {
            let codes = world.scene.codes().into_iter().filter(|(of, _)| *of == nth);
            let codes: Vec<Code> = codes.map(|(_, code)| code).collect();
            let code = (!codes.is_empty()).then(|| rng.pick(&codes).clone())?;
            issue_of(nth, &code, by)
        }
        Handout::Shop | Handout::SelfService => {
            RequestContent::Issue { nth, to: by, reference: None }
        }
    };
    Some((content, Asker::Shop))
}

/// A shop takes a coupon from a person who was erased, and gives it to the next one of the name.
async fn gives_again(
    world: &SimulatedWorld,
    (nth, code): &GivenCoupon,
    erasure: &Erasure,
    machine: &NumberedMachine,
) {
    let user = erasure.name.clone();
    let action = Action::Revoke { user, reference: None, reason: None };
    let revoke = RequestContent::Named { code: code.clone(), nth: *nth, action, if_version: None };
    let issue = issue_of(*nth, code, erasure.user.clone());
    for content in [revoke, issue] {
        let _ = asks(world, &(content, Asker::Shop), machine.clone(), 0).await;
    }
}

fn issue_of(nth: usize, code: &Code, to: UserId) -> RequestContent {
    let action = Action::Issue { to, reference: None, expires_at: None };
    RequestContent::Named { code: code.clone(), nth, action, if_version: None }
}
