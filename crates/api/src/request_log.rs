//! One line in the log for each request that was refused or failed: which route, why, and under which id.
//!
//! It has no path, because a path has codes, and no body. A flood of bad requests must not fill the disk of the
//! machine, so a second has a limited number of lines; the next one says how many are missing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use opentelemetry::TraceId;

use crate::problem::Code;

/// Most lines of a second: with 300 bytes each, some 2.5 GB a day.
const LINES_A_SECOND: u64 = 100;

/// The same of one of many stores that write into one log.
const LINES_OF_A_SPACE: u64 = 10;

pub(crate) struct Ended<'a> {
    pub(crate) id: &'a str,
    pub(crate) trace: Option<TraceId>,
    pub(crate) method: &'a Method,
    /// The template of its path.
    pub(crate) route: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    /// Why, if this server is at fault.
    pub(crate) cause: Option<&'a str>,
    pub(crate) took: Duration,
}

/// The lines of one store. Each has its own limit, so that one with many refusals hides no other's.
pub(crate) struct RequestLog {
    begun: Instant,
    lines: Lines,
}

impl RequestLog {
    /// `is_space`: whether many stores write into the log.
    pub(crate) fn new(is_space: bool) -> RequestLog {
        let a_second = if is_space { LINES_OF_A_SPACE } else { LINES_A_SECOND };
        RequestLog { begun: Instant::now(), lines: Lines::of(a_second) }
    }

    /// Writes the line of a request, if its second has a line left.
    pub(crate) fn refused(&self, ended: &Ended<'_>) {
        let Some(missing) = self.lines.take(self.begun.elapsed().as_secs()) else { return };
        if missing > 0 {
            tracing::warn!(missing, "too many requests were refused or failed to log all of them");
        }
        let Ended { id, trace, method, route, status, code, cause, took } = ended;
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

/// How many lines of the present second were written, and how many were not since the last one.
struct Lines {
    a_second: u64,
    /// The second, and its lines.
    written: AtomicU64,
    missing: AtomicU64,
}

impl Lines {
    const fn of(a_second: u64) -> Lines {
        Lines { a_second, written: AtomicU64::new(0), missing: AtomicU64::new(0) }
    }

    /// Takes one of the lines of a second, and returns how many were not written before; `None` if there is none left.
    fn take(&self, second: u64) -> Option<u64> {
        const COUNT: u64 = u16::MAX as u64;
        let next = |now: u64| match now >> 16 == second {
            true if now & COUNT >= self.a_second => None,
            true => Some(now + 1),
            false => Some((second << 16) + 1),
        };
        match self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Some(self.missing.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.missing.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_second() {
        let lines = Lines::of(LINES_A_SECOND);
        let taken = (0..LINES_A_SECOND + 7).filter(|_| lines.take(5).is_some()).count() as u64;
        assert_eq!(taken, LINES_A_SECOND);
        assert_eq!(lines.take(6), Some(7), "the next second says how many are missing");
        assert_eq!(lines.take(6), Some(0));
    }
}
