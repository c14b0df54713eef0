//! One row: how its cells become a code, dates and a state.

use std::str::FromStr;

use coupon::calendar::{Date, Zone};
use coupon::cell_guard::unguarded;
use coupon::code::{Code, half_width};
use coupon::ids::{OrderRef, UserId};
use coupon::imported::ImportedState;
use coupon::money::{AMOUNT_MAX, Currency};
use coupon::time::Millis;
use coupon::worth::RedemptionWorth;

use super::super::columns::{KnownColumn, clipped};
use super::super::dates::{self, DateOrder, ParsedDate};
use super::super::exports::KnownExport;
use super::super::row_error::RowError;
use super::super::states::{StateSign, StateWord, ValueMap};
use super::RecordDefaults;

/// The cells of one line by column; a missing cell is empty.
pub(super) struct CellRow<'a> {
    pub(super) cells: [&'a str; KnownColumn::ALL.len()],
    pub(super) states: Vec<(StateSign, &'a str)>,
    export: Option<&'static KnownExport>,
    values: &'a ValueMap,
    dates: DateOrder,
}

impl<'a> CellRow<'a> {
    pub(super) fn of(
        export: Option<&'static KnownExport>,
        values: &'a ValueMap,
        dates: DateOrder,
    ) -> CellRow<'a> {
        CellRow { cells: [""; KnownColumn::ALL.len()], states: Vec::new(), export, values, dates }
    }
}

impl CellRow<'_> {
    pub(super) fn cell(&self, column: KnownColumn) -> &str {
        self.cells[column as usize]
    }

    fn found(&self, column: KnownColumn) -> String {
        clipped(self.cell(column))
    }

    pub(super) fn code(&self) -> Result<Code, RowError> {
        let cell = self.cell(KnownColumn::Code);
        half_width(cell).parse().map_err(|error| match is_scientific(cell) {
            true => RowError::DamagedCode { found: clipped(cell) },
            false => RowError::BadCode(error),
        })
    }

    pub(super) fn term(&self, defaults: &RecordDefaults) -> Result<(Millis, Millis), RowError> {
        let zone = &defaults.zone;
        let valid_from = self.first_instant(KnownColumn::ValidFrom, zone)?;
        let expires_at = self.instant(KnownColumn::ExpiresAt, zone, |date| date.end(zone))?;
        let expires_at = expires_at.unwrap_or(defaults.expires_at);
        // A coupon that expired before the campaign begins: it worked once, until its expiry.
        let began = defaults.valid_from.min(expires_at.plus_ms(-1));
        let valid_from = valid_from.unwrap_or(began);
        if valid_from >= expires_at {
            return Err(self.order_of(KnownColumn::ValidFrom, KnownColumn::ExpiresAt, "before"));
        }
        Ok((valid_from, expires_at))
    }

    pub(super) fn imported_state(
        &self,
        defaults: &RecordDefaults,
    ) -> Result<ImportedState, RowError> {
        let zone = &defaults.zone;
        let state = self.state()?;
        for &column in own_columns(StateWord::Redeemed) {
            let is_own = own_columns(state).contains(&column);
            if !self.cell(column).is_empty() && !is_own && !self.is_of_export(column) {
                let found = self.found(column);
                return Err(RowError::Misplaced { column, found, state: state.as_str() });
            }
        }
        match state {
            StateWord::Available => Ok(ImportedState::Available),
            StateWord::Issued => self.issued(zone),
            StateWord::Redeemed => self.redeemed(defaults),
            StateWord::Void => self.void(zone),
        }
    }

    pub(super) fn is_left_out(&self) -> bool {
        self.states.iter().any(|(_, cell)| self.values.leaves_out(cell))
    }

    /// The furthest of the states that the row says; `available` if it says none.
    fn state(&self) -> Result<StateWord, RowError> {
        let (mut state, mut is_unused) = (StateWord::Available, false);
        for (sign, cell) in &self.states {
            let found = || clipped(cell);
            let said = sign.read(cell, self.values).ok_or_else(|| match sign {
                StateSign::Limit => RowError::NotOnce { found: found() },
                StateSign::Word | StateSign::Flag { .. } | StateSign::Uses(_) => {
                    RowError::BadState { found: found() }
                }
            })?;
            state = state.max(said);
            is_unused |= said == StateWord::Available && sign.says_unused(cell, self.values);
        }
        // Other systems have no word for a coupon that belongs to somebody.
        let is_theirs = is_unused || self.export.is_some_and(|export| !export.is_own());
        let is_issued = is_theirs && !self.cell(KnownColumn::UserId).is_empty();
        Ok(if is_issued { state.max(StateWord::Issued) } else { state })
    }

    /// Whether an export has this cell in every state: the user of other systems, and in our own the order of a hold.
    fn is_of_export(&self, column: KnownColumn) -> bool {
        self.export.is_some_and(|export| match column {
            KnownColumn::UserId => !export.is_own(),
            _ => export.is_own() && column == KnownColumn::OrderRef,
        })
    }

    fn issued(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?.ok_or(RowError::MissingUser)?;
        let at = self.first_instant(KnownColumn::IssuedAt, zone)?;
        Ok(ImportedState::Issued { holder, at })
    }

    fn redeemed(&self, defaults: &RecordDefaults) -> Result<ImportedState, RowError> {
        let zone = &defaults.zone;
        let holder = self.holder()?;
        let issued_at = self.first_instant(KnownColumn::IssuedAt, zone)?;
        let at = self.first_instant(KnownColumn::RedeemedAt, zone)?;
        let at = at.ok_or(RowError::MissingRedeemedAt)?;
        if issued_at.is_some_and(|issued_at| issued_at > at) {
            return Err(self.order_of(KnownColumn::IssuedAt, KnownColumn::RedeemedAt, "not after"));
        }
        let order = self.name::<OrderRef>(KnownColumn::OrderRef).map_err(RowError::BadOrder)?;
        let worth = self.worth(defaults.currency)?.map(Box::new);
        Ok(ImportedState::Redeemed { holder, issued_at, at, order, worth })
    }

    /// The amounts, which are in the campaign's currency if the line names none.
    fn worth(&self, of_campaign: Option<Currency>) -> Result<Option<RedemptionWorth>, RowError> {
        let order_amount = self.amount(KnownColumn::OrderAmount)?;
        let discount = self.amount(KnownColumn::Discount)?;
        let fault = |want| RowError::BadCurrency { found: self.found(KnownColumn::Currency), want };
        let named = self.name::<Currency>(KnownColumn::Currency);
        let named = named.map_err(|_| fault("a code of ISO 4217, such as KRW or USD"))?;
        let worth = RedemptionWorth::of(named.or(of_campaign), order_amount, discount);
        match (worth, named, of_campaign) {
            (Some(_), Some(named), Some(ours)) if named != ours => Err(fault(ours.as_str())),
            (None, ..) if order_amount.or(discount).is_some() => {
                Err(fault("that of the amounts: the campaign has none"))
            }
            (worth, ..) => Ok(worth),
        }
    }

    fn amount(&self, column: KnownColumn) -> Result<Option<u64>, RowError> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        let is_number = cell.bytes().all(|byte| byte.is_ascii_digit());
        let amount = cell.parse().ok().filter(|it| is_number && *it <= AMOUNT_MAX);
        amount.map(Some).ok_or_else(|| RowError::BadAmount { column, found: self.found(column) })
    }

    fn void(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?;
        let issued_at = self.first_instant(KnownColumn::IssuedAt, zone)?;
        if holder.is_none() && issued_at.is_some() {
            return Err(RowError::MissingUser);
        }
        Ok(ImportedState::Void { holder, issued_at })
    }

    fn holder(&self) -> Result<Option<UserId>, RowError> {
        self.name(KnownColumn::UserId).map_err(RowError::BadUser)
    }

    fn name<T: FromStr>(&self, column: KnownColumn) -> Result<Option<T>, T::Err> {
        let cell = self.cell(column);
        if cell.is_empty() { Ok(None) } else { unguarded(cell).parse().map(Some) }
    }

    fn first_instant(&self, column: KnownColumn, zone: &Zone) -> Result<Option<Millis>, RowError> {
        self.instant(column, zone, |date| date.first_instant(zone))
    }

    fn instant(
        &self,
        column: KnownColumn,
        zone: &Zone,
        of_date: impl FnOnce(Date) -> Millis,
    ) -> Result<Option<Millis>, RowError> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        match dates::read(cell, zone, self.dates) {
            Ok(ParsedDate::Day(date)) => Ok(Some(of_date(date))),
            Ok(ParsedDate::At(instant)) => Ok(Some(instant)),
            Err(fault) => Err(RowError::BadDate { column, found: clipped(cell), fault }),
        }
    }

    fn order_of(&self, first: KnownColumn, then: KnownColumn, relation: &'static str) -> RowError {
        let (first_found, then_found) = (self.found(first), self.found(then));
        RowError::OrderOfDates { first, first_found, then, then_found, relation }
    }
}

/// Whether a cell is like `1.23E+15` or `1,23E+15`: how a spreadsheet writes a number with more digits than it keeps.
fn is_scientific(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(whole) && digits(part) && digits(exponent.trim_start_matches(['+', '-']))
}

/// The columns of a coupon in this state that not every state has.
fn own_columns(state: StateWord) -> &'static [KnownColumn] {
    match state {
        StateWord::Available => &[],
        StateWord::Issued | StateWord::Void => &[KnownColumn::UserId, KnownColumn::IssuedAt],
        StateWord::Redeemed => &[
            KnownColumn::UserId,
            KnownColumn::IssuedAt,
            KnownColumn::RedeemedAt,
            KnownColumn::OrderRef,
            KnownColumn::OrderAmount,
            KnownColumn::Discount,
            KnownColumn::Currency,
        ],
    }
}
