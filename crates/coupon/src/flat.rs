//! Flat events: one set of columns for every kind of event, the way stores keep them.
//!
//! A column that a kind does not have is `None`. [`Flat::of`] and [`Flat::into_event`] are inverse to each other.

use std::fmt::Display;
use std::str::FromStr;

use crate::calendar::Zone;
use crate::coupon::{Event, EventKind};
use crate::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};
use crate::time::Millis;
use crate::worth::RedemptionWorth;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat<'a> {
    /// [`EventKind::as_str`].
    pub kind: &'a str,
    pub at: Millis,
    pub actor: &'a str,
    /// The attempt that did it.
    pub operation: OperationId,
    pub user: Option<&'a str>,
    /// The caller's name for it.
    pub reference: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub expires_at: Option<Millis>,
    /// The zone of the new expiry's calendar day.
    pub time_zone: Option<&'a str>,
    pub worth: Option<RedemptionWorth>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column}: {why}")]
pub struct NotAnEvent {
    pub column: &'static str,
    pub why: String,
}

impl<'a> Flat<'a> {
    pub fn of(event: &'a Event) -> Flat<'a> {
        let mut flat = Flat {
            kind: event.kind.as_str(),
            at: event.at,
            actor: event.actor.as_str(),
            operation: event.operation,
            user: None,
            reference: None,
            reason: None,
            expires_at: None,
            time_zone: None,
            worth: None,
        };
        match &event.kind {
            EventKind::Issued { to, reference, expires_at } => {
                flat.user = Some(to.as_str());
                flat.reference = reference.as_ref().map(IssueRef::as_str);
                flat.expires_at = *expires_at;
            }
            EventKind::Redeemed { by, order, worth } => {
                flat.worth = worth.as_deref().copied();
                flat.user = by.as_ref().map(UserId::as_str);
                flat.reference = Some(order.as_str());
            }
            EventKind::RedemptionCancelled { order, reason } => {
                flat.reference = Some(order.as_str());
                flat.reason = reason.as_ref().map(Reason::as_str);
            }
            EventKind::Revoked { from, reference, reason } => {
                flat.user = Some(from.as_str());
                flat.reference = reference.as_ref().map(RevokeRef::as_str);
                flat.reason = reason.as_ref().map(Reason::as_str);
            }
            EventKind::Voided { reason } => flat.reason = reason.as_ref().map(Reason::as_str),
            EventKind::Extended { expires_at, zone, reason } => {
                flat.expires_at = Some(*expires_at);
                flat.time_zone = Some(zone.name());
                flat.reason = reason.as_ref().map(Reason::as_str);
            }
        }
        flat
    }

    /// The event of these columns.
    ///
    /// # Errors
    /// A column that the kind needs is missing or malformed, or the kind is unknown.
    pub fn into_event(self) -> Result<Event, NotAnEvent> {
        let user = || needed::<UserId>("user", self.user);
        let order = || needed::<OrderRef>("reference", self.reference);
        let reason = || optional::<Reason>("reason", self.reason);
        let kind = match self.kind {
            "issued" => EventKind::Issued {
                to: user()?,
                reference: self.reference.map(IssueRef::stored),
                expires_at: self.expires_at,
            },
            "redeemed" => EventKind::Redeemed {
                by: optional("user", self.user)?,
                order: order()?,
                worth: self.worth.map(Box::new),
            },
            "redemption_cancelled" => {
                EventKind::RedemptionCancelled { order: order()?, reason: reason()? }
            }
            "revoked" => EventKind::Revoked {
                from: user()?,
                reference: optional("reference", self.reference)?,
                reason: reason()?,
            },
            "voided" => EventKind::Voided { reason: reason()? },
            "extended" => EventKind::Extended {
                expires_at: self.expires_at.ok_or(missing("expires_at"))?,
                zone: needed::<Zone>("time_zone", self.time_zone)?,
                reason: reason()?,
            },
            kind => return Err(NotAnEvent { column: "kind", why: format!("{kind} is unknown") }),
        };
        Ok(Event { at: self.at, actor: Actor::new(self.actor), operation: self.operation, kind })
    }
}

fn missing(column: &'static str) -> NotAnEvent {
    NotAnEvent { column, why: "missing".into() }
}

fn needed<T: FromStr<Err: Display>>(
    column: &'static str,
    text: Option<&str>,
) -> Result<T, NotAnEvent> {
    let text = text.ok_or(missing(column))?;
    text.parse().map_err(|why: T::Err| NotAnEvent { column, why: why.to_string() })
}

fn optional<T: FromStr<Err: Display>>(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, NotAnEvent> {
    text.map(|text| needed(column, Some(text))).transpose()
}
