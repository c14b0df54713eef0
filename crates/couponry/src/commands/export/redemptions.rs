//! `couponry export redemptions`: every redemption of some days, for accounts with partners.

use std::sync::Arc;

use clap::Args;
use coupon::calendar::{Date, Zone, format_instant};
use coupon::ids::{CampaignId, UserId};
use engine::{
    Engine, RedemptionEntry, RedemptionsRequest, redemption_csv_header, redemption_csv_row,
};
use serde_json::{Value, json};

use super::sink::{Format, Into, Sink, exported};
use crate::client::ServiceClient;
use crate::failure::{CliError, Ended, Result};
use crate::open;
use crate::settings::Settings;

/// Most redemptions of a file that the service sends.
const ROWS_MAX: u64 = 1_000_000;

/// Export the redemptions of some days, with the cancelled ones
///
/// Prints every redemption that was made from --from to --to, both inclusive, of active and archived coupons. Prints
/// each redemption once, even while a compaction runs; only a coupon that is extended to another day meanwhile may show
/// its cancelled redemptions again. A coupon that was redeemed, cancelled and redeemed again has several redemptions. A
/// redemption belongs to the day on which it was made, even if it was cancelled later: see `cancelled_at`.
///
/// In CSV it has the columns of GET /v1/redemptions, and times as the clocks of --time-zone showed them, with the zone
/// in `time_zone`. JSON lines have UTC, and `redeemed_on`, the day in --time-zone; with the setting `url` they are the
/// rows of GET /v1/redemptions. Order: by partition (the UTC day
/// on which the coupon expires at the latest), by code, by time.
///
/// In CSV, a cell that a spreadsheet would take for a formula starts with an apostrophe. JSON lines
/// have every value unchanged. The command reads every coupon, so it takes long on a large archive.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done, or the reader closed the output; 1 failed; 2 usage error; 3 left out coupons
of campaigns that the restored backup did not have.

Examples: the November of a shop in Seoul, and one campaign as JSON:
  couponry export redemptions --from 2026-11-01 --to 2026-11-30 --time-zone Asia/Seoul \\
      --output november.csv
  couponry export redemptions --campaign spring-2027 --from 2027-03-01 --to 2027-05-31 \\
      --format jsonl")]
pub(crate) struct RedemptionsFlags {
    /// Export only this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
    /// First day, such as 2026-11-01
    #[arg(long, value_name = "DATE")]
    pub(super) from: Date,
    /// Last day
    #[arg(long, value_name = "DATE")]
    pub(super) to: Date,
    /// Time zone of the days, such as Asia/Seoul [default: the zone of the campaign; UTC without --campaign]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    #[command(flatten)]
    pub(super) into: Into,
}

pub(super) async fn run(settings: &Settings, flags: &RedemptionsFlags) -> Result<Ended> {
    let there =
        async |service: &ServiceClient, sink: &mut Sink<'_>| listed(service, flags, sink).await;
    let here = async |engine: &Arc<Engine>, sink: &mut Sink<'_>| all(engine, flags, sink).await;
    exported(settings, &flags.into, "redemptions", there, here).await
}

async fn all(engine: &Arc<Engine>, flags: &RedemptionsFlags, sink: &mut Sink<'_>) -> Result<()> {
    let (campaign, zone) = (flags.campaign.as_ref(), flags.time_zone.clone());
    let thing = format!("campaign {}", campaign.map_or("", CampaignId::as_str));
    let request = RedemptionsRequest {
        campaign: campaign.cloned(),
        days: flags.from..=flags.to,
        zone: zone.clone(),
    };
    let zone = engine.zone_of_days(campaign, zone).await.map_err(CliError::about(&thing))?;
    let redemptions = Arc::clone(engine).every_redemption(&open::caller(), request).await;
    let redemptions = redemptions.map_err(CliError::about(thing))?;
    sink.header(&redemption_csv_header())?;
    sink.all(redemptions, |entry| redemption_csv_row(entry, &zone), body).await
}

async fn listed(
    service: &ServiceClient,
    flags: &RedemptionsFlags,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut query = vec![("from", flags.from.to_string()), ("to", flags.to.to_string())];
    query.extend(flags.campaign.as_ref().map(|it| ("campaign_id", it.to_string())));
    query.extend(flags.time_zone.as_ref().map(|it| ("time_zone", it.name().to_owned())));
    match sink.format {
        // The service writes the same file.
        Format::Csv => {
            let answer = service.download(&["redemptions"], &query).await?;
            sink.download(answer, str::to_owned).await?;
            match sink.rows {
                ..ROWS_MAX => Ok(()),
                _ => Err(CliError::new(format!(
                    "the service sends at most {ROWS_MAX} redemptions: export fewer days at a time"
                ))),
            }
        }
        Format::Jsonl => {
            let page = |page: Vec<Value>| sink.page(&page, |_| String::new(), Value::clone, 0);
            service.pages(&["redemptions"], query, page).await
        }
    }
}

fn body(entry: &RedemptionEntry) -> Value {
    let made = &entry.redemption;
    json!({
        "code": entry.code,
        "campaign_id": entry.campaign.as_str(),
        "batch_id": entry.batch.as_str(),
        "user_id": made.by.as_ref().map(UserId::as_str),
        "order_ref": made.order.as_str(),
        "redeemed_at": format_instant(made.at),
        "redeemed_on": entry.on.to_string(),
        "cancelled_at": made.cancelled_at.map(format_instant),
        "cancel_reason": entry.cancel_reason.as_ref().map(|reason| reason.as_str()),
        "order_amount": made.worth.and_then(|it| it.order_amount),
        "discount": made.worth.and_then(|it| it.discount),
        "currency": made.worth.map(|it| it.currency.as_str()),
    })
}
