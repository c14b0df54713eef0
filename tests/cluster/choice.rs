//! The choice of the next request for a coupon. Most requests fit its last answer, so that coupons
//! go through their whole life. Some do not fit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use coupon::apply::Action;
use coupon::calendar::Zone;
use coupon::campaign::Handout;
use coupon::ids::{OrderRef, Reason, UserId};
use coupon::time::{DAY_MS, Millis};

use super::client::Dice;
use super::history::{Ask, Told};
use super::model::World;

/// Users who want one coupon. None wants two: a per-user limit covers several coupons, and the
/// checker checks one coupon at a time.
const USERS: u64 = 3;

/// Days of a hold, fewer than the seven that the rules allow. One order uses each number once: for
/// the same number again, accepted or replayed would depend on the millisecond.
const HOLD_DAYS_MAX: u16 = 6;

/// A coupon that clients send requests for.
pub(super) struct ContestedCoupon {
    pub(super) code: String,
    pub(super) handout: Handout,
    /// When the run began.
    start: Millis,
    users: Vec<UserId>,
    sketch: Mutex<Sketch>,
}

/// Its last answer. It may be out of date, which makes better requests.
struct Sketch {
    version: u64,
    state: Box<str>,
    is_held: bool,
    holder: Option<UserId>,
    /// The order of the redemption, or of the hold.
    order: Option<OrderRef>,
    expires_at: Millis,
    /// All orders in requests for it.
    orders: Vec<Order>,
}

#[derive(Clone)]
struct Order {
    by: UserId,
    name: OrderRef,
    /// The numbers of days that it used for holds, as bits.
    held_for: u32,
}

#[derive(Clone, Copy)]
enum Wish {
    Issue,
    Hold,
    HoldAgain,
    Release,
    Redeem,
    RedeemHeld,
    RedeemAgain,
    Cancel,
    Revoke,
    Extend,
    Void,
}

use Wish::{
    Cancel, Extend, Hold, HoldAgain, Issue, Redeem, RedeemAgain, RedeemHeld, Release, Revoke, Void,
};

/// In a thousand. Void is last, because nothing happens to a coupon after it.
const AVAILABLE: &[(u64, Wish)] =
    &[(840, Issue), (60, Extend), (30, Redeem), (30, Hold), (20, Revoke), (18, Cancel), (2, Void)];
const AVAILABLE_BEARER: &[(u64, Wish)] = &[
    (300, Issue),
    (330, Redeem),
    (270, Hold),
    (60, Extend),
    (20, Revoke),
    (18, Cancel),
    (2, Void),
];
const ISSUED: &[(u64, Wish)] = &[
    (300, Hold),
    (280, Redeem),
    (60, Release),
    (140, Revoke),
    (100, Extend),
    (60, Issue),
    (30, Cancel),
    (28, RedeemAgain),
    (2, Void),
];
const HELD: &[(u64, Wish)] = &[
    (260, RedeemHeld),
    (150, HoldAgain),
    (80, Hold),
    (150, Redeem),
    (200, Release),
    (60, Revoke),
    (58, Extend),
    (40, Issue),
    (2, Void),
];
const REDEEMED: &[(u64, Wish)] = &[
    (420, Cancel),
    (240, RedeemAgain),
    (140, Redeem),
    (40, Hold),
    (50, Release),
    (40, Revoke),
    (38, Extend),
    (30, Issue),
    (2, Void),
];
const VOID: &[(u64, Wish)] =
    &[(300, Issue), (300, Redeem), (200, Hold), (100, Cancel), (100, Void)];

impl ContestedCoupon {
    /// The `nth` coupon of a run that began at `start`, untouched.
    pub(super) fn new(nth: usize, code: &str, world: &World) -> ContestedCoupon {
        let user = |of: u64| format!("u{nth}-{of}").parse().expect("a user");
        let sketch = Sketch {
            version: 0,
            state: "available".into(),
            is_held: false,
            holder: None,
            order: None,
            expires_at: world.start.expires_at(),
            orders: Vec::new(),
        };
        ContestedCoupon {
            code: code.to_owned(),
            handout: world.terms.handout,
            start: world.at,
            users: (0..USERS).map(user).collect(),
            sketch: Mutex::new(sketch),
        }
    }

    /// The next request, with a new name.
    pub(super) fn choose(&self, dice: &mut Dice, name: &str) -> Ask {
        if dice.below(100) < 28 {
            return Ask::Read;
        }
        let mut sketch = self.sketch();
        let wish = sketch.wish(self.handout, dice);
        Ask::Change(self.action(&mut sketch, wish, dice, name))
    }

    /// Repeats a request with an unknown outcome, but no hold for the same time.
    pub(super) fn repeat(&self, ask: &Ask) -> Option<Ask> {
        let Ask::Change(Action::Hold { by, order, until, .. }) = ask else {
            return Some(ask.clone());
        };
        let mut sketch = self.sketch();
        let orders = &mut sketch.orders;
        let asked = orders.iter_mut().find(|it| it.name == *order && it.by == *by)?;
        // Fewer days: a replay if the first hold was made, and a hold if not.
        let free =
            |days: &u16| asked.held_for >> days & 1 == 0 && self.start.plus_days(*days) < *until;
        let days = (1..HOLD_DAYS_MAX).rev().find(free)?;
        asked.held_for |= 1 << days;
        let until = self.start.plus_days(days);
        Some(Ask::Change(Action::Hold {
            by: by.clone(),
            order: order.clone(),
            until,
            money: Default::default(),
        }))
    }

    /// Records an answer.
    pub(super) fn heard(&self, told: &Told) {
        let Told::Answer(answered) = told else { return };
        let mut sketch = self.sketch();
        if let Some(shown) = answered.coupon.as_ref().filter(|it| it.version >= sketch.version) {
            sketch.version = shown.version;
            sketch.state = shown.state.clone();
            sketch.is_held = shown.held_days.is_some();
            sketch.holder = shown.holder.as_deref().map(|it| it.parse().expect("a user"));
            sketch.order = shown.order.as_deref().map(|it| it.parse().expect("an order"));
            sketch.expires_at = shown.expires_at;
        } else if let Some(shown) = answered.redemption.as_ref().filter(|it| !it.is_cancelled) {
            sketch.state = "redeemed".into();
            sketch.order = Some(shown.order.parse().expect("an order"));
        }
    }

    fn sketch(&self) -> MutexGuard<'_, Sketch> {
        self.sketch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any_user(&self, dice: &mut Dice) -> UserId {
        self.users[dice.below(USERS) as usize].clone()
    }

    fn action(&self, sketch: &mut Sketch, wish: Wish, dice: &mut Dice, name: &str) -> Action {
        let reason = || Some(name.parse::<Reason>().expect("a reason"));
        let holder = sketch.holder.clone().filter(|_| dice.below(10) > 0);
        let by = holder.unwrap_or_else(|| self.any_user(dice));
        let fresh = || name.parse::<OrderRef>().expect("an order");
        match wish {
            Issue => Action::Issue { to: by, reference: None, expires_at: None },
            Redeem => Action::Redeem {
                order: sketch.fresh(&by, fresh(), 0),
                by,
                money: Default::default(),
            },
            RedeemHeld => {
                let held = sketch.orders.iter().find(|it| Some(&it.name) == sketch.order.as_ref());
                match held {
                    Some(Order { by, name, .. }) => Action::Redeem {
                        by: by.clone(),
                        order: name.clone(),
                        money: Default::default(),
                    },
                    None => Action::Redeem {
                        order: sketch.fresh(&by, fresh(), 0),
                        by,
                        money: Default::default(),
                    },
                }
            }
            RedeemAgain => match sketch.any_order(dice) {
                // The same order_ref of another user is another order.
                Some(Order { name, .. }) if dice.below(8) == 0 => Action::Redeem {
                    by: self.any_user(dice),
                    order: name,
                    money: Default::default(),
                },
                Some(Order { by, name, .. }) => {
                    Action::Redeem { by, order: name, money: Default::default() }
                }
                None => Action::Redeem {
                    order: sketch.fresh(&by, fresh(), 0),
                    by,
                    money: Default::default(),
                },
            },
            Hold => {
                let days = 1 + dice.below(HOLD_DAYS_MAX.into()) as u16;
                let order = sketch.fresh(&by, fresh(), 1 << days);
                Action::Hold {
                    by,
                    order,
                    until: self.start.plus_days(days),
                    money: Default::default(),
                }
            }
            HoldAgain => match sketch.another_time(dice) {
                Some((Order { by, name, .. }, days)) => Action::Hold {
                    by,
                    order: name,
                    until: self.start.plus_days(days),
                    money: Default::default(),
                },
                None => Action::Release { order: sketch.order.clone().unwrap_or_else(fresh) },
            },
            Release => {
                let held = sketch.order.clone().filter(|_| dice.below(5) > 0);
                let other = held.or_else(|| sketch.any_order(dice).map(|order| order.name));
                Action::Release { order: other.unwrap_or_else(fresh) }
            }
            Cancel => {
                let live = sketch.order.clone().filter(|_| dice.below(5) > 0);
                let other = live.or_else(|| sketch.any_order(dice).map(|order| order.name));
                let order = other.unwrap_or_else(fresh);
                Action::CancelRedemption { order, reason: reason() }
            }
            Revoke => Action::Revoke { user: by, reference: None, reason: reason() },
            Extend => {
                let expires_at = later(sketch.expires_at, dice);
                Action::Extend { expires_at, zone: Zone::utc(), reason: reason() }
            }
            Void => Action::Void { reason: reason() },
        }
    }
}

impl Sketch {
    fn wish(&self, handout: Handout, dice: &mut Dice) -> Wish {
        let wishes = match (&*self.state, handout) {
            ("available", Handout::Bearer) if !self.is_held => AVAILABLE_BEARER,
            ("available", _) if !self.is_held => AVAILABLE,
            ("available" | "issued", _) if self.is_held => HELD,
            ("issued", _) => ISSUED,
            ("redeemed", _) => REDEEMED,
            _ => VOID,
        };
        let mut left = dice.below(wishes.iter().map(|(weight, _)| weight).sum());
        for (weight, wish) in wishes {
            match left.checked_sub(*weight) {
                None => return *wish,
                Some(less) => left = less,
            }
        }
        unreachable!("the weights are cumulative")
    }

    /// A new order.
    fn fresh(&mut self, by: &UserId, name: OrderRef, held_for: u32) -> OrderRef {
        self.orders.push(Order { by: by.clone(), name: name.clone(), held_for });
        name
    }

    /// One of the last orders: a replay, or too late.
    fn any_order(&self, dice: &mut Dice) -> Option<Order> {
        let from = self.orders.len().saturating_sub(4);
        let last = &self.orders[from..];
        (!last.is_empty()).then(|| last[dice.below(last.len() as u64) as usize].clone())
    }

    /// The order that holds it, for a number of days that it has not used.
    fn another_time(&mut self, dice: &mut Dice) -> Option<(Order, u16)> {
        let order = self.order.clone()?;
        let held = self.orders.iter_mut().find(|it| it.name == order)?;
        let free = |days: &u16| held.held_for >> days & 1 == 0;
        let free: Vec<u16> = (1..=HOLD_DAYS_MAX).filter(free).collect();
        let days = *free.get(dice.below(1 + free.len() as u64) as usize)?;
        held.held_for |= 1 << days;
        Some((held.clone(), days))
    }
}

/// Mostly later, in the same partition or in another one. Sometimes the same, or earlier.
fn later(expires_at: Millis, dice: &mut Dice) -> Millis {
    let ms = match dice.below(10) {
        0 => 0,
        1 => -60_000,
        2..=5 => 1 + dice.below(3_600_000) as i64,
        _ => (1 + dice.below(5) as i64) * DAY_MS,
    };
    expires_at.plus_ms(ms)
}
