//! Names of rows in the table of settings. They are the same in every store: a copy carries the rows.

/// There are foreign codes of 16 or more characters.
pub const LONG_CODES: &str = "long_codes";

/// The serials of a new expiry day begin here.
pub const SERIAL_FLOOR: &str = "serial_floor";

/// The highest version of the cold tier that was begun from here.
pub const COLD_BEGUN: &str = "cold_begun";

/// The highest version of the cold tier that was seen committed.
pub const COLD_COMMITTED: &str = "cold_committed";

/// A write that is only timed writes this.
pub const TOUCHED_AT: &str = "touched_at";
