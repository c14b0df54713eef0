//! Redemptions of a span: chart, list, and a file for a spreadsheet.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::sync::Arc;

use askama::Template;
use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use coupon::time::DAY_MS;
use engine::{
    Activity, CampaignView, CountInterval, CountsView, RedeemedPosition, RedemptionEntry,
    RedemptionListRequest, RedemptionsRequest,
};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::chart::share;
use crate::cursor;
use crate::desk::PageContext;
use crate::fields::encoded;
use crate::index::{CampaignSnapshot, CampaignTotals};
use crate::roles::ConsoleAction;
use crate::screens::codes::file;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

/// Campaigns of which sums are read.
const CAMPAIGNS: usize = 20;

/// Sums that are read at a time: each counts what is new, and those that ask together are answered by one count.
const AT_ONCE: usize = 5;

/// Days of a report if nobody says.
const DAYS: i64 = 30;

struct ReportFilter {
    days: RangeInclusive<Date>,
    campaign: Option<CampaignId>,
    zone: Zone,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage<'a> {
    d: &'a PageContext,
    asked: &'a ReportFilter,
    counts: Option<CountsView>,
    sum: Activity,
    by_campaign: Vec<(&'a CampaignView, Activity)>,
    more_campaigns: Option<String>,
    rows: Vec<RedemptionEntry>,
    next: Option<String>,
    file: String,
    curl: String,
}

impl ReportsPage<'_> {
    /// The bar of a campaign, beside that of which most was redeemed: it is the first.
    fn bar(&self, sum: &Activity) -> String {
        let most = self.by_campaign.first().map_or(0, |(_, sum)| sum.redeemed);
        share("redeemed", sum.redeemed, most, &self.d.t.number(sum.redeemed))
    }
}

fn asked(desk: &PageContext) -> ConsoleResult<ReportFilter> {
    let zone = desk.query.may::<Zone>("zone")?.unwrap_or_else(|| desk.zone.clone());
    let to = desk.query.may::<Date>("to")?.unwrap_or_else(|| Date::of(desk.now, &zone));
    let first = Date::of(to.first_instant(&zone).plus_ms(-(DAYS - 1) * DAY_MS), &zone);
    let from = desk.query.may::<Date>("from")?.unwrap_or(first);
    Ok(ReportFilter { days: from..=to, campaign: desk.query.may("campaign")?, zone })
}

/// One page of their redemptions.
fn listed(asked: &ReportFilter, after: Option<RedeemedPosition>) -> RedemptionListRequest {
    let ReportFilter { days, campaign, zone } = asked;
    RedemptionListRequest {
        order: None,
        campaign: campaign.clone(),
        days: Some(days.clone()),
        zone: Some(zone.clone()),
        after,
        limit: PAGE,
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let asked = asked(&desk)?;
    let ReportFilter { days, campaign, zone } = &asked;
    let counts = desk.activity(campaign.as_ref(), CountInterval::Day, days.clone(), zone).await?;
    let sum = counts.as_ref().map(CountsView::sum).unwrap_or_default();
    let skipped: usize = desk.query.may("skip")?.unwrap_or_default();
    let campaigns = desk.all_campaigns().await?;
    let (by_campaign, has_more) = by_campaign(&desk, &campaigns, &asked, skipped).await?;
    let after = desk.query.get("cursor").and_then(cursor::read);
    let after = after.map(|(at, tie)| RedeemedPosition { at, tie });
    let found = desk.engine().redemptions(&desk.reader()?, listed(&asked, after)).await?;
    let (rows, next) = found.map(|it| (it.redemptions, it.next)).unwrap_or_default();
    let page = ReportsPage {
        d: &desk,
        asked: &asked,
        counts,
        sum,
        by_campaign,
        more_campaigns: has_more.then(|| desk.with("skip", &(skipped + CAMPAIGNS).to_string())),
        rows,
        next: next.map(|next| desk.with("cursor", &cursor::written(next.at, &next.tie))),
        file: address(&asked),
        curl: desk.curl_get(&format!("/v1/redemptions?{}", query(&asked))),
    };
    desk.page(&page)
}

/// The campaigns of which most was redeemed on these days, behind those that are `skipped`, and whether there are
/// more. Sums are kept for each campaign by itself: so some are read at a time, those of which most was ever
/// redeemed first.
async fn by_campaign<'a>(
    desk: &PageContext,
    listed: &'a CampaignSnapshot,
    asked: &ReportFilter,
    skipped: usize,
) -> ConsoleResult<(Vec<(&'a CampaignView, Activity)>, bool)> {
    let (from, to) = asked.days.clone().into_inner();
    let (from, to) = (from.first_instant(&asked.zone), to.end(&asked.zone));
    let mut found: Vec<&CampaignView> = listed
        .campaigns
        .iter()
        .filter(|it| asked.campaign.as_ref().is_none_or(|id| it.campaign.id == *id))
        .filter(|it| it.counts().redeemed + it.counts().issued > 0)
        .filter(|it| it.campaign.created_at < to && it.campaign.expires_at > from)
        .collect();
    found.sort_by_key(|it| Reverse(it.counts().redeemed));
    let has_more = found.len() > skipped.saturating_add(CAMPAIGNS);
    let reads = found.into_iter().skip(skipped).take(CAMPAIGNS).map(async |view| {
        let (id, days) = (Some(&view.campaign.id), asked.days.clone());
        let counts = desk.activity(id, CountInterval::Day, days, &asked.zone).await?;
        Ok::<_, ConsoleError>(counts.map(|counts| (view, counts.sum())))
    });
    let sums: Vec<Option<(&CampaignView, Activity)>> =
        iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    let mut sums: Vec<(&CampaignView, Activity)> = sums.into_iter().flatten().collect();
    sums.retain(|(_, sum)| *sum != Activity::default());
    sums.sort_by_key(|(_, sum)| Reverse(sum.redeemed));
    Ok((sums, has_more))
}

fn query(asked: &ReportFilter) -> String {
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

fn address(asked: &ReportFilter) -> String {
    let query = query(asked).replace("time_zone=", "zone=").replace("campaign_id=", "campaign=");
    format!("/console/reports/redemptions.csv?{query}")
}

/// `GET /console/reports/redemptions.csv`: all of them, as a stream.
pub(crate) async fn download(desk: PageContext) -> ConsoleResult {
    let asked = asked(&desk)?;
    let caller = desk.caller(ConsoleAction::DownloadReport)?;
    let engine = Arc::clone(desk.engine());
    let request = listed(&asked, None);
    let lines = match Arc::clone(&engine).redemption_file(&caller, request).await? {
        Some(lines) => lines,
        // A store that keeps no list has them all the same, with the same columns.
        None => {
            let (campaign, days) = (asked.campaign.clone(), asked.days.clone());
            let request = RedemptionsRequest { campaign, days, zone: Some(asked.zone.clone()) };
            engine.whole_redemption_file(&caller, request).await?
        }
    };
    let whose = asked.campaign.as_ref().map(|id| format!("{id}-")).unwrap_or_default();
    let name = format!("{whose}redemptions-{}-{}.csv", asked.days.start(), asked.days.end());
    Ok(file(&name, lines))
}
