//! A webhook as a form: make one, change where it leads and what it gets, change its secret, delete it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use coupon::ids::CampaignId;
use engine::{AuditEvent, AuditKind, unknown_webhook_type};
use serde_json::json;
use webhooks::{Endpoint, EndpointChanges, NewEndpoint, OVERLAP, Rotation, WebhookError};

use crate::desk::{PageContext, to};
use crate::fields::{FormFields, encoded};
use crate::roles::ConsoleAction;
use crate::screens::campaigns::offered;
use crate::screens::webhooks::{kept, show};
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::trouble_page::faults_said;

#[derive(Template)]
#[template(path = "webhook_form.html")]
struct WebhookFormPage<'a> {
    d: &'a PageContext,
    f: &'a FormFields,
    is_new: bool,
    campaigns: Vec<(String, String)>,
    wrong: Option<String>,
    curl: String,
}

impl WebhookFormPage<'_> {
    fn title(&self) -> &'static str {
        if self.is_new { self.d.t.new_webhook() } else { self.d.t.change_webhook() }
    }

    fn has(&self, event_type: &str) -> bool {
        self.f.all("types").any(|it| it == event_type)
    }
}

/// What a form says: where to post, and what.
struct WebhookTerms {
    url: String,
    types: Option<BTreeSet<String>>,
    campaign: Option<String>,
}

impl WebhookTerms {
    fn of(fields: &FormFields) -> ConsoleResult<WebhookTerms> {
        let types: BTreeSet<String> = fields.all("types").map(str::to_owned).collect();
        if let Some(detail) = unknown_webhook_type(types.iter()) {
            return Err(ConsoleError::field("types", detail));
        }
        let campaign = fields.may::<CampaignId>("campaign_id")?.map(|id| id.to_string());
        let types = Some(types).filter(|types| !types.is_empty());
        Ok(WebhookTerms { url: fields.must("url")?, types, campaign })
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    kept(&desk)?;
    // Names the webhook before it is made: a form that is sent twice makes one.
    let id = format!("whk_{}", uuid::Uuid::now_v7().simple());
    let fields = FormFields(vec![("webhook_id".to_owned(), id)]);
    form(&desk, &fields, None, true).await
}

async fn form(
    desk: &PageContext,
    fields: &FormFields,
    wrong: Option<ConsoleError>,
    is_new: bool,
) -> ConsoleResult {
    let (status, wrong) = match wrong {
        None => (StatusCode::OK, None),
        Some(ConsoleError::Fields(faults)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Some(faults_said(desk.t, &faults)))
        }
        Some(ConsoleError::Webhook(WebhookError::Invalid { field, why })) => {
            let fault = engine::FieldFault::new(field, why);
            (StatusCode::UNPROCESSABLE_ENTITY, Some(faults_said(desk.t, &[fault])))
        }
        Some(other) => return Err(other),
    };
    let listed = desk.all_campaigns().await?;
    let campaign = fields.may("campaign_id").ok().flatten();
    let types: Vec<&str> = fields.all("types").collect();
    let types = if types.is_empty() { json!(null) } else { json!(types) };
    let body =
        json!({"url": fields.get("url"), "types": types, "campaign_id": fields.get("campaign_id")});
    let id = encoded(fields.shown("webhook_id"));
    let curl = match is_new {
        true => desk.curl("POST", "/v1/webhooks", body),
        false => desk.curl("PATCH", &format!("/v1/webhooks/{id}"), body),
    };
    let campaigns = offered(&listed, campaign.as_ref());
    desk.page_with(status, &WebhookFormPage { d: desk, f: fields, is_new, campaigns, wrong, curl })
}

/// `POST /console/new-webhook`: makes it, and shows its secret once.
pub(crate) async fn create(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let made = async {
        let WebhookTerms { url, types, campaign } = WebhookTerms::of(&fields)?;
        let caller = desk.caller(ConsoleAction::ChangeWebhooks)?;
        let cursor = desk.engine().newest_event(&caller).await?.ok_or(ConsoleError::NotKept)?;
        let webhook_id = fields.may("webhook_id")?;
        let (description, ordered, cursor) = (None, false, Some(cursor));
        let new = NewEndpoint { webhook_id, url, description, types, campaign, ordered, cursor };
        ConsoleResult::Ok(kept(&desk)?.create(new).await?)
    };
    match made.await {
        Ok((endpoint, secret, is_made)) => {
            if is_made {
                enter(&desk, endpoint.created_event()).await?;
            }
            show(&desk, endpoint, Some(secret)).await
        }
        Err(wrong) => form(&desk, &fields, Some(wrong), true).await,
    }
}

pub(crate) async fn terms(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let endpoint = kept(&desk)?.get(&id).await?;
    let of = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![of("webhook_id", id), of("url", endpoint.url)];
    fields.extend(endpoint.campaign.map(|campaign| of("campaign_id", campaign)));
    fields.extend(endpoint.types.into_iter().flatten().map(|name| of("types", name)));
    form(&desk, &FormFields(fields), None, false).await
}

pub(crate) async fn save(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let saved = async {
        let WebhookTerms { url, types, campaign } = WebhookTerms::of(&fields)?;
        let (url, types, campaign) = (Some(url), Some(types), Some(campaign));
        let before = kept(&desk)?.get(&id).await?;
        let changes = EndpointChanges { url, types, campaign, ..EndpointChanges::default() };
        ConsoleResult::Ok((kept(&desk)?.update(&id, changes).await?, before))
    };
    match saved.await {
        Ok((after, before)) => {
            if let Some(event) = after.changed_event(&before) {
                enter(&desk, event).await?;
            }
            Ok(to(&format!("/console/webhooks/{}?done=saved", encoded(&id))))
        }
        Err(wrong) => form(&desk, &fields, Some(wrong), false).await,
    }
}

/// `POST /console/webhooks/{id}/secret`: makes a new secret, and shows it once.
pub(crate) async fn change_secret(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let overlap = if fields.get("leaked").is_some() { Default::default() } else { OVERLAP };
    let rotation = Rotation { rotate_ref: Some(fields.must("rotate_ref")?), overlap };
    let (secret, is_made) = kept(&desk)?.rotate_secret(&id, rotation).await?;
    if is_made {
        enter(&desk, Endpoint::event(AuditKind::WebhookSecretRotated, &id, Vec::new())).await?;
    }
    let endpoint = kept(&desk)?.get(&id).await?;
    show(&desk, endpoint, Some(secret)).await
}

pub(crate) async fn delete(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    kept(&desk)?.delete(&id).await?;
    enter(&desk, Endpoint::event(AuditKind::WebhookDeleted, &id, Vec::new())).await?;
    Ok(to("/console/events?done=deleted"))
}

/// Enters a change in the audit. It has happened: where that is impossible, the log says so, and a secret is shown.
async fn enter(desk: &PageContext, event: AuditEvent) -> ConsoleResult<()> {
    let (caller, kind) = (desk.caller(ConsoleAction::ChangeWebhooks)?, event.kind);
    if let Err(error) = desk.engine().record(&caller, event).await {
        tracing::error!(error = ?error, kind = kind.as_str(), "the audit has no entry of this");
    }
    Ok(())
}
