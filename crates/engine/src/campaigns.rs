//! Campaigns: making, changing and reading them.

use std::sync::Arc;

use coupon::calendar::{Date, Zone, format_instant};
use coupon::campaign::{
    CAMPAIGN_NAME_LEN_MAX, Campaign, CampaignCounts, Handout, METADATA_LEN_MAX, OPEN_DAYS_DEFAULT,
    OPEN_DAYS_MAX, PER_USER_LIMIT_MAX, Prefix, STOCK_MAX, VALID_DAYS_MAX,
};
use coupon::code::{Code, CodeText};
use coupon::ids::CampaignId;
use coupon::minted::{FIRST_DAY, LAST_DAY};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::{CampaignPatch, CampaignRow, MintOrder, Named, NewCampaign, Patched};
use serde_json::{Value, json};

use crate::failure::{Done, Failure, Fault};
use crate::lists::PAGE_MAX;
use crate::{Caller, Engine, Role};

/// What somebody asks a campaign to be; `None` takes the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignDraft {
    /// Its name in URLs; made by us where it is left out.
    pub id: Option<CampaignId>,
    /// Its name for people; its id where it is left out.
    pub name: Option<String>,
    /// How many coupons to mint at once.
    pub stock: Option<u64>,
    /// How they reach people; by the shop.
    pub handout: Option<Handout>,
    /// The one word for everybody, in shared campaigns and no other.
    pub shared_code: Option<CodeText>,
    /// The decoration of its minted codes.
    pub code_prefix: Option<Prefix>,
    /// When its coupons begin to work; at once.
    pub valid_from: Option<Millis>,
    /// When they no longer work; or
    pub expires_at: Option<Millis>,
    /// the last day on which they do.
    pub expires_on: Option<Date>,
    /// The zone of its dates; UTC.
    pub time_zone: Option<Zone>,
    /// Days that a coupon works after its issue.
    pub valid_days: Option<u16>,
    /// When it begins to issue.
    pub issue_from: Option<Millis>,
    /// When it no longer issues.
    pub issue_until: Option<Millis>,
    /// Most coupons for one user: 1 where it is left out, none for `Some(None)`.
    pub per_user_limit: Option<Option<u16>>,
    /// Days in which a redemption can be cancelled.
    pub cancel_days: Option<u16>,
    /// Days after expiry in which a coupon can be extended.
    pub extend_days: Option<u16>,
    /// The shop's own JSON object, as text in one normal form.
    pub metadata: Option<String>,
}

/// A campaign as a caller may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignView {
    /// Its terms.
    pub campaign: Arc<Campaign>,
    /// Its counts, and the moment for which they hold: not for users.
    pub counts: Option<(CampaignCounts, Millis)>,
}

impl CampaignView {
    pub(crate) fn of(row: CampaignRow, caller: &Caller) -> CampaignView {
        let counts = (caller.role != Role::User).then_some((row.counts, row.counted_at));
        CampaignView { campaign: row.campaign, counts }
    }
}

impl Engine {
    /// Makes a campaign and its first batch. The same id with the same draft is a replay, for
    /// ever.
    ///
    /// # Errors
    /// `Invalid` names every field that cannot be used; `NameTaken` for the id or the shared code.
    pub async fn create_campaign(
        &self,
        caller: &Caller,
        draft: CampaignDraft,
    ) -> Result<Done<CampaignView>, Failure> {
        caller.must_be(&[Role::Admin])?;
        let (now, created_as) = (self.now(), normal_form(&draft));
        if let Some(id) = &draft.id
            && let Some(row) = self.hot.campaign(id, now).await?
        {
            // A replay is not measured by today's clock: its dates may have passed.
            return match row.created_as == created_as {
                true => Ok(Done::Same(CampaignView::of(row, caller))),
                false => Err(Failure::refused(Refusal::NameTaken)),
            };
        }
        let stock = draft.stock.unwrap_or(0);
        let campaign = self.campaign_of(draft, now)?;
        if campaign.shared_code.as_ref().is_some_and(Code::is_long) {
            self.hot.announce_long_codes().await?;
        }
        let first_batch = match stock {
            0 => None,
            count => Some(MintOrder { id: first_batch_id(), count, key: self.newest_key()? }),
        };
        let new = NewCampaign { campaign, created_as, first_batch };
        match self.hot.create_campaign(new).await? {
            Named::Created(row) => Ok(Done::Created(CampaignView::of(row, caller))),
            Named::Same(row) => Ok(Done::Same(CampaignView::of(row, caller))),
            Named::Refused(refusal) => Err(Failure::refused(refusal)),
        }
    }

    fn campaign_of(&self, draft: CampaignDraft, now: Millis) -> Result<Campaign, Failure> {
        let mut faults = limits(&draft);
        let zone = draft.time_zone.clone().unwrap_or_else(Zone::utc);
        let valid_from = draft.valid_from.unwrap_or(now);
        let expires_at = match (draft.expires_at, draft.expires_on) {
            (Some(at), None) => at,
            (None, Some(on)) => on.end(&zone),
            (Some(_), Some(_)) => {
                faults.push(Fault::new("expires_on", "stands beside expires_at: give one of them"));
                now
            }
            (None, None) => {
                faults.push(Fault::new("expires_at", "is missing: give it, or expires_on"));
                now
            }
        };
        if faults.is_empty() {
            faults.extend(dates(&draft, valid_from, expires_at, now));
        }
        faults.extend(self.handing_out(&draft));
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let id = draft.id.unwrap_or_else(made_id);
        Ok(Campaign {
            name: draft.name.unwrap_or_else(|| id.to_string()),
            id,
            handout: draft.handout.unwrap_or(Handout::Shop),
            shared_code: draft.shared_code.map(|text| text.foreign().clone()),
            code_prefix: draft.code_prefix,
            valid_from,
            expires_at,
            zone,
            valid_days: draft.valid_days,
            issue_from: draft.issue_from,
            issue_until: draft.issue_until,
            per_user_limit: draft.per_user_limit.unwrap_or(Some(1)),
            cancel_days: draft.cancel_days.unwrap_or(OPEN_DAYS_DEFAULT),
            extend_days: draft.extend_days.unwrap_or(OPEN_DAYS_DEFAULT),
            paused: false,
            metadata: draft.metadata,
            created_at: now,
        })
    }

    /// What the way of handing out asks of the other fields.
    fn handing_out(&self, draft: &CampaignDraft) -> Vec<Fault> {
        let handout = draft.handout.unwrap_or(Handout::Shop);
        let mut faults = Vec::new();
        match (handout, &draft.shared_code) {
            (Handout::Shared, None) => {
                faults.push(Fault::new("shared_code", "is missing: a shared campaign has a word"));
            }
            (Handout::Shared, Some(text)) if self.router.looks_minted(text) => {
                faults.push(Fault::new("shared_code", "looks like a code of ours: take another"));
            }
            (Handout::Shared, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                faults.push(Fault::new("shared_code", "is for campaigns with handout shared"));
            }
        }
        if draft.per_user_limit == Some(None) && handout != Handout::Bearer {
            faults.push(Fault::new("per_user_limit", "may be null only with handout bearer"));
        }
        faults
    }

    /// Changes what may be changed of a campaign.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not raised or a window that would be empty.
    pub async fn patch_campaign(
        &self,
        caller: &Caller,
        id: &CampaignId,
        patch: CampaignPatch,
    ) -> Result<CampaignView, Failure> {
        caller.must_be(&[Role::Admin])?;
        let mut faults = Vec::new();
        faults.extend(patch.name.as_ref().and_then(|name| bad_name(name)));
        let limit = patch.per_user_limit.flatten().map(u64::from);
        faults.extend(range("per_user_limit", limit, 1, PER_USER_LIMIT_MAX.into()));
        faults.extend(patch.metadata.iter().flatten().find_map(|text| bad_metadata(text)));
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        match self.hot.patch_campaign(id, patch, self.now()).await? {
            Patched::Done(row) => Ok(CampaignView::of(row, caller)),
            Patched::NotFound => Err(Failure::refused(Refusal::NotFound)),
            Patched::LimitNotRaised { present } => {
                let present = present.map_or("without limit".into(), |limit| limit.to_string());
                let detail = format!("is {present} at present and can only be raised");
                Err(Failure::invalid("per_user_limit", detail))
            }
            Patched::WindowEmpty => Err(Failure::invalid("issue_until", "is not after issue_from")),
        }
    }

    /// One campaign.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign(
        &self,
        caller: &Caller,
        id: &CampaignId,
    ) -> Result<CampaignView, Failure> {
        let row = self.hot.campaign(id, self.now()).await?;
        let row = row.ok_or(Failure::refused(Refusal::NotFound))?;
        Ok(CampaignView::of(row, caller))
    }

    /// Campaigns in the order of their names, behind `after`; at most `limit`.
    ///
    /// # Errors
    /// `Forbidden` for users.
    pub async fn campaigns(
        &self,
        caller: &Caller,
        after: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<CampaignView>, Failure> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let rows = self.hot.campaigns(after, limit.min(PAGE_MAX), self.now()).await?;
        Ok(rows.into_iter().map(|row| CampaignView::of(row, caller)).collect())
    }
}

fn made_id() -> CampaignId {
    // A UUID and a prefix are path-safe and short.
    format!("cmp_{}", uuid::Uuid::now_v7()).parse().expect("a UUID makes a name")
}

fn first_batch_id() -> coupon::ids::BatchId {
    "first".parse().expect("a word makes a name")
}

/// The draft as one text, before any default is taken from the clock: the same request makes the
/// same text in every release.
fn normal_form(draft: &CampaignDraft) -> String {
    let instant = |at: Option<Millis>| at.map(format_instant);
    json!({
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
    })
    .to_string()
}

/// A JSON text with the members of every object in order: two clients may write one object in two
/// ways.
fn sorted(text: &str) -> String {
    fn sort(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.into_iter().collect();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                members.into_iter().map(|(name, value)| (name, sort(value))).collect()
            }
            Value::Array(values) => values.into_iter().map(sort).collect(),
            plain => plain,
        }
    }
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| sort(value).to_string())
}

fn limits(draft: &CampaignDraft) -> Vec<Fault> {
    let days = u64::from(OPEN_DAYS_MAX);
    let limit = draft.per_user_limit.flatten().map(u64::from);
    let faults = [
        draft.name.as_ref().and_then(|name| bad_name(name)),
        range("stock", draft.stock, 0, STOCK_MAX),
        range("valid_days", draft.valid_days.map(u64::from), 1, VALID_DAYS_MAX.into()),
        range("per_user_limit", limit, 1, PER_USER_LIMIT_MAX.into()),
        range("cancel_days", draft.cancel_days.map(u64::from), 0, days),
        range("extend_days", draft.extend_days.map(u64::from), 0, days),
        draft.metadata.as_ref().and_then(|text| bad_metadata(text)),
    ];
    faults.into_iter().flatten().collect()
}

fn dates(draft: &CampaignDraft, valid_from: Millis, expires_at: Millis, now: Millis) -> Vec<Fault> {
    let mut faults = Vec::new();
    if expires_at <= now {
        faults.push(Fault::new("expires_at", "has passed"));
    }
    // Where it was left out it is now, and the expiry is to blame.
    if draft.valid_from.is_some() && valid_from >= expires_at {
        faults.push(Fault::new("valid_from", "is not before the expiry"));
    }
    let days = FIRST_DAY.start()..=LAST_DAY.end();
    if !days.contains(&expires_at) {
        let (first, last) = (format_instant(*days.start()), format_instant(*days.end()));
        faults.push(Fault::new("expires_at", format!("lies outside {first} to {last}")));
    }
    if let (Some(from), Some(until)) = (draft.issue_from, draft.issue_until)
        && from >= until
    {
        faults.push(Fault::new("issue_until", "is not after issue_from"));
    }
    faults
}

pub(crate) fn range(field: &str, found: Option<u64>, min: u64, max: u64) -> Option<Fault> {
    let found = found?;
    let outside = !(min..=max).contains(&found);
    outside.then(|| Fault::new(field, format!("is {found}, want {min} to {max}")))
}

fn bad_name(name: &str) -> Option<Fault> {
    let fits =
        (1..=CAMPAIGN_NAME_LEN_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    let want = format!("want 1 to {CAMPAIGN_NAME_LEN_MAX} bytes without control characters");
    (!fits).then(|| Fault::new("name", want))
}

fn bad_metadata(text: &str) -> Option<Fault> {
    let object = matches!(serde_json::from_str(text), Ok(Value::Object(_)));
    if !object {
        return Some(Fault::new("metadata", "is no JSON object"));
    }
    let found = text.len();
    (found > METADATA_LEN_MAX)
        .then(|| Fault::new("metadata", format!("has {found} bytes, want {METADATA_LEN_MAX}")))
}
