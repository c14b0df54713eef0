//! The event feed: every accepted change is in it, those of one coupon in the order of their versions,
//! and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use coupon::apply::{Action, Outcome};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind};
use hot::Tier;
use hot::feed::{CouponEventKind, CouponHappened, FeedEvent, Happened};

use super::ViolationList;
use super::authors::{change_of, may_have_changed};
use super::history::RecordedAnswer;
use super::story::SeedStory;
use super::timeline::CouponTimeline;

/// Most events that the first line of an import makes of a coupon.
const IMPORTED_MAX: usize = 2;

/// So many versions later a coupon does not say any more which hold it had.
const HOLDS_KNOWN: u64 = 32;

type OfCoupon<'a> = Vec<(&'a FeedEvent, &'a CouponHappened)>;

/// What one reader was told of one coupon.
struct ToldCoupon<'a> {
    name: &'a str,
    timeline: &'a CouponTimeline<'a>,
    /// Each where it came first.
    events: OfCoupon<'a>,
}

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (nth, events) in story.end.feeds.iter().enumerate() {
        let name = format!("reader {nth} of the feed");
        let mut known = BTreeSet::new();
        let mut coupons: BTreeMap<&Code, OfCoupon<'_>> = BTreeMap::new();
        for event in events {
            if let Happened::Coupon(happened) = &event.happened
                && known.insert(event.id)
            {
                coupons.entry(&happened.code).or_default().push((event, happened));
            }
        }
        for (code, events) in &coupons {
            if !story.timelines.contains_key(*code) {
                let told: Vec<String> = events.iter().map(|it| line(it.0, it.1)).collect();
                wrong.add(format!("{name}: {code} is no coupon, read were {told:?}"), []);
            }
        }
        for timeline in story.timelines.values() {
            let events = coupons.remove(timeline.code).unwrap_or_default();
            let told = ToldCoupon { name: &name, timeline, events };
            history(story, &told, wrong);
            order(&told, wrong);
            holds_happened(story, &told, wrong);
            holds_are_there(story, &told, wrong);
        }
    }
}

fn is_hold(kind: CouponEventKind) -> bool {
    matches!(kind, CouponEventKind::Held | CouponEventKind::Released)
}

/// The events are those of the history, without what an import has brought.
fn history(story: &SeedStory<'_>, told: &ToldCoupon<'_>, wrong: &mut ViolationList<'_>) {
    let ToldCoupon { name, timeline, events } = told;
    let told: Vec<_> = events.iter().filter(|(_, it)| !is_hold(it.kind)).collect();
    let all = timeline.coupon.events();
    let imported = match story.lines.contains_key(timeline.code) {
        true => IMPORTED_MAX.min(all.len()),
        false => 0,
    };
    let is_by_import = |at: &usize| timeline.authors[*at].calls.is_empty();
    let imported = (0..imported).take_while(is_by_import).count();
    let is_told = |from: &usize| {
        let rest = &all[*from..];
        // Cold does not say which write made an event: that of a line comes at the place of an earlier try of it, also
        // before the issue that another process has made of that try.
        let is_of_tries = timeline.tier == Tier::Cold
            && rest.iter().all(|it| it.operation == rest[0].operation)
            && rest.iter().all(|one| told.iter().any(|it| is_same(one, it.0, it.1)));
        let are_same = || rest.iter().zip(&told).all(|(one, it)| is_same(one, it.0, it.1));
        rest.len() == told.len() && (is_of_tries || are_same())
    };
    if (0..=imported).any(|from| is_told(&from)) {
        return;
    }
    let told: Vec<String> = told.iter().map(|it| line(it.0, it.1)).collect();
    let want: Vec<String> =
        all.iter().map(|it| format!("{} at {}", it.kind.as_str(), it.at.0)).collect();
    let what = format!("{name}: {} has the events {want:?}, read were {told:?}", timeline.code);
    wrong.add(what, timeline.authors.iter().flat_map(|it| it.calls.iter().copied()));
}

fn line(event: &FeedEvent, it: &CouponHappened) -> String {
    format!("{:?} {} at {}", it.kind, it.version, event.at.0)
}

fn is_same(event: &Event, told: &FeedEvent, it: &CouponHappened) -> bool {
    let kind = match event.kind {
        EventKind::Issued { .. } => CouponEventKind::Issued,
        EventKind::Redeemed { .. } => CouponEventKind::Redeemed,
        EventKind::RedemptionCancelled { .. } => CouponEventKind::RedemptionCancelled,
        EventKind::Revoked { .. } => CouponEventKind::Revoked,
        EventKind::Voided { .. } => CouponEventKind::Voided,
        EventKind::Extended { .. } => CouponEventKind::Extended,
    };
    let user = match &event.kind {
        EventKind::Issued { to: user, .. } | EventKind::Revoked { from: user, .. } => Some(user),
        EventKind::Redeemed { by, .. } => by.as_ref(),
        _ => None,
    };
    let worth = match &event.kind {
        EventKind::Redeemed { worth, .. } => Some(worth.as_deref().copied()),
        _ => None,
    };
    kind == it.kind
        && (event.at, &event.actor) == (told.at, &told.actor)
        && user.is_none_or(|user| it.user.as_ref() == Some(user))
        && worth.is_none_or(|worth| it.worth == worth)
}

/// Versions rise, and are those that answers have shown.
fn order(told: &ToldCoupon<'_>, wrong: &mut ViolationList<'_>) {
    let ToldCoupon { name, timeline, events } = told;
    let (code, coupon) = (timeline.code, timeline.coupon);
    for pair in events.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        // Who goes back may get the hold of an archived coupon that one process remembers, and others never knew.
        let is_remembered = timeline.tier == Tier::Cold && is_hold(other.1.kind);
        if one.1.version > other.1.version && !is_remembered {
            let (one, other) = (line(one.0, one.1), line(other.0, other.1));
            wrong.add(format!("{name}: {code}: {other} came after {one}"), []);
        }
    }
    for (event, it) in events {
        // One caller may do the same to a coupon twice at one instant, with a revocation between.
        let same =
            (0..coupon.events().len()).filter(|at| is_same(&coupon.events()[*at], event, it));
        let versions: Vec<_> = same.map(|at| timeline.version_of_event(at)).collect();
        // Cold does not say which version an event made: a try that was refused has an earlier one.
        let fits = |version: u64| match timeline.tier {
            Tier::Hot => it.version == version,
            Tier::Cold => it.version <= version,
        };
        let fits_one = versions.iter().any(|version| version.is_none_or(fits));
        let is_right = fits_one || versions.is_empty() || is_hold(it.kind);
        if !is_right || it.version > coupon.version() {
            let what = line(event, it);
            wrong.add(format!("{name}: {code}: {what} made the version {versions:?}"), []);
        }
    }
}

/// Somebody asked for each hold and each release, and may have got it.
fn holds_happened(story: &SeedStory<'_>, told: &ToldCoupon<'_>, wrong: &mut ViolationList<'_>) {
    let ToldCoupon { name, timeline, events } = told;
    for (event, it) in events.iter().filter(|(_, it)| is_hold(it.kind)) {
        let asked = story.calls.iter().any(|call| {
            let Some(change) = change_of(&call.asked) else { return false };
            let kind = match &change.action {
                Action::Hold { .. } => CouponEventKind::Held,
                Action::Release { .. } => CouponEventKind::Released,
                _ => return false,
            };
            kind == it.kind
                && (change.at, &change.actor) == (event.at, &event.actor)
                && may_have_changed(call)
        });
        if !asked {
            let what = line(event, it);
            wrong.add(format!("{name}: {}: {what} has not happened", timeline.code), []);
        }
    }
}

/// Each hold that was acknowledged is there, unless the coupon has forgotten it.
fn holds_are_there(story: &SeedStory<'_>, told: &ToldCoupon<'_>, wrong: &mut ViolationList<'_>) {
    let ToldCoupon { name, timeline, events } = told;
    if timeline.tier == Tier::Cold {
        return;
    }
    for (nth, call) in story.calls.iter().enumerate() {
        let (Some(change), RecordedAnswer::Applied(applied)) = (change_of(&call.asked), &call.told)
        else {
            continue;
        };
        let Outcome::Accepted(after) = &applied.outcome else { continue };
        let after: &Coupon = after;
        let is_hold = matches!(change.action, Action::Hold { .. } | Action::Release { .. });
        let is_forgotten = after.version() + HOLDS_KNOWN <= timeline.coupon.version();
        if !is_hold || after.code() != timeline.code || is_forgotten {
            continue;
        }
        if !events.iter().any(|(event, it)| {
            (it.version, event.at) == (after.version(), change.at) && self::is_hold(it.kind)
        }) {
            let (code, version) = (timeline.code, after.version());
            wrong.add(format!("{name}: {code}: the hold of version {version} is missing"), [nth]);
        }
    }
}
