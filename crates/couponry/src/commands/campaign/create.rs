//! `couponry campaign create`: creates a campaign from flags.

use api::bodies::NewCampaign;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{CliError, Result};

/// Create a campaign
///
/// Takes the fields of POST /v1/campaigns as flags and prints the campaign. Needs --expires-at or
/// --expires-on. A second call with the same id and the same flags changes nothing. A call with the
/// same id and other flags is refused with NAME_TAKEN.
///
/// The values of --handout: `shop`, the shop issues coupons to users; `self`, signed-in users can
/// also take one; `bearer`, anyone who shows a code can redeem it; `shared`, all users redeem with one
/// code, and each user gets a coupon of their own.
#[derive(Args, Serialize)]
#[command(after_help = help_ending!("0 created (now or before), 1 refused or failed, 2 usage error",
    "couponry campaign create --campaign-id spring-2027 --stock 10000 --expires-on 2027-05-31 \\
      --time-zone Asia/Seoul --currency KRW --benefit '{\"kind\": \"amount\", \"amount\": 5000}'",
    "couponry campaign create --campaign-id summer --handout shared --shared-code SUMMER2027 \\
      --stock 5000 --expires-at 2027-09-01T00:00:00Z"))]
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
    /// The one code of all users; required for --handout shared, refused for the others
    #[arg(long, value_name = "WORD")]
    shared_code: Option<String>,
    /// Text to print before each minted code: 1 to 12 characters, A-Z and 0-9
    #[arg(long, value_name = "TEXT")]
    code_prefix: Option<String>,
    /// Time from which the coupons can be redeemed, such as 2027-03-01T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    valid_from: Option<String>,
    /// Time at which the coupons expire; at exactly this time they are expired
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<String>,
    /// Last day on which the coupons can be redeemed, in --time-zone
    #[arg(long, value_name = "DATE")]
    expires_on: Option<String>,
    /// Time zone of the dates, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A coupon expires at the end of the day this many days after its issue, never later than it
    /// expires without this flag
    #[arg(long, value_name = "DAYS")]
    valid_days: Option<u16>,
    /// Time from which coupons are issued [default: no limit]
    #[arg(long, value_name = "INSTANT")]
    issue_from: Option<String>,
    /// Time from which coupons are no longer issued [default: no limit]
    #[arg(long, value_name = "INSTANT")]
    issue_until: Option<String>,
    /// Most coupons of one user, 1 to 100; `none` for no limit, only with --handout bearer
    /// [default: 1]
    #[arg(long, value_name = "N|none", value_parser = limit)]
    #[serde(skip_serializing_if = "Option::is_none")]
    per_user_limit: Option<Limit>,
    /// Days in which a redemption can be cancelled, 0 to 366; 0 is never [default: 30]
    #[arg(long, value_name = "DAYS")]
    cancel_days: Option<u16>,
    /// Days after its expiry in which a coupon can be extended, 0 to 366; with 0 it can be extended
    /// only before it expires [default: 30]
    #[arg(long, value_name = "DAYS")]
    extend_days: Option<u16>,
    /// JSON object with the shop's own data, at most 4 KiB; couponry only stores it
    #[arg(long, value_name = "JSON", value_parser = json)]
    metadata: Option<Value>,
    /// Currency of all amounts: three letters of ISO 4217, such as KRW
    #[arg(long, value_name = "LETTERS")]
    currency: Option<String>,
    /// What a coupon is worth, as JSON: {"kind": "amount", "amount": 5000, "min_order": 30000}, or {"kind": "percent",
    /// "percent": 10, "max_discount": 5000}; amounts are whole numbers of the currency's smallest unit
    #[arg(long, value_name = "JSON", value_parser = json)]
    benefit: Option<Value>,
    /// The most that all redemptions may cost together, in the currency's smallest unit; only on one machine
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<u64>,
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

impl CreateFlags {
    /// The flags have the names of the fields of the request.
    pub(super) fn body(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(CliError::of)
    }

    /// # Errors
    /// Usage: flags that make no campaign.
    pub(super) fn check(&self) -> Result<()> {
        let body = serde_json::from_value::<NewCampaign>(self.body()?);
        body.map_err(CliError::of)?.into_draft()?;
        Ok(())
    }
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
