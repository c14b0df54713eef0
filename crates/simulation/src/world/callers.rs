//! Callers: what shops and users ask, and ask again.

use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker};
use coupon::calendar::Zone;
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::time::Millis;
use futures::future::join;
use tokio::time::sleep;

use super::requests::{CallerRequest, RequestContent, asks, money_of};
use super::slots::some_machine;
use super::{SimulatedWorld, orders, rushes};
use crate::check::history::RecordedAnswer;
use simulated_cluster::rng::Rng;

/// How often of 1,000 times a caller repeats a request whose outcome is unknown.
const REPEATS: u32 = 800;

/// How often of 1,000 times a request is sent to two processes at once.
const TWINS: u32 = 80;

/// How long after the first one the second of these comes, at most.
const TWIN_MS: u64 = 60;

/// How often of 1,000 times a caller begins a rush.
const RUSHES: u32 = 65;

/// How often of 1,000 times a caller begins with coupons that are extended late.
const LATE: u32 = 200;

/// Names of requests of one user, from which most are taken.
const REFERENCES: u64 = 3;

/// Asks until no more calls may begin.
pub(crate) async fn caller(world: Arc<SimulatedWorld>, mut rng: Rng) {
    let mut again: Option<CallerRequest> = None;
    let mut last: Option<CallerRequest> = None;
    if rng.chance(LATE) && !world.plan.jobs.meets_closings {
        rushes::extend_late(&world, &mut rng).await;
    }
    while world.recorder.has_room() {
        sleep(Duration::from_millis(rng.below(world.plan.think_ms + 1))).await;
        if again.is_none() && rng.chance(RUSHES) {
            rushes::rush(&world, &mut rng).await;
            continue;
        }
        let (process, machine) = some_machine(&world.slots, &mut rng).await;
        let request = match (again.take(), &last) {
            (Some(request), _) => request,
            // Somebody presses the button twice.
            (None, Some(request)) if rng.chance(120) => request.clone(),
            _ => match drawn(&world, &mut rng, machine.now()) {
                Some(request) => request,
                None => continue,
            },
        };
        let twin = rng.chance(TWINS).then(|| rng.below(TWIN_MS));
        let first = asks(&world, &request, (process, machine), 0);
        let told = match twin {
            None => first.await,
            Some(later_ms) => {
                let other = some_machine(&world.slots, &mut rng).await;
                join(first, asks(&world, &request, other, later_ms)).await.0
            }
        };
        let Some(told) = told else { return };
        let is_open = matches!(told, RecordedAnswer::Unknown(_));
        let is_open = is_open || matches!(told, RecordedAnswer::NotDone(_)) && rng.chance(500);
        if is_open && rng.chance(REPEATS) {
            again = Some(request.clone());
        }
        last = Some(request);
    }
}

/// A new request.
fn drawn(world: &SimulatedWorld, rng: &mut Rng, now: Millis) -> Option<CallerRequest> {
    let scene = &world.scene;
    let nth = scene.some_campaign(rng);
    let handout = scene.stocked[nth].campaign.handout;
    if rng.chance(world.plan.of_several)
        && let Some(order) = orders::drawn(world, rng, now)
    {
        return Some(order);
    }
    let wanted = match rng.below(100) {
        0..45 if handout == Handout::Shared => {
            RequestContent::Shared { nth, action: shared(world, rng, nth, now) }
        }
        0..30 => {
            let to = scene.some_user(rng, None);
            let reference = match rng.chance(800) {
                true => format!("{to}-r{}", rng.below(REFERENCES)).parse().ok(),
                false => None,
            };
            RequestContent::Issue { nth, to, reference }
        }
        30..34 => {
            let void = scene.some_void(rng).filter(|_| rng.chance(500));
            let (of, code, to) = match void {
                Some(void) => void,
                None => {
                    let (of, code) = scene.some_code(rng)?;
                    let to = scene.some_user(rng, Some(&code));
                    (of, code, to)
                }
            };
            // A voided coupon is replaced by another of the same campaign.
            let reference = format!("replaces:{code}").parse().ok();
            RequestContent::Issue { nth: of, to, reference }
        }
        34..90 => {
            let (of, code) = scene.some_code(rng)?;
            let action = action(world, rng, of, &code, now);
            // The day would have the longer time already when it is being closed.
            if world.plan.jobs.meets_closings && matches!(action, Action::Extend { .. }) {
                return Some((RequestContent::Read { code }, Asker::Shop));
            }
            if let Action::Redeem { order, .. } | Action::Hold { order, .. } = &action {
                scene.ordered(&code, order);
            }
            let if_version = match &action {
                Action::Revoke { .. } | Action::Void { .. } | Action::Extend { .. } => {
                    scene.some_version(rng, &code).filter(|_| rng.chance(300))
                }
                _ => None,
            };
            RequestContent::Named { code, nth: of, action, if_version }
        }
        _ => {
            // Nobody mints what is guessed if there is no operator.
            let guesses = world.plan.jobs.admin && rng.chance(600);
            let guess = if guesses { scene.some_guess(rng) } else { None };
            let known = || scene.some_code(rng).map(|(_, code)| code);
            RequestContent::Read { code: guess.or_else(known)? }
        }
    };
    let asker = asker(world, rng, &wanted);
    Some((wanted, asker))
}

/// Who asks. Of a user, a release or a cancellation needs no shop; behind a shared code it has no other.
fn asker(world: &SimulatedWorld, rng: &mut Rng, wanted: &RequestContent) -> Asker {
    match wanted {
        RequestContent::Shared {
            action: Action::Release { order } | Action::CancelRedemption { order, .. },
            nth,
        } => {
            let theirs = world.scene.some_use(rng, *nth).filter(|(_, of)| of == order);
            let user = theirs.map(|(user, _)| user);
            Asker::User(user.unwrap_or_else(|| world.scene.some_user(rng, None)))
        }
        RequestContent::Named {
            code,
            action: Action::Release { .. } | Action::CancelRedemption { .. },
            ..
        } if rng.chance(300) => Asker::User(world.scene.some_user(rng, Some(code))),
        RequestContent::Named {
            action: Action::Redeem { by, .. } | Action::Hold { by, .. },
            ..
        }
        | RequestContent::Shared {
            action: Action::Redeem { by, .. } | Action::Hold { by, .. },
            ..
        }
        | RequestContent::Issue { to: by, .. }
            if rng.chance(300) =>
        {
            Asker::User(by.clone())
        }
        _ => Asker::Shop,
    }
}

/// What is asked of one coupon.
fn action(world: &SimulatedWorld, rng: &mut Rng, nth: usize, code: &Code, now: Millis) -> Action {
    let scene = &world.scene;
    let (user, order) = (scene.some_user(rng, Some(code)), scene.some_order(rng, Some(code)));
    match rng.below(100) {
        0..38 => Action::Redeem { by: user, money: money_of(&order), order },
        38..50 => {
            let until = now.plus_ms(i64::try_from(rng.between(1_000, 900_000)).unwrap_or(1_000));
            Action::Hold { by: user, money: money_of(&order), order, until }
        }
        50..57 => Action::Release { order },
        57..70 => Action::CancelRedemption { order, reason: "sent back".parse().ok() },
        70..78 => {
            let reference = rng.chance(500).then(|| format!("v{}", rng.below(REFERENCES)));
            let reference = reference.and_then(|text| text.parse().ok());
            let user = scene.erased_holder(code).unwrap_or(user);
            Action::Revoke { user, reference, reason: None }
        }
        78..83 => Action::Void { reason: "a misprint".parse().ok() },
        83..91 => {
            // To a day that may belong to another campaign, which has other terms.
            let nth = if rng.chance(700) { nth } else { scene.some_campaign(rng) };
            let campaign = &world.scene.stocked[nth].campaign;
            let days = u16::try_from(rng.between(0, 4)).unwrap_or(0);
            let expires_at = campaign.expires_at.plus_days(days);
            Action::Extend { expires_at, zone: Zone::utc(), reason: None }
        }
        _ => {
            let reference = format!("{user}-n{}", rng.below(REFERENCES)).parse().ok();
            let reference = reference.filter(|_| rng.chance(500));
            Action::Issue { to: user, reference, expires_at: None }
        }
    }
}

/// What is asked through a shared code.
fn shared(world: &SimulatedWorld, rng: &mut Rng, nth: usize, now: Millis) -> Action {
    let used = world.scene.some_use(rng, nth).filter(|_| rng.chance(700)).map(|(_, order)| order);
    let (by, order) = (world.scene.some_user(rng, None), world.scene.some_order(rng, None));
    match rng.below(100) {
        0..60 => Action::Redeem { by, money: money_of(&order), order },
        60..80 => {
            let money = money_of(&order);
            Action::Hold { by, order, until: now.plus_ms(120_000), money }
        }
        80..90 => Action::Release { order: used.unwrap_or(order) },
        _ => Action::CancelRedemption { order: used.unwrap_or(order), reason: None },
    }
}
