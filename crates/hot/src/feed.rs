//! The event feed: what happened, each event once, in an order in which nothing is missing.
//!
//! A store writes an event together with the change that it is about. So none is lost, none is of a
//! change that did not happen, and those of one coupon come in the order of its versions. A reader goes
//! from cursor to cursor. Events are kept for a time.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::{Actor, CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use coupon::time::Millis;
use coupon::worth::RedemptionWorth;
pub use router::Owner;
use uuid::Uuid;

use crate::Result;
use crate::audit::{AuditEvent, AuditKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its name, the same whenever it is read: UUIDv7 of the time at which it happened.
    pub id: Uuid,
    /// The cursor behind it.
    pub cursor: String,
    pub at: Millis,
    pub actor: Actor,
    pub happened: Happened,
    /// Whether it also comes at its own place in the feed, and this is another one. Count it there.
    pub is_repeat: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Coupon(CouponHappened),
    /// A campaign, a batch or the store changed.
    AuditEvent {
        audit_event: AuditEvent,
        reason: Option<Reason>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponHappened {
    pub code: Code,
    pub owner: Owner,
    pub version: u64,
    pub kind: CouponEventKind,
    /// Its holder after the change, or the last one if it has none; of a hold, the user of the order.
    pub user: Option<UserId>,
    /// The caller's name for it: the `issue_ref` of an issue, the `revoke_ref` of a revoke, else the order.
    pub reference: Option<String>,
    pub reason: Option<String>,
    /// When it expires now, if an issue or an extension has decided that; of a hold, when it lapses.
    pub until: Option<Millis>,
    /// The amounts of the redemption that was made or cancelled.
    pub worth: Option<RedemptionWorth>,
}

/// The type of the report of a week, which is about all campaigns. Only webhooks have it.
pub const REPORT_TYPE: &str = "report.weekly";

coupon::words! {
/// What was done to a coupon, in the order of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CouponEventKind {
    Issued = "coupon.issued",
    Redeemed = "coupon.redeemed",
    RedemptionCancelled = "coupon.redemption_cancelled",
    Revoked = "coupon.revoked",
    Voided = "coupon.voided",
    Extended = "coupon.extended",
    /// An order reserved it for a time.
    Held = "coupon.held",
    /// The order released it.
    Released = "coupon.released",
}
}

/// What an event can tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    Coupon(CouponEventKind),
    /// A change of something else. Not of every kind: see [`AuditKind::is_in_feed`].
    AuditEvent(AuditKind),
}

impl EventType {
    pub fn all() -> impl Iterator<Item = EventType> {
        let audit_events = AuditKind::ALL.into_iter().filter(|kind| kind.is_in_feed());
        CouponEventKind::ALL
            .into_iter()
            .map(EventType::Coupon)
            .chain(audit_events.map(EventType::AuditEvent))
    }

    /// Its name; never changed.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Coupon(kind) => kind.as_str(),
            EventType::AuditEvent(kind) => kind.as_str(),
        }
    }

    /// Whether a reader must ask for it by name: a shop makes several holds for each order.
    pub fn is_left_out(self) -> bool {
        let holds = [CouponEventKind::Held, CouponEventKind::Released];
        holds.into_iter().any(|kind| self == EventType::Coupon(kind))
    }
}

impl Happened {
    pub fn event_type(&self) -> EventType {
        match self {
            Happened::Coupon(coupon) => EventType::Coupon(coupon.kind),
            Happened::AuditEvent { audit_event, .. } => EventType::AuditEvent(audit_event.kind),
        }
    }

    /// The campaign that it is about, if it is one.
    pub fn campaign(&self) -> Option<&CampaignId> {
        match self {
            Happened::Coupon(coupon) => Some(&coupon.owner.campaign),
            Happened::AuditEvent { audit_event, .. } => audit_event.campaign.as_ref(),
        }
    }
}

/// A change of a coupon, before a store has given it its place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponStep<'a> {
    pub at: Millis,
    pub actor: &'a Actor,
    pub version: u64,
    pub kind: CouponEventKind,
    /// As in [`CouponHappened::user`].
    pub user: Option<&'a UserId>,
    /// As in [`CouponHappened::reference`].
    pub reference: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// As in [`CouponHappened::until`].
    pub until: Option<Millis>,
    /// As in [`CouponHappened::worth`].
    pub worth: Option<RedemptionWorth>,
}

/// The steps of a change by `actor`: its events, and a hold made, prolonged or released.
pub fn steps<'a>(before: &'a Coupon, after: &'a Coupon, actor: &'a Actor) -> Vec<CouponStep<'a>> {
    let had = before.events().len();
    let mut version = before.version();
    let mut steps = Vec::new();
    let mut holder = before.holder();
    for event in after.events().get(had..).unwrap_or_default() {
        version += 1;
        let (kind, user, reference, reason, until) = match &event.kind {
            EventKind::Issued { to, reference, expires_at } => {
                let reference = reference.as_ref().map(IssueRef::as_str);
                let until = expires_at.or(Some(after.expires_at()));
                (CouponEventKind::Issued, Some(to), reference, None, until)
            }
            EventKind::Redeemed { by, order, .. } => {
                let user = by.as_ref().or(holder);
                (CouponEventKind::Redeemed, user, Some(order.as_str()), None, None)
            }
            EventKind::RedemptionCancelled { order, reason } => {
                let (order, reason) = (Some(order.as_str()), reason.as_ref());
                (CouponEventKind::RedemptionCancelled, holder, order, reason, None)
            }
            EventKind::Revoked { from, reference, reason } => {
                let reference = reference.as_ref().map(RevokeRef::as_str);
                (CouponEventKind::Revoked, Some(from), reference, reason.as_ref(), None)
            }
            EventKind::Voided { reason } => {
                (CouponEventKind::Voided, holder, None, reason.as_ref(), None)
            }
            EventKind::Extended { expires_at, reason, .. } => {
                (CouponEventKind::Extended, holder, None, reason.as_ref(), Some(*expires_at))
            }
        };
        holder = match kind {
            CouponEventKind::Issued | CouponEventKind::Redeemed => user,
            CouponEventKind::Revoked => None,
            _ => holder,
        };
        let (at, actor, reason) = (event.at, &event.actor, reason.map(Reason::as_str));
        let worth = after.worth_of(event);
        steps.push(CouponStep { at, actor, version, kind, user, reference, reason, until, worth });
    }
    let hold = match (before.hold(), after.hold()) {
        (_, Some(hold)) => Some((CouponEventKind::Held, hold)),
        (Some(hold), None) => Some((CouponEventKind::Released, hold)),
        (None, None) => None,
    };
    // A redemption ends the hold of its order, in one version.
    if let Some((kind, hold)) = hold.filter(|_| version < after.version()) {
        steps.push(CouponStep {
            at: after.modified_at(),
            actor,
            version: after.version(),
            kind,
            user: Some(&hold.by),
            reference: Some(OrderRef::as_str(&hold.order)),
            reason: None,
            until: (kind == CouponEventKind::Held).then_some(hold.until),
            worth: None,
        });
    }
    steps
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FeedStart {
    /// At the oldest event that is kept.
    #[default]
    Oldest,
    /// Behind the newest.
    Newest,
    After(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedRead {
    Page(FeedPage),
    /// The cursor is not of this store.
    Unknown,
    /// The cursor leads to nothing any more.
    Gone {
        why: FeedGone,
        go_on: String,
    },
}

/// Some events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// There may be none.
    pub events: Vec<FeedEvent>,
    /// The cursor behind the last of them, or behind where the read ended.
    pub next: String,
    /// Whether there were no more at the time.
    pub is_end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedGone {
    /// Events behind it were deleted for their age.
    TooOld,
    /// The store was restored: what the reader saw behind the place to go on from did not survive.
    Restored,
    /// The cursor is of the store of which this one is a copy.
    Moved,
}

#[async_trait]
pub trait Feed: Send + Sync {
    async fn events(&self, from: FeedStart, limit: usize) -> Result<FeedRead>;
}
