//! When to try a delivery again, and when to give it up.

use std::time::Duration;

use super::Delivery;

/// Most attempts to deliver one notice in a run; the next run tries again.
const ATTEMPTS_MAX: u32 = 5;

/// Pause before the second attempt. Each further pause is twice as long; up to half of a pause is
/// left out by chance.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause that a receiver may ask for (`Retry-After`); for a longer one, the notice waits
/// for the next run.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Answer {
        status: u16,
        retry_after: Option<Duration>,
        said: String,
    },
    /// No answer, and why.
    Nothing(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    End(Delivery),
    /// Try again after this pause; `for_all` if the receiver asked for it.
    Again {
        pause: Duration,
        for_all: bool,
    },
}

/// `attempt` counts from 1; `chance` is a random number.
pub(super) fn next(heard: Heard, attempt: u32, chance: u8) -> Next {
    let (asked, why) = match heard {
        Heard::Answer { status: 200..=299, .. } => return Next::End(Delivery::Taken),
        Heard::Answer { status, retry_after, said } => {
            let why = format!("{status} {said}").trim_end().to_owned();
            match status {
                408 | 409 | 425 | 429 | 500..=599 => (retry_after, why),
                _ => return Next::End(Delivery::Refused(why)),
            }
        }
        Heard::Nothing(why) => (None, why),
    };
    if attempt >= ATTEMPTS_MAX || asked.is_some_and(|pause| pause > RETRY_AFTER_MAX) {
        return Next::End(Delivery::Failed(why));
    }
    match asked {
        Some(pause) => Next::Again { pause, for_all: true },
        None => {
            let longest = FIRST_PAUSE * 2_u32.pow(attempt - 1);
            let pause = longest - longest * u32::from(chance) / (2 * u32::from(u8::MAX));
            Next::Again { pause, for_all: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answer(status: u16, retry_after: Option<Duration>) -> Heard {
        Heard::Answer { status, retry_after, said: "why".into() }
    }

    #[test]
    fn after_an_attempt() {
        let taken = Next::End(Delivery::Taken);
        let refused = |status: u16| Next::End(Delivery::Refused(format!("{status} why")));
        let failed = |why: &str| Next::End(Delivery::Failed(why.into()));
        let again = |pause| Next::Again { pause, for_all: false };
        let asked = |pause| Next::Again { pause, for_all: true };
        let nothing = || Heard::Nothing("reset".into());
        let cases = [
            ("taken", answer(200, None), 1, taken.clone()),
            ("taken, without a body", answer(204, None), 5, taken.clone()),
            ("the last of the good", answer(299, None), 1, taken),
            ("a redirect", answer(301, None), 1, refused(301)),
            ("a bad request", answer(400, None), 1, refused(400)),
            ("a bad request that wants a pause", answer(400, Some(SECOND)), 1, refused(400)),
            ("gone", answer(410, None), 1, refused(410)),
            ("a time-out over there", answer(408, None), 1, again(SECOND)),
            ("at work on it", answer(409, None), 1, again(SECOND)),
            ("too early", answer(425, None), 1, again(SECOND)),
            ("too many", answer(429, None), 1, again(SECOND)),
            ("too many, for a time", answer(429, Some(7 * SECOND)), 1, asked(7 * SECOND)),
            ("at once, please", answer(503, Some(Duration::ZERO)), 1, asked(Duration::ZERO)),
            ("the longest pause", answer(503, Some(RETRY_AFTER_MAX)), 1, asked(RETRY_AFTER_MAX)),
            ("a longer one", answer(503, Some(RETRY_AFTER_MAX + SECOND)), 1, failed("503 why")),
            ("an error", answer(500, None), 1, again(SECOND)),
            ("the second time", answer(599, None), 2, again(2 * SECOND)),
            ("the last but one", nothing(), ATTEMPTS_MAX - 1, again(8 * SECOND)),
            ("the last", nothing(), ATTEMPTS_MAX, failed("reset")),
            ("the last, and a pause", answer(429, Some(SECOND)), ATTEMPTS_MAX, failed("429 why")),
        ];
        for (name, heard, attempt, want) in cases {
            assert_eq!(next(heard, attempt, 0), want, "{name}");
        }
        for chance in 0..=u8::MAX {
            let Next::Again { pause, .. } = next(nothing(), 3, chance) else { panic!("an end") };
            assert!((2 * SECOND..=4 * SECOND).contains(&pause), "{chance}: {pause:?}");
        }
    }
}
