//! The table of `docs/rules.md`, written down a second time.
//!
//! What is not known of a coupon, its hold or whether its campaign was paused, is tried in every
//! way: [`possible`] returns all answers that the rules may give.

use coupon::apply::{Action, Asker, Change};
use coupon::coupon::{Event, EventKind, Hold};
use coupon::ids::{OrderRef, UserId};
use coupon::time::DAY_MS;
use cql_session::CLOCK_BOUND_MS;

use super::KnownCampaign;
use super::life::{CouponLife, StateKind};

const HOLD_MAX_MS: i64 = 7 * DAY_MS;
const HOLD_PAST_EXPIRY_MS: i64 = 15 * 60 * 1_000;
const EVENTS_OPEN_MAX: usize = 29;

/// An answer of the rules; a refusal by its problem code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RulesAnswer {
    Accept,
    Replay,
    Refuse(&'static str),
}

/// A coupon, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct ShownCoupon<'a> {
    pub(super) life: &'a CouponLife,
    pub(super) events: &'a [Event],
    /// `None`: unknown.
    pub(super) version: Option<u64>,
    /// `None`: unknown.
    pub(super) hold: Option<Option<&'a Hold>>,
}

/// A hold that is known, or one of those that may be.
#[derive(Clone, Copy)]
enum PossibleHold<'a> {
    None,
    Stored(&'a Hold),
    /// A running one of the order that asks.
    SomeOwn,
    /// A running one of another order.
    SomeOther,
}

/// What the campaign prevents at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CampaignGate {
    /// Nothing that is known of.
    AsMade,
    Open,
    Paused,
    WindowClosed,
}

/// Every answer that the rules may give to `change` of this coupon.
pub(super) fn possible(
    shown: ShownCoupon<'_>,
    change: &Change,
    terms: &KnownCampaign,
) -> Vec<RulesAnswer> {
    let holdings = match shown.hold {
        Some(None) => vec![PossibleHold::None],
        Some(Some(hold)) => vec![PossibleHold::Stored(hold)],
        None => vec![PossibleHold::None, PossibleHold::SomeOwn, PossibleHold::SomeOther],
    };
    let gates = match terms.changed {
        false => &[CampaignGate::AsMade][..],
        true => &[CampaignGate::Open, CampaignGate::Paused, CampaignGate::WindowClosed],
    };
    let mut all = Vec::new();
    for holding in holdings {
        for gate in gates {
            let rules = RuleCase { shown, change, terms, holding, gate: *gate };
            all.push(rules.ruled().unwrap_or_else(RulesAnswer::Refuse));
        }
    }
    if shown.hold.is_none() && matches!(change.action, Action::Hold { .. } | Action::Release { .. })
    {
        all.push(RulesAnswer::Replay);
    }
    if shown.version.is_none() && change.if_version.is_some() {
        all.push(RulesAnswer::Refuse("VERSION_CONFLICT"));
    }
    all
}

struct RuleCase<'a> {
    shown: ShownCoupon<'a>,
    change: &'a Change,
    terms: &'a KnownCampaign,
    holding: PossibleHold<'a>,
    gate: CampaignGate,
}

type RuleResult = Result<RulesAnswer, &'static str>;

impl RuleCase<'_> {
    /// The rules from top to bottom.
    fn ruled(&self) -> RuleResult {
        self.theirs()?;
        if let Some(says) = self.by_its_order()? {
            return Ok(says);
        }
        if let Some(says) = self.by_its_revoke_ref()? {
            return Ok(says);
        }
        let action = &self.change.action;
        match self.shown.life.kind {
            StateKind::Void if matches!(action, Action::Void { .. }) => {
                return Ok(RulesAnswer::Replay);
            }
            StateKind::Void => return Err("VOIDED"),
            StateKind::Redeemed => return self.redeemed(),
            StateKind::Available | StateKind::Issued => {}
        }
        if let Action::CancelRedemption { .. } = action {
            return Err("NOT_REDEEMED");
        }
        let own_hold = self.own_hold()?;
        self.unredeemed(own_hold)
    }

    /// Rules 1 and 2.
    fn theirs(&self) -> Result<(), &'static str> {
        let (life, change) = (self.shown.life, self.change);
        let user = match (&change.action, &change.asker) {
            (Action::Redeem { by, .. } | Action::Hold { by, .. }, _) => by,
            (Action::Release { .. } | Action::CancelRedemption { .. }, Asker::User(user)) => user,
            _ => return Ok(()),
        };
        if !self.terms.bearer {
            return match (life.holder.as_ref() == Some(user), life.kind, &change.asker) {
                (true, _, _) => Ok(()),
                (false, StateKind::Available, Asker::Shop) => Err("NOT_ISSUED"),
                (false, _, _) => Err("NOT_FOUND"),
            };
        }
        let is_of_another = life.holder.as_ref().is_some_and(|holder| holder != user);
        let is_nobodys = life.kind == StateKind::Redeemed && life.holder.is_none();
        let others_hold = match self.holding {
            PossibleHold::Stored(hold) => hold.by != *user && change.at < hold.until,
            PossibleHold::SomeOther => true,
            PossibleHold::None | PossibleHold::SomeOwn => false,
        };
        let gives_back =
            matches!(change.action, Action::Release { .. } | Action::CancelRedemption { .. });
        match gives_back && (is_of_another || is_nobodys || others_hold) {
            true => Err("NOT_FOUND"),
            false => Ok(()),
        }
    }

    /// Rules 3 to 5.
    fn by_its_order(&self) -> Result<Option<RulesAnswer>, &'static str> {
        let action = &self.change.action;
        let (Action::Redeem { order, .. }
        | Action::Hold { order, .. }
        | Action::CancelRedemption { order, .. }) = action
        else {
            return Ok(None);
        };
        let Some((past_by, is_cancelled)) = redemption_of(self.shown.events, order) else {
            return Ok(None);
        };
        match (action, is_cancelled) {
            (Action::Redeem { by, .. }, false) if past_by == Some(by) => {
                Ok(Some(RulesAnswer::Replay))
            }
            (Action::CancelRedemption { .. }, true) => match &self.change.asker {
                Asker::User(user) if past_by != Some(user) => Err("NOT_FOUND"),
                Asker::User(_) | Asker::Shop => Ok(Some(RulesAnswer::Replay)),
            },
            (Action::Redeem { .. } | Action::Hold { .. }, true) => Err("REDEMPTION_CANCELLED"),
            _ => Ok(None),
        }
    }

    /// Rule 5a.
    fn by_its_revoke_ref(&self) -> Result<Option<RulesAnswer>, &'static str> {
        let Action::Revoke { user, reference: Some(name), .. } = &self.change.action else {
            return Ok(None);
        };
        let earlier = self.shown.events.iter().find_map(|event| match &event.kind {
            EventKind::Revoked { from, reference, .. } if reference.as_ref() == Some(name) => {
                Some(from)
            }
            _ => None,
        });
        match earlier {
            None => Ok(None),
            Some(from) if from == user => Ok(Some(RulesAnswer::Replay)),
            Some(_) => Err("NAME_TAKEN"),
        }
    }

    /// Rules 7 to 10.
    fn redeemed(&self) -> RuleResult {
        let Some((by_order, at)) = &self.shown.life.redeemed else { return Err("NOT_REDEEMED") };
        match &self.change.action {
            Action::Release { order } if order != by_order => Ok(RulesAnswer::Replay),
            Action::CancelRedemption { order, .. } if order != by_order => Err("NOT_REDEEMED"),
            Action::CancelRedemption { .. } => {
                let days = self.terms.cancel_days;
                match days > 0 && self.change.at < at.plus_days(days) {
                    true => Ok(RulesAnswer::Accept),
                    false => Err("CANCEL_CLOSED"),
                }
            }
            _ => Err("ALREADY_REDEEMED"),
        }
    }

    /// Rules 11 and 12: whether a hold of the order that asks runs.
    fn own_hold(&self) -> Result<bool, &'static str> {
        let (life, action) = (self.shown.life, &self.change.action);
        if let Action::Redeem { by, .. } | Action::Hold { by, .. } = action
            && life.kind == StateKind::Issued
            && life.holder.as_ref() != Some(by)
        {
            return Err("ALREADY_ISSUED");
        }
        if let Action::Release { .. } = action {
            return Ok(false);
        }
        let hold = match self.holding {
            PossibleHold::None => return Ok(false),
            PossibleHold::SomeOwn => match action {
                Action::Redeem { .. } | Action::Hold { .. } | Action::Issue { .. } => {
                    return Ok(true);
                }
                _ => return Err("HELD"),
            },
            PossibleHold::SomeOther => return Err("HELD"),
            PossibleHold::Stored(hold) => hold,
        };
        let is_own = match action {
            Action::Redeem { by, order, .. } | Action::Hold { by, order, .. } => {
                hold.by == *by && hold.order == *order
            }
            Action::Issue { to, .. } => hold.by == *to,
            _ => false,
        };
        match is_own {
            true => Ok(self.change.at < hold.until),
            // The clock that granted the hold may be ahead of the one that asks.
            false if self.change.at < hold.until.plus_ms(CLOCK_BOUND_MS) => Err("HELD"),
            false => Ok(false),
        }
    }

    /// Rules 13 to 24.
    fn unredeemed(&self, own_hold: bool) -> RuleResult {
        let RuleCase { shown: ShownCoupon { life, .. }, change, terms, .. } = self;
        match &change.action {
            Action::Redeem { .. } => {
                if !own_hold {
                    self.works_now()?;
                }
                self.has_room(1)
            }
            Action::Hold { until, .. } => {
                if let (true, PossibleHold::Stored(hold)) = (own_hold, self.holding) {
                    let most = hold.since.plus_ms(HOLD_MAX_MS);
                    let most = most.min(life.expires_at.plus_ms(HOLD_PAST_EXPIRY_MS));
                    if (*until).min(most) <= hold.until {
                        return Ok(RulesAnswer::Replay);
                    }
                }
                self.works_now()?;
                self.has_room(1)
            }
            Action::Issue { to, .. } => self.issue(to, own_hold),
            Action::Release { order } => Ok(match self.releases(order) {
                true => RulesAnswer::Accept,
                false => RulesAnswer::Replay,
            }),
            Action::Revoke { user, .. } => {
                self.has_version()?;
                let is_theirs =
                    life.kind == StateKind::Issued && life.holder.as_ref() == Some(user);
                if is_theirs { Ok(RulesAnswer::Accept) } else { Err("NOT_ISSUED") }
            }
            Action::Void { .. } => self.has_version().map(|()| RulesAnswer::Accept),
            Action::Extend { expires_at, .. } => {
                if *expires_at == life.expires_at {
                    return Ok(RulesAnswer::Replay);
                }
                self.has_version()?;
                if *expires_at < life.expires_at {
                    return Err("NOT_LATER");
                }
                if change.at >= life.expires_at.plus_days(terms.extend_days) {
                    return Err("EXPIRY_DAY_CLOSED");
                }
                self.has_room(1)
            }
            Action::CancelRedemption { .. } => Err("NOT_REDEEMED"),
        }
    }

    fn issue(&self, to: &UserId, own_hold: bool) -> RuleResult {
        let (life, at) = (self.shown.life, self.change.at);
        if life.kind == StateKind::Issued {
            let is_theirs = life.holder.as_ref() == Some(to);
            return if is_theirs { Ok(RulesAnswer::Replay) } else { Err("ALREADY_ISSUED") };
        }
        if at >= life.expires_at {
            return Err("EXPIRED");
        }
        let is_outside = self.terms.issue_from.is_some_and(|from| at < from)
            || self.terms.issue_until.is_some_and(|until| at >= until);
        match self.gate {
            CampaignGate::Paused => return Err("PAUSED"),
            CampaignGate::WindowClosed => return Err("ISSUE_CLOSED"),
            CampaignGate::AsMade if is_outside => return Err("ISSUE_CLOSED"),
            CampaignGate::AsMade | CampaignGate::Open => {}
        }
        self.has_room(if own_hold { 2 } else { 1 })
    }

    fn releases(&self, order: &OrderRef) -> bool {
        match self.holding {
            PossibleHold::None | PossibleHold::SomeOther => false,
            PossibleHold::SomeOwn => true,
            PossibleHold::Stored(hold) => {
                let is_theirs = match &self.change.asker {
                    Asker::User(user) => hold.by == *user,
                    Asker::Shop => true,
                };
                is_theirs && hold.order == *order && self.change.at < hold.until
            }
        }
    }

    fn works_now(&self) -> Result<(), &'static str> {
        let (life, at) = (self.shown.life, self.change.at);
        if at < life.valid_from {
            return Err("NOT_STARTED");
        }
        if at >= life.expires_at {
            return Err("EXPIRED");
        }
        if self.gate == CampaignGate::Paused { Err("PAUSED") } else { Ok(()) }
    }

    fn has_version(&self) -> Result<(), &'static str> {
        match (self.change.if_version, self.shown.version) {
            (Some(named), Some(version)) if named != version => Err("VERSION_CONFLICT"),
            _ => Ok(()),
        }
    }

    fn has_room(&self, events: usize) -> RuleResult {
        match self.shown.events.len() + events > EVENTS_OPEN_MAX {
            true => Err("HISTORY_FULL"),
            false => Ok(RulesAnswer::Accept),
        }
    }
}

/// Who redeemed for `order`, and whether it was cancelled.
fn redemption_of<'a>(events: &'a [Event], order: &OrderRef) -> Option<(Option<&'a UserId>, bool)> {
    let mut found = None;
    for event in events {
        match &event.kind {
            EventKind::Redeemed { by, order: of, .. } if of == order => {
                found = Some((by.as_ref(), false));
            }
            EventKind::RedemptionCancelled { order: of, .. } if of == order => {
                found = found.map(|(by, _)| (by, true));
            }
            _ => {}
        }
    }
    found
}
