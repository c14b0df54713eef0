//! Lists: pages, cursors, and the list of coupons.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Millis};
use engine::{
    Caller, CouponFilter, Failure, Fault, ListOrder, ListRequest, PAGE_DEFAULT, PAGE_MAX, Position,
    Role, SPAN_DAYS_MAX, Span, Tie,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::app::App;
use crate::bodies::Reading;
use crate::cursor;
use crate::extract::{CAMPAIGN, Params, Who, named};
use crate::problem::{Code, Problem};
use crate::views::{CouponBody, List};

/// How many items a page may have.
const LIMITS: RangeInclusive<u64> = 1..=PAGE_MAX as u64;

/// One page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// 1 to 1,000; 50 where it is left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Page {
    /// Behind what, and at most how many.
    pub(crate) fn read<T>(&self, query: &str) -> Result<(Option<T>, usize), Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let mut reading = Reading::default();
        let after = match &self.cursor {
            None => None,
            Some(text) => {
                let words = cursor::position(query, text)?;
                reading.must("cursor", words.first().map(String::as_str))
            }
        };
        let limit = reading.number("limit", self.limit.as_deref(), LIMITS);
        reading.done(Some((after, limit.map_or(PAGE_DEFAULT, |limit| limit as usize))))
    }
}

/// One page of things that are named, behind which the next begins.
pub(crate) fn named_page<T, B>(
    query: &str,
    items: &[T],
    limit: usize,
    name: impl Fn(&T) -> &str,
) -> List<B>
where
    B: for<'a> From<&'a T>,
{
    let last = items.last().filter(|_| items.len() == limit);
    let next_cursor = last.map(|last| cursor::cursor(query, &[name(last)]));
    List { data: items.iter().map(B::from).collect(), next_cursor }
}

/// Which coupons.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CouponParams {
    /// One holder's. A user gets his own without it; a shop must name it.
    user_id: Option<String>,
    /// One campaign's.
    campaign_id: Option<String>,
    /// `available`, `issued`, `redeemed` or `void`.
    state: Option<String>,
    /// `true` or `false`.
    #[param(value_type = Option<bool>)]
    expired: Option<String>,
    /// Works from this instant on or later.
    valid_from: Option<String>,
    /// Works from before this instant.
    valid_before: Option<String>,
    expires_from: Option<String>,
    expires_before: Option<String>,
    issued_from: Option<String>,
    issued_before: Option<String>,
    redeemed_from: Option<String>,
    redeemed_before: Option<String>,
    created_from: Option<String>,
    created_before: Option<String>,
    modified_from: Option<String>,
    modified_before: Option<String>,
    /// Those whose last day this is, in `time_zone`.
    expires_on: Option<String>,
    /// An IANA zone; UTC where it is left out.
    time_zone: Option<String>,
    /// `latest` (default): latest expiry first; or `soonest`.
    order: Option<String>,
    /// 1 to 1,000; 50 where it is left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl CouponParams {
    /// What the cursor of this list is bound to: everything but the page.
    fn query(&self, caller: &engine::Caller) -> String {
        let bare = CouponParams { limit: None, cursor: None, ..self.clone() };
        format!("{caller} {bare:?}")
    }

    fn read(self, query: &str) -> Result<ListRequest, Problem> {
        let after = self.cursor.as_deref().map(|text| position(query, text)).transpose()?;
        let mut reading = Reading::default();
        let mut span = |name: &str, from: &Option<String>, before: &Option<String>| Span {
            from: reading.instant(&format!("{name}_from"), from.as_deref()),
            before: reading.instant(&format!("{name}_before"), before.as_deref()),
        };
        let filter = CouponFilter {
            campaign: None,
            valid: span("valid", &self.valid_from, &self.valid_before),
            expires: span("expires", &self.expires_from, &self.expires_before),
            issued: span("issued", &self.issued_from, &self.issued_before),
            redeemed: span("redeemed", &self.redeemed_from, &self.redeemed_before),
            created: span("created", &self.created_from, &self.created_before),
            modified: span("modified", &self.modified_from, &self.modified_before),
            state: state(&mut reading, self.state.as_deref()),
            expired: expired(&mut reading, self.expired.as_deref()),
        };
        let on = reading.may::<Date>("expires_on", self.expires_on.as_deref());
        let zone = reading.may::<Zone>("time_zone", self.time_zone.as_deref());
        if self.time_zone.is_some() && self.expires_on.is_none() {
            reading.fault("time_zone", "goes with expires_on");
        }
        let order = match self.order.as_deref() {
            None | Some("latest") => ListOrder::Latest,
            Some("soonest") => ListOrder::Soonest,
            Some(other) => {
                reading.fault("order", format!("is {other:?}, want latest or soonest"));
                ListOrder::Latest
            }
        };
        let ask = ListRequest {
            user: reading.may("user_id", self.user_id.as_deref()),
            campaign: reading.may("campaign_id", self.campaign_id.as_deref()),
            filter,
            expires_on: on.map(|on| (on, zone.unwrap_or_else(Zone::utc))),
            order,
            after,
            limit: reading.number("limit", self.limit.as_deref(), LIMITS),
        };
        reading.done(Some(ask))
    }
}

fn state(reading: &mut Reading, text: Option<&str>) -> Option<&'static str> {
    const STATES: [&str; 4] = ["available", "issued", "redeemed", "void"];
    let text = text?;
    let known = STATES.into_iter().find(|state| *state == text);
    if known.is_none() {
        reading.fault("state", format!("is {text:?}, want {}", STATES.join(", ")));
    }
    known
}

fn expired(reading: &mut Reading, text: Option<&str>) -> Option<bool> {
    let text = text?;
    let expired = text.parse().ok();
    if expired.is_none() {
        reading.fault("expired", format!("is {text:?}, want true or false"));
    }
    expired
}

/// An expiry range over everybody's coupons needs both its ends, a month apart: the engine refuses
/// anything else, and this names the end that is missing or too far.
fn half_a_range(caller: &Caller, ask: &ListRequest) -> Option<Fault> {
    let everybody = matches!(caller.role, Role::Operator | Role::Admin)
        && ask.user.is_none()
        && ask.campaign.is_none()
        && ask.expires_on.is_none();
    let (field, what) = match (ask.filter.expires.from, ask.filter.expires.before) {
        _ if !everybody => return None,
        (None, None) => return None,
        (None, Some(_)) => ("expires_from", "is missing"),
        (Some(_), None) => ("expires_before", "is missing"),
        (Some(from), Some(before)) if before.0 - from.0 > SPAN_DAYS_MAX * DAY_MS => {
            ("expires_before", "is too late")
        }
        (Some(_), Some(_)) => return None,
    };
    let detail = format!(
        "{what}: a range over everybody's coupons has two ends, at most {SPAN_DAYS_MAX} days apart"
    );
    Some(Fault::new(field, detail))
}

fn position(query: &str, text: &str) -> Result<Position, Problem> {
    let words = cursor::position(query, text)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let position = match words.as_slice() {
        [at, "hot", number] => at.parse().ok().zip(number.parse().ok().map(Tie::Hot)),
        [at, "cold", code] => at.parse().ok().zip(code.parse().ok().map(Tie::Cold)),
        _ => None,
    };
    let other = || Problem::invalid(vec![Fault::new("cursor", "is of another list, or damaged")]);
    let position = position.map(|(at, tie)| Position { expires_at: Millis(at), tie });
    position.ok_or_else(other)
}

fn cursor_behind(query: &str, position: &Position) -> String {
    let (tier, tie) = match &position.tie {
        Tie::Hot(number) => ("hot", number.to_string()),
        Tie::Cold(code) => ("cold", code.to_string()),
    };
    cursor::cursor(query, &[&position.expires_at.0.to_string(), tier, &tie])
}

/// List coupons
///
/// Those that something has happened to, or that were imported: a minted code that nobody has
/// touched is in `GET /v1/campaigns/{campaign_id}/codes`. A user gets his own; a shop those of
/// the `user_id` it names; operator and admin those of a `user_id`, of a `campaign_id`, or of an
/// expiry range of at most 31 days. A page may be short, even empty, and have a next one.
#[utoipa::path(
    get, path = "/v1/coupons", tag = "coupons", params(CouponParams),
    responses((status = 200, body = List<CouponBody>, description = "One page"))
)]
pub(crate) async fn list_coupons(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(params): Params<CouponParams>,
) -> Result<Answer<List<CouponBody>>, Problem> {
    let query = params.query(&caller);
    let ask = params.read(&query)?;
    if let Some(fault) = half_a_range(&caller, &ask) {
        return Err(Problem::invalid(vec![fault]));
    }
    let page = app.engine.list(&caller, ask).await.map_err(incomplete)?;
    let next_cursor = page.next.map(|next| cursor_behind(&query, &next));
    Ok(Answer(List { data: page.coupons.iter().map(CouponBody::from).collect(), next_cursor }))
}

/// A list without what was archived would look complete.
fn incomplete(failure: Failure) -> Problem {
    match named(CAMPAIGN)(failure) {
        problem if problem.code() == Code::ColdUnavailable => problem.about(
            "the list would be incomplete: what was archived belongs in it. Live coupons alone, \
             as with state=issued&expired=false, are listed all the same",
        ),
        problem => problem,
    }
}
