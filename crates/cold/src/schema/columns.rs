//! The columns of each table. A test compares these lists with `schema/cold.md`.

use std::time::Duration;

use super::{Column, GROUP_BYTES, HOLDER_GROUP_BYTES, Kind, Layout, TableSchema, column, optional};

/// The columns of a table of whole coupons: its partition column, those that describe a coupon, and
/// its last columns.
macro_rules! of_coupons {
    ($partition:expr, code: $code:expr, holder: $holder:expr, $($last:expr),+) => {
        &[
            $partition,
            column("code", Kind::Text, $code),
            column("campaign_id", Kind::Text, Layout::Dictionary),
            column("batch_id", Kind::Text, Layout::Dictionary),
            column("state", Kind::Text, Layout::Dictionary),
            column("version", Kind::Long, Layout::Dictionary),
            optional("holder", Kind::Text, $holder),
            column("valid_from", Kind::Instant, Layout::Dictionary),
            column("expires_at", Kind::Instant, Layout::Dictionary),
            column("made_expires_at", Kind::Instant, Layout::Dictionary),
            column("time_zone", Kind::Text, Layout::Dictionary),
            column("made_time_zone", Kind::Text, Layout::Dictionary),
            optional("issued_at", Kind::Instant, Layout::Deltas),
            optional("redeemed_at", Kind::Instant, Layout::Deltas),
            optional("order_ref", Kind::Text, Layout::Plain),
            column("created_at", Kind::Instant, Layout::Dictionary),
            column("modified_at", Kind::Instant, Layout::Deltas),
            column("events", Kind::Events, Layout::Plain),
            $($last),+
        ]
    };
}

/// Coupons by expiry day and code.
pub(crate) const COUPONS: TableSchema = TableSchema {
    name: "coupons",
    columns: of_coupons!(
        column("expiry_day", Kind::Day, Layout::Partition),
        code: Layout::Prefixes,
        holder: Layout::Plain,
        column("archived_in", Kind::Long, Layout::Dictionary)
    ),
    events: EVENT,
    bounded: None,
    sorted_by: &["code"],
    group_bytes: GROUP_BYTES,
    footer_group_bytes: 4 << 10,
    retention_max: Duration::MAX,
};

/// The side table: which coupons a holder has.
pub(crate) const BY_HOLDER: TableSchema = TableSchema {
    name: "coupons_by_holder",
    columns: &[
        column("month", Kind::Text, Layout::Partition),
        column("holder", Kind::Text, Layout::Prefixes),
        column("code", Kind::Text, Layout::Plain),
        column("expiry_day", Kind::Day, Layout::Dictionary),
        column("expires_at", Kind::Instant, Layout::Dictionary),
        column("state", Kind::Text, Layout::Dictionary),
        column("version", Kind::Long, Layout::Dictionary),
    ],
    events: &[],
    bounded: None,
    sorted_by: &["holder", "code"],
    group_bytes: HOLDER_GROUP_BYTES,
    footer_group_bytes: 4 << 10,
    retention_max: Duration::MAX,
};

/// The holder index: the coupons of `coupons` that have a holder, whole, from which lists are read.
pub(crate) const HOLDER_INDEX: TableSchema = TableSchema {
    name: "holder_index",
    columns: of_coupons!(
        column("level", Kind::Text, Layout::Partition),
        code: Layout::Plain,
        holder: Layout::Prefixes,
        column("expiry_day", Kind::Day, Layout::Dictionary)
    ),
    events: EVENT,
    bounded: Some(&["holder"]),
    sorted_by: &["holder", "expiry_day", "code"],
    group_bytes: HOLDER_GROUP_BYTES,
    footer_group_bytes: 5 << 9,
    // Only couponry reads it, and begins a list again if a file is gone. Merges of the index write
    // much and must not fill the disk.
    retention_max: Duration::from_secs(10 * 60),
};

/// The fields of an event; the same as in the hot store.
pub(super) const EVENT: &[Column] = &[
    column("sequence", Kind::Long, Layout::Deltas),
    column("kind", Kind::Text, Layout::Dictionary),
    column("at", Kind::Instant, Layout::Deltas),
    column("actor", Kind::Text, Layout::Dictionary),
    column("operation", Kind::Text, Layout::Plain),
    optional("user_id", Kind::Text, Layout::Plain),
    optional("reference", Kind::Text, Layout::Plain),
    optional("reason", Kind::Text, Layout::Dictionary),
    optional("expires_at", Kind::Instant, Layout::Deltas),
    optional("time_zone", Kind::Text, Layout::Dictionary),
];
