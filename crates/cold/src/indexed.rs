//! A row of the holder index.

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::Day;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HolderIndexRow {
    pub(crate) day: Day,
    pub(crate) coupon: Coupon,
}

impl HolderIndexRow {
    /// The sort key of the rows of a file.
    pub(crate) fn key(&self) -> (Option<&UserId>, Day, &Code) {
        (self.coupon.holder(), self.day, self.coupon.code())
    }
}
