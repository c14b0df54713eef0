//! Campaigns and batches: the terms under which coupons are handed out and redeemed.

use std::fmt;
use std::str::FromStr;

use crate::calendar::{Date, Zone};
use crate::code::Code;
use crate::ids::{BatchId, CampaignId};
use crate::minted::KeyId;
use crate::refusal::Refusal;
use crate::time::{Day, Millis};

/// Most coupons of one campaign, and of one batch: ten times the largest that was asked for,
/// and a tenth of the serials of a day.
pub const STOCK_MAX: u64 = 100_000_000_000;

const _: () = assert!(STOCK_MAX < crate::minted::SERIALS_PER_DAY);

/// Largest `per_user_limit`: a claim, one row, lists each of them.
pub const PER_USER_LIMIT_MAX: u16 = 100;

/// Longest `cancel_days` and `extend_days`: a year and a day keep a partition open.
pub const OPEN_DAYS_MAX: u16 = 366;

/// `cancel_days` and `extend_days` where the campaign does not say.
pub const OPEN_DAYS_DEFAULT: u16 = 30;

/// Longest `valid_days`: ten years.
pub const VALID_DAYS_MAX: u16 = 3_660;

/// Longest `name`, in bytes of UTF-8.
pub const CAMPAIGN_NAME_LEN_MAX: usize = 200;

/// Longest `code_prefix`, in characters: a word, not a sentence.
pub const PREFIX_LEN_MAX: usize = 12;

/// Longest `metadata`, in bytes of JSON.
pub const METADATA_LEN_MAX: usize = 4_096;

/// Most batches of one campaign: an issue that finds nothing looks at each.
pub const BATCHES_MAX: usize = 1_000;

/// How a campaign's coupons reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handout {
    /// A shop's back end or an admin issues it to a person.
    Shop,
    /// A signed-in user may take one, too.
    SelfService,
    /// Whoever shows the code redeems it or puts it into his wallet.
    Bearer,
    /// One word for everybody, behind which each user gets a coupon of his own.
    Shared,
}

impl Handout {
    /// `shop`, `self`, `bearer` or `shared`.
    pub fn as_str(self) -> &'static str {
        match self {
            Handout::Shop => "shop",
            Handout::SelfService => "self",
            Handout::Bearer => "bearer",
            Handout::Shared => "shared",
        }
    }
}

/// The text is no way of handing out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0:?}, want shop, self, bearer or shared")]
pub struct BadHandout(String);

impl FromStr for Handout {
    type Err = BadHandout;

    fn from_str(text: &str) -> Result<Handout, BadHandout> {
        [Handout::Shop, Handout::SelfService, Handout::Bearer, Handout::Shared]
            .into_iter()
            .find(|handout| handout.as_str() == text)
            .ok_or_else(|| BadHandout(text.chars().take(20).collect()))
    }
}

/// The decoration in front of a minted code: 1 to [`PREFIX_LEN_MAX`] of A-Z and 0-9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// The text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0:?}, want 1 to {PREFIX_LEN_MAX} characters of A-Z and 0-9")]
pub struct BadPrefix(String);

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Prefix, BadPrefix> {
        let upper = text.to_ascii_uppercase();
        let fits = (1..=PREFIX_LEN_MAX).contains(&upper.len())
            && upper.bytes().all(|b| b.is_ascii_alphanumeric());
        match fits {
            true => Ok(Prefix(upper.into())),
            false => Err(BadPrefix(text.chars().take(20).collect())),
        }
    }
}

impl Prefix {
    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`crate::apply::apply`] has to know of a coupon's campaign and batch at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How its coupons reach people.
    pub handout: Handout,
    /// Whether the campaign or the coupon's batch is paused.
    pub paused: bool,
    /// First instant at which it issues.
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// Days after a redemption in which it can be cancelled; 0 is never.
    pub cancel_days: u16,
    /// Days after expiry in which a coupon can be extended.
    pub extend_days: u16,
    /// How far the clocks of two nodes may lie apart, in milliseconds; 0 on one machine.
    pub clock_bound_ms: i64,
}

impl Terms {
    /// Whether coupons may be issued at `at`, as far as the campaign is concerned.
    ///
    /// # Errors
    /// [`Refusal::Paused`], then [`Refusal::IssueClosed`].
    pub fn issues_at(&self, at: Millis) -> Result<(), Refusal> {
        if self.paused {
            return Err(Refusal::Paused);
        }
        match (self.issue_from, self.issue_until) {
            (Some(from), _) if at < from => Err(Refusal::IssueClosed { opens_at: Some(from) }),
            (_, Some(until)) if at >= until => Err(Refusal::IssueClosed { opens_at: None }),
            _ => Ok(()),
        }
    }
}

/// One offer, its limits and its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its name in URLs.
    pub id: CampaignId,
    /// Its name for people.
    pub name: String,
    /// How its coupons reach people.
    pub handout: Handout,
    /// The one word for everybody, in shared campaigns.
    pub shared_code: Option<Code>,
    /// The decoration of its minted codes.
    pub code_prefix: Option<Prefix>,
    /// First instant at which its coupons work.
    pub valid_from: Millis,
    /// First instant at which they no longer work.
    pub expires_at: Millis,
    /// The zone of its dates.
    pub zone: Zone,
    /// A coupon works until the end of the day that many days after its issue.
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
    /// Whether it is paused.
    pub paused: bool,
    /// The shop's own JSON object, as text.
    pub metadata: Option<String>,
    /// When it was made.
    pub created_at: Millis,
}

impl Campaign {
    /// The partition of its minted coupons.
    pub fn expiry_day(&self) -> Day {
        Day::expiry_day_of(self.expires_at)
    }

    /// The calendar day of its last millisecond, in its zone.
    pub fn expires_on(&self) -> Date {
        Date::last_of(self.expires_at, &self.zone)
    }

    /// The expiry that counts from an issue at `at`; `None` where the campaign's own counts.
    pub fn issued_until(&self, at: Millis) -> Option<Millis> {
        self.valid_days.map(|days| Date::of(at, &self.zone).plus_days(days).end(&self.zone))
    }

    /// What the rules have to know of it, for a coupon whose batch is paused or not.
    pub fn terms(&self, batch_paused: bool, clock_bound_ms: i64) -> Terms {
        Terms {
            handout: self.handout,
            paused: self.paused || batch_paused,
            issue_from: self.issue_from,
            issue_until: self.issue_until,
            cancel_days: self.cancel_days,
            extend_days: self.extend_days,
            clock_bound_ms,
        }
    }
}

/// How many of a campaign's coupons are in which state; what is left of `stock` is Available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// All of its batches together.
    pub stock: u64,
    /// Issued and not redeemed.
    pub issued: u64,
    /// Redeemed.
    pub redeemed: u64,
    /// Void.
    pub void: u64,
}

/// Where the codes of a batch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Codes of ours: a run of serials of one expiry day under one key.
    Minted(MintedRun),
    /// Codes of another system.
    Imported,
}

impl BatchKind {
    /// `minted` or `imported`.
    pub fn as_str(self) -> &'static str {
        match self {
            BatchKind::Minted(_) => "minted",
            BatchKind::Imported => "imported",
        }
    }
}

/// The serials of a minted batch. Never changes, so it may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintedRun {
    /// The key that minted it.
    pub key: KeyId,
    /// The expiry day inside its codes.
    pub day: Day,
    /// Its first serial.
    pub first: u64,
    /// How many serials it has.
    pub count: u64,
}

impl MintedRun {
    /// Whether `serial` lies in it.
    pub fn holds(&self, serial: u64) -> bool {
        serial >= self.first && serial - self.first < self.count
    }
}

/// How the lines of an import ended. The three add up to `lines`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Lines of the file, its header not counted.
    pub lines: u64,
    /// Lines that made a coupon or moved one forward.
    pub imported: u64,
    /// Lines that changed nothing.
    pub already_there: u64,
    /// Lines that were refused.
    pub rejected: u64,
}

/// Coupons that came into a campaign together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its name within the campaign.
    pub id: BatchId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Where its codes come from.
    pub kind: BatchKind,
    /// Its coupons.
    pub count: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// How its last import ended; zeros in a minted batch.
    pub import: ImportCounts,
    /// When it was made.
    pub created_at: Millis,
}
