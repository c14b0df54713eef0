//! The only place that knows time zones and dates, and the text of both and of instants.
//!
//! The zones are those of the IANA database built into the binary, never those of the machine:
//! two nodes with the same binary never disagree about when a day ends.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, civil};

use crate::time::{DAY_MS, Day, Millis};

/// Longest name of a zone looked up, in bytes; twice the longest name that there is.
pub const ZONE_LEN_MAX: usize = 64;

/// Longest text of an instant looked at, in bytes: nine decimals, an offset, and some to spare.
pub const INSTANT_LEN_MAX: usize = 40;

const EPOCH: civil::Date = civil::date(1970, 1, 1);
const SECOND_MS: i64 = 1_000;
const DAY_SECONDS: i64 = DAY_MS / SECOND_MS;

/// The instants that have a text: from 0001-01-01T00:00:00.000Z on, and before the year 10000.
const FIRST_PRINTED: i64 = -62_135_596_800_000;
const LAST_INSTANT: i64 = 253_402_300_799_999;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone of the IANA database. Cheap to clone; two are equal when their names are.
#[derive(Clone)]
pub struct Zone(TimeZone);

/// Why a text names no zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadZone {
    /// Empty, or longer than any name of a zone.
    #[error("time zone has {found} bytes, want 1 to {ZONE_LEN_MAX}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The database has no such name.
    #[error("time zone is {found:?}, want a name of the IANA database like Asia/Seoul or UTC")]
    Unknown {
        /// The name found.
        found: Box<str>,
    },
}

impl Zone {
    /// `UTC`.
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The name as the database spells it.
    pub fn name(&self) -> &str {
        self.0.iana_name().expect("a zone is made from a name only")
    }

    /// Seconds that clocks of this zone are ahead of UTC at `second`, an instant in seconds.
    fn offset_at(&self, second: i64) -> i64 {
        // jiff ends a day before our years do; no zone changes its offset after that.
        let second = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let instant = Timestamp::from_second(second).expect("clamped to the range of jiff");
        i64::from(self.0.to_offset(instant).seconds())
    }
}

impl FromStr for Zone {
    type Err = BadZone;

    /// Looks up a name, in any case. No POSIX rule, no `local`, no offset.
    fn from_str(text: &str) -> Result<Zone, BadZone> {
        if !(1..=ZONE_LEN_MAX).contains(&text.len()) {
            return Err(BadZone::Length { found: text.len() });
        }
        let known = ZONES.get(text).ok().filter(|zone| {
            // Both stand in the database and mean "nobody has said".
            !zone.is_unknown() && zone.iana_name().is_some_and(|name| name != "Factory")
        });
        known.map(Zone).ok_or_else(|| BadZone::Unknown { found: text.into() })
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

/// A calendar day of the years 1970 to 9999, wherever that is; with a [`Zone`] it is a stretch
/// of time. Printed as `2026-12-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(civil::Date);

/// Why a text is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDate {
    /// Neither of the two lengths that a date has.
    #[error("date has {found} bytes, want 2026-12-31 or 20261231")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Not digits where digits have to be.
    #[error("date is {found:?}, want 2026-12-31 or 20261231")]
    Form {
        /// The text found.
        found: Box<str>,
    },
    /// Well written, but the calendar has no such day.
    #[error("date is {found:?}, want a day that exists")]
    NoSuchDay {
        /// The text found.
        found: Box<str>,
    },
    /// A day before 1970.
    #[error("date is {found:?}, want a year from 1970 to 9999")]
    Year {
        /// The text found.
        found: Box<str>,
    },
}

impl Date {
    /// The day that clocks of `zone` show at `instant`; the first or last day of the range for
    /// an instant outside it.
    pub fn of(instant: Millis, zone: &Zone) -> Date {
        let second = instant.0.div_euclid(SECOND_MS);
        let days = (second + zone.offset_at(second)).div_euclid(DAY_SECONDS);
        let days = SignedDuration::from_secs(days * DAY_SECONDS);
        Date(EPOCH.saturating_add(days).max(EPOCH))
    }

    /// The last day on which something works that ends at `expires_at`, which is exclusive: the
    /// day of the millisecond before it.
    pub fn last_of(expires_at: Millis, zone: &Zone) -> Date {
        Date::of(expires_at.plus_ms(-1), zone)
    }

    /// The day `days` later; stays at the end of the range.
    pub fn plus_days(self, days: u16) -> Date {
        Date(self.0.saturating_add(SignedDuration::from_hours(i64::from(days) * 24)))
    }

    /// The first instant at which clocks of `zone` show this day: 00:00, or where the clock is
    /// put forward across it, the instant at which that happens. Of a day that the zone left out
    /// altogether, the first instant of the next one.
    pub fn first_instant(self, zone: &Zone) -> Millis {
        // The day's 00:00 as a number: what would be the instant if the zone were UTC.
        let midnight = self.0.duration_since(EPOCH).as_secs();
        let seconds = |offset: jiff::tz::Offset| i64::from(offset.seconds());
        let second = match zone.0.to_ambiguous_timestamp(self.0.at(0, 0, 0, 0)).offset() {
            AmbiguousOffset::Unambiguous { offset } => midnight - seconds(offset),
            // Clocks show 00:00 twice; the day has begun at the first.
            AmbiguousOffset::Fold { before, .. } => midnight - seconds(before),
            AmbiguousOffset::Gap { before, after } => {
                first_past(midnight, zone, midnight - seconds(after)..midnight - seconds(before))
            }
        };
        Millis(second * SECOND_MS)
    }

    /// The first instant of the following day, so exclusive; where clocks are put back across
    /// midnight, the first time that they get there. Never before [`Date::first_instant`], and
    /// equal to it for a day that the zone left out.
    pub fn end(self, zone: &Zone) -> Millis {
        match self.0.tomorrow() {
            Ok(next) => Date(next).first_instant(zone),
            // 9999-12-31; no zone plans to change its clocks on that day.
            Err(_) => self.first_instant(zone).plus_ms(DAY_MS),
        }
    }
}

/// The first second of `gap` at which clocks show `midnight` or later. At its start they do not,
/// at its end they do, and they are put forward once in between.
fn first_past(midnight: i64, zone: &Zone, gap: std::ops::Range<i64>) -> i64 {
    let (mut early, mut late) = (gap.start, gap.end);
    while late - early > 1 {
        let middle = early.midpoint(late);
        if middle + zone.offset_at(middle) >= midnight {
            late = middle;
        } else {
            early = middle;
        }
    }
    late
}

impl FromStr for Date {
    type Err = BadDate;

    /// Reads `2026-12-31` or `20261231`, nothing else.
    fn from_str(text: &str) -> Result<Date, BadDate> {
        let bytes = text.as_bytes();
        let fields = match bytes {
            [_, _, _, _, b'-', _, _, b'-', _, _] => [&bytes[..4], &bytes[5..7], &bytes[8..]],
            [_, _, _, _, _, _, _, _] => [&bytes[..4], &bytes[4..6], &bytes[6..]],
            _ if bytes.len() == 10 => return Err(BadDate::Form { found: text.into() }),
            _ => return Err(BadDate::Length { found: bytes.len() }),
        };
        let [Some(year), Some(month), Some(day)] = fields.map(digits) else {
            return Err(BadDate::Form { found: text.into() });
        };
        // Two digits fit in an i8, and four in an i16.
        match civil::Date::new(year as i16, month as i8, day as i8) {
            Ok(date) if date >= EPOCH => Ok(Date(date)),
            Ok(_) => Err(BadDate::Year { found: text.into() }),
            Err(_) => Err(BadDate::NoSuchDay { found: text.into() }),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Day {
    /// `2026-12-31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Date::of(self.start(), &Zone::utc()).fmt(f)
    }
}

/// Why a text is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstant {
    /// More text than an instant has.
    #[error("instant has {found} bytes, want at most {INSTANT_LEN_MAX}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Not written as RFC 3339 has it.
    #[error("instant is {found:?}, want a form like 2026-12-31T15:00:00Z")]
    Form {
        /// The text found.
        found: Box<str>,
    },
    /// A date and a time of day, but nobody knows where.
    #[error("instant is {found:?} without an offset, want Z or one like +09:00 at its end")]
    NoOffset {
        /// The text found.
        found: Box<str>,
    },
    /// Well written, but no clock shows it; leap seconds included.
    #[error("instant is {found:?}, want a day and a time that exist")]
    NoSuchTime {
        /// The text found.
        found: Box<str>,
    },
    /// Before 1970 or after 9999, in UTC.
    #[error("instant is {found:?}, want a year from 1970 to 9999")]
    Year {
        /// The text found.
        found: Box<str>,
    },
}

/// Reads an instant as RFC 3339 has it, `2026-12-31T15:00:00Z` or with an offset and decimals;
/// a blank may stand for the `T`. What is finer than a millisecond is cut off.
///
/// # Errors
/// [`BadInstant`]. An offset is never guessed, and bracketed annotations are no RFC 3339.
pub fn parse_instant(text: &str) -> Result<Millis, BadInstant> {
    let bytes = text.as_bytes();
    if bytes.len() > INSTANT_LEN_MAX {
        return Err(BadInstant::Length { found: bytes.len() });
    }
    let found = || text.into();
    let (clock, offset) = match bytes {
        [clock @ .., b'Z' | b'z'] => (clock, Some(0)),
        [clock @ .., sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            (clock, offset_of(*sign, [*h1, *h2], [*m1, *m2]))
        }
        _ if Clock::read(bytes).is_some() => {
            return Err(BadInstant::NoOffset { found: found() });
        }
        _ => return Err(BadInstant::Form { found: found() }),
    };
    let (Some(clock), Some(offset)) = (Clock::read(clock), offset) else {
        return Err(BadInstant::Form { found: found() });
    };
    let local = clock.ms().ok_or_else(|| BadInstant::NoSuchTime { found: found() })?;
    let ms = local - offset * SECOND_MS;
    if !(0..=LAST_INSTANT).contains(&ms) {
        return Err(BadInstant::Year { found: found() });
    }
    Ok(Millis(ms))
}

/// `2026-12-31T15:00:00.000Z`, always with three decimals and in UTC. Stays within the years 1
/// to 9999, so it is RFC 3339 whatever `instant` is.
pub fn format_instant(instant: Millis) -> String {
    let ms = instant.0.clamp(FIRST_PRINTED, LAST_INSTANT);
    let date = EPOCH.saturating_add(SignedDuration::from_secs(ms.div_euclid(DAY_MS) * DAY_SECONDS));
    let ms = ms.rem_euclid(DAY_MS);
    let (second, ms) = (ms / SECOND_MS, ms % SECOND_MS);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    // By hand: an answer has half a dozen of them, and `format!` takes ten times as long.
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

/// The last digits of a number that is not negative, as many as there is room for.
fn put_digits(room: &mut [u8], mut number: i64) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// What stands in front of an offset: the fields as written, not yet checked against a calendar.
struct Clock {
    year: u16,
    month: u16,
    day: u16,
    hour: u16,
    minute: u16,
    second: u16,
    ms: u16,
}

impl Clock {
    /// Reads `2026-12-31T15:00:00`, with or without decimals behind it.
    fn read(bytes: &[u8]) -> Option<Clock> {
        let (fixed, fraction) = bytes.split_first_chunk::<19>()?;
        let separators = [fixed[4], fixed[7], fixed[10].to_ascii_uppercase(), fixed[13], fixed[16]];
        if !matches!(separators, [b'-', b'-', b'T' | b' ', b':', b':']) {
            return None;
        }
        Some(Clock {
            year: digits(&fixed[..4])?,
            month: digits(&fixed[5..7])?,
            day: digits(&fixed[8..10])?,
            hour: digits(&fixed[11..13])?,
            minute: digits(&fixed[14..16])?,
            second: digits(&fixed[17..])?,
            ms: decimals(fraction)?,
        })
    }

    /// Milliseconds since 1970-01-01T00:00 by the same clock; none when it never shows this.
    fn ms(&self) -> Option<i64> {
        let date = civil::Date::new(self.year as i16, self.month as i8, self.day as i8).ok()?;
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let [hour, minute, second] = [self.hour, self.minute, self.second].map(i64::from);
        let second = date.duration_since(EPOCH).as_secs() + hour * 3_600 + minute * 60 + second;
        Some(second * SECOND_MS + i64::from(self.ms))
    }
}

/// The offset in seconds; none when it is not written in digits, or as large as a day.
fn offset_of(sign: u8, hours: [u8; 2], minutes: [u8; 2]) -> Option<i64> {
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours) * 3_600 + i64::from(minutes) * 60;
    Some(if sign == b'-' { -seconds } else { seconds })
}

/// Milliseconds that `.123456` stands for, cut off; 0 when there is nothing.
fn decimals(fraction: &[u8]) -> Option<u16> {
    let decimals = match fraction {
        [] => return Some(0),
        [b'.', decimals @ ..] if !decimals.is_empty() => decimals,
        _ => return None,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let of = |at: usize| decimals.get(at).map_or(0, |byte| u16::from(byte - b'0'));
    Some(of(0) * 100 + of(1) * 10 + of(2))
}

/// The number that at most four digits spell; none when something else stands there.
fn digits(bytes: &[u8]) -> Option<u16> {
    bytes
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn zones() {
        let unknown = |found: &str| Err(BadZone::Unknown { found: found.into() });
        let long = "A".repeat(ZONE_LEN_MAX);
        let longer = "A".repeat(ZONE_LEN_MAX + 1);
        let cases = [
            ("UTC", "UTC", Ok("UTC")),
            ("the canonical spelling", "asia/seoul", Ok("Asia/Seoul")),
            ("three parts", "America/Argentina/Ushuaia", Ok("America/Argentina/Ushuaia")),
            ("ahead of all", "Pacific/Kiritimati", Ok("Pacific/Kiritimati")),
            ("behind all", "Etc/GMT+12", Ok("Etc/GMT+12")),
            ("empty", "", Err(BadZone::Length { found: 0 })),
            ("a name at the limit", &long, unknown(&long)),
            ("a name past it", &longer, Err(BadZone::Length { found: 65 })),
            ("a town that is none", "Asia/Atlantis", unknown("Asia/Atlantis")),
            ("the machine's", "local", unknown("local")),
            ("the machine's, as a file", "localtime", unknown("localtime")),
            ("a POSIX rule", "EST5EDT,M3.2.0,M11.1.0", unknown("EST5EDT,M3.2.0,M11.1.0")),
            ("a short POSIX rule", "KST-9", unknown("KST-9")),
            ("an offset", "+09:00", unknown("+09:00")),
            ("a path", "../../etc/passwd", unknown("../../etc/passwd")),
            ("a file's path", ":Asia/Seoul", unknown(":Asia/Seoul")),
            ("jiff's placeholder", "Etc/Unknown", unknown("Etc/Unknown")),
            ("the database's placeholder", "Factory", unknown("Factory")),
            ("a blank around it", " UTC", unknown(" UTC")),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<Zone>();
            assert_eq!(found.as_ref().map(Zone::name), want.as_ref().copied(), "{name}");
        }
        assert_eq!(zone("utc"), Zone::utc());
        assert_ne!(zone("Etc/UTC"), Zone::utc(), "equal means equal in name");
    }

    #[test]
    fn every_zone_of_the_database_reads_back() {
        let mut count = 0;
        for name in ZONES.available().filter(|name| name.as_str() != "Factory") {
            assert_eq!(zone(name.as_str()).name(), name.as_str());
            assert!(name.as_str().len() <= ZONE_LEN_MAX / 2, "{name}");
            count += 1;
        }
        assert!(count > 400, "{count} zones");
    }

    #[test]
    fn dates() {
        let no_day = |found: &str| Err(BadDate::NoSuchDay { found: found.into() });
        let form = |found: &str| Err(BadDate::Form { found: found.into() });
        let year = |found: &str| Err(BadDate::Year { found: found.into() });
        let cases = [
            ("with hyphens", "2026-12-31", Ok("2026-12-31")),
            ("without", "20261231", Ok("2026-12-31")),
            ("29 February", "2028-02-29", Ok("2028-02-29")),
            ("29 February of another year", "2027-02-29", no_day("2027-02-29")),
            ("a century without", "21000229", no_day("21000229")),
            ("30 February", "2026-02-30", no_day("2026-02-30")),
            ("month 0", "2026-00-10", no_day("2026-00-10")),
            ("month 13", "2026-13-10", no_day("2026-13-10")),
            ("day 0", "20261200", no_day("20261200")),
            ("day 99", "20261299", no_day("20261299")),
            ("the first", "1970-01-01", Ok("1970-01-01")),
            ("the day before it", "1969-12-31", year("1969-12-31")),
            ("year 0", "00000101", year("00000101")),
            ("the last", "9999-12-31", Ok("9999-12-31")),
            ("a year too long", "10000-01-01", Err(BadDate::Length { found: 11 })),
            ("short", "2026-1-31", Err(BadDate::Length { found: 9 })),
            ("empty", "", Err(BadDate::Length { found: 0 })),
            ("slashes", "2026/12/31", form("2026/12/31")),
            ("a sign", "+2026123", form("+2026123")),
            ("signs within", "2026-+1-+1", form("2026-+1-+1")),
            ("a blank", " 2026123", form(" 2026123")),
            ("outside ASCII", "２０-1-1", form("２０-1-1")),
            ("an instant", "2026-12-31T00:00Z", Err(BadDate::Length { found: 17 })),
        ];
        for (name, text, want) in cases {
            assert_eq!(
                text.parse::<Date>().map(|date| date.to_string()),
                want.map(String::from),
                "{name}"
            );
        }
    }

    #[test]
    fn days_begin_and_end() {
        let cases = [
            ("UTC", "UTC", "2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("no DST", "Asia/Seoul", "2026-12-31", "2026-12-30T15:00:00Z", "2026-12-31T15:00:00Z"),
            (
                "DST in Seoul, once",
                "Asia/Seoul",
                "1988-05-08",
                "1988-05-07T15:00:00Z",
                "1988-05-08T14:00:00Z",
            ),
            (
                "29 February",
                "Asia/Seoul",
                "2028-02-29",
                "2028-02-28T15:00:00Z",
                "2028-02-29T15:00:00Z",
            ),
            (
                "a gap: 23 hours",
                "America/New_York",
                "2026-03-08",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
            (
                "a fold: 25 hours",
                "America/New_York",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            (
                "half an hour",
                "Australia/Lord_Howe",
                "2026-04-05",
                "2026-04-04T13:00:00Z",
                "2026-04-05T13:30:00Z",
            ),
            (
                "+14",
                "Pacific/Kiritimati",
                "2026-12-31",
                "2026-12-30T10:00:00Z",
                "2026-12-31T10:00:00Z",
            ),
            ("-12", "Etc/GMT+12", "2026-12-31", "2026-12-31T12:00:00Z", "2027-01-01T12:00:00Z"),
            (
                "no midnight",
                "America/Sao_Paulo",
                "2018-11-04",
                "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z",
            ),
            (
                "the day before",
                "America/Sao_Paulo",
                "2018-11-03",
                "2018-11-03T03:00:00Z",
                "2018-11-04T03:00:00Z",
            ),
            (
                "23:00 twice",
                "America/Sao_Paulo",
                "2018-02-17",
                "2018-02-17T02:00:00Z",
                "2018-02-18T03:00:00Z",
            ),
            (
                "midnight twice",
                "America/Havana",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            (
                "midnight, then the day before",
                "America/St_Johns",
                "2010-11-07",
                "2010-11-07T02:30:00Z",
                "2010-11-08T03:30:00Z",
            ),
            (
                "the last of Apia's old days",
                "Pacific/Apia",
                "2011-12-29",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                "a day left out is empty",
                "Pacific/Apia",
                "2011-12-30",
                "2011-12-30T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                "the day after it",
                "Pacific/Apia",
                "2011-12-31",
                "2011-12-30T10:00:00Z",
                "2011-12-31T10:00:00Z",
            ),
            (
                "the first of the range",
                "America/New_York",
                "1970-01-01",
                "1970-01-01T05:00:00Z",
                "1970-01-02T05:00:00Z",
            ),
            (
                "the last but one",
                "America/New_York",
                "9999-12-30",
                "9999-12-30T05:00:00Z",
                "9999-12-31T05:00:00Z",
            ),
        ];
        for (name, at, on, first, end) in cases {
            let (zone, date) = (zone(at), date(on));
            assert_eq!(date.first_instant(&zone), parse_instant(first).unwrap(), "{name}: first");
            assert_eq!(date.end(&zone), parse_instant(end).unwrap(), "{name}: end");
            if first != end {
                assert_eq!(Date::of(date.first_instant(&zone), &zone), date, "{name}: of");
                assert_eq!(Date::last_of(date.end(&zone), &zone), date, "{name}: last of");
            }
        }
    }

    /// Clocks put forward from 23:30 to 00:30: no zone has done so since 1970, but one may.
    #[test]
    fn a_gap_that_begins_before_midnight() {
        let toronto = zone("America/Toronto");
        let day = Date(civil::date(1919, 3, 31));
        let first = format_instant(day.first_instant(&toronto));
        assert_eq!(first, "1919-03-31T04:30:00.000Z");
    }

    #[test]
    fn the_ends_of_the_range() {
        let (first, last) = (date("1970-01-01"), date("9999-12-31"));
        let (east, west) = (zone("Pacific/Kiritimati"), zone("Etc/GMT+12"));
        assert_eq!(last.plus_days(1), last);
        assert_eq!(last.plus_days(u16::MAX), last);
        assert_eq!(date("2028-02-28").plus_days(1), date("2028-02-29"));
        assert_eq!(date("2028-02-28").plus_days(366), date("2029-02-28"));
        for zone in [Zone::utc(), east.clone(), west.clone()] {
            assert_eq!(last.end(&zone), last.first_instant(&zone).plus_ms(DAY_MS), "{zone}");
            assert_eq!(Date::of(last.first_instant(&zone), &zone), last, "{zone}");
            assert_eq!(Date::last_of(last.end(&zone), &zone), last, "{zone}");
            assert_eq!(Date::of(Millis(i64::MAX), &zone), last, "{zone}");
            assert_eq!(Date::of(Millis(i64::MIN), &zone), first, "{zone}");
            assert_eq!(Date::last_of(Millis(i64::MIN), &zone), first, "{zone}");
        }
        assert_eq!(last.end(&west).0 - LAST_INSTANT, 12 * 3_600_000 + 1);
        assert_eq!(last.end(&east).0 - LAST_INSTANT, -14 * 3_600_000 + 1);
    }

    #[test]
    fn instants() {
        let ok = |ms| Ok(Millis(ms));
        let form = |found: &str| Err(BadInstant::Form { found: found.into() });
        let no_offset = |found: &str| Err(BadInstant::NoOffset { found: found.into() });
        let no_time = |found: &str| Err(BadInstant::NoSuchTime { found: found.into() });
        let year = |found: &str| Err(BadInstant::Year { found: found.into() });
        let nines = "2026-12-31T15:00:00.99999999999999+09:00";
        let cases = [
            ("UTC", "2026-12-31T15:00:00Z", ok(1_798_729_200_000)),
            ("an offset", "2027-01-01T00:00:00+09:00", ok(1_798_729_200_000)),
            ("west", "2026-12-31T11:30:00-03:30", ok(1_798_729_200_000)),
            ("no offset known", "2026-12-31T15:00:00-00:00", ok(1_798_729_200_000)),
            ("lower case", "2026-12-31t15:00:00z", ok(1_798_729_200_000)),
            ("a blank", "2026-12-31 15:00:00Z", ok(1_798_729_200_000)),
            ("milliseconds", "2026-12-31T15:00:00.007Z", ok(1_798_729_200_007)),
            ("one decimal", "2026-12-31T15:00:00.7Z", ok(1_798_729_200_700)),
            ("cut, not rounded", nines, ok(1_798_696_800_999)),
            ("the first", "1970-01-01T00:00:00Z", ok(0)),
            ("a local year 1969", "1969-12-31T23:00:00-01:00", ok(0)),
            ("a millisecond before", "1969-12-31T23:59:59.999Z", year("1969-12-31T23:59:59.999Z")),
            ("the last", "9999-12-31T23:59:59.999Z", ok(LAST_INSTANT)),
            ("past it", "9999-12-31T23:59:59-00:01", year("9999-12-31T23:59:59-00:01")),
            ("29 February", "2028-02-29T00:00:00Z", ok(1_835_395_200_000)),
            ("30 February", "2026-02-30T00:00:00Z", no_time("2026-02-30T00:00:00Z")),
            ("24:00", "2026-12-31T24:00:00Z", no_time("2026-12-31T24:00:00Z")),
            ("minute 60", "2026-12-31T23:60:00Z", no_time("2026-12-31T23:60:00Z")),
            ("a leap second", "2016-12-31T23:59:60Z", no_time("2016-12-31T23:59:60Z")),
            ("without offset", "2026-12-31T15:00:00", no_offset("2026-12-31T15:00:00")),
            ("without, decimals", "2026-12-31T15:00:00.5", no_offset("2026-12-31T15:00:00.5")),
            ("annotated", "2026-12-31T15:00:00Z[UTC]", form("2026-12-31T15:00:00Z[UTC]")),
            ("offset without colon", "2026-12-31T15:00:00+0900", form("2026-12-31T15:00:00+0900")),
            ("offset of a day", "2026-12-31T15:00:00+24:00", form("2026-12-31T15:00:00+24:00")),
            ("offset minute 60", "2026-12-31T15:00:00+09:60", form("2026-12-31T15:00:00+09:60")),
            ("no seconds", "2026-12-31T15:00Z", form("2026-12-31T15:00Z")),
            ("an empty fraction", "2026-12-31T15:00:00.Z", form("2026-12-31T15:00:00.Z")),
            ("a comma", "2026-12-31T15:00:00,5Z", form("2026-12-31T15:00:00,5Z")),
            ("a sign in a field", "2026-12-31T+5:00:00Z", form("2026-12-31T+5:00:00Z")),
            ("a date", "2026-12-31", form("2026-12-31")),
            ("compact", "20261231T150000Z", form("20261231T150000Z")),
            ("empty", "", form("")),
            ("only Z", "Z", form("Z")),
            ("outside ASCII", "2026-12-31T15:00:00−09:00", form("2026-12-31T15:00:00−09:00")),
        ];
        for (name, text, want) in cases {
            assert_eq!(parse_instant(text), want, "{name}");
        }
        assert_eq!(nines.len(), INSTANT_LEN_MAX);
        let longer = nines.replace('+', "9+");
        assert_eq!(parse_instant(&longer), Err(BadInstant::Length { found: INSTANT_LEN_MAX + 1 }));
    }

    #[test]
    fn printed_instants() {
        let cases = [
            ("the epoch", 0, "1970-01-01T00:00:00.000Z"),
            ("a millisecond before", -1, "1969-12-31T23:59:59.999Z"),
            ("an ordinary one", 1_798_729_200_007, "2026-12-31T15:00:00.007Z"),
            ("the last", LAST_INSTANT, "9999-12-31T23:59:59.999Z"),
            ("past it", LAST_INSTANT + 1, "9999-12-31T23:59:59.999Z"),
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
                "Mars/Base".parse::<Zone>().unwrap_err().to_string(),
                "time zone is \"Mars/Base\", want a name of the IANA database like Asia/Seoul or UTC",
            ),
            (
                "2026-02-30".parse::<Date>().unwrap_err().to_string(),
                "date is \"2026-02-30\", want a day that exists",
            ),
            (
                parse_instant("2026-12-31T15:00:00").unwrap_err().to_string(),
                "instant is \"2026-12-31T15:00:00\" without an offset, want Z or one like +09:00 at its end",
            ),
        ];
        for (found, want) in cases {
            assert_eq!(found, want);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..=LAST_INSTANT) {
            prop_assert_eq!(parse_instant(&format_instant(Millis(ms))), Ok(Millis(ms)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = (text.parse::<Zone>(), text.parse::<Date>(), parse_instant(&text));
        }

        #[test]
        fn any_instant_has_a_day(ms in any::<i64>()) {
            let day = Date::of(Millis(ms), &zone("America/St_Johns"));
            prop_assert_eq!(day.to_string().parse(), Ok(day));
        }
    }

    /// The same answers found another way: of [`Zone`] only the offset of an instant is used,
    /// and the calendar is our own arithmetic.
    mod against_offsets {
        use std::collections::BTreeSet;

        use super::*;

        const HOUR: i64 = 3_600;

        /// Days since 1970-01-01; Howard Hinnant's `days_from_civil`.
        fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
            let year = if month <= 2 { year - 1 } else { year };
            let era = year.div_euclid(400);
            let year_of_era = year - era * 400;
            let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
            let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
            era * 146_097 + day_of_era - 719_468
        }

        fn number_of(date: Date) -> i64 {
            let text = date.to_string();
            let field = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            days_from_civil(field(0..4), field(5..7), field(8..10))
        }

        /// Where the day of an instant can begin: at 00:00 by some offset that was in use about
        /// then, or where the offset changed.
        fn candidates(zone: &Zone, number: i64) -> BTreeSet<i64> {
            let midnight = number * DAY_SECONDS;
            let (mut at, end) = (midnight - 27 * HOUR, midnight + 51 * HOUR);
            let mut found = BTreeSet::new();
            while at < end {
                let (here, next) = (zone.offset_at(at), zone.offset_at(at + HOUR / 2));
                found.extend([midnight - here, midnight - next]);
                if here != next {
                    let (mut early, mut late) = (at, at + HOUR / 2);
                    while late - early > 1 {
                        let middle = (early + late) / 2;
                        if zone.offset_at(middle) == here { early = middle } else { late = middle }
                    }
                    found.insert(late);
                }
                at += HOUR / 2;
            }
            found
        }

        fn first_second(zone: &Zone, number: i64) -> i64 {
            let day = |at: i64| (at + zone.offset_at(at)).div_euclid(DAY_SECONDS);
            let candidates = candidates(zone, number);
            let on_the_day = candidates.iter().find(|at| day(**at) == number);
            // A day that was left out begins where the next one does.
            *on_the_day.or_else(|| candidates.iter().find(|at| day(**at) > number)).unwrap()
        }

        #[test]
        fn ten_thousand_days_begin_and_end_where_the_offsets_say() {
            let zones: Vec<Zone> =
                ZONES.available().filter_map(|name| name.as_str().parse().ok()).collect();
            let mut seed = 20_261_120_u64;
            let mut below = |limit: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) % limit
            };
            for case in 0..10_000 {
                let zone = &zones[below(zones.len() as u64) as usize];
                // 1970 to 2100, every other one next to a change of the clocks.
                let mut at = below(47_000) as i64 * DAY_SECONDS;
                if case % 2 == 0 {
                    let from = Timestamp::from_second(at).unwrap();
                    if let Some(change) = zone.0.following(from).next() {
                        at = change.timestamp().as_second() + (below(4) as i64 - 2) * 12 * HOUR;
                    }
                }
                let date = Date::of(Millis(at * SECOND_MS), zone);
                let number = number_of(date);
                assert_eq!(
                    number,
                    (at + zone.offset_at(at)).div_euclid(DAY_SECONDS),
                    "{zone} shows {date} at {at}"
                );
                let (first, end) = (first_second(zone, number), first_second(zone, number + 1));
                assert_eq!(date.first_instant(zone).0, first * SECOND_MS, "{zone} {date} begins");
                assert_eq!(date.end(zone).0, end * SECOND_MS, "{zone} {date} ends");
                assert_eq!(Date::last_of(date.end(zone), zone), date, "{zone} {date} is last");
            }
        }
    }
}
