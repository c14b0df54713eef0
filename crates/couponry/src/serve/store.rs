//! One store that is served: its application, and its tasks in the background.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::console::{CompactionTrigger, Console};
use api::token::TokenService;
use api::{AccessPolicy, Passwords, StoreMetrics, WebhookFeed};
use attempts::{AttemptLog, ErasedPerson};
use cold::BucketPatience;
use engine::Engine;
use futures::FutureExt;
use server::peer::TrustedProxies;
use server::request_rate::RequestRate;
use server::spaces::HttpService;
use server::traces::traced;
use tokio::sync::{Mutex, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{Instrument, Span};
use webhooks::Webhooks;

use super::{console, figures, reload};
use crate::cql::Waiting;
use crate::failure::{CliError, Result};
use crate::notices::{Rounds, days_of};
use crate::open::{self, Opened, Purpose};
use crate::settings::{Settings, SpaceName};
use crate::{clock, compaction, files};

/// How often it is deleted what was kept only for a time.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

const ATTEMPTS: &str = "attempts.db";

/// How often erasures of people are looked at that nobody has begun here.
const ERASE_EVERY: Duration = Duration::from_secs(5);

/// How often what failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(20);

/// How often campaigns are looked at whose coupons get a later end.
const EXTEND_EVERY: Duration = Duration::from_secs(5);

/// How often a campaign is looked for that got a later end and nobody has begun with.
const FIND_EXTENSIONS_EVERY: Duration = Duration::from_secs(3_600);

/// How often events are deleted that were kept long enough: at 1,000 a second, 60,000 at a time.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// What all stores of a process share, so that many of them use no more of it than one.
#[derive(Clone, Default)]
pub(super) struct Machine {
    passwords: Passwords,
    /// Whose turn it is to compact: several at a time would take the cores and the disk from everybody's requests.
    compactions: Arc<Mutex<()>>,
}

/// A store that is open and not yet served.
pub(super) struct Store {
    pub(super) opened: Opened,
    access: AccessPolicy,
    tokens: Arc<TokenService>,
    notices: Option<Rounds>,
    console: Option<Arc<Console>>,
    posting: Option<Arc<Webhooks>>,
    alone: File,
}

pub(super) struct Served {
    opened: Opened,
    console: Option<Arc<Console>>,
    background: Tasks,
    /// Stops posting to webhooks when the first is dropped, so that the second ends.
    posting: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    _alone: File,
}

impl Store {
    /// Opens the store of the settings, or makes it. Waits for a cluster that does not answer.
    ///
    /// # Errors
    /// Settings or a folder that cannot be used; another process that serves it; what [`open::opened`] has.
    pub(super) async fn open(
        settings: &Settings,
        machine: &Machine,
        waiting: Waiting,
    ) -> Result<Store> {
        check(settings)?;
        let access = access(settings, machine)?;
        let data = &settings.data.value;
        open::must_not_be_half_restored(data)?;
        files::private_folder(&data.join("keys"))?;
        files::close_to_strangers(data);
        let alone = only_one(data)?;
        let attempts = refused_attempts(settings);
        let attempt = async || open::opened(settings, Purpose::Make, BucketPatience::Caller).await;
        let opened = open::patiently(settings, waiting, attempt).await?;
        let tokens = Arc::new(opened.tokens()?);
        let webhooks = opened.webhooks()?;
        let posting = webhooks.clone().filter(|_| settings.post_webhooks.value);
        let notices = posting.clone().map(|it| Rounds::of(settings, it)).transpose()?;
        let access = AccessPolicy { attempts, webhooks, ..access };
        let console = console::console(settings, &opened, &access, &tokens)?;
        let access = AccessPolicy { has_console: console.is_some(), ..access };
        Ok(Store { opened, access, tokens, notices, console, posting, alone })
    }

    pub(super) fn data(&self) -> &Path {
        &self.opened.settings.data.value
    }

    pub(super) fn trusted_proxies(&self) -> &TrustedProxies {
        &self.access.trusted_proxies
    }

    /// Starts its tasks. Its requests are answered by the service that this returns.
    pub(super) fn start(self, machine: &Machine) -> (Served, HttpService) {
        let Store { opened, access, tokens, notices, console, posting, alone } = self;
        let engine = Arc::clone(&opened.engine);
        let mut background = background(&opened, &access, notices, console.clone(), machine);
        let posting = posting.map(|webhooks| {
            let (stop, stopped) = oneshot::channel();
            let feed = Arc::new(WebhookFeed::new(Arc::clone(&engine)));
            let task = webhooks.run(feed, stopped.map(drop)).instrument(Span::current());
            (stop, tokio::spawn(task))
        });
        let reload = reload::watch(opened.keys.clone(), Arc::clone(&tokens), console.clone());
        background.spawn(reload);
        let pages = console.clone().map(|it| traced(::console::pages(it), access.tracer()));
        let service = api::app_with(engine, tokens, access);
        let service = match pages {
            Some(pages) => service.merge(pages),
            None => service,
        };
        (Served { opened, console, background, posting, _alone: alone }, service)
    }
}

impl Served {
    /// Ends when the store is found to be another one than was opened: an older one, or one that has moved away.
    pub(super) fn wrong_store(&self) -> impl Future<Output = CliError> + use<> {
        let engine = Arc::clone(&self.opened.engine);
        async move {
            let found_older = open::found_older(Arc::clone(&engine));
            let moved_away = open::moved_away(engine);
            tokio::select! {
                error = found_older => error,
                error = moved_away => error,
            }
        }
    }

    /// Ends what pages of the console follow.
    pub(super) fn end_console(&self) {
        self.console.iter().for_each(|console| console.stop());
    }

    /// Ends its tasks, and writes what is only in memory.
    pub(super) async fn stop(self) {
        // Each of these continues where it stopped, so it may be cut off.
        drop(self.background);
        if let Some((stop, task)) = self.posting {
            drop(stop);
            // Waits a moment for what is under way: what is cut off is posted again after the next start.
            if let Err(error) = task.await {
                tracing::error!(%error, "posting to webhooks ended early");
            }
        }
        self.opened.close().await;
    }
}

/// Whether `serve` can use the settings, before it opens or makes anything.
pub(super) fn check(settings: &Settings) -> Result<()> {
    access(settings, &Machine::default())?;
    open::cold(settings, BucketPatience::Caller)?;
    open::external(settings)?;
    if settings.post_webhooks.value {
        days_of(settings)?;
    }
    console::check(settings)
}

fn access(settings: &Settings, machine: &Machine) -> Result<AccessPolicy> {
    let rate = RequestRate::new(settings.requests_per_s.value)
        .map_err(|why| settings.requests_per_s.unusable(why))?;
    let figures = match &settings.space.value {
        None => StoreMetrics::default(),
        Some(name) => StoreMetrics::of_space(name.as_str()),
    };
    Ok(AccessPolicy {
        trusted_proxies: settings.trusted_proxies.parsed()?,
        cors_origins: settings.cors_origins.parsed()?,
        sign_up: settings.sign_up.parsed()?,
        passwords: machine.passwords.clone(),
        space: settings.space.value.as_ref().map(SpaceName::to_string),
        traced: settings.traces.value.is_some(),
        rate: rate.map(Arc::new),
        figures: Arc::new(figures),
        ..AccessPolicy::default()
    })
}

/// Tasks that run until this is dropped, and whose messages in the log name the space for which they were started.
#[derive(Default)]
struct Tasks(JoinSet<()>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task.instrument(Span::current()));
    }
}

fn background(
    opened: &Opened,
    access: &AccessPolicy,
    notices: Option<Rounds>,
    console: Option<Arc<Console>>,
    machine: &Machine,
) -> Tasks {
    let settings = &opened.settings;
    let engine = || Arc::clone(&opened.engine);
    let figures = || Arc::clone(&access.figures);
    let mut tasks = Tasks::default();
    tasks.spawn(tidy(settings.clone(), engine()));
    tasks.spawn(forget(settings.clone(), engine(), access.clone()));
    tasks.spawn(clock::watch(engine(), figures()));
    tasks.spawn(figures::watch(settings.clone(), engine(), figures()));
    let compactions = console.map(|it| Arc::clone(it.compactions())).unwrap_or_default();
    tasks.spawn(erase(engine(), access.attempts.clone(), Arc::clone(&compactions)));
    tasks.spawn(extend(engine()));
    let turns = machine.compactions.clone();
    tasks.spawn(compaction::from_time_to_time(settings.clone(), engine(), compactions, turns));
    if let Some(rounds) = notices {
        tasks.spawn(rounds.go(engine()));
    }
    if opened.cluster.is_some() {
        tasks.spawn(open::watch_keys(engine(), opened.keys.ring()));
    }
    tasks
}

/// Locks the data folder against another `serve`: each of two services would remember what the other changes.
pub(crate) fn only_one(data: &Path) -> Result<File> {
    let mut file = files::lock_file(&data.join("serve.lock"))?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        // The number helps people; the message is right without it.
        let _ = file.read_to_string(&mut holder);
        return Err(CliError::new(format!(
            "another `couponry serve` (process {}) works on {}: stop it, or name another --data",
            holder.trim(),
            data.display()
        )));
    }
    let wrote = file.set_len(0).and_then(|()| file.rewind());
    let wrote = wrote.and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = wrote {
        // The lock holds anyway; on a full disk the service can still read.
        tracing::warn!(%error, "cannot write the process id to serve.lock");
    }
    Ok(file)
}

/// Deletes what is kept only for a time.
async fn tidy(settings: Settings, engine: Arc<Engine>) {
    let keep = settings.orders_keep.value.every.unwrap_or_default();
    let orders_days = i32::try_from(keep.as_secs() / 86_400).unwrap_or(i32::MAX);
    loop {
        if clock::would_observe(&engine).await.is_ok_and(|it| it.jumped_at.is_none()) {
            if let Err(error) = engine.forget_orders(orders_days).await {
                tracing::warn!(error = ?error, "cannot delete old orders of redemptions");
            }
            while engine.tables().forget_expired().await.unwrap_or_else(|error| {
                tracing::warn!(error = ?error, "cannot delete records whose time is over");
                false
            }) {}
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Goes on with people who are to be forgotten, as soon as somebody asks for one.
async fn erase(
    engine: Arc<Engine>,
    attempts: Option<Arc<AttemptLog>>,
    compactions: Arc<CompactionTrigger>,
) {
    loop {
        let pause = match erase_all(&engine, attempts.as_ref()).await {
            Ok(true) => {
                compactions.ask(engine.now(), compaction::ERASURE.to_owned());
                TRY_AGAIN
            }
            Ok(false) => ERASE_EVERY,
            Err(error) => {
                tracing::warn!(error = ?error, "a person is not forgotten yet: it is tried again");
                TRY_AGAIN
            }
        };
        // One that another process has begun, or that waits for a compaction, is found by a look.
        let _ = tokio::time::timeout(pause, engine.erasure_begun()).await;
    }
}

/// Goes on with coupons of campaigns that got a later end, as soon as somebody gives one to a campaign.
async fn extend(engine: Arc<Engine>) {
    let mut found: Option<Instant> = None;
    loop {
        let extended = async {
            if found.is_none_or(|at| at.elapsed() >= FIND_EXTENSIONS_EVERY) {
                engine.find_extensions().await?;
                found = Some(Instant::now());
            }
            engine.extend_coupons().await
        };
        let pause = match extended.await {
            Ok(()) => EXTEND_EVERY,
            Err(error) => {
                tracing::warn!(error = ?error, "coupons do not have the later end yet: it is tried again");
                TRY_AGAIN
            }
        };
        let _ = tokio::time::timeout(pause, engine.extension_begun()).await;
    }
}

/// Returns whether an erasure wants a compaction at once.
async fn erase_all(engine: &Engine, attempts: Option<&Arc<AttemptLog>>) -> Result<bool> {
    if !engine.has_erasures().await? {
        return Ok(false);
    }
    let erased = engine.settle_erasures().await?;
    if let Some(attempts) = attempts {
        let (attempts, erased, now) = (Arc::clone(attempts), erased.clone(), engine.now().0);
        let erase = move || {
            erased.iter().try_for_each(|it| {
                let (user, name) = (it.user.as_str(), it.name.as_str());
                attempts.erase(&ErasedPerson { user, name, without: &|text| it.of_text(text) }, now)
            })
        };
        tokio::task::spawn_blocking(erase).await.map_err(CliError::of)?.map_err(CliError::of)?;
    }
    engine.overwrite_erased(&erased).await?;
    engine.finish_erasures().await?;
    Ok(engine.wants_compaction().await?)
}

/// The service runs without the file if it cannot be opened.
fn refused_attempts(settings: &Settings) -> Option<Arc<AttemptLog>> {
    let keep = settings.attempts_keep.value.every?;
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let path = settings.data.value.join(ATTEMPTS);
    match AttemptLog::open(&path, attempts::Options { keep_ms, ..Default::default() }) {
        Ok(log) => Some(Arc::new(log)),
        Err(error) => {
            tracing::warn!(%error, "refused attempts are not kept");
            None
        }
    }
}

/// Deletes events and refused attempts that were kept long enough, while the clock is trusted: one that is a
/// year ahead would make all of them old.
async fn forget(settings: Settings, engine: Arc<Engine>, access: AccessPolicy) {
    let keep = settings.events_keep.value.every.unwrap_or_default();
    // What the feed told is in deliveries of webhooks, too.
    let told_keep = keep.max(settings.deliveries_keep());
    let [kept_ms, told_ms] =
        [keep, told_keep].map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    loop {
        let record = clock::would_observe(&engine).await;
        let is_trusted = record.as_ref().is_ok_and(|record| record.jumped_at.is_none());
        if let Some(attempts) = &access.attempts {
            attempts.forget_old(is_trusted);
        }
        if let Some(webhooks) = &access.webhooks {
            webhooks.trust_clock(is_trusted);
        }
        if let Err(error) = engine.count_activity().await {
            tracing::debug!(error = ?error, "cannot count what happened");
        }
        match record {
            Ok(record) if record.jumped_at.is_some() => {}
            Ok(_) => {
                let forgotten = async {
                    engine.forget_events(kept_ms).await?;
                    engine.forget_told(engine.now().plus_ms(-told_ms)).await?;
                    engine.forget_activity().await
                };
                if let Err(error) = forgotten.await {
                    tracing::warn!(error = ?error, "cannot delete old events and counts");
                }
            }
            Err(error) => tracing::debug!(%error, "cannot compare the clock"),
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}
