//! The use cases, for any front end: HTTP, the command line, a test.
//!
//! Each method of [`Engine`] is one thing that a caller does with coupons. It checks the caller's
//! role, finds the coupon through `router`, lets `hot` make the change, and returns what the caller
//! may see. Absent on purpose: HTTP, JSON of requests and answers, SQL, environment variables.

mod accounts; // people who sign in here
mod activity; // how often something was done
mod archive; // the cold tier, as the hot store looks up archived coupons in it
mod audit; // who changed what besides coupons
mod batches;
mod caller; // who asks, and what their role allows
mod campaigns;
mod changed_coupons;
mod clock;
mod codes; // the list of a campaign's unused codes, for a printer
mod compactions; // what all processes have compacted
mod coupon_file; // coupons for a spreadsheet, and for an import
mod coupon_view;
mod coupons; // what a caller does with one coupon
pub mod csv;
mod erased; // who was forgotten, as hashes
mod erasures; // people who are to be forgotten
mod events; // which part of a coupon's history a caller may see
mod extensions; // coupons of campaigns that got a later end
mod facts; // short lists that all processes share
mod failure; // how a use case ends if it does not do what was asked
mod feed; // what happened, for those who follow it
mod feed_readers; // how far those who follow it are
mod gifts; // how many coupons a person at the console gives on a day
mod history; // exports of both tiers, as streams; not the events of one coupon
pub mod import;
mod lists; // which lists of coupons a caller may ask for
mod notice_positions; // how far rounds of notices are
mod notice_rounds; // how many notices were sent
mod notices; // which holders to notify before the expiry, and when
mod orders; // what an order does with several coupons
mod pages; // pages of a list, over both tiers
mod people; // what is known of a person
mod queries; // saved SQL of the console
mod redemption_file; // the same list for a spreadsheet
mod redemptions; // the list of redemptions, and what an order has redeemed
mod staff; // people who sign in to the console
mod stream_limit; // how much of the machine long streams may take
mod walk; // every coupon of both tiers, once each
mod weeks; // what happened in a week

#[cfg(test)]
mod testing;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cold::ColdStore;
use coupon::apply::{Action, Asker, Change};
use coupon::campaign::{Campaign, Handout};
use coupon::code::CodeText;
use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::time::Millis;
use hot::clock::clock_record;
use hot::tables::Tables;
use hot::{CouponSnapshot, HotStore, Partitions};
use parking_lot::RwLock;
use router::{Found, REMEMBERED_MAX, Router};

use failure::{Result, found};
use feed_readers::ProgressThrottle;
use futures::stream::BoxStream;
use stream_limit::StreamLimit;
use tokio::sync::Notify;

pub use accounts::ACCOUNT_PREFIX;
pub use activity::{CountInterval, CountsOfTime, CountsRequest, CountsView};
pub use archive::ColdArchive;
pub use batches::BatchRequest;
pub use caller::{Caller, Role};
pub use campaigns::{CampaignDraft, CampaignView};
pub use changed_coupons::{CHANGED_COUPONS_MAX, CouponNotes};
pub use clock::{Clock, SetClock, SystemClock};
pub use codes::{CodesFormat, CodesRequest};
pub use cold::{BucketTraffic, RequestKind};
pub use compactions::{
    COMPACTION_RUNS_MAX, COMPACTION_SILENT_MS, CompactionEnd, CompactionRun, CompactionStep,
    OtherRuns,
};
pub use coupon_file::{COUPON_COLUMNS, coupon_csv_header, coupon_csv_row};
pub use coupon_view::CouponView;
pub use coupons::{
    AdminChange, CheckView, HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HoldView, NewExpiry,
    NotFoundReason, RedemptionView,
};
pub use erasures::{
    ERASURES_OPEN_MAX, ErasureRecord, ErasureRequest, ErasureState, RestoredErasures,
    bring_erasures, erase_restored, know_erasures, open_erasures,
};
pub use events::{EventView, holders};
pub use extensions::ExtensionProgress;
pub use failure::{BadFile, Failure, FieldFault, WriteResult};
pub use feed::{
    EVENTS_DEFAULT, EVENTS_MAX, EventsAnswer, EventsRequest, EventsView, ShownEvent,
    unknown_webhook_type, webhook_types,
};
pub use feed_readers::{FEED_READERS_MAX, FeedReader};
pub use gifts::{GIFTS_MAX, GiftLimit, GiftSource};
pub use history::{CouponsRequest, DayOf, HistoryStream, RedemptionEntry, RedemptionsRequest};
pub use hot::activity::Activity;
pub use hot::audit::{AuditEvent, AuditKind, Audited, FieldChange, given};
pub use hot::feed::{
    CouponEventKind, CouponHappened, EventType, FeedEvent, FeedStart, Happened, REPORT_TYPE,
};
pub use hot::{
    Account, CampaignPatch, CouponFilter, Gauge, HotError, ListOrder, PartitionPlan, Span, Tier,
};
pub use import::RejectedLine;
pub use lists::{ListRequest, ListView, PAGE_DEFAULT, SPAN_DAYS_MAX};
pub use notice_rounds::{NOTICE_ROUNDS_MAX, NoticeRound};
pub use notices::{DueCoupon, DuePage, NOTICE_DAYS_MAX, NOTICE_TYPE, NoticeRange};
pub use orders::{ORDER_COUPONS_MAX, OrderCoupon, OrderCouponState, OrderRequest, OrderView};
pub use pages::{CursorPosition, PAGE_MAX, TieBreaker};
pub use people::{PersonFormat, PersonRecord, PersonStream};
pub use queries::{QUERIES_MAX, QUERY_BYTES_MAX, SavedQuery};
pub use redemption_file::{LineStream, redemption_csv_header, redemption_csv_row};
pub use redemptions::{
    REDEMPTION_DAYS_MAX, RedeemedPosition, RedemptionListRequest, RedemptionListView,
};
pub use staff::{
    BadStaffRole, IdentifiedStaff, STAFF_MAX, StaffInvitation, StaffList, StaffMember, StaffRole,
    end_restored_access,
};
pub use walk::{PartitionWalk, SiftedRows};
pub use weeks::WeekReport;

/// What is known of a campaign without a read.
#[derive(Clone, Copy)]
struct KnownCampaign {
    /// Never changes.
    handout: Handout,
    /// Only rises.
    per_user_limit: Option<u16>,
    read_at: Instant,
}

pub struct Engine {
    hot: Arc<dyn HotStore>,
    cold: Arc<ColdStore>,
    router: Router,
    clock: Arc<dyn Clock>,
    known: RwLock<HashMap<CampaignId, KnownCampaign>>,
    /// One more than the version of the cold tier that was last compared with hot.
    compared: AtomicU64,
    /// The readers of the feed that asked this process.
    feed_readers: ProgressThrottle,
    /// The hashes of who was erased, up to the erasure with a number.
    erased: RwLock<(u64, Arc<HashSet<String>>)>,
    /// Wakes who goes on with erasures.
    erasures_begun: Notify,
    /// Wakes who extends coupons of campaigns with a later end.
    extensions_begun: Notify,
}

impl Engine {
    /// An engine over a hot store and the cold tier with which it was opened. `router` has the code
    /// keys, the newest last.
    pub fn new(
        hot: Arc<dyn HotStore>,
        cold: Arc<ColdStore>,
        router: Router,
        clock: Arc<dyn Clock>,
    ) -> Engine {
        Engine {
            hot,
            cold,
            router,
            clock,
            known: RwLock::default(),
            compared: AtomicU64::new(0),
            feed_readers: ProgressThrottle::default(),
            erased: RwLock::default(),
            erasures_begun: Notify::new(),
            extensions_begun: Notify::new(),
        }
    }

    /// Returns when an erasure has begun in this process.
    pub async fn erasure_begun(&self) {
        self.erasures_begun.notified().await;
    }

    /// The same stream; each of its pieces waits for a place among the pieces of all long streams, whichever
    /// front end they are for.
    pub fn limited<T: Send + 'static>(
        &self,
        stream: BoxStream<'static, T>,
    ) -> BoxStream<'static, T> {
        StreamLimit::of_process().wrap(stream)
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// What is wrong with the clock, as far as the store knows; see [`ClockRecord::warning`].
    ///
    /// [`ClockRecord::warning`]: hot::ClockRecord::warning
    pub async fn clock_warning(&self) -> Option<String> {
        clock_record(self.hot()).await.ok().flatten().and_then(|record| record.warning())
    }

    /// Makes one small durable write, to measure how long it takes.
    pub async fn touch(&self) -> Result<(), HotError> {
        self.hot.touch(self.now()).await
    }

    /// The code that may be meant by one that no coupon has, as people read it. About 0.1 ms.
    pub fn meant(&self, text: &CodeText) -> Option<String> {
        Some(self.router.meant(text)?.printed(None))
    }

    pub fn tables(&self) -> Arc<dyn Tables> {
        self.hot.tables()
    }

    /// The hot store, for the commands of operators.
    pub fn hot(&self) -> &dyn HotStore {
        self.hot.as_ref()
    }

    /// The hot store as the compactor sees it.
    pub fn partitions(&self) -> Arc<dyn Partitions> {
        Arc::clone(&self.hot) as Arc<dyn Partitions>
    }

    pub fn cold(&self) -> &Arc<ColdStore> {
        &self.cold
    }

    fn printed_of(&self, snapshot: &CouponSnapshot) -> String {
        self.printed_with(snapshot.coupon.code(), snapshot.campaign.code_prefix.as_ref())
    }

    /// Whether anything was ever archived. If so, checks that cold has all of it: a list must not
    /// leave out coupons that a damaged log no longer names.
    ///
    /// # Errors
    /// Those of both stores; cold lacks coupons that were archived.
    pub async fn has_cold(&self) -> Result<bool> {
        let Some(begun) = self.hot.cold_mark().await?.begun else { return Ok(false) };
        if begun == 0 {
            // The version that creates the tables: they are still empty.
            return Ok(false);
        }
        // A commit never changes, so each version is compared once.
        if self.compared.load(Ordering::Relaxed) <= begun {
            let archive_commits = self.hot.archive_commits().await?;
            let version = self.cold.has_archive_commits(&archive_commits).await?;
            self.compared.store(version + 1, Ordering::Relaxed);
        }
        Ok(true)
    }

    async fn find(&self, text: &CodeText) -> Result<Found> {
        found(self.router.find(text, self.hot.as_ref()).await?)
    }

    fn change(&self, caller: &Caller, action: Action) -> Change {
        let asker = match caller.role {
            Role::User => Asker::User(caller.subject.clone()),
            Role::Shop | Role::Operator | Role::Admin => Asker::Shop,
        };
        Change {
            action,
            asker,
            actor: Actor::new(&caller.to_string()),
            operation: OperationId(uuid::Uuid::now_v7().as_u128()),
            at: self.now(),
            if_version: None,
        }
    }

    async fn handout(&self, id: &CampaignId) -> Result<Handout> {
        Ok(self.known(id, Duration::MAX).await?.handout)
    }

    /// A campaign as it was read at most `age` ago.
    async fn known(&self, id: &CampaignId, age: Duration) -> Result<KnownCampaign> {
        if let Some(campaign) = self.known.read().get(id)
            && campaign.read_at.elapsed() <= age
        {
            return Ok(*campaign);
        }
        let read_at = Instant::now();
        Ok(self.remember(&self.campaign_row(id).await?.campaign, read_at))
    }

    fn remember(&self, terms: &Campaign, read_at: Instant) -> KnownCampaign {
        let Campaign { handout, per_user_limit, .. } = *terms;
        let campaign = KnownCampaign { handout, per_user_limit, read_at };
        let mut known = self.known.write();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(terms.id.clone(), campaign);
        campaign
    }
}
