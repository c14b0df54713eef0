//! Choices: which of a user's coupons an order changes behind a shared word, in a store that reads and
//! writes in steps.
//!
//! A first try of an order may have picked a coupon, and its write may still be applied after the process
//! has died. The coupon does not show that. A second try that picked by itself could pick another one,
//! and the order would redeem both. So a *choice* is written into the claim before the coupon: the order,
//! the coupon and the version that the write replaces. It is *open* while the coupon has that version.
//! Another try of the order goes to the coupon of an open choice. If the rules refuse that by now, it
//! first gives the coupon its next version, so that the first try can no longer be applied.
//!
//! A store that picks and writes in one transaction needs no choices.

use std::collections::BTreeMap;

use coupon::apply::{Change, Outcome};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::OrderRef;

use super::claim::{Claim, fenced};
use super::located::{Decision, Here, Located};
use super::shared::{SharedAsk, shared};

/// Most choices of one claim. Only those that are open count: the slot of another one is taken again.
pub const CHOICES_MAX: usize = 32;

/// Which coupon an order changes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub order: OrderRef,
    pub code: Code,
    /// The version that the change replaces.
    pub version: u64,
}

/// The choices of a claim, by their slots.
pub type Choices = BTreeMap<i32, Choice>;

/// What a store that works in steps does next behind a shared word.
#[derive(Debug)]
pub enum SharedStep<H, S> {
    /// It answers, and writes what was decided.
    Decided(Box<Decision<H, S>>),
    /// It writes the choice into this slot of the claim, if the claim is still the one that was read, and
    /// then what was decided.
    Choose(i32, Choice, Box<Decision<H, S>>),
    /// It gives the coupon its next version without a change, and reads again.
    Fence(Box<Located<H>>, Box<Coupon>),
    /// [`SharedAsk::issue`] comes first, and then the change ([`super::give`]).
    HandOut,
}

impl Choice {
    /// Its coupon, if the write that it was made for may still be applied.
    fn open<'a, H, S>(&self, claim: &'a Claim<H, S>) -> Option<&'a Located<H>> {
        claim.looked().find(|it| {
            let coupon = &it.coupon;
            *coupon.code() == self.code && coupon.version() == self.version && !it.frozen
        })
    }
}

/// The next step behind a shared word. `claim` has every coupon of the user, read after `choices`.
pub fn shared_step<H: Here, S>(
    ask: &SharedAsk,
    change: &Change,
    claim: &Claim<H, S>,
    choices: &Choices,
    clock_bound_ms: i64,
) -> SharedStep<H, S> {
    let decided = |decision| SharedStep::Decided(Box::new(decision));
    let said = shared(ask, change, claim, clock_bound_ms);
    if ask.issue.is_none() {
        // A release or a cancellation finds the coupon of its order, or none: it picks nothing.
        return said.map_or(SharedStep::HandOut, decided);
    }
    let own = choices.values().find(|it| it.order == ask.order);
    if let Some(chosen) = own.and_then(|it| it.open(claim)) {
        let is_chosen = |it: &Located<H>| it.coupon.code() == chosen.coupon.code();
        let has_another = ask.of_order(claim, change.at).is_some_and(|it| !is_chosen(it));
        let decision = Decision::of(chosen, change, clock_bound_ms);
        let is_refused = matches!(decision.applied.outcome, Outcome::Refused(_));
        // The write of the first try must end before the order takes another coupon.
        return if is_refused || has_another { fence(chosen) } else { decided(decision) };
    }
    let Some(decision) = said else { return SharedStep::HandOut };
    let Some(writes) = &decision.writes else {
        return decided(decision);
    };
    let before = &writes.before.coupon;
    let (order, code) = (ask.order.clone(), before.code().clone());
    let choice = Choice { order, code, version: before.version() };
    match free_slot(&choice.order, choices, claim) {
        Ok(slot) => SharedStep::Choose(slot, choice, Box::new(decision)),
        Err(located) => fence(located),
    }
}

/// Where the next choice of an order goes. If too many choices are open, a coupon of one of them.
fn free_slot<'a, H, S>(
    order: &OrderRef,
    choices: &Choices,
    claim: &'a Claim<H, S>,
) -> Result<i32, &'a Located<H>> {
    let next = choices.keys().next_back().map_or(0, |last| last + 1);
    // No order has two: which of them is open would be a matter of chance.
    if let Some((slot, _)) = choices.iter().find(|(_, it)| it.order == *order) {
        return Ok(*slot);
    }
    let mut open = None;
    for (slot, choice) in choices {
        match choice.open(claim) {
            None => return Ok(*slot),
            some => open = open.or(some),
        }
    }
    open.filter(|_| choices.len() >= CHOICES_MAX).map_or(Ok(next), Err)
}

fn fence<H: Here, S>(located: &Located<H>) -> SharedStep<H, S> {
    SharedStep::Fence(Box::new(located.clone()), Box::new(fenced(&located.coupon)))
}

#[cfg(test)]
mod tests;
