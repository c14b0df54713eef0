//! The banner of `couponry serve`: the address, the stores, the keys, and how to make a token.

use std::io::Write;
use std::time::{Duration, Instant};

use ::console::FIRST_LINK_MS;
use engine::Engine;
use tokio::net::TcpListener;

use crate::failure::{CliError, Result};
use crate::files;
use crate::keys::Kind;
use crate::open::Opened;
use crate::serve::console;
use crate::serve::spaces::Spaces;
use crate::settings::{Cold, Settings};

pub(super) async fn print(
    settings: &Settings,
    opened: &Opened,
    listener: &TcpListener,
    spaces: &Spaces,
) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(CliError::because("cannot read the address of the socket"))?;
    let data = files::whole(&settings.data.value);
    let cold = match &settings.cold.value {
        Cold::Folder(folder) => files::whole(folder),
        Cold::Bucket(address) => address.to_string(),
    };
    let hot = hot_store(opened).await;
    let program = std::env::current_exe().map_or("couponry".into(), |it| it.display().to_string());
    let count = |kind: Kind| opened.keys.all.iter().filter(|key| key.kind == kind).count();
    let banner = format!(
        "couponry {version}\n\
         \n  address    http://{address}\
         \n  API page   http://{address}/docs\
         \n  console    {console}\
         \n  data       {data}: {kept}\
         \n  hot store  {hot}\
         \n  cold tier  {cold}: {compacts}\
         \n  keys       {data}/keys: {codes} for codes, {tokens} for tokens; {keep}\
         {spaces}\
         \n\nTo make an admin token that is valid for an hour:\n\
         \n  TOKEN=$({program} token --role admin --data {data})\n",
        spaces = spaces.lines().map(|line| format!("\n  space      {line}")).collect::<String>(),
        version = env!("CARGO_PKG_VERSION"),
        console = match console::is_on(settings)? {
            true => format!("http://{address}/console"),
            false => "off".to_owned(),
        },
        kept = match opened.cluster {
            None => "on disk, kept over restarts",
            Some(_) => "keys and locks; the coupons are on the cluster",
        },
        compacts = match settings.compact_every.value.every {
            Some(_) => format!("finished coupons go there every {}", settings.compact_every.value),
            None => "`couponry compact` moves finished coupons there".into(),
        },
        codes = count(Kind::Code),
        tokens = count(Kind::Token),
        keep = match opened.cluster {
            None => "back them up",
            Some(_) => "every machine needs the same; back them up",
        },
    );
    let first = first_link(settings, opened, &format!("http://{address}")).await?;
    // The service runs even if standard output is closed.
    let _ = writeln!(std::io::stdout(), "{banner}{first}");
    Ok(())
}

/// How to make the first account of the console, while there is none.
async fn first_link(settings: &Settings, opened: &Opened, address: &str) -> Result<String> {
    let staff = opened.engine.staff().await;
    // A store that does not answer now is no reason not to start.
    let has_none = staff.is_ok_and(|staff| staff.people().is_empty());
    if !console::is_on(settings)? || !has_none {
        return Ok(String::new());
    }
    let keys = console::signing_keys(&opened.keys);
    let now = opened.engine.now();
    let link = ::console::first_link(keys, now, FIRST_LINK_MS);
    Ok(format!(
        "\nTo make the first account of the console, open this once within an hour:\n\n  {address}{link}\n"
    ))
}

/// The name of the hot store, and how long one write takes.
async fn hot_store(opened: &Opened) -> String {
    let (name, kind) = match &opened.cluster {
        None => ("SQLite".to_owned(), "durable"),
        Some(cluster) => (cluster.name().await, "conditional"),
    };
    match durable_write(&opened.engine).await {
        Ok(took) => format!("{name}; one {kind} write takes {}", milliseconds(took)),
        Err(error) => format!("{name}; cannot be written now: {error}"),
    }
}

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
