//! A coupon as a store found it, and what is to be written for a change of it.

use std::borrow::Cow;
use std::sync::Arc;

use coupon::apply::{Action, Change, Outcome};
use coupon::campaign::Campaign;
use coupon::coupon::Coupon;
use coupon::ids::{Actor, IssueRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Day;

use super::partition::refused_by_seal;
use crate::{Applied, CouponSnapshot, Tier};

/// Where a store finds the row of a coupon again, and the campaign that it read with it.
pub trait Here: Clone {
    fn terms(&self) -> &Arc<Campaign>;
}

/// A coupon and where it lies. `H` is what its store needs besides.
#[derive(Clone, Debug)]
pub struct Located<H> {
    pub coupon: Coupon,
    pub batch_paused: bool,
    pub day: Day,
    pub tier: Tier,
    /// Whether it lies in cold or behind a seal: nothing changes it any more.
    pub frozen: bool,
    /// Where its store finds it again.
    pub here: H,
}

impl<H: Here> Located<H> {
    pub fn terms(&self) -> &Arc<Campaign> {
        self.here.terms()
    }

    /// The coupon as an answer shows it.
    pub fn snapshot(&self) -> CouponSnapshot {
        self.snapshot_of(self.coupon.clone())
    }

    fn snapshot_of(&self, coupon: Coupon) -> CouponSnapshot {
        CouponSnapshot {
            coupon,
            campaign: Arc::clone(self.terms()),
            batch_paused: self.batch_paused,
            tier: self.tier,
        }
    }

    /// What `change` does to the coupon by the rules and by the seal of its partition.
    /// `clock_bound_ms` is how far two clocks of the store's processes may be apart.
    pub fn apply(&self, change: &Change, clock_bound_ms: i64) -> Outcome {
        let terms = self.terms().terms(self.batch_paused, clock_bound_ms);
        match coupon::apply(&self.coupon, change, &terms) {
            // The rules first: a replay or a refusal is the same behind a seal.
            Outcome::Accepted(_) if self.frozen => {
                Outcome::Refused(refused_by_seal(&change.action))
            }
            outcome => outcome,
        }
    }
}

/// The answer to a change, and what to write for it. `S` is where a new entry of a claim goes.
#[derive(Clone, Debug)]
pub struct Decision<H, S> {
    pub applied: Applied,
    /// What is written, together with the coupon of an accepted outcome. `None`: nothing.
    pub writes: Option<Writes<H, S>>,
}

/// What an accepted change replaces.
#[derive(Clone, Debug)]
pub struct Writes<H, S> {
    pub before: Located<H>,
    /// The entry in the claim of its new holder, if it has one.
    pub entry: Option<NewEntry<S>>,
    pub actor: Actor,
}

impl<H: Here, S> Decision<H, S> {
    fn without_writes(outcome: Outcome, snapshot: Option<CouponSnapshot>) -> Self {
        Decision { applied: Applied { outcome, snapshot }, writes: None }
    }

    pub fn not_found() -> Self {
        Decision::refused(Refusal::NotFound)
    }

    pub fn refused(refusal: Refusal) -> Self {
        Decision::without_writes(Outcome::Refused(refusal), None)
    }

    pub fn refused_at(located: &Located<H>, refusal: Refusal) -> Self {
        Decision::without_writes(Outcome::Refused(refusal), Some(located.snapshot()))
    }

    /// The coupon is as the change asks for.
    pub fn replayed(located: &Located<H>) -> Self {
        Decision::without_writes(Outcome::Replayed, Some(located.snapshot()))
    }

    /// By a change of `actor`, `after` replaces `before`, and `entry` goes into the claim of its new holder.
    pub fn accepted(
        before: Located<H>,
        after: Box<Coupon>,
        entry: Option<NewEntry<S>>,
        actor: Actor,
    ) -> Self {
        let snapshot = Some(before.snapshot_of(Coupon::clone(&after)));
        let applied = Applied { outcome: Outcome::Accepted(after), snapshot };
        Decision { applied, writes: Some(Writes { before, entry, actor }) }
    }

    /// The answer to a change of a coupon that its user has already: no entry in a claim.
    pub fn of(located: &Located<H>, change: &Change, clock_bound_ms: i64) -> Self {
        match located.apply(change, clock_bound_ms) {
            Outcome::Accepted(after) => {
                Decision::accepted(located.clone(), after, None, change.actor.clone())
            }
            Outcome::Replayed => Decision::replayed(located),
            Outcome::Refused(refusal) => Decision::refused_at(located, refusal),
        }
    }
}

/// What is known of a coupon whose row is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Nothing: a minted code may be one that nobody has touched.
    None,
    /// The directory names its partition: there was a coupon.
    Entry,
}

/// What is said of a coupon behind an archived marker or a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromCold<'a> {
    Coupon(&'a Coupon),
    /// There never was one.
    Nothing,
    /// Cold lacks a coupon that was there when hot evicted it: an error, never "no such coupon".
    Missing,
}

/// What cold's answer `found` means for a code with the archived marker `marker`, if it has one.
pub fn from_cold(found: Option<&Coupon>, marker: Option<u64>, promise: Promise) -> FromCold<'_> {
    // An older copy is no answer: hot gave up a later version.
    match found.filter(|coupon| coupon.version() >= marker.unwrap_or(0)) {
        Some(coupon) => FromCold::Coupon(coupon),
        None if marker.is_none() && promise == Promise::None => FromCold::Nothing,
        None => FromCold::Missing,
    }
}

#[derive(Clone, Debug)]
pub struct NewEntry<S> {
    pub user: UserId,
    pub reference: Option<IssueRef>,
    /// Where the store writes it.
    pub slot: S,
}

/// In a campaign with `valid_days` the expiry of an issue counts from it.
pub(super) fn with_issued_until<'a>(change: &'a Change, campaign: &Campaign) -> Cow<'a, Change> {
    let Action::Issue { to, reference, expires_at: _ } = &change.action else {
        return Cow::Borrowed(change);
    };
    let expires_at = campaign.issued_until(change.at);
    let (to, reference) = (to.clone(), reference.clone());
    Cow::Owned(Change { action: Action::Issue { to, reference, expires_at }, ..change.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{coupon, issued};

    #[test]
    fn what_cold_says_of_a_coupon_without_a_row() {
        let archived = coupon("CODE01", vec![issued("ann")]);
        let found = Some(&archived);
        let here = FromCold::Coupon(&archived);
        let (nothing, missing) = (FromCold::Nothing, FromCold::Missing);
        let cases = [
            ("sealed, and in cold", found, None, Promise::None, here),
            ("in the directory, and in cold", found, None, Promise::Entry, here),
            ("in the version of its marker", found, Some(1), Promise::None, here),
            ("in a later version", found, Some(0), Promise::None, here),
            ("in an earlier version", found, Some(2), Promise::None, missing),
            ("nowhere", None, None, Promise::None, nothing),
            ("in the directory alone", None, None, Promise::Entry, missing),
            ("a marker alone", None, Some(1), Promise::None, missing),
        ];
        for (name, found, marker, promise, want) in cases {
            assert_eq!(from_cold(found, marker, promise), want, "{name}");
        }
    }
}
