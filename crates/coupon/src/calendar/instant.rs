//! The text of instants: the only place that reads and prints RFC 3339.

use jiff::SignedDuration;
use jiff::fmt::temporal::DateTimeParser;

use super::{DAY_SECONDS, EPOCH, SECOND_MS, Zone};
use crate::time::{DAY_MS, Millis};

/// Longest instant accepted, in bytes: nine decimals, an offset and some to spare.
pub const INSTANT_LEN_MAX: usize = 40;

/// The first instant that can be printed: 0001-01-01T00:00:00.000Z.
const FIRST_PRINTED: i64 = -62_135_596_800_000;

/// 9999-12-31T23:59:59.999Z: the last instant that is read and printed, and may end a coupon.
pub const LAST_INSTANT: Millis = Millis(253_402_300_799_999);

static PARSER: DateTimeParser = DateTimeParser::new();

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstant {
    #[error("instant has {found} bytes, want at most {INSTANT_LEN_MAX}")]
    Length { found: usize },
    #[error(
        "instant is {found:?}, want a day and a time that exist, in a form like \
         2026-12-31T15:00:00Z"
    )]
    Form { found: Box<str> },
    /// A date and a time of day without an offset: it could be in any zone.
    #[error("instant is {found:?} without an offset, want Z or one like +09:00 at its end")]
    NoOffset { found: Box<str> },
    /// Before 1970 or after 9999, in UTC.
    #[error("instant is {found:?}, want a year from 1970 to 9999")]
    Year { found: Box<str> },
}

/// Reads an instant in RFC 3339, such as `2026-12-31T15:00:00Z`, with an offset and up to nine
/// decimals; a space may stand for the `T`. Cuts off what is finer than a millisecond.
///
/// Also reads what jiff reads beside RFC 3339: the form without hyphens and colons, a time without
/// seconds, a decimal comma, and a leap second as the second before it.
///
/// # Errors
/// [`BadInstant`]. An offset is never guessed. Annotations in brackets are refused.
pub fn parse_instant(text: &str) -> Result<Millis, BadInstant> {
    if text.len() > INSTANT_LEN_MAX {
        return Err(BadInstant::Length { found: text.len() });
    }
    let form = || BadInstant::Form { found: text.into() };
    if text.contains('[') {
        return Err(form());
    }
    // The pieces, and not a timestamp of jiff: those end at 9999-12-30T22:00Z.
    let pieces = PARSER.parse_pieces(text).map_err(|_| form())?;
    let time = pieces.time().ok_or_else(form)?;
    let Some(offset) = pieces.to_numeric_offset() else {
        return Err(BadInstant::NoOffset { found: text.into() });
    };
    // jiff allows 25 hours.
    let offset = SignedDuration::from_secs(i64::from(offset.seconds()));
    if offset.as_secs().abs() >= DAY_SECONDS {
        return Err(form());
    }
    let local = pieces.date().to_datetime(time);
    let since = local.duration_since(EPOCH.at(0, 0, 0, 0)) - offset;
    match i64::try_from(since.as_millis()) {
        Ok(ms) if !since.is_negative() && ms <= LAST_INSTANT.0 => Ok(Millis(ms)),
        _ => Err(BadInstant::Year { found: text.into() }),
    }
}

/// `2027-01-01 00:00:00`: what clocks of `zone` show, as spreadsheets read it. No milliseconds.
pub fn format_local(instant: Millis, zone: &Zone) -> String {
    let second = instant.0.div_euclid(SECOND_MS);
    let shown = format_instant(Millis((second + zone.offset_at(second)) * SECOND_MS));
    // The same text with a blank, up to the decimals.
    shown.replacen('T', " ", 1).split('.').next().unwrap_or_default().to_owned()
}

/// `2026-12-31T15:00:00.000Z`, always with three decimals and in UTC. Stays within the years 1
/// to 9999, so it is RFC 3339 whatever `instant` is.
pub fn format_instant(instant: Millis) -> String {
    let ms = instant.0.clamp(FIRST_PRINTED, LAST_INSTANT.0);
    let date = EPOCH.saturating_add(SignedDuration::from_secs(ms.div_euclid(DAY_MS) * DAY_SECONDS));
    let ms = ms.rem_euclid(DAY_MS);
    let (second, ms) = (ms / SECOND_MS, ms % SECOND_MS);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    // By hand and not by jiff: its timestamps end at 9999-12-30T22:00Z, and its printer has a
    // precision and a separator to choose. An answer has half a dozen instants; `format!` takes
    // ten times as long as this.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let pieces = [
        (0, 4, date.year().into()),
        (5, 2, date.month().into()),
        (8, 2, date.day().into()),
        (11, 2, hour),
        (14, 2, minute),
        (17, 2, second),
        (20, 3, ms),
    ];
    for (at, digits, number) in pieces {
        put_digits(&mut text[at..at + digits], number);
    }
    str::from_utf8(&text).unwrap_or_default().to_owned()
}

/// Writes the last digits of a number that is not negative, as many as fit.
fn put_digits(room: &mut [u8], mut number: i64) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn instants() {
        let ok = |ms| Ok(Millis(ms));
        let form = |found: &str| Err(BadInstant::Form { found: found.into() });
        let no_offset = |found: &str| Err(BadInstant::NoOffset { found: found.into() });
        let year = |found: &str| Err(BadInstant::Year { found: found.into() });
        let fourteen = "2026-12-31T15:00:00.99999999999999+09:00";
        let cases = [
            ("UTC", "2026-12-31T15:00:00Z", ok(1_798_729_200_000)),
            ("an offset", "2027-01-01T00:00:00+09:00", ok(1_798_729_200_000)),
            ("west", "2026-12-31T11:30:00-03:30", ok(1_798_729_200_000)),
            ("no offset known", "2026-12-31T15:00:00-00:00", ok(1_798_729_200_000)),
            ("lower case", "2026-12-31t15:00:00z", ok(1_798_729_200_000)),
            ("a blank", "2026-12-31 15:00:00Z", ok(1_798_729_200_000)),
            ("milliseconds", "2026-12-31T15:00:00.007Z", ok(1_798_729_200_007)),
            ("one decimal", "2026-12-31T15:00:00.7Z", ok(1_798_729_200_700)),
            ("cut, not rounded", "2026-12-31T15:00:00.999999999Z", ok(1_798_729_200_999)),
            ("more than nine decimals", fourteen, form(fourteen)),
            ("the first", "1970-01-01T00:00:00Z", ok(0)),
            ("a local year 1969", "1969-12-31T23:00:00-01:00", ok(0)),
            ("a millisecond before", "1969-12-31T23:59:59.999Z", year("1969-12-31T23:59:59.999Z")),
            ("less than one", "1969-12-31T23:59:59.9999Z", year("1969-12-31T23:59:59.9999Z")),
            ("the last", "9999-12-31T23:59:59.999Z", Ok(LAST_INSTANT)),
            ("past it", "9999-12-31T23:59:59-00:01", year("9999-12-31T23:59:59-00:01")),
            ("29 February", "2028-02-29T00:00:00Z", ok(1_835_395_200_000)),
            ("30 February", "2026-02-30T00:00:00Z", form("2026-02-30T00:00:00Z")),
            ("24:00", "2026-12-31T24:00:00Z", form("2026-12-31T24:00:00Z")),
            ("minute 60", "2026-12-31T23:60:00Z", form("2026-12-31T23:60:00Z")),
            ("a leap second", "2016-12-31T23:59:60Z", ok(1_483_228_799_000)),
            ("without offset", "2026-12-31T15:00:00", no_offset("2026-12-31T15:00:00")),
            ("without, decimals", "2026-12-31T15:00:00.5", no_offset("2026-12-31T15:00:00.5")),
            ("annotated", "2026-12-31T15:00:00Z[UTC]", form("2026-12-31T15:00:00Z[UTC]")),
            ("offset without colon", "2026-12-31T15:00:00+0900", ok(1_798_696_800_000)),
            ("offset of a day", "2026-12-31T15:00:00+24:00", form("2026-12-31T15:00:00+24:00")),
            ("offset minute 60", "2026-12-31T15:00:00+09:60", form("2026-12-31T15:00:00+09:60")),
            ("no seconds", "2026-12-31T15:00Z", ok(1_798_729_200_000)),
            ("an empty fraction", "2026-12-31T15:00:00.Z", form("2026-12-31T15:00:00.Z")),
            ("a comma", "2026-12-31T15:00:00,5Z", ok(1_798_729_200_500)),
            ("a sign in a field", "2026-12-31T+5:00:00Z", form("2026-12-31T+5:00:00Z")),
            ("a date", "2026-12-31", form("2026-12-31")),
            ("compact", "20261231T150000Z", ok(1_798_729_200_000)),
            ("empty", "", form("")),
            ("only Z", "Z", form("Z")),
            ("outside ASCII", "2026-12-31T15:00:00−09:00", form("2026-12-31T15:00:00−09:00")),
        ];
        for (name, text, want) in cases {
            assert_eq!(parse_instant(text), want, "{name}");
        }
        assert_eq!(fourteen.len(), INSTANT_LEN_MAX);
        let longer = fourteen.replace('+', "9+");
        assert_eq!(parse_instant(&longer), Err(BadInstant::Length { found: INSTANT_LEN_MAX + 1 }));
    }

    #[test]
    fn printed_instants() {
        let cases = [
            ("the epoch", 0, "1970-01-01T00:00:00.000Z"),
            ("a millisecond before", -1, "1969-12-31T23:59:59.999Z"),
            ("an ordinary one", 1_798_729_200_007, "2026-12-31T15:00:00.007Z"),
            ("the last", LAST_INSTANT.0, "9999-12-31T23:59:59.999Z"),
            ("past it", LAST_INSTANT.0 + 1, "9999-12-31T23:59:59.999Z"),
            ("the largest number", i64::MAX, "9999-12-31T23:59:59.999Z"),
            ("the smallest", i64::MIN, "0001-01-01T00:00:00.000Z"),
        ];
        for (name, ms, want) in cases {
            assert_eq!(format_instant(Millis(ms)), want, "{name}");
        }
    }

    #[test]
    fn an_error_says_what_was_found() {
        let cases = [
            (
                "2026-12-31T15:00:00",
                "instant is \"2026-12-31T15:00:00\" without an offset, want Z or one like +09:00 \
                 at its end",
            ),
            (
                "2026-02-30T15:00:00Z",
                "instant is \"2026-02-30T15:00:00Z\", want a day and a time that exist, in a form \
                 like 2026-12-31T15:00:00Z",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(parse_instant(text).unwrap_err().to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..=LAST_INSTANT.0) {
            prop_assert_eq!(parse_instant(&format_instant(Millis(ms))), Ok(Millis(ms)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = parse_instant(&text);
        }
    }
}
