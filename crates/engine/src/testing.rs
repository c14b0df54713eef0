//! A store of its own for each test, with an engine over it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cold::ColdStore;
use compactor::{ClosedPolicy, CompactionSettings, Compactor};
use coupon::calendar::{Date, Zone};
use coupon::campaign::Handout;
use coupon::code::CodeText;
use coupon::coupon::{Event, EventKind, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::minted::CodeKey;
use coupon::time::Millis;
use futures::stream;

use hot_sqlite::SqliteHot;
use router::Router;
use tempfile::TempDir;

use crate::import::{DryRun, FileFormat, ImportRequest};
use crate::{
    Caller, CampaignDraft, Clock, ColdArchive, CouponsRequest, Engine, RejectedLine, Result, Role,
    SetClock, SystemClock, coupon_csv_header, coupon_csv_row,
};

pub(crate) const CAMPAIGN: &str = "spring";

/// An empty store with one bearer campaign.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) hot: Arc<SqliteHot>,
    pub(crate) clock: Arc<SetClock>,
    _folder: TempDir,
}

pub(crate) fn admin() -> Caller {
    Caller::new(Role::Admin, "cli".parse().unwrap())
}

/// How an import ended: imported, already there and rejected lines.
pub(crate) type Counts = [u64; 3];

/// A clock that stands a little after that of the machine, which writes the files: replaced files are swept at once.
pub(crate) fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::at(SystemClock.now().plus_ms(3_600_000)))
}

/// An engine over the store in a folder.
pub(crate) fn opened(
    folder: &Path,
    cold: cold::ColdOptions,
    key: [u8; 16],
    clock: &Arc<SetClock>,
) -> (Arc<Engine>, Arc<SqliteHot>) {
    let cold = Arc::new(ColdStore::on_folder(&folder.join("cold"), cold));
    // Longer than the machine stops for while it does other things.
    let write_timeout = Duration::from_secs(300);
    let options =
        hot_sqlite::SqliteOptions { free_min_bytes: 0, write_timeout, ..Default::default() };
    let keys = || vec![CodeKey::new(key)];
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let hot = SqliteHot::open(&folder.join("hot"), keys(), archive, options);
    let hot = Arc::new(hot.unwrap());
    let engine = Engine::new(hot.clone(), cold, Router::new(keys()), clock.clone());
    (Arc::new(engine), hot)
}

pub(crate) fn genesis(code: &str, expires_at: Millis, zone: &Zone) -> Genesis {
    Genesis {
        code: code.parse().unwrap(),
        campaign: "c".parse().unwrap(),
        batch: "b".parse().unwrap(),
        valid_from: Millis(0),
        expires_at,
        zone: zone.clone(),
        created_at: Millis(0),
    }
}

pub(crate) fn event(at: Millis, kind: EventKind) -> Event {
    Event { at, actor: Actor::new("admin:cli"), operation: OperationId(1), kind }
}

pub(crate) fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

impl World {
    /// The days of its campaign are those of `zone`.
    pub(crate) async fn new(zone: &str, key: [u8; 16]) -> World {
        let folder = TempDir::new().unwrap();
        let clock = clock();
        let (engine, hot) = opened(folder.path(), cold::ColdOptions::default(), key, &clock);
        let draft = CampaignDraft {
            id: CAMPAIGN.parse().ok(),
            handout: Some(Handout::Bearer),
            valid_from: Some(Millis(1_600_000_000_000)),
            expires_on: "2060-12-31".parse().ok(),
            time_zone: zone.parse().ok(),
            per_user_limit: Some(None),
            ..CampaignDraft::default()
        };
        engine.create_campaign(&admin(), draft).await.unwrap();
        World { engine, hot, clock, _folder: folder }
    }

    pub(crate) async fn dry_run(&self, caller: &Caller, file: &str) -> Result<DryRun> {
        self.engine.dry_run_import(caller, request(CAMPAIGN), stream(file)).await
    }

    pub(crate) async fn import(&self, caller: &Caller, file: &str) -> (Counts, Vec<RejectedLine>) {
        let done = self.engine.import(caller, request(CAMPAIGN), stream(file), |_| {}).await;
        let batch = done.unwrap().into_inner();
        let counts = batch.import;
        assert_eq!(counts.lines, counts.imported + counts.already_there + counts.rejected);
        let admin = admin();
        let rejected = self.engine.rejected_lines(&admin, &batch.campaign, &batch.id, 0);
        let rejected = rejected.await.unwrap();
        ([counts.imported, counts.already_there, counts.rejected], rejected)
    }

    /// Archives every coupon that is closed.
    pub(crate) async fn compact(&self) {
        let (hot, cold) = (Arc::clone(&self.hot), Arc::clone(self.engine.cold()));
        let compactor = Compactor::new(hot, cold, CompactionSettings::default(), Arc::new(|_| {}));
        let report = compactor.run(self.clock.now(), ClosedPolicy::Now).await.unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
    }

    /// Every coupon, as `export coupons` writes them.
    pub(crate) async fn export(&self) -> String {
        let (engine, all) = (Arc::clone(&self.engine), CouponsRequest::default());
        let mut coupons = engine.every_coupon(&admin(), all).await.unwrap();
        let mut file = coupon_csv_header();
        while let Some(page) = coupons.next().await.unwrap() {
            page.rows.iter().for_each(|view| file.push_str(&coupon_csv_row(view)));
        }
        file
    }
}

pub(crate) fn text(code: &str) -> CodeText {
    code.parse().unwrap()
}

/// Numbers by chance, each below its limit; the same for the same seed.
pub(crate) fn random(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |limit| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % limit
    }
}

pub(crate) fn request(campaign: &str) -> ImportRequest {
    let format = FileFormat::default();
    ImportRequest {
        campaign: campaign.parse().unwrap(),
        batch: "old".parse().ok(),
        format,
        again: false,
    }
}

pub(crate) fn stream(
    file: &str,
) -> impl futures::Stream<Item = Result<Bytes, String>> + Unpin + use<> {
    stream::iter([Ok(Bytes::from(file.to_owned()))])
}
