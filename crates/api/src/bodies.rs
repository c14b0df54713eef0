//! Requests as JSON, and the values they become. Unknown fields are refused by name; every field
//! that cannot be used is told at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use coupon::calendar::{Date, Zone, parse_instant};
use coupon::ids::{BatchId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use coupon::time::Millis;
use engine::{AdminChange, BatchRequest, CampaignDraft, CampaignPatch, Expiry, Fault};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Reads texts into values and keeps every fault it meets.
#[derive(Default)]
pub(crate) struct Reading {
    faults: Vec<Fault>,
}

impl Reading {
    /// The value of a field that may be left out.
    pub(crate) fn may<T>(&mut self, field: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(field, text?.parse())
    }

    /// The value of a field that must be there.
    pub(crate) fn must<T>(&mut self, field: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        if text.is_none() {
            self.fault(field, "is missing");
        }
        self.may(field, text)
    }

    /// An instant of RFC 3339.
    pub(crate) fn instant(&mut self, field: &str, text: Option<&str>) -> Option<Millis> {
        self.parsed(field, parse_instant(text?))
    }

    /// A whole number within `range`.
    pub(crate) fn number(
        &mut self,
        field: &str,
        text: Option<&str>,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let text = text?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.fault(field, format!("is {text:?}, want {least} to {most}"));
        }
        number
    }

    pub(crate) fn parsed<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.fault(field, error.to_string())).ok()
    }

    pub(crate) fn fault(&mut self, field: &str, detail: impl Into<String>) {
        self.faults.push(Fault::new(field, detail));
    }

    /// What was read, if there was no fault.
    pub(crate) fn done<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.faults)),
        }
    }
}

/// `null` and absence are two things: `Some(None)` and `None`.
fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// A login and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// 1 to 64 visible characters.
    #[schema(max_length = 64, example = "ann@example.com")]
    pub(crate) login_id: String,
    /// 8 to 128 bytes.
    #[schema(min_length = 8, max_length = 128, example = "correct horse battery")]
    pub(crate) password: String,
}

/// A campaign to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// Its name in URLs: 1 to 64 of A-Z a-z 0-9 - _ . ~ : and made by us where it is left out.
    /// The same name with the same body answers the first result, for ever.
    #[schema(max_length = 64, example = "spring-2027")]
    pub campaign_id: Option<String>,
    /// Its name for people; the campaign_id where it is left out.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Coupons to mint at once: 0 to 100,000,000,000. Costs one small write, whatever the number.
    #[schema(maximum = 100_000_000_000u64, example = 1000)]
    pub stock: Option<u64>,
    /// How its coupons reach people: `shop` (default), `self`, `bearer` or `shared`.
    #[schema(example = "shop")]
    pub handout: Option<String>,
    /// The one word for everybody, with handout shared: 4 to 64 of A-Z 0-9.
    #[schema(max_length = 128, example = "SUMMER2027")]
    pub shared_code: Option<String>,
    /// Decoration in front of its codes: 1 to 12 of A-Z 0-9.
    #[schema(max_length = 12)]
    pub code_prefix: Option<String>,
    /// When its coupons begin to work; at once where it is left out.
    #[schema(format = DateTime)]
    pub valid_from: Option<String>,
    /// When they no longer work. Give this, or `expires_on`.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// The last day on which they work, in `time_zone`.
    #[schema(format = Date, example = "2027-12-31")]
    pub expires_on: Option<String>,
    /// An IANA zone; UTC where it is left out.
    #[schema(example = "Asia/Seoul")]
    pub time_zone: Option<String>,
    /// A coupon works until the end of the day so many days after its issue: 1 to 3,660.
    #[schema(minimum = 1, maximum = 3660)]
    pub valid_days: Option<u16>,
    /// When it begins to issue.
    #[schema(format = DateTime)]
    pub issue_from: Option<String>,
    /// When it no longer issues.
    #[schema(format = DateTime)]
    pub issue_until: Option<String>,
    /// Most coupons of one user: 1 to 100, 1 where it is left out; null only with handout bearer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100)]
    pub per_user_limit: Option<Option<u16>>,
    /// Days in which a redemption can be cancelled: 0 (never) to 366; 30 where it is left out.
    #[schema(maximum = 366)]
    pub cancel_days: Option<u16>,
    /// Days after expiry in which a coupon can be extended: 0 to 366; 30 where it is left out.
    #[schema(maximum = 366)]
    pub extend_days: Option<u16>,
    /// The shop's own JSON object, 4 KiB at most; users see it.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

impl NewCampaign {
    /// The draft that it describes.
    ///
    /// # Errors
    /// `INVALID` with every field that cannot be read.
    pub fn into_draft(self) -> Result<CampaignDraft, Problem> {
        let mut reading = Reading::default();
        let draft = CampaignDraft {
            id: reading.may("campaign_id", self.campaign_id.as_deref()),
            name: self.name,
            stock: self.stock,
            handout: reading.may("handout", self.handout.as_deref()),
            shared_code: reading.may("shared_code", self.shared_code.as_deref()),
            code_prefix: reading.may("code_prefix", self.code_prefix.as_deref()),
            valid_from: reading.instant("valid_from", self.valid_from.as_deref()),
            expires_at: reading.instant("expires_at", self.expires_at.as_deref()),
            expires_on: reading.may::<Date>("expires_on", self.expires_on.as_deref()),
            time_zone: reading.may::<Zone>("time_zone", self.time_zone.as_deref()),
            valid_days: self.valid_days,
            issue_from: reading.instant("issue_from", self.issue_from.as_deref()),
            issue_until: reading.instant("issue_until", self.issue_until.as_deref()),
            per_user_limit: self.per_user_limit,
            cancel_days: self.cancel_days,
            extend_days: self.extend_days,
            metadata: self.metadata.map(|value| value.to_string()),
        };
        reading.done(Some(draft))
    }
}

/// What to change of a campaign; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignChanges {
    /// Its name for people.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Takes the place of the whole object; null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Value>>,
    /// Pauses or resumes issue, check, hold and redeem.
    paused: Option<bool>,
    /// When it begins to issue; null for at once.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    issue_from: Option<Option<String>>,
    /// When it no longer issues; null for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    issue_until: Option<Option<String>>,
    /// Only upwards, to 100 at most; null for none, only with handout bearer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100)]
    per_user_limit: Option<Option<u16>>,
}

impl CampaignChanges {
    pub(crate) fn into_patch(self) -> Result<CampaignPatch, Problem> {
        let mut reading = Reading::default();
        let mut instant = |field, text: Option<Option<String>>| match text {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(reading.instant(field, Some(&text))),
        };
        let patch = CampaignPatch {
            issue_from: instant("issue_from", self.issue_from),
            issue_until: instant("issue_until", self.issue_until),
            name: self.name,
            metadata: self.metadata.map(|value| value.map(|value| value.to_string())),
            paused: self.paused,
            per_user_limit: self.per_user_limit,
        };
        reading.done(Some(patch))
    }
}

/// A batch to be minted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// Its name within the campaign; made by us where it is left out.
    #[schema(max_length = 64)]
    batch_id: Option<String>,
    /// 1 to 100,000,000,000 coupons. Costs one small write, whatever the number.
    #[schema(minimum = 1, maximum = 100_000_000_000u64)]
    count: u64,
}

impl NewBatch {
    pub(crate) fn into_request(self) -> Result<BatchRequest, Problem> {
        let mut reading = Reading::default();
        let id = reading.may::<BatchId>("batch_id", self.batch_id.as_deref());
        reading.done(Some(BatchRequest { id, count: self.count }))
    }
}

/// What to change of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchChanges {
    /// Pauses or resumes its coupons.
    pub(crate) paused: bool,
    /// Why, for whoever looks later.
    #[schema(max_length = 200)]
    reason: Option<String>,
}

impl BatchChanges {
    pub(crate) fn reason(&self) -> Result<Option<Reason>, Problem> {
        reason(self.reason.as_deref())
    }
}

/// For whom a coupon is issued.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueBody {
    /// The user; left out by a user himself.
    #[schema(max_length = 64, example = "ann")]
    user_id: Option<String>,
    /// Names this request, for ever; needed where `per_user_limit` is not 1. `replaces:CODE` for
    /// a replacement.
    #[schema(max_length = 100, example = "welcome-2027")]
    issue_ref: Option<String>,
}

impl IssueBody {
    pub(crate) fn read(&self) -> Result<(Option<UserId>, Option<IssueRef>), Problem> {
        let mut reading = Reading::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        let reference = reading.may("issue_ref", self.issue_ref.as_deref());
        reading.done(Some((user, reference)))
    }
}

/// For whom a named coupon is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// The user; left out by a user himself.
    #[schema(max_length = 64, example = "ann")]
    user_id: Option<String>,
}

impl UserBody {
    pub(crate) fn read(&self) -> Result<Option<UserId>, Problem> {
        let mut reading = Reading::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        reading.done(Some(user))
    }
}

fn user_and_order(user: Option<&str>, order: &str) -> Result<(Option<UserId>, OrderRef), Problem> {
    let mut reading = Reading::default();
    let user = reading.may("user_id", user);
    let order = reading.must("order_ref", Some(order));
    reading.done(order.map(|order| (user, order)))
}

/// Who redeems, and for which order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// The user; left out by a user himself.
    #[schema(max_length = 64, example = "ann")]
    user_id: Option<String>,
    /// Names one attempt to pay, for ever.
    #[schema(max_length = 100, example = "991")]
    order_ref: String,
}

impl OrderBody {
    pub(crate) fn read(&self) -> Result<(Option<UserId>, OrderRef), Problem> {
        user_and_order(self.user_id.as_deref(), &self.order_ref)
    }
}

/// Who holds, for which order and how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The user; left out by a user himself.
    #[schema(max_length = 64, example = "ann")]
    user_id: Option<String>,
    /// The order it is kept for.
    #[schema(max_length = 100, example = "991")]
    order_ref: String,
    /// 1 to 604,800; 900 where it is left out.
    #[schema(minimum = 1, maximum = 604_800)]
    pub(crate) seconds: Option<u32>,
}

impl HoldRequest {
    pub(crate) fn read(&self) -> Result<(Option<UserId>, OrderRef), Problem> {
        user_and_order(self.user_id.as_deref(), &self.order_ref)
    }
}

/// Which order lets go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// The order it was kept for.
    #[schema(max_length = 100, example = "991")]
    order_ref: String,
}

impl ReleaseBody {
    pub(crate) fn read(&self) -> Result<OrderRef, Problem> {
        let mut reading = Reading::default();
        let order = reading.must("order_ref", Some(&self.order_ref));
        reading.done(order)
    }
}

/// Which order's redemption is undone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// The order that redeemed.
    #[schema(max_length = 100, example = "991")]
    order_ref: String,
    /// Why.
    #[schema(max_length = 200, example = "goods returned")]
    reason: Option<String>,
}

impl CancelBody {
    pub(crate) fn read(&self) -> Result<(OrderRef, Option<Reason>), Problem> {
        let mut reading = Reading::default();
        let order = reading.must("order_ref", Some(&self.order_ref));
        let reason = reading.may("reason", self.reason.as_deref());
        reading.done(order.map(|order| (order, reason)))
    }
}

/// From whom a coupon is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// Its holder.
    #[schema(max_length = 64, example = "ann")]
    user_id: String,
    /// Names this request, for ever: a repeat changes nothing.
    #[schema(max_length = 100, example = "ticket-4711")]
    revoke_ref: Option<String>,
    /// Why.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// Revoke only while the coupon has this version.
    version: Option<u64>,
}

impl RevokeBody {
    pub(crate) fn read(&self) -> Result<(UserId, Option<RevokeRef>, AdminChange), Problem> {
        let mut reading = Reading::default();
        let user = reading.must("user_id", Some(&self.user_id));
        let reference = reading.may("revoke_ref", self.revoke_ref.as_deref());
        let reason = reading.may("reason", self.reason.as_deref());
        let with = AdminChange { reason, if_version: self.version };
        reading.done(user.map(|user| (user, reference, with)))
    }
}

/// Why a coupon is voided.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// Why.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// Void only while the coupon has this version.
    version: Option<u64>,
}

impl ReasonBody {
    pub(crate) fn read(&self) -> Result<AdminChange, Problem> {
        let reason = reason(self.reason.as_deref())?;
        Ok(AdminChange { reason, if_version: self.version })
    }
}

fn reason(text: Option<&str>) -> Result<Option<Reason>, Problem> {
    let mut reading = Reading::default();
    let reason = reading.may("reason", text);
    reading.done(Some(reason))
}

/// Until when a coupon is extended: `expires_at`, or `expires_on` and `time_zone`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendBody {
    /// First instant at which it no longer works.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Last day on which it works.
    #[schema(format = Date)]
    expires_on: Option<String>,
    /// An IANA zone; UTC where it is left out.
    time_zone: Option<String>,
    /// Why.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// Extend only while the coupon has this version.
    version: Option<u64>,
}

impl ExtendBody {
    pub(crate) fn read(&self) -> Result<(Expiry, AdminChange), Problem> {
        let mut reading = Reading::default();
        let at = reading.instant("expires_at", self.expires_at.as_deref());
        let on = reading.may::<Date>("expires_on", self.expires_on.as_deref());
        let zone = reading.may::<Zone>("time_zone", self.time_zone.as_deref());
        let reason = reading.may("reason", self.reason.as_deref());
        let expiry = match (&self.expires_at, &self.expires_on, &self.time_zone) {
            (Some(_), None, None) => at.map(Expiry::At),
            (None, Some(_), _) => on.map(|on| Expiry::On(on, zone.unwrap_or_else(Zone::utc))),
            (None, None, _) => {
                reading.fault("expires_at", "is missing: give it, or expires_on");
                None
            }
            (Some(_), _, _) => {
                reading.fault("expires_at", "stands alone: expires_on and time_zone go together");
                None
            }
        };
        let with = AdminChange { reason, if_version: self.version };
        reading.done(expiry.map(|expiry| (expiry, with)))
    }
}
