//! Changes of a campaign: pause it, add stock, change its terms. Each is a page of its own with its reason, so
//! that it has an address and works without JavaScript.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use coupon::calendar::Date;
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::money::Price;
use engine::{BatchRequest, CampaignPatch, CampaignView, WriteResult};
use serde_json::json;

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::index::CampaignTotals;
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
    issue_from: String,
    issue_until: String,
    limit: String,
    /// Without a currency there can be none.
    budget: Option<String>,
    curl: String,
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

/// `POST /console/pause-campaigns`: several of them, in the same way.
pub(crate) async fn pause_campaigns(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let paused: bool = fields.must("paused")?;
    let reason: Reason = fields.must("reason")?;
    let ids = fields.all("campaign").map(from_path::<CampaignId>);
    let ids = ids.collect::<ConsoleResult<Vec<CampaignId>>>()?;
    if ids.is_empty() {
        return Err(ConsoleError::field("campaign", "is missing"));
    }
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
                return Ok(to("/console/campaigns?done=some"));
            }
        }
    }
    let done = if paused { "paused-all" } else { "resumed-all" };
    Ok(to(&format!("/console/campaigns?done={done}")))
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

pub(crate) async fn terms(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let terms = &view.campaign;
    let body = json!({"name": terms.name, "per_user_limit": terms.per_user_limit});
    let page = TermsPage {
        d: &desk,
        issue_from: terms
            .issue_from
            .map(|at| Date::of(at, &terms.zone).to_string())
            .unwrap_or_default(),
        // The end is the first instant after the last day.
        issue_until: terms
            .issue_until
            .map(|at| Date::last_of(at, &terms.zone).to_string())
            .unwrap_or_default(),
        limit: terms.per_user_limit.map(|limit| limit.to_string()).unwrap_or_default(),
        budget: terms.worth.currency.map(|currency| {
            let number = |amount| Price { amount, currency }.number();
            terms.worth.budget.map(number).unwrap_or_default()
        }),
        curl: desk.curl("PATCH", &format!("/v1/campaigns/{id}"), body),
        view: &view,
    };
    desk.page(&page)
}

/// `POST /console/campaigns/{id}/terms`: only what is different.
pub(crate) async fn save_terms(
    desk: PageContext,
    Path(id): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let view = campaign(&desk, &id).await?;
    let (terms, zone) = (&view.campaign, &view.campaign.zone);
    let issue_from = fields.may::<Date>("issue_from")?.map(|date| date.first_instant(zone));
    let issue_until = fields.may::<Date>("issue_until")?.map(|date| date.end(zone));
    let limit = fields.may::<u16>("per_user_limit")?;
    let metadata = fields.get("metadata").map(str::to_owned);
    let budget = match (terms.worth.currency, fields.get("budget")) {
        (Some(currency), Some(text)) => {
            let wrong = || ConsoleError::field("budget", desk.t.want_amount());
            Some(currency.amount_of(text).ok_or_else(wrong)?)
        }
        _ => None,
    };
    let patch = CampaignPatch {
        name: Some(fields.must::<String>("name")?).filter(|name| *name != terms.name),
        metadata: (metadata != terms.metadata).then_some(metadata),
        issue_from: (issue_from != terms.issue_from).then_some(issue_from),
        issue_until: (issue_until != terms.issue_until).then_some(issue_until),
        per_user_limit: (limit != terms.per_user_limit).then_some(limit),
        // Of a campaign that ends within a day, the same day is no later end.
        expires_on: fields.may::<Date>("expires_on")?.filter(|on| *on != terms.expires_on()),
        budget: (budget != terms.worth.budget).then_some(budget),
        // Else what somebody has changed since the form was opened would be changed back.
        if_tagged: fields.may::<u64>("tag")?.map(|tag| vec![tag]),
        ..CampaignPatch::default()
    };
    let reason: Option<Reason> = fields.may("reason")?;
    let caller = desk.caller(ConsoleAction::ChangeCampaign)?;
    desk.engine().patch_campaign(&caller, &terms.id, patch, reason).await?;
    Ok(done(&desk, &id, "changed"))
}

impl TermsPage<'_> {
    fn fixed(&self) -> Vec<(&'static str, String)> {
        let (t, terms) = (self.d.t, &self.view.campaign);
        vec![
            (t.field_valid_from(), t.moment(terms.valid_from, &terms.zone)),
            (t.field_handout(), t.handout(&terms.handout).to_owned()),
            (t.field_cancel_days(), t.days(u64::from(terms.cancel_days))),
        ]
    }
}

impl StockPage<'_> {
    fn present(&self) -> String {
        let t = self.d.t;
        t.stock_at_present(t.number(self.view.available()), t.number(self.view.counts().stock))
    }
}

impl PausePage<'_> {
    fn asked(&self) -> String {
        let name = IsolatedText(&self.view.campaign.name);
        if self.view.campaign.paused { self.d.t.ask_resume(name) } else { self.d.t.ask_pause(name) }
    }
}
