//! An instant that may be absent.

use coupon::calendar::format_instant;
use coupon::time::Millis;

pub(super) fn instant(at: Option<Millis>) -> Option<String> {
    at.map(format_instant)
}
