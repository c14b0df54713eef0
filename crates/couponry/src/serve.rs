//! `couponry serve`: runs the service on one address until a signal stops it.

pub(crate) mod banner;
pub(crate) mod console;
mod figures;
mod history;
mod identity;
mod machine;
mod reload;
mod spaces;
mod store;
mod traces;

use server::accept::{self, ListenerLimits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use self::store::{Machine, Store};
use self::traces::Traces;
use crate::cql::Waiting;
use crate::failure::{CliError, Ended, Result};
use crate::settings::{Settings, SpaceHosts};

pub(crate) use store::only_one;

/// The file in the data folder that names the address on which `serve` listens.
pub(crate) const ADDRESS_FILE: &str = "serve.address";

pub(crate) async fn run(settings: &Settings) -> Result<Ended> {
    // First of all, so that a signal that comes after the banner stops the service properly.
    let stop = stopped()?;
    tokio::pin!(stop);
    let hosts = hosts(settings)?;
    let machine = Machine::default();
    let traces = Traces::start(settings)?;
    let main = tokio::select! {
        opened = Store::open(settings, &machine, Waiting::Service) => opened?,
        () = &mut stop => return Ok(Ended::Done),
    };
    let spaces = tokio::select! {
        opened = spaces::open(settings, hosts, &machine) => opened,
        () = &mut stop => return Ok(Ended::Done),
    };
    let listen = &settings.listen.value;
    let bound = TcpListener::bind(listen).await;
    let listener = bound.map_err(CliError::listening(listen, "--listen"))?;
    let limits = ListenerLimits {
        trusted_proxies: main.trusted_proxies().clone(),
        ..ListenerLimits::default()
    };
    banner::print(settings, &main.opened, &listener, &spaces).await?;
    let address_file = settings.data.value.join(ADDRESS_FILE);
    if let Ok(address) = listener.local_addr() {
        // Only `couponry console` reads it, and without it takes the setting.
        let _ = std::fs::write(&address_file, address.to_string());
    }
    let (main, app) = main.start(&machine);
    let spaces = spaces.start(&machine);
    let app = spaces.before(app);
    let mut wrong_store = None;
    let is_wrong = main.wrong_store();
    let stop = async {
        tokio::select! {
            () = stop => {}
            error = is_wrong => wrong_store = Some(error),
            never = spaces.close_where_wrong() => match never {},
        }
        main.end_console();
        spaces.end_consoles();
    };
    let served = accept::serve(listener, app, api::two_hosts, limits, stop).await;
    let _ = std::fs::remove_file(&address_file);
    futures::join!(main.stop(), spaces.stop());
    traces.stop().await;
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

/// Whether the settings can be used, as far as that can be said without opening anything: `config` and
/// `doctor` say what `serve` would say.
///
/// # Errors
/// Usage: a setting, or settings together, that cannot be used.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    hosts(settings)?;
    traces::collector(settings)?;
    store::check(settings)
}

/// The spaces beside the store. One that is served alone has none.
fn hosts(settings: &Settings) -> Result<SpaceHosts> {
    match settings.space.value {
        None => settings.spaces.parsed(),
        Some(_) => Ok(SpaceHosts::default()),
    }
}

/// Ends when SIGTERM or SIGINT asks the process to stop.
///
/// # Errors
/// The system does not deliver signals.
pub fn stopped() -> Result<impl Future<Output = ()>> {
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
