//! The batches of a campaign: list, read, pause.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use coupon::ids::BatchId;
use futures::stream::StreamExt;

use crate::answer::{JsonAnswer, csv};
use crate::bodies::BatchChanges;
use crate::extract::{
    AuthenticatedCaller, BATCH, BatchInPath, CAMPAIGN, CampaignInPath, Json, QueryParams,
    ReadingCaller, StreamSession, accepts, named,
};
use crate::paging::{PageParams, named_page};
use crate::problem::Result;
use crate::views::{BatchBody, List};

/// List the batches of a campaign
///
/// Returns batches in the order in which they were created. An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/batches", tag = "batches", params(PageParams),
    responses((status = 200, body = List<BatchBody>, description = "One page of batches"))
)]
pub(crate) async fn list_batches(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    CampaignInPath(campaign): CampaignInPath,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<BatchBody>>> {
    let query = format!("batches of {campaign}");
    let (after, limit) = page.read::<BatchId>(&query)?;
    let batches = app.engine.batches(&caller, &campaign, after, limit).await;
    let batches = batches.map_err(named(CAMPAIGN))?;
    Ok(JsonAnswer::ok(named_page(&query, &batches, limit, |batch| batch.id.as_str())))
}

/// Read a batch
///
/// With `Accept: text/csv`, returns the rejected lines of its last import. The server keeps them
/// for 30 days. An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/batches/{batch_id}", tag = "batches",
    responses((status = 200, description = "The batch, or its rejected lines", content(
        (BatchBody = "application/json"),
        (String = "text/csv", example = "line,text,reason,detail\n"),
    )))
)]
pub(crate) async fn read_batch(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(campaign): CampaignInPath,
    BatchInPath(id): BatchInPath,
    headers: HeaderMap,
) -> Result<Response> {
    let batch = app.engine.batch(&caller, &campaign, &id).await.map_err(named(BATCH))?;
    if !accepts(&headers, "text/csv") {
        return Ok(JsonAnswer::ok(BatchBody::from(&batch)).into_response());
    }
    let session = StreamSession::of(&app, caller.clone(), &headers);
    let rows = Arc::clone(&app.engine).rejected_rows(caller, campaign, batch.id);
    Ok(csv(session.guards(rows.boxed())))
}

/// Pause or resume a batch
///
/// While a batch is paused, its coupons cannot be issued, held or redeemed. Only an admin may call it.
#[utoipa::path(
    patch, path = "/v1/campaigns/{campaign_id}/batches/{batch_id}", tag = "batches",
    responses((status = 200, body = BatchBody, description = "The batch after the change"))
)]
pub(crate) async fn change_batch(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(campaign): CampaignInPath,
    BatchInPath(id): BatchInPath,
    Json(body): Json<BatchChanges>,
) -> Result<JsonAnswer<BatchBody>> {
    let reason = body.reason()?;
    let batch = app.engine.pause_batch(&caller, &campaign, &id, body.paused, reason).await;
    let batch = batch.map_err(named(BATCH))?;
    Ok(JsonAnswer::ok(BatchBody::from(&batch)))
}
