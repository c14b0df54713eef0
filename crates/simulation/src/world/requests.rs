//! Requests of callers: how a process is asked, and what the answer tells for later ones.

use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker, Change, Outcome as Decided};
use coupon::code::Code;
use coupon::ids::{Actor, IssueRef, OrderRef, UserId};
use coupon::time::Millis;
use coupon::worth::OrderMoney;
use tokio::time::{sleep, timeout};

use super::SimulatedWorld;
use super::calls::ask;
use super::machine::SimulatedMachine;
use crate::check::history::{RecordedAnswer, RecordedRequest};

/// A caller gives up after this time, as an HTTP client does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request with its names. A repeat has the same ones.
#[derive(Clone, Debug)]
pub(crate) enum RequestContent {
    Issue { nth: usize, to: UserId, reference: Option<IssueRef> },
    Named { code: Code, nth: usize, action: Action, if_version: Option<u64> },
    Shared { nth: usize, action: Action },
    Order { order: OrderRef, actions: Vec<(Code, Action)> },
    Read { code: Code },
}

/// A request, and who asks.
pub(crate) type CallerRequest = (RequestContent, Asker);

/// Asks a process after some time, and waits for the answer as long as anybody would; `None` if no
/// more calls may begin.
pub(super) async fn asks(
    world: &SimulatedWorld,
    request: &CallerRequest,
    (process, machine): (usize, Arc<SimulatedMachine>),
    after_ms: u64,
) -> Option<RecordedAnswer> {
    if after_ms > 0 {
        sleep(Duration::from_millis(after_ms)).await;
    }
    let asked = asked(world, request, machine.now());
    let (at, call) = ask(&world.recorder, process, &machine, asked)?;
    // The call goes on when the caller has given up, and a killed process never answers.
    let _ = timeout(PATIENCE, machine.life.alive(call)).await;
    let told = world.recorder.told(at);
    learn(world, &request.0, &told);
    Some(told)
}

/// The same names, another attempt.
fn asked(world: &SimulatedWorld, (wanted, asker): &CallerRequest, now: Millis) -> RecordedRequest {
    let change = |action: Action| Change {
        action,
        asker: asker.clone(),
        actor: match asker {
            Asker::User(user) => Actor::new(&format!("user:{user}")),
            Asker::Shop => Actor::new("shop:till"),
        },
        operation: world.recorder.operation(),
        at: now,
        if_version: None,
    };
    match wanted.clone() {
        RequestContent::Issue { nth, to, reference } => {
            let expires_at = world.scene.stocked[nth].campaign.issued_until(now);
            let change = change(Action::Issue { to, reference, expires_at });
            RecordedRequest::Issue { campaign: world.scene.id(nth).clone(), change }
        }
        RequestContent::Named { code, nth, action, if_version } => {
            let action = match action {
                Action::Issue { to, reference, .. } => {
                    let expires_at = world.scene.stocked[nth].campaign.issued_until(now);
                    Action::Issue { to, reference, expires_at }
                }
                other => other,
            };
            RecordedRequest::Change { code, change: Change { if_version, ..change(action) } }
        }
        RequestContent::Shared { nth, action } => RecordedRequest::Shared {
            campaign: world.scene.id(nth).clone(),
            change: change(action),
        },
        RequestContent::Order { order, actions } => {
            let changes = actions.into_iter().map(|(code, action)| (code, change(action)));
            RecordedRequest::Order { order, changes: changes.collect() }
        }
        RequestContent::Read { code } => RecordedRequest::Read { code },
    }
}

/// Remembers what the answer says of a coupon, for later requests.
fn learn(world: &SimulatedWorld, wanted: &RequestContent, told: &RecordedAnswer) {
    let nth = match wanted {
        RequestContent::Issue { nth, .. }
        | RequestContent::Named { nth, .. }
        | RequestContent::Shared { nth, .. } => *nth,
        RequestContent::Order { order, .. } => return learn_order(world, order, told),
        RequestContent::Read { .. } => {
            // A code that was guessed may have been minted by somebody who was not told so.
            if let RecordedAnswer::Read(Some(snapshot)) = told
                && let Some(nth) = world.scene.number_of(&snapshot.coupon.genesis().campaign)
            {
                world.scene.seen(nth, &snapshot.coupon);
            }
            return;
        }
    };
    let RecordedAnswer::Applied(applied) = told else { return };
    let Some(snapshot) = &applied.snapshot else { return };
    let coupon = &snapshot.coupon;
    let nth = world.scene.number_of(&coupon.genesis().campaign).unwrap_or(nth);
    world.scene.seen(nth, coupon);
    if let (Decided::Accepted(_), RequestContent::Shared { action, .. }) =
        (&applied.outcome, wanted)
        && let Action::Redeem { order, .. } | Action::Hold { order, .. } = action
    {
        world.scene.ordered(coupon.code(), order);
    }
}

/// Remembers what the answer says of the coupons. Of a refused order it says what would have been.
fn learn_order(world: &SimulatedWorld, order: &OrderRef, told: &RecordedAnswer) {
    let RecordedAnswer::Order(all) = told else { return };
    if all.iter().any(|it| it.refusal().is_some()) {
        return world.trace.reached("order: refused");
    }
    world.trace.reached("order: done as a whole");
    world.scene.done(order);
    for snapshot in all.iter().filter_map(|it| it.snapshot.as_ref()) {
        if let Some(nth) = world.scene.number_of(&snapshot.coupon.genesis().campaign) {
            world.scene.seen(nth, &snapshot.coupon);
        }
    }
}

/// What a shop says of an order, the same each time: mostly a discount, sometimes nothing.
pub(super) fn money_of(order: &OrderRef) -> OrderMoney {
    let sum: u64 = order.as_str().bytes().map(u64::from).sum();
    match sum % 4 {
        0 => OrderMoney::default(),
        _ => OrderMoney { currency: "KRW".parse().ok(), discount: Some(sum), amount: None },
    }
}
