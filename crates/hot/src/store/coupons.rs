//! Coupons: read one, change one, give one out, list many.

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::CampaignId;
use router::{Address, Found};

use crate::{Applied, CouponSnapshot, ListQuery, ListedPage, Result};

#[async_trait]
pub trait Coupons {
    /// One coupon, wherever an extension or the compactor has moved it. A minted code without a row
    /// anywhere is an untouched coupon.
    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>>;

    /// Whether each of `codes`, all of `run`, is untouched; same order, same length. Looks in cold if
    /// the partition is sealed. Consecutive serials cost less than one read for a hundred codes. If a
    /// call continues where another ended, its answer may be ten seconds old.
    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>>;

    /// Applies `change` to the coupon that was found, at most once. A change that makes a user the
    /// holder also checks their claim. A shared word stands for the user's coupon of its campaign;
    /// redeem and hold issue one to them if they have none.
    async fn apply(&self, found: &Found, change: Change) -> Result<Applied>;

    /// The answer that [`Coupons::apply`] would give. Writes nothing.
    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied>;

    /// Issues a coupon of the campaign's stock; `change.action` must be an issue. Replays by the
    /// request's reference, enforces the user's limit, and answers sold out only if no coupon is left.
    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied>;

    /// One page of coupons that have rows here, without those in cold. Reads a bounded number of rows.
    async fn list(&self, query: ListQuery) -> Result<ListedPage>;
}
