//! What the last imported line of a code said of its coupon: in the record of its row, and after that in
//! the column `last_line` of the directory.
//!
//! Most lines said what the coupon shows anyway, so a record has two bits of it. Times may differ then:
//! they never decide what another line does.
//!
//! Otherwise, and in the directory: one byte (the state, and which fields follow), then the holder, when
//! it was issued, when it was redeemed, for which order, its amounts, from when it works, and until when. A line has the
//! last two if they are not those of the batch. A column is null if it would have nothing.

use coupon::coupon::{Coupon, EventKind};
use coupon::imported::ImportedState;
use coupon::time::Millis;
use hot::protocol::imported_state_of;

use crate::bytes::{ByteReader, ByteWriter};
use crate::failure::damaged;

const AVAILABLE: u8 = 0;
const ISSUED: u8 = 1;
const REDEEMED: u8 = 2;
const VOID: u8 = 3;
const STATE: u8 = 0b11;
const HOLDER: u8 = 1 << 2;
const ISSUED_AT: u8 = 1 << 3;
const ORDER: u8 = 1 << 4;
const VALID_FROM: u8 = 1 << 5;
const EXPIRES_AT: u8 = 1 << 6;
const WORTH: u8 = 1 << 7;

const EPOCH: Millis = Millis(0);

/// A line, as the directory has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastLine {
    /// `None`: that of the batch.
    pub(crate) valid_from: Option<Millis>,
    /// `None`: that of the batch.
    pub(crate) expires_at: Option<Millis>,
    /// `None`: the row of the coupon has it, or else it was available.
    pub(crate) state: Option<ImportedState>,
}

/// What the last line said of a coupon that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineState {
    /// It was available, or it was minted.
    Available,
    /// It was issued, as its first event says.
    First,
    /// It was as it is now.
    Now,
    Other(Box<ImportedState>),
}

impl LineState {
    pub(crate) fn of(line: &ImportedState, coupon: &Coupon) -> LineState {
        let same =
            |other: &ImportedState| line.adds_nothing_to(other) && other.adds_nothing_to(line);
        match line {
            ImportedState::Available => LineState::Available,
            _ if issued_first(coupon).is_some_and(|first| same(&first)) => LineState::First,
            _ if same(&imported_state_of(coupon)) => LineState::Now,
            _ => LineState::Other(Box::new(line.clone())),
        }
    }

    pub(crate) fn after(&self, before: &Coupon, after: &Coupon) -> LineState {
        match self {
            LineState::Available | LineState::First => self.clone(),
            LineState::Now | LineState::Other(_) => LineState::of(&self.line(before), after),
        }
    }

    pub(crate) fn line(&self, coupon: &Coupon) -> ImportedState {
        match self {
            LineState::Available => ImportedState::Available,
            LineState::First => issued_first(coupon).unwrap_or(ImportedState::Available),
            LineState::Now => imported_state_of(coupon),
            LineState::Other(line) => line.as_ref().clone(),
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

impl LastLine {
    /// A line that said nothing but a state.
    pub(crate) fn of_state(state: &ImportedState) -> LastLine {
        let state = Some(state.clone()).filter(|state| *state != ImportedState::Available);
        LastLine { state, ..LastLine::default() }
    }

    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        if *self == LastLine::default() {
            return None;
        }
        let (state, holder, issued_at, redeemed) = match &self.state {
            None | Some(ImportedState::Available) => (AVAILABLE, None, None, None),
            Some(ImportedState::Void { holder, issued_at }) => {
                (VOID, holder.as_ref(), *issued_at, None)
            }
            Some(ImportedState::Issued { holder, at }) => (ISSUED, Some(holder), *at, None),
            Some(ImportedState::Redeemed { holder, issued_at, at, order, worth }) => {
                (REDEEMED, holder.as_ref(), *issued_at, Some((*at, order.as_ref(), worth)))
            }
        };
        let (redeemed_at, order, worth) =
            redeemed.map_or((None, None, &None), |(at, order, worth)| (Some(at), order, worth));
        let flag = |flag, is_there| if is_there { flag } else { 0 };
        let mut text = ByteWriter::default();
        text.byte(
            state
                | flag(HOLDER, holder.is_some())
                | flag(ISSUED_AT, issued_at.is_some())
                | flag(ORDER, order.is_some())
                | flag(WORTH, worth.is_some())
                | flag(VALID_FROM, self.valid_from.is_some())
                | flag(EXPIRES_AT, self.expires_at.is_some()),
        );
        if let Some(holder) = holder {
            text.text(holder.as_str());
        }
        [issued_at, redeemed_at].into_iter().flatten().for_each(|at| text.later(at, EPOCH));
        if let Some(order) = order {
            text.text(order.as_str());
        }
        if let Some(worth) = worth {
            text.text(&worth.to_string());
        }
        let dates = [self.valid_from, self.expires_at];
        dates.into_iter().flatten().for_each(|at| text.later(at, EPOCH));
        Some(text.into_bytes())
    }

    pub(crate) fn decode(column: Option<&[u8]>) -> rusqlite::Result<LastLine> {
        let Some(bytes) = column else { return Ok(LastLine::default()) };
        let mut left = ByteReader::of(bytes);
        let head = left.byte()?;
        if head & WORTH != 0 && head & STATE != REDEEMED {
            return Err(damaged("last_line", "amounts of no redemption"));
        }
        let holder = left.flagged(head & HOLDER, |left| left.parsed("user"))?;
        let issued_at = left.flagged(head & ISSUED_AT, |left| left.later(EPOCH))?;
        let no_holder = || damaged("last_line", "it was issued to nobody");
        let state = match head & STATE {
            ISSUED => {
                let holder = holder.ok_or_else(no_holder)?;
                Some(ImportedState::Issued { holder, at: issued_at })
            }
            REDEEMED => {
                let at = left.later(EPOCH)?;
                let order = left.flagged(head & ORDER, |left| left.parsed("order"))?;
                let worth = left.flagged(head & WORTH, |left| left.parsed("worth"))?.map(Box::new);
                Some(ImportedState::Redeemed { holder, issued_at, at, order, worth })
            }
            VOID => Some(ImportedState::Void { holder, issued_at }),
            _ => None,
        };
        let valid_from = left.flagged(head & VALID_FROM, |left| left.later(EPOCH))?;
        let expires_at = left.flagged(head & EXPIRES_AT, |left| left.later(EPOCH))?;
        match left.is_empty() {
            true => Ok(LastLine { valid_from, expires_at, state }),
            false => Err(damaged("last_line", "something follows its fields")),
        }
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
            ImportedState::VOID,
            ImportedState::Void { holder: Some("d".parse().expect("a user")), issued_at: Some(at) },
            ImportedState::Issued { holder: ann, at: None },
            ImportedState::Issued { holder: "b".parse().expect("a user"), at: Some(at) },
            ImportedState::Redeemed { holder: None, issued_at: None, at, order: None, worth: None },
            ImportedState::Redeemed {
                holder: Some("c".parse().expect("a user")),
                issued_at: Some(at),
                at: Millis(-1),
                order: Some(order),
                worth: None,
            },
        ];
        let dates =
            [(None, None), (Some(at), None), (None, Some(at)), (Some(Millis(-5)), Some(at))];
        for state in &states {
            for (valid_from, expires_at) in dates {
                let line = LastLine { valid_from, expires_at, ..LastLine::of_state(state) };
                let column = line.encode();
                assert_eq!(LastLine::decode(column.as_deref()).expect("a line"), line);
                assert_eq!(column.is_none(), line == LastLine::default());
            }
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
            event(nth, EventKind::Redeemed { by: Some(user(by)), order, worth: None })
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
            worth: None,
        };
        let other = |line: &ImportedState| LineState::Other(Box::new(line.clone()));
        let (one, both) = (vec![to("ann", 4)], vec![to("ann", 4), redeemed("ann", "o", 5)]);
        let cases = [
            ("available", ImportedState::Available, vec![], LineState::Available),
            (
                "available, redeemed since",
                ImportedState::Available,
                both.clone(),
                LineState::Available,
            ),
            ("issued", issued("ann", None), one.clone(), LineState::First),
            (
                "issued at another time",
                issued("ann", Some(Millis(9))),
                one.clone(),
                LineState::First,
            ),
            ("issued, redeemed since", issued("ann", None), both.clone(), LineState::First),
            ("issued to another", issued("bob", None), one.clone(), other(&issued("bob", None))),
            ("redeemed", spent("o"), both.clone(), LineState::Now),
            ("redeemed for another", spent("p"), both, other(&spent("p"))),
        ];
        for (name, line, events, want) in cases {
            let version = events.len() as u64 + 1;
            let coupon = Coupon::of(genesis.clone(), events, None, version, Millis(60));
            let said = LineState::of(&line, &coupon);
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
        let said = LineState::of(&spent("o"), &before);
        assert_eq!(said, LineState::Now);
        let LineState::Other(line) = said.after(&before, &after) else {
            panic!("it is not so now")
        };
        assert!(line.adds_nothing_to(&spent("o")) && spent("o").adds_nothing_to(&line));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let cases: [(&str, &[u8]); 6] = [
            ("nothing", &[]),
            ("amounts of no redemption", &[ISSUED | WORTH]),
            ("issued to nobody", &[ISSUED]),
            ("redeemed at no time", &[REDEEMED]),
            ("from no time", &[VALID_FROM]),
            ("something after its end", &[VOID, 1]),
        ];
        for (name, bytes) in cases {
            assert!(LastLine::decode(Some(bytes)).is_err(), "{name}");
        }
    }
}
