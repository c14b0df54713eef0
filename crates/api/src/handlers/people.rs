//! People: what is known of them, and how they are forgotten.

use std::sync::Arc;

use attempts::{AttemptLog, Wanted};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use coupon::ids::UserId;
use engine::{Caller, Engine, Failure, LineStream, PAGE_MAX, PersonFormat};
use futures::future::ready;
use futures::stream::{Stream, StreamExt, TryStreamExt, once, try_unfold};
use tokio::task::spawn_blocking;

use crate::answer::{JsonAnswer, streamed};
use crate::bodies::EraseRequest;
use crate::extract::{
    AuthenticatedCaller, ErasureInPath, IdempotencyKey, Json, QueryParams, ReadingCaller,
    StreamSession, UserInPath, accepts, named,
};
use crate::paging::{PageParams, next_cursor};
use crate::problem::Result;
use crate::views::{AttemptsBody, ErasureBody, List, PersonBody, PersonRecordBody, PersonWriter};

const QUERY: &str = "erasures";

/// Read what is known of a person
///
/// Everything that names the `user_id`, in the hot store and in the cold tier: coupons that the person has or had, with what
/// happened to them meanwhile, the account, lines of imports, deliveries of webhooks, entries of the audit and, of
/// this server, refused attempts. With `Accept: text/csv` the answer is a file for a spreadsheet: UTF-8 with a
/// byte-order mark, and a line for each event of a coupon.
///
/// It looks at every row of the hot store, so it takes seconds, and minutes on a store of 100 million rows. The audit
/// has who asked. Of other people who have or had the same coupon it says nothing. Left out are the feed of events, which
/// repeats the histories, and coupons of the cold tier that the person gave back in a campaign without a limit. Only an
/// admin may call it.
#[utoipa::path(
    get, path = "/v1/people/{user_id}", tag = "people",
    responses((status = 200, description = "The person, also if nothing names them", content(
        (PersonBody = "application/json"),
        (String = "text/csv"),
    )))
)]
pub(crate) async fn read_person(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    UserInPath(user): UserInPath,
    headers: HeaderMap,
) -> Result<Response> {
    let is_csv = accepts(&headers, "text/csv");
    let format = if is_csv { PersonFormat::Csv } else { PersonFormat::Json };
    let attempts = app.access.attempts.clone();
    let text = person_text(Arc::clone(&app.engine), attempts, &caller, &user, format).await?;
    let session = StreamSession::of(&app, caller, &headers);
    Ok(streamed(format.media_type(), session.guards(text)))
}

/// What is known of a person, some text at a time: for the call above, and for the console.
///
/// # Errors
/// `Forbidden` for all but admins, and those of the store.
pub async fn person_text(
    engine: Arc<Engine>,
    attempts: Option<Arc<AttemptLog>>,
    caller: &Caller,
    user: &UserId,
    format: PersonFormat,
) -> Result<LineStream, Failure> {
    let now = engine.now();
    let mut known = engine.person(caller, user).await?;
    // What goes wrong at once is an answer of its own, not a document that breaks off.
    let first = known.next().await.transpose()?.unwrap_or_default();
    let known = once(async { Ok(first) }).chain(known);
    let mut writer = PersonWriter::of(format);
    let (begin, end) = (writer.begin(user, now), writer.end());
    let known = known.map_ok(|some| some.into_iter().map(PersonRecordBody::from).collect());
    let records = known.chain(attempts_of(attempts, user));
    let pieces = records.map_ok(move |some: Vec<_>| writer.piece(&some));
    let pieces = pieces.try_filter(|piece| ready(!piece.is_empty()));
    let end = once(async move { Ok(end.to_owned()) });
    Ok(once(async { Ok(begin) }).chain(pieces).chain(end).boxed())
}

/// The refused attempts for a user, a page at a time.
fn attempts_of(
    log: Option<Arc<AttemptLog>>,
    user: &UserId,
) -> impl Stream<Item = Result<Vec<PersonRecordBody>, Failure>> + use<> {
    let user = user.to_string();
    try_unfold(log.map(|log| (log, None)), move |next| {
        let user = Some(user.clone());
        async move {
            let Some((log, before)) = next else { return Ok(None) };
            let wanted = Wanted { user, before, ..Wanted::default() };
            let from = Arc::clone(&log);
            let found = spawn_blocking(move || from.find(&wanted, PAGE_MAX)).await;
            let broken = |why: String| Failure::BrokenOff(format!("refused attempts: {why}"));
            let found = found.map_err(|why| broken(why.to_string()))?;
            let found = found.map_err(|why| broken(why.to_string()))?;
            let next = found.attempts.last().map(|it| (log, Some(it.number)));
            Ok(Some((AttemptsBody::of(found, None, true).of_person(), next)))
        }
    })
}

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
    let erasure = app.engine.erase_person(&caller, &user, body.read()?).await?;
    let body = ErasureBody::from(&erasure);
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
