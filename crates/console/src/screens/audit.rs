//! Who changed what besides coupons.

use askama::Template;
use coupon::calendar::{Date, Zone, parse_instant};
use coupon::campaign::Handout;
use coupon::ids::CampaignId;
use engine::{AuditKind, Audited, FieldChange, StaffRole};

use crate::desk::PageContext;
use crate::roles::ConsoleAction;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

pub(crate) struct AuditRow {
    pub(crate) kind: AuditKind,
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

/// Entries of one campaign or of all, newest first; `None` where none are kept. Times are those of `zone`, and of
/// terms those of the zone of their campaign.
pub(crate) async fn entries(
    desk: &PageContext,
    campaign: Option<&CampaignId>,
    zone: &Zone,
    after: Option<String>,
    limit: usize,
) -> ConsoleResult<Option<Vec<AuditRow>>> {
    let caller = desk.caller(ConsoleAction::ReadAudit)?;
    let Some(found) = desk.engine().audit(&caller, campaign, after, limit).await? else {
        return Ok(None);
    };
    let listed = desk.all_campaigns().await?;
    let entry = |it: Audited| {
        let of_campaign = it.entry.event.campaign.as_ref().and_then(|id| listed.of(id));
        let of_campaign = of_campaign.map(|it| &it.campaign.zone);
        entry(desk.t, it, zone, of_campaign.unwrap_or(zone))
    };
    Ok(Some(found.into_iter().map(entry).collect()))
}

fn entry(t: PageTexts, audited: Audited, zone: &Zone, of_campaign: &Zone) -> AuditRow {
    let Audited { place, entry } = audited;
    let change = |it: FieldChange| {
        let [from, to] = [it.from, it.to].map(|text| value(t, &it.field, text, of_campaign));
        (t.field(&it.field).to_owned(), from, to)
    };
    AuditRow {
        kind: entry.event.kind,
        what: t.audit_event(&entry.event.kind),
        when: t.moment(entry.act.at, zone),
        actor: entry.act.actor.as_str().to_owned(),
        reason: entry.act.reason.map(|reason| reason.as_str().to_owned()),
        campaign: entry.event.campaign.map(|id| id.to_string()),
        batch: entry.event.batch.map(|id| id.to_string()),
        changes: entry.event.changes.into_iter().map(change).collect(),
        place,
    }
}

/// The value of a field for people. The audit has it as the API writes it.
fn value(t: PageTexts, field: &str, text: Option<String>, zone: &Zone) -> String {
    let Some(text) = text else { return String::new() };
    if let Ok(date) = text.parse::<Date>() {
        return t.date(date);
    }
    let word = match field {
        "role" => text.parse::<StaffRole>().ok().map(|role| t.role(&role)),
        "handout" => text.parse::<Handout>().ok().map(|handout| t.handout(&handout)),
        "kind" | "format" => t.audit_word(&text),
        "paused" | "delivered" | "ordered" => match text.as_str() {
            "true" => Some(t.yes()),
            "false" => Some(t.no()),
            _ => None,
        },
        _ => None,
    };
    if let Some(word) = word {
        return word.to_owned();
    }
    match parse_instant(&text) {
        // Up to which instant: people say on which day that is the last one.
        Ok(at) if field == "expires_at" => t.date(Date::last_of(at, zone)),
        Ok(at) => t.moment(at, zone),
        Err(_) => text,
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    d: &'a PageContext,
    entries: Vec<AuditRow>,
    next: Option<String>,
    campaign: &'a str,
    curl: String,
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let campaign: Option<CampaignId> = desk.query.may("campaign")?;
    let after = desk.query.get("cursor").map(str::to_owned);
    let entries = entries(&desk, campaign.as_ref(), &desk.zone, after, PAGE).await?;
    let entries = entries.ok_or(ConsoleError::NotKept)?;
    let last = entries.last().filter(|_| entries.len() == PAGE);
    let page = AuditPage {
        d: &desk,
        next: last.map(|last| desk.with("cursor", &last.place)),
        entries,
        campaign: desk.query.shown("campaign"),
        curl: desk.curl_get("/v1/audit?limit=50"),
    };
    desk.page(&page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Lang;

    #[test]
    fn values_for_people() {
        let seoul: Zone = "Asia/Seoul".parse().unwrap();
        let cases = [
            ("an instant", "valid_from", "2027-02-28T15:00:00.000Z", "1 Mar 2027 00:00"),
            ("a last day", "expires_at", "2027-03-31T15:00:00.000Z", "31 Mar 2027"),
            ("a day", "day", "2027-03-31", "31 Mar 2027"),
            ("a name", "name", "Spring 2027", "Spring 2027"),
            ("a number", "count", "2027", "2027"),
            ("a role", "role", "marketer", "Marketer"),
            ("a role of the API", "role", "shop", "shop"),
            ("how coupons are given out", "handout", "shop", "The shop gives them out"),
            ("yes", "paused", "true", "Yes"),
        ];
        for (name, field, text, want) in cases {
            let said = value(PageTexts::new(Lang::En), field, Some(text.to_owned()), &seoul);
            assert_eq!(said, want, "{name}");
        }
        assert_eq!(value(PageTexts::new(Lang::Ko), "name", None, &seoul), "");
    }
}
