//! How many requests a second the service takes, where an operator limits that: so that one store of a machine that
//! serves several leaves time to the others.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::pace::{OnePace, RateQuota};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit");

/// Highest rate that can be set, in requests a second: more than one process answers.
pub const REQUESTS_PER_S_MAX: u32 = 1_000_000;

/// A pace for all requests of a store together: so many a second, and after a rest the requests of one second at once.
#[derive(Debug)]
pub struct RequestRate {
    per_s: u32,
    pace: OnePace,
}

impl RequestRate {
    /// At most `per_s` requests a second; `None` if that is 0, for no limit.
    ///
    /// # Errors
    /// More than [`REQUESTS_PER_S_MAX`].
    pub fn new(per_s: u64) -> Result<Option<RequestRate>, String> {
        match u32::try_from(per_s) {
            Ok(0) => Ok(None),
            Ok(per_s @ 1..=REQUESTS_PER_S_MAX) => {
                Ok(Some(RequestRate { per_s, pace: OnePace::new(per_s, Duration::from_secs(1)) }))
            }
            _ => Err(format!("it is {per_s}, want at most {REQUESTS_PER_S_MAX}")),
        }
    }

    pub fn per_s(&self) -> u32 {
        self.per_s
    }

    pub fn take(&self) -> RateQuota {
        self.pace.take(Instant::now())
    }

    /// Says in an answer what the limit is and what is left of it (draft-ietf-httpapi-ratelimit-headers-11).
    pub fn headers(&self, quota: RateQuota, headers: &mut HeaderMap) {
        let full_in_s = quota.full_in.as_millis().div_ceil(1_000);
        let policy = format!("\"requests\";q={};w=1", self.per_s);
        let now = format!("\"requests\";r={};t={}", quota.remaining, full_in_s);
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
        let begun = Instant::now();
        for (nth, (ms, remaining, wait)) in rows.into_iter().enumerate() {
            let quota = rate.pace.take(begun + Duration::from_millis(ms));
            let refused = wait.map(Duration::from_millis);
            assert_eq!((quota.remaining, quota.refused), (remaining, refused), "{nth}");
        }
    }

    #[test]
    fn limits() {
        assert!(RequestRate::new(0).expect("no limit").is_none());
        assert!(RequestRate::new(u64::from(REQUESTS_PER_S_MAX) + 1).is_err());
        let fastest =
            RequestRate::new(REQUESTS_PER_S_MAX.into()).expect("a rate").expect("a limit");
        assert_eq!(fastest.take().remaining, u128::from(REQUESTS_PER_S_MAX) - 1);
    }
}
