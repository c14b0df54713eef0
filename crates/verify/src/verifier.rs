//! The order in which things are looked at, and what came of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cold::{ColdError, ColdStore, FileFault};
use coupon::ids::CampaignId;
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use hot::audit::Atomicity;
use hot::{HotError, HotStore};

use crate::catalog::Catalog;
use crate::finding::{Finding, KINDS, Kind, NOTES, Note, Said};
use crate::recheck::Recheck;

/// Rows read at a time: some 2 MB, and 40 MB where each has 32 events.
const CHUNK: usize = 4_096;

/// Findings of a kind that are told one by one; past it they are counted.
pub(crate) const TOLD_MAX: u64 = 1_000;

/// How long what looks wrong is left alone before it is looked at again, each time, where a protocol
/// is one transaction: between two reads of ours there may have been one.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// The same where it is a series of steps: the longest that anybody waits for one is five seconds.
const PAUSES_OF_STEPS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(6)];

/// What can be chosen about a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows read at a time.
    pub chunk: usize,
    /// Before each second look; what suits the store where none are named.
    pub pauses: Option<Vec<Duration>>,
    /// Whether index rows and counts are set right.
    pub repair: Repair,
    /// Whether counts are also set right that are too high, which is all that a lost row may leave.
    pub lower_counts: bool,
}

/// What is done about what can be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is written.
    Nothing,
    /// Index rows and counts are set right; nothing else is.
    Derived,
}

impl Default for Options {
    fn default() -> Options {
        Options { chunk: CHUNK, pauses: None, repair: Repair::Nothing, lower_counts: false }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows, entries and index rows looked at.
    pub looked_at: u64,
    /// Findings so far.
    pub findings: u64,
}

/// What a run has looked at, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows of coupons in hot.
    pub hot_rows: u64,
    /// Archived markers in hot.
    pub archived_markers: u64,
    /// Copies of coupons in cold.
    pub cold_rows: u64,
    /// Rows of the side table in cold.
    pub side_rows: u64,
    /// Entries of the directory.
    pub entries: u64,
    /// Entries of claims.
    pub claims: u64,
    /// Index rows.
    pub index_rows: u64,
    /// Campaigns.
    pub campaigns: u64,
    /// Codes that looked odd at first, and were looked at again.
    pub looked_again: u64,
    /// How many findings of each kind.
    pub findings: BTreeMap<Kind, u64>,
    /// How many of each note.
    pub notes: BTreeMap<Note, u64>,
    /// Campaigns whose counts were set right.
    pub mended_counts: u64,
    /// Coupons whose index rows were written.
    pub mended_index_rows: u64,
    /// Index rows that were removed.
    pub removed_index_rows: u64,
}

impl Report {
    /// Everything that was looked at.
    pub fn looked_at(&self) -> u64 {
        let Report {
            hot_rows,
            archived_markers,
            cold_rows,
            side_rows,
            entries,
            claims,
            index_rows,
            ..
        } = self;
        hot_rows + archived_markers + cold_rows + side_rows + entries + claims + index_rows
    }

    /// All findings.
    pub fn found(&self) -> u64 {
        self.findings.values().sum()
    }

    /// Findings by kind, in the order of the documents.
    pub fn by_kind(&self) -> impl Iterator<Item = (Kind, u64)> {
        KINDS.iter().filter_map(|kind| Some((*kind, *self.findings.get(kind)?)))
    }

    /// Notes, likewise.
    pub fn by_note(&self) -> impl Iterator<Item = (Note, u64)> {
        NOTES.iter().filter_map(|note| Some((*note, *self.notes.get(note)?)))
    }
}

/// Why a run could not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The hot store.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// The cold tier.
    #[error(transparent)]
    Cold(#[from] ColdError),
}

/// Told of each finding as it is made.
pub type Tell<'a> = Box<dyn FnMut(&Finding) + Send + 'a>;

/// One run over both tiers.
pub struct Verifier<'a> {
    pub(crate) hot: &'a dyn HotStore,
    pub(crate) cold: &'a ColdStore,
    pub(crate) keys: &'a [CodeKey],
    pub(crate) options: Options,
    /// The moment of its beginning.
    pub(crate) now: Millis,
    tell: Tell<'a>,
    progress: Box<dyn Fn(Progress) + Send + Sync + 'a>,
    pub(crate) report: Report,
    pub(crate) catalog: Catalog,
    pub(crate) recheck: Recheck,
    /// Whether there is a cold tier that can be read.
    pub(crate) cold_is: ColdIs,
    /// Coupons in cold of which hot has let go: issued, redeemed, void.
    pub(crate) cold_states: HashMap<CampaignId, [i64; 3]>,
    /// Coupons that have rows in hot: issued, redeemed, void.
    pub(crate) hot_states: HashMap<CampaignId, [i64; 3]>,
    /// Of each run, coupons of serials that were offered before this began.
    pub(crate) offered: HashMap<(Day, u64), Offered>,
    /// Coupons that were looked for in cold one by one.
    pub(crate) followed: u64,
}

/// Serials of a run that were offered before this began, and how many of them have a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) below: u64,
    pub(crate) seen: u64,
}

/// What can be said with the cold tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColdIs {
    /// Nothing was moved there yet.
    Unused,
    /// Its log, or a file, cannot be read: what is missing may be there.
    Damaged,
    /// All that was read so far is as it was written.
    Whole,
}

impl<'a> Verifier<'a> {
    /// A run over two stores that belong together. `keys` open minted codes.
    pub fn new(
        hot: &'a dyn HotStore,
        cold: &'a ColdStore,
        keys: &'a [CodeKey],
        now: Millis,
        options: Options,
        tell: Tell<'a>,
        progress: Box<dyn Fn(Progress) + Send + Sync + 'a>,
    ) -> Verifier<'a> {
        Verifier {
            hot,
            cold,
            keys,
            options,
            now,
            tell,
            progress,
            report: Report::default(),
            catalog: Catalog::default(),
            recheck: Recheck::default(),
            cold_is: ColdIs::Unused,
            cold_states: HashMap::new(),
            hot_states: HashMap::new(),
            offered: HashMap::new(),
            followed: 0,
        }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// Those of both stores; damage is a finding.
    pub async fn run(mut self) -> Result<Report, VerifyError> {
        self.files().await?;
        let before = self.hot.audit_campaigns().await?;
        self.catalog = Catalog::of(&before);
        self.begin_counting(&before);
        self.partitions().await?;
        self.holder_index().await?;
        self.directory().await?;
        self.claims().await?;
        self.index_rows().await?;
        self.look_again().await?;
        self.counts(&before).await?;
        self.serials(&before).await?;
        Ok(self.report)
    }

    /// What the engines themselves say, before anything is read through them.
    async fn files(&mut self) -> Result<(), VerifyError> {
        for fault in self.hot.audit_files().await? {
            let other = Said::new("the engine", "it is not right");
            self.found(Kind::HotFile, "hot", Said::new("hot", fault), other);
        }
        let begun = self.hot.cold_mark().await?.begun;
        if begun.is_none_or(|begun| begun == 0)
            && self.cold.version().await.ok().flatten().is_none()
        {
            return Ok(());
        }
        self.cold_is = ColdIs::Whole;
        let mut faults = self.cold.audit_logs().await?;
        for pause in self.pauses() {
            if faults.is_empty() {
                break;
            }
            // The tables are made one after the other.
            tokio::time::sleep(pause).await;
            faults = self.cold.audit_logs().await?;
        }
        for fault in faults {
            // The coupons themselves do not need the holder index.
            if fault.is_of_holder_index() {
                self.index_fault(fault);
                continue;
            }
            self.cold_is = ColdIs::Damaged;
            let other = Said::new("the log", "every entry is needed");
            let one = Said::new(self.cold.location().to_owned(), fault.what);
            self.found(Kind::ColdLog, &fault.file, one, other);
        }
        if self.cold_is == ColdIs::Whole {
            let archive_commits = self.hot.archive_commits().await?;
            match self.cold.has_archive_commits(&archive_commits).await {
                Ok(_) => {}
                Err(ColdError::Damaged { file, what, .. }) => {
                    self.cold_is = ColdIs::Damaged;
                    let one = Said::new(self.cold.location().to_owned(), what.to_string());
                    let other = Said::new("hot", "it knows of that archive commit");
                    self.found(Kind::ColdLog, &file.to_string(), one, other);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Compares the files of the holder index with what was committed.
    async fn holder_index(&mut self) -> Result<(), VerifyError> {
        if self.has_cold_log() {
            for fault in self.cold.audit_index().await? {
                self.index_fault(fault);
            }
        }
        Ok(())
    }

    fn index_fault(&mut self, fault: FileFault) {
        let one = Said::new(format!("cold, {}", fault.file), fault.what);
        let other = Said::new("the log", "it is part of the holder index");
        self.found(Kind::HolderIndex, &fault.file, one, other);
    }

    /// Before each second look.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        self.options.pauses.clone().unwrap_or_else(|| match self.hot.atomicity() {
            Atomicity::OneTransaction => PAUSES.to_vec(),
            Atomicity::StepByStep => PAUSES_OF_STEPS.to_vec(),
        })
    }

    /// Whether the log of the cold tier can be read.
    pub(crate) fn has_cold_log(&self) -> bool {
        match self.cold_is {
            ColdIs::Unused => false,
            ColdIs::Whole => true,
            ColdIs::Damaged => !self.report.findings.contains_key(&Kind::ColdLog),
        }
    }

    pub(crate) fn found(&mut self, kind: Kind, about: &str, one: Said, other: Said) {
        self.tell(Finding { kind, about: about.to_owned(), one, other });
    }

    pub(crate) fn tell(&mut self, finding: Finding) {
        let count = self.report.findings.entry(finding.kind).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            (self.tell)(&finding);
        }
    }

    /// Whether there are so many of each of these already that they are only counted: then each is
    /// looked at once, or a run over a store that lost a table would never end.
    pub(crate) fn is_flooded(&self, findings: &[Finding]) -> bool {
        let count = |finding: &Finding| self.report.findings.get(&finding.kind).copied();
        findings.iter().all(|finding| count(finding).is_some_and(|count| count > TOLD_MAX))
    }

    pub(crate) fn note(&mut self, note: Note) {
        *self.report.notes.entry(note).or_default() += 1;
    }

    pub(crate) fn tick(&self) {
        let (looked_at, findings) = (self.report.looked_at(), self.report.found());
        (self.progress)(Progress { looked_at, findings });
    }
}
