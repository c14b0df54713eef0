//! Webhooks: endpoints of others to which the service posts events.

use std::sync::Arc;

use axum::http::StatusCode;
use engine::{AuditKind, Role, WriteResult, given};
use serde::Deserialize;
use utoipa::IntoParams;
use webhooks::{
    DeliveryFilter, DeliveryState, Endpoint, EndpointState, NewEndpoint, WebhookError, Webhooks,
};

use crate::answer::JsonAnswer;
use crate::app::App;
use crate::bodies::{FieldReader, NewWebhook, NoFields, SecretRotation, WebhookChanges};
use crate::closed;
use crate::extract::{
    AuthenticatedCaller, DeliveryInPath, IdempotencyKey, Json, QueryParams, ReadingCaller,
    WebhookInPath,
};
use crate::paging::{PageParams, behind, limit, next_cursor};
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::views::{DeliveryBody, List, SecretBody, WebhookBody, WebhookTestBody};

const QUERY: &str = "webhooks";

/// Create a webhook
///
/// The server posts each event of `GET /v1/events` to the URL, signed as in Standard Webhooks 1.0, until the receiver
/// answers with a 2xx, for three days. The first event is the first one after the call. `secret` is only in the answer
/// of this call. If a webhook of this name was created with the same values, returns it with 200, and its secret too.
/// Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks",
    responses(
        (status = 201, body = WebhookBody, description = "The webhook and its secret"),
        (status = 200, body = WebhookBody, description = "It was created before"),
    )
)]
pub(crate) async fn create_webhook(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    key: IdempotencyKey,
    Json(mut body): Json<NewWebhook>,
) -> Result<JsonAnswer<WebhookBody>> {
    key.fill("webhook_id", &mut body.webhook_id)?;
    caller.must_be(&[Role::Admin])?;
    let webhooks = kept(&app)?;
    let cursor = app.engine.newest_event(&caller).await?;
    let cursor = cursor.ok_or_else(|| Problem::not_kept("it keeps no events: events_keep is 0"))?;
    let new = NewEndpoint { cursor: Some(cursor), ..body.into_new()? };
    let (endpoint, secret, is_made) = webhooks.create(new).await.map_err(refused)?;
    let mut body = WebhookBody::of(&endpoint, caller.role);
    body.secret = Some(secret.reveal().to_owned());
    if !is_made {
        return Ok(JsonAnswer::created(WriteResult::Same(body)));
    }
    app.engine.record_done(&caller, endpoint.created_event()).await;
    Ok(JsonAnswer::created(WriteResult::Created(body)))
}

/// List webhooks
///
/// An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", params(PageParams),
    responses((status = 200, body = List<WebhookBody>, description = "One page of webhooks"))
)]
pub(crate) async fn list_webhooks(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    QueryParams(page): QueryParams<PageParams>,
) -> Result<JsonAnswer<List<WebhookBody>>> {
    caller.must_be(&[Role::Operator, Role::Admin])?;
    let (after, limit) = page.read::<String>(QUERY)?;
    let found = kept(&app)?.list(after, limit).await.map_err(refused)?;
    let next_cursor = next_cursor(QUERY, &found, limit, |it| it.webhook_id.clone());
    let data = found.iter().map(|it| WebhookBody::of(it, caller.role)).collect();
    Ok(JsonAnswer::ok(List { data, next_cursor }))
}

/// Read a webhook
///
/// An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks",
    responses((status = 200, body = WebhookBody, description = "The webhook"))
)]
pub(crate) async fn read_webhook(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
) -> Result<JsonAnswer<WebhookBody>> {
    caller.must_be(&[Role::Operator, Role::Admin])?;
    let endpoint = kept(&app)?.get(&id).await.map_err(refused)?;
    Ok(JsonAnswer::ok(WebhookBody::of(&endpoint, caller.role)))
}

/// Change a webhook
///
/// Changes what the body names. `types` and `campaign_id` apply to events from now on. With another `url`, or if
/// `paused` ends, what waits is sent at once; `"paused": false` also starts a webhook again that the receiver has
/// disabled with 410. Only an admin may call it.
#[utoipa::path(
    patch, path = "/v1/webhooks/{webhook_id}", tag = "webhooks",
    responses((status = 200, body = WebhookBody, description = "The webhook after the change"))
)]
pub(crate) async fn change_webhook(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
    Json(body): Json<WebhookChanges>,
) -> Result<JsonAnswer<WebhookBody>> {
    caller.must_be(&[Role::Admin])?;
    let webhooks = kept(&app)?;
    let before = webhooks.get(&id).await.map_err(refused)?;
    let (changes, paused) = body.into_changes()?;
    let mut after = webhooks.update(&id, changes).await.map_err(refused)?;
    let is_active = after.state == EndpointState::Active;
    after = match paused {
        Some(true) if is_active => webhooks.pause(&id).await.map_err(refused)?,
        Some(false) if !is_active => webhooks.resume(&id).await.map_err(refused)?,
        Some(_) | None => after,
    };
    if let Some(event) = after.changed_event(&before) {
        app.engine.record_done(&caller, event).await;
    }
    Ok(JsonAnswer::ok(WebhookBody::of(&after, caller.role)))
}

/// Delete a webhook
///
/// Its secrets and its log of deliveries are deleted too. Only an admin may call it.
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks",
    responses((status = 204, description = "It is deleted"))
)]
pub(crate) async fn delete_webhook(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
) -> Result<StatusCode> {
    caller.must_be(&[Role::Admin])?;
    kept(&app)?.delete(&id).await.map_err(refused)?;
    app.engine
        .record_done(&caller, Endpoint::event(AuditKind::WebhookDeleted, &id, Vec::new()))
        .await;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the secret of a webhook
///
/// Makes a new secret, which signs from now on. The secrets before it go on signing for `overlap_seconds`, so that
/// the receiver can change from one to the other. A repeat with the same `rotate_ref` returns the same secret. Only
/// an admin may call it.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/rotate-secret", tag = "webhooks",
    responses((status = 200, body = SecretBody, description = "The new secret"))
)]
pub(crate) async fn rotate_secret(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
    key: IdempotencyKey,
    Json(mut body): Json<SecretRotation>,
) -> Result<JsonAnswer<SecretBody>> {
    key.fill("rotate_ref", &mut body.rotate_ref)?;
    caller.must_be(&[Role::Admin])?;
    let (secret, is_made) = kept(&app)?.rotate_secret(&id, body.read()?).await.map_err(refused)?;
    if is_made {
        app.engine
            .record_done(&caller, Endpoint::event(AuditKind::WebhookSecretRotated, &id, Vec::new()))
            .await;
    }
    Ok(JsonAnswer::ok(SecretBody { secret: secret.reveal().to_owned() }))
}

/// Send a test event
///
/// Posts one event of type `webhook.test` now, also if the webhook is paused or disabled, and waits for the
/// receiver, at most 15 seconds. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/test", tag = "webhooks",
    responses((status = 200, body = WebhookTestBody, description = "What the receiver answered"))
)]
pub(crate) async fn test_webhook(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
    Json(NoFields {}): Json<NoFields>,
) -> Result<JsonAnswer<WebhookTestBody>> {
    caller.must_be(&[Role::Admin])?;
    let tested = kept(&app)?.test(&id).await.map_err(refused)?;
    let changes = vec![given("delivered", tested.is_delivered)];
    app.engine.record_done(&caller, Endpoint::event(AuditKind::WebhookTested, &id, changes)).await;
    Ok(JsonAnswer::ok(WebhookTestBody::from(tested)))
}

/// Which deliveries to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryParams {
    /// Only deliveries in this state.
    #[param(value_type = Option<closed::DeliveryState>)]
    state: Option<String>,
    /// The most deliveries of a page: 1 to 1,000. If it is left out, it is 50.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List deliveries
///
/// What was posted to a webhook, newest first, with the result of the last attempt. Deliveries that have ended are
/// kept for 30 days, and at most a million of them. An operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}/deliveries", tag = "webhooks", params(DeliveryParams),
    responses((status = 200, body = List<DeliveryBody>, description = "One page of deliveries"))
)]
pub(crate) async fn list_deliveries(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    WebhookInPath(id): WebhookInPath,
    QueryParams(params): QueryParams<DeliveryParams>,
) -> Result<JsonAnswer<List<DeliveryBody>>> {
    caller.must_be(&[Role::Operator, Role::Admin])?;
    let query = format!("deliveries of {id} {}", params.state.as_deref().unwrap_or("all"));
    let mut reading = FieldReader::default();
    let states = DeliveryState::ALL.map(|state| (state.as_str(), state));
    let state = reading.one_of("state", params.state.as_deref(), &states);
    let limit = limit(&mut reading, params.limit.as_deref());
    let before = behind(&mut reading, &query, params.cursor.as_deref())?;
    let filter = reading.done(Some(DeliveryFilter { state, before }))?;
    let found = kept(&app)?.deliveries(&id, filter, limit).await.map_err(refused)?;
    let next_cursor = next_cursor(&query, &found, limit, |it| it.number.to_string());
    Ok(JsonAnswer::ok(List { data: found.iter().map(DeliveryBody::from).collect(), next_cursor }))
}

/// Deliver again
///
/// Posts the same event with the same `webhook-id` and body again, and begins its attempts anew. Only an admin may
/// call it.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", tag = "webhooks",
    params(
        ("delivery_id" = i64, Path, description = "The number of the delivery.", example = 1042,
            minimum = 1, maximum = 9_007_199_254_740_991_i64),
    ),
    responses((status = 200, body = DeliveryBody, description = "The delivery, which waits now"))
)]
pub(crate) async fn redeliver(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WebhookInPath(id): WebhookInPath,
    DeliveryInPath(number): DeliveryInPath,
    Json(NoFields {}): Json<NoFields>,
) -> Result<JsonAnswer<DeliveryBody>> {
    caller.must_be(&[Role::Admin])?;
    let delivery = kept(&app)?.redeliver(&id, number).await.map_err(refused)?;
    let changes = vec![given("delivery_id", number)];
    app.engine
        .record_done(&caller, Endpoint::event(AuditKind::WebhookRedelivered, &id, changes))
        .await;
    Ok(JsonAnswer::ok(DeliveryBody::from(&delivery)))
}

fn kept(app: &App) -> Result<&Arc<Webhooks>> {
    let why = "it has no webhooks: events_keep is 0, or post_webhooks is false on this machine";
    app.access.webhooks.as_ref().ok_or_else(|| Problem::not_kept(why))
}

fn refused(error: WebhookError) -> Problem {
    let text = error.to_string();
    match error {
        WebhookError::NotFound | WebhookError::NoDelivery => {
            Problem::new(ApiErrorCode::NotFound, text)
        }
        WebhookError::NameTaken => Problem::new(ApiErrorCode::NameTaken, text),
        WebhookError::Invalid { field, why } => {
            let field = match field {
                "overlap" => "overlap_seconds",
                "campaign" => "campaign_id",
                field => field,
            };
            Problem::of_field(field, why)
        }
        WebhookError::TooMany => Problem::of_field("webhook_id", text),
        WebhookError::TooManySecrets => Problem::too_many(&text, 60_000),
        WebhookError::Busy => Problem::too_many(&text, 1_000),
        WebhookError::NoRandom => Problem::new(ApiErrorCode::Internal, text),
        WebhookError::Unknown(error) => {
            let detail = "the store did not say whether it happened";
            Problem::caused(ApiErrorCode::OutcomeUnknown, detail, &*error)
        }
        WebhookError::Store(error) => {
            Problem::caused(ApiErrorCode::StoreUnavailable, "the store did not answer", &error)
        }
    }
}
