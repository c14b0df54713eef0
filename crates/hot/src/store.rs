//! The hot store as a trait, and the values that go in and out.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::apply::{Change, Outcome};
use coupon::campaign::{Batch, Campaign, CampaignCounts, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use router::{Address, Directory, Found};

use crate::audit::Audit;
use crate::{CouponFilter, Facts, HotError, Partitions};

/// The result of a write that is named by its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// The name was free.
    Created(T),
    /// The same was asked before.
    Same(T),
    /// A rule said no, [`Refusal::NameTaken`] among them.
    Refused(Refusal),
}

/// A campaign with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRow {
    /// The terms.
    pub campaign: Arc<Campaign>,
    /// How many of its coupons are in which state.
    pub counts: CampaignCounts,
    /// The moment for which the counts hold.
    pub counted_at: Millis,
    /// See [`NewCampaign::created_as`].
    pub created_as: String,
}

/// Where a coupon lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Here, and it may still change.
    Hot,
    /// In cold, and it is final.
    Cold,
}

/// A coupon with what an answer about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponSnapshot {
    /// The coupon.
    pub coupon: Coupon,
    /// Its campaign.
    pub campaign: Arc<Campaign>,
    /// Whether its batch is paused.
    pub batch_paused: bool,
    /// Where it lies.
    pub tier: Tier,
}

/// What came of a change, and the coupon as it stands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What came of it.
    pub outcome: Outcome,
    /// The coupon it came of; `None` when no coupon was found for it.
    pub snapshot: Option<CouponSnapshot>,
}

/// A campaign to be made.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    /// Its terms.
    pub campaign: Campaign,
    /// The request in one normal form: the same name with the same form is a replay.
    pub created_as: String,
    /// Its first batch.
    pub first_batch: Option<MintOrder>,
}

/// A batch to be minted.
#[derive(Clone, Debug)]
pub struct MintOrder {
    /// Its name.
    pub id: BatchId,
    /// How many coupons.
    pub count: u64,
    /// Under which key.
    pub key: KeyId,
}

/// What `PATCH` changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignPatch {
    /// New name.
    pub name: Option<String>,
    /// New metadata, or none.
    pub metadata: Option<Option<String>>,
    /// Pause or resume.
    pub paused: Option<bool>,
    /// New start of the issue window, or none.
    pub issue_from: Option<Option<Millis>>,
    /// New end of the issue window, or none.
    pub issue_until: Option<Option<Millis>>,
    /// New limit; only upwards. `Some(None)`, no limit, is for bearer campaigns alone.
    pub per_user_limit: Option<Option<u16>>,
}

/// What came of a [`CampaignPatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched {
    /// The campaign as it is now.
    Done(CampaignRow),
    /// There is no such campaign.
    NotFound,
    /// The limit may only be raised.
    LimitNotRaised {
        /// The present one.
        present: Option<u16>,
    },
    /// `issue_from` would not be before `issue_until`.
    WindowEmpty,
}

/// One line of an import whose text was well-formed.
#[derive(Clone, Debug)]
pub struct ImportLine {
    /// Its code.
    pub code: Code,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works.
    pub expires_at: Millis,
    /// How it stood in the system it comes from.
    pub imported_state: ImportedState,
}

/// What came of one line of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It made a coupon, or moved one forward.
    Imported,
    /// It said nothing new.
    AlreadyThere,
    /// The code stands with other dates, in another campaign, or as a shared word.
    CodeTaken,
    /// It contradicts what has happened, or its partition is closed.
    Refused(Refusal),
}

/// A line of an import that was refused, as it is kept for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    /// The line.
    pub text: String,
    /// One word for the kind of fault.
    pub word: String,
    /// What was wrong with it.
    pub detail: String,
}

/// An account of somebody who signs in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What he types.
    pub login_id: UserId,
    /// What he is called in tokens and coupons.
    pub user_id: UserId,
    /// The hash of his password, as a PHC string.
    pub password_hash: String,
}

/// Whose coupons a list is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListScope {
    /// One holder's.
    Holder(UserId),
    /// One campaign's.
    Campaign(CampaignId),
    /// Everybody's, by the span of `expires_at` in the filter.
    Everybody,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// Latest expiry first.
    Latest,
    /// Soonest expiry first.
    Soonest,
}

/// Where a page ended: the next one begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPosition {
    /// The last coupon's expiry.
    pub expires_at: Millis,
    /// What the store tells coupons of one expiry apart by. Its own business.
    pub tie: u64,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Whose coupons.
    pub scope: ListScope,
    /// Which of them.
    pub filter: CouponFilter,
    /// In which order.
    pub order: ListOrder,
    /// Behind what.
    pub after: Option<ListPosition>,
    /// At most so many.
    pub limit: usize,
    /// The moment, for `expired`.
    pub now: Millis,
}

/// One page, and where the next begins.
#[derive(Clone, Debug)]
pub struct ListedPage {
    /// The coupons.
    pub coupons: Vec<CouponSnapshot>,
    /// Where each of them stands in the list.
    pub positions: Vec<ListPosition>,
    /// `None` at the end. A page may be short, even empty, and have a next: a store looks at a
    /// bounded number of rows for each.
    pub next: Option<ListPosition>,
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthFinding {
    /// As it should be.
    Sound(String),
    /// Figures that are kept beside their rows, once a second, differ from them: for a moment while
    /// the store is at work, for good after a killed process. Nothing depends on them.
    Drifted(String),
    /// Not as it should be, and what to do.
    Fault(String),
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
    /// Writes waiting at the moment.
    pub waiting: u64,
    /// Writes of whose outcome nobody told us, and that were found to have happened.
    pub resolved_applied: u64,
    /// The same, found not to have happened.
    pub resolved_refused: u64,
    /// The same, of which it could not be found out: answered with an unknown outcome.
    pub left_unknown: u64,
    /// Writes sent a second time, for the same version, on the way to an answer.
    pub resent: u64,
}

/// Where active coupons live. Linearizable per coupon, and per claim of a user; no order between
/// two coupons. Every method that writes is durable before it returns.
///
/// # Errors
/// Any [`HotError`], from every method; a refusal by the rules is a value.
#[async_trait]
pub trait HotStore: Directory<Error = HotError> + Partitions + Audit + Facts {
    /// Makes a campaign, its shared code and its first batch, or none of them.
    async fn create_campaign(&self, new: NewCampaign) -> Result<Named<CampaignRow>, HotError>;

    /// One campaign.
    async fn campaign(&self, id: &CampaignId, now: Millis)
    -> Result<Option<CampaignRow>, HotError>;

    /// Campaigns in the order of their names, behind `after`, at most `limit`.
    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>, HotError>;

    /// Changes what may be changed of a campaign. When this returns, every process obeys.
    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        now: Millis,
    ) -> Result<Patched, HotError>;

    /// Reserves `order.count` serials for a batch: one small write, whatever the count.
    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        now: Millis,
    ) -> Result<Named<Batch>, HotError>;

    /// Makes the batch that an import goes into, or finds it again. Forgets the rejected lines
    /// of an earlier run into it.
    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>, HotError>;

    /// Lines that one call of [`HotStore::import`] is given at the most. They are written as one: more
    /// would make other writers wait, or be more than is handed out together.
    fn import_lines_max(&self) -> usize;

    /// Imports a group of lines into a batch; one outcome each, in their order.
    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>, HotError>;

    /// Keeps rejected lines for the batch's report.
    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<(), HotError>;

    /// Writes down how an import ended.
    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>, HotError>;

    /// The rejected lines of a batch behind line `after`, at most `limit`.
    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>, HotError>;

    /// Forgets rejected lines kept before `before`; how many. At most some thousand a call.
    async fn forget_rejected(&self, before: Millis) -> Result<usize, HotError>;

    /// The batches of a campaign in the order in which they were made, behind the batch `after`.
    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, HotError>;

    /// One batch.
    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>, HotError>;

    /// Pauses or resumes a batch.
    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<String>,
    ) -> Result<Option<Batch>, HotError>;

    /// Says that there will be a foreign or shared code of 16 or more characters, and returns
    /// when every process knows (see [`Directory::has_long_codes`]).
    async fn announce_long_codes(&self) -> Result<(), HotError>;

    /// Every key that some batch names.
    async fn keys_in_use(&self) -> Result<Vec<KeyId>, HotError>;

    /// One coupon, wherever an extension or the compactor has moved it. A minted code of which
    /// nothing is known anywhere is an untouched coupon.
    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>, HotError>;

    /// Which of `codes`, all of `run`, nothing has happened to; same order, same length. On a
    /// sealed partition that is looked up in cold. Serials in a row cost fewer than one read for a
    /// hundred codes; of a call that goes on where another ended the answer may be ten seconds old.
    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>, HotError>;

    /// Applies `change` to the coupon that was found, at most once. Whoever becomes a holder by
    /// it passes through his claim. A shared word stands for the user's coupon of its campaign,
    /// which redeem and hold issue to him if he has none.
    async fn apply(&self, found: &Found, change: Change) -> Result<Applied, HotError>;

    /// What [`HotStore::apply`] would answer; nothing is written.
    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied, HotError>;

    /// Issues a coupon of the campaign's stock: `change.action` is an issue. Replays by the
    /// request's reference, keeps the user's limit, and says sold out only when it is true.
    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied, HotError>;

    /// One page of coupons that have rows here; what lies in cold is not among them. Looks at a
    /// bounded number of rows.
    async fn list(&self, query: ListQuery) -> Result<ListedPage, HotError>;

    /// Makes an account; `false` when the login is taken.
    async fn create_account(&self, account: Account, now: Millis) -> Result<bool, HotError>;

    /// The account behind a login.
    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>, HotError>;

    /// Whether the account exists.
    async fn has_account(&self, user_id: &UserId) -> Result<bool, HotError>;

    /// Removes an account; `false` when there is none.
    async fn remove_account(&self, user_id: &UserId) -> Result<bool, HotError>;

    /// Whether writes are accepted at the moment, and if not, why.
    async fn writable(&self) -> Result<(), String>;

    /// Makes one small durable write, for the banner and `doctor` to time.
    async fn touch(&self, now: Millis) -> Result<(), HotError>;

    /// Looks for damage: the file itself, rows against their events, counts against rows.
    /// Reads everything.
    async fn examine(&self) -> Result<Vec<HealthFinding>, HotError>;

    /// Figures since the process began.
    fn gauge(&self) -> Gauge;
}
