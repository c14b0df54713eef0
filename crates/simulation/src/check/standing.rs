//! What stands: a name that was given a coupon, and an order that has used one, are known again
//! wherever they are asked for.

use coupon::apply::{Action, Asker, Outcome};
use coupon::coupon::EventKind;
use coupon::ids::{CampaignId, IssueRef, OrderRef, UserId};
use coupon::refusal::Refusal;

use super::ViolationList;
use super::authors::change_of;
use super::history::{RecordedAnswer, RecordedRequest};
use super::story::SeedStory;
use super::timeline::CouponTimeline;

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (nth, call) in story.calls.iter().enumerate() {
        let Some(change) = change_of(&call.asked) else { continue };
        let (RecordedAnswer::Applied(applied), Some(ended)) = (&call.told, call.ended_ms) else {
            continue;
        };
        let Outcome::Refused(refusal) = applied.outcome else { continue };
        let during = (call.began_ms, ended);
        let found = match (&call.asked, &change.action, &change.asker) {
            (
                RecordedRequest::Issue { campaign, .. },
                Action::Issue { to, reference: Some(name), .. },
                _,
            ) if !matches!(refusal, Refusal::NotIssuable) => {
                named(story, campaign, to, name, during)
            }
            (
                RecordedRequest::Shared { campaign, .. },
                Action::CancelRedemption { order, .. },
                Asker::User(user),
            ) if matches!(refusal, Refusal::NotFound | Refusal::NotRedeemed) => {
                redeemed(story, campaign, user, order, during)
            }
            _ => None,
        };
        if let Some((timeline, at)) = found {
            let (code, word) = (timeline.code, refusal.as_str());
            let what = format!("{code} answers for this request already, which got {word}");
            wrong.add(what, timeline.authors[at].all().chain([nth]));
        }
    }
}

/// The coupon that this name was given before, if the user surely had it all the time.
fn named<'s, 'a>(
    story: &'s SeedStory<'a>,
    campaign: &CampaignId,
    to: &UserId,
    name: &IssueRef,
    during: (u64, u64),
) -> Option<(&'s CouponTimeline<'a>, usize)> {
    let is_it = |timeline: &CouponTimeline<'_>, at: usize| {
        let by_name = match &timeline.coupon.events()[at].kind {
            EventKind::Issued { to: of, reference: Some(it), .. } => of == to && it == name,
            _ => false,
        };
        // A coupon that was asked for by its code, or imported, need not be in the claim yet.
        let mut authors = timeline.authors[at].calls.iter();
        by_name
            && authors.any(|nth| matches!(story.calls[*nth].asked, RecordedRequest::Issue { .. }))
            && surely(timeline, at, during, |it, state| it.lives[state].holder.as_ref() == Some(to))
    };
    let mut all = story.of_campaign(campaign).flat_map(each_event);
    all.find(|&(timeline, at)| is_it(timeline, at))
}

/// The coupon that the user surely redeemed for this order before, and that surely was redeemed for
/// it all the time; none if the order may have held another one by its own code, which comes first.
fn redeemed<'s, 'a>(
    story: &'s SeedStory<'a>,
    campaign: &CampaignId,
    user: &UserId,
    order: &OrderRef,
    during: (u64, u64),
) -> Option<(&'s CouponTimeline<'a>, usize)> {
    let holds = |action: &Action| match action {
        Action::Hold { by, order: of, .. } => by == user && of == order,
        _ => false,
    };
    let may_hold_another = story.calls.iter().any(|call| match &call.asked {
        RecordedRequest::Change { change, .. } => holds(&change.action),
        _ => false,
    });
    if may_hold_another {
        return None;
    }
    let is_it = |timeline: &CouponTimeline<'_>, at: usize| {
        let by_order = match &timeline.coupon.events()[at].kind {
            EventKind::Redeemed { by, order: of, .. } => by.as_ref() == Some(user) && of == order,
            _ => false,
        };
        let mut authors = timeline.authors[at].calls.iter();
        by_order
            && authors.any(|nth| matches!(story.calls[*nth].asked, RecordedRequest::Shared { .. }))
            && surely(timeline, at, during, |it, state| {
                it.lives[state].redeemed.as_ref().is_some_and(|(of, _)| of == order)
            })
    };
    let mut all = story.of_campaign(campaign).flat_map(each_event);
    all.find(|&(timeline, at)| is_it(timeline, at))
}

fn each_event<'s, 'a>(
    timeline: &'s CouponTimeline<'a>,
) -> impl Iterator<Item = (&'s CouponTimeline<'a>, usize)> {
    (0..timeline.windows.len()).map(move |at| (timeline, at))
}

/// Whether event `at` had surely happened before, and `holds` surely of each state until the end.
fn surely(
    timeline: &CouponTimeline<'_>,
    at: usize,
    (began, ended): (u64, u64),
    holds: impl Fn(&CouponTimeline<'_>, usize) -> bool,
) -> bool {
    let ends = (at..timeline.windows.len()).find(|event| !holds(timeline, event + 1));
    let until = ends.map_or(u64::MAX, |event| timeline.windows[event].from);
    timeline.windows[at].to < began && until > ended
}
