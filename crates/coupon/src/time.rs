//! Instants and UTC days as numbers. Zones, dates and their text are in [`crate::calendar`].

/// Milliseconds of one UTC day. POSIX counts days without leap seconds.
pub const DAY_MS: i64 = 86_400_000;

/// 9999-12-31 in days since 1970-01-01.
const LAST_ARCHIVED: i32 = 2_932_896;

/// An instant: milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// The instant `ms` milliseconds later; stays at the end of the range instead of wrapping.
    pub fn plus_ms(self, ms: i64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// The instant `days` times 24 hours later.
    pub fn plus_days(self, days: u16) -> Millis {
        self.plus_ms(i64::from(days) * DAY_MS)
    }

    pub fn day(self) -> Day {
        // Instants within ±5.8 million years fit; anything else was refused when it was parsed.
        Day(i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
    }
}

/// A UTC day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The partition of a coupon that expires at `expires_at`: the UTC day of its last millisecond.
    pub fn expiry_day_of(expires_at: Millis) -> Day {
        expires_at.plus_ms(-1).day()
    }

    /// Whether the partition of this day can be archived: folders and columns of the cold tier name
    /// days of the years 1970 to 9999. A coupon of another day is accepted nowhere.
    pub fn can_be_archived(self) -> bool {
        (0..=LAST_ARCHIVED).contains(&self.0)
    }

    pub fn start(self) -> Millis {
        Millis(i64::from(self.0) * DAY_MS)
    }

    pub fn end(self) -> Millis {
        Millis((i64::from(self.0) + 1) * DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions() {
        let cases = [
            ("midnight belongs to the day before", Millis(DAY_MS), Day(0)),
            ("a millisecond past midnight is the next partition", Millis(DAY_MS + 1), Day(1)),
            ("before the epoch", Millis(0), Day(-1)),
        ];
        for (name, expires_at, want) in cases {
            assert_eq!(Day::expiry_day_of(expires_at), want, "{name}");
        }
        assert_eq!(Day(3).end(), Day(4).start());
    }

    #[test]
    fn days_that_can_be_archived() {
        let at = |text| crate::calendar::parse_instant(text).unwrap();
        let cases = [
            ("the first", at("1970-01-01T00:00:00.001Z"), true),
            ("the day before", at("1970-01-01T00:00:00Z"), false),
            ("the last", at("9999-12-31T23:59:59.999Z"), true),
            ("the day after", at("9999-12-31T23:59:59.999Z").plus_ms(2), false),
        ];
        for (name, expires_at, want) in cases {
            assert_eq!(Day::expiry_day_of(expires_at).can_be_archived(), want, "{name}");
        }
    }
}
