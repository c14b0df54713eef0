//! Calendar dates: the only place that knows when a day begins and ends in a zone.

use std::fmt;
use std::str::FromStr;

use jiff::tz::{AmbiguousOffset, Offset};
use jiff::{SignedDuration, civil};

use super::instant::LAST_INSTANT;
use super::zone::Zone;
use super::{DAY_SECONDS, EPOCH, SECOND_MS};
use crate::time::{DAY_MS, Day, Millis};

/// A calendar day of the years 1970 to 9999, in no zone. A [`Zone`] makes it a span of time, of
/// which only the part within these years of UTC counts: no instant outside can be read back, and
/// no partition of a day outside can be archived. Printed as `2026-12-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(civil::Date);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDate {
    #[error("date has {found} bytes, want 2026-12-31 or 20261231")]
    Length { found: usize },
    #[error("date is {found:?}, want 2026-12-31 or 20261231")]
    Form { found: Box<str> },
    #[error("date is {found:?}, want a day that exists")]
    NoSuchDay { found: Box<str> },
    #[error("date is {found:?}, want a year from 1970 to 9999")]
    Year { found: Box<str> },
}

impl Date {
    /// The day that clocks of `zone` show at `instant`. For an instant outside the range, the
    /// first or the last day of the range.
    pub fn of(instant: Millis, zone: &Zone) -> Date {
        let second = instant.0.div_euclid(SECOND_MS);
        let days = (second + zone.offset_at(second)).div_euclid(DAY_SECONDS);
        let days = SignedDuration::from_secs(days * DAY_SECONDS);
        Date(EPOCH.saturating_add(days).max(EPOCH))
    }

    /// The last day of what ends at `expires_at` (exclusive): that of the millisecond before.
    pub fn last_of(expires_at: Millis, zone: &Zone) -> Date {
        Date::of(expires_at.plus_ms(-1), zone)
    }

    /// The day `days` later; stays at the end of the range.
    pub fn plus_days(self, days: u16) -> Date {
        Date(self.0.saturating_add(SignedDuration::from_hours(i64::from(days) * 24)))
    }

    /// The day `days` earlier; stays at the begin of the range.
    pub fn minus_days(self, days: u32) -> Date {
        let days = SignedDuration::from_hours(i64::from(days) * 24);
        Date(self.0.saturating_sub(days).max(EPOCH))
    }

    /// Days since the last Monday, 0 to 6.
    pub fn weekday(self) -> u32 {
        self.0.weekday().to_monday_zero_offset().unsigned_abs().into()
    }

    /// The first instant at which clocks of `zone` show this day: 00:00, or the instant at which
    /// clocks are put forward across 00:00. If the zone skipped the whole day, the first instant of
    /// the next day.
    pub fn first_instant(self, zone: &Zone) -> Millis {
        // No text of an instant before 1970 can be read.
        self.begins_at(zone).max(Millis(0))
    }

    /// jiff's own start of a day differs where clocks are put forward from before midnight.
    fn begins_at(self, zone: &Zone) -> Millis {
        // 00:00 of the day as a number: the instant it would be if the zone were UTC.
        let midnight = self.0.duration_since(EPOCH).as_secs();
        let seconds = |offset: Offset| i64::from(offset.seconds());
        let second = match zone.0.to_ambiguous_timestamp(self.0.at(0, 0, 0, 0)).offset() {
            AmbiguousOffset::Unambiguous { offset } => midnight - seconds(offset),
            // Clocks show 00:00 twice; the day begins the first time.
            AmbiguousOffset::Fold { before, .. } => midnight - seconds(before),
            AmbiguousOffset::Gap { before, after } => {
                first_past(midnight, zone, midnight - seconds(after)..midnight - seconds(before))
            }
        };
        Millis(second * SECOND_MS)
    }

    /// The first instant of the next day, so exclusive. If clocks are put back across midnight,
    /// the first time that they reach it. Never before [`Date::first_instant`], and equal to it
    /// for a day that the zone skipped.
    pub fn end(self, zone: &Zone) -> Millis {
        match self.0.tomorrow() {
            Ok(next) => Date(next).first_instant(zone),
            // 9999-12-31; no zone plans to change its clocks on that day.
            Err(_) => self.first_instant(zone).plus_ms(DAY_MS).min(LAST_INSTANT),
        }
    }
}

/// The first second of `gap` at which clocks show `midnight` or later. Clocks show less at the
/// start of `gap` and more at its end, and are put forward once in between.
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
        if !matches!(text.len(), 8 | 10) {
            return Err(BadDate::Length { found: text.len() });
        }
        if !is_written_as_date(text) {
            return Err(BadDate::Form { found: text.into() });
        }
        match text.parse::<civil::Date>() {
            Ok(date) if date >= EPOCH => Ok(Date(date)),
            Ok(_) => Err(BadDate::Year { found: text.into() }),
            Err(_) => Err(BadDate::NoSuchDay { found: text.into() }),
        }
    }
}

/// Whether `text` has digits and hyphens where `2026-12-31` or `20261231` has them.
fn is_written_as_date(text: &str) -> bool {
    let has_hyphens = text.len() == 10;
    text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 if has_hyphens => byte == b'-',
        _ => byte.is_ascii_digit(),
    })
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

#[cfg(test)]
mod tests;
