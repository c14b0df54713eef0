//! An independent model of what the calls of a seed may have done, and what must be true after it.
//!
//! The checker knows only what callers asked, what they were told, and the coupons that were read
//! after a quiet while. It has its own fold of events and its own table of the rules of
//! `docs/rules.md`, so that a fault in those of the product is found, too.
//!
//! The order of the events of a coupon is known in the end. So a history is explained if each event
//! has an instant: after its call began, before any answer that shows it ended, and in their order.
//! The earliest and the latest instant of each event are two sums over the answers, and most checks
//! ask what was surely so, or may have been so, between two instants.

mod answers;
mod authors;
mod end;
pub mod erasures;
mod feed;
pub mod history;
mod imports;
mod legal;
mod life;
mod limits;
mod names;
mod orders;
mod rules;
mod standing;
mod story;
mod timeline;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::CouponSnapshot;
use hot::feed::FeedEvent;

use history::RecordedCall;
pub(crate) use names::replaced_by;
use story::SeedStory;

/// What the world of a seed was made with.
#[derive(Clone, Debug, Default)]
pub struct KnownWorld {
    pub campaigns: BTreeMap<CampaignId, KnownCampaign>,
    /// Batches that operators minted while callers asked, and when one of them was told that it is
    /// made; `None` if nobody was. The other minted batches are there from the beginning.
    pub minted_later: BTreeMap<(CampaignId, BatchId), Option<u64>>,
}

/// One campaign as it was made.
#[derive(Clone, Debug)]
pub struct KnownCampaign {
    /// Most coupons of one user; the highest that it ever was. `u32::MAX` if there is none.
    pub per_user_limit: u32,
    /// Whether whoever shows a code may redeem it.
    pub bearer: bool,
    /// Most coupons that it can have: minted, and imported by any call.
    pub stock: u64,
    /// First instant at which they no longer work.
    pub expires_at: Millis,
    /// First instant at which it issues.
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// Days in which a redemption can be cancelled.
    pub cancel_days: u16,
    /// Days after the expiry in which a coupon can be extended.
    pub extend_days: u16,
    /// Whether it, or a batch of it, was patched or paused during the run. Then every refusal that
    /// this may explain is accepted.
    pub changed: bool,
}

impl KnownCampaign {
    /// A campaign with so many coupons whose terms nobody changes.
    pub fn of(campaign: &Campaign, stock: u64) -> KnownCampaign {
        KnownCampaign {
            per_user_limit: campaign.per_user_limit.map_or(u32::MAX, u32::from),
            bearer: campaign.handout == Handout::Bearer,
            stock,
            expires_at: campaign.expires_at,
            issue_from: campaign.issue_from,
            issue_until: campaign.issue_until,
            cancel_days: campaign.cancel_days,
            extend_days: campaign.extend_days,
            changed: campaign.paused,
        }
    }
}

/// What was found after a quiet while.
#[derive(Clone, Debug, Default)]
pub struct SeedEnd {
    /// The last read of every coupon, also of those that nobody touched.
    pub coupons: BTreeMap<Code, CouponSnapshot>,
    /// Counts as the store says; none of a campaign whose counts need not be exact, because a
    /// process was killed with some.
    pub counts: BTreeMap<CampaignId, CampaignCounts>,
    /// How many coupons a batch has, as the store says; as for `counts`.
    pub batches: BTreeMap<(CampaignId, BatchId), u64>,
    /// What each reader of the event feed has read, in its order.
    pub feeds: Vec<Vec<FeedEvent>>,
    /// What `verify` and the look at what is left over have found: each is a violation.
    pub findings: Vec<String>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in a sentence.
    pub what: String,
    /// The calls that show it, by their indexes, in the order in which they began.
    pub calls: Vec<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.calls.as_slice() {
            [] => Ok(()),
            calls => {
                let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
                write!(f, "\n  shown by the calls {}", calls.join(", "))
            }
        }
    }
}

/// Everything that is wrong with the calls of a seed and with its end. Near linear in the calls.
pub fn check(known: &KnownWorld, calls: &[RecordedCall], end: &SeedEnd) -> Vec<Violation> {
    let (all, orders) = orders::with_their_changes(calls);
    let mut wrong = ViolationList::of(&all);
    let story = SeedStory::of(known, &all, end, &mut wrong);
    legal::check(&story, &mut wrong);
    answers::check(&story, &mut wrong);
    names::check(&story, &mut wrong);
    standing::check(&story, &mut wrong);
    limits::check(&story, &mut wrong);
    imports::check(&story, &mut wrong);
    end::check(&story, &mut wrong);
    feed::check(&story, &mut wrong);
    orders::check(&story, &mut wrong);
    orders::named(wrong.found, calls.len(), &orders)
}

/// The violations so far.
struct ViolationList<'a> {
    calls: &'a [RecordedCall],
    found: Vec<Violation>,
}

impl<'a> ViolationList<'a> {
    fn of(calls: &'a [RecordedCall]) -> ViolationList<'a> {
        ViolationList { calls, found: Vec::new() }
    }

    fn add(&mut self, what: String, shown_by: impl IntoIterator<Item = usize>) {
        let mut calls: Vec<usize> = shown_by.into_iter().collect();
        calls.sort_by_key(|nth| (self.calls.get(*nth).map(|call| call.began_ms), *nth));
        calls.dedup();
        self.found.push(Violation { what, calls });
    }
}
