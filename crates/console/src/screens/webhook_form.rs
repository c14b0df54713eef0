//! A webhook as a form: make one, change where it leads and what it gets, change its secret, delete it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use coupon::ids::CampaignId;
use engine::{AuditKind, unknown_webhook_type};
use serde_json::json;
use webhooks::{Endpoint, EndpointChanges, NewEndpoint, OVERLAP, Rotation};

use crate::desk::{PageContext, to};
use crate::fields::{FormFields, encoded};
use crate::form_reader::{FormFaults, FormReader};
use crate::roles::ConsoleAction;
use crate::screens::campaigns::offered;
use crate::screens::webhooks::{enter, kept, show};
use crate::trouble::{ConsoleError, ConsoleResult};

#[derive(Template)]
#[template(path = "webhook_form.html")]
struct WebhookFormPage<'a> {
    d: &'a PageContext,
    f: &'a FormFields,
    is_new: bool,
    campaigns: Vec<(String, String)>,
    w: FormFaults,
    curl: String,
}

impl WebhookFormPage<'_> {
    fn has(&self, event_type: &str) -> bool {
        self.f.all("types").any(|it| it == event_type)
    }
}

/// What a form says: where to post, and what.
fn changes(fields: &FormFields) -> ConsoleResult<EndpointChanges> {
    let mut form = FormReader::of(fields);
    let (url, campaign) = (form.must("url"), form.may::<CampaignId>("campaign_id"));
    let types: BTreeSet<String> = fields.all("types").map(str::to_owned).collect();
    if let Some(detail) = unknown_webhook_type(types.iter()) {
        return Err(form.refused(ConsoleError::field("types", detail)));
    }
    let types = Some(Some(types).filter(|types| !types.is_empty()));
    let campaign = Some(campaign.map(|id| id.to_string()));
    let description = Some(form.may("description"));
    form.done(EndpointChanges { url, description, types, campaign, ordered: None })
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
    let w = wrong.map_or_else(|| Ok(FormFaults::none(desk.t)), |it| FormFaults::of(desk.t, it))?;
    let listed = desk.all_campaigns().await?;
    let campaign = fields.may("campaign_id").ok().flatten();
    let body = json!({"url": fields.get("url"), "campaign_id": fields.get("campaign_id")});
    let id = encoded(fields.shown("webhook_id"));
    let curl = match is_new {
        true => desk.curl("POST", "/v1/webhooks", body),
        false => desk.curl("PATCH", &format!("/v1/webhooks/{id}"), body),
    };
    let campaigns = offered(&listed, campaign.as_ref());
    let status = w.status();
    desk.page_with(status, &WebhookFormPage { d: desk, f: fields, is_new, campaigns, w, curl })
}

/// `POST /console/new-webhook`: makes it, and shows its secret once.
pub(crate) async fn create(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let made = async {
        let EndpointChanges { url, description, types, campaign, .. } = changes(&fields)?;
        let caller = desk.caller(ConsoleAction::ChangeWebhooks)?;
        let cursor = desk.engine().newest_event(&caller).await?.ok_or(ConsoleError::NotKept)?;
        let webhook_id = fields.may("webhook_id")?;
        let new = NewEndpoint {
            webhook_id,
            url: url.unwrap_or_default(),
            description: description.flatten(),
            types: types.flatten(),
            campaign: campaign.flatten(),
            ordered: false,
            cursor: Some(cursor),
        };
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
    fields.extend(endpoint.description.map(|name| of("description", name)));
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
        let (webhooks, changes) = (kept(&desk)?, changes(&fields)?);
        let before = webhooks.get(&id).await?;
        ConsoleResult::Ok((webhooks.update(&id, changes).await?, before))
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
