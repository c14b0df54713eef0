//! Campaigns, and the issue of their coupons.

use coupon::ids::CampaignId;
use engine::{CampaignPatch, WriteResult};

use crate::answer::JsonAnswer;
use crate::bodies::{CampaignChanges, IssueRequest, NewCampaign};
use crate::extract::{
    AuthenticatedCaller, CAMPAIGN, CampaignInPath, IdempotencyKey, Json, QueryParams,
    ReadingCaller, WhereFrom, named,
};
use crate::paging::{PageParams, named_page};
use crate::problem::Result;
use crate::tags::{IfMatch, TaggedResponse};
use crate::tried::TriedCall;
use crate::views::{CampaignBody, CouponBody, List};

/// Create a campaign
///
/// If `stock` is given, the server also creates the first batch. This is one small write, for one
/// coupon as for ten billion. If you send the same `campaign_id` with the same body again, at any
/// later time, returns 200 with the same campaign. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/campaigns", tag = "campaigns",
    responses(
        (status = 201, body = CampaignBody, description = "The campaign was created"),
        (status = 200, body = CampaignBody, description = "An earlier request created it"),
    )
)]
pub(crate) async fn create_campaign(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    key: IdempotencyKey,
    Json(mut body): Json<NewCampaign>,
) -> Result<TaggedResponse<JsonAnswer<CampaignBody>>> {
    key.fill("campaign_id", &mut body.campaign_id)?;
    let done = app.engine.create_campaign(&caller, body.into_draft()?).await?;
    let (WriteResult::Created(view) | WriteResult::Same(view)) = &done;
    let tag = view.tag();
    Ok(TaggedResponse(tag, JsonAnswer::created(done.map(|view| CampaignBody::from(&view)))))
}

/// Change a campaign
///
/// Changes its name, metadata, pause, issue window, limit and end. The limit can only grow, and the end only become a
/// later one. The audit keeps the `reason`. After the answer, every server of a cluster uses the new terms.
///
/// Coupons to which nothing has happened follow the new end at once, however many they are. Coupons that were issued,
/// held or imported follow it one after the other in the background, unless they have another expiry than the campaign.
///
/// With `If-Match` and the `ETag` that an earlier answer had, changes it only if nobody has changed it since; otherwise
/// returns 412 PRECONDITION_FAILED. The tag covers what this call can change, and not the counts. Only an admin may
/// call it.
#[utoipa::path(
    patch, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the campaign must have."),
    ),
    responses((status = 200, body = CampaignBody, description = "The campaign after the change"))
)]
pub(crate) async fn change_campaign(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(id): CampaignInPath,
    IfMatch(if_tagged): IfMatch,
    Json(body): Json<CampaignChanges>,
) -> Result<TaggedResponse<JsonAnswer<CampaignBody>>> {
    let (patch, reason) = body.into_patch()?;
    let patch = CampaignPatch { if_tagged, ..patch };
    let view = app.engine.patch_campaign(&caller, &id, patch, reason).await;
    let view = view.map_err(named(CAMPAIGN))?;
    Ok(TaggedResponse(view.tag(), JsonAnswer::ok(CampaignBody::from(&view))))
}

/// List campaigns
///
/// Returns campaigns in the order of their `campaign_id`. A shop, an operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns", tag = "campaigns", params(PageParams),
    responses((status = 200, body = List<CampaignBody>, description = "One page of campaigns"))
)]
pub(crate) async fn list_campaigns(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<CampaignBody>>> {
    const QUERY: &str = "campaigns";
    let (after, limit) = page.read::<CampaignId>(QUERY)?;
    let views = app.engine.campaigns(&caller, after, limit).await?;
    Ok(JsonAnswer::ok(named_page(QUERY, &views, limit, |view| view.campaign.id.as_str())))
}

/// Read a campaign
///
/// For a user, `shared_code`, `code_prefix`, `stock` and the counts are null. Every role may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    responses((status = 200, body = CampaignBody, description = "The campaign"))
)]
pub(crate) async fn read_campaign(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(id): CampaignInPath,
) -> Result<TaggedResponse<JsonAnswer<CampaignBody>>> {
    let view = app.engine.campaign(&caller, &id).await.map_err(named(CAMPAIGN))?;
    Ok(TaggedResponse(view.tag(), JsonAnswer::ok(CampaignBody::from(&view))))
}

/// Issue a coupon of a campaign
///
/// The server chooses a coupon from the stock. If a request with the same `issue_ref` already got a
/// coupon, or if the limit is 1 and the user already has a coupon, returns 200 with that coupon.
/// Returns `SOLD_OUT` only if the server can issue no coupon of the campaign.
///
/// The `issue_ref` `replaces:CODE` replaces the user's coupon CODE. That coupon must be void, or redeemed more than its
/// campaign's `cancel_days` ago, or expired more than its `extend_days` ago. It no longer counts towards the limit, and
/// it can be replaced only once. If it still works, returns 200 with it. Only a shop and an admin may replace a coupon.
///
/// A shop and an admin may call it. If the handout of the campaign is `self`, users may call it for themselves.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/issue", tag = "campaigns",
    responses(
        (status = 201, body = CouponBody, description = "The coupon was issued"),
        (status = 200, body = CouponBody, description = "The user already has this coupon"),
    )
)]
pub(crate) async fn issue(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CampaignInPath(id): CampaignInPath,
    key: IdempotencyKey,
    Json(body): Json<IssueRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let (user, reference) = body.read(&key)?;
    let issue = app.engine.issue(&caller, &id, user.clone(), reference);
    let done = app.guesses.one_of_few(&caller, user.as_ref(), issue).await;
    if let Err(problem) = &done {
        let trial = TriedCall { action: "issue", code: None, user: user.as_ref(), order: None };
        app.refused(Some(&caller), peer, &trial, problem.code(), Some(id.as_str()));
    }
    let done = done.map_err(named("campaign, or no such coupon to replace"))?;
    Ok(JsonAnswer::created(done.map(|view| CouponBody::from(&view))))
}
