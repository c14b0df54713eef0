//! The columns of each table. A test compares these lists with `schema/cold.md`.

use std::time::Duration;

use super::{
    ColumnLayout, FieldKind, GROUP_BYTES, HOLDER_GROUP_BYTES, TableColumn, TableSchema, column,
    optional,
};

const ORDER_AMOUNT: TableColumn = optional("order_amount", FieldKind::Long, ColumnLayout::Deltas);
const DISCOUNT: TableColumn = optional("discount", FieldKind::Long, ColumnLayout::Deltas);
const CURRENCY: TableColumn = optional("currency", FieldKind::Text, ColumnLayout::Dictionary);

/// The columns of a table of whole coupons: its partition column, those that describe a coupon, and its last columns.
macro_rules! of_coupons {
    ($partition:expr, code: $code:expr, holder: $holder:expr, $($last:expr),+) => {
        &[
            $partition,
            column("code", FieldKind::Text, $code),
            column("campaign_id", FieldKind::Text, ColumnLayout::Dictionary),
            column("batch_id", FieldKind::Text, ColumnLayout::Dictionary),
            column("state", FieldKind::Text, ColumnLayout::Dictionary),
            column("version", FieldKind::Long, ColumnLayout::Dictionary),
            optional("holder", FieldKind::Text, $holder),
            column("valid_from", FieldKind::Instant, ColumnLayout::Dictionary),
            column("expires_at", FieldKind::Instant, ColumnLayout::Dictionary),
            column("made_expires_at", FieldKind::Instant, ColumnLayout::Dictionary),
            column("time_zone", FieldKind::Text, ColumnLayout::Dictionary),
            column("made_time_zone", FieldKind::Text, ColumnLayout::Dictionary),
            optional("issued_at", FieldKind::Instant, ColumnLayout::Deltas),
            optional("redeemed_at", FieldKind::Instant, ColumnLayout::Deltas),
            optional("order_ref", FieldKind::Text, ColumnLayout::Plain),
            column("created_at", FieldKind::Instant, ColumnLayout::Dictionary),
            column("modified_at", FieldKind::Instant, ColumnLayout::Deltas),
            column("events", FieldKind::Events, ColumnLayout::Plain),
            $($last),+,
            ORDER_AMOUNT,
            DISCOUNT,
            CURRENCY,
        ]
    };
}

/// Coupons by expiry day and code.
pub(crate) const COUPONS: TableSchema = TableSchema {
    name: "coupons",
    columns: of_coupons!(
        column("expiry_day", FieldKind::Day, ColumnLayout::Partition),
        code: ColumnLayout::Prefixes,
        holder: ColumnLayout::Plain,
        column("archived_in", FieldKind::Long, ColumnLayout::Dictionary)
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
        column("month", FieldKind::Text, ColumnLayout::Partition),
        column("holder", FieldKind::Text, ColumnLayout::Prefixes),
        column("code", FieldKind::Text, ColumnLayout::Plain),
        column("expiry_day", FieldKind::Day, ColumnLayout::Dictionary),
        column("expires_at", FieldKind::Instant, ColumnLayout::Dictionary),
        column("state", FieldKind::Text, ColumnLayout::Dictionary),
        column("version", FieldKind::Long, ColumnLayout::Dictionary),
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
        column("level", FieldKind::Text, ColumnLayout::Partition),
        code: ColumnLayout::Plain,
        holder: ColumnLayout::Prefixes,
        column("expiry_day", FieldKind::Day, ColumnLayout::Dictionary)
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
pub(crate) const EVENT: &[TableColumn] = &[
    column("sequence", FieldKind::Long, ColumnLayout::Deltas),
    column("kind", FieldKind::Text, ColumnLayout::Dictionary),
    column("at", FieldKind::Instant, ColumnLayout::Deltas),
    column("actor", FieldKind::Text, ColumnLayout::Dictionary),
    column("operation", FieldKind::Text, ColumnLayout::Plain),
    optional("user_id", FieldKind::Text, ColumnLayout::Plain),
    optional("reference", FieldKind::Text, ColumnLayout::Plain),
    optional("reason", FieldKind::Text, ColumnLayout::Dictionary),
    optional("expires_at", FieldKind::Instant, ColumnLayout::Deltas),
    optional("time_zone", FieldKind::Text, ColumnLayout::Dictionary),
    ORDER_AMOUNT,
    DISCOUNT,
    CURRENCY,
];
