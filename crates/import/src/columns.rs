//! Columns of an import: their names, and what other systems call them.
//!
//! Absent on purpose: rows, and where the first line ends.

mod aliases;
mod column_map;
mod guess;

use std::fmt;

pub use column_map::{BadColumnMap, ColumnMap, ColumnSource};
pub use guess::distance;
pub(crate) use guess::guess;

/// How much of a cell an error repeats, in characters: all of a well-formed cell, except for the longest names.
pub const FOUND_LEN_MAX: usize = 64;

coupon::words! {
    /// In the order in which documents list them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum KnownColumn {
        /// The one column that must be there.
        Code = "code",
        /// First day, or first instant.
        ValidFrom = "valid_from",
        /// Last day, or first instant at which it no longer works.
        ExpiresAt = "expires_at",
        State = "state",
        /// Who holds it or redeemed it.
        UserId = "user_id",
        IssuedAt = "issued_at",
        RedeemedAt = "redeemed_at",
        OrderRef = "order_ref",
        /// What the order cost, in the smallest unit of the currency.
        OrderAmount = "order_amount",
        /// How much less it cost with the coupon.
        Discount = "discount",
        Currency = "currency",
    }
}

impl KnownColumn {
    /// What other systems call it, in small letters and without blanks, `_`, `-` and `.`.
    pub fn aliases(self) -> impl Iterator<Item = &'static str> {
        aliases::of(self).split_whitespace()
    }

    /// The column with exactly this name, ignoring case.
    pub(super) fn named(cell: &str) -> Option<KnownColumn> {
        KnownColumn::ALL.into_iter().find(|column| cell.eq_ignore_ascii_case(column.as_str()))
    }

    /// The column that this cell of a header names, by its own name or by an alias.
    pub(super) fn meant(cell: &str) -> Option<KnownColumn> {
        let meant = || {
            let normal = normal(cell);
            KnownColumn::ALL
                .into_iter()
                .find(|column| column.aliases().any(|alias| alias == normal))
        };
        KnownColumn::named(cell).or_else(meant)
    }
}

impl fmt::Display for KnownColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) fn known() -> String {
    KnownColumn::ALL.map(KnownColumn::as_str).join(", ")
}

pub(super) fn clipped(cell: &str) -> String {
    coupon::text::clipped(cell, FOUND_LEN_MAX)
}

/// A name without what people write in different ways: case, blanks, `_`, `-` and `.`.
pub(crate) fn normal(cell: &str) -> String {
    let kept = cell.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.'));
    kept.take(FOUND_LEN_MAX).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An alias that two columns have, or that is not normal, would never be found.
    #[test]
    fn aliases_are_normal_and_unlike_each_other() {
        let mut seen = std::collections::BTreeMap::new();
        for column in KnownColumn::ALL {
            for alias in column.aliases() {
                assert_eq!(normal(alias), alias);
                assert_eq!(seen.insert(alias, column), None, "{alias} is there twice");
                assert_eq!(KnownColumn::meant(alias), Some(column), "{alias}");
            }
        }
    }

    #[test]
    fn what_headers_mean() {
        let cases = [
            ("code", Some(KnownColumn::Code)),
            ("CODE", Some(KnownColumn::Code)),
            ("co-de", None),
            ("Coupon Code", Some(KnownColumn::Code)),
            ("coupon_code", Some(KnownColumn::Code)),
            ("쿠폰번호", Some(KnownColumn::Code)),
            ("쿠폰 번호", Some(KnownColumn::Code)),
            ("Valid From", Some(KnownColumn::ValidFrom)),
            ("시작일", Some(KnownColumn::ValidFrom)),
            ("Expiry-Date", Some(KnownColumn::ExpiresAt)),
            ("expiredAt", Some(KnownColumn::ExpiresAt)),
            ("유효기간", Some(KnownColumn::ExpiresAt)),
            ("회원ID", Some(KnownColumn::UserId)),
            ("customerId", Some(KnownColumn::UserId)),
            ("발급일", Some(KnownColumn::IssuedAt)),
            ("사용일", Some(KnownColumn::RedeemedAt)),
            ("주문번호", Some(KnownColumn::OrderRef)),
            ("주문금액", Some(KnownColumn::OrderAmount)),
            ("할인금액", Some(KnownColumn::Discount)),
            ("통화", Some(KnownColumn::Currency)),
            // Any of these may be several columns.
            ("번호", None),
            ("쿠폰", None),
            ("쿠폰명", None),
            ("날짜", None),
            ("기간", None),
            ("id", None),
            ("number", None),
            ("date", None),
            ("coupon", None),
            ("coupon_id", None),
            ("user", None),
            ("used", None),
            ("사용여부", None),
            ("", None),
        ];
        for (cell, want) in cases {
            assert_eq!(KnownColumn::meant(cell), want, "{cell:?}");
        }
    }
}
