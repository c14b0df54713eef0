//! `couponry serve`: the service on one address, until a signal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::accept::{self, Limits};
use engine::Engine;
use engine::import::REJECTED_KEPT_DAYS;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::notify::Rounds;
use crate::compaction;
use crate::failure::{Ended, Sorry};
use crate::keys::{Keys, Kind};
use crate::open;
use crate::settings::Settings;

/// Time between two rounds of tidying up.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

pub(crate) async fn run(settings: &Settings) -> Result<Ended, Sorry> {
    // First of all: from the banner on, a signal means a good end.
    let stop = stopped()?;
    let data = &settings.data.value;
    open::must_not_be_half_restored(data)?;
    let keys = Keys::load_or_make(data)?;
    let _only = only_one(data)?;
    let engine = Arc::new(open::engine(settings, &keys).await?);
    let tokens = Arc::new(open::tokens(settings, &keys)?);
    let notices = Rounds::of(settings)?;
    let listen = &settings.listen.value;
    let cannot = format!("cannot listen on {listen}");
    let listener = TcpListener::bind(listen).await.map_err(Sorry::because(cannot))?;
    banner(settings, &keys, &engine, &listener).await?;
    let tidying = tokio::spawn(tidy(Arc::clone(&engine)));
    let notifying = notices.map(|it| tokio::spawn(it.go(settings.clone(), Arc::clone(&engine))));
    let compacting = compaction::from_time_to_time(settings.clone(), Arc::clone(&engine));
    let compacting = tokio::spawn(compacting);
    let mut older = None;
    let found_older = open::found_older(Arc::clone(&engine));
    let app = api::app(engine, tokens);
    let stop = async {
        tokio::select! {
            () = stop => {}
            sorry = found_older => older = Some(sorry),
        }
    };
    let served = accept::serve(listener, app, Limits::default(), stop).await;
    tidying.abort();
    // Both go on where they stopped.
    compacting.abort();
    if let Some(notifying) = notifying {
        notifying.abort();
    }
    if let Some(sorry) = older {
        return Err(sorry);
    }
    let drained = served.map_err(Sorry::because("the service stopped"))?;
    match drained.cut_off {
        0 => tracing::info!("stopped, every request answered"),
        cut_off => tracing::warn!(cut_off, "stopped, some connections were cut off"),
    }
    Ok(Ended::Done)
}

/// Two services on one folder would each hold what the other does not know of.
pub(crate) fn only_one(data: &Path) -> Result<File, Sorry> {
    let path = data.join("serve.lock");
    let cannot = || format!("cannot lock {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(Sorry::because(cannot()))?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        // The number is for people; without it the sentence still stands.
        let _ = file.read_to_string(&mut holder);
        return Err(Sorry::new(format!(
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
    keys: &Keys,
    engine: &Engine,
    listener: &TcpListener,
) -> Result<(), Sorry> {
    let address = listener.local_addr().map_err(Sorry::because("no address"))?;
    let data = std::path::absolute(&settings.data.value).unwrap_or(settings.data.value.clone());
    let cold = std::path::absolute(&settings.cold.value).unwrap_or(settings.cold.value.clone());
    let write = match durable_write(engine).await {
        Ok(took) => format!("one durable write takes {:.2} ms", took.as_secs_f64() * 1e3),
        Err(error) => format!("not writable now: {error}"),
    };
    let program = std::env::current_exe().map_or("couponry".into(), |it| it.display().to_string());
    let count = |kind: Kind| keys.all.iter().filter(|key| key.kind == kind).count();
    let banner = format!(
        "couponry {version}\n\
         \n  address    http://{address}\
         \n  API page   http://{address}/docs\
         \n  data       {data}: on disk, kept over restarts\
         \n  hot store  SQLite; {write}\
         \n  cold tier  {cold}: {compacts}\
         \n  keys       {keys_folder}: {codes} for codes, {tokens} for tokens; back them up\
         \n\nAn admin token, good for an hour:\n\
         \n  TOKEN=$({program} token --role admin --data {data})\n",
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
        cold = cold.display(),
        compacts = match settings.compact_every.value.every {
            Some(_) => format!("finished coupons go there every {}", settings.compact_every.value),
            None => "`couponry compact` moves finished coupons there".into(),
        },
        keys_folder = data.join("keys").display(),
        codes = count(Kind::Code),
        tokens = count(Kind::Token),
    );
    // The service does not depend on anybody who reads its banner.
    let _ = writeln!(std::io::stdout(), "{banner}");
    Ok(())
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
fn stopped() -> Result<impl Future<Output = ()>, Sorry> {
    let cannot = "cannot wait for signals";
    let mut terminate = signal(SignalKind::terminate()).map_err(Sorry::because(cannot))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Sorry::because(cannot))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
    })
}
