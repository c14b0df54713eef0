//! Erasure: a coupon without the name of a person, who is called otherwise in all that is kept.
//!
//! A person is everybody whom one `user_id` names. Their *erased name* stands where the `user_id` stood: so counts, limits
//! of others and histories stay true. Later coupons of the same `user_id` are of a new person.

use crate::coupon::{Coupon, Event, EventKind, Hold};
use crate::ids::{Actor, BadName, IssueRef, OrderRef, REASON_LEN_MAX, Reason, RevokeRef};
use crate::ids::{UserId, WORD_LEN_MAX};
use crate::imported::{ImportedState, import_order};

/// What every erased name begins with.
pub const ERASED_PREFIX: &str = "erased:";

/// What actors of the role user begin with.
const USER_ROLE: &str = "user:";

/// One person, under the name that is to be forgotten and under the one that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// 1, 2, 3 and so on, in the sequence in which the erasures of a store began.
    pub number: u64,
    pub user: UserId,
    pub name: UserId,
}

/// The erasures that are not finished everywhere, and how many there were.
///
/// A file of cold says through which number it was written: the rows behind it name nobody whose erasure has that number
/// or a lower one. For later erasures a reader replaces the names. So a new person of the same `user_id`, whose coupons are in
/// later files, keeps theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureSet {
    /// The number of the last one that began, finished or not.
    pub last: u64,
    /// Ascending.
    pub pending: Vec<Erasure>,
}

impl ErasureSet {
    /// Those that rows of a file written through `through` may need.
    pub fn behind(&self, through: u64) -> &[Erasure] {
        &self.pending[self.pending.partition_point(|it| it.number <= through)..]
    }

    /// A coupon of such a file without the persons; `None` if it names none.
    pub fn of_coupon(&self, coupon: &Coupon, through: u64) -> Option<Coupon> {
        let mut without = None;
        for erasure in self.behind(through) {
            let after = erasure.of_coupon(without.as_ref().unwrap_or(coupon));
            without = after.or(without);
        }
        without
    }

    /// Who a user of such a file is now.
    pub fn of_user<'a>(&'a self, user: &'a UserId, through: u64) -> &'a UserId {
        let erasure = self.behind(through).iter().find(|it| it.user == *user);
        erasure.map_or(user, |it| &it.name)
    }
}

/// The name of an erased person, made of random bits.
pub fn erased_name(random: u64) -> UserId {
    format!("{ERASED_PREFIX}{random:016x}").parse().expect("a prefix and digits make a name")
}

/// The user in the name of an actor of the role user.
pub fn acting_user(actor: &str) -> Option<&str> {
    actor.strip_prefix(USER_ROLE)
}

/// Whether this names a person who was erased.
pub fn is_erased(user: &UserId) -> bool {
    user.as_str().starts_with(ERASED_PREFIX)
}

impl Erasure {
    /// The coupon without the person, in the same version; `None` if it names no such person. Texts that callers gave,
    /// such as orders and reasons, lose the name where it stands as a word of its own.
    pub fn of_coupon(&self, coupon: &Coupon) -> Option<Coupon> {
        let held = coupon.hold().is_some_and(|hold| hold.by == self.user);
        if !held && !coupon.events().iter().any(|event| self.is_named(event)) {
            return None;
        }
        let of_import = import_order(coupon.code());
        let events = coupon.events().iter().map(|event| self.of_event(event, &of_import));
        let hold = coupon.hold().map(|hold| Hold {
            by: self.of_user(&hold.by),
            order: self.of_order(&hold.order),
            ..hold.clone()
        });
        let (genesis, version) = (coupon.genesis().clone(), coupon.version());
        Some(Coupon::of(genesis, events.collect(), hold, version, coupon.modified_at()))
    }

    /// A line of an import without the person; `None` if it names no such person.
    pub fn of_line(&self, line: &ImportedState) -> Option<ImportedState> {
        if line.holder() != Some(&self.user) {
            return None;
        }
        let mut line = line.clone();
        match &mut line {
            ImportedState::Available => {}
            ImportedState::Issued { holder, .. } => *holder = self.name.clone(),
            ImportedState::Void { holder, .. } => *holder = Some(self.name.clone()),
            ImportedState::Redeemed { holder, order, .. } => {
                *holder = Some(self.name.clone());
                *order = order.as_ref().map(|order| self.of_order(order));
            }
        }
        Some(line)
    }

    /// The user, or the erased name if it is this person.
    pub fn of_user(&self, user: &UserId) -> UserId {
        if *user == self.user { self.name.clone() } else { user.clone() }
    }

    /// The same of a person who acted themselves, as [`Actor`] has it.
    pub fn of_actor(&self, actor: &str) -> Option<String> {
        let themselves = acting_user(actor) == Some(self.user.as_str());
        themselves.then(|| format!("{USER_ROLE}{}", self.name))
    }

    pub fn of_order(&self, order: &OrderRef) -> OrderRef {
        self.of_word(order.as_str()).unwrap_or_else(|| order.clone())
    }

    /// A text with the erased name wherever the old one stands as a word: with no letter and no digit beside it. `None`
    /// if it does so nowhere.
    pub fn of_text(&self, text: &str) -> Option<String> {
        replaced(text, (self.user.as_str(), self.name.as_str()), char::is_alphanumeric)
    }

    /// A line of CSV with the erased name wherever the old one is a whole cell, quoted or not.
    pub fn of_cells(&self, line: &str) -> Option<String> {
        let is_within = |beside: char| !matches!(beside, ',' | ';' | '\t' | '"' | '\r' | '\n');
        let (old, new) = (self.user.as_str(), self.name.as_str());
        let plain = replaced(line, (old, new), is_within);
        plain.or_else(|| replaced(line, (&old.replace('"', "\"\""), new), is_within))
    }

    fn is_named(&self, event: &Event) -> bool {
        let user = match &event.kind {
            EventKind::Issued { to, .. } => Some(to),
            EventKind::Redeemed { by, .. } => by.as_ref(),
            EventKind::Revoked { from, .. } => Some(from),
            EventKind::RedemptionCancelled { .. }
            | EventKind::Voided { .. }
            | EventKind::Extended { .. } => None,
        };
        user == Some(&self.user) || self.of_actor(event.actor.as_str()).is_some()
    }

    fn of_event(&self, event: &Event, of_import: &OrderRef) -> Event {
        let order = |order: &OrderRef| match order == of_import {
            // It is made of the code, and found by it.
            true => order.clone(),
            false => self.of_order(order),
        };
        let reason = |reason: &Option<Reason>| reason.as_ref().map(|it| self.of_reason(it));
        let kind = match &event.kind {
            EventKind::Issued { to, reference, expires_at } => EventKind::Issued {
                to: self.of_user(to),
                reference: reference.as_ref().map(|it| self.of_issue_ref(it)),
                expires_at: *expires_at,
            },
            EventKind::Redeemed { by, order: of, worth } => EventKind::Redeemed {
                by: by.as_ref().map(|by| self.of_user(by)),
                order: order(of),
                worth: worth.clone(),
            },
            EventKind::RedemptionCancelled { order: of, reason: why } => {
                EventKind::RedemptionCancelled { order: order(of), reason: reason(why) }
            }
            EventKind::Revoked { from, reference, reason: why } => EventKind::Revoked {
                from: self.of_user(from),
                reference: reference.as_ref().map(|it| self.of_revoke_ref(it)),
                reason: reason(why),
            },
            EventKind::Voided { reason: why } => EventKind::Voided { reason: reason(why) },
            EventKind::Extended { expires_at, zone, reason: why } => EventKind::Extended {
                expires_at: *expires_at,
                zone: zone.clone(),
                reason: reason(why),
            },
        };
        let actor = self.of_actor(event.actor.as_str());
        let actor = actor.map_or_else(|| event.actor.clone(), |name| Actor::new(&name));
        Event { at: event.at, actor, operation: event.operation, kind }
    }

    /// The caller's name of a request; one that names a code stays.
    pub fn of_issue_ref(&self, reference: &IssueRef) -> IssueRef {
        if reference.replaces().is_some() {
            return reference.clone();
        }
        let without = self.of_text(reference.as_str());
        without.map_or_else(|| reference.clone(), |text| IssueRef::stored(&text))
    }

    fn of_revoke_ref(&self, reference: &RevokeRef) -> RevokeRef {
        self.of_word(reference.as_str()).unwrap_or_else(|| reference.clone())
    }

    fn of_reason(&self, reason: &Reason) -> Reason {
        let without = self.of_text(reason.as_str()).map(|text| shorter(&text, REASON_LEN_MAX));
        without.and_then(|text| text.parse().ok()).unwrap_or_else(|| reason.clone())
    }

    fn of_word<T: std::str::FromStr<Err = BadName>>(&self, word: &str) -> Option<T> {
        shorter(&self.of_text(word)?, WORD_LEN_MAX).parse().ok()
    }
}

/// A text with `new` in place of `old`, wherever no character beside it belongs to it. `None` if there is none.
fn replaced(
    text: &str,
    (old, new): (&str, &str),
    belongs: impl Fn(char) -> bool,
) -> Option<String> {
    let (mut without, mut from) = (String::new(), 0);
    for (at, _) in text.match_indices(old) {
        let behind = at + old.len();
        if !text[..at].ends_with(&belongs) && !text[behind..].starts_with(&belongs) {
            without.push_str(&text[from..at]);
            without.push_str(new);
            from = behind;
        }
    }
    if from == 0 {
        return None;
    }
    without.push_str(&text[from..]);
    Some(without)
}

/// The first `max` bytes of a text, or fewer: whole characters. The erased name may be longer than the old one.
fn shorter(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
mod tests;
