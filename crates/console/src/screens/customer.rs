//! One customer: what they have, what they used, what was refused; and a coupon as goodwill.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use attempts::Wanted;
use axum::extract::Path;
use coupon::campaign::Handout;
use coupon::coupon::State;
use coupon::ids::{BadName, CampaignId, IssueRef, UserId};
use engine::csv::{BYTE_ORDER_MARK, row};
use engine::{
    CouponFilter, CouponNotes, CouponView, CursorPosition, GiftSource, LineStream, ListOrder,
    ListRequest, ListView, PersonFormat, PersonRecord, WriteResult,
};
use futures::stream::{StreamExt, TryStreamExt, once};
use uuid::Uuid;

use crate::cursor;
use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::goodwill::{self, GoodwillReason};
use crate::index::CampaignSnapshot;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::named;
use crate::screens::codes::file;
use crate::screens::coupon::{HistoryRow, happened, staff_acts, while_theirs};
use crate::screens::refused::AttemptRow;
use crate::text::IsolatedText;
use crate::trouble::{ConsoleError, ConsoleResult};

const PAGE: u64 = 50;

/// Campaigns that a coupon can be given of without typing.
const OFFERED: usize = 200;

#[derive(Template)]
#[template(path = "customer.html")]
struct CustomerPage<'a> {
    d: &'a PageContext,
    user: String,
    listed: &'a CampaignSnapshot,
    coupons: Vec<CouponView>,
    next: Option<String>,
    refused: Vec<AttemptRow>,
    /// Why some of them do not work at the moment.
    paused: BTreeSet<String>,
    /// What was done to the coupons at the console, the newest first.
    happened: Vec<HistoryRow>,
    /// Campaigns that are meant for goodwill.
    campaigns: Vec<(String, String)>,
    gifts_left: u64,
    /// Nothing is known of them: perhaps their id has a typing mistake.
    is_newcomer: bool,
    /// Names the gift before it is made: a form that is sent twice gives one.
    gift: String,
    curl: String,
}

pub(crate) async fn page(desk: PageContext, Path(user): Path<String>) -> ConsoleResult {
    let user: UserId = from_path(&user)?;
    let list = desk.coupons(Some(user.clone()), None).await?;
    let refused = refused_of(&desk, &user).await?;
    let listed = desk.all_campaigns().await?;
    let campaigns =
        if desk.may(ConsoleAction::Issue) { offered(&desk, &listed) } else { Vec::new() };
    let gifts_left = if campaigns.is_empty() { 0 } else { desk.gifts_left().await? };
    let gift = Uuid::now_v7().to_string();
    let paused_at = list.coupons.iter().filter(|it| it.paused).map(|it| it.coupon.genesis());
    let paused_at: BTreeSet<_> = paused_at.map(|it| (&it.campaign, &it.batch)).collect();
    let mut paused = BTreeSet::new();
    for (campaign, batch) in paused_at {
        let campaign = desk.engine().campaign(&desk.reader()?, campaign).await?.campaign;
        paused.extend(desk.pause_said(&campaign, Some(batch)).await?);
    }
    // What was done for them stays when they have the coupon no more.
    let mut known = desk.noted(CouponNotes::RevokedFrom(&user)).await?;
    known.retain(|it| list.coupons.iter().all(|listed| listed.code != it.code));
    known.extend(list.coupons.iter().cloned());
    let path = format!("/v1/coupons?user_id={}&limit={PAGE}", encoded(user.as_str()));
    let page = CustomerPage {
        d: &desk,
        listed: &listed,
        paused,
        happened: staff_acts(&desk, &known, Some(&user)),
        is_newcomer: list.coupons.is_empty() && refused.is_empty(),
        coupons: list.coupons,
        next: list
            .next
            .as_ref()
            .map(|next| desk.with("cursor", &cursor::written(next.expires_at, &next.tie))),
        refused,
        campaigns,
        gifts_left,
        gift,
        curl: desk.curl_get(&path),
        user: user.to_string(),
    };
    desk.page(&page)
}

/// `GET /console/customers/{user}/data/{format}`: everything that is known of them, or what is for themselves.
pub(crate) async fn data(
    desk: PageContext,
    Path((user, format)): Path<(String, String)>,
) -> ConsoleResult {
    let (user, format): (UserId, PersonFormat) = (from_path(&user)?, from_path(&format)?);
    let caller = desk.caller(ConsoleAction::ErasePeople)?;
    let text = match format {
        PersonFormat::Json => (desk.console.setup.person)(caller, user, format).await?,
        PersonFormat::Csv => person_sheet(desk.clone(), user).await?,
    };
    // Without their name: it may have signs that no file may have, and a folder of downloads is read by others.
    let name = desk.file_name(None, "customer", format.as_str());
    Ok(file(&name, format.media_type(), text))
}

/// What can be handed to a customer: their coupons, and what happened to these while they had them, in the words and the
/// times of people, and without the names of those who work here.
async fn person_sheet(desk: PageContext, user: UserId) -> ConsoleResult<LineStream> {
    let caller = desk.caller(ConsoleAction::ErasePeople)?;
    let listed = desk.all_campaigns().await?;
    let head = format!("{BYTE_ORDER_MARK}{}\n", desk.t.person_columns());
    let known = Arc::clone(desk.engine()).person(&caller, &user).await?;
    let lines = move |record: &PersonRecord| {
        let PersonRecord::Coupon { view, .. } = record else { return String::new() };
        let (coupon, name) = (&view.coupon, listed.name(&view.coupon.genesis().campaign));
        let last = coupon.expires_on().to_string();
        let rows = while_theirs(coupon, &user).map(|event| {
            let HistoryRow { when, what, reason, .. } = happened(desk.t, view, event, &desk.zone);
            row([&*when, &what, &name, &view.code, &last, &reason.unwrap_or_default()])
        });
        rows.collect::<String>().replace(['\u{2068}', '\u{2069}'], "")
    };
    let lines = known.map_ok(move |some| some.iter().map(&lines).collect());
    Ok(once(async move { Ok(head) }).chain(lines).boxed())
}

async fn refused_of(desk: &PageContext, user: &UserId) -> ConsoleResult<Vec<AttemptRow>> {
    let wanted = Wanted { user: Some(user.to_string()), ..Wanted::default() };
    desk.refused(wanted, &desk.zone).await
}

fn offered(desk: &PageContext, listed: &CampaignSnapshot) -> Vec<(String, String)> {
    let has = listed.campaigns.iter().filter(|it| {
        desk.phase(it) == CampaignPhase::Running
            && it.counts().available() > 0
            && matches!(it.campaign.handout, Handout::Shop | Handout::SelfService)
            && goodwill::is_meant(&it.campaign)
    });
    has.take(OFFERED).map(named).collect()
}

impl PageContext {
    /// One page of the coupons of a user, or of those that expire on a day.
    pub(crate) async fn coupons(
        &self,
        user: Option<UserId>,
        expires_on: Option<(coupon::calendar::Date, coupon::calendar::Zone)>,
    ) -> ConsoleResult<ListView> {
        let after = self.query.get("cursor").and_then(cursor::read);
        let after = after.map(|(expires_at, tie)| CursorPosition { expires_at, tie });
        let request = ListRequest {
            user,
            campaign: None,
            filter: CouponFilter::default(),
            expires_on,
            order: ListOrder::Latest,
            after,
            limit: Some(PAGE),
        };
        Ok(self.engine().list(&self.reader()?, request).await?)
    }

    /// The class and the words of the state of a coupon.
    pub(crate) fn coupon_state(&self, view: &CouponView) -> (&'static str, &'static str) {
        let (t, state) = (self.t, view.coupon.state());
        match state {
            State::Available | State::Issued { .. } if view.expired => ("ended", t.state_expired()),
            State::Available => (state.as_str(), t.state_available()),
            State::Issued { .. } => (state.as_str(), t.state_issued()),
            State::Redeemed { .. } => (state.as_str(), t.state_redeemed()),
            State::Void { .. } => (state.as_str(), t.state_void()),
        }
    }
}

pub(crate) async fn give(
    desk: PageContext,
    Path(user): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let user: UserId = from_path(&user)?;
    let id: CampaignId = fields.must("campaign_id")?;
    let gift: Uuid = fields.must("gift")?;
    let reason: GoodwillReason = fields.must("reason")?;
    let text = fields.get("reason_text").filter(|_| reason == GoodwillReason::Other);
    if reason == GoodwillReason::Other && text.is_none() {
        return Err(ConsoleError::field("reason", desk.t.goodwill_text_missing()));
    }
    let caller = desk.caller(ConsoleAction::Issue)?;
    if !goodwill::is_meant(&desk.engine().campaign(&caller, &id).await?.campaign) {
        return Err(ConsoleError::field("campaign_id", desk.t.goodwill_not_meant()));
    }
    // A form that is sent again with another reason gives nothing more.
    let name = gift.to_string();
    let is_gift =
        |it: &CouponView| it.coupon.issue_ref().is_some_and(|it| it.as_str().ends_with(&name));
    let has = desk.coupons(Some(user.clone()), None).await?.coupons;
    if fields.get("newcomer").is_none()
        && has.is_empty()
        && refused_of(&desk, &user).await?.is_empty()
    {
        return Err(ConsoleError::field("user_id", desk.t.customer_is_unknown()));
    }
    let given = match has.into_iter().find(is_gift) {
        Some(view) => WriteResult::Same(view),
        None => {
            let reference = reason.reference(text, &name).parse();
            let wrong = |why: BadName| ConsoleError::field("reason", why.to_string());
            let reference: IssueRef = reference.map_err(wrong)?;
            desk.give_coupon(GiftSource::Stock(id, reference), user.clone()).await?
        }
    };
    desk.console.index.has_changed();
    let to_page = match &given {
        WriteResult::Created(_) => {
            format!("/console/customers/{}?done=issued", encoded(user.as_str()))
        }
        // They may have used it since: its page says so.
        WriteResult::Same(view) => format!("/console/coupons/{}?done=had", encoded(&view.code)),
    };
    desk.note_coupon(CouponNotes::ChangedBy(&caller), &given.into_inner().code).await;
    Ok(to(&to_page))
}
