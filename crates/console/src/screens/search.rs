//! One box for everything: a code in any spelling, a customer, an order, a campaign.

use std::sync::Arc;

use askama::Template;
use attempts::Wanted;
use coupon::code::{CROCKFORD, CodeText, MINTED_LEN, half_width};
use coupon::ids::{OrderRef, UserId};
use engine::{CampaignView, Engine, Failure, RedemptionListRequest};

use crate::desk::{PageContext, to};
use crate::fields::encoded;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::fits;
use crate::screens::refused::AttemptRow;
use crate::text::IsolatedText;
use crate::trouble::{ConsoleError, ConsoleResult};

const CAMPAIGNS: usize = 8;

const REDEMPTIONS: usize = 50;

/// Codes with two wrong characters that are looked up.
const MEANT_MAX: usize = 8;

/// Fewest characters that are taken for a part of a code: one group, as codes are printed.
const PART_MIN: usize = 4;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    d: &'a PageContext,
    q: &'a str,
    /// A customer with coupons or refused attempts, and how to say so.
    customer: Option<String>,
    /// What the order has redeemed: the code, and a sentence.
    redeemed: Vec<(String, String)>,
    /// The id, the name, and what a coupon is worth.
    campaigns: Vec<(String, String, Option<String>)>,
    meant: Option<String>,
    refused: Vec<AttemptRow>,
    is_empty: bool,
    /// What to do with half a code.
    part: Option<String>,
    /// A name that nobody has yet, to whom a coupon can be given.
    newcomer: Option<UserId>,
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let q = desk.query.shown("q");
    let mut found = SearchPage {
        d: &desk,
        q,
        customer: None,
        redeemed: Vec::new(),
        campaigns: Vec::new(),
        meant: None,
        refused: Vec::new(),
        is_empty: false,
        part: None,
        newcomer: None,
    };
    if q.is_empty() {
        return desk.page(&found);
    }
    let typed = half_width(q);
    let text = typed.parse::<CodeText>().ok();
    if let Some(text) = &text {
        match desk.engine().coupon(&desk.reader()?, text, None).await {
            Ok(view) => return Ok(to(&format!("/console/coupons/{}", encoded(&view.code)))),
            Err(Failure::Refused { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    found.redeemed = of_order(&desk, q).await?;
    found.customer = customer(&desk, q).await?;
    found.campaigns = campaigns(&desk, q).await?;
    if let Some(text) = &text {
        found.meant = meant(&desk, text).await?;
        found.refused = of_code(&desk, text).await?;
    }
    if let Ok(order) = q.parse::<OrderRef>() {
        let wanted = Wanted { order: Some(order.to_string()), ..Wanted::default() };
        found.refused.extend(desk.refused(wanted, &desk.zone).await?);
    }
    if let Some(only) = found.only() {
        return Ok(to(&only));
    }
    found.is_empty = found.customer.is_none()
        && found.redeemed.is_empty()
        && found.campaigns.is_empty()
        && found.meant.is_none()
        && found.refused.is_empty();
    if found.is_empty {
        found.part = part_of_code(&typed).map(|characters| desk.t.half_a_code(characters));
        let is_newcomer = desk.may(ConsoleAction::Issue) && !looks_like_code(&typed);
        found.newcomer = q.parse().ok().filter(|_| is_newcomer);
    }
    desk.page(&found)
}

impl SearchPage<'_> {
    /// The page of what was found, if that is one thing: what was meant and not found is none.
    fn only(&self) -> Option<String> {
        let is_sure = self.meant.is_none() && self.refused.is_empty();
        match (&self.customer, self.redeemed.as_slice(), self.campaigns.as_slice()) {
            _ if !is_sure => None,
            (Some(_), [], []) => Some(format!("/console/customers/{}", encoded(self.q))),
            (None, [(code, _)], []) => Some(format!("/console/coupons/{}", encoded(code))),
            (None, [], [(id, ..)]) => Some(format!("/console/campaigns/{}", encoded(id))),
            _ => None,
        }
    }
}

async fn of_order(desk: &PageContext, q: &str) -> ConsoleResult<Vec<(String, String)>> {
    let Ok(order) = q.parse::<OrderRef>() else { return Ok(Vec::new()) };
    let request = RedemptionListRequest {
        order: Some(order),
        zone: Some(desk.zone.clone()),
        limit: REDEMPTIONS,
        ..RedemptionListRequest::default()
    };
    let found = desk.engine().redemptions(&desk.reader()?, request).await?;
    let rows = found.map(|found| found.redemptions).unwrap_or_default();
    let row = |entry: engine::RedemptionEntry| {
        let at = desk.at(&entry.redemption.at);
        let said = match entry.redemption.cancelled_at {
            None => desk.t.order_redeemed(at, IsolatedText(&entry.campaign_name)),
            Some(_) => desk.t.order_cancelled(at, IsolatedText(&entry.campaign_name)),
        };
        let said = desk.t.with_amounts(said, entry.redemption.worth.as_ref());
        (entry.code, said)
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn customer(desk: &PageContext, q: &str) -> ConsoleResult<Option<String>> {
    let Ok(user) = q.parse::<UserId>() else { return Ok(None) };
    let list = desk.coupons(Some(user.clone()), None).await?;
    let (t, count) = (desk.t, list.coupons.len() as u64);
    if count == 0 {
        let wanted = Wanted { user: Some(user.to_string()), ..Wanted::default() };
        let refused = desk.refused(wanted, &desk.zone).await?;
        return Ok((!refused.is_empty()).then(|| t.has_only_refused().to_owned()));
    }
    Ok(Some(match list.next {
        None => t.has_coupons(count),
        Some(_) => t.has_many_coupons().to_owned(),
    }))
}

async fn campaigns(
    desk: &PageContext,
    q: &str,
) -> ConsoleResult<Vec<(String, String, Option<String>)>> {
    let wanted = q.to_lowercase();
    let listed = desk.all_campaigns().await?;
    let fitting = listed.campaigns.iter().filter(|it| fits(it, &wanted));
    let shown = fitting.take(CAMPAIGNS).map(|CampaignView { campaign, .. }| {
        let worth = desk.t.worth(&campaign.worth);
        (campaign.id.to_string(), campaign.name.clone(), worth)
    });
    Ok(shown.collect())
}

/// The code that was meant, if there is such a coupon.
async fn meant(desk: &PageContext, text: &CodeText) -> ConsoleResult<Option<String>> {
    let (engine, typed) = (Arc::clone(desk.engine()), text.clone());
    let codes = tokio::task::spawn_blocking(move || codes_meant(&engine, &typed)).await;
    for code in codes.map_err(|_| ConsoleError::Broken)? {
        let Ok(text) = code.parse() else { continue };
        match desk.engine().coupon(&desk.reader()?, &text, None).await {
            Ok(view) => return Ok(Some(view.code)),
            Err(Failure::Refused { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

/// The code with one wrong character that may be meant; else those with two, which take some 50 ms. Of the latter one
/// in a few hundred is no coupon: a random text fits the check of a code as often.
fn codes_meant(engine: &Engine, text: &CodeText) -> Vec<String> {
    if let Some(code) = engine.meant(text) {
        return vec![code];
    }
    let Some(typed) = text.minted() else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    for at in 0..MINTED_LEN {
        for character in CROCKFORD.map(char::from) {
            let mut other = typed.as_str().to_owned();
            other.replace_range(at..=at, character.encode_utf8(&mut [0; 1]));
            let code = other.parse::<CodeText>().ok().and_then(|other| engine.meant(&other));
            found.extend(code.filter(|code| !found.contains(code)));
        }
    }
    found.truncate(MEANT_MAX);
    found
}

/// How many characters of a minted code somebody has, if they have a part of one.
fn part_of_code(q: &str) -> Option<u64> {
    let characters = q.chars().filter(|c| c.is_ascii_alphanumeric()).count();
    let is_code = q.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == ' ');
    let has_digit = q.bytes().any(|byte| byte.is_ascii_digit());
    let is_part = is_code && has_digit && (PART_MIN..MINTED_LEN).contains(&characters);
    is_part.then_some(characters as u64)
}

/// Whether half a code is no name: it has letters as codes have them, in capitals or in groups of four.
fn looks_like_code(q: &str) -> bool {
    let is_drawn = !q.to_ascii_uppercase().contains(['I', 'L', 'O', 'U']);
    let is_grouped = q.contains('-') && q.split('-').all(|group| group.len() == PART_MIN);
    let is_capital = !q.contains(|c: char| c.is_ascii_lowercase());
    let is_printed = q.contains(|c: char| c.is_ascii_alphabetic()) && (is_capital || is_grouped);
    part_of_code(q).is_some() && is_drawn && is_printed
}

/// What was refused with a code that no coupon has, of which only a part is kept.
async fn of_code(desk: &PageContext, text: &CodeText) -> ConsoleResult<Vec<AttemptRow>> {
    let shown = desk.engine().printed_text(text);
    let codes = Some(vec![attempts::masked(&shown), shown]);
    desk.refused(Wanted { codes, ..Wanted::default() }, &desk.zone).await
}
