//! When to try a delivery again, and how often an endpoint is asked that is down. Pure.

use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use crate::Options;

const HOUR: Duration = Duration::from_secs(3_600);
const EIGHT_HOURS: Duration = Duration::from_secs(8 * 3_600);

/// The pauses between the attempts of a delivery: 17 attempts in three days. Often at first, for a receiver that is
/// started anew; then every eight hours, so that one that is down from Friday to Monday gets everything.
pub(crate) const RETRY_PAUSES: [Duration; 16] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    HOUR,
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(4 * 3_600),
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
    EIGHT_HOURS,
];

/// Longest pause that a receiver may ask for with `Retry-After`.
pub(crate) const RETRY_AFTER_MAX: Duration = HOUR;

/// An endpoint at which this many attempts in a row fail is down: from then on only single deliveries
/// are tried.
pub(crate) const FAILURES_UNTIL_DOWN: u64 = 10;

/// Pause between two attempts at an endpoint that is down; twice as long after each, until [`PROBE_PAUSE_MAX`].
pub(crate) const PROBE_PAUSE: Duration = Duration::from_secs(5);

pub(crate) const PROBE_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The pause after the attempt number `attempt`, from 1; `None` if it was the last. A receiver may ask for a longer
/// one, `asked`.
pub(crate) fn pause(
    attempt: u64,
    asked: Option<Duration>,
    options: &Options,
    chance: u8,
) -> Option<Duration> {
    let nth = usize::try_from(attempt).ok()?.checked_sub(1)?;
    let pause = with_jitter(*options.retry_pauses.get(nth)?, chance);
    Some(pause.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// How long an endpoint is left alone after its failure number `failures` in a row; `None` if it is not down.
pub(crate) fn probe_pause(failures: u64, options: &Options, chance: u8) -> Option<Duration> {
    let more = failures.checked_sub(FAILURES_UNTIL_DOWN)?;
    let doubled = 2_u32.saturating_pow(u32::try_from(more).unwrap_or(u32::MAX));
    let pause = options.probe_pause.saturating_mul(doubled).min(options.probe_pause_max);
    Some(with_jitter(pause, chance))
}

/// Between 80 and 120 of 100, so that deliveries that failed together are not tried together.
fn with_jitter(pause: Duration, chance: u8) -> Duration {
    let most = u32::from(u8::MAX);
    pause.saturating_mul(4 * most + 2 * u32::from(chance)) / (5 * most)
}

/// The longest moment ahead at which a delivery may be due. One that is due later was written while the clock
/// was wrong.
pub(crate) fn ahead_max(options: &Options) -> Duration {
    let longest = options.retry_pauses.iter().max().copied().unwrap_or_default();
    with_jitter(longest, u8::MAX).max(RETRY_AFTER_MAX)
}

/// How long a delivery is tried: the sum of the pauses.
pub(crate) fn tried_for(options: &Options) -> Duration {
    options.retry_pauses.iter().sum()
}

/// Parses the header `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = httpdate::parse_http_date(text.trim()).ok()?;
            Some(at.duration_since(now).unwrap_or_default())
        }
    }
}

/// A random number for the jitter of a pause.
pub(crate) fn chance() -> u8 {
    let mut byte = [u8::MAX / 2];
    // If the system has none, the pause is the one of the table.
    let _ = SystemRandom::new().fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn three_days() {
        let sum = RETRY_PAUSES.iter().sum::<Duration>();
        let days = 72 * HOUR;
        assert!(sum > days - HOUR && sum < days + HOUR, "{sum:?}");
    }

    #[test]
    fn after_an_attempt() {
        let options =
            Options { retry_pauses: vec![10 * SECOND, 100 * SECOND], ..Options::default() };
        let cases = [
            ("the first", 1, None, 0, Some(8 * SECOND)),
            ("the first, late", 1, None, u8::MAX, Some(12 * SECOND)),
            ("the second", 2, None, 0, Some(80 * SECOND)),
            ("the last", 3, None, 0, None),
            ("the last, and a pause", 3, Some(SECOND), 0, None),
            ("asked for less", 1, Some(SECOND), 0, Some(8 * SECOND)),
            ("asked for more", 1, Some(HOUR - SECOND), 0, Some(HOUR - SECOND)),
            ("asked for too much", 1, Some(HOUR + SECOND), 0, Some(RETRY_AFTER_MAX)),
            ("none before", 0, None, 0, None),
        ];
        for (name, attempt, asked, chance, want) in cases {
            assert_eq!(pause(attempt, asked, &options, chance), want, "{name}");
        }
        assert_eq!(ahead_max(&options), RETRY_AFTER_MAX);
        let slow = Options { retry_pauses: vec![10 * HOUR], ..Options::default() };
        assert_eq!(ahead_max(&slow), 12 * HOUR);
        assert_eq!(tried_for(&options), 110 * SECOND);
    }

    #[test]
    fn while_it_is_down() {
        let options = Options::default();
        let down = FAILURES_UNTIL_DOWN;
        let cases = [
            ("well", 0, None),
            ("not yet down", down - 1, None),
            ("down", down, Some(PROBE_PAUSE)),
            ("again", down + 1, Some(2 * PROBE_PAUSE)),
            ("for long", down + 6, Some(PROBE_PAUSE_MAX)),
            ("for ever", u64::MAX, Some(PROBE_PAUSE_MAX)),
        ];
        for (name, failures, want) in cases {
            let found = probe_pause(failures, &options, 0);
            assert_eq!(found, want.map(|pause| pause * 4 / 5), "{name}");
        }
    }

    #[test]
    fn pauses_of_receivers() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(retry_after(text, now), want.map(Duration::from_secs), "{text:?}");
        }
    }
}
