//! Names of rows in the table of settings. They are the same in every store: a copy carries the rows.

/// There are foreign codes of 16 or more characters.
pub const LONG_CODES: &str = "long_codes";

/// The serials of a new expiry day begin here.
pub const SERIAL_FLOOR: &str = "serial_floor";

/// The highest version of the cold tier that was begun from here.
pub const COLD_BEGUN: &str = "cold_begun";

/// The highest version of the cold tier that was seen committed.
pub const COLD_COMMITTED: &str = "cold_committed";

/// The epoch of the event feed of one machine. A copy keeps that of its source, whose cursors it knows by it.
pub const FEED_EPOCH: &str = "feed_epoch";

/// The epochs before, and where each ended: `EPOCH-NUMBER`, oldest first, separated by blanks.
pub const FEED_EPOCHS_BEFORE: &str = "feed_epochs_before";

/// A write that is only timed writes this.
pub const TOUCHED_AT: &str = "touched_at";
