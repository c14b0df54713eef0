//! The claim of a user in a campaign: what they were given, under which names, and whether they may have
//! more.
//!
//! An entry counts towards the limit while its coupon names the user, in any state, and has not been
//! replaced. Its name is spent for ever.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::{Campaign, Handout, PER_USER_LIMIT_MAX};
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::{IssueRef, OperationId, OrderRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::irreplaceable::irreplaceable;
use super::located::{Here, Located, NewEntry, with_issued_until};

/// Most entries of one user in a campaign that are read, the newest first: ten times the largest limit.
/// An import may bring more; a user with this many has reached any limit.
pub const ENTRIES_MAX: usize = 1_000;

const _: () = assert!(ENTRIES_MAX > PER_USER_LIMIT_MAX as usize);

/// The issue of a replaced coupon of which a restore has no number: the coupon was final.
pub const ANY_ISSUE: i32 = -1;

/// The coupon that a request of this name was given, as it is now.
#[derive(Clone, Debug)]
pub struct NamedEntry<H> {
    /// Which event of the coupon gave it to the user.
    pub issue: Option<usize>,
    pub located: Located<H>,
}

impl<H> NamedEntry<H> {
    /// Whether the user still has what this entry is about: not taken back since, nor taken back and
    /// given again.
    pub fn stands(&self, user: &UserId) -> bool {
        let coupon = &self.located.coupon;
        coupon.holder() == Some(user) && coupon.issue_sequence() == self.issue
    }
}

/// A claim, as far as it was read.
#[derive(Clone, Debug)]
pub struct Claim<H, S> {
    pub user: UserId,
    pub end: ClaimEnd<S>,
    /// The coupons that were read, those with the newest entries first, each once.
    looked: Vec<Located<H>>,
    /// Indexes in `looked` of coupons that count.
    counted: Vec<usize>,
}

/// What a claim says besides its coupons.
#[derive(Clone, Debug)]
pub struct ClaimEnd<S> {
    pub limit: Option<u16>,
    pub slot: S,
    /// Whether there are more entries than are read.
    pub overflows: bool,
    /// How many names requests have given.
    pub names: usize,
    /// Why an entry that was begun can be neither finished nor ended at the moment.
    pub unfinished: Option<Refusal>,
}

impl<H, S> Claim<H, S> {
    /// Whether the user may have no more.
    pub fn is_full(&self) -> bool {
        self.is_full_beside(None)
    }

    /// Whether the user may have so many more.
    pub fn has_room_for(&self, more: usize) -> bool {
        self.may_have(self.counted().count() + more)
    }

    /// Whether the user may have no more when the coupon `code` does not count.
    pub fn is_full_beside(&self, code: Option<&Code>) -> bool {
        let counted = self.counted().filter(|held| Some(held.coupon.code()) != code).count();
        !self.may_have(counted + 1)
    }

    fn may_have(&self, count: usize) -> bool {
        let is_within = |limit| !self.end.overflows && count <= usize::from(limit);
        self.end.limit.is_none_or(is_within)
    }

    /// The coupons that count, of those that were read, oldest first.
    pub fn counted(&self) -> impl DoubleEndedIterator<Item = &Located<H>> {
        self.counted.iter().rev().filter_map(|at| self.looked.get(*at))
    }

    /// The coupons that were read, oldest first.
    pub fn looked(&self) -> impl DoubleEndedIterator<Item = &Located<H>> {
        self.looked.iter().rev()
    }

    /// The one coupon of a campaign that gives each user one.
    pub fn only_one(&self) -> Option<&Located<H>> {
        (self.end.limit == Some(1)).then(|| self.counted().next_back())?
    }

    pub fn entry(&self, reference: Option<IssueRef>) -> NewEntry<S>
    where
        S: Clone,
    {
        NewEntry { user: self.user.clone(), reference, slot: self.end.slot.clone() }
    }
}

/// Which coupons of a claim a store reads, and which of them count.
///
/// A full claim costs as many reads as its limit, and one more for each coupon that was taken back. Each
/// time twice as many are read as the time before, so that cold is asked some ten times at most.
#[derive(Debug)]
pub struct Counting<'a, H> {
    user: &'a UserId,
    enough: usize,
    beside: Option<&'a Code>,
    some: usize,
    found: usize,
    looked: Vec<Located<H>>,
    counted: Vec<usize>,
}

impl<'a, H: Here> Counting<'a, H> {
    /// Until as many count as `enough` says (`None`: every coupon is read); `beside` does not count.
    pub fn begin(user: &'a UserId, enough: Option<u16>, beside: Option<&'a Code>) -> Self {
        let enough = enough.map_or(usize::MAX, usize::from);
        let some = enough.clamp(1, ENTRIES_MAX);
        Counting { user, enough, beside, some, found: 0, looked: Vec::new(), counted: Vec::new() }
    }

    /// How many of the next `left` coupons to read; 0 ends it.
    pub fn next(&mut self, left: usize) -> usize {
        if self.found >= self.enough {
            return 0;
        }
        let next = self.some.min(left);
        self.some = self.some.saturating_mul(2);
        next
    }

    /// Whether the store must look for a [`Replacement`]: not if the coupon still works, as most do.
    pub fn may_be_replaced(&self, located: &Located<H>, at: Millis) -> bool {
        irreplaceable(&located.coupon, located.terms(), self.user, at).is_none()
    }

    /// The next coupon, newest entry first, and who got another one for it.
    pub fn take(&mut self, located: Located<H>, by: Option<&Replacement>) {
        let coupon = &located.coupon;
        let is_replaced = by.is_some_and(|by| by.is_of(coupon, self.user));
        if coupon.holder() == Some(self.user) && !is_replaced {
            self.counted.push(self.looked.len());
            self.found += usize::from(Some(coupon.code()) != self.beside);
        }
        self.looked.push(located);
    }

    pub fn end<S>(self, end: ClaimEnd<S>) -> Claim<H, S> {
        let Counting { user, looked, counted, .. } = self;
        Claim { user: user.clone(), end, looked, counted }
    }
}

/// Who was given a coupon in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub user: String,
    /// The event of the replaced coupon that had given it to them, or [`ANY_ISSUE`].
    pub issue: Option<i32>,
}

impl Replacement {
    /// Whether it is about `coupon` as `user` has it now: given to them once more, it counts again.
    pub fn is_of(&self, coupon: &Coupon, user: &UserId) -> bool {
        self.user == user.as_str()
            && (self.issue == issue_of(coupon) || self.issue == Some(ANY_ISSUE))
    }
}

/// Which event gave the coupon to its holder; at most 32.
pub fn issue_of(coupon: &Coupon) -> Option<i32> {
    coupon.issue_sequence().and_then(|sequence| i32::try_from(sequence).ok())
}

/// The holder whose claim gets an entry for a coupon that comes or came by other ways than an issue.
/// They are counted and not refused.
pub fn claimant<'a>(terms: &Campaign, coupon: &'a Coupon) -> Option<&'a UserId> {
    // Without a limit there is nothing to count.
    coupon.holder().filter(|_| terms.per_user_limit.is_some())
}

/// The event that makes a user the holder of a coupon, in an entry that is written before the coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimIntent {
    /// The number of the event, from 1. 0 where the entry is certain.
    pub sequence: usize,
    pub operation: OperationId,
    /// The version of the coupon that the change replaces.
    pub version: u64,
}

impl ClaimIntent {
    /// The next event of `before`, written by the change `operation`.
    pub fn next(before: &Coupon, operation: OperationId) -> ClaimIntent {
        ClaimIntent { sequence: before.events().len() + 1, operation, version: before.version() }
    }

    /// The event by which its present holder has a coupon.
    pub fn past(coupon: &Coupon) -> ClaimIntent {
        let sequence = coupon.issue_sequence().unwrap_or(coupon.events().len());
        let event = sequence.checked_sub(1).and_then(|at| coupon.events().get(at));
        let operation = event.map_or(OperationId(0), |event| event.operation);
        ClaimIntent { sequence, operation, version: coupon.version().saturating_sub(1) }
    }

    pub fn happened(&self, coupon: &Coupon, user: &UserId) -> bool {
        let Some(at) = self.sequence.checked_sub(1) else { return true };
        coupon.events().get(at).is_some_and(|event| {
            event.operation == self.operation && makes_holder(&event.kind, user)
        })
    }
}

/// Whether it is an issue to `user`, or a redemption by them, which gives a bearer code its holder.
pub fn makes_holder(kind: &EventKind, user: &UserId) -> bool {
    match kind {
        EventKind::Issued { to, .. } => to == user,
        EventKind::Redeemed { by, .. } => by.as_ref() == Some(user),
        EventKind::RedemptionCancelled { .. }
        | EventKind::Revoked { .. }
        | EventKind::Voided { .. }
        | EventKind::Extended { .. } => false,
    }
}

/// What became of an entry that was written before its coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Happened,
    /// It came to nothing and never will: another entry may have its place.
    Dead,
    /// This very change began it, and goes on with another coupon.
    Own,
    /// Nothing is known of its coupon; an import may be writing it.
    Elsewhere,
    /// Another change began it.
    Begun,
}

/// What became of an entry of `user` about the coupon `located`, as the change `own` sees it.
pub fn fate<H>(
    intent: &ClaimIntent,
    located: Option<&Located<H>>,
    user: &UserId,
    own: OperationId,
) -> Fate {
    let Some(located) = located else { return Fate::Elsewhere };
    let coupon = &located.coupon;
    // First what the coupon shows: the version may have moved on by this very event.
    if intent.happened(coupon, user) {
        Fate::Happened
    } else if coupon.version() > intent.version || located.frozen {
        // The change was for a version that is over, or nothing changes there any more.
        Fate::Dead
    } else if own == intent.operation {
        Fate::Own
    } else {
        Fate::Begun
    }
}

/// What is to be done with an entry that another change began.
#[derive(Debug)]
pub enum Finish {
    /// The user gets the coupon: this is written under the operation of the entry.
    Give(Box<Coupon>),
    /// Nothing, as long as this stands in the way.
    Blocked(Refusal),
    /// The coupon takes its next version as it is, so that the change that began the entry fails.
    Fence(Box<Coupon>),
}

/// Finishes what was begun for `user`: gives them the coupon, or makes sure that the process that
/// began it cannot finish it any more. `change` is the one that met the entry.
pub fn finish<H: Here>(
    begun: &ClaimIntent,
    reference: Option<IssueRef>,
    located: &Located<H>,
    user: &UserId,
    change: &Change,
    clock_bound_ms: i64,
) -> Finish {
    // The request of this order goes on with another coupon: what its first try began must end.
    let is_own = order_of(&change.action)
        .is_some_and(|order| reference.as_ref() == Some(&IssueRef::of_order(order)));
    // A user who showed a bearer code and got no answer has not got it.
    if located.terms().handout != Handout::Bearer {
        let give = Change {
            // What the entry does not have is lost here. So a new field of an issue must be in the
            // entry; only `expires_at` follows from the terms.
            action: Action::Issue { to: user.clone(), reference, expires_at: None },
            asker: Asker::Shop,
            actor: change.actor.clone(),
            // Under the id of the process that began it: this finishes its change.
            operation: begun.operation,
            at: change.at,
            if_version: None,
        };
        let give = with_issued_until(&give, located.terms());
        match located.apply(&give, clock_bound_ms) {
            Outcome::Accepted(after) => return Finish::Give(after),
            Outcome::Refused(why @ (Refusal::Paused | Refusal::IssueClosed { .. })) if !is_own => {
                return Finish::Blocked(why);
            }
            Outcome::Replayed | Outcome::Refused(_) => {}
        }
    }
    Finish::Fence(Box::new(fenced(&located.coupon)))
}

/// The order for which a change takes a coupon.
fn order_of(action: &Action) -> Option<&OrderRef> {
    match action {
        Action::Redeem { order, .. } | Action::Hold { order, .. } => Some(order),
        _ => None,
    }
}

/// The coupon as it is, in its next version: no write for the present one is accepted any more.
pub fn fenced(coupon: &Coupon) -> Coupon {
    Coupon::of(
        coupon.genesis().clone(),
        coupon.events().to_vec(),
        coupon.hold().cloned(),
        coupon.version() + 1,
        coupon.modified_at(),
    )
}

#[cfg(test)]
mod tests;
