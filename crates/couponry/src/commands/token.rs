//! `couponry token`: prints a token, signed with the newest token key.

use std::time::{SystemTime, UNIX_EPOCH};

use api::token::TTL_MS_MAX;
use clap::Args;
use coupon::ids::UserId;
use engine::Role;

use crate::failure::{CliError, Ended};
use crate::settings::Settings;
use crate::span::milliseconds;
use crate::{open, output};

/// Print a token for the HTTP interface
///
/// Signed with the newest token key of the data folder, which it makes on first use. Only the
/// token goes to standard output, so it can be put into a variable.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 failed, 2 wrong call.

Examples:
  TOKEN=$(couponry token --role admin)
  couponry token --role shop --user checkout-7 --ttl 366d")]
pub(crate) struct TokenArgs {
    /// What its bearer may do: user, shop, operator or admin
    #[arg(long)]
    role: Role,
    /// Its bearer's name; a user's is his user_id [default: the role]
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// How long it is good for: 90s, 15m, 1h, 30d; 366d at most
    #[arg(long, default_value = "1h", value_parser = ttl, value_name = "TIME")]
    ttl: i64,
}

pub(crate) fn run(settings: &Settings, ask: &TokenArgs) -> Result<Ended, CliError> {
    let name = match (&ask.user, ask.role) {
        (Some(user), _) => user.as_str(),
        (None, Role::User) => {
            return Err(CliError::wrong_call("--role user needs --user: whose token is it?"));
        }
        (None, role) => role.as_str(),
    };
    let keys = open::keys(settings)?;
    let tokens = open::tokens(settings, &keys)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let minted = tokens.mint(name, ask.role, ask.ttl, now);
    let (token, _) = minted.map_err(|error| CliError::wrong_call(error.to_string()))?;
    output::say(&token)?;
    Ok(Ended::Done)
}

/// A time for which a token may be good.
fn ttl(text: &str) -> Result<i64, String> {
    let ms = milliseconds(text)?;
    // Refused here, before a data folder is made for it.
    match ms <= TTL_MS_MAX {
        true => Ok(ms),
        false => Err(format!("is {text:?}, want {} days at most", TTL_MS_MAX / 86_400_000)),
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
