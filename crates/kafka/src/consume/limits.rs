//! Limits of a consumer. Each bounds memory or time, and has no flag.

use std::time::Duration;

use crate::http::REQUEST_TIMEOUT;

/// Commands that were taken from the topic and are not answered yet, of all partitions. Beyond it, all
/// partitions are paused.
pub(crate) const TAKEN_MAX: usize = 4096;

/// Offsets between the first command of a partition without an answer and the last one that is begun.
/// It bounds how far answers can be from the order of the commands, on which [`super::memory`] relies.
/// A partition is paused while as many of its commands wait.
pub(crate) const SPREAD_MAX: i64 = 2048;

/// Bytes of the longest command: what couponry takes as a body, with room for the rest.
pub(crate) const COMMAND_BYTES_MAX: usize = 68 << 10;

/// Characters of a `command_id`, a code or a `campaign_id`; couponry's own limits are lower or equal.
pub(crate) const NAME_CHARS_MAX: usize = 200;

/// Tries of a command that couponry answers with `INTERNAL`, before that is its answer. With the pauses
/// between them they take more than five minutes.
pub(crate) const INTERNAL_TRIES_MAX: u32 = 20;

/// The first pause before a command is sent again; each later one is twice as long.
pub(crate) const WAIT_FIRST: Duration = Duration::from_millis(100);

/// The longest pause after a try without an answer.
pub(crate) const WAIT_MAX_NO_ANSWER: Duration = Duration::from_secs(2);

/// The longest pause after an answer that says to come again, unless `Retry-After` says more.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// How long a rebalance or a stop waits for commands in flight: longer than a request can take, so none
/// of them is executed behind the next member's back.
pub(crate) const LEAVE_WAIT: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(10));

/// Time between two commits of offsets: what is answered within it is answered again after a crash.
pub(crate) const COMMIT_EVERY: Duration = Duration::from_millis(500);

const _: () = assert!(SPREAD_MAX as usize <= TAKEN_MAX);
