//! One customer: what they have, what they used, what was refused; and a coupon as goodwill.

use askama::Template;
use attempts::Wanted;
use axum::extract::Path;
use coupon::coupon::State;
use coupon::ids::{CampaignId, IssueRef, UserId};
use engine::{
    CouponFilter, CouponView, CursorPosition, ListOrder, ListRequest, ListView, WriteResult,
};

use crate::cursor;
use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::index::{CampaignSnapshot, CampaignTotals};
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::named;
use crate::screens::refused::AttemptRow;
use crate::text::IsolatedText;
use crate::trouble::ConsoleResult;

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
    campaigns: Vec<(String, String)>,
    /// Names the gift before it is made: a form that is sent twice gives one.
    gift: String,
    /// The call that returns everything that is known of them.
    known: String,
    curl: String,
}

pub(crate) async fn page(desk: PageContext, Path(user): Path<String>) -> ConsoleResult {
    let user: UserId = from_path(&user)?;
    let list = desk.coupons(Some(user.clone()), None).await?;
    let wanted = Wanted { user: Some(user.to_string()), ..Wanted::default() };
    let listed = desk.all_campaigns().await?;
    let campaigns =
        if desk.may(ConsoleAction::Issue) { offered(&desk, &listed) } else { Vec::new() };
    let gift = format!("console:{}", uuid::Uuid::now_v7());
    let path = format!("/v1/coupons?user_id={}&limit={PAGE}", encoded(user.as_str()));
    let page = CustomerPage {
        d: &desk,
        listed: &listed,
        coupons: list.coupons,
        next: list
            .next
            .as_ref()
            .map(|next| desk.with("cursor", &cursor::written(next.expires_at, &next.tie))),
        refused: desk.refused(wanted, &desk.zone).await?,
        campaigns,
        gift,
        known: desk.curl_get(&format!("/v1/people/{}", encoded(user.as_str()))),
        curl: desk.curl_get(&path),
        user: user.to_string(),
    };
    desk.page(&page)
}

fn offered(desk: &PageContext, listed: &CampaignSnapshot) -> Vec<(String, String)> {
    let has = listed.campaigns.iter().filter(|it| {
        desk.phase(it) == CampaignPhase::Running
            && it.available() > 0
            && matches!(it.campaign.handout.as_str(), "shop" | "self")
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
    let campaign: CampaignId = fields.must("campaign_id")?;
    let gift: IssueRef = fields.must("issue_ref")?;
    let caller = desk.caller(ConsoleAction::Issue)?;
    let given = desk.engine().issue(&caller, &campaign, Some(user.clone()), Some(gift)).await?;
    desk.console.index.has_changed();
    Ok(match given {
        WriteResult::Created(_) => {
            to(&format!("/console/customers/{}?done=issued", encoded(user.as_str())))
        }
        // They may have used it since: its page says so.
        WriteResult::Same(view) => {
            to(&format!("/console/coupons/{}?done=had", encoded(&view.code)))
        }
    })
}
