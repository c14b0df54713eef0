//! One coupon: its state in a sentence, what happened to it, what was refused, and what may be done.

use std::cmp::Reverse;

use askama::Template;
use attempts::Wanted;
use axum::extract::Path;
use coupon::calendar::{Date, Zone};
use coupon::coupon::{Coupon, Event, EventKind, State};
use coupon::ids::{Reason, UserId};
use coupon::money::Price;
use coupon::time::Millis;
use coupon::worth::RedemptionWorth;
use engine::{
    AdminChange, CouponNotes, CouponView, GiftSource, NewExpiry, Tier, WriteResult, holders,
};
use serde_json::json;

use crate::coupon_action::CouponAction;
use crate::desk::{PageContext, to};
use crate::extract::typed_code;
use crate::fields::{FormFields, encoded};
use crate::goodwill::GoodwillReason;
use crate::screens::refused::AttemptRow;
use crate::text::{IsolatedText, PageTexts, mark_of};
use crate::trouble::{ConsoleError, ConsoleResult};

/// How the actors of the console begin.
pub(crate) const STAFF: &str = "staff:";

/// Who did something, as people know them: those of the console by their names.
pub(crate) fn person(actor: &str) -> &str {
    actor.strip_prefix(STAFF).unwrap_or(actor)
}

/// Customers that are named above the history of a coupon; all attempts are in the list beside it.
const OTHERS_MAX: usize = 3;

#[derive(Template)]
#[template(path = "coupon.html")]
struct CouponPage<'a> {
    d: &'a PageContext,
    view: &'a CouponView,
    campaign_name: String,
    worth: Option<String>,
    sentence: String,
    more: Vec<String>,
    facts: Vec<(&'static str, String)>,
    happened: Vec<HistoryRow>,
    refused: Vec<AttemptRow>,
    /// Who tried it, and does not have it.
    others: Vec<String>,
    /// Who has it, or had it until it was taken back.
    customer: Option<String>,
    offers: Vec<CouponAction>,
    curl: String,
}

/// Something that happened to a coupon.
pub(crate) struct HistoryRow {
    pub(crate) at: Millis,
    /// On pages about more than one coupon.
    pub(crate) code: Option<String>,
    pub(crate) what: String,
    pub(crate) when: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
}

/// What people did at the console to these coupons, the newest first, with times of the zone of the page: all of it, or
/// what they did while a user had them.
pub(crate) fn staff_acts(
    desk: &PageContext,
    coupons: &[CouponView],
    user: Option<&UserId>,
) -> Vec<HistoryRow> {
    let of_coupon = |view: &CouponView| {
        let of_user = |user| while_theirs(&view.coupon, user).collect::<Vec<&Event>>();
        let events = user.map_or_else(|| view.coupon.events().iter().collect(), of_user);
        let by_staff = events.into_iter().filter(|it| it.actor.as_str().starts_with(STAFF));
        // An import says what happened elsewhere, and before.
        let by_staff = by_staff.filter(|it| !is_imported(view, it));
        let row = |event: &Event| HistoryRow {
            code: Some(view.code.clone()),
            ..happened(desk.t, view, event, &desk.zone)
        };
        by_staff.map(row).collect::<Vec<HistoryRow>>()
    };
    let mut acts: Vec<HistoryRow> = coupons.iter().flat_map(of_coupon).collect();
    acts.sort_by_key(|row| Reverse(row.at));
    acts
}

/// What happened to a coupon while a user had it. What gave it to somebody else is not for them.
pub(crate) fn while_theirs<'a>(
    coupon: &'a Coupon,
    user: &'a UserId,
) -> impl Iterator<Item = &'a Event> {
    let theirs = holders(coupon).filter(move |(before, _, after)| {
        *after == Some(user) || (*before == Some(user) && after.is_none())
    });
    theirs.map(|(_, event, _)| event)
}

pub(crate) async fn page(desk: PageContext, Path(typed): Path<String>) -> ConsoleResult {
    let (t, engine, reader) = (desk.t, desk.engine(), desk.reader()?);
    let text = typed_code(&typed)?;
    let view = engine.coupon(&reader, &text, None).await?;
    let campaign = engine.campaign(&reader, &view.coupon.genesis().campaign).await?.campaign;
    let (zone, batch) = (view.coupon.zone(), &view.coupon.genesis().batch);
    let wanted = Wanted { codes: Some(vec![view.code.clone()]), ..Wanted::default() };
    let refused = desk.refused(wanted, zone).await?;
    let redeemed_at = view.coupon.redemption().map(|it| it.at);
    let cancel_until = redeemed_at.map(|at| at.plus_days(campaign.cancel_days));
    // What is in the archive does not change any more, nor a redemption that is older than that.
    let is_open = view.tier == Tier::Hot && cancel_until.is_none_or(|it| it > desk.now);
    let offers = if is_open { CouponAction::of(view.coupon.state()) } else { &[] };
    let offers = offers.iter().copied();
    let paused = match view.paused {
        true => desk.pause_said(&campaign, Some(batch)).await?,
        false => None,
    };
    let page = CouponPage {
        d: &desk,
        campaign_name: campaign.name.clone(),
        worth: t.worth(&campaign.worth),
        sentence: sentence(&desk, &view),
        more: more(&desk, &view, paused, cancel_until),
        facts: facts(&desk, &view),
        happened: view
            .coupon
            .events()
            .iter()
            .rev()
            .map(|it| happened(t, &view, it, zone))
            .collect(),
        others: others(&refused),
        customer: customer(&view),
        refused,
        offers: offers.filter(|it| desk.may(it.action())).collect(),
        curl: desk.curl_get(&format!("/v1/coupons/{}", view.code)),
        view: &view,
    };
    desk.page(&page)
}

fn customer(view: &CouponView) -> Option<String> {
    let last = || match &view.coupon.events().last()?.kind {
        EventKind::Revoked { from, .. } => Some(from),
        _ => None,
    };
    view.coupon.holder().or_else(last).map(ToString::to_string)
}

/// The customers whose attempts were refused since the coupon is of another one, the newest first.
fn others(refused: &[AttemptRow]) -> Vec<String> {
    let is_other = |row: &&AttemptRow| row.attempt.unknown.as_deref() == Some("of_another_user");
    let mut others: Vec<String> = Vec::new();
    for user in refused.iter().filter(is_other).filter_map(|row| row.attempt.user.clone()) {
        if !others.contains(&user) {
            others.push(user);
        }
    }
    others.truncate(OTHERS_MAX);
    others
}

fn sentence(desk: &PageContext, view: &CouponView) -> String {
    let (t, coupon) = (desk.t, &view.coupon);
    let last = t.date(coupon.expires_on()) + mark_of(coupon.zone());
    match coupon.state() {
        State::Available if view.expired => t.is_available_expired(last),
        State::Available => t.is_available(last),
        State::Issued { holder } if view.expired => t.is_issued_expired(IsolatedText(holder), last),
        State::Issued { holder } if view.paused || coupon.genesis().valid_from > desk.now => {
            t.is_issued_not_now(IsolatedText(holder))
        }
        State::Issued { holder } => t.is_issued(IsolatedText(holder), last),
        State::Redeemed { redemption, .. } => {
            let (order, at) =
                (IsolatedText(&redemption.order), t.moment(redemption.at, coupon.zone()));
            match &redemption.by {
                Some(by) => t.is_redeemed(IsolatedText(by), order, at),
                None => t.is_redeemed_by_nobody(order, at),
            }
        }
        State::Void { .. } => t.is_void(t.moment(coupon.modified_at(), coupon.zone())),
    }
}

/// Whether a file brought it: nothing happens here before there is a coupon, and people at the console redeem nothing.
fn is_imported(view: &CouponView, event: &Event) -> bool {
    let is_redeemed = matches!(event.kind, EventKind::Redeemed { .. });
    event.at <= view.coupon.genesis().created_at
        || (is_redeemed && event.actor.as_str().starts_with(STAFF))
}

/// What else decides whether it works, as sentences.
fn more(
    desk: &PageContext,
    view: &CouponView,
    paused: Option<String>,
    cancel_until: Option<Millis>,
) -> Vec<String> {
    let (t, coupon) = (desk.t, &view.coupon);
    let mut more = Vec::from_iter(paused);
    if coupon.genesis().valid_from > desk.now {
        more.push(t.works_from(t.moment(coupon.genesis().valid_from, coupon.zone())));
    }
    if let Some(until) = &view.held_until {
        let order = view.order.as_ref().map(ToString::to_string).unwrap_or_default();
        more.push(t.is_held(IsolatedText(order), t.moment(until, coupon.zone())));
    }
    if let Some(until) = cancel_until {
        more.push(match until > desk.now && view.tier == Tier::Hot {
            true => t.can_be_cancelled(t.moment(until, coupon.zone())),
            false => t.cannot_be_cancelled().to_owned(),
        });
    }
    more
}

fn facts(desk: &PageContext, view: &CouponView) -> Vec<(&'static str, String)> {
    let (t, coupon) = (desk.t, &view.coupon);
    let tier = match view.tier {
        Tier::Hot => t.tier_hot().to_owned(),
        Tier::Cold => t.tier_cold(t.date(coupon.expires_on())),
    };
    vec![
        (t.field_valid_from(), t.moment(coupon.genesis().valid_from, coupon.zone())),
        (t.field_expires_on(), t.date(coupon.expires_on())),
        (t.time_zone(), t.zone(coupon.zone())),
        (t.batch(), t.batch_name(&coupon.genesis().batch)),
        (t.tier(), tier),
        (t.version(), coupon.version().to_string()),
    ]
}

impl PageTexts {
    /// `₩5,000 off ₩50,000`
    pub(crate) fn amounts(self, worth: &RedemptionWorth) -> String {
        let price = |amount| Price { amount, currency: worth.currency };
        match (worth.discount.map(price), worth.order_amount.map(price)) {
            (Some(discount), Some(order)) => self.was_less_of(discount, order),
            (Some(discount), None) => self.was_less(discount),
            (None, Some(order)) => self.was_of(order),
            (None, None) => String::new(),
        }
    }

    /// A sentence about a redemption, and its amounts.
    pub(crate) fn with_amounts(self, said: String, worth: Option<&RedemptionWorth>) -> String {
        match worth {
            Some(worth) => format!("{said}: {}", self.amounts(worth)),
            None => said,
        }
    }
}

pub(crate) fn happened(t: PageTexts, view: &CouponView, event: &Event, zone: &Zone) -> HistoryRow {
    let (what, reason) = match &event.kind {
        EventKind::Issued { to, reference, .. } => {
            let why = reference.as_ref().and_then(GoodwillReason::of).map(|(reason, text)| {
                let text = text.map(|text| format!(": {text}")).unwrap_or_default();
                t.goodwill_reason(&reason).to_owned() + &text
            });
            (t.was_issued(IsolatedText(to)), why)
        }
        EventKind::Redeemed { by, order, worth } => {
            let order = IsolatedText(order);
            let redeemed = match by {
                Some(by) => t.was_redeemed(IsolatedText(by), order),
                None => t.was_redeemed_by_nobody(order),
            };
            (t.with_amounts(redeemed, worth.as_deref()), None)
        }
        EventKind::RedemptionCancelled { order, reason } => {
            (t.was_cancelled(IsolatedText(order)), reason.as_ref().map(Reason::to_string))
        }
        EventKind::Revoked { from, reason, .. } => {
            (t.was_revoked(IsolatedText(from)), reason.as_ref().map(Reason::to_string))
        }
        EventKind::Voided { reason } => {
            (t.was_voided().to_owned(), reason.as_ref().map(Reason::to_string))
        }
        EventKind::Extended { expires_at, zone: extended, reason } => {
            let last = t.date(Date::last_of(*expires_at, extended));
            (t.was_extended(last), reason.as_ref().map(Reason::to_string))
        }
    };
    // Whoever sent a file has not done what it says.
    let (genesis, actor) = (view.coupon.genesis(), event.actor.as_str());
    HistoryRow {
        at: event.at,
        code: None,
        what,
        when: t.moment(event.at, zone),
        actor: match is_imported(view, event) {
            true => t.imported_by(
                IsolatedText(t.batch_name(&genesis.batch)),
                IsolatedText(person(actor)),
            ),
            false => actor.to_owned(),
        },
        reason,
    }
}

#[derive(Template)]
#[template(path = "coupon_action.html")]
struct ActionPage<'a> {
    d: &'a PageContext,
    view: &'a CouponView,
    asked: CouponAction,
    sentence: String,
    holder: String,
    order: String,
    /// The last day at present.
    last: String,
    curl: String,
}

/// What the last part of the path asks for.
fn asked(desk: &PageContext) -> ConsoleResult<CouponAction> {
    let name = desk.path_alone().rsplit('/').next();
    let found = CouponAction::ALL.into_iter().find(|it| Some(it.as_str()) == name);
    found.ok_or(ConsoleError::NotFound)
}

/// `GET /console/coupons/{code}/…`: a second look, with the reason. The page names the version that it shows,
/// so that nothing is done to a coupon that has changed meanwhile.
pub(crate) async fn ask(desk: PageContext, Path(typed): Path<String>) -> ConsoleResult {
    let view = desk.engine().coupon(&desk.reader()?, &typed_code(&typed)?, None).await?;
    let asked = asked(&desk)?;
    let coupon = &view.coupon;
    let holder = coupon.holder().map(ToString::to_string).unwrap_or_default();
    let order = coupon.redemption().map(|it| it.order.to_string()).unwrap_or_default();
    let last = coupon.expires_on().to_string();
    let body = match asked {
        CouponAction::Issue => json!({"user_id": "…"}),
        CouponAction::Revoke => json!({"user_id": holder, "reason": "…"}),
        CouponAction::Void => json!({"reason": "…"}),
        CouponAction::Extend => {
            json!({"expires_on": last, "time_zone": coupon.zone().name(), "reason": "…"})
        }
        CouponAction::CancelRedemption => json!({"order_ref": order, "reason": "…"}),
    };
    let path = format!("/v1/coupons/{}/{}", view.code, asked.as_str());
    let page = ActionPage {
        d: &desk,
        sentence: sentence(&desk, &view),
        asked,
        holder,
        order,
        last,
        curl: desk.curl("POST", &path, body),
        view: &view,
    };
    desk.page(&page)
}

/// The reason, which the console wants although the API does not, and the version that the page has shown.
fn with(fields: &FormFields) -> ConsoleResult<AdminChange> {
    Ok(AdminChange { reason: Some(fields.must("reason")?), if_version: fields.may("version")? })
}

/// `POST /console/coupons/{code}/…`: does it, and goes back to the coupon, which says whether an earlier request had
/// made it.
pub(crate) async fn act(
    desk: PageContext,
    Path(typed): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let asked = asked(&desk)?;
    let (engine, caller) = (desk.engine(), desk.caller(asked.action())?);
    let (done, made, before) = match asked {
        CouponAction::Issue => {
            let source = GiftSource::Coupon(typed_code(&typed)?);
            (desk.give_coupon(source, fields.must("user_id")?).await?, "issued", "had")
        }
        CouponAction::Revoke => {
            let (user, change): (UserId, _) = (fields.must("user_id")?, with(&fields)?);
            let text = typed_code(&typed)?;
            let done = engine.revoke(&caller, &text, user.clone(), None, change).await?;
            if let WriteResult::Created(view) = &done {
                desk.note_coupon(CouponNotes::RevokedFrom(&user), &view.code).await;
            }
            (done, "revoked", "same")
        }
        CouponAction::Void => {
            let done = engine.void(&caller, &typed_code(&typed)?, with(&fields)?).await?;
            (done, "voided", "same")
        }
        CouponAction::Extend => {
            let on = NewExpiry::On(fields.must("expires_on")?, fields.must("time_zone")?);
            let done = engine.extend(&caller, &typed_code(&typed)?, on, with(&fields)?).await?;
            (done, "extended", "same")
        }
        CouponAction::CancelRedemption => {
            let (order, why) = (fields.must("order_ref")?, Some(fields.must("reason")?));
            let text = typed_code(&typed)?;
            let done = engine.cancel_redemption(&caller, &text, None, order, why).await?;
            (done.map(|(_, view)| view), "cancelled", "same")
        }
    };
    // An extension changes no count.
    if asked != CouponAction::Extend {
        desk.console.index.has_changed();
    }
    let said = match &done {
        WriteResult::Created(_) => made,
        WriteResult::Same(_) => before,
    };
    desk.note_coupon(CouponNotes::ChangedBy(&caller), &done.into_inner().code).await;
    Ok(to(&format!("/console/coupons/{}?done={said}", encoded(&typed))))
}
