//! A store with consoles over it, and a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use attempts::AttemptLog;
use axum::Router;
use bytes::Bytes;
use console::{
    CompactionPlan, Console, ConsoleSetup, ExternalIdentity, FIRST_LINK_MS, HistoryError,
    IdentityError, IdentityProvider, KeyInfo, KeyUse, MachineStatus, NodeAnswer, NodeInfo,
    PlannedPass, PlannedWork, SignInRequest, SigningKeys, SqlRows, SqlRunner, pages,
};
use coupon::calendar::parse_instant;
use coupon::ids::UserId;
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use coupon::worth::OrderMoney;
use engine::{
    Caller, CampaignDraft, ColdArchive, Engine, Failure, LineStream, PersonFormat, Role, SetClock,
    StaffRole,
};
use futures::future::BoxFuture;
use futures::stream::{StreamExt, once};
use hot::HotStore;
use hot_sqlite::{SqliteHot, SqliteOptions};
use passwords::Passwords;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use webhooks::{NewEndpoint, Webhooks};

use crate::browser::Browser;

/// The instant at which every test begins.
pub(crate) const NOON: &str = "2026-11-20T12:00:00Z";

/// Longer than the machine stops for while it does other things.
const LONG: Duration = Duration::from_secs(300);

/// What somebody may write who wants to do harm, or has a name like that.
pub(crate) const HOSTILE: &str = "<b>Bold</b> & \"q\" 'x 😀";

pub(crate) const GIFTS_PER_DAY: u16 = 3;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";

pub(crate) struct Place {
    pub(crate) clock: Arc<SetClock>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) console: Arc<Console>,
    pub(crate) attempts: Arc<AttemptLog>,
    pub(crate) passwords: Passwords,
    /// A permit for each who waits for a provider that hangs.
    pub(crate) waiting: Arc<Semaphore>,
    app: Router,
    folder: Arc<TempDir>,
}

/// What the machine says.
fn machine() -> MachineStatus {
    let key = |use_of, id: &str, retired_at, is_newest| {
        let (id, made_at) = (id.to_owned(), Millis(1_763_596_800_000));
        KeyInfo { use_of, id, made_at, retired_at, is_newest }
    };
    MachineStatus {
        store_bytes: Some(1_234_567_890),
        log_bytes: Some(12_345),
        free_bytes: Some(999),
        memory_bytes: None,
        keys: vec![
            key(KeyUse::Token, "0ld0ld", Some(Millis(1_795_132_800_000)), false),
            key(KeyUse::Token, "new1new", None, true),
            key(KeyUse::Code, "c0de", None, true),
        ],
    }
}

/// What is known of a person: who asked, and as what.
fn person(
    caller: Caller,
    user: UserId,
    format: PersonFormat,
) -> BoxFuture<'static, Result<LineStream, Failure>> {
    let known = format!("{caller} asked for {user} as {}", format.as_str());
    Box::pin(async move { Ok(once(async { Ok(known) }).boxed()) })
}

/// One that answers, and one that does not.
fn nodes() -> Vec<NodeInfo> {
    let node = |address: &str, answer| {
        let (address, datacenter) = (address.to_owned(), "seoul".to_owned());
        NodeInfo { address, datacenter, answer }
    };
    let answer = NodeAnswer { version: "5.0.8".to_owned(), clock_ahead_ms: -12 };
    vec![node("10.0.0.1:9042", Ok(answer)), node("10.0.0.2:9042", Err(HOSTILE.to_owned()))]
}

/// What a compaction would do.
fn plan() -> CompactionPlan {
    let work = |day, pass| PlannedWork { day: Day(day), pass, waiting: 1_234 };
    let works = vec![work(20_000, PlannedPass::Expired), work(20_800, PlannedPass::Closed)];
    CompactionPlan { works, warning: Some(HOSTILE.to_owned()) }
}

/// An identity provider: the code is the name of whoever comes back, or what goes wrong. Each who waits for an answer
/// that never comes adds a permit.
struct CodeProvider(Arc<Semaphore>);

impl IdentityProvider for CodeProvider {
    fn door<'a>(
        &'a self,
        asked: &'a SignInRequest,
    ) -> BoxFuture<'a, Result<String, IdentityError>> {
        let door = format!("https://id.example/?state={}&back={}", asked.state, asked.back);
        Box::pin(async { Ok(door) })
    }

    fn person<'a>(
        &'a self,
        asked: &'a SignInRequest,
        code: &'a str,
    ) -> BoxFuture<'a, Result<ExternalIdentity, IdentityError>> {
        const ROLE: Option<StaffRole> = Some(StaffRole::Marketer);
        assert_eq!(asked.verifier.len(), 64);
        let person = |name: &str, role| {
            Ok(ExternalIdentity { identity: format!("id {name}"), name: name.to_owned(), role })
        };
        let found = || match code {
            "away" => Err(IdentityError::Away("no answer".to_owned())),
            "used" => Err(IdentityError::Refused("invalid_grant".to_owned())),
            "none" => person(HOSTILE, None),
            "odd" => person(HOSTILE, Some(StaffRole::Admin)),
            "promoted" => person("ida", Some(StaffRole::Operator)),
            // Has chosen a name that somebody else has.
            "namesake" => {
                Ok(ExternalIdentity { identity: "id 2".to_owned(), ..person("ida", ROLE)? })
            }
            name => person(name, ROLE),
        };
        if code == "hangs" {
            self.0.add_permits(1);
            return Box::pin(std::future::pending());
        }
        let found = found();
        Box::pin(async { found })
    }
}

/// Finds the name of whoever asks, and what goes wrong.
struct SqlProgram;

impl SqlRunner for SqlProgram {
    fn rows<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<SqlRows, HistoryError>> {
        let found = match sql {
            "wrong" => Err(HistoryError::Sql(HOSTILE.to_owned())),
            "slow" => Err(HistoryError::Slow),
            "busy" => Err(HistoryError::Busy),
            "away" => Err(HistoryError::Away("no answer".to_owned())),
            "many" => {
                let rows = vec![vec![Some("x".repeat(1_000))]; 10_000];
                Ok(SqlRows { columns: vec!["x".to_owned()], rows, truncated: true })
            }
            _ => {
                let row = vec![Some(caller.to_string()), Some(HOSTILE.to_owned()), None];
                let columns = ["who", HOSTILE, "nothing"].map(str::to_owned).to_vec();
                Ok(SqlRows { columns, rows: vec![row], truncated: false })
            }
        };
        Box::pin(async { found })
    }

    fn csv<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(Bytes, bool), HistoryError>> {
        Box::pin(async move {
            let found = self.rows(caller, sql).await?;
            Ok((format!("who\n{caller}\n").into(), found.truncated))
        })
    }
}

fn keys() -> Vec<CodeKey> {
    vec![CodeKey::new(*b"sixteen bytes ok")]
}

pub(crate) fn signing() -> SigningKeys {
    SigningKeys::new([("k1", SECRET, Millis(0))])
}

pub(crate) fn admin() -> Caller {
    Caller::new(Role::Admin, "root".parse().expect("a name"))
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = Arc::new(TempDir::new().expect("a folder"));
        let clock = Arc::new(SetClock::at(parse_instant(NOON).expect("an instant")));
        Place::over(folder, clock)
    }

    fn over(folder: Arc<TempDir>, clock: Arc<SetClock>) -> Place {
        let options = cold::ColdOptions { look_up_max: LONG, ..cold::ColdOptions::default() };
        let cold = Arc::new(cold::ColdStore::on_folder(&folder.path().join("cold"), options));
        let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
        let options =
            SqliteOptions { free_min_bytes: 0, write_timeout: LONG, ..SqliteOptions::default() };
        let store = SqliteHot::open(folder.path(), keys(), archive, options).expect("a store");
        let store: Arc<dyn HotStore> = Arc::new(store);
        let its = Arc::clone(&clock);
        let engine = Arc::new(Engine::new(store, cold, router::Router::new(keys()), its));
        let log =
            AttemptLog::open(&folder.path().join("attempts.db"), attempts::Options::default());
        let log = Arc::new(log.expect("a log"));
        let webhooks = Webhooks::new(engine.tables(), webhooks::Options::default());
        let passwords = Passwords::new();
        let waiting = Arc::new(Semaphore::new(0));
        let setup = ConsoleSetup {
            engine: Arc::clone(&engine),
            passwords: passwords.clone(),
            identity: Some(Arc::new(CodeProvider(Arc::clone(&waiting)))),
            attempts: Some(Arc::clone(&log)),
            webhooks: Some(Arc::new(webhooks.expect("webhooks"))),
            person: Box::new(person),
            machine: Box::new(machine),
            lone_archive: Some("/mnt/cold".to_owned()),
            notice_days: vec![30, 7],
            zone: "Asia/Seoul".parse().expect("a zone"),
            gifts_per_day: GIFTS_PER_DAY,
            client: Box::new(|from, _| from),
        };
        let console = Arc::new(Console::new(
            setup,
            signing(),
            Box::new(|| Box::pin(async { Ok(plan()) })),
            Some(Box::new(|| Box::pin(async { Ok(nodes()) }))),
            Some(Box::new(SqlProgram)),
        ));
        let app = pages(Arc::clone(&console));
        Place { clock, engine, console, attempts: log, passwords, waiting, app, folder }
    }

    /// A second process on the same store, as behind a proxy.
    pub(crate) fn beside(&self) -> Place {
        Place::over(Arc::clone(&self.folder), Arc::clone(&self.clock))
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.app.clone())
    }

    pub(crate) fn link(&self, role: StaffRole, name: Option<&str>) -> String {
        let now = self.engine.now();
        console::link(signing(), role, name.map(str::to_owned), now, FIRST_LINK_MS)
    }

    /// A browser in which somebody of this role is signed in. Their name is that of the role.
    pub(crate) async fn signed_in(&self, role: StaffRole) -> Browser {
        if self.engine.staff().await.expect("the list").people().is_empty()
            && role != StaffRole::Admin
        {
            // Somebody has to be an admin.
            Box::pin(self.signed_in(StaffRole::Admin)).await;
        }
        let mut browser = self.browser();
        let link = self.link(role, Some(role.as_str()));
        let signed = link.split_once("link=").expect("a link").1.to_owned();
        let fields = [("link", signed.as_str()), ("password", PASSWORD)];
        browser.post("/console/welcome", &fields).await.must(303);
        browser
    }

    /// Saves a query. Returns its id.
    pub(crate) async fn query(&self) -> String {
        self.engine.save_query(&admin(), HOSTILE, "select '<b>Bold'").await.expect("saved").id
    }

    /// A campaign with coupons, one of them issued to ann, and one redeemed by bob. Returns their codes.
    pub(crate) async fn seeded(&self) -> (String, String) {
        let draft = CampaignDraft {
            id: Some("spring".parse().expect("an id")),
            name: Some(HOSTILE.to_owned()),
            stock: Some(20),
            expires_on: Some("2027-03-31".parse().expect("a day")),
            ..CampaignDraft::default()
        };
        self.engine.create_campaign(&admin(), draft).await.expect("a campaign");
        // Nothing happens to a coupon when it is made.
        self.clock.pass(1);
        let issued = self.issued("ann").await;
        let redeemed = self.issued("bob").await;
        let order = "=1+1".parse().expect("an order");
        let code = redeemed.parse().expect("a code");
        let by = Some("bob".parse().expect("a name"));
        let money = OrderMoney {
            amount: Some(30_000.into()),
            currency: "KRW".parse().ok(),
            discount: Some(3_500),
        };
        self.engine.redeem(&admin(), &code, by, order, money).await.expect("redeemed");
        (issued, redeemed)
    }

    pub(crate) async fn issued(&self, user: &str) -> String {
        let campaign = "spring".parse().expect("an id");
        let user = Some(user.parse().expect("a name"));
        let done = self.engine.issue(&admin(), &campaign, user, None).await.expect("issued");
        done.into_inner().code
    }

    /// An endpoint that nothing is posted to.
    pub(crate) async fn webhook(&self) -> Arc<Webhooks> {
        let webhooks = Webhooks::new(self.engine.tables(), webhooks::Options::default());
        let webhooks = Arc::new(webhooks.expect("webhooks"));
        let new = NewEndpoint {
            webhook_id: Some("shop".to_owned()),
            url: "https://shop.example.com/hooks".to_owned(),
            description: None,
            types: None,
            campaign: None,
            ordered: false,
            cursor: None,
        };
        webhooks.create(new).await.expect("an endpoint");
        webhooks
    }
}
