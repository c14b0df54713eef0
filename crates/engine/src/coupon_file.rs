//! Coupons as a file: the only place that has its columns. An import reads them back.

use coupon::calendar::format_instant;

use crate::coupon_view::CouponView;
use crate::csv::{BYTE_ORDER_MARK, row, worth_cells};

/// The columns: the fields of a coupon in the HTTP interface. A new column is added after the last one.
pub const COUPON_COLUMNS: [&str; 22] = [
    "code",
    "campaign_id",
    "batch_id",
    "state",
    "expired",
    "paused",
    "holder",
    "valid_from",
    "expires_at",
    "expires_on",
    "time_zone",
    "held_until",
    "issued_at",
    "redeemed_at",
    "order_ref",
    "created_at",
    "modified_at",
    "version",
    "tier",
    "order_amount",
    "discount",
    "currency",
];

/// The first line of a file, with a byte-order mark.
pub fn coupon_csv_header() -> String {
    format!("{BYTE_ORDER_MARK}{}", row(COUPON_COLUMNS))
}

/// The line of a coupon, with its code as people read it. Instants are in UTC and exact, so that an import makes the
/// same coupon of it.
pub fn coupon_csv_row(view: &CouponView) -> String {
    let coupon = &view.coupon;
    let instant = |at: Option<_>| at.map(format_instant).unwrap_or_default();
    let shown = |text: Option<&str>| text.filter(|_| view.in_full).unwrap_or_default().to_owned();
    let worth = coupon.redemption().and_then(|redemption| redemption.worth);
    let [order_amount, discount, currency] = worth_cells(worth.as_ref().filter(|_| view.in_full));
    let cells: [String; COUPON_COLUMNS.len()] = [
        view.code.clone(),
        coupon.genesis().campaign.to_string(),
        coupon.genesis().batch.to_string(),
        coupon.state().as_str().to_owned(),
        view.expired.to_string(),
        view.paused.to_string(),
        shown(coupon.holder().map(|holder| holder.as_str())),
        format_instant(coupon.genesis().valid_from),
        format_instant(coupon.expires_at()),
        coupon.expires_on().to_string(),
        coupon.zone().name().to_owned(),
        instant(view.held_until),
        instant(coupon.issued_at()),
        instant(coupon.redemption().map(|redemption| redemption.at)),
        shown(view.order.as_ref().map(|order| order.as_str())),
        format_instant(coupon.genesis().created_at),
        format_instant(coupon.modified_at()),
        coupon.version().to_string(),
        view.tier.as_str().to_owned(),
        order_amount,
        discount,
        currency,
    ];
    row(cells.iter().map(String::as_str))
}

#[cfg(test)]
mod tests;
