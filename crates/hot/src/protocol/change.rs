//! One change of one coupon: redeem, hold, extend and so on.

use coupon::apply::{Action, Change, Outcome};
use coupon::coupon::Coupon;
use coupon::ids::{Actor, UserId};
use coupon::refusal::Refusal;
use coupon::time::Day;

use super::claim::Claim;
use super::located::{Decision, Here, Located, with_issued_until};
use super::partition::partition_after;

#[derive(Debug)]
pub enum ChangeStep<H, S> {
    Decided(Box<Decision<H, S>>),
    /// The rules admit it. What the store has to read besides, it says itself.
    Accepted(Box<Accepted<H>>),
}

/// A change that the rules of the coupon admit.
#[derive(Debug)]
pub struct Accepted<H> {
    pub before: Located<H>,
    after: Box<Coupon>,
    /// The later day that the coupon moves to: the store reads whether its partition is closing.
    pub later_day: Option<Day>,
    claimant: Option<Claimant>,
    actor: Actor,
}

#[derive(Debug)]
struct Claimant {
    user: UserId,
    /// Whether they become the holder, so that the claim gets an entry.
    becomes_holder: bool,
}

#[derive(Debug)]
pub enum Admitted<H, S> {
    Decided(Box<Decision<H, S>>),
    /// The claim has no room. A store that read the claim after the coupon looks at the coupon once
    /// more: the claim may be about this very coupon by now.
    NoRoom(Box<Located<H>>, Refusal),
}

pub fn change<H: Here, S>(
    located: Located<H>,
    change: &Change,
    clock_bound_ms: i64,
) -> ChangeStep<H, S> {
    let decided = |decision| ChangeStep::Decided(Box::new(decision));
    let change = with_issued_until(change, located.terms());
    let after = match located.apply(&change, clock_bound_ms) {
        Outcome::Accepted(after) => after,
        Outcome::Replayed => return decided(Decision::replayed(&located)),
        Outcome::Refused(refusal) => return decided(Decision::refused_at(&located, refusal)),
    };
    let day = partition_after(located.day, &after);
    let new_holder = new_holder(&located.coupon, &after);
    let claimant = match located.terms().per_user_limit {
        // Without a limit there is nothing to count.
        None => None,
        Some(_) => needs_claim_entry(&located.coupon, &change.action, &after)
            .map(|user| Claimant { user: user.clone(), becomes_holder: new_holder.is_some() }),
    };
    let later_day = (day != located.day).then_some(day);
    let actor = change.actor.clone();
    ChangeStep::Accepted(Box::new(Accepted { before: located, after, later_day, claimant, actor }))
}

impl<H: Here> Accepted<H> {
    /// The user whose claim the store reads.
    pub fn claimant(&self) -> Option<&UserId> {
        self.claimant.as_ref().map(|claimant| &claimant.user)
    }

    /// The decision. `is_closing`: of the partition of [`Accepted::later_day`]. `claim`: of
    /// [`Accepted::claimant`]; without it a change that needs one is refused.
    pub fn decide<S: Clone>(self, is_closing: bool, claim: Option<&Claim<H, S>>) -> Admitted<H, S> {
        let Accepted { before, after, later_day, claimant, actor } = self;
        if later_day.is_some() && is_closing {
            let decision = Decision::refused_at(&before, Refusal::ExpiryDayClosed);
            return Admitted::Decided(Box::new(decision));
        }
        let Some(claimant) = claimant else {
            return Admitted::Decided(Box::new(Decision::accepted(before, after, None, actor)));
        };
        let refusal = match claim {
            None => Some(Refusal::LimitPerUser),
            Some(claim) => {
                claim.end.unfinished.or(claim.is_full().then_some(Refusal::LimitPerUser))
            }
        };
        if let Some(refusal) = refusal {
            return Admitted::NoRoom(Box::new(before), refusal);
        }
        let entry = claim
            .filter(|_| claimant.becomes_holder)
            .map(|claim| claim.entry(after.issue_ref().cloned()));
        Admitted::Decided(Box::new(Decision::accepted(before, after, entry, actor)))
    }
}

pub(super) fn new_holder<'a>(before: &Coupon, after: &'a Coupon) -> Option<&'a UserId> {
    after.holder().filter(|holder| before.holder() != Some(holder))
}

/// The user whose limit a change counts towards: the new holder, or the user who holds a bearer
/// code: a code that could not be redeemed after the payment must not be held for it.
fn needs_claim_entry<'a>(
    before: &Coupon,
    action: &'a Action,
    after: &'a Coupon,
) -> Option<&'a UserId> {
    match action {
        Action::Hold { by, .. } if before.holder().is_none() => Some(by),
        _ => new_holder(before, after),
    }
}

/// Who holds a coupon, or has it held, and did not before.
pub fn newcomers<'a>(before: &Coupon, after: &'a Coupon) -> impl Iterator<Item = &'a UserId> {
    let holder = after.holder().filter(|user| before.holder() != Some(user));
    let is_new = |user: &&UserId| {
        after.holder() != Some(user) && before.hold().is_none_or(|hold| hold.by != **user)
    };
    let by = after.hold().map(|hold| &hold.by).filter(is_new);
    holder.into_iter().chain(by)
}

#[cfg(test)]
mod tests;
