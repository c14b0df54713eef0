//! Time zones, calendar dates and instants: the only place that knows them and their text.
//!
//! Every zone comes from the IANA database that is built into the binary, never from the machine:
//! two nodes with the same binary never disagree about when a day ends.

mod date;
mod instant;
mod zone;

use jiff::civil;

use crate::time::DAY_MS;

pub use date::{BadDate, Date};
pub use instant::{
    BadInstant, INSTANT_LEN_MAX, LAST_INSTANT, format_instant, format_local, parse_instant,
};
pub use zone::{BadZone, ZONE_LEN_MAX, Zone};

const EPOCH: civil::Date = civil::date(1970, 1, 1);
const SECOND_MS: i64 = 1_000;
const DAY_SECONDS: i64 = DAY_MS / SECOND_MS;
