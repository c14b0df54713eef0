//! The values that go into a hot store and come out of it.

mod campaign;
mod list;

use std::sync::Arc;

use coupon::apply::{Action, Change, Outcome};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use coupon::worth::RedemptionWorth;

pub use campaign::{
    CampaignPatch, CampaignRow, MintOrder, NewCampaign, Patched, earlier_ends_of,
    earlier_ends_text, worth_of, worth_text,
};
pub use list::{ListOrder, ListPosition, ListQuery, ListScope, ListedPage, tie};

/// The result of a write that is named by its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// The name was free.
    Created(T),
    /// An earlier request of this name asked for the same.
    Same(T),
    /// A rule refused it, [`Refusal::NameTaken`] among them.
    Refused(Refusal),
}

coupon::words! {
    /// Where a coupon lies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Tier {
        /// Here, and it may still change.
        Hot = "hot",
        /// In cold, and it is final.
        Cold = "cold",
    }
}

/// A coupon with what an answer about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponSnapshot {
    pub coupon: Coupon,
    pub campaign: Arc<Campaign>,
    pub batch_paused: bool,
    pub tier: Tier,
}

/// The outcome of a change, and the coupon after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub outcome: Outcome,
    /// The coupon that the outcome is about; `None` if no coupon was found.
    pub snapshot: Option<CouponSnapshot>,
}

impl Applied {
    pub fn code(&self) -> Option<&Code> {
        self.snapshot.as_ref().map(|it| it.coupon.code())
    }

    pub fn refusal(&self) -> Option<Refusal> {
        match self.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Accepted(_) | Outcome::Replayed => None,
        }
    }

    /// What the redemption keeps that `change` made or cancelled, or that would follow the hold which it took.
    pub fn worth(&self, change: &Change) -> Option<RedemptionWorth> {
        let snapshot = self.snapshot.as_ref().filter(|_| self.refusal().is_none())?;
        match &change.action {
            // The benefit of a campaign that has issued a coupon stays.
            Action::Hold { money, .. } => {
                snapshot.campaign.terms(snapshot.batch_paused, 0).worth(money).ok().flatten()
            }
            Action::Redeem { order, .. } | Action::CancelRedemption { order, .. } => {
                snapshot.coupon.redemption_of(order)?.worth
            }
            Action::Issue { .. }
            | Action::Release { .. }
            | Action::Revoke { .. }
            | Action::Void { .. }
            | Action::Extend { .. } => None,
        }
    }
}

/// How much less an order costs by the coupons so far.
#[derive(Debug, Default)]
pub struct OrderDiscounts {
    sum: u64,
    /// A shared code may stand for a coupon that the order has named already.
    codes: Vec<Code>,
}

impl OrderDiscounts {
    /// The change of the next coupon, by what is left of the order.
    pub fn before(&self, change: &Change) -> Change {
        change.behind(self.sum)
    }

    /// Adds what came of that change.
    pub fn add(&mut self, change: &Change, applied: &Applied) {
        let Some(code) = applied.code() else { return };
        let discount = applied.worth(change).and_then(|worth| worth.discount);
        if let Some(discount) = discount
            && !self.codes.contains(code)
        {
            self.sum += discount;
            self.codes.push(code.clone());
        }
    }
}

/// One line of an import whose text was well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLine {
    pub code: Code,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works.
    pub expires_at: Millis,
    /// Its state in the system that it comes from.
    pub imported_state: ImportedState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It made a coupon, or moved one forward.
    Imported,
    /// It said nothing new.
    AlreadyThere,
    /// The code exists with other dates, in another campaign, or as a shared word.
    CodeTaken,
    /// It contradicts what has happened, or its partition is closed.
    Refused(Refusal),
}

/// The account of a user who signs in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name that they sign in with.
    pub login_id: UserId,
    /// Their name in tokens and coupons.
    pub user_id: UserId,
    /// The hash of their password, as a PHC string.
    pub password_hash: String,
}

/// Figures of a store for its operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Look-ups since the process began.
    pub reads: u64,
    /// Statements since the process began, those that read and those that write.
    pub statements: u64,
    /// Accepted writes since the process began.
    pub writes: u64,
    /// Commits since the process began; a commit carries a group of writes.
    pub commits: u64,
    /// Microseconds that all commits took to become durable, where the store knows.
    pub sync_micros: u64,
    /// Writes waiting at the moment.
    pub waiting: u64,
    /// Microseconds that the oldest of these has waited.
    pub oldest_waiting_micros: u64,
    /// Unknown writes that were looked for and had been applied.
    pub resolved_applied: u64,
    /// Unknown writes that were looked for and had not been applied.
    pub resolved_refused: u64,
    /// Unknown writes that could not be resolved: the caller got an unknown outcome.
    pub left_unknown: u64,
    /// Writes that were sent a second time, for the same version.
    pub resent: u64,
    /// Times that an event was put aside because its coupon could not be read, or a part of the feed.
    pub events_aside: u64,
}
