//! Callers: what shops and users ask, and ask again.

use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker, Change, Outcome as Decided};
use coupon::calendar::Zone;
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::ids::{Actor, IssueRef, UserId};
use coupon::time::Millis;
use tokio::time::{sleep, timeout};

use super::World;
use super::calls::ask;
use super::slots::some_machine;
use crate::check::history::{Asked, Told};
use crate::rng::Rng;

/// A caller gives up after this time, as an HTTP client does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often of 1,000 times a caller repeats a request whose outcome is unknown.
const REPEATS: u32 = 800;

/// Names of requests of one user, from which most are taken.
const REFERENCES: u64 = 3;

/// A request with its names. A repeat has the same ones.
#[derive(Clone, Debug)]
enum Wanted {
    Issue { nth: usize, to: UserId, reference: Option<IssueRef> },
    Named { code: Code, nth: usize, action: Action },
    Shared { nth: usize, action: Action },
    Read { code: Code },
}

/// Asks until no more calls may begin.
pub(crate) async fn caller(world: Arc<World>, mut rng: Rng) {
    let mut again: Option<(Wanted, Asker)> = None;
    let mut last: Option<(Wanted, Asker)> = None;
    while world.recorder.has_room() {
        sleep(Duration::from_millis(rng.below(world.plan.think_ms + 1))).await;
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
        let asked = asked(&world, &request, machine.now());
        let Some((at, call)) = ask(&world.recorder, process, &machine, asked) else { return };
        // The call goes on when the caller has given up, and a killed process never answers.
        let _ = timeout(PATIENCE, machine.life.alive(call)).await;
        let told = world.recorder.told(at);
        learn(&world, &request.0, &told);
        let is_open = matches!(told, Told::Unknown(_));
        let is_open = is_open || matches!(told, Told::NotDone(_)) && rng.chance(500);
        if is_open && rng.chance(REPEATS) {
            again = Some(request.clone());
        }
        last = Some(request);
    }
}

/// The same names, another attempt.
fn asked(world: &World, (wanted, asker): &(Wanted, Asker), now: Millis) -> Asked {
    let change = |action: Action| Change {
        action,
        asker: asker.clone(),
        actor: Actor::new(match asker {
            Asker::User(_) => "user:u",
            Asker::Shop => "shop:till",
        }),
        operation: world.recorder.operation(),
        at: now,
        if_version: None,
    };
    match wanted.clone() {
        Wanted::Issue { nth, to, reference } => {
            let expires_at = world.scene.stocked[nth].campaign.issued_until(now);
            let change = change(Action::Issue { to, reference, expires_at });
            Asked::Issue { campaign: world.scene.id(nth).clone(), change }
        }
        Wanted::Named { code, nth, action } => {
            let action = match action {
                Action::Issue { to, reference, .. } => {
                    let expires_at = world.scene.stocked[nth].campaign.issued_until(now);
                    Action::Issue { to, reference, expires_at }
                }
                other => other,
            };
            Asked::Change { code, change: change(action) }
        }
        Wanted::Shared { nth, action } => {
            Asked::Shared { campaign: world.scene.id(nth).clone(), change: change(action) }
        }
        Wanted::Read { code } => Asked::Read { code },
    }
}

/// A new request.
fn drawn(world: &World, rng: &mut Rng, now: Millis) -> Option<(Wanted, Asker)> {
    let scene = &world.scene;
    let nth = usize::try_from(rng.below(scene.stocked.len() as u64)).unwrap_or(0);
    let handout = scene.stocked[nth].campaign.handout;
    let wanted = match rng.below(100) {
        0..45 if handout == Handout::Shared => {
            Wanted::Shared { nth, action: shared(world, rng, now) }
        }
        0..30 => {
            let to = scene.some_user(rng, None);
            let reference = match rng.chance(800) {
                true => format!("{to}-r{}", rng.below(REFERENCES)).parse().ok(),
                false => None,
            };
            Wanted::Issue { nth, to, reference }
        }
        30..34 => {
            let (of, code) = scene.some_code(rng)?;
            let to = scene.some_user(rng, Some(&code));
            // A voided coupon is replaced by another of the same campaign.
            let reference = format!("replaces:{code}").parse().ok();
            Wanted::Issue { nth: of, to, reference }
        }
        34..90 => {
            let (of, code) = scene.some_code(rng)?;
            let action = action(world, rng, of, &code, now);
            if let Action::Redeem { order, .. } | Action::Hold { order, .. } = &action {
                scene.ordered(&code, order);
            }
            Wanted::Named { code, nth: of, action }
        }
        _ => Wanted::Read { code: scene.some_code(rng)?.1 },
    };
    let asker = match &wanted {
        Wanted::Named { action: Action::Redeem { by, .. } | Action::Hold { by, .. }, .. }
        | Wanted::Shared { action: Action::Redeem { by, .. } | Action::Hold { by, .. }, .. }
        | Wanted::Issue { to: by, .. }
            if rng.chance(300) =>
        {
            Asker::User(by.clone())
        }
        _ => Asker::Shop,
    };
    Some((wanted, asker))
}

/// What is asked of one coupon.
fn action(world: &World, rng: &mut Rng, nth: usize, code: &Code, now: Millis) -> Action {
    let scene = &world.scene;
    let (user, order) = (scene.some_user(rng, Some(code)), scene.some_order(rng, Some(code)));
    match rng.below(100) {
        0..38 => Action::Redeem { by: user, order },
        38..50 => {
            let until = now.plus_ms(i64::try_from(rng.between(1_000, 900_000)).unwrap_or(1_000));
            Action::Hold { by: user, order, until }
        }
        50..57 => Action::Release { order },
        57..70 => Action::CancelRedemption { order, reason: "sent back".parse().ok() },
        70..78 => {
            let reference = rng.chance(500).then(|| format!("v{}", rng.below(REFERENCES)));
            let reference = reference.and_then(|text| text.parse().ok());
            Action::Revoke { user, reference, reason: None }
        }
        78..83 => Action::Void { reason: "a misprint".parse().ok() },
        83..91 => {
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
fn shared(world: &World, rng: &mut Rng, now: Millis) -> Action {
    let (by, order) = (world.scene.some_user(rng, None), world.scene.some_order(rng, None));
    match rng.below(100) {
        0..60 => Action::Redeem { by, order },
        60..80 => Action::Hold { by, order, until: now.plus_ms(120_000) },
        80..90 => Action::Release { order },
        _ => Action::CancelRedemption { order, reason: None },
    }
}

/// Remembers what the answer says of a coupon, for later requests.
fn learn(world: &World, wanted: &Wanted, told: &Told) {
    let nth = match wanted {
        Wanted::Issue { nth, .. } | Wanted::Named { nth, .. } | Wanted::Shared { nth, .. } => *nth,
        Wanted::Read { .. } => return,
    };
    let Told::Applied(applied) = told else { return };
    let Some(snapshot) = &applied.snapshot else { return };
    let coupon = &snapshot.coupon;
    let nth = world.scene.number_of(&coupon.genesis().campaign).unwrap_or(nth);
    world.scene.held(nth, coupon.code(), coupon.holder());
    if let (Decided::Accepted(_), Wanted::Shared { action, .. }) = (&applied.outcome, wanted)
        && let Action::Redeem { order, .. } | Action::Hold { order, .. } = action
    {
        world.scene.ordered(coupon.code(), order);
    }
}
