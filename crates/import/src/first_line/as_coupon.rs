//! Whether the first line can be read as a coupon.

use coupon::calendar::Zone;
use coupon::code::{Code, half_width};

use super::super::columns::{KnownColumn, clipped};
use super::super::dates::{self, DateOrder};

/// Words that are found above a list of codes and could be codes themselves. They are no aliases:
/// each of them is as often another column than the code.
const WORDS: [&str; 8] =
    ["codes", "coupon", "coupons", "voucher", "vouchers", "serial", "number", "numbers"];

pub(super) struct CouponLine {
    /// Whether it has a date, which no header has.
    pub(super) is_dated: bool,
}

/// The cells as a coupon under these columns: the code is a code, and dates are dates or empty.
/// Other faults reject the row, not the file.
pub(super) fn coupon(
    cells: &[&str],
    columns: &[Option<KnownColumn>],
    order: DateOrder,
) -> Result<CouponLine, String> {
    let mut is_dated = false;
    for (nth, (cell, column)) in cells.iter().zip(columns).enumerate() {
        let (at, found) = (nth + 1, || clipped(cell));
        match column {
            Some(KnownColumn::Code) if half_width(cell).parse::<Code>().is_err() => {
                return Err(format!("its cell {at} is {:?}, which is no code", found()));
            }
            Some(
                column @ (KnownColumn::ValidFrom
                | KnownColumn::ExpiresAt
                | KnownColumn::IssuedAt
                | KnownColumn::RedeemedAt),
            ) if !cell.is_empty() => {
                if let Err(fault) = dates::read(cell, &Zone::utc(), order) {
                    let found = found();
                    return Err(format!(
                        "its cell {at} is {found:?}, which is no date for {column}: {fault}"
                    ));
                }
                is_dated = true;
            }
            _ => {}
        }
    }
    Ok(CouponLine { is_dated })
}

/// The fault of a cell for which [`is_name`] holds.
pub(super) fn name_fault(at: usize, cell: &str) -> String {
    format!("its cell {at} is {:?}, which is the name of a column", clipped(cell))
}

/// Whether a cell that could be a code is a name that headers have.
pub(super) fn is_name(cell: &str) -> bool {
    KnownColumn::meant(cell).is_some() || WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
}
