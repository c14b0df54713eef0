//! The whole service in this process, with its own store and a clock that the test moves.
//!
//! [`Service::send`] checks every answer against the contract (see [`crate::contract`]), in every
//! test. If [`crate::ARCHIVED`] is set, it archives finished coupons before each request, also in
//! tests that are not about cold.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::AccessPolicy;
use api::token::{ExternalIssuer, LocalKey, LocalKeys, TokenService};
use attempts::AttemptLog;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use compactor::{ClosedPolicy, Compactor};
use coupon::calendar::{format_instant, parse_instant};
use coupon::minted::CodeKey;
use coupon::time::Millis;
use engine::{ColdArchive, Engine, Role, SetClock};
use hot::HotStore;
use hot_sqlite::{SqliteHot, SqliteOptions};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tower::ServiceExt;
use webhooks::Webhooks;

use crate::contract;

/// The instant at which every test begins: a Friday.
pub(crate) const NOON: &str = "2026-11-20T12:00:00Z";

/// The code key of every service in these tests.
pub(crate) const CODE_KEY: [u8; 16] = *b"sixteen bytes ok";

const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const OTHER_SECRET: &[u8] = b"another one of thirty-two bytes!";
const HOUR_MS: i64 = 3_600_000;

/// Longer than the machine stops for while it does other things.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// How often a request is sent again that does not wait so long.
pub(crate) const TRIES: usize = 500;

/// The caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    Nobody,
    User(&'a str),
    Shop,
    Operator,
    Admin,
    /// An admin's token that has expired this second.
    Expired,
    /// An admin's token, signed with a key that is not this server's.
    OtherKey,
    Token(&'a str),
}

pub(crate) use Who::{Admin, Nobody, Operator, Shop};

pub(crate) const ANN: Who<'static> = Who::User("ann");
pub(crate) const BOB: Who<'static> = Who::User("bob");

pub(crate) fn ms(instant: &str) -> Millis {
    parse_instant(instant).expect("an instant")
}

pub(crate) struct Service {
    pub(crate) clock: Arc<SetClock>,
    pub(crate) engine: Arc<Engine>,
    app: Router,
    folder: Arc<TempDir>,
    archiving: Archiving,
}

/// When coupons are archived.
enum Archiving {
    /// Only by [`Service::compact`].
    ByHand,
    /// Before each request. Of concurrent requests one archives, and the others run beside it.
    Always(Mutex<()>),
}

impl Archiving {
    fn of_these_tests() -> Archiving {
        match crate::ARCHIVED {
            true => Archiving::Always(Mutex::default()),
            false => Archiving::ByHand,
        }
    }
}

/// Options that ignore how full the disk of the machine is, and that it may stop for a while.
pub(crate) fn options() -> SqliteOptions {
    SqliteOptions { free_min_bytes: 0, write_timeout: LONG, ..SqliteOptions::default() }
}

fn tokens(secret: &[u8], external: Option<ExternalIssuer>) -> TokenService {
    let key = LocalKey::active("k1", secret, 0).expect("a key");
    TokenService::new(LocalKeys::new(vec![key]).expect("keys"), external).expect("tokens")
}

pub(crate) fn code_keys() -> Vec<CodeKey> {
    vec![CodeKey::new(CODE_KEY)]
}

impl Service {
    pub(crate) fn new() -> Service {
        Service::with(options(), code_keys)
    }

    pub(crate) fn with(options: SqliteOptions, keys: impl Fn() -> Vec<CodeKey>) -> Service {
        let folder = Arc::new(TempDir::new().expect("a folder"));
        let clock = Arc::new(SetClock::at(ms(NOON)));
        Service::over(folder, clock, options, &keys)
    }

    fn over(
        folder: Arc<TempDir>,
        clock: Arc<SetClock>,
        options: SqliteOptions,
        keys: &impl Fn() -> Vec<CodeKey>,
    ) -> Service {
        let cold_options = cold::ColdOptions { look_up_max: LONG, ..cold::ColdOptions::default() };
        let cold = cold::ColdStore::on_folder(&folder.path().join("cold"), cold_options);
        let cold = Arc::new(cold);
        let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
        let store = SqliteHot::open(folder.path(), keys(), archive, options);
        let store = store.expect("a store");
        let store: Arc<dyn HotStore> = Arc::new(store);
        let its = Arc::clone(&clock);
        let engine = Arc::new(Engine::new(store, cold, router::Router::new(keys()), its));
        let log =
            AttemptLog::open(&folder.path().join("attempts.db"), attempts::Options::default());
        let attempts = Some(Arc::new(log.expect("a log")));
        let private = webhooks::Options { allow_private: true, ..webhooks::Options::default() };
        let webhooks = Webhooks::new(engine.tables(), private);
        let webhooks = Some(Arc::new(webhooks.expect("webhooks")));
        let access = AccessPolicy { attempts, webhooks, ..AccessPolicy::default() };
        let tokens = Arc::new(tokens(SECRET, None));
        let app = api::app_with(Arc::clone(&engine), tokens, access);
        Service { clock, engine, app, folder, archiving: Archiving::of_these_tests() }
    }

    /// The same service, which archives only when the test says so.
    pub(crate) fn by_hand(self) -> Service {
        Service { archiving: Archiving::ByHand, ..self }
    }

    /// A second service on the same folder.
    pub(crate) fn beside(&self, options: SqliteOptions) -> Service {
        let (folder, clock) = (Arc::clone(&self.folder), Arc::clone(&self.clock));
        Service::over(folder, clock, options, &code_keys)
    }

    /// The same folder after a restart.
    pub(crate) fn reopened(self) -> Service {
        let Service { clock, engine, app, folder, archiving } = self;
        drop((app, engine));
        Service { archiving, ..Service::over(folder, clock, options(), &code_keys) }
    }

    /// The same folder after a restart, with `from` replaced in the file of the hot store by other
    /// bytes of the same length.
    pub(crate) fn edited(self, from: &str, to: &str) -> Service {
        assert_eq!(from.len(), to.len(), "rows keep their places");
        let Service { clock, engine, app, folder, archiving } = self;
        drop((app, engine));
        let file = folder.path().join(hot_sqlite::FILE_NAME);
        let mut bytes = std::fs::read(&file).expect("the store");
        let found: Vec<usize> = (0..bytes.len() - from.len())
            .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
            .collect();
        assert!(!found.is_empty(), "{from} is in the file");
        for at in found {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        std::fs::write(&file, bytes).expect("edited");
        Service { archiving, ..Service::over(folder, clock, options(), &code_keys) }
    }

    /// The same service, which also accepts the tokens of an identity provider.
    pub(crate) fn accepting(self, external: ExternalIssuer) -> Service {
        let tokens = Arc::new(tokens(SECRET, Some(external)));
        Service { app: api::app(Arc::clone(&self.engine), tokens), ..self }
    }

    /// The same service, with `access`.
    pub(crate) fn allowing(self, access: AccessPolicy) -> Service {
        let tokens = Arc::new(tokens(SECRET, None));
        Service { app: api::app_with(Arc::clone(&self.engine), tokens, access), ..self }
    }

    /// Archives every coupon that may be archived now.
    pub(crate) async fn compact(&self) {
        let report =
            self.compactor().run(self.now(), ClosedPolicy::Now).await.expect("a compaction");
        assert!(report.failed.is_empty(), "{:?}", report.failed);
    }

    pub(crate) fn compactor(&self) -> Compactor {
        let (hot, cold) = (self.engine.partitions(), Arc::clone(self.engine.cold()));
        Compactor::new(hot, cold, compactor::CompactionSettings::default(), Arc::new(|_| {}))
    }

    async fn archive_what_is_finished(&self) {
        let Archiving::Always(turn) = &self.archiving else { return };
        let Ok(_turn) = turn.try_lock() else { return };
        let works = self.compactor().plan(self.now(), ClosedPolicy::Now).await.expect("a plan");
        if !works.is_empty() {
            self.compact().await;
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn now(&self) -> Millis {
        self.engine.now()
    }

    pub(crate) fn set(&self, instant: &str) {
        self.clock.set(ms(instant));
    }

    /// The instant `ms` milliseconds from now, as text.
    pub(crate) fn after(&self, ms: i64) -> String {
        format_instant(self.now().plus_ms(ms))
    }

    pub(crate) fn token(&self, role: Role, subject: &str) -> String {
        self.minted(SECRET, role, subject, HOUR_MS, self.now().0)
    }

    fn minted(&self, secret: &[u8], role: Role, subject: &str, ttl: i64, now: i64) -> String {
        tokens(secret, None).mint(subject, role, ttl, now).expect("a token").0
    }

    fn authorization(&self, who: Who<'_>) -> Option<String> {
        let now = self.now().0;
        let token = match who {
            Who::Nobody => return None,
            Who::User(name) => self.token(Role::User, name),
            Who::Shop => self.token(Role::Shop, "till-7"),
            Who::Operator => self.token(Role::Operator, "olga"),
            Who::Admin => self.token(Role::Admin, "root"),
            Who::Expired => {
                let then = now / 1000 * 1000 - HOUR_MS;
                self.minted(SECRET, Role::Admin, "root", HOUR_MS, then)
            }
            Who::OtherKey => self.minted(OTHER_SECRET, Role::Admin, "root", HOUR_MS, now),
            Who::Token(token) => token.to_owned(),
        };
        Some(format!("Bearer {token}"))
    }

    /// Sends one request, and checks its answer against the contract.
    pub(crate) async fn send(&self, who: Who<'_>, asked: Asked) -> Answer {
        self.archive_what_is_finished().await;
        let (method, target) = (asked.method, asked.target.clone());
        let answer = self.answer(who, asked).await;
        if !answer.is_hasty() {
            contract::check(method, &target, &answer);
        }
        answer
    }

    /// Asks as a browser does before it calls. It is no operation of the contract.
    pub(crate) async fn preflight(&self, asked: Asked) -> Answer {
        self.answer(Nobody, asked).await
    }

    /// Sends one request whose answer is not in plain text.
    pub(crate) async fn send_unchecked(&self, who: Who<'_>, asked: Asked) -> Answer {
        self.answer(who, asked).await
    }

    async fn answer(&self, who: Who<'_>, asked: Asked) -> Answer {
        let mut request = Request::builder().method(asked.method).uri(&asked.target);
        if let Some(value) = self.authorization(who) {
            request = request.header(header::AUTHORIZATION, value);
        }
        for (name, value) in &asked.headers {
            request = request.header(*name, value.as_slice());
        }
        if let Some(address) = asked.from {
            request = request.extension(ConnectInfo(SocketAddr::from((address, 50_000))));
        }
        let request = request.body(asked.body).expect("a request");
        let Ok(response) = self.app.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status.as_u16(),
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }

    /// Opens a stream of events, behind the event `seen` if there is one.
    pub(crate) async fn stream(&self, target: &str, seen: Option<&str>) -> Stream {
        self.stream_of(Shop, target, seen).await
    }

    /// The same for somebody else.
    pub(crate) async fn stream_of(&self, who: Who<'_>, target: &str, seen: Option<&str>) -> Stream {
        let token = self.authorization(who).expect("a token");
        let mut request = Request::builder().uri(target).header(header::AUTHORIZATION, token);
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let request = request.body(Body::empty()).expect("a request");
        let Ok(response) = self.app.clone().oneshot(request).await;
        assert_eq!(response.status(), 200, "{target}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Stream { body: response.into_body() }
    }

    /// All that answers, to be served on a port.
    pub(crate) fn router(&self) -> Router {
        self.app.clone()
    }

    /// Begins a download.
    pub(crate) async fn download(&self, who: Who<'_>, target: &str) -> Body {
        let token = self.authorization(who).expect("a token");
        let request = Request::builder().uri(target).header(header::AUTHORIZATION, token);
        let request = request.body(Body::empty()).expect("a request");
        let Ok(response) = self.app.clone().oneshot(request).await;
        assert_eq!(response.status(), 200, "{target}");
        response.into_body()
    }

    pub(crate) async fn get(&self, who: Who<'_>, target: &str) -> Answer {
        for _ in 0..TRIES {
            let answer = self.send(who, Asked::new("GET", target)).await;
            if !answer.is_hasty() {
                return answer;
            }
        }
        panic!("no answer to {target} in {TRIES} tries");
    }

    pub(crate) async fn post(&self, who: Who<'_>, target: &str, body: Value) -> Answer {
        self.send(who, Asked::new("POST", target).json(&body)).await
    }

    pub(crate) async fn patch(&self, who: Who<'_>, target: &str, body: Value) -> Answer {
        self.send(who, Asked::new("PATCH", target).json(&body)).await
    }

    pub(crate) async fn delete(&self, who: Who<'_>, target: &str) -> Answer {
        self.send(who, Asked::new("DELETE", target)).await
    }

    /// Creates a campaign: 10 coupons to the end of 2027, unless `terms` say otherwise.
    pub(crate) async fn campaign(&self, id: &str, terms: Value) -> Answer {
        let mut body = json!({"campaign_id": id, "stock": 10});
        let dated = terms.get("expires_at").is_some() || terms.get("expires_on").is_some();
        if !dated {
            body["expires_at"] = json!("2028-01-01T00:00:00Z");
        }
        for (field, value) in terms.as_object().expect("an object") {
            body[field] = value.clone();
        }
        let answer = self.post(Admin, "/v1/campaigns", body).await;
        answer.is("201", id);
        answer
    }

    /// Issues a coupon to `user`. Returns its code.
    pub(crate) async fn issued(&self, campaign: &str, user: &str) -> String {
        let target = format!("/v1/campaigns/{campaign}/issue");
        let answer = self.post(Shop, &target, json!({"user_id": user})).await;
        answer.is("201", campaign).string("code")
    }

    /// A request of a shop for a coupon of ann: `redeem`, `hold` or `check`, with an order.
    pub(crate) async fn does(&self, what: &str, code: &str, order: &str) -> Answer {
        let body = json!({"user_id": "ann", "order_ref": order});
        self.post(Shop, &format!("/v1/coupons/{code}/{what}"), body).await
    }

    pub(crate) async fn admin(&self, what: &str, code: &str, body: Value) -> Answer {
        self.post(Admin, &format!("/v1/coupons/{code}/{what}"), body).await
    }

    /// The coupon as an admin sees it.
    pub(crate) async fn coupon(&self, code: &str) -> Value {
        self.get(Admin, &format!("/v1/coupons/{code}")).await.is("200", code).json.clone()
    }

    pub(crate) async fn cancel(&self, who: Who<'_>, code: &str, order: &str) -> Answer {
        let body = json!({"order_ref": order});
        self.post(who, &format!("/v1/coupons/{code}/cancel-redemption"), body).await
    }

    pub(crate) async fn release(&self, who: Who<'_>, code: &str, order: &str) -> Answer {
        let body = json!({"order_ref": order});
        self.post(who, &format!("/v1/coupons/{code}/release"), body).await
    }

    pub(crate) async fn import(&self, campaign: &str, batch: &str, file: &str) -> Answer {
        let target = format!("/v1/campaigns/{campaign}/batches?batch_id={batch}");
        self.send(Admin, Asked::new("POST", &target).csv(file.to_owned())).await
    }

    /// The untouched codes of a campaign, printed.
    pub(crate) async fn codes(&self, campaign: &str) -> Vec<String> {
        let answer = self.get(Admin, &format!("/v1/campaigns/{campaign}/codes")).await;
        let mut lines = answer.is("200", campaign).text.lines().map(str::to_owned);
        assert_eq!(lines.next().as_deref(), Some("code"), "the header of {campaign}");
        lines.collect()
    }
}

/// One request.
pub(crate) struct Asked {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Body,
    from: Option<IpAddr>,
}

impl Asked {
    pub(crate) fn new(method: &'static str, target: &str) -> Asked {
        let (headers, body) = (Vec::new(), Body::empty());
        Asked { method, target: target.to_owned(), headers, body, from: None }
    }

    pub(crate) fn json(self, body: &Value) -> Asked {
        self.typed("application/json", body.to_string())
    }

    pub(crate) fn csv(self, body: impl Into<Body>) -> Asked {
        self.typed("text/csv", body)
    }

    pub(crate) fn typed(self, kind: &str, body: impl Into<Body>) -> Asked {
        let asked = self.header("content-type", kind);
        Asked { body: body.into(), ..asked }
    }

    /// From this address.
    pub(crate) fn from(self, address: &str) -> Asked {
        Asked { from: Some(address.parse().expect("an address")), ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Asked {
        self.headers.push((name, value.into()));
        self
    }
}

/// A stream of server-sent events.
pub(crate) struct Stream {
    body: Body,
}

impl Stream {
    /// Whether it has ended; waits for what comes.
    pub(crate) async fn has_ended(&mut self) -> bool {
        self.body.frame().await.is_none()
    }

    /// The next event: its lines by name.
    pub(crate) async fn next(&mut self) -> BTreeMap<String, String> {
        let piece = self.body.frame().await.expect("a stream goes on").expect("a whole piece");
        let piece = piece.into_data().expect("no trailers");
        let text = String::from_utf8(piece.to_vec()).expect("UTF-8");
        assert!(text.ends_with("\n\n"), "{text:?} is a whole event");
        let lines = text.trim_end().lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// Whether `/readyz` gave up after 2 seconds: it does not wait for a machine that stops.
    fn is_hasty(&self) -> bool {
        self.status == 503 && self.text.contains("the hot store has not answered within")
    }

    /// `201`, or `409 HELD`.
    pub(crate) fn word(&self) -> String {
        match self.json["code"].as_str().filter(|_| self.status >= 400) {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// The same answer, if it is `want`.
    #[track_caller]
    pub(crate) fn is(&self, want: &str, name: &str) -> &Answer {
        assert_eq!(self.word(), want, "{name}: {}", self.text);
        self
    }

    /// A field, as text.
    #[track_caller]
    pub(crate) fn string(&self, field: &str) -> String {
        let text = self.json[field].as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no text in {field}: {}", self.text))
    }

    /// The fields that a problem names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array();
        errors.into_iter().flatten().filter_map(|error| error["field"].as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The items of a list, by one field.
    pub(crate) fn data(&self, field: &str) -> Vec<String> {
        let data = self.json["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        data.iter().map(|item| item[field].as_str().unwrap_or("?").to_owned()).collect()
    }
}
