//! A hot store and a cold tier in one folder, and coupons of every kind in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Int64Type};
use cold::{ColdError, ColdStore, FileFault, ScanFilter};
use compactor::{
    ClosedPolicy, CompactError, CompactionReport, CompactionSettings, Compactor, ProgressWatch,
};
use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Batch, BatchKind, Campaign, CampaignCounts, CampaignWorth, Handout};
use coupon::code::{Code, CodeText};
use coupon::coupon::Coupon;
use coupon::ids::{Actor, BatchId, CampaignId, IssueRef, OperationId, OrderRef, UserId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day, Millis};
use engine::ColdArchive;
use hot::audit::Act;
use hot::{
    Applied, Batches, Campaigns, CouponFilter, CouponSnapshot, Coupons, ImportLine, ImportOutcome,
    Imports, ListOrder, ListQuery, ListScope, MintOrder, Named, NewCampaign, Partitions, Tier,
};
use hot_conformance::soundness::{Contradictions, contradictions};
use hot_sqlite::SqliteHot;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use router::{Found, Router};
use tempfile::TempDir;

use crate::place;

/// A compaction that merges as soon as a partition has two files.
pub(crate) const SETTINGS: CompactionSettings = CompactionSettings {
    closed_enough: compactor::CLOSED_ENOUGH,
    closed_wait_days: compactor::CLOSED_WAIT_DAYS,
    closed_archive_commit_max: compactor::CLOSED_ARCHIVE_COMMIT_MAX,
    partition_files_max: 2,
    keep_archived_days: None,
};

/// Longer than the machine stops for while it does other things.
const LONG: Duration = Duration::from_secs(300);

/// The instant of a compaction: a little after the clock of the machine that writes the files, so
/// that files replaced by a merge are swept at once and files that others are writing stay.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Millis(i64::try_from(since.as_millis()).unwrap() + 60 * 60 * 1000)
}

/// The day on which the process began by that clock: midnight may come while a test runs.
pub(crate) fn today() -> Day {
    static TODAY: LazyLock<Day> = LazyLock::new(|| now().day());
    *TODAY
}

/// Noon of the day `days` days before today.
pub(crate) fn ago(days: i32) -> Millis {
    Day(today().0 - days).start().plus_ms(DAY_MS / 2)
}

pub(crate) fn keys() -> Vec<CodeKey> {
    vec![CodeKey::new(*b"the tests' key..")]
}

pub(crate) fn hot_folder(at: &Path) -> PathBuf {
    at.join("hot")
}

pub(crate) fn cold_folder(at: &Path) -> PathBuf {
    at.join("cold")
}

pub(crate) fn cold_options() -> cold::ColdOptions {
    cold::ColdOptions {
        retention: Duration::ZERO,
        checkpoint_every: 3,
        look_up_max: LONG,
        ..cold::ColdOptions::default()
    }
}

pub(crate) fn cold_at(at: &Path) -> Arc<ColdStore> {
    Arc::new(place::cold(&cold_folder(at), cold_options()))
}

pub(crate) fn hot_at(at: &Path, cold: &Arc<ColdStore>) -> Arc<SqliteHot> {
    let options = hot_sqlite::SqliteOptions {
        free_min_bytes: 0,
        write_timeout: LONG,
        ..hot_sqlite::SqliteOptions::default()
    };
    let archive = Arc::new(ColdArchive(Arc::clone(cold)));
    Arc::new(SqliteHot::open(&hot_folder(at), keys(), archive, options).unwrap())
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// A copy of both stores, to be damaged.
pub(crate) fn copied(from: &Path) -> TempDir {
    let to = place::folder();
    copy(from, to.path());
    to
}

/// Every file under a folder with its bytes.
pub(crate) fn files(under: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(under) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// Parquet files of both tables that are in no commit of the log.
pub(crate) fn orphans(at: &Path) -> BTreeSet<PathBuf> {
    let (mut there, mut live) = (BTreeSet::new(), BTreeSet::new());
    for table in ["coupons", "coupons_by_holder"].map(|name| cold_folder(at).join(name)) {
        let mut version = 0;
        for (path, bytes) in files(&table) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let in_log = path.parent().unwrap().ends_with("_delta_log");
            if !in_log && name.ends_with(".parquet") {
                there.insert(path);
            } else if in_log && name.ends_with(".json") && name.len() == 25 {
                assert_eq!(name, format!("{version:020}.json"), "the log has a gap");
                assert!(!bytes.is_empty(), "{} is empty", path.display());
                version += 1;
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let action: serde_json::Value = serde_json::from_slice(line).unwrap();
                    if let Some(added) = action["add"]["path"].as_str() {
                        live.insert(table.join(added));
                    }
                    if let Some(removed) = action["remove"]["path"].as_str() {
                        live.remove(&table.join(removed));
                    }
                }
            }
        }
    }
    assert!(live.is_subset(&there), "a live file is missing: {live:?} in {there:?}");
    there.difference(&live).cloned().collect()
}

pub(crate) fn silent() -> ProgressWatch {
    Arc::new(|_| {})
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(crate) fn order(text: &str) -> OrderRef {
    text.parse().unwrap()
}

pub(crate) fn give(to: &str) -> Action {
    Action::Issue { to: user(to), reference: None, expires_at: None }
}

pub(crate) fn redeem(by: &str, at: &str) -> Action {
    Action::Redeem { by: user(by), order: order(at), money: Default::default() }
}

pub(crate) fn cancel(at: &str) -> Action {
    Action::CancelRedemption { order: order(at), reason: None }
}

pub(crate) fn void() -> Action {
    Action::Void { reason: "a misprint".parse().ok() }
}

/// The outcome of a change, without the coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Accepted,
    Replayed,
    Refused(Refusal),
}

pub(crate) fn said(applied: &Applied) -> Said {
    match applied.outcome {
        Outcome::Accepted(_) => Said::Accepted,
        Outcome::Replayed => Said::Replayed,
        Outcome::Refused(refusal) => Said::Refused(refusal),
    }
}

/// Without its hold: an ended hold is not archived.
pub(crate) fn lasting(coupon: &Coupon) -> Coupon {
    let (genesis, events) = (coupon.genesis().clone(), coupon.events().to_vec());
    Coupon::of(genesis, events, None, coupon.version(), coupon.modified_at())
}

/// The codes of a test, and their campaigns.
#[derive(Clone, Default)]
pub(crate) struct Cast {
    pub(crate) codes: Vec<Code>,
    pub(crate) campaigns: Vec<CampaignId>,
}

impl Cast {
    /// Every fourth code, different ones at each call: reading codes one by one is slow, and the
    /// copies are compared as a whole.
    pub(crate) fn part(&self, turn: u64) -> Cast {
        let codes = self.codes.iter().skip(turn as usize % 4).step_by(4).cloned().collect();
        Cast { codes, campaigns: self.campaigns.clone() }
    }
}

/// One copy of a coupon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lying {
    pub(crate) tier: Tier,
    pub(crate) day: Day,
    pub(crate) coupon: Coupon,
}

/// What users see. It is the same before, during and after a compaction.
#[derive(Debug, PartialEq)]
pub(crate) struct Census {
    /// What a read of each code returns.
    pub(crate) read: BTreeMap<Code, Option<Coupon>>,
    /// Every touched coupon in its newest version.
    pub(crate) touched: BTreeMap<Code, Coupon>,
    pub(crate) all_counts: Vec<CampaignCounts>,
}

/// Both stores, opened.
pub(crate) struct World {
    pub(crate) at: PathBuf,
    pub(crate) hot: Arc<SqliteHot>,
    pub(crate) cold: Arc<ColdStore>,
    pub(crate) router: Router,
    next: AtomicU64,
}

impl World {
    pub(crate) fn open(at: &Path) -> World {
        let cold = cold_at(at);
        World {
            at: at.to_owned(),
            hot: hot_at(at, &cold),
            cold,
            router: Router::new(keys()),
            next: AtomicU64::new(1),
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn compactor(&self) -> Compactor {
        self.compactor_of(SETTINGS)
    }

    pub(crate) fn compactor_of(&self, settings: CompactionSettings) -> Compactor {
        let hot: Arc<dyn Partitions> = self.hot.clone();
        Compactor::new(hot, Arc::clone(&self.cold), settings, silent())
    }

    /// A compaction without a fault.
    pub(crate) async fn compacts(&self, now: Millis) -> CompactionReport {
        let report = self.compactor().run(now, ClosedPolicy::Now).await.unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        report
    }

    /// A campaign whose coupons expire with `partition` and are valid from 200 days before.
    pub(crate) fn draft(&self, name: &str, partition: Day) -> Campaign {
        Campaign {
            id: name.parse().unwrap(),
            name: "A campaign".into(),
            handout: Handout::Shop,
            shared_code: None,
            code_prefix: None,
            valid_from: Day(partition.0 - 400).start(),
            expires_at: partition.end(),
            earlier_ends: Vec::new(),
            zone: Zone::utc(),
            valid_days: None,
            issue_from: None,
            issue_until: None,
            per_user_limit: Some(100),
            cancel_days: 30,
            extend_days: 30,
            paused: false,
            metadata: None,
            worth: CampaignWorth::default(),
            created_at: Day(partition.0 - 400).start(),
        }
    }

    pub(crate) async fn campaign(&self, name: &str, partition: Day) -> Campaign {
        let campaign = self.draft(name, partition);
        self.create(&campaign).await;
        campaign
    }

    pub(crate) async fn create(&self, campaign: &Campaign) {
        let new = NewCampaign {
            campaign: campaign.clone(),
            created_as: "a request".into(),
            first_batch: None,
        };
        let act = acts_at(campaign.created_at);
        let made = self.hot.create_campaign(new, &act).await.unwrap();
        assert!(matches!(made, Named::Created(_)), "{made:?}");
    }

    /// Mints `count` coupons. Returns their codes.
    pub(crate) async fn minted(&self, campaign: &Campaign, name: &str, count: u64) -> Vec<Code> {
        let key = self.router.keys()[0].id();
        let order = MintOrder { id: name.parse().unwrap(), count, key };
        let act = acts_at(campaign.created_at);
        match self.hot.mint(&campaign.id, order, &act).await.unwrap() {
            Named::Created(Batch { kind: BatchKind::Minted(run), .. }) => {
                let keys = self.router.keys();
                let key = keys.iter().find(|key| key.id() == run.key).unwrap();
                (0..run.count).map(|nth| key.mint(run.day, run.first + nth)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Imports one coupon with the campaign's dates for each imported state. The codes begin with
    /// `word`, which differs for each import.
    pub(crate) async fn imported(
        &self,
        campaign: &Campaign,
        word: &str,
        imported_states: Vec<ImportedState>,
    ) -> Vec<Code> {
        let batch: BatchId = word.parse().unwrap();
        let act = acts_at(campaign.created_at);
        self.hot.open_import(&campaign.id, &batch, &act).await.unwrap();
        let line = |(nth, imported_state): (usize, ImportedState)| {
            self.line(campaign, word, nth, imported_state)
        };
        let lines: Vec<ImportLine> = imported_states.into_iter().enumerate().map(line).collect();
        for group in lines.chunks(1_000) {
            let outcomes = self.import(campaign, &batch, group.to_vec()).await;
            assert!(outcomes.iter().all(|it| *it == ImportOutcome::Imported), "{outcomes:?}");
        }
        lines.into_iter().map(|line| line.code).collect()
    }

    pub(crate) fn line(
        &self,
        campaign: &Campaign,
        word: &str,
        nth: usize,
        imported_state: ImportedState,
    ) -> ImportLine {
        ImportLine {
            // No minted code has a `U`.
            code: format!("U{word}{nth:06}").parse().unwrap(),
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            imported_state,
        }
    }

    pub(crate) async fn import(
        &self,
        campaign: &Campaign,
        batch: &BatchId,
        lines: Vec<ImportLine>,
    ) -> Vec<ImportOutcome> {
        let run = ImportRun {
            actor: Actor::new("admin:import"),
            operation: OperationId(u128::from(self.number())),
            at: campaign.created_at,
        };
        self.hot.import(&campaign.id, batch, lines, run).await.unwrap()
    }

    pub(crate) async fn find(&self, code: &Code) -> Option<Found> {
        let text: CodeText = code.as_str().parse().unwrap();
        self.router.find(&text, self.hot.as_ref()).await.unwrap()
    }

    pub(crate) async fn see(&self, code: &Code) -> Option<CouponSnapshot> {
        match self.find(code).await? {
            Found::Coupon(address) => self.hot.read(&address).await.unwrap(),
            Found::Shared { .. } => panic!("{code} is a shared word"),
        }
    }

    pub(crate) fn change(&self, action: Action, at: Millis) -> Change {
        let operation = OperationId(u128::from(self.number()));
        Change {
            action,
            asker: Asker::Shop,
            actor: Actor::new("shop:till-4"),
            operation,
            at,
            if_version: None,
        }
    }

    pub(crate) async fn ask(&self, code: &Code, action: Action, at: Millis) -> Said {
        let found = self.find(code).await.unwrap_or_else(|| panic!("{code} is found"));
        said(&self.hot.apply(&found, self.change(action, at)).await.unwrap())
    }

    /// Makes a change that must be accepted.
    pub(crate) async fn done(&self, code: &Code, action: Action, at: Millis) {
        let said = self.ask(code, action.clone(), at).await;
        assert_eq!(said, Said::Accepted, "{code}: {action:?}");
    }

    pub(crate) async fn issue(
        &self,
        campaign: &CampaignId,
        to: &str,
        name: &str,
        at: Millis,
    ) -> Applied {
        let reference: IssueRef = name.parse().unwrap();
        let action = Action::Issue { to: user(to), reference: Some(reference), expires_at: None };
        self.hot.issue(campaign, self.change(action, at)).await.unwrap()
    }

    /// A coupon of each kind, some minted and some imported. Most redemptions are at `past`, one is
    /// at `recent`. Returns the codes.
    pub(crate) async fn one_of_each(
        &self,
        campaign: &Campaign,
        word: &str,
        past: Millis,
        recent: Millis,
    ) -> Vec<Code> {
        let later = Action::Extend {
            expires_at: campaign.expires_at.plus_days(3),
            zone: Zone::utc(),
            reason: None,
        };
        let hold = Action::Hold {
            by: user("ann"),
            order: order("h"),
            until: past.plus_ms(60_000),
            money: Default::default(),
        };
        let revoke = Action::Revoke { user: user("ann"), reference: None, reason: None };
        let stories: [(&str, Vec<Action>); 10] = [
            ("untouched", vec![]),
            ("issued", vec![give("ann")]),
            ("was held", vec![give("ann"), hold]),
            ("redeemed", vec![give("ann"), redeem("ann", "1")]),
            (
                "redeemed, cancelled and redeemed",
                vec![give("ann"), redeem("ann", "1"), cancel("1"), redeem("ann", "2")],
            ),
            ("void", vec![void()]),
            ("void, in a wallet", vec![give("ann"), void()]),
            ("revoked", vec![give("ann"), revoke]),
            ("moved", vec![give("ann"), later.clone()]),
            ("redeemed a short while ago", vec![give("bob")]),
        ];
        let codes = self.minted(campaign, word, stories.len() as u64).await;
        for ((_, story), code) in stories.iter().zip(&codes) {
            for action in story {
                self.done(code, action.clone(), past).await;
            }
        }
        self.done(&codes[9], redeem("bob", "9"), recent).await;
        let imported = vec![
            ImportedState::Available,
            ImportedState::Issued { holder: user("cay"), at: None },
            spent(past, "1"),
            ImportedState::VOID,
            ImportedState::Available,
        ];
        let foreign = self.imported(campaign, &format!("{word}F"), imported).await;
        self.done(&foreign[4], later, past).await;
        codes.into_iter().chain(foreign).collect()
    }

    /// Every copy of every touched coupon.
    pub(crate) async fn lying(&self) -> BTreeMap<Code, Vec<Lying>> {
        let mut found: BTreeMap<Code, Vec<Lying>> = BTreeMap::new();
        for coupon in self.rows().await {
            // A list does not have the partition of a row, but it has the expiry of the coupon.
            let day = Day::expiry_day_of(coupon.lasts_until());
            let lying = Lying { tier: Tier::Hot, day, coupon: lasting(&coupon) };
            found.entry(coupon.code().clone()).or_default().push(lying);
        }
        // Cold after hot: a coupon archived in between is read twice, not missed.
        if self.cold.version().await.unwrap().is_some() {
            let mut scan = self.cold.scan(ScanFilter::default()).await.unwrap();
            while let Some(coupons) = scan.next().await.unwrap() {
                for (day, coupon) in coupons {
                    let lying = Lying { tier: Tier::Cold, day, coupon };
                    found.entry(lying.coupon.code().clone()).or_default().push(lying);
                }
            }
        }
        found
    }

    pub(crate) async fn rows(&self) -> Vec<Coupon> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                scope: ListScope::Everybody,
                filter: CouponFilter::default(),
                order: ListOrder::Soonest,
                after,
                limit: 1_000,
                now: now(),
            };
            let page = self.hot.list(query).await.unwrap();
            rows.extend(page.coupons.into_iter().map(|snapshot| snapshot.coupon));
            match page.next {
                Some(next) => after = Some(next),
                None => return rows,
            }
        }
    }

    pub(crate) async fn counts(&self, campaign: &CampaignId) -> CampaignCounts {
        self.hot.campaign(campaign, now()).await.unwrap().expect("the campaign is there").counts
    }

    pub(crate) async fn census(&self, cast: &Cast) -> Census {
        self.census_of(&self.lying().await, cast).await
    }

    async fn census_of(&self, lying: &BTreeMap<Code, Vec<Lying>>, cast: &Cast) -> Census {
        let newest = |copies: &Vec<Lying>| {
            copies.iter().map(|it| &it.coupon).max_by_key(|it| it.version()).unwrap().clone()
        };
        let touched = lying.iter().map(|(code, copies)| (code.clone(), newest(copies))).collect();
        let mut read = BTreeMap::new();
        for code in &cast.codes {
            let snapshot = self.see(code).await;
            read.insert(code.clone(), snapshot.map(|snapshot| lasting(&snapshot.coupon)));
        }
        let mut all_counts = Vec::new();
        for campaign in &cast.campaigns {
            all_counts.push(self.counts(campaign).await);
        }
        Census { read, touched, all_counts }
    }

    /// Users see the same as `before`.
    pub(crate) async fn shows(&self, before: &Census, cast: &Cast, name: &str) {
        let lying = self.lying().await;
        self.shows_of(&lying, before, cast, name).await;
    }

    async fn shows_of(
        &self,
        lying: &BTreeMap<Code, Vec<Lying>>,
        before: &Census,
        cast: &Cast,
        name: &str,
    ) {
        let Census { read, touched, all_counts } = self.census_of(lying, cast).await;
        let known = |code: &Code| (code.clone(), before.read[code].clone());
        same(&read, &cast.codes.iter().map(known).collect(), name);
        same(&touched, &before.touched, name);
        assert_eq!(all_counts, before.all_counts, "{name}: the counts");
        for (day, rows) in self.complete_days().await {
            let plan = self.hot.partition(day).await.unwrap().unwrap();
            assert!(plan.emptied, "{name}: {day} is listed too early");
            assert_eq!(self.rows_in_cold(day).await, rows, "{name}: {day}");
        }
    }

    /// What other readers find in the list of complete days.
    pub(crate) async fn complete_days(&self) -> BTreeMap<Day, u64> {
        let file = object_store::path::Path::from("complete_days/complete_days.parquet");
        let bytes = match place::objects(&cold_folder(&self.at)).get(&file).await {
            Ok(found) => found.bytes().await.unwrap(),
            Err(object_store::Error::NotFound { .. }) => return BTreeMap::new(),
            Err(error) => panic!("{error}"),
        };
        let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let mut found = BTreeMap::new();
        for batch in batches.map(Result::unwrap) {
            let days = batch["expiry_day"].as_primitive::<Date32Type>().values();
            let rows = batch["row_count"].as_primitive::<Int64Type>().values();
            found.extend(days.iter().map(|day| Day(*day)).zip(rows.iter().map(|it| *it as u64)));
        }
        found
    }

    async fn rows_in_cold(&self, day: Day) -> u64 {
        self.cold.partition(day).await.unwrap().files.iter().map(cold::ColdFile::rows).sum()
    }

    /// Users see the same as `before`, and nothing is left to do: each coupon is in one tier, every
    /// file is in a commit, and another compaction has no work.
    pub(crate) async fn is_settled(&self, now: Millis, before: &Census, cast: &Cast, name: &str) {
        let lying = self.lying().await;
        self.shows_of(&lying, before, cast, name).await;
        for (code, copies) in &lying {
            assert_eq!(copies.len(), 1, "{name}: {code} is there twice: {copies:?}");
        }
        let orphans = orphans(&self.at);
        assert!(orphans.is_empty(), "{name}: in no commit: {orphans:?}");
        self.is_sound(name).await;
        self.holders_are_known(&lying, name).await;
        let version = self.cold.version().await.unwrap();
        let mark = self.hot.cold_mark().await.unwrap();
        assert_eq!(mark.committed, version, "{name}: hot knows the last commit: {mark:?}");
        let works = self.compactor().plan(now, ClosedPolicy::Now).await.unwrap();
        assert!(works.is_empty(), "{name}: still to do: {works:?}");
        let report = self.compacts(now).await;
        assert_eq!(report.swept.files, 0, "{name}");
        let mut complete = Vec::new();
        for partition in self.cold.partitions().await.unwrap() {
            let plan = self.hot.partition(partition.day).await.unwrap();
            if plan.is_some_and(|plan| plan.emptied) {
                complete.push(partition.day);
            }
        }
        let listed: Vec<Day> = self.complete_days().await.into_keys().collect();
        assert_eq!(listed, complete, "{name}: the complete days");
        assert_eq!(self.cold.version().await.unwrap(), version, "{name}");
    }

    /// The side table agrees with the coupons of each holder.
    async fn holders_are_known(&self, lying: &BTreeMap<Code, Vec<Lying>>, name: &str) {
        let in_cold: Vec<&Lying> =
            lying.values().flatten().filter(|it| it.tier == Tier::Cold).collect();
        for holder in ["ann", "bob", "cay", "dan"].map(user) {
            let mut want: Vec<(Code, Day, u64)> = Vec::new();
            for Lying { day, coupon, .. } in &in_cold {
                if coupon.holder() == Some(&holder) {
                    want.push((coupon.code().clone(), *day, coupon.version()));
                }
            }
            let found = self.cold.of_holder(&holder, None).await.unwrap();
            let mut found: Vec<(Code, Day, u64)> =
                found.into_iter().map(|it| (it.code, it.day, it.version)).collect();
            found.sort_unstable();
            assert_eq!(found, want, "{name}: the side table, {holder}");
        }
    }

    /// Neither store finds damage in itself.
    pub(crate) async fn is_sound(&self, name: &str) {
        let Contradictions { faults, drifts } = contradictions(&*self.hot).await;
        assert!(faults.is_empty() && drifts.is_empty(), "{name}: {faults:#?} {drifts:#?}");
        if self.cold.version().await.unwrap().is_some() {
            let faults = self.cold_faults().await;
            assert!(faults.is_empty(), "{name}: {faults:?}");
        }
    }

    /// Everything that audits find wrong with the logs and files of cold.
    pub(crate) async fn cold_faults(&self) -> Vec<FileFault> {
        let mut faults = self.cold.audit_logs().await.unwrap();
        if !faults.is_empty() {
            return faults;
        }
        for partition in self.cold.partitions().await.unwrap() {
            let mut audit = self.cold.audit_partition(&partition, "").await.unwrap();
            while !audit.up_to(None, 1_000).await.unwrap().is_empty() {}
            faults.extend(audit.faults());
            faults.extend(self.cold.audit_side(partition.day).await.unwrap().files);
        }
        faults.extend(self.cold.audit_index().await.unwrap());
        faults
    }
}

/// Whether a compaction ended because another one merged the files that it was about to read.
pub(crate) fn is_conflict(error: &CompactError) -> bool {
    match error {
        CompactError::Cold(ColdError::Unavailable { what, .. }) => what.ends_with("merged away"),
        CompactError::Conflict { .. } => true,
        _ => false,
    }
}

/// Like `assert_eq`, but prints only the codes that differ.
fn same<T: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<Code, T>,
    want: &BTreeMap<Code, T>,
    name: &str,
) {
    for (code, want) in want {
        assert_eq!(found.get(code), Some(want), "{name}: {code}");
    }
    let more: Vec<&Code> = found.keys().filter(|code| !want.contains_key(*code)).collect();
    assert!(more.is_empty(), "{name}: new codes {more:?}");
}

pub(crate) fn spent(at: Millis, by: &str) -> ImportedState {
    ImportedState::Redeemed {
        holder: Some(user("dan")),
        issued_at: None,
        at,
        order: Some(order(by)),
        worth: None,
    }
}

/// The partition of [`prepared`] that is still open.
pub(crate) fn open_partition() -> Day {
    Day(today().0 + 100)
}

/// The partition of [`prepared`] that is over.
pub(crate) fn over_partition() -> Day {
    Day(today().0 - 100)
}

/// What of [`prepared`] is in cold already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Nothing: there is no cold tier.
    Fresh,
    /// As many files of each partition as a merge needs.
    Merge,
}

/// Stores with work for both passes: coupons of each kind in an open partition and in one that is
/// over, `bulk` more in the latter, and a partition that is over and has no row.
pub(crate) async fn prepared(ground: Ground, bulk: usize) -> (TempDir, Cast) {
    let disk = place::folder();
    let world = World::open(disk.path());
    let open = world.campaign("open", open_partition()).await;
    let over = world.campaign("over", over_partition()).await;
    let empty = world.campaign("empty", Day(over_partition().0 - 9)).await;
    let archived_markers = world.campaign("markers", Day(over_partition().0 - 19)).await;
    let mut cast = Cast::default();
    cast.campaigns.extend([&open, &over, &empty, &archived_markers].map(|it| it.id.clone()));
    cast.codes.extend(world.minted(&empty, "E", 3).await);
    let rounds = match ground {
        Ground::Fresh => 1,
        Ground::Merge => 3,
    };
    for round in 1..=rounds {
        let word = |prefix: &str| format!("{prefix}{round}");
        cast.codes.extend(world.one_of_each(&open, &word("A"), ago(60), ago(5)).await);
        cast.codes.extend(world.one_of_each(&over, &word("B"), ago(180), ago(101)).await);
        if round == 1 {
            // All of them are closed at the first archive commit of the partition.
            let closed = vec![spent(ago(200), "1"), ImportedState::VOID];
            cast.codes.extend(world.imported(&archived_markers, "S", closed).await);
        }
        if round < rounds {
            // At an instant when all partitions were open.
            world.compacts(ago(130)).await;
        }
    }
    if ground == Ground::Merge {
        let archive_commits = world.cold.partitions().await.unwrap();
        let files: Vec<usize> =
            archive_commits.iter().map(|partition| partition.files.len()).collect();
        assert_eq!(
            files,
            [1, 2, 2],
            "only archived markers, and two partitions that are about to be merged"
        );
    }
    let imported_state = |nth: usize| match nth % 4 {
        0 => ImportedState::Available,
        1 => ImportedState::Issued { holder: user(&format!("u{nth}")), at: None },
        2 => spent(ago(120), "7"),
        _ => ImportedState::VOID,
    };
    let more = world.imported(&over, "BULK", (0..bulk).map(imported_state).collect()).await;
    cast.codes.extend(more.into_iter().step_by(50));
    (disk, cast)
}

/// Who makes campaigns and batches in the tests.
pub(crate) fn acts_at(at: Millis) -> Act {
    Act::of_system("test", at)
}
