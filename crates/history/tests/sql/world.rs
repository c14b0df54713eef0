//! Both tiers in a folder, with coupons of three expiry days.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use cold::ColdStore;
use compactor::{ClosedPolicy, CompactionReport, CompactionSettings, Compactor};
use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::CodeKey;
use coupon::time::{DAY_MS, Day, Millis};
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::{ColdArchive, Engine, SetClock};
use history::{History, HistoryError, QueryLimits};
use hot::audit::Act;
use hot::{Campaigns, ColdMark, Coupons, HotStore, ImportLine, Imports, NewCampaign, Partitions};
use hot_sqlite::{SqliteHot, SqliteOptions};
use router::Router;
use tempfile::TempDir;

/// 2026-11-20, noon.
pub(crate) const NOW: Millis = Millis(20_777 * DAY_MS + DAY_MS / 2);

/// 2026-03-01 and 2026-03-02: partitions that are over.
pub(crate) const OVER: Day = Day(20_513);
pub(crate) const OVER_TOO: Day = Day(20_514);

/// 2026-12-31: one that is open.
pub(crate) const OPEN: Day = Day(20_818);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) hot: Arc<SqliteHot>,
    pub(crate) cold: Arc<ColdStore>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) history: History,
    router: Router,
}

/// Longer than the machine stops for while it does other things.
pub(crate) const LONG: Duration = Duration::from_secs(300);

pub(crate) fn limits() -> QueryLimits {
    QueryLimits { time: LONG, memory: 256 << 20, spill: 1 << 30, spill_folder: None, cores: 2 }
}

impl World {
    /// Stores without a coupon.
    pub(crate) async fn empty() -> World {
        let folder = tempfile::tempdir().unwrap();
        let options = cold::ColdOptions {
            retention: Duration::ZERO,
            look_up_max: LONG,
            ..cold::ColdOptions::default()
        };
        let cold = Arc::new(ColdStore::on_folder(&folder.path().join("cold"), options));
        let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
        let key = || CodeKey::new(*b"a key of 16 byte");
        let options =
            SqliteOptions { free_min_bytes: 0, write_timeout: LONG, ..SqliteOptions::default() };
        let at = folder.path().join("hot");
        let hot = Arc::new(SqliteHot::open(&at, vec![key()], archive, options).unwrap());
        let engine = Arc::new(Engine::new(
            Arc::clone(&hot) as Arc<dyn HotStore>,
            Arc::clone(&cold),
            Router::new(vec![key()]),
            Arc::new(SetClock::at(NOW)),
        ));
        let history = History::new(Arc::clone(&engine), limits()).unwrap();
        let router = Router::new(vec![key()]);
        World { folder, hot, cold, engine, history, router }
    }

    /// Two campaigns with 60 coupons each in the two partitions that are over, and one with 40 in
    /// the open partition. A third of the coupons is available, a third issued, a third redeemed.
    /// Cold is empty.
    pub(crate) async fn full() -> World {
        let world = World::empty().await;
        world.campaign("spring", OVER, 0..60).await;
        world.campaign("easter", OVER_TOO, 60..120).await;
        world.campaign("winter", OPEN, 120..160).await;
        world
    }

    pub(crate) async fn campaign(&self, id: &str, day: Day, numbers: std::ops::Range<u64>) {
        let campaign = Campaign {
            id: id.parse().unwrap(),
            name: format!("the {id} sale"),
            handout: Handout::Shop,
            shared_code: None,
            code_prefix: None,
            valid_from: Millis(0),
            expires_at: day.end(),
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
            created_at: Millis(NOW.0 - 400 * DAY_MS),
        };
        let new = NewCampaign { campaign, created_as: String::new(), first_batch: None };
        let act = Act::of_system("test", NOW);
        self.hot.create_campaign(new, &act).await.unwrap();
        let (id, batch): (CampaignId, _) = (id.parse().unwrap(), "file".parse().unwrap());
        self.hot.open_import(&id, &batch, &act).await.unwrap();
        let lines = numbers.map(|number| line(number, day)).collect();
        let run =
            ImportRun { actor: Actor::new("admin:test"), operation: OperationId(7 << 64), at: NOW };
        self.hot.import(&id, &batch, lines, run).await.unwrap();
    }

    /// Compacts as `couponry compact` does.
    pub(crate) async fn compact(&self, closed: ClosedPolicy) -> CompactionReport {
        let hot = Arc::clone(&self.hot) as Arc<dyn Partitions>;
        let watch = Arc::new(|_| {});
        let compactor =
            Compactor::new(hot, Arc::clone(&self.cold), CompactionSettings::default(), watch);
        compactor.run(NOW, closed).await.unwrap()
    }

    /// Makes a change that must be accepted.
    pub(crate) async fn change(&self, number: u64, action: Action) {
        let text = code(number).to_string().parse().unwrap();
        let found = self.router.find(&text, self.hot.as_ref()).await.unwrap().unwrap();
        let change = Change {
            action,
            asker: Asker::Shop,
            actor: Actor::new("admin:test"),
            operation: OperationId((9 << 64) + u128::from(number)),
            at: NOW,
            if_version: None,
        };
        let applied = self.hot.apply(&found, change).await.unwrap();
        assert!(matches!(applied.outcome, Outcome::Accepted(_)), "{:?}", applied.outcome);
    }

    /// A Closed pass that is killed after its commit: the redeemed coupons are in cold and still in
    /// hot.
    pub(crate) async fn copy_without_removing(&self, day: Day) {
        self.cold.create().await.unwrap();
        self.hot.raise_cold_mark(ColdMark { begun: Some(1), committed: None }).await.unwrap();
        let codes = self.hot.closed_codes(day, NOW, 1_000).await.unwrap();
        let coupons = self.hot.coupons_of(day, codes).await.unwrap();
        assert!(!coupons.is_empty());
        let mut writer = self.cold.writer(day, 1, 0, &[]).await.unwrap();
        writer.push(coupons).await.unwrap();
        let files = writer.finish().await.unwrap();
        let partition = self.cold.partition(day).await.unwrap();
        self.cold.commit(&partition, 1, &files, &[], u64::MAX).await.unwrap();
    }

    /// The state of both stores: every byte of cold, and the number of writes to hot.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        let mut hasher = DefaultHasher::new();
        let mut folders = vec![self.folder.path().join("cold")];
        while let Some(folder) = folders.pop() {
            // It does not exist before the first compaction.
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            for path in entries {
                path.hash(&mut hasher);
                match path.is_dir() {
                    true => folders.push(path),
                    false => fs::read(path).unwrap().hash(&mut hasher),
                }
            }
        }
        (hasher.finish(), self.hot.gauge().commits)
    }

    pub(crate) async fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        self.asked(sql, None).await.unwrap()
    }

    /// One row: its values, separated by blanks.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let rows = self.ask(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0].join(" ")
    }

    pub(crate) async fn asked(
        &self,
        sql: &str,
        as_of: Option<u64>,
    ) -> Result<Vec<Vec<String>>, HistoryError> {
        let mut answer = self.history.ask(sql, as_of).await?;
        let mut rows = Vec::new();
        while let Some(batch) = answer.next().await? {
            rows.extend(texts(&batch));
        }
        Ok(rows)
    }
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref() as &dyn Array, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect()
}

/// Codes in random order.
pub(crate) fn code(number: u64) -> Code {
    format!("T{:07}", number.wrapping_mul(7_919) % 9_999_991).parse().unwrap()
}

fn line(number: u64, day: Day) -> ImportLine {
    let at = Millis(OVER.start().0 - (number as i64) * 60_000);
    let holder = format!("user-{}", number % 10).parse().unwrap();
    let imported_state = match number % 3 {
        0 => ImportedState::Available,
        1 => ImportedState::Issued { holder, at: Some(at) },
        _ => ImportedState::Redeemed {
            holder: Some(holder),
            issued_at: Some(Millis(at.0 - DAY_MS)),
            at,
            order: Some(format!("주문-{number}").parse().unwrap()),
            worth: None,
        },
    };
    ImportLine { code: code(number), valid_from: Millis(0), expires_at: day.end(), imported_state }
}
