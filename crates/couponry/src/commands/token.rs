//! `couponry token`: prints a token, signed with the newest token key.

use api::token::TTL_MS_MAX;
use clap::Args;
use command_line::milliseconds;
use coupon::ids::UserId;
use engine::{AuditEvent, AuditKind, Clock, Role, SystemClock, given};

use crate::failure::{CliError, Ended, Result};
use crate::settings::Settings;
use crate::{open, output};

/// Print a token for the HTTP interface
///
/// Signs the token with the newest token key of the data folder of `serve`: name it with --data. Makes
/// no key. Prints only the token, so that a variable can take it. The audit says that it was made.
#[derive(Args)]
#[command(after_help = help_ending!("0 printed, 1 failed, 2 usage error",
    "TOKEN=$(couponry token --role admin)",
    "couponry token --role shop --user checkout-7 --ttl 366d"))]
pub(crate) struct TokenArgs {
    /// Role of the bearer: user, shop, operator or admin
    #[arg(long)]
    role: Role,
    /// Name of the bearer; of a user, their user_id [default: the role]
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// Time for which the token is valid, such as 90s, 15m, 1h or 30d; at most 366d
    #[arg(long, default_value = "1h", value_parser = ttl, value_name = "TIME")]
    ttl: i64,
}

pub(crate) async fn run(settings: &Settings, args: &TokenArgs) -> Result<Ended> {
    let name = match (&args.user, args.role) {
        (Some(user), _) => user.as_str(),
        (None, Role::User) => {
            return Err(CliError::usage("--role user needs --user, the user_id of the bearer"));
        }
        (None, role) => role.as_str(),
    };
    let keys = open::keys(settings)?;
    let tokens = open::tokens(settings, &keys)?;
    let minted = tokens.mint(name, args.role, args.ttl, SystemClock.now().0);
    let (token, _) = minted.map_err(|error| CliError::usage(error.to_string()))?;
    let event = AuditEvent::of_store(
        AuditKind::TokenMade,
        vec![given("role", args.role), given("user", name), given("ttl_seconds", args.ttl / 1_000)],
    );
    open::record(settings, &keys, event).await;
    output::done(&token)
}

fn ttl(text: &str) -> Result<i64, String> {
    let ms = milliseconds(text)?;
    match ms <= TTL_MS_MAX {
        true => Ok(ms),
        false => Err(format!("it is {text:?}, want at most {} days", TTL_MS_MAX / 86_400_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            ("an hour", "1h", Some(3_600_000)),
            ("the most", "366d", Some(TTL_MS_MAX)),
            ("more than that", "367d", None),
            ("no time at all", "h", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(ttl(text).ok(), want, "{name}");
        }
    }
}
