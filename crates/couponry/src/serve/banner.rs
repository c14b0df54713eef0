//! The banner of `couponry serve`: the address, the stores, the keys, and how to make a token.

use std::io::Write;
use std::path::{Path, absolute};
use std::time::{Duration, Instant};

use engine::Engine;
use tokio::net::TcpListener;

use crate::failure::CliError;
use crate::keys::Kind;
use crate::open::{OpenHot, Opened};
use crate::settings::{Cold, Settings};

/// Prints the banner.
pub(super) async fn print(
    settings: &Settings,
    opened: &Opened,
    listener: &TcpListener,
) -> Result<(), CliError> {
    let address = listener
        .local_addr()
        .map_err(CliError::because("cannot read the address of the socket"))?;
    let data = whole(&settings.data.value);
    let cold = match &settings.cold.value {
        Cold::Folder(folder) => whole(folder),
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
         \n  keys       {data}/keys: {codes} for codes, {tokens} for tokens; {keep}\
         \n\nTo make an admin token that is valid for an hour:\n\
         \n  TOKEN=$({program} token --role admin --data {data})\n",
        version = env!("CARGO_PKG_VERSION"),
        kept = match opened.hot {
            OpenHot::Sqlite => "on disk, kept over restarts",
            OpenHot::Cql(_) => "keys and locks; the coupons are on the cluster",
        },
        compacts = match settings.compact_every.value.every {
            Some(_) => format!("finished coupons go there every {}", settings.compact_every.value),
            None => "`couponry compact` moves finished coupons there".into(),
        },
        codes = count(Kind::Code),
        tokens = count(Kind::Token),
        keep = match opened.hot {
            OpenHot::Sqlite => "back them up",
            OpenHot::Cql(_) => "every machine needs the same; back them up",
        },
    );
    // The service runs even if standard output is closed.
    let _ = writeln!(std::io::stdout(), "{banner}");
    Ok(())
}

fn whole(path: &Path) -> String {
    absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The name of the hot store, and how long one write takes.
async fn hot_store(opened: &Opened) -> String {
    let (name, kind) = match &opened.hot {
        OpenHot::Sqlite => ("SQLite".to_owned(), "durable"),
        OpenHot::Cql(cql) => (cql.name().await, "conditional"),
    };
    match durable_write(&opened.engine).await {
        Ok(took) => format!("{name}; one {kind} write takes {}", milliseconds(took)),
        Err(error) => format!("{name}; cannot be written now: {error}"),
    }
}

/// A duration as people read it.
pub(crate) fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

/// How long one durable write takes: the best of three, since the first one opens files.
pub(crate) async fn durable_write(engine: &Engine) -> Result<Duration, String> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        engine.touch().await.map_err(|error| error.to_string())?;
        best = best.min(begun.elapsed());
    }
    Ok(best)
}
