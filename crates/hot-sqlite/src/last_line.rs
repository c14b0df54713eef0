//! The column `last_line` of the directory: what the last imported line of a code said of its coupon.
//!
//! One byte (the state, and which fields follow), then the holder, when it was issued, when it was
//! redeemed, and for which order. Null is an available coupon, as most lines say.

use coupon::imported::ImportedState;
use coupon::time::Millis;

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
pub(crate) fn decode(column: Option<&[u8]>) -> rusqlite::Result<ImportedState> {
    let Some(bytes) = column else { return Ok(ImportedState::Available) };
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
            assert_eq!(decode(column.as_deref()).expect("a state"), said);
            assert_eq!(column.is_none(), said == ImportedState::Available);
        }
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
            assert!(decode(Some(bytes)).is_err(), "{name}");
        }
    }
}
