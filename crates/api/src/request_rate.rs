//! How many requests a second the service takes, where an operator limits that: so that one store of a machine that
//! serves several leaves time to the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit");

/// Highest rate that can be set, in requests a second: more than one process answers.
pub const REQUESTS_PER_S_MAX: u64 = 1_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// The generic cell rate algorithm (ITU-T I.371) for all requests of a store together: so many a second, and after a
/// rest the requests of one second at once.
#[derive(Debug)]
pub struct RequestRate {
    per_s: u64,
    begun: Instant,
    /// When the next request would be due if all had kept to the rate, in ns since `begun`.
    due: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Requests that could come at once now.
    remaining: u64,
    /// Seconds until that is the whole limit again.
    full_in_s: u64,
    /// How long to wait, where the request is refused.
    pub(crate) refused: Option<Duration>,
}

impl RequestRate {
    /// At most `per_s` requests a second; `None` if that is 0, for no limit.
    ///
    /// # Errors
    /// More than [`REQUESTS_PER_S_MAX`].
    pub fn new(per_s: u64) -> Result<Option<RequestRate>, String> {
        match per_s {
            0 => Ok(None),
            1..=REQUESTS_PER_S_MAX => {
                Ok(Some(RequestRate { per_s, begun: Instant::now(), due: AtomicU64::new(0) }))
            }
            more => Err(format!("it is {more}, want at most {REQUESTS_PER_S_MAX}")),
        }
    }

    pub(crate) fn per_s(&self) -> u64 {
        self.per_s
    }

    pub(crate) fn take(&self) -> Quota {
        self.take_at(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX / 2))
    }

    fn take_at(&self, now: u64) -> Quota {
        let every = SECOND_NS / self.per_s;
        // The debt of all requests that were taken, in ns; it may not exceed a second.
        let debt = |due: u64| due.saturating_sub(now);
        let next = |due: u64| {
            let next = due.max(now) + every;
            (debt(next) <= SECOND_NS).then_some(next)
        };
        let taken = self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let (due, refused) = match taken {
            Ok(before) => (before.max(now) + every, None),
            Err(due) => (due, Some(Duration::from_nanos(debt(due) + every - SECOND_NS))),
        };
        Quota {
            remaining: SECOND_NS.saturating_sub(debt(due)) / every,
            full_in_s: debt(due).div_ceil(SECOND_NS),
            refused,
        }
    }

    /// Says in an answer what the limit is and what is left of it (draft-ietf-httpapi-ratelimit-headers-11).
    pub(crate) fn headers(&self, quota: Quota, headers: &mut HeaderMap) {
        let policy = format!("\"requests\";q={};w=1", self.per_s);
        let now = format!("\"requests\";r={};t={}", quota.remaining, quota.full_in_s);
        for (name, text) in [(POLICY, policy), (REMAINING, now)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_at_once_then_one_by_one() {
        let rate = RequestRate::new(4).expect("a rate").expect("a limit");
        // After how many ms, what remains, and after how many ms the next may come where this one is refused.
        let rows = [
            (0, 3, None),
            (0, 2, None),
            (0, 1, None),
            (0, 0, None),
            (0, 0, Some(250)),
            (100, 0, Some(150)),
            (250, 0, None),
            (250, 0, Some(250)),
            (10_000, 3, None),
        ];
        for (nth, (ms, remaining, wait)) in rows.into_iter().enumerate() {
            let quota = rate.take_at(ms * 1_000_000);
            let refused = wait.map(Duration::from_millis);
            assert_eq!((quota.remaining, quota.refused), (remaining, refused), "{nth}");
        }
    }

    #[test]
    fn limits() {
        assert!(RequestRate::new(0).expect("no limit").is_none());
        assert!(RequestRate::new(REQUESTS_PER_S_MAX + 1).is_err());
        let fastest = RequestRate::new(REQUESTS_PER_S_MAX).expect("a rate").expect("a limit");
        assert_eq!(fastest.take_at(0).remaining, REQUESTS_PER_S_MAX - 1);
    }
}
