//! The record of a store's clock: the highest time that it has seen, and a jump of the clock.
//!
//! No partition is sealed while the record has a jump: a clock that is years ahead would seal all of
//! them, and a seal is permanent. [`ClockRecord::after`] is the whole rule, without a clock and without
//! a store.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use coupon::calendar::format_instant;
use coupon::time::{DAY_MS, Millis};

use crate::{Fact, Facts, HotError, Result};

/// A clock farther ahead of the highest time seen has jumped: not after a weekend without `serve`.
pub const JUMP_AHEAD_MS: i64 = 2 * DAY_MS;

/// A clock farther behind the highest time seen has jumped. NTP sets a clock back by less.
pub const JUMP_BEHIND_MS: i64 = 5_000;

/// How long the clock must keep the time after a jump before partitions are sealed again.
pub const JUMP_STANDS_MS: i64 = DAY_MS;

/// How often a fact is read again because another process was changing it.
const FACT_TRIES: u32 = 16;

/// What the clock of this machine says, in milliseconds since 1970.
pub fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The highest time that a store has seen, and the last jump of the clock, if it is too recent to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The highest time of a clock that was trusted.
    pub highest: Millis,
    /// The first time that was too far from it. While it is set, no partition is sealed.
    pub jumped_at: Option<Millis>,
}

/// Whether another clock has confirmed this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// No other clock was asked.
    Alone,
    /// A cluster's or a bucket's clock agrees, or the operator says that it is right.
    Confirmed,
}

impl ClockRecord {
    /// The record after a process has read its clock. Pure.
    ///
    /// A jump stays in the record until the clock is near the highest time again, or has kept the new
    /// time for [`JUMP_STANDS_MS`]. A clock that goes back below the jump begins another one.
    pub fn after(seen: Option<ClockRecord>, now: Millis, witness: Witness) -> ClockRecord {
        let at = |highest| ClockRecord { highest, jumped_at: None };
        // A confirmed clock is believed at once, also if it goes back.
        let Some(seen) = seen.filter(|_| witness == Witness::Alone) else { return at(now) };
        if now.0 >= seen.highest.0 - JUMP_BEHIND_MS && now.0 <= seen.highest.0 + JUMP_AHEAD_MS {
            return at(seen.highest.max(now));
        }
        match seen.jumped_at.filter(|jumped_at| now.0 >= jumped_at.0 - JUMP_BEHIND_MS) {
            None => ClockRecord { jumped_at: Some(now), ..seen },
            Some(jumped_at) if now.0 >= jumped_at.0 + JUMP_STANDS_MS => at(now),
            Some(_) => seen,
        }
    }

    /// The warning to operators about a jump of the clock.
    pub fn warning(&self) -> Option<String> {
        let jumped_at = self.jumped_at?;
        Some(format!(
            "the clock has jumped to {} from {}: no partition is sealed or archived before {}; if \
             the clock is wrong, set it right (NTP); if it is right, nothing has to be done, or run \
             `couponry compact --clock-is-right`",
            format_instant(jumped_at),
            format_instant(self.highest),
            format_instant(jumped_at.plus_ms(JUMP_STANDS_MS))
        ))
    }
}

impl fmt::Display for ClockRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.jumped_at {
            None => write!(f, "{}", self.highest.0),
            Some(jumped_at) => write!(f, "{} {}", self.highest.0, jumped_at.0),
        }
    }
}

impl FromStr for ClockRecord {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<ClockRecord, Self::Err> {
        let (highest, jumped_at) = match text.split_once(' ') {
            None => (text, None),
            Some((highest, jumped_at)) => (highest, Some(Millis(jumped_at.parse()?))),
        };
        Ok(ClockRecord { highest: Millis(highest.parse()?), jumped_at })
    }
}

/// The record in a store; `None` before the first look.
pub async fn clock_record(store: &dyn Facts) -> Result<Option<ClockRecord>> {
    store.fact(Fact::Clock).await?.as_deref().map(parsed).transpose()
}

/// Updates the record in the store from a clock, which is read after the record: what another process wrote
/// meanwhile must not make it a jump. Reads one row, and writes it only if it changes.
pub async fn observe_clock(
    store: &dyn Facts,
    now: impl Fn() -> Millis,
    witness: Witness,
) -> Result<ClockRecord> {
    for _ in 0..FACT_TRIES {
        let text = store.fact(Fact::Clock).await?;
        let seen = text.as_deref().map(parsed).transpose()?;
        let next = ClockRecord::after(seen, now(), witness);
        if Some(next) == seen || store.set_fact(Fact::Clock, text, Some(next.to_string())).await? {
            return Ok(next);
        }
    }
    Err(HotError::Unavailable("other processes change the record of the clock all the time".into()))
}

fn parsed(text: &str) -> Result<ClockRecord> {
    text.parse().map_err(|why| HotError::Damaged(format!("setting clock: {text:?}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEARS: i64 = 3 * 365 * DAY_MS;

    /// The record after looks at these times, in order, and whether it trusts the clock each time.
    fn looks(times: &[i64]) -> (Option<ClockRecord>, Vec<bool>) {
        let mut record = None;
        let mut trusts = Vec::new();
        for time in times {
            let next = ClockRecord::after(record, Millis(*time), Witness::Alone);
            trusts.push(next.jumped_at.is_none());
            record = Some(next);
        }
        (record, trusts)
    }

    #[test]
    fn clocks() {
        let rows: [(&str, &[i64], &[bool]); 10] = [
            ("the first look", &[0], &[true]),
            ("an ordinary day", &[0, HOUR, DAY_MS], &[true, true, true]),
            ("a weekend switched off", &[0, 2 * DAY_MS], &[true, true]),
            ("slewed by some seconds", &[10_000, 5_000, 10_001], &[true, true, true]),
            ("ahead for one look", &[0, YEARS, 60_000], &[true, false, true]),
            (
                "ahead for good",
                &[0, YEARS, YEARS + DAY_MS - 1, YEARS + DAY_MS, YEARS + DAY_MS + HOUR],
                &[true, false, false, true, true],
            ),
            (
                "off for a month, looked at once a day",
                &[0, 30 * DAY_MS, 31 * DAY_MS],
                &[true, false, true],
            ),
            (
                "ahead, back, and ahead again: the day begins anew",
                &[0, YEARS, HOUR, YEARS + 2 * DAY_MS, YEARS + 3 * DAY_MS],
                &[true, false, true, false, true],
            ),
            (
                "ahead, then less far ahead: the day begins anew",
                &[0, YEARS, YEARS - DAY_MS, YEARS, YEARS + DAY_MS],
                &[true, false, false, true, true],
            ),
            (
                "back for good",
                &[YEARS, 0, HOUR, DAY_MS, DAY_MS + HOUR],
                &[true, false, false, true, true],
            ),
        ];
        for (name, times, want) in rows {
            assert_eq!(looks(times).1, want, "{name}");
        }
    }

    #[test]
    fn a_witness_shortens_the_day_to_nothing() {
        let (record, _) = looks(&[0, YEARS]);
        let confirmed = ClockRecord::after(record, Millis(YEARS + 1), Witness::Confirmed);
        assert_eq!(confirmed, ClockRecord { highest: Millis(YEARS + 1), jumped_at: None });
    }

    #[test]
    fn texts() {
        for record in [looks(&[7]).0, looks(&[7, YEARS]).0] {
            let record = record.unwrap();
            assert_eq!(record.to_string().parse(), Ok(record));
        }
    }
}
