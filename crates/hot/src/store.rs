//! The trait of every hot store: one method for each protocol, in a trait of its own for each theme.

mod accounts;
mod batches;
mod campaigns;
mod coupons;
mod imports;

use std::sync::Arc;

use async_trait::async_trait;
use coupon::time::Millis;
use router::Directory;

pub use self::accounts::Accounts;
pub use self::batches::Batches;
pub use self::campaigns::Campaigns;
pub use self::coupons::Coupons;
pub use self::imports::Imports;
use crate::activity::Activities;
use crate::audit::Audit;
use crate::feed::Feed;
use crate::inventory::Verifiable;
use crate::redemptions::Redemptions;
use crate::tables::Tables;
use crate::{Facts, Gauge, HotError, Partitions, Result};

/// Where active coupons live. Linearizable per coupon, and per claim of a user; no order between
/// two coupons. Every method that writes is durable before it returns.
///
/// # Errors
/// Any [`HotError`], from every method of this trait and of those it is made of; a refusal by the
/// rules is a value.
#[async_trait]
pub trait HotStore:
    Directory<Error = HotError>
    + Campaigns
    + Batches
    + Imports
    + Coupons
    + Accounts
    + Partitions
    + Verifiable
    + Facts
{
    fn tables(&self) -> Arc<dyn Tables>;

    /// What happened; `None` if the store does not keep that.
    fn feed(&self) -> Option<&dyn Feed>;

    /// Deletes some events of the feed that are older; how many. 0 if there are none left that may be
    /// deleted. Also of a store that keeps no events any more.
    async fn forget_events(&self, _before: Millis) -> Result<usize> {
        Ok(0)
    }

    /// Begins a new epoch of the feed, after a restore: what a reader saw behind the newest event that is here
    /// did not survive.
    async fn begin_feed_epoch(&self) -> Result<()>;

    /// Who changed what, besides coupons; `None` if the store does not keep that.
    fn audit(&self) -> Option<&dyn Audit>;

    /// How often something was done; `None` if the store does not count that.
    fn activities(&self) -> Option<&dyn Activities>;

    /// Who redeemed what for which order; `None` if the store cannot find that.
    fn redemptions(&self) -> Option<&dyn Redemptions>;

    /// Announces a foreign or shared code of 16 or more characters. Returns when every process knows it
    /// (see [`Directory::has_long_codes`]).
    async fn announce_long_codes(&self) -> Result<()>;

    /// Whether the store accepts writes at the moment.
    async fn writable(&self) -> Result<(), String>;

    /// Makes one small durable write, for the banner and `doctor` to time.
    async fn touch(&self, now: Millis) -> Result<()>;

    /// Figures since the process began.
    fn gauge(&self) -> Gauge;
}
