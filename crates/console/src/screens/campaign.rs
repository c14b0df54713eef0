//! One campaign: how it goes, its stock, its terms, and one of its batches.

use askama::Template;
use axum::extract::Path;
use coupon::calendar::{Date, Zone};
use coupon::campaign::Batch;
use coupon::ids::{BatchId, CampaignId};
use coupon::money::Price;
use coupon::time::DAY_MS;
use engine::{CampaignView, CountInterval, CountsView, RejectedLine};
use serde_json::json;

use crate::chart::share as share_bar;
use crate::desk::PageContext;
use crate::extract::from_path;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::screens::audit::{AuditRow, entries};
use crate::screens::next_steps::NextSteps;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const DAYS: i64 = 30;

/// Batches of the page; the API lists all.
const BATCHES: usize = 100;

/// Rejected lines that a batch shows; the download has all.
const REJECTED: usize = 100;

/// Longest time over which cancelled redemptions are added up, in days.
const CANCELLED_DAYS: i64 = 366;

const AUDITED: usize = 10;

const DAY_HOURS: u64 = 24;

const HOUR_MS: u64 = 3_600_000;

#[derive(Template)]
#[template(path = "campaign.html")]
struct CampaignPage<'a> {
    d: &'a PageContext,
    view: &'a CampaignView,
    counts: Option<CountsView>,
    steps: Option<NextSteps>,
    worth: Vec<(&'static str, String)>,
    by: CountInterval,
    /// Since when it is paused, and why.
    paused: Option<String>,
    forecast: Option<String>,
    funnel: Vec<FunnelStep>,
    terms: Vec<(&'static str, String)>,
    batches: Vec<Batch>,
    audited: Vec<AuditRow>,
    curl: String,
}

/// A step of the funnel: how many coupons came so far.
struct FunnelStep {
    label: String,
    bar: String,
    count: String,
    share: String,
}

pub(crate) async fn page(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let (engine, reader) = (desk.engine(), desk.reader()?);
    let id = from_path(&id)?;
    let view = engine.campaign(&reader, &id).await?;
    let zone = &view.campaign.zone;
    let is_of_today = Date::of(view.campaign.created_at, zone) == Date::of(desk.now, zone);
    let by = match desk.query.get("by") {
        Some("hour") => CountInterval::Hour,
        // Of one day there is no line by the day.
        None if is_of_today => CountInterval::Hour,
        Some(_) | None => CountInterval::Day,
    };
    // Together: each counts what is new, and one count answers all of them.
    let (counts, forecast, funnel, worth) = tokio::try_join!(
        counted(&desk, &view, by),
        forecast(&desk, &view),
        funnel(&desk, &view),
        async {
            Ok::<_, ConsoleError>(
                engine.worth(&reader, Some(id.clone())).await?.unwrap_or_default(),
            )
        },
    )?;
    let batches = engine.batches(&reader, &id, None, BATCHES).await?;
    let audited = match desk.may(ConsoleAction::ReadAudit) {
        true => {
            let zone = &view.campaign.zone;
            entries(&desk, Some(&id), zone, AUDITED).await?.unwrap_or_default()
        }
        false => Vec::new(),
    };
    let page = CampaignPage {
        d: &desk,
        counts,
        steps: desk.next_steps(&view),
        worth: desk.worth_figures(&worth),
        by,
        paused: desk.pause_said(&view.campaign, None).await?,
        forecast,
        funnel,
        terms: terms(desk.t, &view),
        batches,
        audited,
        curl: desk.curl_get(&format!("/v1/campaigns/{id}")),
        view: &view,
    };
    desk.page(&page)
}

/// Sums of today by the hour, or of a month by the day, in the zone of the campaign.
async fn counted(
    desk: &PageContext,
    view: &CampaignView,
    by: CountInterval,
) -> ConsoleResult<Option<CountsView>> {
    let (zone, days) = (&view.campaign.zone, if by == CountInterval::Hour { 1 } else { DAYS });
    let longest = desk.now.plus_ms(-(days - 1) * DAY_MS);
    let first =
        if by == CountInterval::Day { longest.max(view.campaign.created_at) } else { longest };
    let days = Date::of(first, zone)..=Date::of(desk.now, zone);
    desk.activity(Some(&view.campaign.id), by, days, zone).await
}

/// From the stock to the redemptions that were cancelled.
async fn funnel(desk: &PageContext, view: &CampaignView) -> ConsoleResult<Vec<FunnelStep>> {
    let (t, counts, zone) = (desk.t, view.counts(), &view.campaign.zone);
    let longest = desk.now.plus_ms(-(CANCELLED_DAYS - 1) * DAY_MS);
    let first = Date::of(view.campaign.created_at.max(longest), zone);
    let days = first..=Date::of(desk.now, zone);
    let sums = desk.activity(Some(&view.campaign.id), CountInterval::Day, days, zone).await?;
    let issued = counts.issued + counts.redeemed;
    let of_issued = |count| t.of_issued(t.share(count, issued));
    // Of a shared code there is no stock to begin with.
    let of_stock = match counts.stock {
        0 => String::new(),
        stock => t.of_stock(t.share(issued, stock)),
    };
    let all = t.share(counts.stock, counts.stock);
    let most = counts.stock.max(issued);
    let step = |label: &str, class, count, share: String| FunnelStep {
        label: label.to_owned(),
        bar: share_bar(class, count, most, &share),
        count: t.number(count),
        share,
    };
    let mut steps = vec![
        step(t.all(), "available", counts.stock, all),
        step(t.funnel_issued(), "issued", issued, of_stock),
        step(t.state_redeemed(), "redeemed", counts.redeemed, of_issued(counts.redeemed)),
    ];
    if let Some(cancelled) = sums.map(|sums| sums.sum().cancelled) {
        let label = t.cancelled_since(t.date(first));
        steps.push(step(&label, "void", cancelled, of_issued(cancelled)));
    }
    Ok(steps)
}

/// When the stock is gone at the rate of the last day, or what will be left; `None` if nothing was issued or nothing is
/// left.
async fn forecast(desk: &PageContext, view: &CampaignView) -> ConsoleResult<Option<String>> {
    let left = view.counts().available();
    if left == 0 || desk.phase(view) != CampaignPhase::Running {
        return Ok(None);
    }
    let since = desk.now.plus_ms(-DAY_MS);
    let days = Date::of(since, &desk.zone)..=desk.today();
    let hours =
        desk.activity(Some(&view.campaign.id), CountInterval::Hour, days, &desk.zone).await?;
    let Some(hours) = hours else { return Ok(None) };
    let last_day = hours.counts.iter().filter(|it| it.ends_at > since);
    let issued: u64 = last_day.map(|it| it.activity.issued).sum();
    if issued == 0 {
        return Ok(None);
    }
    let (t, campaign) = (desk.t, &view.campaign);
    let ends = campaign.issue_until.map_or(campaign.expires_at, |it| it.min(campaign.expires_at));
    Ok(Some(match outlook(left, issued, ends.0.saturating_sub(desk.now.0)) {
        StockForecast::Hours(hours) => t.sold_out_in_hours(hours),
        StockForecast::Days(days) => t.sold_out_in_days(days),
        StockForecast::Left(left) => {
            t.left_at_end(left, t.date(Date::last_of(ends, &campaign.zone)))
        }
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StockForecast {
    Hours(u64),
    Days(u64),
    /// So many are left when no more are given out.
    Left(u64),
}

/// What becomes of `left` coupons of which `issued` go in a day, and which are given out for `open_ms` still.
fn outlook(left: u64, issued: u64, open_ms: i64) -> StockForecast {
    let open_ms = u64::try_from(open_ms).unwrap_or(0);
    let gone = rounded(left, DAY_HOURS * HOUR_MS, issued);
    if gone > open_ms {
        return StockForecast::Left(left - rounded(issued, open_ms, DAY_HOURS * HOUR_MS).min(left));
    }
    match rounded(gone, 1, HOUR_MS) {
        hours @ 0..48 => StockForecast::Hours(hours.max(1)),
        hours => StockForecast::Days(rounded(hours, 1, DAY_HOURS)),
    }
}

/// `one * other / parts`, rounded.
fn rounded(one: u64, other: u64, parts: u64) -> u64 {
    let (product, parts) = (u128::from(one) * u128::from(other), u128::from(parts.max(1)));
    u64::try_from((product * 2 + parts) / (parts * 2)).unwrap_or(u64::MAX)
}

fn terms(t: PageTexts, view: &CampaignView) -> Vec<(&'static str, String)> {
    let campaign = &view.campaign;
    let zone = &campaign.zone;
    let mut terms = vec![
        (t.field_handout(), t.handout(&campaign.handout).to_owned()),
        (t.field_valid_from(), t.moment(campaign.valid_from, zone)),
        (t.field_expires_on(), t.date(campaign.expires_on())),
        (t.time_zone(), t.zone(zone)),
        (
            t.field_per_user_limit(),
            campaign.per_user_limit.map_or(t.unlimited().to_owned(), |it| t.number(u64::from(it))),
        ),
        (t.field_cancel_days(), t.days(u64::from(campaign.cancel_days))),
        (t.field_extend_days(), t.days(u64::from(campaign.extend_days))),
    ];
    let mut may = |name, value: Option<String>| terms.extend(value.map(|value| (name, value)));
    may(t.field_shared_code(), campaign.shared_code.as_ref().map(ToString::to_string));
    may(t.field_code_prefix(), campaign.code_prefix.as_ref().map(ToString::to_string));
    may(t.field_valid_days(), campaign.valid_days.map(|days| t.days(u64::from(days))));
    may(t.field_issue_from(), campaign.issue_from.map(|at| t.moment(at, zone)));
    may(t.field_issue_until(), campaign.issue_until.map(|at| t.moment(at, zone)));
    may(t.field_extended(), extended(t, view));
    may(t.field_benefit(), t.worth(&campaign.worth));
    may(t.field_budget(), budget(t, view));
    may(t.field_metadata(), campaign.metadata.clone());
    terms
}

/// How far the coupons of a campaign have got its later end.
fn extended(t: PageTexts, view: &CampaignView) -> Option<String> {
    let Some(progress) = &view.extension else {
        let is_asked = !view.campaign.earlier_ends.is_empty();
        return is_asked.then(|| t.extended_soon().to_owned());
    };
    let extended = t.number(progress.extended);
    Some(match (progress.finished_at, progress.refused) {
        (None, _) => t.extended_so_far(extended),
        (Some(_), 0) => extended.to_string(),
        (Some(_), refused) => t.extended_but(extended, t.number(refused)),
    })
}

fn budget(t: PageTexts, view: &CampaignView) -> Option<String> {
    let (budget, currency) = (view.campaign.worth.budget?, view.campaign.worth.currency?);
    let price = |amount| Price { amount, currency };
    let left = budget.saturating_sub(view.spent.unwrap_or(0));
    Some(t.budget_left(price(budget), price(left)))
}

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage<'a> {
    d: &'a PageContext,
    campaign: CampaignId,
    name: &'a str,
    zone: &'a Zone,
    batch: Batch,
    rejected: Vec<RejectedLine>,
    curl: String,
}

/// `GET /console/campaigns/{id}/batches/{batch}`: how an import ended.
pub(crate) async fn batch(
    desk: PageContext,
    Path((campaign, batch)): Path<(String, String)>,
) -> ConsoleResult {
    let (engine, reader) = (desk.engine(), desk.reader()?);
    let campaign = from_path(&campaign)?;
    let id: BatchId = from_path(&batch)?;
    let batch = engine.batch(&reader, &campaign, &id).await?;
    let view = engine.campaign(&reader, &campaign).await?;
    let mut rejected = match batch.import.rejected {
        0 => Vec::new(),
        _ => engine.rejected_lines(&reader, &campaign, &id, 0).await?,
    };
    rejected.truncate(REJECTED);
    let page = BatchPage {
        d: &desk,
        name: &view.campaign.name,
        zone: &view.campaign.zone,
        rejected,
        curl: desk.curl(
            "PATCH",
            &format!("/v1/campaigns/{campaign}/batches/{id}"),
            json!({"paused": !batch.paused, "reason": "…"}),
        ),
        batch,
        campaign,
    };
    desk.page(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlooks() {
        let hours = |hours: u64| i64::try_from(hours * HOUR_MS).unwrap();
        let cases = [
            ("the last one", 1, 1_000, hours(48), StockForecast::Hours(1)),
            ("in two days, less an hour", 47, 24, hours(48), StockForecast::Hours(47)),
            ("in two days and a half", 60, 24, hours(100), StockForecast::Days(3)),
            ("at the very end", 240, 24, hours(240), StockForecast::Days(10)),
            ("an hour after the end", 241, 24, hours(240), StockForecast::Left(1)),
            ("in 192 days, and it ends in four", 1_920, 10, hours(96), StockForecast::Left(1_880)),
            ("for ever", u64::MAX, 1, hours(24), StockForecast::Left(u64::MAX - 1)),
            ("its end has passed", 5, 5, -1, StockForecast::Left(5)),
        ];
        for (name, left, issued, open_ms, want) in cases {
            assert_eq!(outlook(left, issued, open_ms), want, "{name}");
        }
    }
}
