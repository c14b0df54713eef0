//! Columns of an import: their names, what other systems call them, and a mapping that a caller
//! gives.
//!
//! An *alias* is the name of a column in another system, in English or Korean. Only names that can
//! mean one thing are here: `번호`, `id` or `date` could be several columns, so they are guessed by
//! nobody, and the caller maps them. Absent on purpose: rows, and where the first line ends.

use std::fmt;
use std::str::FromStr;

/// How much of a cell an error repeats, in characters: all of a well-formed one but the longest
/// names.
pub const FOUND_LEN_MAX: usize = 64;

/// What a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The code; the one column that must be there.
    Code,
    /// First day, or first instant.
    ValidFrom,
    /// Last day, or first instant at which it works no longer.
    ExpiresAt,
    /// `available`, `issued`, `redeemed` or `void`.
    State,
    /// Who holds it or redeemed it.
    UserId,
    /// Since when.
    IssuedAt,
    /// When it was redeemed.
    RedeemedAt,
    /// For which order.
    OrderRef,
}

/// What other systems call each column, as [`normal`] leaves a name.
const ALIASES: [(Column, &[&str]); 8] = [
    (
        Column::Code,
        &[
            "couponcode",
            "couponnumber",
            "couponno",
            "vouchercode",
            "vouchernumber",
            "promocode",
            "promotioncode",
            "discountcode",
            "giftcode",
            "serialnumber",
            "쿠폰번호",
            "쿠폰코드",
            "쿠폰시리얼번호",
            "시리얼번호",
            "시리얼코드",
            "난수번호",
            "난수코드",
            "프로모션코드",
            "할인코드",
            "바우처코드",
            "바우처번호",
            "상품권번호",
        ],
    ),
    (
        Column::ValidFrom,
        &[
            "validfrom",
            "validfromdate",
            "startdate",
            "startsat",
            "startson",
            "startat",
            "begindate",
            "시작일",
            "시작일자",
            "시작일시",
            "사용시작일",
            "유효시작일",
            "유효기간시작",
            "유효기간시작일",
        ],
    ),
    (
        Column::ExpiresAt,
        &[
            "expiresat",
            "expireson",
            "expires",
            "expireat",
            "expiredat",
            "expiry",
            "expirydate",
            "expiration",
            "expirationdate",
            "expiredate",
            "enddate",
            "endsat",
            "endson",
            "validuntil",
            "validto",
            "validthrough",
            "만료일",
            "만료일자",
            "만료일시",
            "만료날짜",
            "만기일",
            "종료일",
            "종료일자",
            "종료일시",
            "사용종료일",
            "사용기한",
            "유효종료일",
            "유효기간",
            "유효기한",
            "유효기간종료",
            "유효기간종료일",
            "유효기간만료일",
        ],
    ),
    (Column::State, &["status", "couponstatus", "couponstate", "상태", "쿠폰상태"]),
    (
        Column::UserId,
        &[
            "userid",
            "customerid",
            "memberid",
            "holder",
            "회원id",
            "회원아이디",
            "회원번호",
            "사용자id",
            "사용자아이디",
            "고객id",
            "고객아이디",
            "고객번호",
            "유저id",
            "유저아이디",
        ],
    ),
    (
        Column::IssuedAt,
        &[
            "issuedat",
            "issuedon",
            "issuedate",
            "issueddate",
            "발급일",
            "발급일자",
            "발급일시",
            "지급일",
            "지급일자",
            "지급일시",
        ],
    ),
    (
        Column::RedeemedAt,
        &[
            "redeemedat",
            "redeemedon",
            "redeemdate",
            "redeemeddate",
            "redemptiondate",
            "usedat",
            "usedon",
            "useddate",
            "사용일",
            "사용일자",
            "사용일시",
            "사용날짜",
        ],
    ),
    (Column::OrderRef, &["orderref", "orderid", "orderno", "ordernumber", "주문번호", "주문id"]),
];

impl Column {
    /// Every column, in the order in which documents list them.
    pub const ALL: [Column; 8] = [
        Column::Code,
        Column::ValidFrom,
        Column::ExpiresAt,
        Column::State,
        Column::UserId,
        Column::IssuedAt,
        Column::RedeemedAt,
        Column::OrderRef,
    ];

    /// The name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Column::Code => "code",
            Column::ValidFrom => "valid_from",
            Column::ExpiresAt => "expires_at",
            Column::State => "state",
            Column::UserId => "user_id",
            Column::IssuedAt => "issued_at",
            Column::RedeemedAt => "redeemed_at",
            Column::OrderRef => "order_ref",
        }
    }

    /// What other systems call it, in small letters and without blanks, `_`, `-` and `.`.
    pub fn aliases(self) -> &'static [&'static str] {
        ALIASES.iter().find(|(column, _)| *column == self).map_or(&[], |(_, aliases)| aliases)
    }

    /// The column that is called exactly so, in capitals or not.
    pub(super) fn named(cell: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| cell.eq_ignore_ascii_case(column.name()))
    }

    /// The column that this cell of a header names: by its name, or as another system does.
    pub(super) fn meant(cell: &str) -> Option<Column> {
        let meant = || {
            let normal = normal(cell);
            Column::ALL.into_iter().find(|column| column.aliases().contains(&normal.as_str()))
        };
        Column::named(cell).or_else(meant)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names of all columns, for errors.
pub(super) fn known() -> String {
    Column::ALL.map(Column::name).join(", ")
}

/// As much of a cell as an error repeats.
pub(super) fn clipped(cell: &str) -> String {
    match cell.char_indices().nth(FOUND_LEN_MAX) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_owned(),
    }
}

/// A name without what people write differently: case, blanks, `_`, `-` and `.`.
fn normal(cell: &str) -> String {
    let kept = cell.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.'));
    kept.take(FOUND_LEN_MAX).flat_map(char::to_lowercase).collect()
}

/// A name that a cell which names nothing was perhaps meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The position of the cell, from 1.
    pub at: usize,
    /// The cell.
    pub found: String,
    /// The nearest name, that of a column or an alias.
    pub name: &'static str,
    /// The column of that name.
    pub column: Column,
}

impl Guess {
    /// The nearest one among the cells that name no column.
    pub(super) fn of<'a>(cells: impl IntoIterator<Item = &'a str>) -> Option<Guess> {
        let cells = cells.into_iter().enumerate().filter(|(_, cell)| Column::meant(cell).is_none());
        let guesses = cells.filter_map(|(nth, cell)| {
            let (distance, name, column) = nearest(cell)?;
            Some((distance, Guess { at: nth + 1, found: clipped(cell), name, column }))
        });
        guesses.min_by_key(|(distance, _)| *distance).map(|(_, guess)| guess)
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Guess { at, found, name, column } = self;
        match *name == column.name() {
            true => write!(f, "is column {at}, {found:?}, meant to be {name}?"),
            false => write!(f, "is column {at}, {found:?}, meant to be {name} ({column})?"),
        }
    }
}

/// As near as a name that stands inside a cell is: a spelling with one slip is nearer.
const INSIDE: usize = 2;

/// The name nearest to a cell, if one is near: at most a third of its characters are different, or
/// the cell has it inside.
fn nearest(cell: &str) -> Option<(usize, &'static str, Column)> {
    let cell = normal(cell);
    let names = Column::ALL.into_iter().flat_map(|column| {
        let all = std::iter::once(column.name()).chain(column.aliases().iter().copied());
        all.map(move |name| (name, column))
    });
    let near = names.filter_map(|(name, column)| {
        let normal = normal(name);
        let letters = normal.chars().count();
        if letters > 2 && cell.contains(&normal) {
            return Some((INSIDE, name, column));
        }
        let distance = edits(&cell, &normal);
        (distance <= usize::max(1, letters / 3)).then_some((distance, name, column))
    });
    near.min_by_key(|(distance, ..)| *distance)
}

/// How many characters have to be inserted, deleted, replaced or swapped with the next one.
fn edits(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// Where a column of a mapping is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The column at this position, from 1.
    Number(usize),
    /// The column that the header calls so, in capitals or not.
    Name(String),
}

/// Which of a file's columns is which: `code:쿠폰번호,expires_at:만료일`, or `code:1,expires_at:3`.
/// Columns that it does not name are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMap(Vec<(Column, Source)>);

/// Why a text is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadColumnMap {
    /// An entry that is not two names with a colon in between.
    #[error("has {found:?}, want COLUMN:NAME or COLUMN:NUMBER, as in code:1,expires_at:만료일")]
    Form {
        /// The entry.
        found: String,
    },
    /// A column that means nothing here.
    #[error("names {found:?}, want one of {}", known())]
    Unknown {
        /// The name.
        found: String,
    },
    /// A column that is mapped twice.
    #[error("names {column} twice")]
    Doubled {
        /// The column.
        column: Column,
    },
    /// Nothing is said of the column that must be there.
    #[error("leaves out code: say which column it is")]
    NoCode,
}

impl ColumnMap {
    /// The columns and where they are, in the order in which they were given.
    pub fn entries(&self) -> &[(Column, Source)] {
        &self.0
    }
}

impl FromStr for ColumnMap {
    type Err = BadColumnMap;

    fn from_str(text: &str) -> Result<ColumnMap, BadColumnMap> {
        let mut map: Vec<(Column, Source)> = Vec::new();
        for entry in text.split(',') {
            let parts =
                entry.split_once(':').map(|(column, source)| (column.trim(), source.trim()));
            let Some((column, source)) = parts.filter(|(_, source)| !source.is_empty()) else {
                return Err(BadColumnMap::Form { found: clipped(entry) });
            };
            let Some(column) = Column::named(column) else {
                return Err(BadColumnMap::Unknown { found: clipped(column) });
            };
            if map.iter().any(|(known, _)| *known == column) {
                return Err(BadColumnMap::Doubled { column });
            }
            let source = match source.parse::<usize>() {
                Ok(0) => return Err(BadColumnMap::Form { found: clipped(entry) }),
                Ok(number) => Source::Number(number),
                Err(_) => Source::Name(source.to_owned()),
            };
            map.push((column, source));
        }
        match map.iter().any(|(column, _)| *column == Column::Code) {
            true => Ok(ColumnMap(map)),
            false => Err(BadColumnMap::NoCode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An alias that two columns have, or that is not normal, would never be found.
    #[test]
    fn aliases_are_normal_and_unlike_each_other() {
        let mut seen = std::collections::BTreeMap::new();
        for column in Column::ALL {
            for alias in column.aliases() {
                assert_eq!(&normal(alias), alias);
                assert_eq!(seen.insert(*alias, column), None, "{alias} is there twice");
                assert_eq!(Column::meant(alias), Some(column), "{alias}");
            }
        }
    }

    #[test]
    fn what_headers_mean() {
        let cases = [
            ("code", Some(Column::Code)),
            ("CODE", Some(Column::Code)),
            ("co-de", None),
            ("Coupon Code", Some(Column::Code)),
            ("coupon_code", Some(Column::Code)),
            ("쿠폰번호", Some(Column::Code)),
            ("쿠폰 번호", Some(Column::Code)),
            ("Valid From", Some(Column::ValidFrom)),
            ("시작일", Some(Column::ValidFrom)),
            ("Expiry-Date", Some(Column::ExpiresAt)),
            ("expiredAt", Some(Column::ExpiresAt)),
            ("유효기간", Some(Column::ExpiresAt)),
            ("회원ID", Some(Column::UserId)),
            ("customerId", Some(Column::UserId)),
            ("발급일", Some(Column::IssuedAt)),
            ("사용일", Some(Column::RedeemedAt)),
            ("주문번호", Some(Column::OrderRef)),
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
            assert_eq!(Column::meant(cell), want, "{cell:?}");
        }
    }

    #[test]
    fn guesses() {
        let cases: [(&str, Option<&str>); 12] = [
            ("쿠폰번로", Some("쿠폰번호")),
            ("쿠폰번호(필수)", Some("쿠폰번호")),
            ("만료", Some("만료일")),
            ("expire_at", None),
            ("expires_att", Some("expires_at")),
            ("exipres_at", Some("expires_at")),
            ("user id.", None),
            ("usr_id", Some("user_id")),
            ("stat", Some("state")),
            ("colour", None),
            ("Value", None),
            ("", None),
        ];
        for (cell, want) in cases {
            let found = Guess::of([cell]).map(|guess| guess.name);
            let known = Column::meant(cell).is_some();
            assert!(!known || found.is_none(), "{cell:?} needs no guess");
            assert_eq!(found.map(normal), want.map(normal), "{cell:?}");
        }
        let guess = Guess::of(["nr", "쿠폰번로"]).unwrap();
        assert_eq!(guess.to_string(), "is column 2, \"쿠폰번로\", meant to be 쿠폰번호 (code)?");
    }

    #[test]
    fn distances() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("abc", "bca", 2),
            ("code", "coed", 1),
            ("만료일", "만료", 1),
        ];
        for (one, other, want) in cases {
            assert_eq!((edits(one, other), edits(other, one)), (want, want), "{one} {other}");
        }
    }

    #[test]
    fn mappings() {
        let number = Source::Number;
        let name = |it: &str| Source::Name(it.to_owned());
        let good = [
            ("code:1", vec![(Column::Code, number(1))]),
            (
                "code:쿠폰번호,expires_at:만료일",
                vec![(Column::Code, name("쿠폰번호")), (Column::ExpiresAt, name("만료일"))],
            ),
            (
                " Expires_At : 3 , CODE : Coupon No: old",
                vec![(Column::ExpiresAt, number(3)), (Column::Code, name("Coupon No: old"))],
            ),
        ];
        for (text, want) in good {
            assert_eq!(text.parse::<ColumnMap>(), Ok(ColumnMap(want)), "{text}");
        }
        let found = |it: &str| it.to_owned();
        let bad = [
            ("", BadColumnMap::Form { found: found("") }),
            ("code", BadColumnMap::Form { found: found("code") }),
            ("code:", BadColumnMap::Form { found: found("code:") }),
            ("code:0", BadColumnMap::Form { found: found("code:0") }),
            ("code:1,", BadColumnMap::Form { found: found("") }),
            ("code:1,colour:2", BadColumnMap::Unknown { found: found("colour") }),
            ("code:1,code:2", BadColumnMap::Doubled { column: Column::Code }),
            ("expires_at:2", BadColumnMap::NoCode),
        ];
        for (text, want) in bad {
            assert_eq!(text.parse::<ColumnMap>(), Err(want), "{text}");
        }
    }
}
