//! Campaigns, and the issue of their coupons.

use std::sync::Arc;

use axum::extract::State;
use coupon::ids::CampaignId;

use crate::answer::{Answer, Made};
use crate::app::App;
use crate::bodies::{CampaignChanges, IssueRequest, NewCampaign};
use crate::extract::{CAMPAIGN, CampaignInPath, Json, Params, Who, named, renamed};
use crate::paging::{Page, named_page};
use crate::problem::Problem;
use crate::views::{CampaignBody, CouponBody, List};

/// Make a campaign
///
/// If it has stock, its first batch is made with it: one small write for one coupon or for ten
/// billion. If the same `campaign_id` and body are sent again, at any later time, answers 200 with
/// the same campaign. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/campaigns", tag = "campaigns",
    responses(
        (status = 201, body = CampaignBody, description = "The campaign was made"),
        (status = 200, body = CampaignBody, description = "The same request made it before"),
    )
)]
pub(crate) async fn create_campaign(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Json(body): Json<NewCampaign>,
) -> Result<Made<CampaignBody>, Problem> {
    let done = app.engine.create_campaign(&caller, body.into_draft()?).await?;
    Ok(Made(done.map(|view| CampaignBody::from(&view))))
}

/// Change a campaign
///
/// Changes its name, metadata, pause, issue window and limit. The limit can only grow. When this is
/// answered, every server of a cluster follows the change. Only an admin may call it.
#[utoipa::path(
    patch, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(("campaign_id" = String, Path)),
    responses((status = 200, body = CampaignBody, description = "The campaign as it is now"))
)]
pub(crate) async fn change_campaign(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(id): CampaignInPath,
    Json(body): Json<CampaignChanges>,
) -> Result<Answer<CampaignBody>, Problem> {
    let view = app.engine.patch_campaign(&caller, &id, body.into_patch()?).await;
    let view = view.map_err(named(CAMPAIGN))?;
    Ok(Answer(CampaignBody::from(&view)))
}

/// List campaigns
///
/// They come in the order of their `campaign_id`. A shop, an operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns", tag = "campaigns", params(Page),
    responses((status = 200, body = List<CampaignBody>, description = "One page of campaigns"))
)]
pub(crate) async fn list_campaigns(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    Params(page): Params<Page>,
) -> Result<Answer<List<CampaignBody>>, Problem> {
    const QUERY: &str = "campaigns";
    let (after, limit) = page.read::<CampaignId>(QUERY)?;
    let views = app.engine.campaigns(&caller, after, limit).await?;
    Ok(Answer(named_page(QUERY, &views, limit, |view| view.campaign.id.as_str())))
}

/// Read a campaign
///
/// A user sees it without `shared_code`, `code_prefix`, `stock` and counts. Every role may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(("campaign_id" = String, Path)),
    responses((status = 200, body = CampaignBody, description = "The campaign"))
)]
pub(crate) async fn read_campaign(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(id): CampaignInPath,
) -> Result<Answer<CampaignBody>, Problem> {
    let view = app.engine.campaign(&caller, &id).await.map_err(named(CAMPAIGN))?;
    Ok(Answer(CampaignBody::from(&view)))
}

/// Issue a coupon of a campaign
///
/// The answer is final. If this request got a coupon before, or if the limit is 1 and the user has
/// a coupon, answers 200 with that coupon. Answers `SOLD_OUT` only if no coupon is left.
///
/// With the `issue_ref` `replaces:CODE`, replaces a coupon of the user that is void, redeemed or
/// expired: once, and beside the limit. If that coupon still works, answers it as it is.
///
/// A shop and an admin may call it. If the handout of the campaign is `self`, users may call it for
/// themselves.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/issue", tag = "campaigns",
    params(("campaign_id" = String, Path)),
    responses(
        (status = 201, body = CouponBody, description = "The coupon was issued"),
        (status = 200, body = CouponBody, description = "The coupon was issued before"),
    )
)]
pub(crate) async fn issue(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(id): CampaignInPath,
    Json(body): Json<IssueRequest>,
) -> Result<Made<CouponBody>, Problem> {
    let (user, reference) = body.read()?;
    let issue = app.engine.issue(&caller, &id, user.clone(), reference);
    let done = app.one_of_few(&caller, user.as_ref(), issue).await;
    let done = done.map_err(renamed("campaign, or no such coupon to replace"))?;
    Ok(Made(done.map(|view| CouponBody::from(&view))))
}
