//! What can be wrong with the fields of a campaign.

use coupon::benefit::{Benefit, BenefitKind, BenefitTitle};
use coupon::calendar::{Date, format_instant};
use coupon::campaign::{
    CAMPAIGN_NAME_LEN_MAX, METADATA_LEN_MAX, OPEN_DAYS_MAX, PER_USER_LIMIT_MAX, STOCK_MAX,
    VALID_DAYS_MAX,
};
use coupon::ids::check_sentence;
use coupon::language::Lang;
use coupon::minted::{FIRST_DAY, LAST_DAY};
use coupon::money::AMOUNT_MAX;
use coupon::time::Millis;
use serde_json::Value;

use super::CampaignDraft;
use crate::failure::{FieldFault, range};

pub(super) fn limits(draft: &CampaignDraft) -> Vec<FieldFault> {
    let days = u64::from(OPEN_DAYS_MAX);
    let limit = draft.per_user_limit.flatten().map(u64::from);
    let faults = [
        draft.name.as_ref().and_then(|name| bad_text("name", name)),
        range("stock", draft.stock, 0, STOCK_MAX),
        range("valid_days", draft.valid_days.map(u64::from), 1, VALID_DAYS_MAX.into()),
        range("per_user_limit", limit, 1, PER_USER_LIMIT_MAX.into()),
        range("cancel_days", draft.cancel_days.map(u64::from), 0, days),
        range("extend_days", draft.extend_days.map(u64::from), 0, days),
        draft.metadata.as_ref().and_then(|text| bad_metadata(text)),
    ];
    faults.into_iter().flatten().collect()
}

/// The dates that contradict the clock, the codes or each other.
pub(super) fn dates(
    draft: &CampaignDraft,
    valid_from: Millis,
    expires_at: Millis,
    now: Millis,
) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let end = end_field(draft.expires_on);
    if expires_at <= now {
        faults.push(FieldFault::new(end, "has passed"));
    }
    // A missing `valid_from` is now, and then the expiry is the fault.
    if draft.valid_from.is_some() && valid_from >= expires_at {
        faults.push(FieldFault::new("valid_from", "is not before the expiry"));
    }
    faults.extend(bad_end(end, expires_at));
    if let (Some(from), Some(until)) = (draft.issue_from, draft.issue_until)
        && from >= until
    {
        faults.push(FieldFault::new("issue_until", "is not after issue_from"));
    }
    faults
}

/// The field in which a request says an end.
pub(super) fn end_field(on: Option<Date>) -> &'static str {
    if on.is_some() { "expires_on" } else { "expires_at" }
}

/// Of an end whose coupons could not be archived.
pub(super) fn bad_end(field: &str, expires_at: Millis) -> Option<FieldFault> {
    let days = FIRST_DAY.start()..=LAST_DAY.end();
    let (first, last) = (format_instant(*days.start()), format_instant(*days.end()));
    let detail = || format!("lies outside {first} to {last}");
    (!days.contains(&expires_at)).then(|| FieldFault::new(field, detail()))
}

/// Both ways in which a request says an end.
pub(super) const TWO_ENDS: &str = "stands beside expires_at: give one of them";

pub(super) const CURRENCY_MISSING: &str =
    "is missing: the amounts of the benefit and the budget are in it";

/// A benefit has words of its own, or else a title of one or two languages.
pub(super) fn bad_benefit(benefit: &Benefit, title: &BenefitTitle) -> Vec<FieldFault> {
    let texts = [("benefit.title.en", &title.en), ("benefit.title.ko", &title.ko)];
    let bad_titles = texts.into_iter().filter_map(|(field, text)| bad_text(field, text.as_ref()?));
    let mut untitled = None;
    let (amount, most) = match benefit.kind {
        BenefitKind::Amount(amount) => (Some(amount), None),
        BenefitKind::Percent { max_discount, .. } => (None, max_discount),
        BenefitKind::Text if title.text(Lang::En).is_none() => {
            let detail = "is missing: a benefit of kind text says nothing else";
            untitled = Some(FieldFault::new("benefit.title", detail));
            (None, None)
        }
        BenefitKind::Text => (None, None),
    };
    let amounts = [
        range("benefit.amount", amount, 1, AMOUNT_MAX),
        range("benefit.max_discount", most, 1, AMOUNT_MAX),
        range("benefit.min_order", benefit.min_order, 1, AMOUNT_MAX),
    ];
    untitled.into_iter().chain(amounts.into_iter().flatten()).chain(bad_titles).collect()
}

/// Metadata is within lists, events and pages, and programs read no more than a hundred levels.
const METADATA_LEVELS_MAX: usize = 32;

/// A name, or a text as short.
pub(super) fn bad_text(field: &str, text: &str) -> Option<FieldFault> {
    let found = text.len();
    if !(1..=CAMPAIGN_NAME_LEN_MAX).contains(&found) {
        let detail = format!("has {found} bytes, want 1 to {CAMPAIGN_NAME_LEN_MAX}");
        return Some(FieldFault::new(field, detail));
    }
    check_sentence(text).err().map(|error| FieldFault::new(field, error.to_string()))
}

/// How deep a value is nested.
fn levels(value: &Value) -> usize {
    let below = match value {
        Value::Object(fields) => fields.values().map(levels).max(),
        Value::Array(items) => items.iter().map(levels).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

pub(super) fn bad_metadata(text: &str) -> Option<FieldFault> {
    let Ok(object @ Value::Object(_)) = serde_json::from_str(text) else {
        return Some(FieldFault::new("metadata", "is no JSON object"));
    };
    let levels = levels(&object);
    if levels > METADATA_LEVELS_MAX {
        let detail = format!("has {levels} levels, want {METADATA_LEVELS_MAX}");
        return Some(FieldFault::new("metadata", detail));
    }
    let found = text.len();
    (found > METADATA_LEN_MAX)
        .then(|| FieldFault::new("metadata", format!("has {found} bytes, want {METADATA_LEN_MAX}")))
}
