//! Orders of several coupons, which are redeemed together, and what becomes of half an order.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::apply::{Action, Asker};
use coupon::code::Code;
use coupon::ids::{OperationId, OrderRef};
use coupon::time::Millis;
use hot::{CouponSnapshot, Coupons, HotError};

use super::SimulatedWorld;
use super::calls::coupon_of;
use super::machine::SimulatedMachine;
use super::requests::{CallerRequest, RequestContent, asks, money_of};
use super::scene::SceneOrder;
use crate::check::history::{RecordedAnswer, RecordedRequest};
use simulated_cluster::rng::Rng;

/// How often of 1,000 times an order is one that was asked for before.
const KNOWN: u32 = 400;

/// What is asked of all coupons of an order.
#[derive(Clone, Copy)]
enum OrderCall {
    Redeem,
    Hold,
    GiveBack,
}

/// An order of a caller.
pub(super) fn drawn(world: &SimulatedWorld, rng: &mut Rng, now: Millis) -> Option<CallerRequest> {
    let known = if rng.chance(KNOWN) { world.scene.known_order(rng) } else { None };
    let call = match rng.below(100) {
        0..30 if known.is_some() => OrderCall::GiveBack,
        0..15 => OrderCall::Hold,
        _ => OrderCall::Redeem,
    };
    let order = known.or_else(|| world.scene.new_order(rng))?;
    Some(request(world, rng, order, call, now))
}

/// Calls that meet: an order is redeemed, and meanwhile given back or redeemed again, and another one wants its coupons.
pub(super) fn meeting(
    world: &SimulatedWorld,
    rng: &mut Rng,
    now: Millis,
) -> Option<Vec<CallerRequest>> {
    let order = world.scene.new_order(rng)?;
    let mut all = vec![request(world, rng, order.clone(), OrderCall::Redeem, now)];
    for _ in 0..rng.between(1, 3) {
        let (_, user, mut codes) = order.clone();
        rng.shuffle(&mut codes);
        let (order, call) = match rng.below(4) {
            0 => (world.scene.orders_all(user, codes), OrderCall::Redeem),
            1 => ((order.0.clone(), user, codes), OrderCall::Redeem),
            // In the sequence in which it is redeemed.
            _ => (order.clone(), OrderCall::GiveBack),
        };
        all.push(request(world, rng, order, call, now));
    }
    Some(all)
}

/// What is given back is a guess: the last coupons are released, then the others cancelled.
fn request(
    world: &SimulatedWorld,
    rng: &mut Rng,
    (order, by, mut codes): SceneOrder,
    call: OrderCall,
    now: Millis,
) -> CallerRequest {
    for code in &codes {
        world.scene.ordered(code, &order);
    }
    let money = money_of(&order);
    let until = now.plus_ms(i64::try_from(rng.between(1_000, 900_000)).unwrap_or(1_000));
    let released = match rng.below(3) {
        0 => 0,
        1 => codes.len(),
        _ => usize::try_from(rng.below(codes.len() as u64)).unwrap_or(0),
    };
    let asks_user = matches!(call, OrderCall::GiveBack) && rng.chance(500);
    let asker = if asks_user { Asker::User(by.clone()) } else { Asker::Shop };
    if let OrderCall::GiveBack = call {
        codes.rotate_right(released);
    }
    let action = |(nth, code)| {
        let (by, order) = (by.clone(), order.clone());
        let action = match call {
            OrderCall::Redeem => Action::Redeem { by, order, money },
            OrderCall::Hold => Action::Hold { by, order, until, money },
            OrderCall::GiveBack if nth < released => Action::Release { order },
            OrderCall::GiveBack => Action::CancelRedemption { order, reason: None },
        };
        (code, action)
    };
    let actions = codes.into_iter().enumerate().map(action).collect();
    (RequestContent::Order { order, actions }, asker)
}

/// Of half an order, what its calls have redeemed, and what is missing.
type HalfOrder = (Vec<Code>, Vec<Code>);

/// Repeats each order that nobody knows the end of, or gives it back. All processes have ended.
pub(super) async fn ends(world: &SimulatedWorld) {
    let orders = unknown(world);
    if orders.is_empty() {
        return;
    }
    let Some(machine) = world.site.start("the last shop".to_owned(), 0).await else {
        return world.find("nobody can ask for orders any more");
    };
    for (order, actions) in orders {
        if let Err(error) = ended(world, &machine, &order, actions).await {
            world.find(format!("{order} cannot be looked at: {error}"));
        }
    }
    machine.flush().await;
    machine.life.exit();
}

/// The orders of which a redemption was not answered for certain.
fn unknown(world: &SimulatedWorld) -> BTreeMap<OrderRef, Vec<(Code, Action)>> {
    let calls = world.recorder.calls().into_iter();
    let unknown = calls.filter_map(|call| match (call.asked, call.told) {
        (RecordedRequest::Order { order, changes }, RecordedAnswer::Unknown(_)) => {
            let actions = changes.into_iter().map(|(code, change)| (code, change.action));
            Some((order, actions.collect::<Vec<_>>()))
        }
        _ => None,
    });
    unknown.filter(|(_, actions)| matches!(actions[..], [(_, Action::Redeem { .. }), ..])).collect()
}

/// Whether a call of several coupons has made a change of this name.
fn is_by_order(world: &SimulatedWorld, operation: OperationId) -> bool {
    world.recorder.calls().iter().any(|call| match &call.asked {
        RecordedRequest::Order { changes, .. } => {
            changes.iter().any(|(_, change)| change.operation == operation)
        }
        _ => false,
    })
}

async fn ended(
    world: &SimulatedWorld,
    machine: &Arc<SimulatedMachine>,
    order: &OrderRef,
    actions: Vec<(Code, Action)>,
) -> Result<(), HotError> {
    let codes: Vec<Code> = actions.iter().map(|(code, _)| code.clone()).collect();
    let half = async || half_of(world, machine, order, &codes).await;
    let asks = async |actions| {
        let request = (RequestContent::Order { order: order.clone(), actions }, Asker::Shop);
        let machine = (world.slots.len(), Arc::clone(machine));
        match asks(world, &request, machine, 0).await {
            Some(RecordedAnswer::Order(all)) => all.iter().all(|it| it.refusal().is_none()),
            told => {
                world.find(format!("{order} is answered by {told:?} at the end"));
                false
            }
        }
    };
    let was_half = half().await?.is_some();
    if was_half {
        world.trace.reached("order: half of it was left");
    }
    if asks(actions).await {
        if was_half {
            world.trace.reached("order: half of it was finished");
        }
        return Ok(());
    }
    let Some((redeemed, missing)) = half().await? else { return Ok(()) };
    // As the engine gives back what it knows of an order.
    let release = missing.into_iter().map(|code| (code, Action::Release { order: order.clone() }));
    let cancel = |code| (code, Action::CancelRedemption { order: order.clone(), reason: None });
    if asks(release.chain(redeemed.into_iter().map(cancel)).collect()).await {
        world.trace.reached("order: half of it was given back");
        if half().await?.is_some() {
            world.find(format!("{order} was given back, and half of it is redeemed"));
        }
    }
    Ok(())
}

/// What an order has redeemed, and what not; `None` unless there are both.
async fn half_of(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    order: &OrderRef,
    codes: &[Code],
) -> Result<Option<HalfOrder>, HotError> {
    let (mut redeemed, mut missing, mut is_half) = (Vec::new(), Vec::new(), false);
    for code in codes {
        let Some(CouponSnapshot { coupon, .. }) = coupon_of(machine, code).await? else { continue };
        match coupon.redemption_of(order) {
            None => missing.push(code.clone()),
            Some(redemption) if redemption.cancelled_at.is_some() => {}
            Some(_) => {
                // A call about one coupon need not say what else there is.
                is_half |=
                    coupon.events().last().is_some_and(|it| is_by_order(world, it.operation));
                redeemed.push(code.clone());
            }
        }
    }
    if redeemed.is_empty() || missing.is_empty() {
        return Ok(None);
    }
    let begun = machine.hot.unfinished_order(order).await?;
    if is_half && !missing.iter().all(|code| begun.contains(code)) {
        world.find(format!("{order} lacks {missing:?}, and its record has {begun:?}"));
    }
    Ok(Some((redeemed, missing)))
}
