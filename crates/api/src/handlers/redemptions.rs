//! Redemptions: what an order has redeemed, and lists for accounts.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use coupon::calendar::{Date, Zone};
use coupon::ids::{CampaignId, OrderRef};
use engine::{RedeemedPosition, RedemptionListRequest};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::answer::{JsonAnswer, csv};
use crate::bodies::FieldReader;
use crate::cursor;
use crate::extract::{CAMPAIGN, QueryParams, ReadingCaller, StreamSession, accepts, named};
use crate::paging::limit;
use crate::problem::{Problem, Result};
use crate::views::{List, RedemptionBody};

/// Which redemptions to list.
#[derive(Deserialize, IntoParams, Serialize)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RedemptionParams {
    /// Only the redemptions of this order. All of them are on one page.
    order_ref: Option<String>,
    /// Only the redemptions of this campaign.
    campaign_id: Option<String>,
    /// The first day on which they were made. Needed without `order_ref`.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// The last day, at most 366 days after the first. Needed without `order_ref`.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<String>,
    /// The time zone of the days, and of the times in a CSV file. If it is left out, that of the campaign, or UTC.
    time_zone: Option<String>,
    /// The most redemptions of a page: 1 to 1,000. If it is left out, it is 50. Not for a CSV file.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    #[serde(skip_serializing)]
    limit: Option<String>,
    /// The `next_cursor` of the page before. Not for a CSV file.
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

impl RedemptionParams {
    fn query(&self) -> String {
        serde_json::json!(["redemptions", self]).to_string()
    }

    fn read(&self, is_file: bool) -> Result<RedemptionListRequest> {
        let mut reading = FieldReader::default();
        let order: Option<OrderRef> = reading.may("order_ref", self.order_ref.as_deref());
        let campaign: Option<CampaignId> = reading.may("campaign_id", self.campaign_id.as_deref());
        let zone: Option<Zone> = reading.may("time_zone", self.time_zone.as_deref());
        let days = match (&self.from, &self.to) {
            (None, None) => None,
            (from, to) => {
                let from: Option<Date> = reading.must("from", from.as_deref());
                let to: Option<Date> = reading.must("to", to.as_deref());
                from.zip(to).map(|(from, to)| from..=to)
            }
        };
        for (field, text) in [("limit", &self.limit), ("cursor", &self.cursor)] {
            if is_file && text.is_some() {
                reading.fault(field, "a CSV file has all of it: leave it out");
            }
        }
        let limit = limit(&mut reading, self.limit.as_deref());
        let after = match &self.cursor {
            None => None,
            Some(text) => {
                let (at, tie) = cursor::tied_position(&self.query(), text)?;
                Some(RedeemedPosition { at, tie })
            }
        };
        reading.done(Some(RedemptionListRequest { order, campaign, days, zone, after, limit }))
    }
}

/// List redemptions
///
/// What an order has redeemed, or what was redeemed on some days: newest first, of active and archived coupons,
/// with the cancelled ones. Give `order_ref`, or `from` and `to`.
///
/// With `Accept: text/csv` the answer is a file for a spreadsheet: UTF-8 with a byte-order mark, times of the
/// time zone, names of campaigns, and at most 1,000,000 rows. A cell that a spreadsheet would take for a
/// formula starts with an apostrophe.
///
/// An order is found for `orders_keep` after it redeemed, 400 days by default. A shop, an operator and an
/// admin may call it.
#[utoipa::path(
    get, path = "/v1/redemptions", tag = "redemptions", params(RedemptionParams),
    responses((status = 200, description = "One page of redemptions, or all of them as CSV", content(
        (List<RedemptionBody> = "application/json"),
        (String = "text/csv"),
    )))
)]
pub(crate) async fn list_redemptions(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(params): QueryParams<RedemptionParams>,
    headers: HeaderMap,
) -> Result<Response> {
    if accepts(&headers, "text/csv") {
        let session = StreamSession::of(&app, caller, &headers);
        let engine = Arc::clone(&app.engine);
        let lines = engine.redemption_file(&session.caller, params.read(true)?).await;
        let lines = lines.map_err(named(CAMPAIGN))?.ok_or_else(not_found_by_it)?;
        return Ok(csv(session.guards(lines)));
    }
    let view = app.engine.redemptions(&caller, params.read(false)?).await;
    let view = view.map_err(named(CAMPAIGN))?.ok_or_else(not_found_by_it)?;
    let query = params.query();
    let data = view.redemptions.iter().map(RedemptionBody::from).collect();
    let next_cursor = view.next.map(|next| cursor::tied(&query, next.at, &next.tie));
    Ok(JsonAnswer::ok(List { data, next_cursor }).into_response())
}

pub(super) fn not_found_by_it() -> Problem {
    Problem::not_kept("it cannot find redemptions by it: events_keep or orders_keep is 0")
}
