//! Rushes: rows of requests that meet, which callers who ask at random hardly ever send.
//!
//! What must not happen in them needs several processes that are each between two of their steps. So
//! the last requests of a rush begin together, at processes of their own.

use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker};
use coupon::calendar::Zone;
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::ids::{OrderRef, UserId};
use coupon::time::Millis;
use futures::future::{join, join_all};
use tokio::time::sleep;

use super::machine::SimulatedMachine;
use super::requests::{CallerRequest, RequestContent, asks, money_of};
use super::slots::{ProcessSlot, some_machine};
use super::stops::{CLOSING, ProcessStop};
use super::{SimulatedWorld, orders};
use simulated_cluster::rng::Rng;

/// How often of 1,000 times a rush is about orders of several coupons.
const OF_ORDERS: u32 = 400;

/// Orders of rushes, besides those of the callers.
const ORDERS: u64 = 40;

/// By how much the requests of one step differ in their beginning, at most.
const APART_MS: [u64; 4] = [0, 8, 60, 600];

/// How long a hold of a rush lasts.
const HELD_MS: i64 = 600_000;

/// Coupons that are extended late at a time.
const LATE_MAX: usize = 3;

/// Within which time they are; and when a run is about to close their new day.
const LATE_MS: u64 = 20_000;
const CLOSING_MS: u64 = 1_000;

/// For how long that run is frozen.
const CLOSING_FROZEN: Duration = Duration::from_secs(3);

/// The step in which a coupon leaves its partition, and for how long a process is frozen before the
/// next one, in which it enters another.
const FORWARDS: &str = "coupon: row forwards";
const FORWARDED_FROZEN: Duration = Duration::from_secs(30);

/// How soon a process is frozen after it was asked, at most, and for how long.
const FROZEN_AFTER_MS: u64 = 25;
const FROZEN: Duration = Duration::from_secs(4);

/// A rush: one step after the other. The requests of a step begin together.
type RushSteps = Vec<Vec<CallerRequest>>;

/// Asks for one rush and waits for its end.
pub(super) async fn rush(world: &Arc<SimulatedWorld>, rng: &mut Rng) {
    let now = some_machine(&world.slots, rng).await.1.now();
    let until = now.plus_ms(HELD_MS);
    if rng.chance(OF_ORDERS) {
        let Some(requests) = orders::meeting(world, rng, now) else { return };
        return match world.plan.faults.process_frozen > 0 && rng.chance(500) {
            true => with_one_frozen(world, rng, &requests).await,
            false => at_once(world, rng, requests).await,
        };
    }
    // With a limit of one nobody has a second coupon to choose.
    let is_choice = |nth: &usize| {
        let campaign = &world.scene.stocked[*nth].campaign;
        campaign.handout == Handout::Shared && campaign.per_user_limit != Some(1)
    };
    let choices: Vec<usize> = (0..world.scene.stocked.len()).filter(is_choice).collect();
    let rush = match !choices.is_empty() && rng.chance(700) {
        true => {
            let nth = *rng.pick(&choices);
            let rush = one_order_twice(world, rng, nth, until);
            if let Some([before @ .., last]) = rush.as_deref()
                && world.plan.faults.process_frozen > 0
                && rng.chance(500)
            {
                for request in before.iter().flatten() {
                    let machine = some_machine(&world.slots, rng).await;
                    let _ = asks(world, request, machine, 0).await;
                }
                return with_one_frozen(world, rng, last).await;
            }
            rush
        }
        false => replaced_twice(world, rng),
    };
    for step in rush.unwrap_or_default() {
        at_once(world, rng, step).await;
    }
}

async fn at_once(world: &SimulatedWorld, rng: &mut Rng, step: Vec<CallerRequest>) {
    let apart = *rng.pick(&APART_MS);
    let mut all = Vec::new();
    for request in step {
        let (machine, later) = (some_machine(&world.slots, rng).await, rng.below(apart + 1));
        all.push((request, machine, later));
    }
    together(world, all).await;
}

/// Asks one process for the first request and freezes it meanwhile; then asks for the others, one
/// after the other. When it goes on, it makes the writes that it had decided on before.
async fn with_one_frozen(world: &SimulatedWorld, rng: &mut Rng, requests: &[CallerRequest]) {
    let Some((first, others)) = requests.split_first() else { return };
    let (number, machine) = some_machine(&world.slots, rng).await;
    let after = Duration::from_millis(rng.below(FROZEN_AFTER_MS));
    let life = Arc::clone(&machine.life);
    let frozen = async {
        sleep(after).await;
        world.trace.fault("process frozen");
        life.stop(ProcessStop::Freeze(FROZEN));
        for request in others {
            let machine = another_machine(world, rng, number).await;
            let _ = asks(world, request, machine, 1).await;
        }
    };
    join(asks(world, first, (number, machine), 0), frozen).await;
}

/// Another process than this one, if one runs.
pub(super) async fn another_machine(
    world: &SimulatedWorld,
    rng: &mut Rng,
    than: usize,
) -> (usize, Arc<SimulatedMachine>) {
    let others: Vec<_> = world
        .slots
        .iter()
        .filter(|slot| slot.number != than)
        .filter_map(|slot| slot.machine().map(|machine| (slot.number, machine)))
        .collect();
    match others.is_empty() {
        true => some_machine(&world.slots, rng).await,
        false => rng.pick(&others).clone(),
    }
}

async fn together(
    world: &SimulatedWorld,
    all: Vec<(CallerRequest, (usize, Arc<SimulatedMachine>), u64)>,
) {
    let calls = all.iter().map(|(request, machine, later)| {
        let machine = (machine.0, Arc::clone(&machine.1));
        asks(world, request, machine, *later)
    });
    join_all(calls).await;
}

/// Extends coupons to days that a run is about to close, and freezes the run meanwhile. Never ends.
pub(super) async fn meets_closings(world: Arc<SimulatedWorld>, mut rng: Rng) {
    loop {
        let (freezes, moves_late) = (rng.chance(700), rng.chance(500));
        for machine in world.slots.iter().filter_map(ProcessSlot::machine) {
            if freezes {
                machine.life.stop_at_step(CLOSING, false, ProcessStop::Freeze(CLOSING_FROZEN));
            }
            if moves_late {
                machine.life.stop_at_step(FORWARDS, true, ProcessStop::Freeze(FORWARDED_FROZEN));
            }
        }
        world.site.closings.notified().await;
        late(&world, &mut rng, CLOSING_MS).await;
    }
}

/// Extends coupons to a day that is over, and that another campaign with other terms had for itself
/// so far: a run may be closing it.
pub(super) async fn extend_late(world: &SimulatedWorld, rng: &mut Rng) {
    late(world, rng, LATE_MS).await;
}

async fn late(world: &SimulatedWorld, rng: &mut Rng, within_ms: u64) {
    let now = some_machine(&world.slots, rng).await.1.now();
    let campaigns = || world.scene.stocked.iter().map(|stocked| &stocked.campaign).enumerate();
    let mut all = Vec::new();
    for (nth, campaign) in campaigns() {
        let last = campaign.expires_at.plus_days(campaign.extend_days);
        let days = campaigns().map(|(_, other)| other.expires_at);
        for expires_at in days.filter(|it| *it < now && *it > campaign.expires_at && now < last) {
            all.push((nth, expires_at));
        }
    }
    if all.is_empty() {
        return;
    }
    let (nth, expires_at) = *rng.pick(&all);
    let mut codes: Vec<Code> =
        world.scene.codes().into_iter().filter(|(of, _)| *of == nth).map(|(_, it)| it).collect();
    rng.shuffle(&mut codes);
    let mut step = Vec::new();
    for code in codes.into_iter().take(LATE_MAX) {
        let action = Action::Extend { expires_at, zone: Zone::utc(), reason: None };
        let request = (RequestContent::Named { code, nth, action, if_version: None }, Asker::Shop);
        let (machine, later) = (some_machine(&world.slots, rng).await, rng.below(within_ms));
        step.push((request, machine, later));
    }
    together(world, step).await;
}

/// A user has two coupons behind a shared code, one of them held for another order. Two tries of one
/// order come while that is released: to each another coupon may be the first one that it can take.
fn one_order_twice(
    world: &SimulatedWorld,
    rng: &mut Rng,
    nth: usize,
    until: Millis,
) -> Option<RushSteps> {
    let user = world.scene.some_user(rng, None);
    let (first, second, own) = (some_order(rng), some_order(rng), some_order(rng));
    let hold = |order: &OrderRef| {
        let (by, order, money) = (user.clone(), order.clone(), money_of(order));
        Action::Hold { by, order, until, money }
    };
    let release = |order: &OrderRef| Action::Release { order: order.clone() };
    let redeem = || Action::Redeem { by: user.clone(), order: own.clone(), money: money_of(&own) };
    let asks = |action| (RequestContent::Shared { nth, action }, Asker::User(user.clone()));
    let last = vec![asks(redeem()), asks(release(&first)), asks(redeem())];
    let steps = vec![
        vec![asks(hold(&first))],
        vec![asks(hold(&second))],
        vec![asks(release(&second))],
        last,
    ];
    (first != second && first != own && second != own).then_some(steps)
}

/// A void coupon, whose holder asks for others in its place: under names that mean the same, and in each campaign.
fn replaced_twice(world: &SimulatedWorld, rng: &mut Rng) -> Option<RushSteps> {
    let scene = &world.scene;
    let void = scene.some_void(rng).filter(|_| rng.chance(300));
    let (steps, (nth, code, user)) = match void {
        Some(void) => (Vec::new(), void),
        None => {
            let held = scene.some_held(rng)?;
            let action = Action::Void { reason: "a misprint".parse().ok() };
            let (code, nth) = (held.1.clone(), held.0);
            let wanted = RequestContent::Named { code, nth, action, if_version: None };
            (vec![vec![(wanted, Asker::Shop)]], held)
        }
    };
    let count = rng.between(2, 3);
    let all = (0..count).map(|_| {
        let nth = if rng.chance(600) { nth } else { scene.some_campaign(rng) };
        (replacement(rng, nth, &code, &user), Asker::Shop)
    });
    let all = all.collect();
    Some(steps.into_iter().chain([all]).collect())
}

/// An issue in the place of a coupon, whose code is written in some way.
fn replacement(rng: &mut Rng, nth: usize, code: &Code, user: &UserId) -> RequestContent {
    let text = match rng.below(3) {
        0 => code.as_str().to_lowercase(),
        1 => code.as_str().chars().flat_map(|it| ['-', it]).skip(1).collect(),
        _ => code.to_string(),
    };
    RequestContent::Issue {
        nth,
        to: user.clone(),
        reference: format!("replaces:{text}").parse().ok(),
    }
}

fn some_order(rng: &mut Rng) -> OrderRef {
    format!("급{}", rng.below(ORDERS)).parse().expect("a short word is a name")
}
