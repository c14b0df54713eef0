//! Redemptions of a span: chart, list, and a file for a spreadsheet.

use std::ops::RangeInclusive;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use coupon::calendar::{Date, Zone, format_local};
use coupon::ids::CampaignId;
use coupon::time::DAY_MS;
use engine::csv::{self, BYTE_ORDER_MARK};
use engine::{
    Activity, By, CountsRequest, Failure, History, RedeemedPosition, RedemptionEntry,
    RedemptionListRequest, RedemptionsRequest,
};
use futures::stream::{StreamExt, once, try_unfold};
use serde_json::json;

use crate::cursor;
use crate::desk::Desk;
use crate::fields::encoded;
use crate::roles::Action;
use crate::screens::codes::file;
use crate::screens::overview::activity_chart;
use crate::text::Texts;
use crate::trouble::Trouble;

/// Redemptions of a page.
const PAGE: usize = 50;

/// Days of a report if nobody says.
const DAYS: i64 = 30;

/// The header of the file.
const COLUMNS: &str =
    "code,campaign_id,campaign,user_id,order_ref,redeemed_at,cancelled_at,cancel_reason\n";

/// What is asked for.
struct Asked {
    days: RangeInclusive<Date>,
    campaign: Option<CampaignId>,
    zone: Zone,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage<'a> {
    d: &'a Desk,
    t: Texts,
    from: String,
    to: String,
    campaign: &'a str,
    zone: String,
    chart: Option<String>,
    days: Vec<(String, Activity)>,
    sum: Activity,
    rows: Vec<Row>,
    next: Option<String>,
    file: String,
    curl: String,
}

struct Row {
    code: String,
    campaign: String,
    campaign_name: String,
    user: Option<String>,
    order: String,
    at: String,
    cancelled: Option<String>,
}

fn asked(desk: &Desk) -> Result<Asked, Trouble> {
    let zone = desk.query.may::<Zone>("zone")?.unwrap_or_else(|| desk.zone.clone());
    let to = desk.query.may::<Date>("to")?.unwrap_or_else(|| Date::of(desk.now, &zone));
    let first = Date::of(to.first_instant(&zone).plus_ms(-(DAYS - 1) * DAY_MS), &zone);
    let from = desk.query.may::<Date>("from")?.unwrap_or(first);
    Ok(Asked { days: from..=to, campaign: desk.query.may("campaign")?, zone })
}

/// `GET /console/reports`
pub(crate) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let (t, asked) = (desk.t, asked(&desk)?);
    let request = CountsRequest {
        campaign: asked.campaign.clone(),
        by: By::Day,
        days: asked.days.clone(),
        zone: Some(asked.zone.clone()),
    };
    let counts = desk.engine().activity(&desk.reader()?, request).await?;
    let mut sum = Activity::default();
    for day in counts.iter().flat_map(|counts| &counts.counts) {
        sum.add(day.activity);
    }
    let request = RedemptionListRequest {
        order: None,
        campaign: asked.campaign.clone(),
        days: Some(asked.days.clone()),
        zone: Some(asked.zone.clone()),
        after: desk
            .query
            .get("cursor")
            .and_then(cursor::read)
            .map(|(at, tie)| RedeemedPosition { at, tie }),
        limit: PAGE,
    };
    let found = desk.engine().redemptions(&desk.reader()?, request).await?;
    let (rows, next) = found.map(|it| (it.redemptions, it.next)).unwrap_or_default();
    let labels = |it: &engine::CountsView| -> Vec<String> {
        it.counts.iter().map(|day| t.short_date(day.on)).collect()
    };
    let page = ReportsPage {
        d: &desk,
        t,
        from: asked.days.start().to_string(),
        to: asked.days.end().to_string(),
        campaign: desk.query.shown("campaign"),
        zone: asked.zone.name().to_owned(),
        chart: counts
            .as_ref()
            .map(|it| activity_chart(t, &labels(it), it, t.chart_of_days(), desk.now)),
        days: counts
            .iter()
            .flat_map(|counts| counts.counts.iter().rev())
            .map(|day| (t.date(day.on), day.activity))
            .collect(),
        sum,
        rows: rows.iter().map(|entry| row(t, entry, &asked.zone)).collect(),
        next: next.map(|next| desk.with("cursor", &cursor::written(next.at, &next.tie))),
        file: address(&asked),
        curl: desk.curl("GET", &format!("/v1/redemptions?{}", query(&asked)), &json!(null)),
    };
    desk.page(&page)
}

fn query(asked: &Asked) -> String {
    let mut query = format!(
        "from={}&to={}&time_zone={}",
        asked.days.start(),
        asked.days.end(),
        encoded(asked.zone.name())
    );
    if let Some(campaign) = &asked.campaign {
        query.push_str(&format!("&campaign_id={}", encoded(campaign.as_str())));
    }
    query
}

fn address(asked: &Asked) -> String {
    let query = query(asked).replace("time_zone=", "zone=").replace("campaign_id=", "campaign=");
    format!("/console/reports/redemptions.csv?{query}")
}

fn row(t: Texts, entry: &RedemptionEntry, zone: &Zone) -> Row {
    Row {
        code: entry.code.clone(),
        campaign: entry.campaign.to_string(),
        campaign_name: entry.campaign_name.clone(),
        user: entry.redemption.by.as_ref().map(ToString::to_string),
        order: entry.redemption.order.to_string(),
        at: t.moment(entry.redemption.at, zone),
        cancelled: entry.redemption.cancelled_at.map(|at| t.moment(at, zone)),
    }
}

/// `GET /console/reports/redemptions.csv`: all of them, as a stream.
pub(crate) async fn download(desk: Desk) -> Result<Response, Trouble> {
    let asked = asked(&desk)?;
    let caller = desk.caller(Action::DownloadReport)?;
    let request = RedemptionsRequest {
        campaign: asked.campaign.clone(),
        days: asked.days.clone(),
        zone: Some(asked.zone.clone()),
    };
    let history = Arc::clone(desk.engine()).every_redemption(&caller, request).await?;
    let head = once(async { Ok(format!("{BYTE_ORDER_MARK}{COLUMNS}")) });
    let rows = try_unfold((history, asked.zone.clone()), lines);
    let name = format!("redemptions-{}-{}.csv", asked.days.start(), asked.days.end());
    Ok(file(&desk, &name, head.chain(rows).boxed()))
}

type Stream = (History<RedemptionEntry>, Zone);

async fn lines((mut history, zone): Stream) -> Result<Option<(String, Stream)>, Failure> {
    let Some(found) = history.next().await? else { return Ok(None) };
    let lines = found.rows.iter().map(|entry| line(entry, &zone)).collect();
    Ok(Some((lines, (history, zone))))
}

/// A row of the file, with times as a spreadsheet reads them.
fn line(entry: &RedemptionEntry, zone: &Zone) -> String {
    let redemption = &entry.redemption;
    let cancelled = redemption.cancelled_at.map(|at| format_local(at, zone)).unwrap_or_default();
    csv::row([
        entry.code.as_str(),
        entry.campaign.as_str(),
        &entry.campaign_name,
        redemption.by.as_ref().map_or("", |by| by.as_str()),
        redemption.order.as_str(),
        &format_local(redemption.at, zone),
        &cancelled,
        entry.cancel_reason.as_ref().map_or("", |reason| reason.as_str()),
    ])
}
