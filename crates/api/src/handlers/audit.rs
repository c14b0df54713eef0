//! Who changed campaigns, batches and the store, and when.

use coupon::ids::CampaignId;
use engine::Caller;

use crate::answer::JsonAnswer;
use crate::app::App;
use crate::extract::{CAMPAIGN, CampaignInPath, QueryParams, ReadingCaller, named};
use crate::paging::{PageParams, named_page};
use crate::problem::{Problem, Result};
use crate::views::{AuditBody, List};

/// List who changed what
///
/// Every change of a campaign, of a batch and of the store itself, newest first: who made it, when, why,
/// and what is different now. Entries are never deleted. Changes of coupons are in their own events.
/// An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", params(PageParams),
    responses((status = 200, body = List<AuditBody>, description = "One page of entries"))
)]
pub(crate) async fn list_audit(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<AuditBody>>> {
    entries(&app, &caller, None, &page).await
}

/// List who changed a campaign
///
/// Every change of the campaign and of its batches, as in `GET /v1/audit`. An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/audit", tag = "audit", params(PageParams),
    responses((status = 200, body = List<AuditBody>, description = "One page of entries"))
)]
pub(crate) async fn list_campaign_audit(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    CampaignInPath(campaign): CampaignInPath,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<AuditBody>>> {
    entries(&app, &caller, Some(&campaign), &page).await
}

async fn entries(
    app: &App,
    caller: &Caller,
    campaign: Option<&CampaignId>,
    page: &PageParams,
) -> Result<JsonAnswer<List<AuditBody>>> {
    let query = format!("audit of {}", campaign.map_or("all", CampaignId::as_str));
    let (after, limit) = page.read::<String>(&query)?;
    let found = app.engine.audit(caller, campaign, after, limit).await.map_err(named(CAMPAIGN))?;
    let not_kept = || Problem::not_kept("it keeps no audit");
    let found = found.ok_or_else(not_kept)?;
    Ok(JsonAnswer::ok(named_page(&query, &found, limit, |entry| entry.place.as_str())))
}
