//! What a store tells its operators about itself.

/// Figures of a store for its operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Look-ups since the process began.
    pub reads: u64,
    /// Statements since the process began, those that read and those that write.
    pub statements: u64,
    /// Accepted writes since the process began.
    pub writes: u64,
    /// Commits since the process began; a commit carries a group of writes.
    pub commits: u64,
    /// Microseconds that all commits took to become durable, where the store knows.
    pub sync_micros: u64,
    /// Writes waiting at the moment.
    pub waiting: u64,
    /// Microseconds that the oldest of these has waited.
    pub oldest_waiting_micros: u64,
    /// Unknown writes that were looked for and had been applied.
    pub resolved_applied: u64,
    /// Unknown writes that were looked for and had not been applied.
    pub resolved_refused: u64,
    /// Unknown writes that could not be resolved: the caller got an unknown outcome.
    pub left_unknown: u64,
    /// Writes that were sent a second time, for the same version.
    pub resent: u64,
    /// Times that an event was put aside because its coupon could not be read, or a part of the feed.
    pub events_aside: u64,
}
