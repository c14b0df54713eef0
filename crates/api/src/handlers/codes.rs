//! The codes of a campaign, as a download.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use coupon::code::CodeText;
use engine::{CodesFormat, CodesRequest};
use futures::stream::{StreamExt, once};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::csv;
use crate::bodies::FieldReader;
use crate::extract::{
    AuthenticatedCaller, BATCH, CampaignInPath, QueryParams, StreamSession, named,
};
use crate::problem::Result;

/// Which codes to download.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CodesParams {
    /// Only the codes of this batch.
    batch_id: Option<String>,
    /// Only the codes that come after this one in the list. Use it to continue a download that was interrupted.
    after: Option<String>,
}

/// Download the codes of a campaign
///
/// Returns one line for each minted code to which nothing has happened yet. The codes have hyphens,
/// as people read them. The audit shows who downloaded them. Only an admin may call it.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/codes", tag = "batches", params(CodesParams),
    responses((status = 200, body = String, content_type = "text/csv",
        description = "The header `code`, then the codes", example = "code\n7K2M-9QXD-4TRB-H0VE\n"))
)]
pub(crate) async fn list_codes(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(campaign): CampaignInPath,
    headers: HeaderMap,
    QueryParams(params): QueryParams<CodesParams>,
) -> Result<Response> {
    let mut reading = FieldReader::default();
    let ask = CodesRequest {
        batch: reading.may("batch_id", params.batch_id.as_deref()),
        after: reading.may::<CodeText>("after", params.after.as_deref()),
        format: CodesFormat::Csv,
    };
    let ask = reading.done(Some(ask))?;
    let codes = Arc::clone(&app.engine).codes(&caller, &campaign, ask).await;
    let mut codes = app.engine.limited(codes.map_err(named(BATCH))?.boxed());
    // What goes wrong at once is an answer of its own, not a list that breaks off.
    let first = codes.next().await.transpose()?.unwrap_or_default();
    let begin = once(async move { Ok(format!("code\n{first}")) });
    let session = StreamSession::of(&app, caller, &headers);
    Ok(csv(session.guards(begin.chain(codes).boxed())))
}
