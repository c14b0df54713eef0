//! Drafts: how a request becomes a campaign.

use coupon::calendar::{Date, Zone, format_instant};
use coupon::campaign::{Campaign, CampaignWorth, Handout, OPEN_DAYS_DEFAULT, Prefix};
use coupon::code::CodeText;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use hot::worth_text;
use serde_json::{Value, json};

use super::faults::{CURRENCY_MISSING, TWO_ENDS, bad_benefit, dates, limits};
use crate::Engine;
use crate::failure::{Failure, FieldFault, Result};

/// `None` takes the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignDraft {
    /// Made here if it is missing.
    pub id: Option<CampaignId>,
    /// The id by default.
    pub name: Option<String>,
    /// How many coupons to mint with it; none by default.
    pub stock: Option<u64>,
    /// `shop` by default.
    pub handout: Option<Handout>,
    /// In shared campaigns only.
    pub shared_code: Option<CodeText>,
    pub code_prefix: Option<Prefix>,
    /// When its coupons begin to work; at once by default.
    pub valid_from: Option<Millis>,
    /// First instant at which they no longer work. Either this or `expires_on`.
    pub expires_at: Option<Millis>,
    /// The last day on which they work.
    pub expires_on: Option<Date>,
    /// UTC by default.
    pub time_zone: Option<Zone>,
    /// Days that a coupon works after its issue.
    pub valid_days: Option<u16>,
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// 1 by default, no limit for `Some(None)`.
    pub per_user_limit: Option<Option<u16>>,
    pub cancel_days: Option<u16>,
    /// Days after expiry in which a coupon can be extended.
    pub extend_days: Option<u16>,
    /// The shop's own JSON object, as text in one normal form.
    pub metadata: Option<String>,
    pub worth: CampaignWorth,
}

impl Engine {
    pub(super) fn campaign_of(&self, draft: CampaignDraft, now: Millis) -> Result<Campaign> {
        let mut faults = limits(&draft);
        faults
            .extend(draft.worth.benefit.iter().flat_map(|it| bad_benefit(it, &draft.worth.title)));
        if draft.worth.lacks_currency() {
            faults.push(FieldFault::new("currency", CURRENCY_MISSING));
        }
        faults.extend(self.bad_budget(draft.worth.budget));
        let zone = draft.time_zone.clone().unwrap_or_else(Zone::utc);
        let valid_from = draft.valid_from.unwrap_or(now);
        let expires_at = match (draft.expires_at, draft.expires_on) {
            (Some(at), None) => Ok(at),
            (None, Some(on)) => Ok(on.end(&zone)),
            (Some(_), Some(_)) => Err(("expires_on", TWO_ENDS)),
            (None, None) => Err(("expires_at", "is missing: give it, or expires_on")),
        };
        let expires_at = expires_at.unwrap_or_else(|(field, detail)| {
            faults.push(FieldFault::new(field, detail));
            now
        });
        // Without an end, no date contradicts it.
        if draft.expires_at.is_some() != draft.expires_on.is_some() {
            faults.extend(dates(&draft, valid_from, expires_at, now));
        }
        faults.extend(self.handing_out(&draft));
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        // A UUID and a prefix are path-safe and short.
        let made = || format!("cmp_{}", uuid::Uuid::now_v7()).parse().expect("a UUID makes a name");
        let id: CampaignId = draft.id.unwrap_or_else(made);
        Ok(Campaign {
            name: draft.name.unwrap_or_else(|| id.to_string()),
            id,
            handout: draft.handout.unwrap_or(Handout::Shop),
            shared_code: draft.shared_code.map(|text| text.foreign().clone()),
            code_prefix: draft.code_prefix,
            valid_from,
            expires_at,
            earlier_ends: Vec::new(),
            zone,
            valid_days: draft.valid_days,
            issue_from: draft.issue_from,
            issue_until: draft.issue_until,
            per_user_limit: draft.per_user_limit.unwrap_or(Some(1)),
            cancel_days: draft.cancel_days.unwrap_or(OPEN_DAYS_DEFAULT),
            extend_days: draft.extend_days.unwrap_or(OPEN_DAYS_DEFAULT),
            paused: false,
            metadata: draft.metadata,
            worth: draft.worth,
            created_at: now,
        })
    }

    /// The faults of fields that do not fit the handout.
    fn handing_out(&self, draft: &CampaignDraft) -> Vec<FieldFault> {
        let handout = draft.handout.unwrap_or(Handout::Shop);
        let shared_code = match (handout, &draft.shared_code) {
            (Handout::Shared, None) => Some("is missing: a shared campaign has a word"),
            (Handout::Shared, Some(text)) if self.router.looks_minted(text) => {
                Some("looks like a code of ours: take another")
            }
            (Handout::Shared, Some(_)) | (_, None) => None,
            (_, Some(_)) => Some("is for campaigns with handout shared"),
        };
        let is_unlimited = draft.per_user_limit == Some(None) && handout != Handout::Bearer;
        let limit = is_unlimited.then_some("may be null only with handout bearer");
        let faults = [("shared_code", shared_code), ("per_user_limit", limit)];
        let faults = faults.into_iter().filter_map(|(field, detail)| Some((field, detail?)));
        faults.map(|(field, detail)| FieldFault::new(field, detail)).collect()
    }
}

/// The draft as one text, without defaults that depend on the clock. The same request makes the
/// same text in every release.
pub(super) fn normal_form(draft: &CampaignDraft) -> String {
    let instant = |at: Option<Millis>| at.map(format_instant);
    let mut form = json!({
        "name": draft.name,
        "stock": draft.stock,
        "handout": draft.handout.map(Handout::as_str),
        "shared_code": draft.shared_code.as_ref().map(|text| text.foreign().to_string()),
        "code_prefix": draft.code_prefix.as_ref().map(Prefix::as_str),
        "valid_from": instant(draft.valid_from),
        "expires_at": instant(draft.expires_at),
        "expires_on": draft.expires_on.map(|on| on.to_string()),
        "time_zone": draft.time_zone.as_ref().map(Zone::name),
        "valid_days": draft.valid_days,
        "issue_from": instant(draft.issue_from),
        "issue_until": instant(draft.issue_until),
        "per_user_limit": draft.per_user_limit.unwrap_or(Some(1)),
        "cancel_days": draft.cancel_days,
        "extend_days": draft.extend_days,
        "metadata": draft.metadata.as_deref().map(sorted),
    });
    // Not without: the text of a request of a release before stays the same.
    if let Some(worth) = worth_text(&draft.worth) {
        form["worth"] = worth.into();
    }
    form.to_string()
}

/// The JSON text with the members of every object sorted: two clients may write one object in two
/// orders.
fn sorted(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    value.sort_all_objects();
    value.to_string()
}
