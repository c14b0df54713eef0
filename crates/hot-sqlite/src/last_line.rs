//! What the last imported line of a code said of its coupon: in the record of its row, and after that in
//! the column `last_line` of the directory.
//!
//! Most lines said what the coupon shows anyway, so a record has two bits of it. Times may differ then:
//! they never decide what another line does.
//!
//! Otherwise, and in the directory: one byte (the state, and which fields follow), then the holder, when
//! it was issued, when it was redeemed, and for which order. Null is an available coupon.

use coupon::coupon::{Coupon, EventKind};
use coupon::imported::ImportedState;
use coupon::time::Millis;
use hot::protocol::imported_state_of;

use crate::bytes::{Reader, Writer};
use crate::failure::damaged;

const ISSUED: u8 = 1;
const REDEEMED: u8 = 2;
const VOID: u8 = 3;
const STATE: u8 = 0b11;
const HOLDER: u8 = 1 << 2;
const ISSUED_AT: u8 = 1 << 3;
const ORDER: u8 = 1 << 4;

const EPOCH: Millis = Millis(0);

/// What the last line said of a coupon that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It was available, or it was minted.
    Available,
    /// It was issued, as its first event says.
    First,
    /// It was as it is now.
    Now,
    Other(Box<ImportedState>),
}

impl Said {
    /// What `line` says of `coupon`.
    pub(crate) fn of(line: &ImportedState, coupon: &Coupon) -> Said {
        let same =
            |other: &ImportedState| line.adds_nothing_to(other) && other.adds_nothing_to(line);
        match line {
            ImportedState::Available => Said::Available,
            _ if issued_first(coupon).is_some_and(|first| same(&first)) => Said::First,
            _ if same(&imported_state_of(coupon)) => Said::Now,
            _ => Said::Other(Box::new(line.clone())),
        }
    }

    /// The same, after a change of the coupon.
    pub(crate) fn after(&self, before: &Coupon, after: &Coupon) -> Said {
        match self {
            Said::Available | Said::First => self.clone(),
            Said::Now | Said::Other(_) => Said::of(&self.line(before), after),
        }
    }

    /// The state that the line said.
    pub(crate) fn line(&self, coupon: &Coupon) -> ImportedState {
        match self {
            Said::Available => ImportedState::Available,
            Said::First => issued_first(coupon).unwrap_or(ImportedState::Available),
            Said::Now => imported_state_of(coupon),
            Said::Other(line) => line.as_ref().clone(),
        }
    }
}

/// The state after the first event, if that was an issue.
fn issued_first(coupon: &Coupon) -> Option<ImportedState> {
    let first = coupon.events().first()?;
    match &first.kind {
        EventKind::Issued { to, .. } => {
            Some(ImportedState::Issued { holder: to.clone(), at: Some(first.at) })
        }
        _ => None,
    }
}

/// The value of the column.
pub(crate) fn encode(said: &ImportedState) -> Option<Vec<u8>> {
    let (state, holder, issued_at, redeemed_at, order) = match said {
        ImportedState::Available => return None,
        ImportedState::Void => (VOID, None, None, None, None),
        ImportedState::Issued { holder, at } => (ISSUED, Some(holder), *at, None, None),
        ImportedState::Redeemed { holder, issued_at, at, order } => {
            (REDEEMED, holder.as_ref(), *issued_at, Some(*at), order.as_ref())
        }
    };
    let flag = |flag, is_there| if is_there { flag } else { 0 };
    let mut text = Writer::default();
    text.byte(
        state
            | flag(HOLDER, holder.is_some())
            | flag(ISSUED_AT, issued_at.is_some())
            | flag(ORDER, order.is_some()),
    );
    if let Some(holder) = holder {
        text.text(holder.as_str());
    }
    [issued_at, redeemed_at].into_iter().flatten().for_each(|at| text.later(at, EPOCH));
    if let Some(order) = order {
        text.text(order.as_str());
    }
    Some(text.into_bytes())
}

/// What [`encode`] was given.
pub(crate) fn decode(bytes: &[u8]) -> rusqlite::Result<ImportedState> {
    let mut left = Reader::of(bytes);
    let head = left.byte()?;
    let holder = match head & HOLDER {
        0 => None,
        _ => Some(left.parsed("user")?),
    };
    let issued_at = match head & ISSUED_AT {
        0 => None,
        _ => Some(left.later(EPOCH)?),
    };
    let no_holder = || damaged("last_line", "it was issued to nobody");
    let said = match head & STATE {
        ISSUED => ImportedState::Issued { holder: holder.ok_or_else(no_holder)?, at: issued_at },
        REDEEMED => {
            let at = left.later(EPOCH)?;
            let order = match head & ORDER {
                0 => None,
                _ => Some(left.parsed("order")?),
            };
            ImportedState::Redeemed { holder, issued_at, at, order }
        }
        VOID => ImportedState::Void,
        _ => return Err(damaged("last_line", "an unknown state")),
    };
    match left.is_empty() {
        true => Ok(said),
        false => Err(damaged("last_line", "it has more than a state")),
    }
}

#[cfg(test)]
mod tests {
    use coupon::coupon::{Event, Genesis};
    use coupon::ids::{Actor, OperationId};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let at = Millis(1_795_423_814_249);
        let (ann, order) = ("ann".parse().expect("a user"), "o-1".parse().expect("an order"));
        let states = [
            ImportedState::Available,
            ImportedState::Void,
            ImportedState::Issued { holder: ann, at: None },
            ImportedState::Issued { holder: "b".parse().expect("a user"), at: Some(at) },
            ImportedState::Redeemed { holder: None, issued_at: None, at, order: None },
            ImportedState::Redeemed {
                holder: Some("c".parse().expect("a user")),
                issued_at: Some(at),
                at: Millis(-1),
                order: Some(order),
            },
        ];
        for said in states {
            let column = encode(&said);
            let read = column.as_deref().map(decode).transpose().expect("a state");
            assert_eq!(read.unwrap_or(ImportedState::Available), said);
            assert_eq!(column.is_none(), said == ImportedState::Available);
        }
    }

    #[test]
    fn what_a_row_has_of_a_line() {
        let user = |name: &str| name.parse().expect("a user");
        let event = |nth, kind| Event {
            at: Millis(nth),
            actor: Actor::new("import"),
            operation: OperationId(nth.unsigned_abs().into()),
            kind,
        };
        let to = |name, nth| {
            event(nth, EventKind::Issued { to: user(name), reference: None, expires_at: None })
        };
        let redeemed = |by, order: &str, nth| {
            let order = order.parse().expect("an order");
            event(nth, EventKind::Redeemed { by: Some(user(by)), order })
        };
        let genesis = Genesis {
            code: "CODE01".parse().expect("a code"),
            campaign: "c".parse().expect("a campaign"),
            batch: "b".parse().expect("a batch"),
            valid_from: Millis(1),
            expires_at: Millis(1_000),
            zone: "UTC".parse().expect("a zone"),
            created_at: Millis(3),
        };
        let issued = |name, at| ImportedState::Issued { holder: user(name), at };
        let spent = |order: &str| ImportedState::Redeemed {
            holder: Some(user("ann")),
            issued_at: None,
            at: Millis(50),
            order: Some(order.parse().expect("an order")),
        };
        let other = |line: &ImportedState| Said::Other(Box::new(line.clone()));
        let (one, both) = (vec![to("ann", 4)], vec![to("ann", 4), redeemed("ann", "o", 5)]);
        let cases = [
            ("available", ImportedState::Available, vec![], Said::Available),
            ("available, redeemed since", ImportedState::Available, both.clone(), Said::Available),
            ("issued", issued("ann", None), one.clone(), Said::First),
            ("issued at another time", issued("ann", Some(Millis(9))), one.clone(), Said::First),
            ("issued, redeemed since", issued("ann", None), both.clone(), Said::First),
            ("issued to another", issued("bob", None), one.clone(), other(&issued("bob", None))),
            ("redeemed", spent("o"), both.clone(), Said::Now),
            ("redeemed for another", spent("p"), both, other(&spent("p"))),
        ];
        for (name, line, events, want) in cases {
            let version = events.len() as u64 + 1;
            let coupon = Coupon::of(genesis.clone(), events, None, version, Millis(60));
            let said = Said::of(&line, &coupon);
            assert_eq!(said, want, "{name}");
            let read = said.line(&coupon);
            assert!(read.adds_nothing_to(&line) && line.adds_nothing_to(&read), "{name}: {read:?}");
        }
        // A line that said what the coupon was is kept when that changes.
        let before = Coupon::of(genesis.clone(), vec![redeemed("ann", "o", 4)], None, 1, Millis(4));
        let cancelled = event(
            5,
            EventKind::RedemptionCancelled { order: "o".parse().expect("an order"), reason: None },
        );
        let after =
            Coupon::of(genesis, vec![redeemed("ann", "o", 4), cancelled], None, 2, Millis(5));
        let said = Said::of(&spent("o"), &before);
        assert_eq!(said, Said::Now);
        let Said::Other(line) = said.after(&before, &after) else { panic!("it is not so now") };
        assert!(line.adds_nothing_to(&spent("o")) && spent("o").adds_nothing_to(&line));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let cases: [(&str, &[u8]); 5] = [
            ("nothing", &[]),
            ("issued to nobody", &[ISSUED]),
            ("an unknown state", &[0]),
            ("redeemed at no time", &[REDEEMED]),
            ("something after its end", &[VOID, 1]),
        ];
        for (name, bytes) in cases {
            assert!(decode(bytes).is_err(), "{name}");
        }
    }
}
