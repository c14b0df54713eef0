//! The console: pages for marketers, support agents and operators, over the engine.
//!
//! A handler reads what one screen shows, and gives it to a compiled template. Everything that a page needs is
//! in the binary, and no page asks another server for anything. The console can do only what the engine can;
//! [`roles`] has who may do what, [`text`] has all words, and `signing` has sessions. It keeps nothing in
//! memory that another process would need, so a proxy may send each request to any `serve`.
//!
//! Absent on purpose: rules of coupons, SQL, and scripts or styles within a page.

mod assets;
mod chart;
mod compactions;
mod cookie;
mod coupon_action;
mod curl;
mod cursor;
mod desk;
mod direction;
mod extract;
mod fields;
mod form_reader;
mod gifts;
mod goodwill;
mod guard;
mod identity;
mod import_columns;
mod index;
mod invitation;
mod machine;
mod multipart;
mod nav;
mod nodes;
mod numbers;
mod phase;
mod plan;
mod qr;
pub mod roles;
mod routes;
mod screens;
mod session;
mod short_name;
mod signing;
mod spans;
mod sparks;
mod sql;
mod tails;
pub mod text;
mod theme;
mod trouble;
mod trouble_page;
mod twins;
mod workbook;

use std::net::IpAddr;
use std::sync::Arc;

use attempts::AttemptLog;
use axum::http::HeaderMap;
use coupon::calendar::Zone;
use coupon::ids::UserId;
use engine::{Caller, Engine, Failure, LineStream, PersonFormat};
use futures::future::BoxFuture;
use passwords::Passwords;
use passwords::places::CallerPlaces;
use passwords::throttle::Throttle;
use tokio::sync::Semaphore;
use webhooks::Webhooks;

use compactions::PlanReader;
use index::CampaignIndex;
use nodes::NodeCache;
use screens::overview::LiveCache;
use signing::PayloadSigner;
use sparks::SparkCache;
use sql::SqlService;
use tails::TailHub;

pub use compactions::CompactionTrigger;
pub use identity::{ExternalIdentity, IdentityError, IdentityProvider, SignInRequest};
pub use invitation::{FIRST_LINK_MS, INVITATION_MS, first_link, link};
pub use machine::{KeyInfo, KeyUse, MachineStatus, ReadMachine};
pub use nodes::{NodeAnswer, NodeInfo, ReadNodes};
pub use passwords::throttle::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX, SIGNING_MAX};
pub use plan::{CompactionPlan, PlannedPass, PlannedWork, ReadPlan};
pub use routes::pages;
pub use signing::{SESSION_MS, SETTLED_MS, SigningKeys};
pub use sql::{HistoryError, SqlRows, SqlRunner};
pub use tails::{TAILS_MAX, TAILS_OF_ONE_MAX};

/// Most names and addresses that are counted at a time: some 1 MB.
const COUNTED_MAX: usize = 10_000;

/// Who is behind the address of a connection, by the headers of a request.
pub type ClientOf = dyn Fn(IpAddr, &HeaderMap) -> IpAddr + Send + Sync;

/// Reads what is known of a person, as text.
pub type ReadPerson = dyn Fn(Caller, UserId, PersonFormat) -> BoxFuture<'static, Result<LineStream, Failure>>
    + Send
    + Sync;

pub struct ConsoleSetup {
    pub engine: Arc<Engine>,
    /// That of the process, which its API has too.
    pub passwords: Passwords,
    /// Where people can sign in, too, if the settings say so.
    pub identity: Option<Arc<dyn IdentityProvider>>,
    /// Where refused attempts are kept, if they are.
    pub attempts: Option<Arc<AttemptLog>>,
    pub webhooks: Option<Arc<Webhooks>>,
    pub person: Box<ReadPerson>,
    pub machine: Box<ReadMachine>,
    /// The folder of the archive, where other machines of the store may not see it.
    pub lone_archive: Option<String>,
    /// How many days before the last day of a coupon notices are due.
    pub notice_days: Vec<u16>,
    /// The zone of days and times that belong to no campaign, unless a person chooses another.
    pub zone: Zone,
    /// How many coupons each person may give on a day of that zone.
    pub gifts_per_day: u16,
    pub client: Box<ClientOf>,
}

pub struct Console {
    setup: ConsoleSetup,
    signer: PayloadSigner,
    nodes: Option<NodeCache>,
    plans: PlanReader,
    compactions: Arc<CompactionTrigger>,
    sql: Option<SqlService>,
    /// Wrong passwords, by address and name.
    wrong: Throttle,
    index: CampaignIndex,
    sparks: SparkCache,
    /// Sign-ins that wait for the identity provider, by address: while it hangs, passwords work.
    at_provider: CallerPlaces,
    tails: Arc<TailHub>,
    workbooks: Arc<Semaphore>,
    live: LiveCache,
}

impl Console {
    /// `nodes` if the store is on a cluster; `history` is the program that runs SQL over both tiers, if the settings
    /// name one.
    pub fn new(
        setup: ConsoleSetup,
        keys: SigningKeys,
        plan: Box<ReadPlan>,
        nodes: Option<Box<ReadNodes>>,
        history: Option<Box<dyn SqlRunner>>,
    ) -> Console {
        Console {
            setup,
            signer: PayloadSigner::new(keys),
            nodes: nodes.map(NodeCache::new),
            plans: PlanReader::new(plan),
            compactions: Arc::default(),
            sql: history.map(SqlService::new),
            wrong: Throttle::new(SIGN_INS_MAX, SIGN_IN_WINDOW_MS, COUNTED_MAX),
            index: CampaignIndex::default(),
            sparks: SparkCache::default(),
            at_provider: CallerPlaces::new(SIGNING_MAX),
            tails: Arc::default(),
            workbooks: Arc::new(Semaphore::new(1)),
            live: LiveCache::default(),
        }
    }

    /// Ends what would go on for as long as a page is open: the process is stopping.
    pub fn stop(&self) {
        self.tails.stop();
    }

    /// The compactions that people ask for. Whoever has built the console runs them.
    pub fn compactions(&self) -> &Arc<CompactionTrigger> {
        &self.compactions
    }

    /// Puts other keys in the place of those that sign. Sessions of a key that is not among them are over.
    pub fn replace_keys(&self, keys: SigningKeys) {
        self.signer.replace(keys);
    }
}
