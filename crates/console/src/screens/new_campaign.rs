//! A new campaign: a form in the words of a marketer, then what it means in sentences, then the campaign.

use askama::Template;
use coupon::benefit::{Benefit, BenefitKind, BenefitTitle};
use coupon::calendar::{Date, Zone};
use coupon::campaign::{CampaignWorth, Handout};
use coupon::money::{Currency, Price};
use coupon::time::Millis;
use engine::{CampaignDraft, CampaignView, WriteResult};
use serde_json::{Number, Value, json};

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::form_reader::{FormFaults, FormReader};
use crate::roles::ConsoleAction;
use crate::short_name::proposed;
use crate::text::{IsolatedText, Lang, PageTexts};
use crate::trouble::ConsoleResult;

const HANDOUTS: [Handout; 4] =
    [Handout::Shop, Handout::SelfService, Handout::Bearer, Handout::Shared];

#[derive(Template)]
#[template(path = "new_campaign.html")]
struct NewCampaignPage<'a> {
    d: &'a PageContext,
    f: &'a FormFields,
    w: FormFaults,
    /// What the campaign means, once the form is right; then it can be created.
    preview: Vec<String>,
    curl: String,
}

impl NewCampaignPage<'_> {
    fn kinds(&self) -> [(&'static str, &'static str); 4] {
        let t = self.d.t;
        [
            ("none", t.benefit_none()),
            ("amount", t.benefit_amount()),
            ("percent", t.benefit_percent()),
            ("text", t.benefit_text()),
        ]
    }

    /// The number of coupons as people read it.
    fn stock(&self) -> String {
        let number = self.f.get("stock").and_then(|it| it.parse::<u64>().ok());
        number.map_or_else(|| self.f.shown("stock").to_owned(), |number| self.d.t.number(number))
    }
}

/// `GET /console/new-campaign`, empty or like another campaign, maybe with another handout.
pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let mut fields = FormFields::default();
    let handout = desk.query.may::<Handout>("handout")?;
    if let Some(id) = desk.query.get("like") {
        let view = desk.engine().campaign(&desk.reader()?, &from_path(id)?).await?;
        fields = like(&view);
        // The same offer in another way has the same end.
        if handout.is_some() && view.campaign.expires_at > desk.now {
            fields.set("expires_on", &view.campaign.expires_on().to_string());
        }
    }
    if let Some(handout) = handout {
        // What one person may have depends on how the coupons reach them.
        fields.set("per_user_limit", "");
        fields.set("handout", handout.as_str());
    }
    if let (None, Some(currency)) = (fields.get("currency"), usual_currency(&desk).await?) {
        fields.set("currency", currency.as_str());
    }
    if fields.get("time_zone").is_none() {
        fields.set("time_zone", desk.zone.name());
    }
    show(&desk, &fields, FormFaults::none(desk.t), Vec::new())
}

/// The currency of the newest campaign that has one; before that the one of whoever reads Korean.
async fn usual_currency(desk: &PageContext) -> ConsoleResult<Option<Currency>> {
    let listed = desk.all_campaigns().await?;
    let campaigns = listed.campaigns.iter().map(|it| &it.campaign);
    let newest = campaigns.filter(|it| it.worth.currency.is_some()).max_by_key(|it| it.created_at);
    let won = || "KRW".parse().ok().filter(|_| desk.t.lang() == Lang::Ko);
    Ok(newest.and_then(|it| it.worth.currency).or_else(won))
}

/// The fields of another campaign, without its dates and names.
fn like(view: &CampaignView) -> FormFields {
    let campaign = &view.campaign;
    let number = |number: Option<u16>| number.map(|number| number.to_string());
    let all = [
        ("name", Some(campaign.name.clone())),
        ("handout", Some(campaign.handout.as_str().to_owned())),
        ("code_prefix", campaign.code_prefix.as_ref().map(ToString::to_string)),
        ("stock", view.counts.map(|(counts, _)| counts.stock.to_string())),
        ("time_zone", Some(campaign.zone.name().to_owned())),
        ("valid_days", number(campaign.valid_days)),
        ("per_user_limit", number(campaign.per_user_limit)),
        ("cancel_days", Some(campaign.cancel_days.to_string())),
        ("extend_days", Some(campaign.extend_days.to_string())),
    ];
    let all = all.into_iter().chain(worth_fields(&campaign.worth));
    let given = all.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut fields = FormFields(given.collect());
    fields.set_metadata(campaign);
    fields
}

/// The fields that [`worth`] reads.
fn worth_fields(worth: &CampaignWorth) -> Vec<(&'static str, Option<String>)> {
    let price = |amount| Some(Price { amount, currency: worth.currency? }.number());
    let mut fields = vec![
        ("currency", worth.currency.map(|it| it.as_str().to_owned())),
        ("title_en", worth.title.en.clone()),
        ("title_ko", worth.title.ko.clone()),
        ("budget", worth.budget.and_then(price)),
    ];
    let Some(benefit) = worth.benefit else { return fields };
    let mut kind = |word: &str| fields.push(("benefit.kind", Some(word.to_owned())));
    match benefit.kind {
        BenefitKind::Amount(amount) => {
            kind("amount");
            fields.push(("benefit.amount", price(amount)));
        }
        BenefitKind::Percent { percent, max_discount } => {
            kind("percent");
            fields.push(("benefit.percent", Some(percent.to_string())));
            fields.push(("benefit.max_discount", max_discount.and_then(price)));
        }
        BenefitKind::Text => kind("text"),
    }
    fields.push(("benefit.min_order", benefit.min_order.and_then(price)));
    fields
}

/// `POST /console/new-campaign`: first the preview, then the campaign.
pub(crate) async fn create(desk: PageContext, mut fields: FormFields) -> ConsoleResult {
    let t = desk.t;
    if let (None, Some(title)) = (fields.get("campaign_id"), fields.get("name")) {
        let listed = desk.all_campaigns().await?;
        let is_taken = |id: &str| id.parse().is_ok_and(|id| listed.of(&id).is_some());
        let id = proposed(title, "campaign", is_taken);
        fields.set("campaign_id", &id);
    }
    let mut form = FormReader::of(&fields);
    let draft = draft(t, &mut form);
    let caller = desk.caller(ConsoleAction::CreateCampaign)?;
    let preview = preview(t, &draft, desk.now);
    let done = if fields.get("create").is_some() && form.is_good() {
        desk.engine().create_campaign(&caller, draft).await.map(Some)
    } else {
        desk.engine().check_draft(&caller, draft).map(|()| None)
    };
    let checked = match done {
        Ok(Some(done)) => {
            desk.console.index.has_changed();
            let said = if let WriteResult::Created(_) = done { "created" } else { "same" };
            let id = done.into_inner().campaign.id.clone();
            return Ok(to(&format!("/console/campaigns/{}?done={said}", encoded(id.as_str()))));
        }
        Ok(None) => form.done(()),
        Err(failure) => Err(form.refused(failure.into())),
    };
    match checked {
        Ok(()) => show(&desk, &fields, FormFaults::none(t), preview),
        Err(error) => show(&desk, &fields, FormFaults::of(t, error)?, Vec::new()),
    }
}

fn show(
    desk: &PageContext,
    fields: &FormFields,
    w: FormFaults,
    preview: Vec<String>,
) -> ConsoleResult {
    let mut form = FormReader::of(fields);
    let worth = worth(desk.t, &mut form);
    let curl = desk.curl("POST", "/v1/campaigns", as_json(fields, form.done(worth)));
    let (status, d, f) = (w.status(), desk, fields);
    desk.page_with(status, &NewCampaignPage { d, f, w, preview, curl })
}

/// The draft of a form; what could not be read is missing in it.
fn draft(t: PageTexts, form: &mut FormReader<'_>) -> CampaignDraft {
    let time_zone: Option<Zone> = form.may("time_zone");
    let zone = time_zone.clone().unwrap_or_else(Zone::utc);
    let first = |date: Option<Date>| date.map(|date| date.first_instant(&zone));
    // No default: coupons of the wrong kind are of no use to whoever gets them.
    let handout: Option<Handout> = form.must("handout");
    let per_user_limit = match (form.may::<u16>("per_user_limit"), handout) {
        (Some(limit), _) => Some(Some(limit)),
        (None, Some(Handout::Bearer)) => Some(None),
        (None, _) => None,
    };
    CampaignDraft {
        id: form.may("campaign_id"),
        name: form.must("name"),
        stock: form.may("stock"),
        handout,
        // Without a handout, nobody knows whether it has a word.
        shared_code: handout.and_then(|_| form.may("shared_code")),
        code_prefix: form.may("code_prefix"),
        valid_from: first(form.may("valid_from")),
        expires_at: None,
        expires_on: form.must("expires_on"),
        issue_from: first(form.may("issue_from")),
        issue_until: form.may::<Date>("issue_until").map(|date| date.end(&zone)),
        time_zone,
        valid_days: form.may("valid_days"),
        per_user_limit,
        cancel_days: form.may("cancel_days"),
        extend_days: form.may("extend_days"),
        metadata: form.fields.metadata(),
        worth: worth(t, form),
    }
}

/// Amounts are written as on a price tag.
fn worth(t: PageTexts, form: &mut FormReader<'_>) -> CampaignWorth {
    let currency: Option<Currency> = form.may("currency");
    let fields = form.fields;
    let mut amount = |name: &str| form.amount(t, name, currency);
    let (budget, min_order) = (amount("budget"), amount("benefit.min_order"));
    let kind = match fields.get("benefit.kind") {
        Some("amount") => Some(BenefitKind::Amount(amount("benefit.amount").unwrap_or(0))),
        Some("percent") => {
            let max_discount = amount("benefit.max_discount");
            let percent = form.must("benefit.percent");
            percent.map(|percent| BenefitKind::Percent { percent, max_discount })
        }
        Some("text") => Some(BenefitKind::Text),
        _ => None,
    };
    let title = BenefitTitle { en: form.may("title_en"), ko: form.may("title_ko") };
    let title = if kind.is_some() { title } else { BenefitTitle::default() };
    let benefit = kind.map(|kind| Benefit { kind, min_order });
    CampaignWorth { currency, benefit, title, budget }
}

fn preview(t: PageTexts, draft: &CampaignDraft, now: Millis) -> Vec<String> {
    let zone = draft.time_zone.clone().unwrap_or_else(Zone::utc);
    let from = Date::of(draft.valid_from.unwrap_or(now), &zone);
    let name = IsolatedText(draft.name.clone().unwrap_or_default());
    let stock = draft.stock.unwrap_or(0);
    let mut said = vec![match stock {
        0 => t.preview_no_stock(name),
        stock => t.preview_stock(stock, name),
    }];
    said.push(match draft.handout.unwrap_or(Handout::Shop) {
        Handout::Shop => t.preview_shop().to_owned(),
        Handout::SelfService => t.preview_self().to_owned(),
        Handout::Bearer => t.preview_bearer().to_owned(),
        Handout::Shared => {
            let word = draft.shared_code.as_ref().map(|it| it.foreign().to_string());
            t.preview_shared(IsolatedText(word.unwrap_or_default()))
        }
    });
    said.extend(t.worth(&draft.worth));
    let budget = draft.worth.budget.zip(draft.worth.currency);
    said.extend(budget.map(|(amount, currency)| t.preview_budget(Price { amount, currency })));
    if let Some(on) = draft.expires_on {
        said.push(t.preview_valid(t.date(from), t.date(on), t.zone(zone)));
    }
    if let Some(days) = draft.valid_days {
        said.push(t.preview_valid_days(u64::from(days)));
    }
    said.push(match draft.per_user_limit.unwrap_or(Some(1)) {
        Some(limit) => t.preview_limit(u64::from(limit)),
        None => t.preview_no_limit().to_owned(),
    });
    said.push(match draft.cancel_days.unwrap_or(coupon::campaign::OPEN_DAYS_DEFAULT) {
        0 => t.preview_no_cancel().to_owned(),
        days => t.preview_cancel(u64::from(days)),
    });
    said
}

/// The request of the API that makes the same campaign.
fn as_json(fields: &FormFields, worth: ConsoleResult<CampaignWorth>) -> Value {
    let texts =
        ["campaign_id", "name", "handout", "shared_code", "code_prefix", "expires_on", "time_zone"];
    let numbers = ["stock", "valid_days", "per_user_limit", "cancel_days", "extend_days"];
    let mut body = json!({});
    for name in texts {
        body[name] = fields.get(name).into();
    }
    for name in numbers {
        body[name] = fields.get(name).and_then(|text| text.parse::<u64>().ok()).into();
    }
    if let Some(metadata) = fields.metadata().and_then(|it| serde_json::from_str(&it).ok()) {
        body["metadata"] = metadata;
    }
    if let Ok(CampaignWorth { currency, benefit, title, budget }) = worth {
        body["budget"] = budget.into();
        body["currency"] = currency.map(Currency::as_str).into();
        body["benefit"] = benefit.map(|it| benefit_json(&it, &title)).into();
    }
    body
}

fn benefit_json(benefit: &Benefit, title: &BenefitTitle) -> Value {
    let mut body = match benefit.kind {
        BenefitKind::Amount(amount) => json!({"kind": "amount", "amount": amount}),
        BenefitKind::Percent { percent, max_discount } => {
            let percent: Option<Number> = percent.to_string().parse().ok();
            json!({"kind": "percent", "percent": percent, "max_discount": max_discount})
        }
        BenefitKind::Text => json!({"kind": "text"}),
    };
    body["min_order"] = benefit.min_order.into();
    body["title"] = json!({"en": title.en, "ko": title.ko});
    body
}
