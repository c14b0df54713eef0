//! Who changed what besides coupons.

use askama::Template;
use axum::response::Response;
use coupon::calendar::parse_instant;
use coupon::ids::CampaignId;
use engine::Audited;
use serde_json::json;

use crate::desk::Desk;
use crate::roles::Action;
use crate::text::Texts;
use crate::trouble::Trouble;

/// Entries of a page.
const PAGE: usize = 50;

/// One entry.
pub(crate) struct Entry {
    pub(crate) what: &'static str,
    pub(crate) when: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) batch: Option<String>,
    /// Field, before, now.
    pub(crate) changes: Vec<(String, String, String)>,
    place: String,
}

/// Entries of one campaign or of all, newest first; `None` where none are kept.
pub(crate) async fn entries(
    desk: &Desk,
    campaign: Option<&CampaignId>,
    after: Option<String>,
    limit: usize,
) -> Result<Option<Vec<Entry>>, Trouble> {
    let caller = desk.caller(Action::ReadAudit)?;
    let found = desk.engine().audit(&caller, campaign, after, limit).await?;
    Ok(found.map(|found| found.into_iter().map(|it| entry(desk, it)).collect()))
}

fn entry(desk: &Desk, audited: Audited) -> Entry {
    let Audited { place, entry } = audited;
    // The audit has instants as the API writes them.
    let text = |text: Option<String>| match text.as_deref().map(parse_instant) {
        Some(Ok(at)) => desk.at(&at),
        _ => text.unwrap_or_default(),
    };
    let change =
        |it: engine::FieldChange| (desk.t.field(&it.field).to_owned(), text(it.from), text(it.to));
    Entry {
        what: desk.t.deed(entry.deed.kind),
        when: desk.at(&entry.act.at),
        actor: entry.act.actor.as_str().to_owned(),
        reason: entry.act.reason.map(|reason| reason.as_str().to_owned()),
        campaign: entry.deed.campaign.map(|id| id.to_string()),
        batch: entry.deed.batch.map(|id| id.to_string()),
        changes: entry.deed.changes.into_iter().map(change).collect(),
        place,
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    d: &'a Desk,
    t: Texts,
    entries: Vec<Entry>,
    next: Option<String>,
    campaign: &'a str,
    curl: String,
}

/// `GET /console/audit`
pub(crate) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let campaign: Option<CampaignId> = desk.query.may("campaign")?;
    let after = desk.query.get("cursor").map(str::to_owned);
    let entries = entries(&desk, campaign.as_ref(), after, PAGE).await?.ok_or(Trouble::NotKept)?;
    let last = entries.last().filter(|_| entries.len() == PAGE);
    let page = AuditPage {
        d: &desk,
        t: desk.t,
        next: last.map(|last| desk.with("cursor", &last.place)),
        entries,
        campaign: desk.query.shown("campaign"),
        curl: desk.curl("GET", "/v1/audit?limit=50", &json!(null)),
    };
    desk.page(&page)
}
