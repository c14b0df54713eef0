//! What the callers of one seed asked, and what they were told.

use coupon::apply::Change;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, OrderRef};
use coupon::time::Millis;
use hot::{Applied, CouponSnapshot, HotError, ImportLine, ImportOutcome};

/// One call of one caller. Times are simulated milliseconds since the seed began: they are of one
/// clock, whatever the clocks of the processes say.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// Which process was asked.
    pub process: usize,
    /// When it was asked.
    pub began_ms: u64,
    /// When it answered; `None` if it never did.
    pub ended_ms: Option<u64>,
    /// The time by the clock of the process when it was asked.
    pub clock: Millis,
    pub asked: RecordedRequest,
    pub told: RecordedAnswer,
}

impl RecordedCall {
    /// The coupon that the answer shows.
    pub fn shown(&self) -> Option<&CouponSnapshot> {
        match &self.told {
            RecordedAnswer::Applied(applied) => applied.snapshot.as_ref(),
            RecordedAnswer::Read(read) => read.as_deref(),
            RecordedAnswer::Order(_)
            | RecordedAnswer::Imported(_)
            | RecordedAnswer::NotDone(_)
            | RecordedAnswer::Unknown(_)
            | RecordedAnswer::Damaged(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub enum RecordedRequest {
    /// `Coupons::issue`.
    Issue {
        campaign: CampaignId,
        /// Its action is an issue.
        change: Change,
    },
    /// `Coupons::apply` to one coupon.
    Change {
        code: Code,
        /// Any action.
        change: Change,
    },
    /// `Coupons::apply` through the shared code of a campaign.
    Shared {
        campaign: CampaignId,
        /// Any action.
        change: Change,
    },
    /// `Coupons::apply_all`.
    Order {
        order: OrderRef,
        /// Its coupons, and the changes of them.
        changes: Vec<(Code, Change)>,
    },
    /// `Coupons::read`.
    Read { code: Code },
    /// `Imports::import`.
    Import { campaign: CampaignId, batch: BatchId, lines: Vec<ImportLine> },
}

#[derive(Clone, Debug)]
pub enum RecordedAnswer {
    /// Of `issue` and `apply`: a refusal, too.
    Applied(Box<Applied>),
    /// Of `apply_all`: one a change.
    Order(Vec<Applied>),
    /// Of `read`; `None` if there is no such coupon.
    Read(Option<Box<CouponSnapshot>>),
    /// Of `import`: one outcome a line.
    Imported(Vec<ImportOutcome>),
    /// Nothing was written, and never will be.
    NotDone(String),
    /// It may have been done, or may be done later.
    Unknown(String),
    /// A row was found damaged: a violation whatever else happened.
    Damaged(String),
}

impl RecordedAnswer {
    /// What an error of the store promises.
    pub fn of_error(error: &HotError) -> RecordedAnswer {
        match error {
            HotError::Unknown(_) => RecordedAnswer::Unknown(error.to_string()),
            HotError::Damaged(_) => RecordedAnswer::Damaged(error.to_string()),
            _ => RecordedAnswer::NotDone(error.to_string()),
        }
    }
}
