//! The overview: what happens today, and what needs somebody.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use coupon::money::Price;
use coupon::time::{DAY_MS, Millis};
use coupon::worth::{CurrencySum, WorthSums};
use engine::{Activity, CampaignView, CountInterval, CountsOfTime, CountsRequest, CountsView};
use serde_json::json;

use crate::chart::{self, ChartPoints, ChartSeries};
use crate::desk::PageContext;
use crate::fields::encoded;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::text::IsolatedText;
use crate::trouble::ConsoleResult;

const DAYS: i64 = 14;

const SHOWN: usize = 6;

/// A campaign runs out soon with less than a tenth of its stock left.
const LOW: u64 = 10;

const WEBHOOKS: usize = 100;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    d: &'a PageContext,
    today: Option<Activity>,
    yesterday: Activity,
    refused: Vec<(String, u64)>,
    refused_total: u64,
    counts: Option<CountsView>,
    by: CountInterval,
    /// What needs somebody, and the page that has more about it.
    attention: Vec<(String, String)>,
    ending: Vec<&'a CampaignView>,
    low: Vec<&'a CampaignView>,
    running: usize,
    is_empty: bool,
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let listed = desk.all_campaigns().await?;
    let counts = counts(&desk, DAYS).await?;
    let refused = refused(&desk, counts.as_ref()).await?;
    let running: Vec<&CampaignView> = listed
        .campaigns
        .iter()
        .filter(|it| matches!(desk.phase(it), CampaignPhase::Running | CampaignPhase::SoldOut))
        .collect();
    let page = OverviewPage {
        d: &desk,
        today: newest(counts.as_ref(), 0),
        yesterday: newest(counts.as_ref(), 1).unwrap_or_default(),
        refused_total: refused.iter().map(|(_, count)| count).sum(),
        refused,
        counts,
        by: CountInterval::Day,
        attention: attention(&desk).await?,
        ending: ending(&desk, &running),
        low: low(&running),
        running: running.len(),
        is_empty: listed.campaigns.is_empty(),
    };
    desk.page(&page)
}

/// The sums of today, or of some days before.
fn newest(view: Option<&CountsView>, before: usize) -> Option<Activity> {
    Some(view?.counts.iter().rev().nth(before)?.activity.clone())
}

/// Sums of the last `days` days, today too.
async fn counts(desk: &PageContext, days: i64) -> ConsoleResult<Option<CountsView>> {
    let first = Date::of(desk.now.plus_ms(-(days - 1) * DAY_MS), &desk.zone);
    desk.activity(None, CountInterval::Day, first..=desk.today(), &desk.zone).await
}

impl PageContext {
    /// Sums of one campaign or of all, of these days of a zone.
    pub(crate) async fn activity(
        &self,
        campaign: Option<&CampaignId>,
        by: CountInterval,
        days: RangeInclusive<Date>,
        zone: &Zone,
    ) -> ConsoleResult<Option<CountsView>> {
        let (campaign, zone) = (campaign.cloned(), Some(zone.clone()));
        let request = CountsRequest { campaign, by, days, zone };
        Ok(self.engine().activity(&self.reader()?, request).await?)
    }

    /// Issued and redeemed, as two lines.
    pub(crate) fn drawn(&self, view: &CountsView, by: CountInterval) -> String {
        let t = self.t;
        let label = |it: &CountsOfTime| match by {
            CountInterval::Hour => t.clock(it.begins_at, &view.zone).chars().take(5).collect(),
            CountInterval::Day if it.begins_at <= self.now && it.ends_at > self.now => {
                t.today().to_owned()
            }
            CountInterval::Day => t.short_date(it.on),
        };
        let said = |it: &CountsOfTime| {
            t.chart_point(label(it), t.number(it.activity.issued), t.number(it.activity.redeemed))
        };
        let title = if by == CountInterval::Hour { t.chart_of_hours() } else { t.chart_of_days() };
        // Hours to come have a label and no value.
        let past = || view.counts.iter().filter(|it| it.begins_at <= self.now);
        let values = |of: fn(&Activity) -> u64| past().map(|it| of(&it.activity)).collect();
        let points = ChartPoints {
            labels: view.counts.iter().map(label).collect(),
            said: past().map(said).collect(),
            complete: past().filter(|it| it.ends_at <= self.now).count(),
        };
        let lines = [
            ChartSeries { class: "issued", values: values(|it| it.issued) },
            ChartSeries { class: "redeemed", values: values(|it| it.redeemed) },
        ];
        chart::lines(&points, &lines, title, |number| t.number(number))
    }

    /// Whether nothing was done in all of the time: a flat line would say no more.
    pub(crate) fn is_quiet(&self, view: &CountsView) -> bool {
        view.sum() == Activity::default()
    }

    /// Whether the last of the times is not over.
    pub(crate) fn is_open(&self, view: &CountsView) -> bool {
        view.counts.last().is_some_and(|it| it.ends_at > self.now)
    }

    /// The rows of the table beside the lines, the newest first.
    pub(crate) fn times(&self, view: &CountsView, by: CountInterval) -> Vec<(String, Activity)> {
        let name = |it: &CountsOfTime| match by {
            CountInterval::Hour => self.t.near_moment(it.begins_at, &view.zone, self.now),
            CountInterval::Day => self.t.near_date(it.on, self.today()),
        };
        view.counts.iter().rev().map(|it| (name(it), it.activity.clone())).collect()
    }

    /// What redemptions were worth: the cost, the average order and the share of the discount, each in all currencies.
    pub(crate) fn worth_columns(&self, worth: &WorthSums) -> [(&'static str, String); 3] {
        let t = self.t;
        let of_all = |figure: &dyn Fn(&CurrencySum) -> Option<String>| {
            worth.iter().filter_map(figure).collect::<Vec<String>>().join(", ")
        };
        // A cancellation may be of an order of another span.
        let average = |it: &CurrencySum| {
            let average = it.redeemed.order_amount.checked_div(it.redeemed.orders);
            average.map(|average| price(it, average))
        };
        let share = |it: &CurrencySum| {
            let whole = it.redeemed.order_amount;
            (whole > 0).then(|| t.share(it.redeemed.order_discount, whole))
        };
        [
            (t.cost(), of_all(&|it| Some(cost(it)))),
            (t.average_order(), of_all(&average)),
            (t.discount_share(), of_all(&share)),
        ]
    }

    pub(crate) fn worth_figures(&self, worth: &WorthSums) -> Vec<(&'static str, String)> {
        let columns = self.worth_columns(worth).into_iter();
        columns.filter(|(_, figure)| !figure.is_empty()).collect()
    }
}

fn price(of: &CurrencySum, amount: u64) -> String {
    Price { amount, currency: of.currency }.to_string()
}

/// More may have been cancelled in a span than was redeemed.
fn cost(of: &CurrencySum) -> String {
    let (redeemed, cancelled) = (of.redeemed.discount, of.cancelled.discount);
    let sign = if redeemed < cancelled { "−" } else { "" };
    sign.to_owned() + &price(of, redeemed.abs_diff(cancelled))
}

/// Attempts of today that were refused, by reason, the most frequent first.
async fn refused(
    desk: &PageContext,
    view: Option<&CountsView>,
) -> ConsoleResult<Vec<(String, u64)>> {
    let from = desk.today().first_instant(&desk.zone);
    let quarter = |at: Millis| at.0.div_euclid(15 * 60 * 1_000);
    let until = view.and_then(|view| Some(view.counts.last()?.ends_at)).unwrap_or(desk.now);
    let read = desk.of_attempts(move |log| log.refused(None, quarter(from), quarter(until) + 1));
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for one in read.await?.unwrap_or_default() {
        *sums.entry(one.problem).or_default() += one.count;
    }
    let sums =
        sums.into_iter().map(|(problem, count)| (desk.t.problem(&problem).to_owned(), count));
    let mut sums: Vec<(String, u64)> = sums.collect();
    sums.sort_by_key(|(_, count)| Reverse(*count));
    Ok(sums)
}

fn ending<'a>(desk: &PageContext, running: &[&'a CampaignView]) -> Vec<&'a CampaignView> {
    let is_soon = |it: &&CampaignView| it.campaign.expires_at.0 - desk.now.0 <= 7 * DAY_MS;
    let mut soon: Vec<&CampaignView> = running.iter().copied().filter(is_soon).collect();
    soon.sort_by_key(|it| it.campaign.expires_at);
    soon.truncate(SHOWN);
    soon
}

fn low<'a>(running: &[&'a CampaignView]) -> Vec<&'a CampaignView> {
    let is_low = |it: &&CampaignView| {
        it.counts().stock > 0 && it.counts().available() * LOW < it.counts().stock
    };
    let mut low: Vec<&CampaignView> = running.iter().copied().filter(is_low).collect();
    low.sort_by_key(|it| it.counts().available());
    low.truncate(SHOWN);
    low
}

async fn attention(desk: &PageContext) -> ConsoleResult<Vec<(String, String)>> {
    let (t, engine) = (desk.t, desk.engine());
    let mut all = Vec::new();
    let mut add = |text: String, href: &str| all.push((text, href.to_owned()));
    let plans = engine.partitions().partitions().await.map_err(engine::Failure::from)?;
    for fault in desk.store_faults(&plans).await {
        add(fault.said, "/console/store");
    }
    if let Some(webhooks) = &desk.console.setup.webhooks {
        for endpoint in webhooks.list(None, WEBHOOKS).await? {
            if endpoint.failures > 0 {
                let id = &endpoint.webhook_id;
                let said = t.attention_webhook(endpoint.failures, IsolatedText(id));
                add(said, &format!("/console/webhooks/{}", encoded(id)));
            }
        }
    }
    Ok(all)
}

/// How long the numbers of `live` are good: however many look, the store is asked so often.
const LIVE_FRESH: Duration = Duration::from_secs(2);

/// The numbers of today, as the last request got them.
pub(crate) type LiveCache = tokio::sync::Mutex<Option<(std::time::Instant, String, String)>>;

/// `GET /console/live`: the numbers of today, for an open page that asks again and again.
pub(crate) async fn live(desk: PageContext) -> ConsoleResult {
    let mut known = desk.console.live.lock().await;
    let key = format!("{} {}", desk.zone.name(), desk.t.lang().tag());
    let fresh = known.as_ref().filter(|(at, of, _)| at.elapsed() < LIVE_FRESH && *of == key);
    let text = match fresh {
        Some((_, _, text)) => text.clone(),
        None => {
            let view = counts(&desk, 1).await?;
            let refused: u64 = refused(&desk, view.as_ref()).await?.iter().map(|(_, n)| n).sum();
            let today =
                view.and_then(|mut view| Some(view.counts.pop()?.activity)).unwrap_or_default();
            let number = |number| desk.t.number(number);
            let text = json!({
                "issued": number(today.issued),
                "redeemed": number(today.redeemed),
                "cancelled": number(today.cancelled),
                "refused": number(refused),
            })
            .to_string();
            *known = Some((std::time::Instant::now(), key, text.clone()));
            text
        }
    };
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
