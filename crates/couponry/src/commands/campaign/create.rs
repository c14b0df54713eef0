//! `couponry campaign create`: makes a campaign from flags.

use std::sync::Arc;

use api::bodies::NewCampaign;
use api::views::CampaignBody;
use clap::Args;
use engine::Engine;
use serde::Serialize;
use serde_json::Value;

use crate::failure::CliError;
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

/// Make a campaign
///
/// Takes the fields of POST /v1/campaigns as flags and prints the campaign. Needs --expires-at or
/// --expires-on. The same id with the same flags again changes nothing; with other flags it is
/// refused with NAME_TAKEN.
#[derive(Args, Serialize)]
#[command(after_help = "\
Exit codes: 0 made (now or before), 1 refused or failed, 2 usage error.

Examples:
  couponry campaign create --campaign-id spring-2027 --stock 10000 --expires-on 2027-05-31 \\
      --time-zone Asia/Seoul --metadata '{\"percent\": 10}'
  couponry campaign create --campaign-id summer --handout shared --shared-code SUMMER2027 \\
      --stock 5000 --expires-at 2027-09-01T00:00:00Z")]
pub(crate) struct CreateFlags {
    /// Name of the campaign in URLs [default: a new id]
    #[arg(long, value_name = "ID", visible_alias = "id", alias = "campaign")]
    campaign_id: Option<String>,
    /// Name for people [default: the id]
    #[arg(long)]
    name: Option<String>,
    /// Number of coupons to mint now [default: 0]
    #[arg(long, value_name = "N")]
    stock: Option<u64>,
    /// How users get the coupons [default: shop]
    #[arg(long, value_parser = ["shop", "self", "bearer", "shared"])]
    handout: Option<String>,
    /// The word that every user redeems with, for --handout shared
    #[arg(long, value_name = "WORD")]
    shared_code: Option<String>,
    /// Prefix that is printed before each code: 1 to 12 of A-Z 0-9
    #[arg(long, value_name = "TEXT")]
    code_prefix: Option<String>,
    /// First instant at which the coupons work, such as 2027-03-01T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    valid_from: Option<String>,
    /// First instant at which they no longer work
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<String>,
    /// Last day on which they work, in --time-zone
    #[arg(long, value_name = "DATE")]
    expires_on: Option<String>,
    /// Time zone of the dates, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Days after its issue until the end of which a coupon works
    #[arg(long, value_name = "DAYS")]
    valid_days: Option<u16>,
    /// First instant at which coupons are issued
    #[arg(long, value_name = "INSTANT")]
    issue_from: Option<String>,
    /// First instant at which they are no longer issued
    #[arg(long, value_name = "INSTANT")]
    issue_until: Option<String>,
    /// Most coupons of one user, 1 to 100; or none, with --handout bearer [default: 1]
    #[arg(long, value_name = "N|none", value_parser = limit)]
    #[serde(skip_serializing_if = "Option::is_none")]
    per_user_limit: Option<Limit>,
    /// Days in which a redemption can be cancelled, 0 to 366 [default: 30]
    #[arg(long, value_name = "DAYS")]
    cancel_days: Option<u16>,
    /// Days after its expiry in which a coupon can be extended, 0 to 366 [default: 30]
    #[arg(long, value_name = "DAYS")]
    extend_days: Option<u16>,
    /// JSON object of the shop, at most 4 KiB
    #[arg(long, value_name = "JSON", value_parser = json)]
    metadata: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Limit(Option<u16>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        number => {
            let number = number.parse().map_err(|_| "want a number from 1 to 100, or none")?;
            Ok(Limit(Some(number)))
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        // It would be taken for a flag that is not given.
        Ok(Value::Null) => Err("it is null, want an object".to_owned()),
        read => read.map_err(|error| format!("it is not JSON: {error}")),
    }
}

pub(super) async fn run(settings: &Settings, flags: &CreateFlags) -> Result<(), CliError> {
    // Before anything is opened, so that a wrong flag makes no folder.
    // The flags have the names of the fields.
    let body = serde_json::to_value(flags).and_then(serde_json::from_value::<NewCampaign>);
    let draft = body.map_err(CliError::of)?.into_draft()?;
    let work = async |engine: &Arc<Engine>| {
        let done = engine.create_campaign(&open::caller(), draft).await?;
        output::say_json(&CampaignBody::from(&super::made(done)))
    };
    open::with(settings, Purpose::Make, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let cases = [
            ("1", Some(Limit(Some(1)))),
            ("100", Some(Limit(Some(100)))),
            ("none", Some(Limit(None))),
            ("", None),
            ("-1", None),
            ("many", None),
        ];
        for (text, want) in cases {
            assert_eq!(limit(text).ok(), want, "{text:?}");
        }
    }
}
