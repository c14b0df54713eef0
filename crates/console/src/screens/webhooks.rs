//! One webhook: its deliveries, and delivering again.

use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use coupon::time::Millis;
use engine::{AuditEvent, AuditKind, given};
use uuid::Uuid;
use webhooks::{
    Delivery, DeliveryFilter, DeliveryState, Endpoint, EndpointState, Secret, Webhooks,
};

use crate::desk::{PageContext, to};
use crate::fields::{FormFields, encoded};
use crate::roles::ConsoleAction;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage<'a> {
    d: &'a PageContext,
    webhook: Endpoint,
    /// Of which campaign it gets the events.
    campaign: Option<String>,
    deliveries: Vec<Delivery>,
    next: Option<String>,
    /// One that was just made; it is shown once.
    secret: Option<String>,
    /// Names the next secret before it is made: a form that is sent twice makes one.
    rotation: String,
    curl: String,
}

impl WebhookPage<'_> {
    fn class(&self, delivery: &Delivery) -> &'static str {
        match delivery.state {
            DeliveryState::Pending => "planned",
            DeliveryState::Delivered => "running",
            DeliveryState::Failed => "paused",
            DeliveryState::Gap => "ended",
        }
    }

    fn answer(&self, delivery: &Delivery) -> String {
        match (delivery.status, &delivery.error) {
            (Some(status), _) => status.to_string(),
            (None, Some(error)) => self.d.t.detail(error),
            (None, None) => String::new(),
        }
    }
}

pub(crate) fn kept(desk: &PageContext) -> ConsoleResult<&Arc<Webhooks>> {
    desk.console.setup.webhooks.as_ref().ok_or(ConsoleError::NotKept)
}

pub(crate) async fn page(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let webhook = kept(&desk)?.get(&id).await?;
    show(&desk, webhook, None).await
}

pub(crate) async fn show(
    desk: &PageContext,
    webhook: Endpoint,
    secret: Option<Secret>,
) -> ConsoleResult {
    let id = &webhook.webhook_id;
    let filter = DeliveryFilter { state: None, before: desk.query.may("cursor")? };
    let deliveries = kept(desk)?.deliveries(id, filter, PAGE).await?;
    let last = deliveries.last().filter(|_| deliveries.len() == PAGE);
    let listed = desk.all_campaigns().await?;
    let campaign = webhook.campaign.as_ref().and_then(|id| id.parse().ok());
    let page = WebhookPage {
        d: desk,
        campaign: campaign.map(|id| listed.name(&id)),
        // The page may be the answer to a form, which has another address.
        next: last.map(|last| format!("/console/webhooks/{}?cursor={}", encoded(id), last.number)),
        deliveries,
        secret: secret.map(|secret| secret.reveal().to_owned()),
        rotation: Uuid::now_v7().to_string(),
        curl: desk.curl_get(&format!("/v1/webhooks/{}/deliveries", encoded(id))),
        webhook,
    };
    desk.page(&page)
}

/// Enters a change that has happened in the audit.
pub(crate) async fn enter(desk: &PageContext, event: AuditEvent) -> ConsoleResult<()> {
    desk.engine().record_done(&desk.caller(ConsoleAction::ManageWebhooks)?, event).await;
    Ok(())
}

fn done(id: &str, done: &str) -> Response {
    to(&format!("/console/webhooks/{}?done={done}", encoded(id)))
}

/// `POST /console/webhooks/{id}/state`: to the state that the form names.
pub(crate) async fn set_state(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let paused: bool = fields.must("paused")?;
    if paused {
        kept(&desk)?.pause(&id).await?
    } else {
        kept(&desk)?.resume(&id).await?
    };
    let change = vec![given("paused", paused)];
    enter(&desk, Endpoint::event(AuditKind::WebhookUpdated, &id, change)).await?;
    Ok(done(&id, if paused { "paused-webhook" } else { "resumed" }))
}

pub(crate) async fn test(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let tested = kept(&desk)?.test(&id).await?;
    let change = vec![given("delivered", tested.is_delivered)];
    enter(&desk, Endpoint::event(AuditKind::WebhookTested, &id, change)).await?;
    Ok(done(&id, if tested.is_delivered { "tested" } else { "test-failed" }))
}

pub(crate) async fn redeliver(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let number = fields.must("number")?;
    kept(&desk)?.redeliver(&id, number).await?;
    let change = vec![given("delivery_id", number)];
    enter(&desk, Endpoint::event(AuditKind::WebhookRedelivered, &id, change)).await?;
    Ok(done(&id, "redelivered"))
}
