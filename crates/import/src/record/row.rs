//! One row: how its cells become a code, dates and a state.

use std::str::FromStr;

use coupon::calendar::{Date, Zone, parse_instant};
use coupon::cell_guard::unguarded;
use coupon::code::Code;
use coupon::ids::{OrderRef, UserId};
use coupon::imported::ImportedState;
use coupon::time::Millis;

use super::super::columns::{Column, clipped};
use super::{Defaults, RowError};

/// The cells of one line by column; a missing cell is empty.
pub(super) struct Row<'a> {
    pub(super) cells: [&'a str; Column::ALL.len()],
}

impl Row<'_> {
    pub(super) fn cell(&self, column: Column) -> &str {
        self.cells[column as usize]
    }

    fn found(&self, column: Column) -> String {
        clipped(self.cell(column))
    }

    pub(super) fn code(&self) -> Result<Code, RowError> {
        let cell = self.cell(Column::Code);
        cell.parse().map_err(|error| match is_scientific(cell) {
            true => RowError::DamagedCode { found: clipped(cell) },
            false => RowError::BadCode(error),
        })
    }

    pub(super) fn term(&self, defaults: &Defaults) -> Result<(Millis, Millis), RowError> {
        let zone = &defaults.zone;
        let valid_from = self.first_instant(Column::ValidFrom, zone)?;
        let expires_at = self.instant(Column::ExpiresAt, |date| date.end(zone))?;
        let expires_at = expires_at.unwrap_or(defaults.expires_at);
        // A coupon that expired before the campaign begins: it worked once, until its expiry.
        let began = defaults.valid_from.min(expires_at.plus_ms(-1));
        let valid_from = valid_from.unwrap_or(began);
        if valid_from >= expires_at {
            return Err(self.order_of(Column::ValidFrom, Column::ExpiresAt, "before"));
        }
        Ok((valid_from, expires_at))
    }

    pub(super) fn imported_state(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let cell = self.cell(Column::State);
        let mut states = STATES.iter();
        let found = match cell.is_empty() {
            true => states.next(),
            false => states.find(|(_, word, _)| cell.eq_ignore_ascii_case(word)),
        };
        let found = found.ok_or_else(|| RowError::BadState { found: clipped(cell) })?;
        let (state, word, own) = *found;
        for column in [Column::UserId, Column::IssuedAt, Column::RedeemedAt, Column::OrderRef] {
            if !self.cell(column).is_empty() && !own.contains(&column) {
                let found = self.found(column);
                return Err(RowError::Misplaced { column, found, state: word });
            }
        }
        match state {
            State::Available => Ok(ImportedState::Available),
            State::Issued => self.issued(zone),
            State::Redeemed => self.redeemed(zone),
            State::Void => self.void(zone),
        }
    }

    fn issued(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?.ok_or(RowError::MissingUser)?;
        let at = self.first_instant(Column::IssuedAt, zone)?;
        Ok(ImportedState::Issued { holder, at })
    }

    fn redeemed(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?;
        let issued_at = self.first_instant(Column::IssuedAt, zone)?;
        let at = self.first_instant(Column::RedeemedAt, zone)?;
        let at = at.ok_or(RowError::MissingRedeemedAt)?;
        if issued_at.is_some_and(|issued_at| issued_at > at) {
            return Err(self.order_of(Column::IssuedAt, Column::RedeemedAt, "not after"));
        }
        let order = self.name::<OrderRef>(Column::OrderRef).map_err(RowError::BadOrder)?;
        Ok(ImportedState::Redeemed { holder, issued_at, at, order })
    }

    fn void(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?;
        let issued_at = self.first_instant(Column::IssuedAt, zone)?;
        if holder.is_none() && issued_at.is_some() {
            return Err(RowError::MissingUser);
        }
        Ok(ImportedState::Void { holder, issued_at })
    }

    fn holder(&self) -> Result<Option<UserId>, RowError> {
        self.name(Column::UserId).map_err(RowError::BadUser)
    }

    fn name<T: FromStr>(&self, column: Column) -> Result<Option<T>, T::Err> {
        let cell = self.cell(column);
        if cell.is_empty() { Ok(None) } else { unguarded(cell).parse().map(Some) }
    }

    fn first_instant(&self, column: Column, zone: &Zone) -> Result<Option<Millis>, RowError> {
        self.instant(column, |date| date.first_instant(zone))
    }

    fn instant(
        &self,
        column: Column,
        of_date: impl FnOnce(Date) -> Millis,
    ) -> Result<Option<Millis>, RowError> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        if let Ok(date) = cell.parse::<Date>() {
            return Ok(Some(of_date(date)));
        }
        match parse_instant(cell) {
            Ok(instant) => Ok(Some(instant)),
            Err(_) => Err(RowError::BadDate { column, found: clipped(cell) }),
        }
    }

    fn order_of(&self, first: Column, then: Column, relation: &'static str) -> RowError {
        let (first_found, then_found) = (self.found(first), self.found(then));
        RowError::OrderOfDates { first, first_found, then, then_found, relation }
    }
}

/// Whether a cell is like `1.23E+15` or `1,23E+15`: how a spreadsheet writes a number with more
/// digits than it keeps.
fn is_scientific(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(whole) && digits(part) && digits(exponent.trim_start_matches(['+', '-']))
}

/// What the column `state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Available,
    Issued,
    Redeemed,
    Void,
}

/// Each state with its word, and with the columns that not every state has. An empty cell is the
/// first.
const STATES: [(State, &str, &[Column]); 4] = [
    (State::Available, "available", &[]),
    (State::Issued, "issued", &[Column::UserId, Column::IssuedAt]),
    (
        State::Redeemed,
        "redeemed",
        &[Column::UserId, Column::IssuedAt, Column::RedeemedAt, Column::OrderRef],
    ),
    (State::Void, "void", &[Column::UserId, Column::IssuedAt]),
];
