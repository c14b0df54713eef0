//! What a store remembers about itself: the highest time it has seen, and where it has moved to.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use coupon::calendar::format_instant;
use coupon::time::{DAY_MS, Millis};

use crate::HotError;

/// A clock that is further ahead of the highest time seen than this has jumped: a weekend without
/// `serve` is no jump, and a month is.
pub const JUMP_AHEAD_MS: i64 = 2 * DAY_MS;

/// A clock that is further behind the highest time seen than this has jumped: clocks that are kept
/// right are set back by less.
pub const JUMP_BEHIND_MS: i64 = 5_000;

/// How long the time after a jump has to stand before partitions are sealed by it.
pub const JUMP_STANDS_MS: i64 = DAY_MS;

/// How often a fact is read again because another process was changing it.
const FACT_TRIES: u32 = 16;

/// A fact by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A [`ClockRecord`].
    Clock,
    /// Where the store was copied to. While it is there, nothing writes to this store.
    MovedTo,
}

impl Fact {
    /// Its row in the table of settings.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Clock => "clock",
            Fact::MovedTo => "moved_to",
        }
    }
}

/// Facts of a store, each a short text.
///
/// # Errors
/// Any [`HotError`], from every method.
#[async_trait]
pub trait Facts: Send + Sync {
    /// A fact, as any process wrote it last.
    async fn fact(&self, fact: Fact) -> Result<Option<String>, HotError>;

    /// Writes a fact that still reads `seen`; whether it did. `None` removes it. One conditional
    /// write, durable before it returns.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool, HotError>;
}

/// The highest time that a store has seen, and a jump of the clock that has not stood long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The highest time of a clock that was trusted.
    pub highest: Millis,
    /// The time at which a clock was first seen too far from it. While it is there, no partition is
    /// sealed.
    pub jumped_at: Option<Millis>,
}

/// Whether somebody else's clock has confirmed ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Nobody was asked.
    Alone,
    /// A cluster's or a bucket's clock agrees, or the operator says that it is right.
    Confirmed,
}

impl ClockRecord {
    /// The record after a process has looked at its clock. Pure.
    ///
    /// A jump is kept until the clock agrees with the highest time again, goes back below the jump,
    /// or has stood for [`JUMP_STANDS_MS`].
    pub fn after(seen: Option<ClockRecord>, now: Millis, witness: Witness) -> ClockRecord {
        let at = |highest| ClockRecord { highest, jumped_at: None };
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

    /// What an operator has to know about a jump of the clock.
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

/// What a store remembers of its clocks; `None` before the first look.
///
/// # Errors
/// Those of the store.
pub async fn clock_record(store: &dyn Facts) -> Result<Option<ClockRecord>, HotError> {
    match store.fact(Fact::Clock).await? {
        None => Ok(None),
        Some(text) => parsed(&text).map(Some),
    }
}

/// Compares a clock with what the store remembers, and has the store remember it. Reads one row,
/// and writes it where it changes.
///
/// # Errors
/// Those of the store.
pub async fn observe_clock(
    store: &dyn Facts,
    now: Millis,
    witness: Witness,
) -> Result<ClockRecord, HotError> {
    for _ in 0..FACT_TRIES {
        let text = store.fact(Fact::Clock).await?;
        let seen = text.as_deref().map(parsed).transpose()?;
        let next = ClockRecord::after(seen, now, witness);
        if Some(next) == seen || store.set_fact(Fact::Clock, text, Some(next.to_string())).await? {
            return Ok(next);
        }
    }
    Err(HotError::Unavailable("other processes change the record of the clock all the time".into()))
}

fn parsed(text: &str) -> Result<ClockRecord, HotError> {
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
