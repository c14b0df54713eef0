//! Who changed what besides coupons.

use askama::Template;
use coupon::benefit::{Benefit, BenefitKind};
use coupon::calendar::{Date, Zone, parse_instant};
use coupon::campaign::{Campaign, Handout};
use coupon::ids::CampaignId;
use coupon::money::{Currency, Price};
use engine::{AuditKind, Audited, FieldChange, PAGE_MAX, StaffRole};

use crate::desk::PageContext;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::offered;
use crate::screens::coupon::person;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: usize = 50;

/// Entries of the store that one page of a filter looks at; the next one goes on behind them.
const LOOKED_AT_MAX: usize = 5_000;

pub(crate) struct AuditRow {
    pub(crate) kind: AuditKind,
    pub(crate) what: &'static str,
    pub(crate) when: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    /// Its id and its name.
    pub(crate) campaign: Option<(String, String)>,
    pub(crate) batch: Option<String>,
    /// Field, before, now.
    pub(crate) changes: Vec<(String, String, String)>,
}

/// Entries of one campaign or of all, newest first; `None` where none are kept. Times are those of `zone`, and of
/// terms those of the zone of their campaign.
pub(crate) async fn entries(
    desk: &PageContext,
    campaign: Option<&CampaignId>,
    zone: &Zone,
    limit: usize,
) -> ConsoleResult<Option<Vec<AuditRow>>> {
    let caller = desk.caller(ConsoleAction::ReadAudit)?;
    match desk.engine().audit(&caller, campaign, None, limit).await? {
        Some(found) => Ok(Some(shown(desk, found, zone).await?)),
        None => Ok(None),
    }
}

async fn shown(
    desk: &PageContext,
    found: Vec<Audited>,
    zone: &Zone,
) -> ConsoleResult<Vec<AuditRow>> {
    let listed = desk.all_campaigns().await?;
    let entry = |it: Audited| {
        let id = it.entry.event.campaign.clone();
        let campaign = id.as_ref().and_then(|id| listed.of(id)).map(|it| &*it.campaign);
        let row = entry(desk.t, it, zone, campaign);
        AuditRow { campaign: id.map(|id| (id.to_string(), listed.name(&id))), ..row }
    };
    Ok(found.into_iter().map(entry).collect())
}

/// What a page of the audit is about. `actor` as the audit has it, and a day of the zone of the page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AuditFilter<'a> {
    pub(crate) campaign: Option<&'a CampaignId>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) day: Option<Date>,
}

/// Entries that fit, and the place behind which the next ones are, if there may be more. The store knows neither actors
/// nor days: so all entries are looked at, from the newest on, some thousand of them for each page.
pub(crate) async fn filtered(
    desk: &PageContext,
    action: ConsoleAction,
    filter: &AuditFilter<'_>,
    mut after: Option<String>,
) -> ConsoleResult<Option<(Vec<AuditRow>, Option<String>)>> {
    let AuditFilter { campaign, actor, day } = *filter;
    let caller = desk.caller(action)?;
    let span = day.map(|day| day.first_instant(&desk.zone)..day.end(&desk.zone));
    let limit = if actor.is_some() || day.is_some() { PAGE_MAX } else { PAGE };
    let (mut fitting, mut looked_at) = (Vec::new(), 0);
    let next = 'read: loop {
        let found = desk.engine().audit(&caller, campaign, after.clone(), limit).await?;
        let Some(found) = found else { return Ok(None) };
        let is_end = found.len() < limit;
        for one in found {
            let act = &one.entry.act;
            if span.as_ref().is_some_and(|span| act.at < span.start) {
                break 'read None;
            }
            after = Some(one.place.clone());
            looked_at += 1;
            let is_of_day = span.as_ref().is_none_or(|span| act.at < span.end);
            // By their name alone, too.
            let by = act.actor.as_str();
            if is_of_day && actor.is_none_or(|asked| by == asked || person(by) == asked) {
                fitting.push(one);
            }
            if fitting.len() == PAGE {
                break 'read after;
            }
        }
        if is_end {
            break None;
        }
        if looked_at >= LOOKED_AT_MAX {
            break after;
        }
    };
    Ok(Some((shown(desk, fitting, &desk.zone).await?, next)))
}

fn entry(t: PageTexts, audited: Audited, zone: &Zone, campaign: Option<&Campaign>) -> AuditRow {
    let entry = audited.entry;
    let of_token = entry.event.kind == AuditKind::TokenMade;
    let of_campaign = campaign.map_or(zone, |it| &it.zone);
    let currency = campaign.and_then(|it| it.worth.currency);
    let change = |it: FieldChange| {
        // What stays as it was says which one it is.
        let from = it.from.filter(|from| it.to.as_ref() != Some(from));
        let [from, to] = [from, it.to].map(|text| value(t, &it.field, text, of_campaign, currency));
        let name = if of_token && it.field == "user" { t.field_name() } else { t.field(&it.field) };
        (name.to_owned(), from, to)
    };
    AuditRow {
        kind: entry.event.kind,
        what: t.audit_event(&entry.event.kind),
        when: t.moment(entry.act.at, zone),
        actor: entry.act.actor.as_str().to_owned(),
        reason: entry.act.reason.map(|reason| reason.as_str().to_owned()),
        campaign: None,
        batch: entry.event.batch.map(|id| id.to_string()),
        changes: entry.event.changes.into_iter().map(change).collect(),
    }
}

/// The value of a field for people. The audit has it as the API writes it.
fn value(
    t: PageTexts,
    field: &str,
    text: Option<String>,
    zone: &Zone,
    currency: Option<Currency>,
) -> String {
    let Some(text) = text else { return String::new() };
    // Before days: a number of eight digits could be one.
    match (field, text.parse::<u64>(), currency) {
        ("count" | "lines" | "imported" | "already_there" | "rejected", Ok(number), _)
        | ("budget", Ok(number), None) => return t.number(number),
        ("budget", Ok(amount), Some(currency)) => return Price { amount, currency }.to_string(),
        ("seconds" | "ttl_seconds", Ok(seconds), _) => {
            return t.long_time(seconds.saturating_mul(1_000));
        }
        _ => {}
    }
    if let ("benefit", Ok(benefit)) = (field, text.parse::<Benefit>()) {
        let sentence = currency.and_then(|currency| t.benefit(&benefit, currency));
        let is_text = benefit.kind == BenefitKind::Text;
        return sentence
            .unwrap_or_else(|| if is_text { t.benefit_text().to_owned() } else { text });
    }
    if let Ok(date) = text.parse::<Date>() {
        return t.date(date);
    }
    let word = match field {
        "role" => text.parse::<StaffRole>().ok().map(|role| t.role(&role)),
        "handout" => text.parse::<Handout>().ok().map(|handout| t.handout(&handout)),
        "kind" | "format" | "invited_by" => t.audit_word(&text),
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
    filter: AuditFilter<'a>,
    /// The campaigns to choose from, by id.
    campaigns: Vec<(String, String)>,
    entries: Vec<AuditRow>,
    next: Option<String>,
    curl: String,
}

impl AuditPage<'_> {
    fn is_chosen(&self, id: &str) -> bool {
        self.filter.campaign.is_some_and(|it| it.as_str() == id)
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let campaign: Option<CampaignId> = desk.query.may("campaign")?;
    let filter = AuditFilter {
        campaign: campaign.as_ref(),
        actor: desk.query.get("actor"),
        day: desk.query.may("day")?,
    };
    let after = desk.query.get("cursor").map(str::to_owned);
    let found = filtered(&desk, ConsoleAction::ReadAudit, &filter, after).await?;
    let (entries, next) = found.ok_or(ConsoleError::NotKept)?;
    let page = AuditPage {
        d: &desk,
        filter,
        campaigns: offered(&*desk.all_campaigns().await?, campaign.as_ref()),
        entries,
        next: next.map(|next| desk.with("cursor", &next)),
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
            ("a number", "count", "2027", "2,027"),
            ("a number like a day", "count", "20270331", "20,270,331"),
            ("an amount without a currency", "benefit", "amount 5000", "amount 5000"),
            ("a benefit in words", "benefit", "text", "Something else, such as a free coffee"),
            ("a role", "role", "marketer", "Marketer"),
            ("a role of the API", "role", "shop", "shop"),
            ("how coupons are given out", "handout", "shop", "The shop gives them out"),
            ("yes", "paused", "true", "Yes"),
        ];
        for (name, field, text, want) in cases {
            let said = value(PageTexts::new(Lang::En), field, Some(text.to_owned()), &seoul, None);
            assert_eq!(said, want, "{name}");
        }
        let ko = PageTexts::new(Lang::Ko);
        let cases = [
            ("nothing", "name", None, ""),
            ("an amount with its currency", "budget", Some("150000000"), "₩150,000,000"),
            ("a benefit with its currency", "benefit", Some("amount 5000"), "5,000원 할인"),
            ("a long time", "ttl_seconds", Some("7776000"), "90일"),
        ];
        for (name, field, text, want) in cases {
            let said = value(ko, field, text.map(str::to_owned), &seoul, "KRW".parse().ok());
            assert_eq!(said, want, "{name}");
        }
    }
}
