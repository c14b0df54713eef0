//! `couponry console`: prints a one-time link to the console.

use clap::Args;
use console::FIRST_LINK_MS;
use coupon::ids::UserId;
use engine::{Clock, StaffRole, SystemClock};

use crate::failure::{CliError, Ended};
use crate::serve::console::signing_keys;
use crate::settings::Settings;
use crate::{open, output};

/// Print a one-time link to the console
///
/// Whoever opens the link within an hour chooses a name and a password, and gets an account with the role. With
/// --name, if the name has an account, it gets the new password and the role, and is signed out everywhere: so
/// this is also what to do if every admin has lost their password.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 failed, 2 usage error.

Examples:
  couponry console
  couponry console --role support --name mina --address https://coupons.example.com")]
pub(crate) struct ConsoleArgs {
    /// Role of the account: viewer, marketer, support, operator or admin
    #[arg(long, default_value = "admin", value_parser = role)]
    role: StaffRole,
    /// Name of the account; without it, whoever opens the link chooses one
    #[arg(long, value_name = "NAME")]
    name: Option<UserId>,
    /// Address of the server, as browsers have it [default: the setting listen]
    #[arg(long, value_name = "URL")]
    address: Option<String>,
}

pub(crate) fn run(settings: &Settings, args: &ConsoleArgs) -> Result<Ended, CliError> {
    let keys = signing_keys(&open::keys(settings)?);
    let name = args.name.as_ref().map(ToString::to_string);
    let link = console::link(keys, args.role, name, SystemClock.now(), FIRST_LINK_MS);
    let address = match &args.address {
        Some(address) => address.trim_end_matches('/').to_owned(),
        None => format!("http://{}", settings.listen.value),
    };
    output::done(&format!("{address}{link}"))
}

fn role(text: &str) -> Result<StaffRole, String> {
    text.parse().map_err(|error: engine::BadStaffRole| format!("it {error}"))
}
