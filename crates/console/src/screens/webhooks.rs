//! One webhook: its deliveries, and delivering again.

use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use coupon::time::Millis;
use engine::{AuditEvent, AuditKind, FieldChange, given};
use serde_json::json;
use webhooks::{Delivery, DeliveryFilter, DeliveryState, Webhooks};

use crate::desk::{Desk, to};
use crate::fields::{Fields, encoded};
use crate::roles::Action;
use crate::screens::events::{Row, row};
use crate::text::{Said, Texts};
use crate::trouble::Trouble;

const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage<'a> {
    d: &'a Desk,
    t: Texts,
    webhook: Row,
    is_active: bool,
    deliveries: Vec<Delivered>,
    next: Option<String>,
    curl: String,
}

struct Delivered {
    number: i64,
    event: String,
    code: Option<String>,
    state: &'static str,
    label: &'static str,
    attempts: u64,
    answer: String,
    when: String,
    can_repeat: bool,
}

fn kept(desk: &Desk) -> Result<&Arc<Webhooks>, Trouble> {
    desk.console.webhooks.as_ref().ok_or(Trouble::NotKept)
}

/// `GET /console/webhooks/{id}`
pub(crate) async fn page(desk: Desk, Path(id): Path<String>) -> Result<Response, Trouble> {
    let t = desk.t;
    let webhooks = kept(&desk)?;
    let endpoint = webhooks.get(&id).await?;
    let filter = DeliveryFilter { state: None, before: desk.query.may("cursor")? };
    let found = webhooks.deliveries(&id, filter, PAGE).await?;
    let last = found.last().filter(|_| found.len() == PAGE);
    let webhook = row(&desk, &endpoint);
    let page = WebhookPage {
        d: &desk,
        t,
        is_active: matches!(endpoint.state, webhooks::EndpointState::Active),
        next: last.map(|last| desk.with("cursor", &last.number.to_string())),
        deliveries: found.iter().map(|it| delivered(&desk, it)).collect(),
        curl: desk.curl("GET", &format!("/v1/webhooks/{}/deliveries", encoded(&id)), &json!(null)),
        webhook,
    };
    desk.page(&page)
}

fn delivered(desk: &Desk, delivery: &Delivery) -> Delivered {
    let t = desk.t;
    let (state, label) = match delivery.state {
        DeliveryState::Pending => ("planned", t.delivery_pending()),
        DeliveryState::Delivered => ("running", t.delivery_delivered()),
        DeliveryState::Failed => ("paused", t.delivery_failed()),
        DeliveryState::Gap => ("ended", t.delivery_gap()),
    };
    let answer = match (delivery.status, &delivery.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => String::new(),
    };
    Delivered {
        number: delivery.number,
        event: delivery.event_type.clone().unwrap_or_default(),
        code: delivery.code.clone(),
        state,
        label,
        attempts: delivery.attempts,
        answer,
        when: desk.at(&Millis(delivery.tried_at.unwrap_or(delivery.created_at))),
        can_repeat: delivery.state != DeliveryState::Gap,
    }
}

async fn enter(desk: &Desk, kind: AuditKind, id: &str, change: FieldChange) -> Result<(), Trouble> {
    let caller = desk.caller(Action::ManageWebhooks)?;
    let event = AuditEvent::of_store(kind, vec![given("webhook_id", id), change]);
    Ok(desk.engine().record(&caller, event).await?)
}

fn done(id: &str, done: &str) -> Response {
    to(&format!("/console/webhooks/{}?done={done}", encoded(id)))
}

/// `POST /console/webhooks/{id}/state`: to the state that the form names.
pub(crate) async fn set_state(
    desk: Desk,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Trouble> {
    let paused: bool = fields.must("paused")?;
    match paused {
        true => kept(&desk)?.pause(&id).await?,
        false => kept(&desk)?.resume(&id).await?,
    };
    enter(&desk, AuditKind::WebhookUpdated, &id, given("paused", paused)).await?;
    Ok(done(&id, if paused { "paused" } else { "resumed" }))
}

/// `POST /console/webhooks/{id}/test`
pub(crate) async fn test(desk: Desk, Path(id): Path<String>) -> Result<Response, Trouble> {
    let tested = kept(&desk)?.test(&id).await?;
    let change = given("delivered", tested.is_delivered);
    enter(&desk, AuditKind::WebhookTested, &id, change).await?;
    match tested.is_delivered {
        true => Ok(done(&id, "tested")),
        false => {
            let why = tested.error.or(tested.status.map(|status| status.to_string()));
            Err(Trouble::field("url", desk.t.test_failed(Said(why.unwrap_or_default()))))
        }
    }
}

/// `POST /console/webhooks/{id}/redeliver`
pub(crate) async fn redeliver(
    desk: Desk,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Trouble> {
    let number = fields.must("number")?;
    kept(&desk)?.redeliver(&id, number).await?;
    enter(&desk, AuditKind::WebhookRedelivered, &id, given("delivery_id", number)).await?;
    Ok(done(&id, "redelivered"))
}
