//! The query of a list of coupons, and where a page of it ends.

use std::collections::BTreeMap;

use coupon::calendar::{Date, Zone};
use coupon::time::DAY_MS;
use engine::{
    Caller, CouponFilter, CursorPosition, FieldFault, ListOrder, ListRequest, Role, SPAN_DAYS_MAX,
    Span,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::bodies::{FieldReader, TRUE_OR_FALSE};
use crate::closed::{self, STATES};
use crate::cursor;
use crate::paging::LIMITS;
use crate::problem::Result;

/// Most coupons of a page that come with their campaigns: each may be of another one.
const EXPANDED_MAX: u64 = 100;

/// Which coupons to list.
#[derive(Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CouponParams {
    /// Only the coupons of this user. A user leaves it out and gets their own; a shop must give it.
    user_id: Option<String>,
    /// Only the coupons of this campaign.
    campaign_id: Option<String>,
    /// Only the coupons in this state.
    #[param(value_type = Option<closed::CouponState>)]
    state: Option<String>,
    /// `true`: only the coupons that have expired. `false`: only those that have not.
    #[param(value_type = Option<bool>)]
    expired: Option<String>,
    /// Only the coupons that become valid at this instant or later.
    valid_from: Option<String>,
    /// Only the coupons that become valid before this instant.
    valid_before: Option<String>,
    /// Only the coupons that expire at this instant or later.
    expires_from: Option<String>,
    /// Only the coupons that expire before this instant.
    expires_before: Option<String>,
    /// Only the coupons that were issued at this instant or later.
    issued_from: Option<String>,
    /// Only the coupons that were issued before this instant.
    issued_before: Option<String>,
    /// Only the coupons that were redeemed at this instant or later.
    redeemed_from: Option<String>,
    /// Only the coupons that were redeemed before this instant.
    redeemed_before: Option<String>,
    /// Only the coupons that were created at this instant or later.
    created_from: Option<String>,
    /// Only the coupons that were created before this instant.
    created_before: Option<String>,
    /// Only the coupons that last changed at this instant or later.
    modified_from: Option<String>,
    /// Only the coupons that last changed before this instant.
    modified_before: Option<String>,
    /// Only the coupons that work until the end of this day in `time_zone`.
    expires_on: Option<String>,
    /// The IANA time zone of `expires_on`. If it is left out, it is UTC.
    time_zone: Option<String>,
    /// The order of the coupons. If it is left out, it is `latest`.
    #[param(value_type = Option<closed::ListOrder>)]
    order: Option<String>,
    /// The most coupons of a page: 1 to 1,000. If it is left out, it is 50.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    limit: Option<String>,
    /// The `next_cursor` of the page before. All other parameters except `limit` and `expand` must be
    /// the same as in the request for that page.
    cursor: Option<String>,
    /// `campaign`: each coupon comes with the name and the metadata of its campaign. Then `limit` is at most 100.
    #[param(value_type = Option<closed::Expand>)]
    expand: Option<String>,
}

impl CouponParams {
    /// What the cursor of this list is bound to: the caller, and every parameter that is set, by
    /// name. The page is no part of it. A parameter that is not set is not in it, so a release with
    /// more parameters continues the lists of an older one.
    pub(super) fn query(&self, caller: &Caller) -> String {
        let rest = CouponParams { limit: None, cursor: None, expand: None, ..self.clone() };
        let params = json!(rest);
        let set = params.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let set: BTreeMap<&String, &Value> = set.collect();
        json!([caller.to_string(), set]).to_string()
    }

    /// The list, and whether its coupons come with their campaigns.
    pub(super) fn read(self, query: &str) -> Result<(ListRequest, bool)> {
        let after = self.cursor.as_deref().map(|text| position(query, text)).transpose()?;
        let mut reading = FieldReader::default();
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
            state: reading.one_of("state", self.state.as_deref(), &STATES.map(|it| (it, it))),
            expired: reading.one_of("expired", self.expired.as_deref(), &TRUE_OR_FALSE),
        };
        let on = reading.may::<Date>("expires_on", self.expires_on.as_deref());
        let zone = reading.may::<Zone>("time_zone", self.time_zone.as_deref());
        if self.time_zone.is_some() && self.expires_on.is_none() {
            reading.fault("time_zone", "goes with expires_on");
        }
        let orders = [("latest", ListOrder::Latest), ("soonest", ListOrder::Soonest)];
        let order = reading.one_of("order", self.order.as_deref(), &orders);
        let ask = ListRequest {
            user: reading.may("user_id", self.user_id.as_deref()),
            campaign: reading.may("campaign_id", self.campaign_id.as_deref()),
            filter,
            expires_on: on.map(|on| (on, zone.unwrap_or_else(Zone::utc))),
            order: order.unwrap_or(ListOrder::Latest),
            after,
            limit: reading.number("limit", self.limit.as_deref(), LIMITS),
        };
        let expanded = reading.one_of("expand", self.expand.as_deref(), &[("campaign", true)]);
        let with_campaigns = expanded.unwrap_or(false);
        if with_campaigns && ask.limit.is_some_and(|limit| limit > EXPANDED_MAX) {
            reading.fault("limit", format!("is at most {EXPANDED_MAX} with expand"));
        }
        reading.done(Some((ask, with_campaigns)))
    }
}

/// An expiry range over everybody's coupons needs both its ends, a month apart: the engine refuses
/// anything else, and this names the end that is missing or too far.
pub(super) fn half_a_range(caller: &Caller, ask: &ListRequest) -> Option<FieldFault> {
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
    Some(FieldFault::new(field, detail))
}

fn position(query: &str, text: &str) -> Result<CursorPosition> {
    let (expires_at, tie) = cursor::tied_position(query, text)?;
    Ok(CursorPosition { expires_at, tie })
}

pub(super) fn cursor_behind(query: &str, position: &CursorPosition) -> String {
    cursor::tied(query, position.expires_at, &position.tie)
}

#[cfg(test)]
mod tests {
    use coupon::time::Millis;
    use engine::TieBreaker;

    use super::*;

    /// Clients in the middle of a list have cursors of these texts. Two releases that work at the
    /// same time must agree on them.
    #[test]
    fn a_cursor_is_bound_to_what_is_set() {
        let ann = Caller::new(Role::User, "ann".parse().unwrap());
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("nothing is set", CouponParams::default(), r#"["user:ann",{}]"#),
            (
                "in the order of the names, without the page",
                CouponParams {
                    state: some("issued"),
                    campaign_id: some("a\"b"),
                    limit: some("7"),
                    cursor: some("abc"),
                    expand: some("campaign"),
                    ..CouponParams::default()
                },
                r#"["user:ann",{"campaign_id":"a\"b","state":"issued"}]"#,
            ),
        ];
        for (name, params, want) in cases {
            assert_eq!(params.query(&ann), want, "{name}");
        }
        let position = CursorPosition { expires_at: Millis(17), tie: TieBreaker::Hot(5) };
        let made = cursor_behind(r#"["user:ann",{"state":"issued"}]"#, &position);
        assert_eq!(made, "WyJjYjhhMmQwYWU0NTBlZTI3IixbIjE3IiwiaG90IiwiNSJdXQ");
    }
}
