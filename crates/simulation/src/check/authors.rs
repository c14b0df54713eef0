//! Which calls can have made an event.

use coupon::apply::{Action, Change, Outcome};
use coupon::code::Code;
use coupon::coupon::{Event, EventKind};
use coupon::ids::{IssueRef, UserId};
use coupon::imported::ImportedState;
use coupon::worth::RedemptionWorth;

use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};

/// The change that a call asks for.
pub(super) fn change_of(asked: &RecordedRequest) -> Option<&Change> {
    match asked {
        RecordedRequest::Issue { change, .. }
        | RecordedRequest::Change { change, .. }
        | RecordedRequest::Shared { change, .. } => Some(change),
        RecordedRequest::Order { .. }
        | RecordedRequest::Read { .. }
        | RecordedRequest::Import { .. } => None,
    }
}

/// The user that an action names.
pub(super) fn user_of(action: &Action) -> Option<&UserId> {
    match action {
        Action::Issue { to: user, .. }
        | Action::Redeem { by: user, .. }
        | Action::Hold { by: user, .. }
        | Action::Revoke { user, .. } => Some(user),
        Action::Release { .. }
        | Action::CancelRedemption { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => None,
    }
}

/// Whether an accepted action of its kind leaves an event.
pub(super) fn leaves_event(action: &Action) -> bool {
    !matches!(action, Action::Hold { .. } | Action::Release { .. })
}

/// Whether `action` makes an event of this kind.
pub(super) fn makes(action: &Action, kind: &EventKind) -> bool {
    match (action, kind) {
        (
            Action::Issue { to, reference, .. },
            EventKind::Issued { to: user, reference: name, .. },
        ) => to == user && reference == name,
        (
            Action::Redeem { by, order, money },
            EventKind::Redeemed { by: user, order: of, worth },
        ) => {
            // No simulated campaign has a benefit: what the shop said is kept.
            let kept = RedemptionWorth::of(money.currency, None, money.discount);
            user.as_ref() == Some(by) && order == of && worth.as_deref().copied() == kept
        }
        (
            Action::CancelRedemption { order, .. },
            EventKind::RedemptionCancelled { order: of, .. },
        ) => order == of,
        (
            Action::Revoke { user, reference, .. },
            EventKind::Revoked { from, reference: name, .. },
        ) => user == from && reference == name,
        (Action::Void { .. }, EventKind::Voided { .. }) => true,
        (Action::Extend { expires_at, .. }, EventKind::Extended { expires_at: until, .. }) => {
            expires_at == until
        }
        _ => false,
    }
}

/// The issue that comes first if a change through a shared code needs a coupon.
pub(super) fn issue_before(action: &Action) -> Option<Action> {
    match action {
        Action::Redeem { by, order, .. } | Action::Hold { by, order, .. } => Some(Action::Issue {
            to: by.clone(),
            reference: Some(IssueRef::of_order(order)),
            expires_at: None,
        }),
        _ => None,
    }
}

/// The action of `call` that can have made `event` of the coupon `code`.
pub(super) fn action_behind(call: &RecordedCall, code: &Code, event: &Event) -> Option<Action> {
    let change = change_of(&call.asked)?;
    if change.operation != event.operation {
        return None;
    }
    let own = makes(&change.action, &event.kind).then(|| change.action.clone());
    match &call.asked {
        RecordedRequest::Change { code: asked, .. } => own.filter(|_| asked == code),
        RecordedRequest::Issue { .. } => own,
        RecordedRequest::Shared { .. } => {
            own.or_else(|| issue_before(&change.action).filter(|it| makes(it, &event.kind)))
        }
        RecordedRequest::Order { .. }
        | RecordedRequest::Read { .. }
        | RecordedRequest::Import { .. } => None,
    }
}

/// Whether a line of an import can have made the event.
pub(super) fn line_makes(state: &ImportedState, code: &Code, kind: &EventKind) -> bool {
    match (state, kind) {
        (
            ImportedState::Issued { .. }
            | ImportedState::Redeemed { .. }
            | ImportedState::Void { .. },
            EventKind::Issued { to, reference: None, .. },
        ) => state.holder() == Some(to),
        (
            ImportedState::Redeemed { holder, order, .. },
            EventKind::Redeemed { by, order: of, .. },
        ) => {
            let is_order = match order {
                Some(order) => order == of,
                None => of.as_str() == format!("import:{code}"),
            };
            is_order && (holder.is_none() || holder == by)
        }
        (ImportedState::Void { .. }, EventKind::Voided { reason: None }) => true,
        _ => false,
    }
}

/// Whether the answer to a call leaves it open that the call did something: it was accepted, or was
/// not answered. A replay may be one of the call's own change, if that was sent twice.
pub(super) fn may_have_changed(call: &RecordedCall) -> bool {
    match &call.told {
        _ if call.ended_ms.is_none() => true,
        RecordedAnswer::Applied(applied) => !matches!(applied.outcome, Outcome::Refused(_)),
        RecordedAnswer::Unknown(_) | RecordedAnswer::Damaged(_) | RecordedAnswer::Imported(_) => {
            true
        }
        RecordedAnswer::Order(_) | RecordedAnswer::Read(_) | RecordedAnswer::NotDone(_) => false,
    }
}
