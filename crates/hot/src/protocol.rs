//! What every store decides in the same way, whatever its rows look like.

use std::borrow::Cow;

use coupon::apply::{Action, Asker, Change, HOLD_PAST_EXPIRY_MS};
use coupon::campaign::{Campaign, Handout};
use coupon::code::{Code, CodeText};
use coupon::coupon::{Coupon, EVENTS_OPEN_MAX, State};
use coupon::ids::{IssueRef, OrderRef, UserId};
use coupon::imported::ImportedState;
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};

use crate::{CLOSED_BOUND_MS, CampaignPatch, Patched};

/// Most names that requests of a user, not of a shop, may give to what the user has. A user who
/// has one coupon may ask for it under a new name each time, and each name that is kept is an entry
/// more to read. A client names an attempt to get a coupon: sixteen are several lost answers.
pub const NAMES_OF_USER_MAX: usize = 16;

/// Whether one more name for the one coupon that a user has is kept, when there are so many. Past
/// it the request is answered with the same coupon all the same.
pub fn keeps_name(change: &Change, names: usize) -> bool {
    !matches!(change.asker, Asker::User(_)) || names < NAMES_OF_USER_MAX
}

/// What is said of a change that the rules admit and the seal does not.
pub fn refused_by_seal(action: &Action) -> Refusal {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => Refusal::Expired,
        Action::CancelRedemption { .. } => Refusal::CancelClosed,
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Refusal::ExpiryDayClosed,
    }
}

/// A coupon moves only when its new expiry lies past its partition's day, and never back.
pub fn partition_after(day: Day, after: &Coupon) -> Day {
    match after.expires_at() > day.end() {
        true => Day::expiry_day_of(after.expires_at()),
        false => day,
    }
}

/// The instant until which a partition stays open for a campaign with coupons in it: as long as its
/// cancelling and extending need it, and a hold that runs past the expiry.
pub fn seal_after(day: Day, campaign: &Campaign) -> Millis {
    let open_days = campaign.cancel_days.max(campaign.extend_days);
    day.end().plus_days(open_days).plus_ms(HOLD_PAST_EXPIRY_MS)
}

/// When nothing can change a coupon any more, on an open day: the instant from which it can be
/// moved to cold, and the one since which it is final.
pub fn closed_at(coupon: &Coupon, cancel_days: u16) -> Option<(Millis, Millis)> {
    match coupon.state() {
        State::Void { .. } => Some((coupon.modified_at(), coupon.modified_at())),
        State::Redeemed { redemption, .. } => {
            let since = redemption.at.plus_days(cancel_days);
            // Where nothing can be cancelled no clock can admit it.
            let bound = if cancel_days > 0 { CLOSED_BOUND_MS } else { 0 };
            Some((since.plus_ms(bound), since))
        }
        State::Available | State::Issued { .. } => None,
    }
}

/// Who holds the coupon after a change and did not before.
pub fn new_holder<'a>(before: &Coupon, after: &'a Coupon) -> Option<&'a UserId> {
    after.holder().filter(|holder| before.holder() != Some(holder))
}

/// Who needs a place under the limit for a change: its new holder, or whoever holds a bearer code,
/// since what could not be redeemed after the payment is not held for it.
pub fn needs_claim_entry<'a>(
    before: &Coupon,
    action: &'a Action,
    after: &'a Coupon,
) -> Option<&'a UserId> {
    match action {
        Action::Hold { by, .. } if before.holder().is_none() => Some(by),
        _ => new_holder(before, after),
    }
}

/// In a campaign with `valid_days` the expiry of an issue counts from it.
pub fn with_issued_until<'a>(change: &'a Change, campaign: &Campaign) -> Cow<'a, Change> {
    let Action::Issue { to, reference, expires_at: _ } = &change.action else {
        return Cow::Borrowed(change);
    };
    let expires_at = campaign.issued_until(change.at);
    let (to, reference) = (to.clone(), reference.clone());
    Cow::Owned(Change { action: Action::Issue { to, reference, expires_at }, ..change.clone() })
}

/// Whether it is not worth handing out again: issued once more, it could not be redeemed.
pub fn is_history_full(coupon: &Coupon) -> bool {
    coupon.events().len() + 2 > EVENTS_OPEN_MAX
}

/// The code that a reference `replaces:CODE` names, however it is written: with the prefix of a
/// minted code or without it, it is one coupon.
pub fn replaced(keys: &[CodeKey], reference: Option<&IssueRef>) -> Option<Code> {
    let text: CodeText = reference?.replaces()?.parse().ok()?;
    let minted = text.minted().filter(|code| keys.iter().any(|key| key.open(code).is_some()));
    Some(minted.unwrap_or_else(|| text.foreign().clone()))
}

/// Why a coupon is not replaced by another.
pub enum Irreplaceable {
    /// It is somebody else's: nothing is said of it.
    NotFound,
    /// It still works and is given again as it is.
    Works,
    /// Something can still bring it back to its holder.
    Refused(Refusal),
}

/// Only what nothing can bring back to its holder is replaced: one that still works is given again
/// as it is, one that an admin can extend or whose redemption can be cancelled is refused by what
/// stands in the way, and of somebody else's nothing is said.
pub fn irreplaceable(
    coupon: &Coupon,
    campaign: &Campaign,
    to: &UserId,
    at: Millis,
) -> Option<Irreplaceable> {
    if coupon.holder() != Some(to) {
        return Some(Irreplaceable::NotFound);
    }
    match coupon.state() {
        State::Issued { .. } if !coupon.is_expired(at) => Some(Irreplaceable::Works),
        State::Issued { .. } if at < coupon.expires_at().plus_days(campaign.extend_days) => {
            Some(Irreplaceable::Refused(Refusal::Expired))
        }
        State::Redeemed { redemption, .. }
            if at < redemption.at.plus_days(campaign.cancel_days) =>
        {
            Some(Irreplaceable::Refused(Refusal::AlreadyRedeemed))
        }
        _ => None,
    }
}

/// The user and the order of a change behind a shared word, and whether it may issue a coupon.
pub fn whose(change: &Change) -> Option<(UserId, OrderRef, bool)> {
    match (&change.action, &change.asker) {
        (Action::Redeem { by, order } | Action::Hold { by, order, .. }, _) => {
            Some((by.clone(), order.clone(), true))
        }
        (Action::Release { order } | Action::CancelRedemption { order, .. }, Asker::User(user)) => {
            Some((user.clone(), order.clone(), false))
        }
        _ => None,
    }
}

/// Whether the order has to do with this coupon already.
pub fn is_of(coupon: &Coupon, user: &UserId, order: &OrderRef, at: Millis) -> bool {
    let held = coupon.running_hold(at).is_some_and(|hold| hold.by == *user && hold.order == *order);
    let redeemed = coupon.redemption_of(order).is_some_and(|past| past.by.as_ref() == Some(user));
    held || redeemed
}

/// What a line of an import would have to say for the coupon to be as it is: no later line moves it
/// forward.
pub fn imported_state_of(coupon: &Coupon) -> ImportedState {
    match coupon.state() {
        State::Available => ImportedState::Available,
        State::Issued { holder } => {
            ImportedState::Issued { holder: holder.clone(), at: coupon.issued_at() }
        }
        State::Redeemed { redemption, .. } => ImportedState::Redeemed {
            holder: redemption.by.clone(),
            issued_at: coupon.issued_at(),
            at: redemption.at,
            // A line that named no order has got this one.
            order: Some(redemption.order.clone())
                .filter(|order| order.as_str() != format!("import:{}", coupon.code())),
        },
        State::Void { .. } => ImportedState::Void,
    }
}

/// The partition inside a minted code.
pub fn home(keys: &[CodeKey], code: &Code) -> Option<Day> {
    keys.iter().find_map(|key| key.open(code)).map(|minted| minted.day)
}

/// The terms after a patch, or why it is refused.
pub fn patched(campaign: &Campaign, patch: &CampaignPatch) -> Result<Campaign, Patched> {
    let mut campaign = campaign.clone();
    if let Some(limit) = patch.per_user_limit {
        let present = campaign.per_user_limit;
        let raised = match (present, limit) {
            (Some(present), Some(limit)) => limit >= present,
            (None, Some(_)) => false,
            (_, None) => campaign.handout == Handout::Bearer,
        };
        if !raised {
            return Err(Patched::LimitNotRaised { present });
        }
        campaign.per_user_limit = limit;
    }
    campaign.name = patch.name.clone().unwrap_or(campaign.name);
    campaign.metadata = patch.metadata.clone().unwrap_or(campaign.metadata);
    campaign.paused = patch.paused.unwrap_or(campaign.paused);
    campaign.issue_from = patch.issue_from.unwrap_or(campaign.issue_from);
    campaign.issue_until = patch.issue_until.unwrap_or(campaign.issue_until);
    match (campaign.issue_from, campaign.issue_until) {
        (Some(from), Some(until)) if from >= until => Err(Patched::WindowEmpty),
        _ => Ok(campaign),
    }
}
