//! Changes of a campaign: pause it, add stock, change its terms. Each is a page of its own with its reason, so
//! that it has an address and works without JavaScript.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use coupon::calendar::Date;
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::money::Price;
use engine::{BatchRequest, CampaignPatch, CampaignView, Failure, WriteResult};
use serde_json::{Value, json};

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::form_reader::{FormFaults, FormReader};
use crate::roles::ConsoleAction;
use crate::text::IsolatedText;
use crate::trouble::{ConsoleError, ConsoleResult};

#[derive(Template)]
#[template(path = "pause.html")]
struct PausePage<'a> {
    d: &'a PageContext,
    view: &'a CampaignView,
    curl: String,
}

#[derive(Template)]
#[template(path = "stock.html")]
struct StockPage<'a> {
    d: &'a PageContext,
    view: &'a CampaignView,
    /// Names the batch before it is made: a form that is sent twice makes one.
    batch: String,
    curl: String,
}

#[derive(Template)]
#[template(path = "terms.html")]
struct TermsPage<'a> {
    d: &'a PageContext,
    view: &'a CampaignView,
    /// What the form shows, and what it showed at first.
    f: FormFields,
    was: FormFields,
    w: FormFaults,
    /// What somebody else has changed meanwhile.
    conflict: Vec<ConflictRow>,
    curl: String,
}

/// A field that two people have changed, or one of them: as it was, and as each of them wants it.
struct ConflictRow {
    label: String,
    was: String,
    theirs: String,
    mine: String,
}

async fn campaign(desk: &PageContext, id: &str) -> ConsoleResult<CampaignView> {
    Ok(desk.engine().campaign(&desk.reader()?, &from_path(id)?).await?)
}

fn done(desk: &PageContext, id: &str, done: &str) -> Response {
    desk.console.index.has_changed();
    to(&format!("/console/campaigns/{}?done={done}", encoded(id)))
}

pub(crate) async fn pause(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let body = json!({"paused": !view.campaign.paused, "reason": "…"});
    let curl = desk.curl("PATCH", &format!("/v1/campaigns/{id}"), body);
    desk.page(&PausePage { d: &desk, view: &view, curl })
}

/// `POST /console/campaigns/{id}/pause`: to the state that the form names, so that two people who press it at
/// once do not undo each other.
pub(crate) async fn save_pause(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let paused: bool = fields.must("paused")?;
    let reason: Option<Reason> = fields.may("reason")?;
    let caller = desk.caller(ConsoleAction::PauseCampaign)?;
    let patch = CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
    desk.engine().patch_campaign(&caller, &from_path(&id)?, patch, reason).await?;
    Ok(done(&desk, &id, if paused { "paused" } else { "resumed" }))
}

/// `POST /console/pause-campaigns`: several of them, in the same way. The address has the query of their list.
pub(crate) async fn pause_campaigns(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let paused: bool = fields.must("paused")?;
    let reason: Reason = fields.must("reason")?;
    let ids = fields.all("campaign").map(from_path::<CampaignId>);
    let ids = ids.collect::<ConsoleResult<Vec<CampaignId>>>()?;
    if ids.is_empty() {
        return Err(ConsoleError::field("campaign", "is missing"));
    }
    let listed = |done: &str| {
        let mut query = desk.query.clone();
        query.set("done", done);
        to(&format!("/console/campaigns?{}", query.encoded()))
    };
    let caller = desk.caller(ConsoleAction::PauseCampaign)?;
    for (nth, id) in ids.iter().enumerate() {
        let patch = CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
        let patched = desk.engine().patch_campaign(&caller, id, patch, Some(reason.clone())).await;
        desk.console.index.has_changed();
        match patched {
            Ok(_) => {}
            Err(error) if nth == 0 => return Err(error.into()),
            Err(error) => {
                tracing::warn!(?error, campaign = %id, "not all of the campaigns were changed");
                return Ok(listed("some"));
            }
        }
    }
    Ok(listed(if paused { "paused-all" } else { "resumed-all" }))
}

/// `POST /console/campaigns/{id}/batches/{batch}/pause`, in the same way.
pub(crate) async fn pause_batch(
    desk: PageContext,
    Path((campaign, batch)): Path<(String, String)>,
    fields: FormFields,
) -> ConsoleResult {
    let paused: bool = fields.must("paused")?;
    let reason: Option<Reason> = fields.may("reason")?;
    let id: BatchId = from_path(&batch)?;
    let caller = desk.caller(ConsoleAction::PauseCampaign)?;
    let campaign = from_path(&campaign)?;
    desk.engine().pause_batch(&caller, &campaign, &id, paused, reason).await?;
    let (campaign, id) = (encoded(campaign.as_str()), encoded(id.as_str()));
    let done = if paused { "paused" } else { "resumed" };
    Ok(to(&format!("/console/campaigns/{campaign}/batches/{id}?done={done}")))
}

pub(crate) async fn stock(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let batch = format!("bat_{}", uuid::Uuid::now_v7());
    let body = json!({"batch_id": batch, "count": 1000});
    let curl = desk.curl("POST", &format!("/v1/campaigns/{id}/batches"), body);
    desk.page(&StockPage { d: &desk, view: &view, batch, curl })
}

pub(crate) async fn save_stock(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let (id_of_batch, count) = (fields.may::<BatchId>("batch_id")?, fields.must("count")?);
    let request = BatchRequest { id: id_of_batch, count };
    let caller = desk.caller(ConsoleAction::AddStock)?;
    let minted = desk.engine().mint_batch(&caller, &from_path(&id)?, request).await?;
    Ok(done(&desk, &id, if let WriteResult::Created(_) = minted { "stock" } else { "same" }))
}

/// The terms that may change, as the form has them.
fn terms_fields(view: &CampaignView) -> FormFields {
    let terms = &view.campaign;
    let from = terms.issue_from.map(|at| Date::of(at, &terms.zone).to_string());
    // The end is the first instant after the last day.
    let until = terms.issue_until.map(|at| Date::last_of(at, &terms.zone).to_string());
    let price = |currency| Some(Price { amount: terms.worth.budget?, currency }.number());
    let mut fields = FormFields(vec![("name".to_owned(), terms.name.clone())]);
    for (name, value) in [
        ("per_user_limit", terms.per_user_limit.map(|limit| limit.to_string())),
        ("budget", terms.worth.currency.and_then(price)),
        ("expires_on", Some(terms.expires_on().to_string())),
        ("issue_from", from),
        ("issue_until", until),
    ] {
        fields.set(name, &value.unwrap_or_default());
    }
    fields.set_metadata(terms);
    fields
}

pub(crate) async fn terms(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let was = terms_fields(&view);
    let w = FormFaults::none(desk.t);
    show_terms(&desk, &view, (was.clone(), was), w, Vec::new())
}

fn show_terms(
    desk: &PageContext,
    view: &CampaignView,
    (f, was): (FormFields, FormFields),
    w: FormFaults,
    conflict: Vec<ConflictRow>,
) -> ConsoleResult {
    let status = if conflict.is_empty() { w.status() } else { StatusCode::CONFLICT };
    let terms = &view.campaign;
    let body = json!({"name": terms.name, "per_user_limit": terms.per_user_limit});
    let curl = desk.curl("PATCH", &format!("/v1/campaigns/{}", terms.id), body);
    desk.page_with(status, &TermsPage { d: desk, view, f, was, w, conflict, curl })
}

/// `POST /console/campaigns/{id}/terms`: only what is different.
pub(crate) async fn save_terms(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let (now, was) = (terms_fields(&view), FormFields::parse(fields.shown("was")));
    let is_other = fields.may::<u64>("tag")?.is_some_and(|tag| tag != view.tag());
    // A pause between changes no field: nothing of it would be changed back.
    if is_other && now != was {
        return conflict(&desk, &view, &fields, &was);
    }
    match saved(&desk, &view, &fields).await {
        Ok(()) => Ok(done(&desk, &id, "changed")),
        // At the same moment.
        Err(ConsoleError::Failure(Failure::OtherTag)) => {
            conflict(&desk, &campaign(&desk, &id).await?, &fields, &now)
        }
        Err(error @ ConsoleError::Fields(_)) => {
            let w = FormFaults::of(desk.t, error)?;
            show_terms(&desk, &view, (fields, now), w, Vec::new())
        }
        Err(error) => Err(error),
    }
}

async fn saved(desk: &PageContext, view: &CampaignView, fields: &FormFields) -> ConsoleResult<()> {
    let (patch, reason) = patch(desk, view, fields)?;
    let caller = desk.caller(ConsoleAction::ChangeCampaign)?;
    desk.engine().patch_campaign(&caller, &view.campaign.id, patch, reason).await?;
    Ok(())
}

/// The form once more: what was typed stays, and what somebody else has changed stands beside it.
fn conflict(
    desk: &PageContext,
    view: &CampaignView,
    fields: &FormFields,
    was: &FormFields,
) -> ConsoleResult {
    let now = terms_fields(view);
    let (mut shown, mut rows) = (now.clone(), Vec::new());
    let t = desk.t;
    for (name, _) in &now.0 {
        let values = [was, &now, fields].map(|it| it.shown(name));
        let [was, theirs, mine] = values;
        if mine != was {
            shown.set(name, mine);
        }
        if mine != was || theirs != was {
            let [was, theirs, mine] = values.map(|value| match (name.as_str(), value) {
                ("goodwill", "") => t.no().to_owned(),
                ("goodwill", _) => t.yes().to_owned(),
                _ => value.to_owned(),
            });
            rows.push(ConflictRow { label: t.field(name).to_owned(), was, theirs, mine });
        }
    }
    shown.set("reason", fields.shown("reason"));
    let w = FormFaults::saying(t, t.changed_meanwhile());
    show_terms(desk, view, (shown, now), w, rows)
}

fn patch(
    desk: &PageContext,
    view: &CampaignView,
    fields: &FormFields,
) -> ConsoleResult<(CampaignPatch, Option<Reason>)> {
    let (terms, zone) = (&view.campaign, &view.campaign.zone);
    let mut form = FormReader::of(fields);
    let issue_from = form.may::<Date>("issue_from").map(|date| date.first_instant(zone));
    let issue_until = form.may::<Date>("issue_until").map(|date| date.end(zone));
    let limit = form.may::<u16>("per_user_limit");
    let metadata = fields.metadata();
    let currency = terms.worth.currency;
    let budget = currency.and_then(|_| form.amount(desk.t, "budget", currency));
    let patch = CampaignPatch {
        name: form.must::<String>("name").filter(|name| *name != terms.name),
        metadata: (!is_same_json(&metadata, &terms.metadata)).then_some(metadata),
        issue_from: (issue_from != terms.issue_from).then_some(issue_from),
        issue_until: (issue_until != terms.issue_until).then_some(issue_until),
        per_user_limit: (limit != terms.per_user_limit).then_some(limit),
        // Of a campaign that ends within a day, the same day is no later end.
        expires_on: form.may::<Date>("expires_on").filter(|on| *on != terms.expires_on()),
        budget: (budget != terms.worth.budget).then_some(budget),
        // Else what somebody changes at this moment would be changed back.
        if_tagged: fields.get("tag").map(|_| vec![view.tag()]),
        ..CampaignPatch::default()
    };
    let reason = form.may("reason");
    form.done((patch, reason))
}

/// Whether two texts are one JSON, or one text.
fn is_same_json(one: &Option<String>, other: &Option<String>) -> bool {
    let read = |text: &Option<String>| {
        text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok())
    };
    one == other || read(one).is_some_and(|it| read(other) == Some(it))
}
