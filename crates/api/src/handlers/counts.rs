//! How often coupons were issued, redeemed, given back and refused.

use std::ops::RangeInclusive;

use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use engine::{Caller, CountInterval, CountsRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::JsonAnswer;
use crate::app::App;
use crate::bodies::FieldReader;
use crate::closed;
use crate::extract::{CAMPAIGN, CampaignInPath, QueryParams, ReadingCaller, named};
use crate::problem::{Problem, Result};
use crate::tried::read_file;
use crate::views::CountsBody;

/// Which sums to read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountsParams {
    /// Add up by the hour or by the day. If it is left out, by the day.
    #[param(value_type = Option<closed::CountsBy>)]
    by: Option<String>,
    /// The first day.
    #[param(value_type = String, format = Date)]
    from: Option<String>,
    /// The last day: by the hour at most 31 days, by the day at most 731.
    #[param(value_type = String, format = Date)]
    to: Option<String>,
    /// The time zone of the days. If it is left out, that of the campaign, or UTC.
    time_zone: Option<String>,
}

impl CountsParams {
    fn read(&self, campaign: Option<&CampaignId>) -> Result<CountsRequest> {
        let mut reading = FieldReader::default();
        let intervals = [("hour", CountInterval::Hour), ("day", CountInterval::Day)];
        let by = reading.one_of("by", self.by.as_deref().or(Some("day")), &intervals);
        let from: Option<Date> = reading.must("from", self.from.as_deref());
        let to: Option<Date> = reading.must("to", self.to.as_deref());
        let zone: Option<Zone> = reading.may("time_zone", self.time_zone.as_deref());
        let days = from.zip(to).map(|(from, to)| RangeInclusive::new(from, to));
        let request = by.zip(days).map(|(by, days)| {
            let campaign = campaign.cloned();
            CountsRequest { campaign, by, days, zone }
        });
        reading.done(request)
    }
}

/// Count what happened in all campaigns
///
/// How often coupons were issued and redeemed, redemptions cancelled, and attempts refused, for each hour or
/// day, also for those in which nothing happened. Changes that an import made are not counted. Sums are
/// kept for two years. A shop, an operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/counts", tag = "counts", params(CountsParams),
    responses((status = 200, body = CountsBody, description = "The sums, oldest first"))
)]
pub(crate) async fn read_counts(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(params): QueryParams<CountsParams>,
) -> Result<JsonAnswer<CountsBody>> {
    counts(&app, &caller, None, &params).await
}

/// Count what happened in a campaign
///
/// As in `GET /v1/counts`. An attempt that was refused counts here if its coupon is known; all of them are in
/// the sums of all campaigns. A shop, an operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/counts", tag = "counts", params(CountsParams),
    responses((status = 200, body = CountsBody, description = "The sums, oldest first"))
)]
pub(crate) async fn read_campaign_counts(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    CampaignInPath(campaign): CampaignInPath,
    QueryParams(params): QueryParams<CountsParams>,
) -> Result<JsonAnswer<CountsBody>> {
    counts(&app, &caller, Some(&campaign), &params).await
}

async fn counts(
    app: &App,
    caller: &Caller,
    campaign: Option<&CampaignId>,
    params: &CountsParams,
) -> Result<JsonAnswer<CountsBody>> {
    let request = params.read(campaign)?;
    // Together: one count of what is new answers both.
    let read = (app.engine.activity(caller, request), app.engine.worth(caller, campaign.cloned()));
    let (view, all_time) = tokio::try_join!(read.0, read.1).map_err(named(CAMPAIGN))?;
    let not_kept = || Problem::not_kept("it counts nothing by the hour: events_keep is 0");
    let mut view = view.ok_or_else(not_kept)?;
    let refused = match app.access.attempts.clone() {
        None => Vec::new(),
        Some(log) => {
            let (from, until) = view.quarters();
            let campaign = campaign.map(ToString::to_string);
            let read = move || log.refused(campaign.as_deref(), from, until);
            read_file(read).await?
        }
    };
    Ok(JsonAnswer::ok(CountsBody::of(&mut view, &all_time.unwrap_or_default(), refused)))
}
