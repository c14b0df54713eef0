//! Redemptions of a span: chart, list, a file for a spreadsheet, and the same on paper.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use coupon::calendar::{Date, Zone};
use coupon::campaign::Handout;
use coupon::ids::CampaignId;
use coupon::time::DAY_MS;
use engine::csv::BYTE_ORDER_MARK;
use engine::{
    Activity, CampaignView, CountInterval, CountsView, RedeemedPosition, RedemptionEntry,
    RedemptionListRequest, RedemptionsRequest, redemption_csv_header,
};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::chart::{ChartSeries, share, spark};
use crate::cursor;
use crate::desk::PageContext;
use crate::fields::encoded;
use crate::index::CampaignSnapshot;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::offered;
use crate::screens::codes::{CSV, file};
use crate::spans::{self, DaySpan, SpanPreset};
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

/// Campaigns of which sums are read.
const CAMPAIGNS: usize = 20;

/// Sums that are read at a time: each counts what is new, and those that ask together are answered by one count.
const AT_ONCE: usize = 5;

/// Sums are kept for so many days: a span before has none of its own.
const KEPT_DAYS: i64 = 731;

struct ReportFilter {
    days: DaySpan,
    campaign: Option<CampaignId>,
    zone: Zone,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage<'a> {
    d: &'a PageContext,
    asked: &'a ReportFilter,
    /// The campaigns to choose from, by id.
    campaigns: Vec<(String, String)>,
    /// What the report is of.
    title: String,
    compared: Option<String>,
    figures: Vec<ReportFigure>,
    counts: Option<CountsView>,
    by: CountInterval,
    sum: Activity,
    by_campaign: Vec<CampaignSum<'a>>,
    more_campaigns: Option<String>,
    rows: Vec<RedemptionEntry>,
    next: Option<String>,
    file: String,
    curl: String,
}

struct CampaignSum<'a> {
    view: &'a CampaignView,
    sum: Activity,
    /// Redemptions of each day.
    days: Vec<u64>,
}

/// A number of the report, and how it was in the span before.
struct ReportFigure {
    key: &'static str,
    label: &'static str,
    value: String,
    change: Option<String>,
}

impl ReportsPage<'_> {
    /// The spans that people ask for: the address, the words, and whether it is this one.
    fn presets(&self) -> Vec<(String, &'static str, bool)> {
        let today = Date::of(self.d.now, &self.asked.zone);
        let preset = |it: SpanPreset| {
            let days = it.days(today);
            let is_here = days == self.asked.days;
            (address(self.asked, &days, "/console/reports"), self.d.t.span_preset(&it), is_here)
        };
        SpanPreset::ALL.into_iter().map(preset).collect()
    }

    fn is_chosen(&self, id: &str) -> bool {
        self.asked.campaign.as_ref().is_some_and(|it| it.as_str() == id)
    }

    /// How much of what was given out of a campaign was used so far; not of codes that nobody gives out.
    fn used(&self, view: &CampaignView) -> String {
        let counts = view.counts();
        match counts.issued + counts.redeemed {
            issued if issued > 0 && view.campaign.handout != Handout::Bearer => {
                self.d.t.share(counts.redeemed, issued)
            }
            _ => "–".to_owned(),
        }
    }

    /// The bar of a campaign, beside that of which most was redeemed: it is the first.
    fn bar(&self, CampaignSum { sum, days, .. }: &CampaignSum<'_>) -> String {
        let most = self.by_campaign.first().map_or(0, |it| it.sum.redeemed);
        let course = ChartSeries { class: "redeemed", values: days.clone() };
        share("redeemed", sum.redeemed, most, &self.d.t.number(sum.redeemed))
            + &spark(&[course], "")
    }
}

fn asked(desk: &PageContext) -> ConsoleResult<ReportFilter> {
    let zone = desk.query.may::<Zone>("zone")?.unwrap_or_else(|| desk.zone.clone());
    let to = desk.query.may::<Date>("to")?.unwrap_or_else(|| Date::of(desk.now, &zone));
    let first = SpanPreset::Recent.days(to);
    let from = desk.query.may::<Date>("from")?.unwrap_or(*first.start());
    Ok(ReportFilter { days: from..=to, campaign: desk.query.may("campaign")?, zone })
}

/// One page of their redemptions.
fn listed(asked: &ReportFilter, after: Option<RedeemedPosition>) -> RedemptionListRequest {
    let ReportFilter { days, campaign, zone } = asked;
    RedemptionListRequest {
        campaign: campaign.clone(),
        days: Some(days.clone()),
        zone: Some(zone.clone()),
        after,
        limit: PAGE,
        ..RedemptionListRequest::default()
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let asked = asked(&desk)?;
    let ReportFilter { days, campaign, zone } = &asked;
    let campaigns = desk.all_campaigns().await?;
    let shown = shown(&campaigns, &asked);
    let by = if shown.start() == shown.end() { CountInterval::Hour } else { CountInterval::Day };
    let counts = desk.activity(campaign.as_ref(), by, shown, zone).await?;
    let sum = counts.as_ref().map(CountsView::sum).unwrap_or_default();
    let skipped: usize = desk.query.may("skip")?.unwrap_or_default();
    let (by_campaign, has_more) = by_campaign(&desk, &campaigns, &asked, skipped).await?;
    let after = desk.query.get("cursor").and_then(cursor::read);
    let after = after.map(|(at, tie)| RedeemedPosition { at, tie });
    let found = desk.engine().redemptions(&desk.reader()?, listed(&asked, after)).await?;
    let (rows, next) = found.map(|it| (it.redemptions, it.next)).unwrap_or_default();
    let (t, before) = (desk.t, span_before(&desk, &asked));
    let sum_before = match &before {
        Some(days) => {
            desk.activity(campaign.as_ref(), CountInterval::Day, days.clone(), zone).await?
        }
        None => None,
    };
    let sum_before = sum_before.map(|counts| counts.sum());
    let span = |days: &DaySpan| t.period(t.date(*days.start()), t.date(*days.end()));
    let offered = offered(&campaigns, campaign.as_ref());
    let of = offered.iter().find(|(id, _)| campaign.as_ref().is_some_and(|it| it.as_str() == id));
    let page = ReportsPage {
        d: &desk,
        asked: &asked,
        title: format!("{} · {}", span(days), of.map_or(t.all_campaigns(), |it| &it.1)),
        compared: before.as_ref().map(|days| t.compared_with(span(days))),
        figures: figures(&desk, &sum, sum_before.as_ref()),
        campaigns: offered,
        counts,
        by,
        sum,
        by_campaign,
        more_campaigns: has_more.then(|| desk.with("skip", &(skipped + CAMPAIGNS).to_string())),
        rows,
        next: next.map(|next| desk.with("cursor", &cursor::written(next.at, &next.tie))),
        file: address(&asked, days, "/console/reports/redemptions.csv"),
        curl: desk.curl_get(&format!("/v1/redemptions?{}", query(&asked, days))),
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
) -> ConsoleResult<(Vec<CampaignSum<'a>>, bool)> {
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
        let sum = |counts: CountsView| CampaignSum {
            view,
            sum: counts.sum(),
            days: counts.counts.iter().map(|it| it.activity.redeemed).collect(),
        };
        Ok::<_, ConsoleError>(counts.map(sum))
    });
    let sums: Vec<Option<CampaignSum<'_>>> =
        iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    let mut sums: Vec<CampaignSum<'_>> = sums.into_iter().flatten().collect();
    sums.retain(|it| it.sum != Activity::default());
    sums.sort_by_key(|it| Reverse(it.sum.redeemed));
    Ok((sums, has_more))
}

fn query(asked: &ReportFilter, days: &DaySpan) -> String {
    let mut query =
        format!("from={}&to={}&time_zone={}", days.start(), days.end(), encoded(asked.zone.name()));
    if let Some(campaign) = &asked.campaign {
        query.push_str(&format!("&campaign_id={}", encoded(campaign.as_str())));
    }
    query
}

fn address(asked: &ReportFilter, days: &DaySpan, path: &str) -> String {
    let query = query(asked, days);
    let query = query.replace("time_zone=", "zone=").replace("campaign_id=", "campaign=");
    format!("{path}?{query}")
}

/// The days from which on there is something: the axis begins where the first campaign begins.
fn shown(listed: &CampaignSnapshot, asked: &ReportFilter) -> DaySpan {
    let made = listed.campaigns.iter().map(|it| &it.campaign);
    let made = made.filter(|it| asked.campaign.as_ref().is_none_or(|id| it.id == *id));
    let first = made.map(|it| it.created_at).min().map(|at| Date::of(at, &asked.zone));
    let (from, to) = asked.days.clone().into_inner();
    first.filter(|first| (from..=to).contains(first)).unwrap_or(from)..=to
}

/// What the span is compared with; `None` if the sums of that time are not kept any more.
fn span_before(desk: &PageContext, asked: &ReportFilter) -> Option<DaySpan> {
    let before = spans::before(&asked.days)?;
    let kept_from = desk.now.plus_ms(-KEPT_DAYS * DAY_MS);
    (before.start().first_instant(&asked.zone) > kept_from).then_some(before)
}

fn figures(desk: &PageContext, sum: &Activity, before: Option<&Activity>) -> Vec<ReportFigure> {
    let t = desk.t;
    let count = |key, label, of: fn(&Activity) -> u64| ReportFigure {
        key,
        label,
        value: t.number(of(sum)),
        change: before.map(|before| change(t, of(sum), of(before))),
    };
    let mut figures = vec![
        count("redeemed", t.state_redeemed(), |it| it.redeemed),
        count("issued", t.state_issued(), |it| it.issued),
        count("", t.cancelled(), |it| it.cancelled),
    ];
    let was = |value: String| Some(value).filter(|it| !it.is_empty()).map(|it| t.before(it));
    let used = |it: &Activity| match it.issued {
        0 => String::new(),
        issued => t.share(it.redeemed, issued),
    };
    let before_worth = before.map(|it| desk.worth_columns(&it.worth).map(|(_, figure)| figure));
    let mut befores = before_worth.into_iter().flatten();
    let rate = (t.used_of_issued(), used(sum), before.and_then(|it| was(used(it))));
    let worth = desk.worth_columns(&sum.worth);
    let worth = worth.map(|(label, value)| (label, value, befores.next().and_then(was)));
    figures.extend(
        [rate]
            .into_iter()
            .chain(worth)
            .filter(|(_, value, _)| !value.is_empty())
            .map(|(label, value, change)| ReportFigure { key: "", label, value, change }),
    );
    figures
}

/// By how much a number has changed, and what it was.
fn change(t: PageTexts, now: u64, before: u64) -> String {
    let sign = if now < before { "−" } else { "+" };
    match (before, now.abs_diff(before)) {
        (0, _) | (_, 0) => t.before(t.number(before)),
        (_, by) => t.changed_by(format!("{sign}{}", t.share(by, before)), t.number(before)),
    }
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
    // The first piece begins with the names of the columns.
    let (api, own) = (redemption_csv_header(), desk.t.redemption_columns());
    let own = format!("{BYTE_ORDER_MARK}{own}\n");
    let lines = lines.map_ok(move |piece| match piece.strip_prefix(&api) {
        Some(rows) => format!("{own}{rows}"),
        None => piece,
    });
    let whose = asked.campaign.as_ref().map(|id| format!("{id}-")).unwrap_or_default();
    let name = format!("{whose}redemptions-{}-{}.csv", asked.days.start(), asked.days.end());
    Ok(file(&name, CSV, lines.boxed()))
}
