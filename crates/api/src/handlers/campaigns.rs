//! Campaigns.

use std::sync::Arc;

use axum::extract::State;
use coupon::ids::CampaignId;

use super::{Answer, Made};
use crate::app::App;
use crate::bodies::{CampaignChanges, IssueBody, NewCampaign};
use crate::extract::{CAMPAIGN, CampaignInPath, Json, Params, Who, named, renamed};
use crate::handlers::lists::{Page, named_page};
use crate::problem::Problem;
use crate::views::{CampaignBody, CouponBody, List};

/// Make a campaign
///
/// And its first batch, if it has stock: one small write for one coupon or for ten billion.
/// Repeated with the same `campaign_id` and body it answers 200, for ever. For an admin.
#[utoipa::path(
    post, path = "/v1/campaigns", tag = "campaigns", request_body = NewCampaign,
    responses(
        (status = 201, body = CampaignBody, description = "Made"),
        (status = 200, body = CampaignBody, description = "Made before by the same request"),
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
/// Its name, metadata, pause, issue window, and limit (upwards). When this is answered, every
/// node obeys. For an admin.
#[utoipa::path(
    patch, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(("campaign_id" = String, Path)), request_body = CampaignChanges,
    responses((status = 200, body = CampaignBody, description = "As it is now"))
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
/// In the order of their ids. For shop, operator and admin.
#[utoipa::path(
    get, path = "/v1/campaigns", tag = "campaigns", params(Page),
    responses((status = 200, body = List<CampaignBody>, description = "One page"))
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
/// Users see it without shared_code, code_prefix, stock and counts. For everybody signed in.
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
/// The answer is final: 201 with the coupon, 200 with the one that this request or, with a limit
/// of 1, any other got before. `SOLD_OUT` is said only when none is left. With the `issue_ref`
/// `replaces:CODE` a user's coupon that is void, redeemed or expired is replaced, once, beside the
/// limit; one that still works is answered as it is. For shop and admin, and
/// for users in campaigns with handout self.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/issue", tag = "campaigns",
    params(("campaign_id" = String, Path)), request_body = IssueBody,
    responses(
        (status = 201, body = CouponBody, description = "Issued"),
        (status = 200, body = CouponBody, description = "Issued before"),
    )
)]
pub(crate) async fn issue(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(id): CampaignInPath,
    Json(body): Json<IssueBody>,
) -> Result<Made<CouponBody>, Problem> {
    let (user, reference) = body.read()?;
    let issue = app.engine.issue(&caller, &id, user.clone(), reference);
    let done = app.one_of_few(&caller, user.as_ref(), issue).await;
    let done = done.map_err(renamed("campaign, or no such coupon to replace"))?;
    Ok(Made(done.map(|view| CouponBody::from(&view))))
}
