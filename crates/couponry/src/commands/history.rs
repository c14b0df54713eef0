//! `couponry history`: looks up a coupon, the coupons of a user, or those of a last day, in both tiers.

use clap::Subcommand;
use coupon::calendar::{Date, Zone};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, UserId};
use coupon::refusal::Refusal;
use engine::{CouponsRequest, Failure};
use serde_json::Value;

use crate::client::{self, Refused, ServiceClient};
use crate::commands::export::coupons;
use crate::commands::export::sink::{Into, Sink, written};
use crate::failure::{CliError, Ended, Result};
use crate::open::Purpose;
use crate::output::{self, Left, Right};
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum HistoryCommand {
    /// Show one coupon and everything that happened to it
    ///
    /// Prints a table on a terminal; elsewhere the JSON of the HTTP interface, on one line.
    #[command(after_help = help_ending!("0 found, 1 not found or failed, 2 usage error",
        "couponry history code 7K2M-9QXD-4TRB-H0VE"))]
    Code {
        /// Code of the coupon; hyphens, spaces and case do not matter
        code: CodeText,
    },
    /// List the coupons of a user, the latest expiry first
    ///
    /// Lists the coupons that the user holds, has redeemed, or held when they expired or were
    /// voided. Leaves out coupons that were revoked from the user, and those that another user
    /// redeemed later: `history code` shows former holders. Prints the columns of `export coupons`.
    #[command(after_help = help_ending!("0 done, also if there is none; 1 failed; 2 usage error",
        "couponry history user ann",
        "couponry history user guest:991 --format jsonl"))]
    User {
        /// User, by the user_id that the shop uses
        user: UserId,
        #[command(flatten)]
        into: Into,
    },
    /// List the coupons that have this last day
    ///
    /// Prints the columns of `export coupons`, ordered by partition and code, in constant memory.
    /// Leaves out minted coupons that were never used.
    #[command(after_help = help_ending!(
        "0 done, also if there is none; 1 failed; 2 usage error; 3 left out coupons of campaigns
that the restored backup did not have",
        "couponry history expires-on 2026-12-31 --output last-day.csv",
        "couponry history expires-on 2026-12-31 --time-zone Asia/Seoul --campaign spring-2027"))]
    ExpiresOn {
        /// Day, such as 2026-12-31
        date: Date,
        /// Time zone of the day, such as Asia/Seoul [default: the zone of each coupon]
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<Zone>,
        /// List only this campaign
        #[arg(long, value_name = "ID")]
        campaign: Option<CampaignId>,
        #[command(flatten)]
        into: Into,
    },
}

pub(crate) async fn run(settings: &Settings, command: &HistoryCommand) -> Result<Ended> {
    match command {
        HistoryCommand::Code { code } => {
            let path = ["coupons", code.foreign().as_str()];
            let ask =
                async |service: &ServiceClient| service.get(&path, &[]).await.map_err(of_nobody);
            shown(&client::with(settings, Purpose::Read, ask).await?.body)
        }
        HistoryCommand::User { user, into } => {
            let query = vec![("user_id", user.to_string()), ("order", "latest".to_owned())];
            client::with(settings, Purpose::Read, async |service| {
                let write = async |sink: &mut Sink<'_>| coupons::listed(service, query, sink).await;
                written(into, "coupons", write).await
            })
            .await
        }
        HistoryCommand::ExpiresOn { date, time_zone, campaign, into } => {
            let request = CouponsRequest {
                campaign: campaign.clone(),
                from: Some(*date),
                to: Some(*date),
                zone: time_zone.clone(),
                ..CouponsRequest::default()
            };
            let mut query = vec![("expires_on", date.to_string())];
            query.extend(time_zone.as_ref().map(|it| ("time_zone", it.name().to_owned())));
            query.extend(campaign.as_ref().map(|it| ("campaign_id", it.to_string())));
            coupons::run(settings, request, Ok(query), into).await
        }
    }
}

/// This command names no user, so a shared code has no coupon here.
fn of_nobody(refused: Refused) -> CliError {
    match refused {
        Refused::Problem(problem) if problem.code == "INVALID" => {
            let none = Failure::Refused { refusal: Refusal::NotFound, coupon: None };
            CliError::from(none).and("for a shared code, `couponry coupon show` takes a --user")
        }
        other => other.into(),
    }
}

fn shown(detail: &Value) -> Result<Ended> {
    if output::is_terminal() {
        return output::done(table(detail).trim_end());
    }
    output::say_json(detail)?;
    Ok(Ended::Done)
}

/// One field a line, then one event a line. Leaves out fields that are null.
fn table(detail: &Value) -> String {
    let fields = detail.as_object().into_iter().flatten();
    let shown = fields.filter(|(name, value)| !value.is_null() && *name != "events");
    let rows: Vec<Vec<String>> =
        shown.map(|(name, value)| vec![name.clone(), output::cell_text(value)]).collect();
    let mut text = command_line::table(&[Left, Left], &rows);
    let events = detail["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        return text;
    }
    let row = |event: &Value| {
        ["sequence", "at", "kind", "actor", "reference"].map(|name| output::cell_text(&event[name]))
    };
    let heads = [("#", Right), ("AT", Left), ("WHAT", Left), ("BY", Left), ("REFERENCE", Left)];
    text.push('\n');
    text.push_str(&output::table(heads, events.iter().map(row)));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables() {
        let event = json!({
            "sequence": 1, "kind": "voided", "at": "2026-11-01T00:00:00.000Z",
            "actor": "admin:cli", "reference": "printed twice",
        });
        let mut detail = json!({"code": "A-B", "expired": false, "holder": null, "events": []});
        assert_eq!(table(&detail), "code     A-B\nexpired  false\n", "nothing has happened");
        detail["events"] = json!([event]);
        let want = "code     A-B\nexpired  false\n\n\
                    #  AT                        WHAT    BY         REFERENCE\n\
                    1  2026-11-01T00:00:00.000Z  voided  admin:cli  printed twice";
        assert_eq!(table(&detail), want);
    }
}
