//! Campaigns and their batches: what a shop offers, in which numbers, and until when.

mod batch;
mod handout;
mod prefix;
mod terms;
mod worth;

use crate::calendar::{Date, Zone};
use crate::code::Code;
use crate::ids::CampaignId;
use crate::time::{Day, Millis};

pub use batch::{BATCHES_MAX, Batch, BatchKind, ImportCounts, MintedRun};
pub use handout::{BadHandout, Handout};
pub use prefix::{BadPrefix, PREFIX_LEN_MAX, Prefix};
pub use terms::Terms;
pub use worth::CampaignWorth;

/// Most coupons of one campaign, and of one batch: ten times the largest that anybody asked for,
/// and a tenth of the serials of a day.
pub const STOCK_MAX: u64 = 100_000_000_000;

const _: () = assert!(STOCK_MAX < crate::minted::SERIALS_PER_DAY);

/// Largest `per_user_limit`: a claim, one row, lists each of them.
pub const PER_USER_LIMIT_MAX: u16 = 100;

/// Most times that a campaign gets a later end: each keeps one more day open.
pub const EARLIER_ENDS_MAX: usize = 8;

/// Longest `cancel_days` and `extend_days`: a year and a day keep a partition open.
pub const OPEN_DAYS_MAX: u16 = 366;

/// `cancel_days` and `extend_days` where the campaign does not say.
pub const OPEN_DAYS_DEFAULT: u16 = 30;

/// Longest `valid_days`: ten years.
pub const VALID_DAYS_MAX: u16 = 3_660;

/// Longest `name`, in bytes of UTF-8.
pub const CAMPAIGN_NAME_LEN_MAX: usize = 200;

/// Longest `metadata`, in bytes of JSON.
pub const METADATA_LEN_MAX: usize = 4_096;

/// One offer, its limits and its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    pub id: CampaignId,
    pub name: String,
    pub handout: Handout,
    pub shared_code: Option<Code>,
    pub code_prefix: Option<Prefix>,
    /// First instant at which its coupons work.
    pub valid_from: Millis,
    /// First instant at which they no longer work.
    pub expires_at: Millis,
    /// The ends that it had before, ascending: codes were minted for the days of each.
    pub earlier_ends: Vec<Millis>,
    pub zone: Zone,
    /// A coupon works until the end of the day this many days after its issue.
    pub valid_days: Option<u16>,
    /// First instant at which it issues.
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// Most coupons one user may hold; `None` only for bearer campaigns.
    pub per_user_limit: Option<u16>,
    /// See [`Terms::cancel_days`].
    pub cancel_days: u16,
    /// See [`Terms::extend_days`].
    pub extend_days: u16,
    pub paused: bool,
    /// The shop's own JSON object, as text.
    pub metadata: Option<String>,
    pub worth: CampaignWorth,
    pub created_at: Millis,
}

impl Campaign {
    /// The partition of the coupons that are minted now.
    pub fn expiry_day(&self) -> Day {
        Day::expiry_day_of(self.expires_at)
    }

    /// The partitions before it whose minted coupons last until the campaign ends: a coupon is in the
    /// partition of its code until something happens to it.
    pub fn earlier_days(&self) -> impl Iterator<Item = Day> + '_ {
        let days = self.earlier_ends.iter().map(|end| Day::expiry_day_of(*end));
        days.filter(|day| *day != self.expiry_day())
    }

    /// The calendar day of its last millisecond, in its zone.
    pub fn expires_on(&self) -> Date {
        Date::last_of(self.expires_at, &self.zone)
    }

    /// The expiry of a coupon issued at `at`; `None` if the campaign has no `valid_days`.
    pub fn issued_until(&self, at: Millis) -> Option<Millis> {
        self.valid_days.map(|days| Date::of(at, &self.zone).plus_days(days).end(&self.zone))
    }

    /// The terms for a coupon of this campaign, whose batch is paused or not.
    pub fn terms(&self, batch_paused: bool, clock_bound_ms: i64) -> Terms {
        Terms {
            handout: self.handout,
            paused: self.paused || batch_paused,
            issue_from: self.issue_from,
            issue_until: self.issue_until,
            cancel_days: self.cancel_days,
            extend_days: self.extend_days,
            clock_bound_ms,
            currency: self.worth.currency,
            benefit: self.worth.benefit,
        }
    }
}

/// How many of a campaign's coupons are in each state; the rest of `stock` is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// All coupons of its batches.
    pub stock: u64,
    pub issued: u64,
    pub redeemed: u64,
    pub void: u64,
}

impl CampaignCounts {
    /// Coupons that nobody has got.
    pub fn available(&self) -> u64 {
        self.stock.saturating_sub(self.issued + self.redeemed + self.void)
    }
}
