//! The trait of every hot store: one method for each protocol, in a trait of its own for each theme.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::{Batch, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, OrderRef, UserId};
use coupon::imported::ImportRun;
use coupon::minted::KeyId;
use coupon::time::Millis;
use router::{Address, Directory, Found};

use crate::activity::Activities;
use crate::audit::{Act, Audit};
use crate::feed::Feed;
use crate::inventory::Verifiable;
use crate::people::People;
use crate::redemptions::Redemptions;
use crate::tables::Tables;
use crate::{
    Account, Applied, CampaignPatch, CampaignRow, CouponSnapshot, Facts, Gauge, HotError,
    ImportLine, ImportOutcome, ListQuery, ListedPage, MintOrder, Named, NewCampaign,
    OrderDiscounts, Partitions, Patched, Result,
};

/// Where active coupons live. Linearizable per coupon, and per claim of a user; no order between
/// two coupons. Every method that writes is durable before it returns.
///
/// # Errors
/// Any [`HotError`], from every method of this trait and of those it is made of; a refusal by the rules is a value.
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

    /// Whether it keeps budgets: no redemption passes one, at no instant.
    fn keeps_budgets(&self) -> bool;

    /// Who redeemed what for which order; `None` if the store cannot find that.
    fn redemptions(&self) -> Option<&dyn Redemptions>;

    /// Tells what a person has, and forgets them.
    fn people(&self) -> &dyn People;

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

/// Campaigns: made by name, once; their terms and their counts.
#[async_trait]
pub trait Campaigns {
    /// Creates a campaign, its shared code and its first batch, or none of them.
    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>>;

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>>;

    /// Campaigns in the order of their names, after `after`, at most `limit`.
    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>>;

    /// Changes what may be changed of a campaign. When this returns, every process uses the new terms.
    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched>;
}

/// Batches: made by name, once; those that are minted, and what is said of all.
#[async_trait]
pub trait Batches {
    /// Reserves `order.count` serials for a batch: one small write, whatever the count.
    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>>;

    /// The batches of a campaign in the order of their creation, after the batch `after`.
    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>>;

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>>;

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>>;

    /// Every key that some batch names.
    async fn keys_in_use(&self) -> Result<Vec<KeyId>>;
}

/// Imports of coupons with codes of others.
#[async_trait]
pub trait Imports {
    /// Creates the batch that an import goes into, or finds it again. Deletes the rejected lines of an
    /// earlier run into it.
    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>>;

    /// Most lines of one call of [`Imports::import`]. They are one write: more lines would make other writers wait.
    fn import_lines_max(&self) -> usize;

    /// Imports a group of lines into a batch; one outcome each, in their order.
    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>>;

    /// The outcomes that [`Imports::import`] would give to lines with different codes, decided in the same way from
    /// the store as it is now. Writes nothing. At most [`Imports::import_lines_max`] lines.
    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>>;

    /// Stores the counts of an import: so far, or with `ended` those with which it ended.
    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>>;
}

/// Coupons: read one, change one, give one out, list many.
#[async_trait]
pub trait Coupons: Send + Sync {
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

    /// Applies changes of an order, each of another coupon and of what those before it have left of the order
    /// ([`Change::behind`]): all of them, or none if one is refused. Returns what became of each, or would have. A store
    /// that changes one coupon at a time may die between two of them: the same call again goes on, and
    /// [`Coupons::unfinished_order`] tells of it.
    async fn apply_all(
        &self,
        order: &OrderRef,
        changes: Vec<(Found, Change)>,
    ) -> Result<Vec<Applied>>;

    /// The answers that [`Coupons::apply_all`] would give, each coupon looked at by itself. Changes nothing.
    async fn dry_run_all(&self, changes: Vec<(Found, Change)>) -> Result<Vec<Applied>> {
        let (mut all, mut discounts) =
            (Vec::with_capacity(changes.len()), OrderDiscounts::default());
        for (found, change) in changes {
            let change = discounts.before(&change);
            let applied = self.dry_run(&found, change.clone()).await?;
            discounts.add(&change, &applied);
            all.push(applied);
        }
        Ok(all)
    }

    /// The coupons of an order that was begun, and may have redeemed some of them and not the others. None in a store
    /// that redeems all of them in one transaction.
    async fn unfinished_order(&self, _order: &OrderRef) -> Result<Vec<Code>> {
        Ok(Vec::new())
    }

    /// Issues a coupon of the campaign's stock; `change.action` must be an issue. Replays by the
    /// request's reference, enforces the user's limit, and answers sold out only if no coupon is left.
    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied>;

    /// One page of coupons that have rows here, without those in cold. Reads a bounded number of rows.
    async fn list(&self, query: ListQuery) -> Result<ListedPage>;
}

/// Accounts of users who sign in with a password.
#[async_trait]
pub trait Accounts {
    /// Creates an account; `false` if the login is taken.
    async fn create_account(&self, account: Account, now: Millis) -> Result<bool>;

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>>;

    async fn has_account(&self, user_id: &UserId) -> Result<bool>;

    /// Deletes an account; `false` if there is none.
    async fn remove_account(&self, user_id: &UserId) -> Result<bool>;
}
