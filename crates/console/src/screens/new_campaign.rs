//! A new campaign: a form in the words of a marketer, then what it means in sentences, then the campaign.

use askama::Template;
use axum::http::StatusCode;
use coupon::benefit::{Benefit, BenefitKind, BenefitTitle};
use coupon::calendar::{Date, Zone};
use coupon::campaign::{CampaignWorth, Handout};
use coupon::money::{Currency, Price};
use coupon::time::Millis;
use engine::{CampaignDraft, CampaignView, Failure, WriteResult};
use serde_json::{Number, Value, json};

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::roles::ConsoleAction;
use crate::short_name::proposed;
use crate::text::{IsolatedText, Lang, PageTexts};
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::trouble_page::faults_said;

const HANDOUTS: [Handout; 4] =
    [Handout::Shop, Handout::SelfService, Handout::Bearer, Handout::Shared];

#[derive(Template)]
#[template(path = "new_campaign.html")]
struct NewCampaignPage<'a> {
    d: &'a PageContext,
    f: &'a FormFields,
    wrong: Option<String>,
    /// What the campaign means, once the form is right; then it can be created.
    preview: Vec<String>,
    curl: String,
}

impl NewCampaignPage<'_> {
    fn is_handout(&self, handout: &Handout) -> bool {
        self.f.get("handout") == Some(handout.as_str())
    }

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

    fn is_kind(&self, kind: &&str) -> bool {
        self.f.get("benefit.kind").unwrap_or("none") == *kind
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
    show(&desk, &fields, None, Vec::new(), StatusCode::OK)
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
    let draft = match draft(t, &fields) {
        Ok(draft) => draft,
        Err(ConsoleError::Fields(faults)) => {
            let wrong = Some(faults_said(t, &faults));
            return show(&desk, &fields, wrong, Vec::new(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        Err(other) => return Err(other),
    };
    let caller = desk.caller(ConsoleAction::CreateCampaign)?;
    if fields.get("create").is_none() {
        let preview = preview(t, &draft, desk.now);
        return match desk.engine().check_draft(&caller, draft) {
            Ok(()) => show(&desk, &fields, None, preview, StatusCode::OK),
            Err(failure) => wrong(&desk, &fields, failure),
        };
    }
    match desk.engine().create_campaign(&caller, draft).await {
        Ok(done) => {
            desk.console.index.has_changed();
            let said = if let WriteResult::Created(_) = done { "created" } else { "same" };
            let id = done.into_inner().campaign.id.clone();
            Ok(to(&format!("/console/campaigns/{}?done={said}", encoded(id.as_str()))))
        }
        Err(failure) => wrong(&desk, &fields, failure),
    }
}

fn wrong(desk: &PageContext, fields: &FormFields, failure: Failure) -> ConsoleResult {
    let said = match failure {
        Failure::Invalid(faults) => faults_said(desk.t, &faults),
        Failure::Refused { refusal, .. } => desk.t.refusal(refusal).to_owned(),
        other => return Err(other.into()),
    };
    show(desk, fields, Some(said), Vec::new(), StatusCode::UNPROCESSABLE_ENTITY)
}

fn show(
    desk: &PageContext,
    fields: &FormFields,
    wrong: Option<String>,
    preview: Vec<String>,
    status: StatusCode,
) -> ConsoleResult {
    let curl = desk.curl("POST", "/v1/campaigns", as_json(fields, worth(desk.t, fields)));
    let page = NewCampaignPage { d: desk, f: fields, wrong, preview, curl };
    desk.page_with(status, &page)
}

fn draft(t: PageTexts, fields: &FormFields) -> ConsoleResult<CampaignDraft> {
    let zone: Option<Zone> = fields.may("time_zone")?;
    let of_zone = zone.clone().unwrap_or_else(Zone::utc);
    let first = |name: &str| -> ConsoleResult<Option<Millis>> {
        Ok(fields.may::<Date>(name)?.map(|date| date.first_instant(&of_zone)))
    };
    let last = |name: &str| -> ConsoleResult<Option<Millis>> {
        Ok(fields.may::<Date>(name)?.map(|date| date.end(&of_zone)))
    };
    // No default: coupons of the wrong kind are of no use to whoever gets them.
    let handout: Handout = fields.must("handout")?;
    let per_user_limit = match (fields.may::<u16>("per_user_limit")?, handout) {
        (Some(limit), _) => Some(Some(limit)),
        (None, Handout::Bearer) => Some(None),
        (None, _) => None,
    };
    Ok(CampaignDraft {
        id: fields.may("campaign_id")?,
        name: Some(fields.must::<String>("name")?),
        stock: fields.may("stock")?,
        handout: Some(handout),
        shared_code: fields.may("shared_code")?,
        code_prefix: fields.may("code_prefix")?,
        valid_from: first("valid_from")?,
        expires_at: None,
        expires_on: Some(fields.must::<Date>("expires_on")?),
        issue_from: first("issue_from")?,
        issue_until: last("issue_until")?,
        time_zone: zone,
        valid_days: fields.may("valid_days")?,
        per_user_limit,
        cancel_days: fields.may("cancel_days")?,
        extend_days: fields.may("extend_days")?,
        metadata: fields.metadata(),
        worth: worth(t, fields)?,
    })
}

/// Amounts are written as on a price tag.
fn worth(t: PageTexts, fields: &FormFields) -> ConsoleResult<CampaignWorth> {
    let currency: Option<Currency> = fields.may("currency")?;
    let amount = |name: &str| -> ConsoleResult<Option<u64>> {
        let Some(text) = fields.get(name) else { return Ok(None) };
        let wrong = |want: &str| ConsoleError::field(name, want.to_owned());
        let currency = currency.ok_or_else(|| wrong(t.want_currency()))?;
        currency.amount_of(text).map(Some).ok_or_else(|| wrong(t.want_amount()))
    };
    let kind = match fields.get("benefit.kind") {
        Some("amount") => Some(BenefitKind::Amount(amount("benefit.amount")?.unwrap_or(0))),
        Some("percent") => Some(BenefitKind::Percent {
            percent: fields.must("benefit.percent")?,
            max_discount: amount("benefit.max_discount")?,
        }),
        Some("text") => Some(BenefitKind::Text),
        _ => None,
    };
    let min_order = amount("benefit.min_order")?;
    let title = BenefitTitle { en: fields.may("title_en")?, ko: fields.may("title_ko")? };
    let title = if kind.is_some() { title } else { BenefitTitle::default() };
    let (benefit, budget) = (kind.map(|kind| Benefit { kind, min_order }), amount("budget")?);
    Ok(CampaignWorth { currency, benefit, title, budget })
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
    said.extend(draft.worth.text(t.lang()));
    if let Some(on) = draft.expires_on {
        said.push(t.preview_valid(t.date(from), t.date(on), zone.name()));
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
