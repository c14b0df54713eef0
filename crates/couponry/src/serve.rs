//! `couponry serve`: the service on one address, until a signal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Access;
use api::accept::{self, Limits};
use cold::Patience;
use engine::Engine;
use engine::import::REJECTED_KEPT_DAYS;
use hot::HotStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cluster::{self, NotOpen, Waiting};
use crate::commands::notify::Rounds;
use crate::failure::{CliError, Ended};
use crate::keys::Kind;
use crate::open::{self, Opened, Purpose};
use crate::settings::{Cold, Hot, Settings};
use crate::{clock, compaction, files, reload};

/// Time between two rounds of tidying up.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

pub(crate) async fn run(settings: &Settings) -> Result<Ended, CliError> {
    // First of all: from the banner on, a signal means a good end.
    let stop = stopped()?;
    tokio::pin!(stop);
    let notices = Rounds::of(settings)?;
    let access = access(settings)?;
    let data = &settings.data.value;
    open::must_not_be_half_restored(data)?;
    files::private_folder(&data.join("keys"))?;
    let _only = only_one(data)?;
    let opened = tokio::select! {
        opened = opened(settings) => opened?,
        () = &mut stop => return Ok(Ended::Done),
    };
    let engine = Arc::clone(&opened.engine);
    let tokens = Arc::new(open::tokens(settings, &opened.keys)?);
    let listen = &settings.listen.value;
    let cannot = format!("cannot listen on {listen}");
    let listener = TcpListener::bind(listen).await.map_err(CliError::because(cannot))?;
    banner(settings, &opened, &listener).await?;
    let mut beside = work_beside(settings, &opened, notices);
    beside.spawn(reload::watch(opened.keys.clone(), Arc::clone(&tokens)));
    let mut wrong_store = None;
    let found_older = open::found_older(Arc::clone(&engine));
    let moved_away = open::moved_away(Arc::clone(&engine));
    let limits = Limits { trusted_proxies: access.trusted_proxies.clone(), ..Limits::default() };
    let app = api::app_with(engine, tokens, access);
    let stop = async {
        tokio::select! {
            () = stop => {}
            cli_error = found_older => wrong_store = Some(cli_error),
            cli_error = moved_away => wrong_store = Some(cli_error),
        }
    };
    let served = accept::serve(listener, app, limits, stop).await;
    // Whatever it is, it goes on where it stopped.
    drop(beside);
    opened.close().await;
    if let Some(cli_error) = wrong_store {
        return Err(cli_error);
    }
    let drained = served.map_err(CliError::because("the service stopped"))?;
    match drained.cut_off {
        0 => tracing::info!("stopped, every request answered"),
        cut_off => tracing::warn!(cut_off, "stopped, some connections were cut off"),
    }
    Ok(Ended::Done)
}

/// What strangers may do.
fn access(settings: &Settings) -> Result<Access, CliError> {
    Ok(Access {
        trusted_proxies: settings.trusted_proxies.parsed("trusted_proxies")?,
        sign_up: settings.sign_up.parsed("sign_up")?,
    })
}

/// What a service does by itself, until it is dropped.
fn work_beside(settings: &Settings, opened: &Opened, notices: Option<Rounds>) -> JoinSet<()> {
    let engine = || Arc::clone(&opened.engine);
    let mut beside = JoinSet::new();
    beside.spawn(tidy(engine()));
    beside.spawn(clock::watch(settings.clone(), engine()));
    beside.spawn(compaction::from_time_to_time(settings.clone(), engine()));
    if let Some(notices) = notices {
        beside.spawn(notices.go(settings.clone(), engine()));
    }
    if let Some(cluster) = &opened.cluster {
        let store = Arc::clone(&cluster.store) as Arc<dyn HotStore>;
        beside.spawn(cluster::watch_keys(store, opened.keys.ring()));
    }
    beside
}

/// A cluster that is not there is waited for.
async fn opened(settings: &Settings) -> Result<Opened, CliError> {
    let attempt = async || open::opened(settings, Purpose::Make, Patience::Caller).await;
    match &settings.hot.value {
        Hot::Sqlite => attempt().await.map_err(NotOpen::cli_error),
        Hot::Cluster(target) => cluster::patiently(target, Waiting::Service, attempt).await,
    }
}

/// Two services on one folder would each hold what the other does not know of.
pub(crate) fn only_one(data: &Path) -> Result<File, CliError> {
    let path = data.join("serve.lock");
    let cannot = || format!("cannot lock {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(CliError::because(cannot()))?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        // The number is for people; without it the sentence still stands.
        let _ = file.read_to_string(&mut holder);
        return Err(CliError::new(format!(
            "another `couponry serve` (process {}) works on {}: stop it, or take another --data",
            holder.trim(),
            data.display()
        )));
    }
    let wrote = file.set_len(0).and_then(|()| file.rewind());
    let wrote = wrote.and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = wrote {
        // The lock holds all the same; on a full disk the service can still read.
        tracing::warn!(error = %error, "serve.lock does not name this process");
    }
    Ok(file)
}

async fn banner(
    settings: &Settings,
    opened: &Opened,
    listener: &TcpListener,
) -> Result<(), CliError> {
    let address = listener.local_addr().map_err(CliError::because("no address"))?;
    let data = std::path::absolute(&settings.data.value).unwrap_or(settings.data.value.clone());
    let cold = match &settings.cold.value {
        Cold::Folder(folder) => {
            std::path::absolute(folder).unwrap_or(folder.clone()).display().to_string()
        }
        Cold::Bucket(address) => address.to_string(),
    };
    let hot = hot_store(opened).await;
    let program = std::env::current_exe().map_or("couponry".into(), |it| it.display().to_string());
    let count = |kind: Kind| opened.keys.all.iter().filter(|key| key.kind == kind).count();
    let banner = format!(
        "couponry {version}\n\
         \n  address    http://{address}\
         \n  API page   http://{address}/docs\
         \n  data       {data}: {kept}\
         \n  hot store  {hot}\
         \n  cold tier  {cold}: {compacts}\
         \n  keys       {keys_folder}: {codes} for codes, {tokens} for tokens; {keep}\
         \n\nAn admin token, good for an hour:\n\
         \n  TOKEN=$({program} token --role admin --data {data})\n",
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
        kept = match opened.cluster {
            None => "on disk, kept over restarts",
            Some(_) => "keys and locks; the coupons are on the cluster",
        },
        compacts = match settings.compact_every.value.every {
            Some(_) => format!("finished coupons go there every {}", settings.compact_every.value),
            None => "`couponry compact` moves finished coupons there".into(),
        },
        keys_folder = data.join("keys").display(),
        keep = match opened.cluster {
            None => "back them up",
            Some(_) => "every node needs the same; back them up",
        },
        codes = count(Kind::Code),
        tokens = count(Kind::Token),
    );
    // The service does not depend on anybody who reads its banner.
    let _ = writeln!(std::io::stdout(), "{banner}");
    Ok(())
}

/// Which hot store it is, and what one write of it takes.
async fn hot_store(opened: &Opened) -> String {
    let (name, kind) = match &opened.cluster {
        None => ("SQLite".to_owned(), "durable"),
        Some(cluster) => (cluster.name().await, "conditional"),
    };
    match durable_write(&opened.engine).await {
        Ok(took) => format!("{name}; one {kind} write takes {}", milliseconds(took)),
        Err(error) => format!("{name}; not writable now: {error}"),
    }
}

/// A duration as people read it.
pub(crate) fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

/// The best of three, since the first one opens files.
pub(crate) async fn durable_write(engine: &Engine) -> Result<Duration, String> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        engine.touch().await.map_err(|error| error.to_string())?;
        best = best.min(begun.elapsed());
    }
    Ok(best)
}

/// Forgets what is kept for a time only.
async fn tidy(engine: Arc<Engine>) {
    loop {
        match engine.forget_rejected_lines(REJECTED_KEPT_DAYS).await {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, "forgot old rejected lines of imports"),
            Err(error) => tracing::warn!(error = ?error, "old rejected lines are still there"),
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Ends when the process is asked to.
///
/// # Errors
/// Signals that cannot be waited for.
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
