//! Limits: no user has too many coupons, and no campaign has more than its stock.

use std::collections::BTreeMap;

use coupon::apply::Action;
use coupon::ids::{CampaignId, UserId};

use super::authors::change_of;
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::names::may_have_replaced;
use super::story::SeedStory;
use super::timeline::CouponTimeline;
use super::{KnownCampaign, ViolationList};

/// A time in which a user surely had a coupon.
struct PossessionSpan<'a> {
    timeline: &'a CouponTimeline<'a>,
    /// The event that gave it to them.
    at: usize,
    from: u64,
    until: u64,
}

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (id, terms) in &story.known.campaigns {
        let all: Vec<_> = story.of_campaign(id).collect();
        let (count, stock) = (all.len(), terms.stock);
        if count as u64 > stock {
            wrong.add(format!("{id}: {count} coupons, and its stock is {stock}"), []);
        }
        let mut by_user: BTreeMap<&UserId, Vec<PossessionSpan<'_>>> = BTreeMap::new();
        for timeline in all {
            had(story, timeline, &mut by_user);
        }
        for (user, had) in by_user {
            above_limit(id, user, &had, terms, wrong);
        }
    }
}

/// When which users surely had this coupon, and it counted, by an issue that is refused at the
/// limit. Imports are not refused. A coupon that was replaced no longer counts, whatever becomes of
/// the one in its place.
fn had<'a>(
    story: &SeedStory<'_>,
    timeline: &'a CouponTimeline<'a>,
    by_user: &mut BTreeMap<&'a UserId, Vec<PossessionSpan<'a>>>,
) {
    let lives = &timeline.lives;
    let mut at = 0;
    while at < timeline.windows.len() {
        let begins = at;
        at += 1;
        let Some(user) = &lives[begins + 1].holder else { continue };
        if lives[begins].holder.as_ref() == Some(user) {
            continue;
        }
        while at < timeline.windows.len() && lives[at + 1].holder.as_ref() == Some(user) {
            at += 1;
        }
        if timeline.authors[begins].calls.is_empty() {
            continue;
        }
        let from = timeline.windows[begins].to;
        let until = timeline.windows.get(at).map_or(u64::MAX, |window| window.from);
        let replaced = replaced_from(story, timeline, user, from).unwrap_or(u64::MAX);
        let until = until.min(replaced);
        if from < until {
            by_user.entry(user).or_default().push(PossessionSpan {
                timeline,
                at: begins,
                from,
                until,
            });
        }
    }
}

/// The first instant at which `user` may have replaced a coupon that they had from `had_from` on.
fn replaced_from(
    story: &SeedStory<'_>,
    timeline: &CouponTimeline<'_>,
    user: &UserId,
    had_from: u64,
) -> Option<u64> {
    let may_be_it = |call: &&RecordedCall| {
        call.ended_ms.is_none_or(|ended| ended >= had_from)
            && may_have_replaced(call)
                .is_some_and(|(to, code)| to == user && code == timeline.code.as_str())
    };
    story.calls.iter().filter(may_be_it).map(|it| it.began_ms).min()
}

fn above_limit(
    id: &CampaignId,
    user: &UserId,
    had: &[PossessionSpan<'_>],
    terms: &KnownCampaign,
    wrong: &mut ViolationList<'_>,
) {
    let limit = usize::try_from(terms.per_user_limit).unwrap_or(usize::MAX);
    for one in had {
        let together: Vec<&PossessionSpan<'_>> =
            had.iter().filter(|it| it.from <= one.from && one.from < it.until).collect();
        if together.len() > limit {
            let codes: Vec<&str> = together.iter().map(|it| it.timeline.code.as_str()).collect();
            let what = format!(
                "{id}: {user} has {} at a time, and the limit is {limit}",
                codes.join(", ")
            );
            wrong.add(what, together.iter().flat_map(|it| it.timeline.authors[it.at].all()));
            return;
        }
    }
}

/// Why a call that was refused with LIMIT_PER_USER should not have been.
pub(super) fn below_limit(
    story: &SeedStory<'_>,
    nth: usize,
    campaign: &CampaignId,
    user: &UserId,
    terms: &KnownCampaign,
) -> Option<String> {
    if terms.changed {
        return None;
    }
    let (began, ended) = (story.calls[nth].began_ms, story.ended(nth));
    let theirs =
        |it: &&CouponTimeline<'_>| it.may(began, ended, |it| it.holder.as_ref() == Some(user));
    let count = story.of_campaign(campaign).filter(theirs).count();
    let limit = terms.per_user_limit;
    let beside = beside_it(story, nth, campaign);
    (((count + beside) as u64) < u64::from(limit)).then(|| {
        format!("{campaign}: {user} has {count} at most, the limit is {limit}: LIMIT_PER_USER")
    })
}

/// How many other coupons of the campaign the call wants: an order is refused if all of them together are too many.
fn beside_it(story: &SeedStory<'_>, nth: usize, campaign: &CampaignId) -> usize {
    let change = change_of(&story.calls[nth].asked);
    let Some(change) = change.filter(|it| matches!(it.action, Action::Redeem { .. })) else {
        return 0;
    };
    let of_order = story.calls.iter().find_map(|call| match (&call.asked, &call.told) {
        (RecordedRequest::Order { changes, .. }, RecordedAnswer::Order(all))
            if changes.iter().any(|(_, it)| it.operation == change.operation) =>
        {
            let campaigns = all.iter().filter_map(|it| Some(&it.snapshot.as_ref()?.campaign.id));
            Some(campaigns.filter(|it| *it == campaign).count())
        }
        _ => None,
    });
    of_order.map_or(0, |all| all.saturating_sub(1))
}
