//! People who are forgotten.

use axum::http::StatusCode;

use crate::answer::JsonAnswer;
use crate::bodies::EraseRequest;
use crate::extract::{
    AuthenticatedCaller, ErasureInPath, IdempotencyKey, Json, QueryParams, ReadingCaller,
    UserInPath, named,
};
use crate::paging::{PageParams, next_cursor};
use crate::problem::{Problem, Result};
use crate::views::{ErasureBody, List};

const QUERY: &str = "erasures";

/// Forget a person
///
/// Everything that has the `user_id` gets a random name instead, `erased:` and 16 digits, and one for all of it. From the
/// answer on, no call by the old name finds anything. The files of the cold tier are written again by the next compaction,
/// and `GET /v1/erasures/{erasure_id}` says how far that is. What has not come so far is shown with the new name. As soon as
/// `settled_at` is there, the same `user_id` is a new person; until then a call that gives it a coupon gets
/// STORE_UNAVAILABLE. If the person is being forgotten already, returns that erasure. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/people/{user_id}/erase", tag = "people",
    responses((status = 202, body = ErasureBody, description = "The erasure, which goes on"))
)]
pub(crate) async fn erase_person(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    UserInPath(user): UserInPath,
    key: IdempotencyKey,
    Json(mut body): Json<EraseRequest>,
) -> Result<JsonAnswer<ErasureBody>> {
    key.fill("erasure_id", &mut body.erasure_id)?;
    let reason = body.read()?;
    let erasure = app.engine.erase_person(&caller, &user, body.erasure_id, &reason).await?;
    let not_kept = || Problem::not_kept("a cluster cannot forget people yet");
    let body = ErasureBody::from(&erasure.ok_or_else(not_kept)?);
    Ok(JsonAnswer { status: StatusCode::ACCEPTED, ..JsonAnswer::ok(body) })
}

/// List erasures
///
/// Newest first. An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/erasures", tag = "people", params(PageParams),
    responses((status = 200, body = List<ErasureBody>, description = "One page of erasures"))
)]
pub(crate) async fn list_erasures(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<ErasureBody>>> {
    let (before, limit) = page.read::<u64>(QUERY)?;
    let found = app.engine.erasures(&caller, before, limit).await?;
    let next_cursor = next_cursor(QUERY, &found, limit, |it| it.number.to_string());
    Ok(JsonAnswer::ok(List { data: found.iter().map(ErasureBody::from).collect(), next_cursor }))
}

/// Read an erasure
///
/// An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/erasures/{erasure_id}", tag = "people",
    responses((status = 200, body = ErasureBody, description = "The erasure"))
)]
pub(crate) async fn read_erasure(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    ErasureInPath(id): ErasureInPath,
) -> Result<JsonAnswer<ErasureBody>> {
    let found = app.engine.erasure(&caller, &id).await.map_err(named("erasure"))?;
    Ok(JsonAnswer::ok(ErasureBody::from(&found)))
}
