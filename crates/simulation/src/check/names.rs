//! Names that callers give: one name, one coupon.

use std::collections::{BTreeMap, BTreeSet};

use coupon::apply::{Action, Asker, Outcome};
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::{CampaignId, IssueRef, OrderRef, UserId};

use super::ViolationList;
use super::authors::change_of;
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::story::SeedStory;

/// A name of a user that is kept after so many others.
const NAMES_OF_USER_MAX: usize = 16;

/// The name of a request in a campaign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RequestName<'a> {
    Issue(&'a IssueRef),
    /// Through a shared code.
    Order(&'a OrderRef),
}

type NameKey<'a> = (&'a CampaignId, &'a UserId, RequestName<'a>);

/// The coupons of each name, and the calls that say so.
type NamedCoupons<'a> = BTreeMap<NameKey<'a>, Vec<(&'a Code, usize)>>;

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    replaced(story, wrong);
    let mut named = NamedCoupons::new();
    told(story, &mut named);
    made(story, &mut named);
    for ((campaign, user, name), coupons) in named {
        let codes: BTreeSet<&str> = coupons.iter().map(|(code, _)| code.as_str()).collect();
        if codes.len() > 1 {
            let codes: Vec<&str> = codes.into_iter().collect();
            let name = match name {
                RequestName::Issue(reference) => format!("issue_ref {reference}"),
                RequestName::Order(order) => format!("order_ref {order}"),
            };
            let what = format!("{campaign}: {user}, {name} has {}", codes.join(" and "));
            wrong.add(what, coupons.iter().map(|(_, nth)| *nth));
        }
    }
}

/// The code that an issue of this name replaces, in one spelling: of a text that names a coupon,
/// spaces, hyphens and case say nothing.
pub(crate) fn replaced_by(name: &IssueRef) -> Option<String> {
    let text = name.replaces()?;
    let bare = text.chars().filter(|it| !matches!(it, ' ' | '-'));
    Some(bare.map(|it| it.to_ascii_uppercase()).collect())
}

/// The coupon that a call may have replaced, and for whom. The right to it is won before the other coupon is issued, and
/// is not given back. A refusal that shows a coupon shows the one that was not replaced.
pub(crate) fn may_have_replaced(call: &RecordedCall) -> Option<(&UserId, String)> {
    let Action::Issue { to, reference: Some(name), .. } = &change_of(&call.asked)?.action else {
        return None;
    };
    let is_refused = match &call.told {
        RecordedAnswer::Applied(it) => {
            matches!(it.outcome, Outcome::Refused(_)) && it.snapshot.is_some()
        }
        _ => false,
    };
    let code = replaced_by(name).filter(|_| call.ended_ms.is_none() || !is_refused)?;
    Some((to, code))
}

/// However often, under whatever spelling and in whatever campaign somebody asks for the replacement
/// of a coupon: one coupon is issued for it.
fn replaced(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    let mut issued: BTreeMap<String, BTreeMap<&Code, Vec<usize>>> = BTreeMap::new();
    for timeline in story.timelines.values() {
        for (event, authors) in timeline.coupon.events().iter().zip(&timeline.authors) {
            let EventKind::Issued { reference: Some(name), .. } = &event.kind else { continue };
            let Some(code) = replaced_by(name) else { continue };
            issued.entry(code).or_default().entry(timeline.code).or_default().extend(authors.all());
        }
    }
    for (code, by) in issued.into_iter().filter(|(_, by)| by.len() > 1) {
        let codes: Vec<&str> = by.keys().map(|it| it.as_str()).collect();
        let what = format!("{code} was replaced more than once: by {}", codes.join(" and "));
        wrong.add(what, by.into_values().flatten());
    }
}

/// The name under which a call gets one coupon for ever.
fn key_of<'a>(story: &SeedStory<'a>, nth: usize) -> Option<NameKey<'a>> {
    let calls: &'a [_] = story.calls;
    let asked = &calls[nth].asked;
    let change = change_of(asked)?;
    match (asked, &change.action) {
        // A coupon that still works is returned in place of its replacement.
        (
            RecordedRequest::Issue { campaign, .. },
            Action::Issue { to, reference: Some(name), .. },
        ) if name.replaces().is_none() => Some((campaign, to, RequestName::Issue(name))),
        (RecordedRequest::Shared { campaign, .. }, Action::Redeem { by, order, .. }) => {
            Some((campaign, by, RequestName::Order(order)))
        }
        _ => None,
    }
}

/// The coupons that an order was to hold or redeem by their own codes: through the shared code the same
/// order may get one of these, too, for it takes a coupon that is held for it.
fn by_their_codes<'a>(story: &SeedStory<'a>) -> BTreeSet<(&'a Code, &'a UserId, &'a OrderRef)> {
    let calls: &'a [_] = story.calls;
    let named = calls.iter().filter_map(|call| match &call.asked {
        RecordedRequest::Change { code, change } => match &change.action {
            Action::Redeem { by, order, .. } | Action::Hold { by, order, .. } => {
                Some((code, by, order))
            }
            _ => None,
        },
        _ => None,
    });
    named.collect()
}

/// What answers show.
fn told<'a>(story: &SeedStory<'a>, named: &mut NamedCoupons<'a>) {
    let by_their_codes = by_their_codes(story);
    let mut names: BTreeMap<(&CampaignId, &UserId), BTreeSet<RequestName<'_>>> = BTreeMap::new();
    let calls: &'a [_] = story.calls;
    for (nth, call) in calls.iter().enumerate().filter(|(_, call)| call.ended_ms.is_some()) {
        let (Some(key), RecordedAnswer::Applied(applied)) = (key_of(story, nth), &call.told) else {
            continue;
        };
        if matches!(applied.outcome, Outcome::Refused(_)) {
            continue;
        }
        let (campaign, user, name) = key;
        let given = names.entry((campaign, user)).or_default();
        given.insert(name);
        let is_of_user = change_of(&call.asked).is_some_and(|change| change.asker != Asker::Shop);
        if is_of_user && given.len() > NAMES_OF_USER_MAX {
            continue;
        }
        if let Some(snapshot) = &applied.snapshot {
            let code = snapshot.coupon.code();
            if let RequestName::Order(order) = name
                && by_their_codes.contains(&(code, user, order))
            {
                continue;
            }
            named.entry(key).or_default().push((snapshot.coupon.code(), nth));
        }
    }
}

/// What the histories show, also of calls that were not answered.
fn made<'a>(story: &SeedStory<'a>, named: &mut NamedCoupons<'a>) {
    let by_their_codes = by_their_codes(story);
    for timeline in story.timelines.values() {
        for (event, authors) in timeline.coupon.events().iter().zip(&timeline.authors) {
            for nth in &authors.calls {
                let Some(key) = key_of(story, *nth) else { continue };
                let is_it = match (key.2, &event.kind) {
                    (RequestName::Issue(_), EventKind::Issued { .. }) => true,
                    (RequestName::Order(order), EventKind::Redeemed { .. }) => {
                        !by_their_codes.contains(&(timeline.code, key.1, order))
                    }
                    _ => false,
                };
                if is_it {
                    named.entry(key).or_default().push((timeline.code, *nth));
                }
            }
        }
    }
}
