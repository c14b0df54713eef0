//! The report of a week, to webhooks that ask for it.

use api::views::sums;
use coupon::calendar::{Date, Zone};
use engine::{Engine, REPORT_TYPE, WeekReport};
use serde_json::{Value, json};
use webhooks::{Announcement, Webhooks};

use crate::failure::{CliError, Result};

/// Announces the report of the week that is over, unless that one was announced. Returns its first day. May be repeated:
/// each webhook gets it once.
pub(super) async fn announce_week(
    engine: &Engine,
    webhooks: &Webhooks,
    zone: &Zone,
    told: Option<Date>,
) -> Result<Option<Date>> {
    let days = engine.last_week(zone);
    let monday = *days.start();
    if told == Some(monday) {
        return Ok(told);
    }
    let Some(report) = engine.week_report(days, zone).await? else { return Ok(None) };
    let announcement = Announcement {
        id: format!("report-{monday}"),
        event_type: REPORT_TYPE.to_owned(),
        only_by_name: true,
        at_ms: report.days.end().end(zone).0,
        campaigns: Vec::new(),
        data: json_of(&report),
    };
    let announced = webhooks.announce(announcement).await.map_err(CliError::of)?;
    // One that is full gets it the next time.
    Ok(Some(monday).filter(|_| announced.full == 0))
}

fn json_of(report: &WeekReport) -> Value {
    let campaigns = report.campaigns.iter().map(|(campaign, sum)| {
        json!({"campaign_id": campaign.id.as_str(), "name": campaign.name, "sum": sums(sum)})
    });
    json!({
        "from": report.days.start().to_string(),
        "to": report.days.end().to_string(),
        "time_zone": report.zone.name(),
        "sum": sums(&report.sum),
        "week_before": sums(&report.before),
        "campaigns": campaigns.collect::<Vec<_>>(),
    })
}
