//! What the callers of one seed asked, and what they were told.

use coupon::apply::Change;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::{Applied, CouponSnapshot, HotError, ImportLine, ImportOutcome};

/// One call of one caller. Times are simulated milliseconds since the seed began: they are of one
/// clock, whatever the clocks of the processes say.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which process was asked.
    pub process: usize,
    /// When it was asked.
    pub began_ms: u64,
    /// When it answered; `None` if it never did.
    pub ended_ms: Option<u64>,
    /// The time by the clock of the process when it was asked.
    pub clock: Millis,
    /// The request.
    pub asked: Asked,
    /// The answer.
    pub told: Told,
}

impl Call {
    /// The coupon that the answer shows.
    pub fn shown(&self) -> Option<&CouponSnapshot> {
        match &self.told {
            Told::Applied(applied) => applied.snapshot.as_ref(),
            Told::Read(read) => read.as_deref(),
            Told::Imported(_) | Told::NotDone(_) | Told::Unknown(_) | Told::Damaged(_) => None,
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub enum Asked {
    /// `Coupons::issue`.
    Issue {
        /// The campaign.
        campaign: CampaignId,
        /// Its action is an issue.
        change: Change,
    },
    /// `Coupons::apply` to one coupon.
    Change {
        /// The coupon.
        code: Code,
        /// Any action.
        change: Change,
    },
    /// `Coupons::apply` through the shared code of a campaign.
    Shared {
        /// The campaign.
        campaign: CampaignId,
        /// Any action.
        change: Change,
    },
    /// `Coupons::read`.
    Read {
        /// The coupon.
        code: Code,
    },
    /// `Imports::import`.
    Import {
        /// The campaign.
        campaign: CampaignId,
        /// The batch.
        batch: BatchId,
        /// The lines.
        lines: Vec<ImportLine>,
    },
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Told {
    /// Of `issue` and `apply`: a refusal, too.
    Applied(Box<Applied>),
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

impl Told {
    /// What an error of the store promises.
    pub fn of_error(error: &HotError) -> Told {
        match error {
            HotError::Unknown(_) => Told::Unknown(error.to_string()),
            HotError::Damaged(_) => Told::Damaged(error.to_string()),
            _ => Told::NotDone(error.to_string()),
        }
    }
}
