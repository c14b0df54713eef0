//! `couponry console`: prints a one-time link to the console.

use std::path::Path;

use clap::Args;
use console::FIRST_LINK_MS;
use coupon::ids::UserId;
use engine::{Clock, StaffRole, SystemClock};

use crate::commands::healthcheck;
use crate::failure::{CliError, Ended, Result};
use crate::serve::ADDRESS_FILE;
use crate::serve::console::signing_keys;
use crate::settings::{Origin, Settings, SpaceHosts};
use crate::{open, output};

/// Print a one-time link to the console
///
/// Whoever opens the link within an hour chooses a name and a password, and gets an account with the role. With
/// --name, if the name has an account, it gets the new password and the role, and is signed out everywhere: so
/// this is also what to do if every admin has lost their password. The first account must be an admin: until there
/// is one, links of other roles do not work.
#[derive(Args)]
#[command(after_help = help_ending!("0 printed, 1 failed, 2 usage error",
    "couponry console",
    "couponry console --role support --name mina --address https://coupons.example.com"))]
pub(crate) struct ConsoleArgs {
    /// Role of the account: viewer, marketer, support, operator or admin
    #[arg(long, default_value = "admin", value_parser = role)]
    role: StaffRole,
    /// Name of the account; without it, whoever opens the link chooses one
    #[arg(long, value_name = "NAME")]
    name: Option<UserId>,
    /// Address of the server, as browsers have it [default: the setting listen, or where `serve` listens;
    /// for a space its host in the setting spaces, with that port]
    #[arg(long, value_name = "URL")]
    address: Option<String>,
}

pub(crate) fn run(settings: &Settings, args: &ConsoleArgs) -> Result<Ended> {
    let keys = signing_keys(&open::keys(settings)?);
    let name = args.name.as_ref().map(ToString::to_string);
    let link = console::link(keys, args.role, name, SystemClock.now(), FIRST_LINK_MS);
    let address = match &args.address {
        Some(address) => address.trim_end_matches('/').to_owned(),
        None => address(settings)?,
    };
    output::done(&format!("{address}{link}"))
}

fn address(settings: &Settings) -> Result<String> {
    let Some(space) = &settings.space.value else {
        return Ok(healthcheck::address(&listen(settings, &settings.data.value)));
    };
    let hosts: SpaceHosts = settings.spaces.parsed()?;
    let host = hosts.0.get(space).and_then(|hosts| hosts.first()).ok_or_else(|| {
        CliError::usage(format!("the setting spaces has no host of {space}: give --address"))
    })?;
    // The folder of a space is spaces/NAME in that of `serve`.
    let main = settings.data.value.ancestors().nth(2).unwrap_or(Path::new(""));
    let listen = listen(settings, main);
    let port = listen.rsplit_once(':').map_or("", |(_, port)| port);
    Ok(format!("http://{host}:{port}"))
}

/// The setting, if somebody has set it; else where the `serve` on this folder listens.
fn listen(settings: &Settings, data: &Path) -> String {
    let is_set = settings.listen.origin != Origin::Default;
    let written = (!is_set).then(|| std::fs::read_to_string(data.join(ADDRESS_FILE)).ok());
    written.flatten().unwrap_or_else(|| settings.listen.value.clone())
}

fn role(text: &str) -> Result<StaffRole, String> {
    text.parse().map_err(|error: engine::BadStaffRole| format!("it {error}"))
}
