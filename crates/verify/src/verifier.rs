//! One run: the order in which the two tiers are checked.

mod beside;
mod files;
mod options;
mod report;
mod teller;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cold::{ColdError, ColdStore};
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use coupon::worth::WorthSums;
use hot::inventory::{Atomicity, CampaignItem, Item, Table, Unreadable, all};
use hot::{HotError, HotStore};

use crate::catalog::CampaignCatalog;
use crate::finding::{Finding, FindingKind, Note, PlaceStatement};
use crate::postings::SharedBalance;
use options::{PAUSES, PAUSES_OF_STEPS};
pub use options::{RepairMode, VerifyOptions};
use parking_lot::Mutex;
pub use report::{VerifyProgress, VerifyReport, VerifyStep};
use teller::FindingTeller;

/// Findings of one kind that are reported one by one; further ones are only counted.
pub(crate) const TOLD_MAX: u64 = 1_000;

pub(crate) type Result<T, E = VerifyError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Hot(#[from] HotError),
    #[error(transparent)]
    Cold(#[from] ColdError),
}

/// Is called with each finding at once.
pub type FindingSink<'a> = Box<dyn FnMut(&Finding) + Send + 'a>;

pub struct Verifier<'a> {
    pub(crate) hot: &'a dyn HotStore,
    pub(crate) cold: &'a ColdStore,
    pub(crate) keys: &'a [CodeKey],
    pub(crate) options: VerifyOptions,
    /// When the run began.
    pub(crate) now: Millis,
    teller: Arc<Mutex<FindingTeller<'a>>>,
    progress: Arc<dyn Fn(VerifyProgress) + Send + Sync + 'a>,
    step: VerifyStep,
    /// Kinds of findings that another run has found before this one, which is a part of it.
    found_before: BTreeSet<FindingKind>,
    pub(crate) report: VerifyReport,
    pub(crate) catalog: CampaignCatalog,
    pub(crate) balance: SharedBalance,
    pub(crate) recheck: BTreeSet<(Day, Code)>,
    pub(crate) cold_is: ColdIs,
    /// Coupons that are in cold and no longer in hot: issued, redeemed, void.
    pub(crate) cold_states: StateTotals,
    /// Coupons that have rows in hot: issued, redeemed, void.
    pub(crate) hot_states: StateTotals,
    /// The amounts of the redemptions of each campaign.
    pub(crate) redeemed_worth: HashMap<CampaignId, WorthSums>,
    /// For each run of serials, those that were offered before this run began.
    pub(crate) offered: OfferedRuns,
    /// Coupons that were looked for in cold, one by one.
    pub(crate) followed: u64,
    /// Expiry days whose coupons were deleted, or are being deleted.
    pub(crate) deleted: BTreeSet<Day>,
}

/// Coupons of each campaign that are issued, redeemed, void.
pub(crate) type StateTotals = HashMap<CampaignId, [i64; 3]>;

/// Runs of serials, by their day and their first serial.
pub(crate) type OfferedRuns = HashMap<(Day, u64), OfferedSerials>;

/// Serials of one batch that were offered before the run began, and how many of them have a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfferedSerials {
    pub(crate) below: u64,
    pub(crate) seen: u64,
}

/// What a missing coupon in cold means. Of what two parts say, the later one is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColdIs {
    /// Nothing was archived yet.
    Unused,
    /// Everything that was read so far is as it was written.
    Whole,
    /// Its log, or a file, cannot be read: a missing coupon may be there.
    Damaged,
}

/// The pauses before each further look at what seems wrong.
pub(crate) struct Pauses(std::vec::IntoIter<Duration>);

impl Pauses {
    /// Waits before the next look; false, at once, if the last one decides.
    pub(crate) async fn pass(&mut self) -> bool {
        let Some(pause) = self.0.next() else { return false };
        tokio::time::sleep(pause).await;
        true
    }
}

impl<'a> Verifier<'a> {
    /// A run over two stores that belong together. `keys` open minted codes.
    pub fn new(
        hot: &'a dyn HotStore,
        cold: &'a ColdStore,
        keys: &'a [CodeKey],
        now: Millis,
        options: VerifyOptions,
        tell: FindingSink<'a>,
        progress: Box<dyn Fn(VerifyProgress) + Send + Sync + 'a>,
    ) -> Verifier<'a> {
        Verifier {
            hot,
            cold,
            keys,
            options,
            now,
            teller: Arc::new(Mutex::new(FindingTeller::new(tell))),
            progress: progress.into(),
            step: VerifyStep::default(),
            found_before: BTreeSet::new(),
            report: VerifyReport::default(),
            catalog: CampaignCatalog::default(),
            balance: None,
            recheck: BTreeSet::new(),
            cold_is: ColdIs::Unused,
            cold_states: HashMap::new(),
            hot_states: HashMap::new(),
            redeemed_worth: HashMap::new(),
            offered: HashMap::new(),
            followed: 0,
            deleted: BTreeSet::new(),
        }
    }

    /// Reads all of both tiers, and some of it several times: to compare two tables, and to look
    /// again at what seems wrong.
    ///
    /// # Errors
    /// Those of both stores; damage is a finding.
    pub async fn run(mut self) -> Result<VerifyReport> {
        self.step(VerifyStep::Files);
        self.files().await?;
        if self.has_cold_log() {
            self.deleted = self.cold.deleted_days().await?;
        }
        if self.options.partitions.is_some() {
            let campaign = |item| if let Item::Campaign(it) = item { Some(*it) } else { None };
            let all = all(self.hot, Table::Campaigns).await?.into_iter();
            self.catalog = CampaignCatalog::of(&all.filter_map(campaign).collect::<Vec<_>>());
            self.partitions().await?;
            self.look_again().await?;
            return Ok(self.report);
        }
        let before = self.compared().await?;
        self.step(VerifyStep::Rest);
        self.index_rows().await?;
        self.look_again().await?;
        self.counts(&before).await?;
        self.serials(&before).await?;
        Ok(self.report)
    }

    /// Compares the coupons of both tiers, the directory and the claims: by a balance, or one by one if it
    /// cannot show all that differs. Returns the campaigns as they were before.
    async fn compared(&mut self) -> Result<Vec<CampaignItem>> {
        let (so_far, cold_is) = (self.report.clone(), self.cold_is);
        self.teller.lock().begin();
        self.balance = Some(Arc::default());
        let campaigns = self.hot.counted_campaigns().await?;
        if self.compare(&campaigns).await? {
            return Ok(campaigns);
        }
        self.teller.lock().begin_again(so_far.findings.clone());
        let mended_index_rows = self.report.mended_index_rows;
        self.report = VerifyReport { mended_index_rows, ..so_far };
        self.cold_is = cold_is;
        (self.cold_states, self.hot_states) = (StateTotals::new(), StateTotals::new());
        self.redeemed_worth.clear();
        (self.recheck, self.followed) = (BTreeSet::new(), 0);
        let campaigns = self.hot.counted_campaigns().await?;
        self.compare(&campaigns).await?;
        Ok(campaigns)
    }

    /// False if the balance cannot show all that differs.
    async fn compare(&mut self, campaigns: &[CampaignItem]) -> Result<bool> {
        self.catalog = CampaignCatalog::of(campaigns);
        self.begin_counting(campaigns);
        self.partitions().await?;
        self.count_deleted().await?;
        self.holder_index().await?;
        self.step(VerifyStep::Directory);
        self.directory().await?;
        self.step(VerifyStep::Claims);
        self.claims().await?;
        self.step(VerifyStep::LeftOver);
        self.left_over().await
    }

    async fn partitions(&mut self) -> Result<()> {
        self.step(VerifyStep::Coupons);
        let next = tokio::sync::Mutex::new(Day(i32::MIN));
        match self.options.jobs {
            0 | 1 => self.days(&next).await,
            jobs => self.days_beside(jobs, &next).await,
        }
    }

    pub(crate) fn pauses(&self) -> Pauses {
        let pauses = self.options.pauses.clone().unwrap_or_else(|| match self.hot.atomicity() {
            Atomicity::OneTransaction => PAUSES.to_vec(),
            Atomicity::StepByStep => PAUSES_OF_STEPS.to_vec(),
        });
        Pauses(pauses.into_iter())
    }

    /// Whether the log of the cold tier can be read.
    pub(crate) fn has_cold_log(&self) -> bool {
        match self.cold_is {
            ColdIs::Unused => false,
            ColdIs::Whole => true,
            ColdIs::Damaged => !self.has_found(FindingKind::ColdLog),
        }
    }

    pub(crate) fn has_found(&self, kind: FindingKind) -> bool {
        self.report.findings.contains_key(&kind) || self.found_before.contains(&kind)
    }

    pub(crate) fn found(
        &mut self,
        kind: FindingKind,
        about: impl Into<String>,
        one: impl Into<PlaceStatement>,
        other: impl Into<PlaceStatement>,
    ) {
        self.tell(Finding::new(kind, about, one, other));
    }

    pub(crate) fn unreadable(&mut self, row: Unreadable) {
        let one = ("hot", row.about.clone());
        self.found(FindingKind::RowUnreadable, row.about, one, ("its columns", row.why));
    }

    pub(crate) fn tell(&mut self, finding: Finding) {
        *self.report.findings.entry(finding.kind).or_default() += 1;
        self.teller.lock().tell(&finding);
    }

    /// Whether there are so many findings of each of these kinds already that they are only counted. Then
    /// each code is looked at once: otherwise a run over a store that lost a table would never end.
    pub(crate) fn is_flooded(&self, findings: &[Finding]) -> bool {
        let count = |finding: &Finding| self.report.findings.get(&finding.kind).copied();
        findings.iter().all(|finding| count(finding).is_some_and(|count| count > TOLD_MAX))
    }

    pub(crate) fn note(&mut self, note: Note) {
        *self.report.notes.entry(note).or_default() += 1;
    }

    pub(crate) fn tick(&self) {
        let (looked_at, findings) = (self.report.looked_at(), self.report.found());
        (self.progress)(VerifyProgress { step: self.step, looked_at, findings });
    }

    fn step(&mut self, step: VerifyStep) {
        self.step = step;
        self.tick();
    }
}
