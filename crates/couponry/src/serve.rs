//! `couponry serve`: runs the service on one address until a signal stops it.

pub(crate) mod banner;
pub(crate) mod console;
mod figures;
mod history;
mod identity;
mod machine;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::console::Console;
use api::accept::{self, Limits};
use api::{Access, WebhookFeed};
use attempts::AttemptLog;
use cold::Patience;
use engine::Engine;
use engine::import::REJECTED_KEPT_DAYS;
use hot::HotStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use webhooks::Webhooks;

use crate::commands::notify::Rounds;
use crate::cql::{self, Waiting};
use crate::failure::{CliError, Ended};
use crate::open::{self, OpenHot, Opened, Purpose};
use crate::settings::Settings;
use crate::{clock, compaction, files, reload};

/// How often rejected lines of old imports are deleted.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// The file of refused attempts in the data folder.
const ATTEMPTS: &str = "attempts.db";

/// How often events are deleted that were kept long enough: at 1,000 a second, 60,000 at a time.
const FORGET_EVERY: Duration = Duration::from_secs(60);

pub(crate) async fn run(settings: &Settings) -> Result<Ended, CliError> {
    // First of all, so that a signal that comes after the banner stops the service properly.
    let stop = stopped()?;
    tokio::pin!(stop);
    let mut notices = Vec::from_iter(Rounds::of(settings)?);
    let access = Access {
        trusted_proxies: settings.trusted_proxies.parsed("trusted_proxies")?,
        cors_origins: settings.cors_origins.parsed("cors_origins")?,
        sign_up: settings.sign_up.parsed("sign_up")?,
        ..Access::default()
    };
    let data = &settings.data.value;
    open::must_not_be_half_restored(data)?;
    files::private_folder(&data.join("keys"))?;
    let _only = only_one(data)?;
    let attempts = refused_attempts(settings);
    let attempt = async || open::opened(settings, Purpose::Make, Patience::Caller).await;
    let opened = tokio::select! {
        opened = open::patiently(settings, Waiting::Service, attempt) => opened?,
        () = &mut stop => return Ok(Ended::Done),
    };
    let engine = Arc::clone(&opened.engine);
    let tokens = Arc::new(opened.tokens()?);
    let webhooks = opened.webhooks()?;
    let posting = webhooks.clone().filter(|_| settings.post_webhooks.value);
    let to_webhooks = posting.clone().map(|it| Rounds::to_webhooks(settings, it));
    notices.extend(to_webhooks.transpose()?);
    let access = Access { attempts, webhooks, ..access };
    let listen = &settings.listen.value;
    let cannot = format!("cannot listen on {listen}");
    let listener = TcpListener::bind(listen).await.map_err(CliError::because(cannot))?;
    banner::print(settings, &opened, &listener).await?;
    let console = console::console(settings, &opened, &access, &tokens)?;
    let mut background = background(settings, &opened, &access, notices, console.clone());
    let posting = posting.map(|it| Posting::start(it, Arc::clone(&engine)));
    background.spawn(reload::watch(opened.keys.clone(), Arc::clone(&tokens), console.clone()));
    let mut wrong_store = None;
    let found_older = open::found_older(Arc::clone(&engine));
    let moved_away = open::moved_away(Arc::clone(&engine));
    let limits = Limits { trusted_proxies: access.trusted_proxies.clone(), ..Limits::default() };
    let app = api::app_with(engine, tokens, access);
    let app = match console.clone() {
        Some(console) => ::console::mounted(app, console),
        None => app,
    };
    let stop = async {
        tokio::select! {
            () = stop => {}
            error = found_older => wrong_store = Some(error),
            error = moved_away => wrong_store = Some(error),
        }
        console.iter().for_each(|console| console.stop());
    };
    let served = accept::serve(listener, app, limits, stop).await;
    // Each of these continues where it stopped, so it may be cut off.
    drop(background);
    if let Some(posting) = posting {
        posting.stop().await;
    }
    opened.close().await;
    if let Some(error) = wrong_store {
        return Err(error);
    }
    let drained = served.map_err(CliError::because("the service stopped"))?;
    match drained.cut_off {
        0 => tracing::info!("stopped after answering every request"),
        cut_off => tracing::warn!(cut_off, "stopped; some connections were cut off"),
    }
    Ok(Ended::Done)
}

/// The tasks of the service in the background, which run until the set is dropped.
fn background(
    settings: &Settings,
    opened: &Opened,
    access: &Access,
    notices: Vec<Rounds>,
    console: Option<Arc<Console>>,
) -> JoinSet<()> {
    let engine = || Arc::clone(&opened.engine);
    let mut tasks = JoinSet::new();
    tasks.spawn(tidy(settings.clone(), engine()));
    tasks.spawn(forget(settings.clone(), engine(), access.clone()));
    tasks.spawn(clock::watch(settings.clone(), engine()));
    tasks.spawn(figures::watch(settings.clone(), engine()));
    let compactions = console.map(|it| Arc::clone(it.compactions())).unwrap_or_default();
    tasks.spawn(compaction::from_time_to_time(settings.clone(), engine(), compactions));
    for rounds in notices {
        tasks.spawn(rounds.go(settings.clone(), engine()));
    }
    match &opened.hot {
        OpenHot::Sqlite => {}
        OpenHot::Cql(cql) => {
            let store = Arc::clone(&cql.store) as Arc<dyn HotStore>;
            tasks.spawn(cql::watch_keys(store, opened.keys.ring()));
        }
    }
    tasks
}

/// Locks the data folder against another `serve`: each of two services would remember what the
/// other changes.
pub(crate) fn only_one(data: &Path) -> Result<File, CliError> {
    let path = data.join("serve.lock");
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(CliError::cannot("lock", &path))?;
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
        if clock::would_observe(&settings, &engine).await.is_ok_and(|it| it.jumped_at.is_none())
            && let Err(error) = engine.forget_orders(orders_days).await
        {
            tracing::warn!(error = ?error, "cannot delete old orders of redemptions");
        }
        match engine.forget_rejected_lines(REJECTED_KEPT_DAYS).await {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, "deleted old rejected lines of imports"),
            Err(error) => {
                tracing::warn!(error = ?error, "cannot delete old rejected lines of imports");
            }
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Opens the file of refused attempts. The service runs without it where that is impossible.
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

/// The posting of events to webhooks.
struct Posting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Posting {
    fn start(webhooks: Arc<Webhooks>, engine: Arc<Engine>) -> Posting {
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // A sender that is dropped stops it too.
            let _ = stopped.await;
        };
        let feed = Arc::new(WebhookFeed::new(engine));
        Posting { stop, task: tokio::spawn(webhooks.run(feed, stopped)) }
    }

    /// Waits a moment for what is under way: what is cut off is posted again after the next start.
    async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "posting to webhooks ended early");
        }
    }
}

/// Deletes events and refused attempts that were kept long enough, while the clock is trusted: one that is a
/// year ahead would make all of them old.
async fn forget(settings: Settings, engine: Arc<Engine>, access: Access) {
    let keep = settings.events_keep.value.every.unwrap_or_default();
    let kept_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    loop {
        let record = clock::would_observe(&settings, &engine).await;
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

/// Ends when SIGTERM or SIGINT asks the process to stop.
///
/// # Errors
/// The system does not deliver signals.
pub fn stopped() -> Result<impl Future<Output = ()>, CliError> {
    let cannot = "cannot wait for signals";
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::because(cannot))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::because(cannot))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
    })
}
