//! Each answer: the coupon that it shows is such that the rules give this answer.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Day;
use cql_session::CLOCK_BOUND_MS;
use hot::{Applied, CouponSnapshot, Tier};

use super::authors::{change_of, leaves_event, makes, user_of};
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::life::{CouponLife, StateKind};
use super::limits;
use super::rules::{RulesAnswer, ShownCoupon, possible};
use super::story::SeedStory;
use super::{KnownCampaign, ViolationList};

/// A coupon with so many events is no stock: it could be issued and not redeemed.
const EVENTS_OF_STOCK_MAX: usize = 27;

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for (nth, call) in story.calls.iter().enumerate() {
        if call.ended_ms.is_none() {
            continue;
        }
        let what = match (&call.told, change_of(&call.asked)) {
            (RecordedAnswer::Damaged(why), _) => Some(format!("a damaged row: {why}")),
            (RecordedAnswer::Read(None), _) => missing(story, call),
            (RecordedAnswer::Applied(applied), Some(change)) => answer(story, nth, change, applied),
            (RecordedAnswer::Read(Some(snapshot)), _) => shows_itself(snapshot),
            (RecordedAnswer::Applied(_), None)
            | (
                RecordedAnswer::Order(_)
                | RecordedAnswer::Imported(_)
                | RecordedAnswer::NotDone(_)
                | RecordedAnswer::Unknown(_),
                _,
            ) => None,
        };
        wrong.found.extend(what.map(|what| super::Violation { what, calls: vec![nth] }));
    }
}

fn answer(story: &SeedStory<'_>, nth: usize, change: &Change, applied: &Applied) -> Option<String> {
    if let Some(what) = applied.snapshot.as_ref().and_then(shows_itself) {
        return Some(what);
    }
    match (&applied.outcome, &applied.snapshot) {
        (Outcome::Accepted(after), Some(snapshot)) if **after == snapshot.coupon => {
            accepted(story, nth, change, snapshot)
        }
        (Outcome::Accepted(after), shown) => {
            Some(format!("accepted as {after:?}, and {shown:?} is shown"))
        }
        (Outcome::Replayed, Some(snapshot)) => replayed(story, nth, change, snapshot),
        (Outcome::Replayed, None) => Some("a replay that shows no coupon".to_owned()),
        (Outcome::Refused(refusal), Some(snapshot)) => {
            refused_at(story, nth, change, snapshot, *refusal)
        }
        (Outcome::Refused(refusal), None) => refused(story, nth, change, *refusal),
    }
}

/// Whether a shown coupon is in the state that its events add up to.
fn shows_itself(snapshot: &CouponSnapshot) -> Option<String> {
    let coupon = &snapshot.coupon;
    let life = CouponLife::of(coupon.genesis(), coupon.events());
    let said = || format!("the state is not what the events say: {coupon:?}");
    (!life.is_that_of(coupon)).then(said)
}

/// A coupon that is there for certain is not found.
fn missing(story: &SeedStory<'_>, call: &RecordedCall) -> Option<String> {
    let (RecordedRequest::Read { code } | RecordedRequest::Change { code, .. }) = &call.asked
    else {
        return None;
    };
    is_missing(story, call, code)
}

fn is_missing(story: &SeedStory<'_>, call: &RecordedCall, code: &Code) -> Option<String> {
    let (since, by) = story.is_there_from(code)?;
    let said = by.map_or("minted before".to_owned(), |by| format!("call {by} showed it"));
    (since == 0 || since < call.began_ms).then(|| format!("{code} is not found: {said}"))
}

/// The answers that the rules may give on the coupon that is shown.
fn says_on<'a>(
    story: &SeedStory<'a>,
    change: &Change,
    snapshot: &CouponSnapshot,
) -> Option<(Vec<RulesAnswer>, &'a KnownCampaign)> {
    let coupon = &snapshot.coupon;
    let terms = story.campaign_of(coupon)?;
    let life = CouponLife::of(coupon.genesis(), coupon.events());
    let hold = (snapshot.tier == Tier::Hot).then(|| coupon.hold());
    let version = Some(coupon.version());
    let shown = ShownCoupon { life: &life, events: coupon.events(), version, hold };
    Some((possible(shown, change, terms), terms))
}

/// What an accepted change leaves. Whether it was admitted, [`super::legal`] checks for events.
fn accepted(
    story: &SeedStory<'_>,
    nth: usize,
    change: &Change,
    snapshot: &CouponSnapshot,
) -> Option<String> {
    let coupon = &snapshot.coupon;
    let code = coupon.code();
    if let RecordedRequest::Change { code: asked, .. } = &story.calls[nth].asked
        && asked != code
    {
        return Some(format!("a change of {asked} was made to {code}"));
    }
    if leaves_event(&change.action) {
        let is_there = coupon.events().last().is_some_and(|event| {
            event.operation == change.operation && makes(&change.action, &event.kind)
        });
        return (!is_there).then(|| format!("{code}: the accepted change is not its last event"));
    }
    let is_done = match (&change.action, coupon.hold()) {
        (Action::Hold { by, order, until, .. }, Some(hold)) => {
            hold.by == *by
                && hold.order == *order
                && hold.operation == change.operation
                && hold.until <= *until
        }
        (Action::Release { .. }, None) => true,
        _ => false,
    };
    if !is_done {
        return Some(format!("{code}: the accepted change is not in its hold"));
    }
    let terms = story.campaign_of(coupon)?;
    let timeline = story.timelines.get(code)?;
    let life = CouponLife::of(coupon.genesis(), coupon.events());
    let hold = timeline.hold_before(coupon.version());
    let events = coupon.events();
    let version = coupon.version().checked_sub(1);
    let says = possible(ShownCoupon { life: &life, events, version, hold }, change, terms);
    let is_new = events.last().is_some_and(|event| event.operation == change.operation);
    (!says.contains(&RulesAnswer::Accept) && !is_new)
        .then(|| format!("{code}: accepted, and the rules say {says:?}"))
}

fn replayed(
    story: &SeedStory<'_>,
    nth: usize,
    change: &Change,
    snapshot: &CouponSnapshot,
) -> Option<String> {
    let coupon = &snapshot.coupon;
    let code = coupon.code();
    if let (RecordedRequest::Issue { campaign, .. }, Some(user)) =
        (&story.calls[nth].asked, user_of(&change.action))
    {
        let is_theirs = coupon.holder() == Some(user);
        // One that still works is returned in place of its replacement, by any campaign.
        let is_of_campaign = coupon.genesis().campaign == *campaign || replaces(&change.action);
        return (!is_theirs || !is_of_campaign)
            .then(|| format!("{code} is returned to {user}, who does not have it"));
    }
    let (says, _) = says_on(story, change, snapshot)?;
    // Its own change, met again by the store.
    let is_own = coupon.events().iter().any(|event| event.operation == change.operation)
        || coupon.hold().is_some_and(|hold| hold.operation == change.operation);
    (!says.contains(&RulesAnswer::Replay) && !is_own)
        .then(|| format!("{code}: a replay, and the rules say {says:?}"))
}

fn refused_at(
    story: &SeedStory<'_>,
    nth: usize,
    change: &Change,
    snapshot: &CouponSnapshot,
    refusal: Refusal,
) -> Option<String> {
    let (coupon, word) = (&snapshot.coupon, refusal.as_str());
    let code = coupon.code();
    if let RecordedRequest::Issue { .. } = story.calls[nth].asked {
        // Of a coupon that is to be replaced.
        return None;
    }
    let (says, terms) = says_on(story, change, snapshot)?;
    if says.contains(&RulesAnswer::Refuse(word)) {
        return None;
    }
    let is_admitted = says.contains(&RulesAnswer::Accept);
    let is_justified = match refusal {
        Refusal::LimitPerUser if is_admitted => {
            let user = user_of(&change.action)?;
            let campaign = &coupon.genesis().campaign;
            return limits::below_limit(story, nth, campaign, user, terms);
        }
        // What the user was being given before cannot be finished at the moment.
        Refusal::Paused | Refusal::IssueClosed { .. } => may_not_issue(change, terms),
        Refusal::Expired | Refusal::CancelClosed | Refusal::ExpiryDayClosed => {
            word == by_seal(&change.action) && may_be_sealed(change, snapshot, terms)
        }
        _ => false,
    };
    (!is_admitted || !is_justified)
        .then(|| format!("{code}: refused with {word}, and the rules say {says:?}"))
}

/// Whether the campaign may have been paused, or have issued nothing at the time.
fn may_not_issue(change: &Change, terms: &KnownCampaign) -> bool {
    terms.changed
        || terms.issue_from.is_some_and(|from| change.at < from)
        || terms.issue_until.is_some_and(|until| change.at >= until)
}

/// The answer to a change that the rules admit and the seal of the partition does not.
fn by_seal(action: &Action) -> &'static str {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => "EXPIRED",
        Action::CancelRedemption { .. } => "CANCEL_CLOSED",
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => "EXPIRY_DAY_CLOSED",
    }
}

/// Whether the partition of the coupon, or the one it is to move to, may be closing by some clock.
fn may_be_sealed(change: &Change, snapshot: &CouponSnapshot, terms: &KnownCampaign) -> bool {
    let latest = change.at.plus_ms(2 * CLOCK_BOUND_MS);
    let day = Day::expiry_day_of(snapshot.coupon.genesis().expires_at);
    let open_days = terms.cancel_days.max(terms.extend_days);
    let later_day = match &change.action {
        Action::Extend { expires_at, .. } => latest >= Day::expiry_day_of(*expires_at).end(),
        _ => false,
    };
    latest >= day.end().plus_days(open_days) || later_day
}

/// Whether it is an issue that replaces a coupon.
fn replaces(action: &Action) -> bool {
    match action {
        Action::Issue { reference: Some(name), .. } => name.replaces().is_some(),
        _ => false,
    }
}

/// A refusal that shows no coupon.
fn refused(story: &SeedStory<'_>, nth: usize, change: &Change, refusal: Refusal) -> Option<String> {
    let call = &story.calls[nth];
    let campaign = match &call.asked {
        RecordedRequest::Change { code, .. } => {
            return match refusal {
                Refusal::NotFound => is_missing(story, call, code),
                other => Some(format!("{code}: {} without a coupon", other.as_str())),
            };
        }
        RecordedRequest::Issue { campaign, .. } | RecordedRequest::Shared { campaign, .. } => {
            campaign
        }
        RecordedRequest::Order { .. }
        | RecordedRequest::Read { .. }
        | RecordedRequest::Import { .. } => return None,
    };
    let terms = story.known.campaigns.get(campaign)?;
    let is_shared = matches!(call.asked, RecordedRequest::Shared { .. });
    let replaces = replaces(&change.action);
    let is_justified = match refusal {
        Refusal::LimitPerUser => {
            let user = user_of(&change.action)?;
            return limits::below_limit(story, nth, campaign, user, terms);
        }
        Refusal::SoldOut => return was_left(story, nth, change, campaign, terms),
        Refusal::NameTaken => replaces || may_be_spent(story, nth, change, campaign),
        Refusal::NotIssuable => terms.bearer || (replaces && change.asker != Asker::Shop),
        Refusal::Paused | Refusal::IssueClosed { .. } => may_not_issue(change, terms),
        Refusal::Expired => {
            let latest = change.at.plus_ms(CLOCK_BOUND_MS);
            // A campaign that is over says so, whatever is left of its stock.
            latest >= terms.expires_at
                || story
                    .of_campaign(campaign)
                    .any(|it| it.lives.iter().any(|life| latest >= life.expires_at))
        }
        Refusal::NotStarted { .. } => story
            .of_campaign(campaign)
            .any(|it| change.at < it.coupon.genesis().valid_from.plus_ms(CLOCK_BOUND_MS)),
        Refusal::RedemptionCancelled if is_shared => was_tried(story, nth, change, campaign),
        Refusal::NotFound if is_shared => user_of(&change.action).is_none(),
        Refusal::NotFound => replaces,
        _ => false,
    };
    (!is_justified).then(|| format!("{campaign}: refused with {} for no reason", refusal.as_str()))
}

/// The name of an issue is spent if a coupon of the user was revoked.
fn may_be_spent(story: &SeedStory<'_>, nth: usize, change: &Change, campaign: &CampaignId) -> bool {
    let (user, ended) = (user_of(&change.action), story.ended(nth));
    story.of_campaign(campaign).any(|it| {
        it.lives.windows(2).zip(&it.windows).any(|(lives, window)| {
            let was_theirs = user.is_some() && lives[0].holder.as_ref() == user;
            was_theirs && lives[1].holder.as_ref() != user && window.from <= ended
        })
    })
}

/// What a shared code hands out may be a coupon that came back, and that somebody's cancelled
/// redemption for an order of this name was about: rule 5 knows no users.
fn was_tried(story: &SeedStory<'_>, nth: usize, change: &Change, campaign: &CampaignId) -> bool {
    let (Action::Redeem { order, .. } | Action::Hold { order, .. }) = &change.action else {
        return false;
    };
    let (began, ended) = (story.calls[nth].began_ms, story.ended(nth));
    story.of_campaign(campaign).any(|it| {
        let events = it.coupon.events();
        let cancelled = events.iter().position(|event| {
            matches!(&event.kind, EventKind::RedemptionCancelled { order: of, .. } if of == order)
        });
        let mut lives = it.lives.iter().enumerate();
        lives.any(|(shown, life)| {
            life.kind == StateKind::Available
                && cancelled.is_some_and(|at| at < shown)
                && it.may_be(shown, began, ended)
        })
    })
}

/// A coupon that was surely available all the time that a call took which got SOLD_OUT.
fn was_left(
    story: &SeedStory<'_>,
    nth: usize,
    change: &Change,
    campaign: &CampaignId,
    terms: &KnownCampaign,
) -> Option<String> {
    if terms.bearer || terms.changed {
        return None;
    }
    let (began, ended) = (story.calls[nth].began_ms, story.ended(nth));
    let took = i64::try_from(ended.saturating_sub(began)).unwrap_or(i64::MAX);
    let latest = change.at.plus_ms(took).plus_ms(CLOCK_BOUND_MS);
    let left = story.of_campaign(campaign).find(|it| {
        let is_there =
            story.is_there_from(it.code).is_some_and(|(since, _)| since == 0 || since < began);
        let is_open = |(events, life): (usize, &CouponLife)| {
            life.kind == StateKind::Available
                && latest < life.expires_at
                && events <= EVENTS_OF_STOCK_MAX
                && it.surely_is(events, began, ended)
        };
        is_there && it.tier == Tier::Hot && it.lives.iter().enumerate().any(is_open)
    });
    left.map(|it| format!("{campaign}: SOLD_OUT while {} was available", it.code))
}
