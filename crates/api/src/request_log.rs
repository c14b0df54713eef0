//! One line in the log for each request that was refused or failed: which route, why, and under which id.
//!
//! It has no path, because a path has codes, and no body. A flood of bad requests must not fill the disk of the
//! machine, so a second has a limited number of lines; the next one says how many are missing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use opentelemetry::TraceId;
use server::pace::OnePace;

use crate::problem_code::ApiErrorCode;

/// Most lines of a second: with 300 bytes each, some 2.5 GB a day.
const LINES_A_SECOND: u32 = 100;

/// The same of one of many stores that write into one log.
const LINES_OF_A_SPACE: u32 = 10;

pub(crate) struct EndedRequest<'a> {
    pub(crate) id: &'a str,
    pub(crate) trace: Option<TraceId>,
    pub(crate) method: &'a Method,
    /// The template of its path.
    pub(crate) route: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) code: ApiErrorCode,
    /// Why, if this server is at fault.
    pub(crate) cause: Option<&'a str>,
    pub(crate) took: Duration,
}

/// The lines of one store. Each has its own limit, so that one with many refusals hides no other's.
pub(crate) struct RequestLog {
    lines: OnePace,
    /// Lines that were not written since the last one.
    missing: AtomicU64,
}

impl RequestLog {
    /// `is_space`: whether many stores write into the log.
    pub(crate) fn new(is_space: bool) -> RequestLog {
        let a_second = if is_space { LINES_OF_A_SPACE } else { LINES_A_SECOND };
        let lines = OnePace::new(a_second, Duration::from_secs(1));
        RequestLog { lines, missing: AtomicU64::new(0) }
    }

    /// Takes a line, and returns how many were not written before; `None` if there is none left.
    fn line(&self, now: Instant) -> Option<u64> {
        if self.lines.take(now).refused.is_some() {
            self.missing.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let missing = self.missing.swap(0, Ordering::Relaxed);
        if missing > 0 {
            // The line that says so is one, too.
            self.lines.take(now);
        }
        Some(missing)
    }

    /// Writes the line of a request, if there is one left.
    pub(crate) fn refused(&self, ended: &EndedRequest<'_>) {
        let Some(missing) = self.line(Instant::now()) else { return };
        if missing > 0 {
            tracing::warn!(missing, "too many requests were refused or failed to log all of them");
        }
        let EndedRequest { id, trace, method, route, status, code, cause, took } = ended;
        // The level is part of a line's place in the code, so there are two.
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request_id = id,
                    trace_id = trace.map(tracing::field::display),
                    method = method.as_str(),
                    route,
                    status = status.as_u16(),
                    code = code.as_str(),
                    cause,
                    took_ms = took.as_millis() as u64,
                    $message
                )
            };
        }
        match cause {
            Some(_) => line!(error, "failed"),
            None => line!(info, "refused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_second() {
        let (log, now) = (RequestLog::new(false), Instant::now());
        let taken = (0..LINES_A_SECOND + 7).filter(|_| log.line(now).is_some()).count();
        assert_eq!(taken, LINES_A_SECOND as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(log.line(later), Some(7), "the next line says how many are missing");
        assert_eq!(log.line(later), Some(0));
    }
}
