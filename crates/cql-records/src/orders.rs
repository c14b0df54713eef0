//! Which coupons an order has redeemed: a hash of the order, and the code. It is a hint: whoever finds a
//! coupon by it looks at its history, wherever the coupon is by then.

use coupon::code::Code;
use coupon::ids::OrderRef;
use cql_session::values::{date, parsed};
use cql_session::{Result, StatementProfile, bounded_join};
use hot::feed::{CouponEventKind, FeedEvent};
use xxhash_rust::xxh3::xxh3_64;

use crate::ClusterRecords;
use crate::counting::counted;

/// Most codes that a search for an order returns. An order redeems a few coupons.
const CODES_MAX: i32 = 200;

/// Rows that are written at a time.
const AT_ONCE: usize = 32;

/// The longest time to live that both engines take, in seconds.
const TTL_MAX: i32 = 630_720_000;

fn hash(order: &str) -> i64 {
    xxh3_64(order.as_bytes()).cast_signed()
}

impl ClusterRecords {
    /// Enters the orders of redemptions. The same again changes nothing.
    pub(crate) async fn enter_orders(&self, events: &[FeedEvent]) -> Result<()> {
        let Some(keep) = self.options.orders_keep else { return Ok(()) };
        let ttl = i32::try_from(keep.as_secs()).unwrap_or(TTL_MAX).min(TTL_MAX);
        let redeemed = events.iter().filter_map(|event| {
            let coupon = counted(event).filter(|it| it.kind == CouponEventKind::Redeemed)?;
            Some((coupon.reference.as_deref()?, &coupon.code, event.at.day()))
        });
        let writes = redeemed.map(|(order, code, on)| async move {
            let cql = "UPDATE redeemed_by_order USING TTL ? SET redeemed_on = ? \
                       WHERE order_hash = ? AND code = ?";
            let values = (ttl, date(on), hash(order), code.as_str());
            self.session.write(cql, values).await
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    /// The coupons that an order may have redeemed.
    pub(crate) async fn codes_of(&self, order: &OrderRef) -> Result<Vec<Code>> {
        let cql = "SELECT code FROM redeemed_by_order WHERE order_hash = ? LIMIT ?";
        let values = (hash(order.as_str()), CODES_MAX);
        let rows: Vec<(String,)> = self.session.rows(StatementProfile::Read, cql, values).await?;
        rows.iter().map(|(code,)| parsed("redeemed_by_order.code", code)).collect()
    }
}
