//! `couponry campaign list`: all campaigns, as a table or as JSON lines.

use coupon::calendar::parse_instant;
use coupon::time::Millis;
use engine::{Clock, SystemClock};
use serde_json::Value;

use crate::client::ServiceClient;
use crate::failure::Result;
use crate::output::{self, Left, Out, Right, cell_text, thousands};

/// Prints lines as they come, and a table when all campaigns are known.
pub(super) async fn print(service: &ServiceClient, as_json: bool) -> Result<()> {
    let as_lines = as_json || !output::is_terminal();
    let (mut out, mut rows, now) = (Out::standard(), Vec::new(), SystemClock.now());
    let take = |campaigns: Vec<Value>| {
        if as_lines {
            return campaigns.iter().try_for_each(|it| out.put(&(output::json_line(it)? + "\n")));
        }
        rows.extend(campaigns.iter().map(|it| row(it, now)));
        Ok(())
    };
    service.pages(&["campaigns"], Vec::new(), take).await?;
    if as_lines {
        return out.finish();
    }
    let heads = [
        ("CAMPAIGN", Left),
        ("HANDOUT", Left),
        ("STOCK", Right),
        ("ISSUED", Right),
        ("REDEEMED", Right),
        ("VOID", Right),
        ("LAST DAY", Left),
        ("STATE", Left),
    ];
    output::say(&output::table(heads, rows))
}

/// `campaign` is as the HTTP interface shows it.
fn row(campaign: &Value, now: Millis) -> [String; 8] {
    let ends = campaign["expires_at"].as_str().and_then(|it| parse_instant(it).ok());
    let state = match (campaign["paused"] == true, ends.is_some_and(|ends| now >= ends)) {
        (_, true) => "expired",
        (true, false) => "paused",
        (false, false) => "runs",
    };
    let text = |name: &str| cell_text(&campaign[name]);
    let count = |name: &str| thousands(campaign[name].as_u64().unwrap_or_default());
    [
        text("campaign_id"),
        text("handout"),
        count("stock"),
        count("issued"),
        count("redeemed"),
        count("void"),
        text("expires_on"),
        state.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows() {
        let campaign = json!({
            "campaign_id": "spring", "handout": "shop", "stock": 1_000, "issued": 2, "redeemed": 1,
            "void": null, "expires_on": "1970-01-01", "expires_at": "1970-01-02T00:00:00.000Z",
            "paused": false,
        });
        let cells = |state: &str| {
            ["spring", "shop", "1,000", "2", "1", "0", "1970-01-01", state].map(str::to_owned)
        };
        assert_eq!(row(&campaign, Millis(0)), cells("runs"));
        assert_eq!(row(&campaign, Millis(86_400_000)), cells("expired"));
    }
}
