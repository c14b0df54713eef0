//! The log of deliveries.

/// One event for one endpoint, with the result of its last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Later ones have higher numbers.
    pub number: i64,
    pub webhook_id: String,
    pub state: DeliveryState,
    /// The id of the event: the header `webhook-id`. `None` for a gap.
    pub event_id: Option<String>,
    /// `None` for a gap.
    pub event_type: Option<String>,
    pub code: Option<String>,
    /// When it was queued, in milliseconds since 1970.
    pub created_at: i64,
    /// Attempts so far, since it was last delivered again by hand.
    pub attempts: u64,
    /// How often it was delivered again by hand.
    pub redelivered: u64,
    pub tried_at: Option<i64>,
    /// Of the last attempt: the status of the answer, if there was one.
    pub status: Option<u16>,
    /// Of the last attempt: why it failed. Of a gap: what is missing.
    pub error: Option<String>,
    pub duration_ms: Option<u64>,
    /// When the next attempt is due, if it is pending.
    pub next_at: Option<i64>,
    /// When it was delivered or given up.
    pub ended_at: Option<i64>,
}

coupon::words! {
    /// The order of the states is that of their numbers in the store, and never changes, nor do their words.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum DeliveryState {
        Pending = "pending",
        /// The receiver answered with a 2xx.
        Delivered = "delivered",
        /// No attempt of three days was successful. It can be delivered again by hand.
        Failed = "failed",
        /// No delivery: the feed had lost events behind the cursor of the endpoint.
        Gap = "gap",
    }
}

/// Which deliveries to find. What is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    /// Older than the one with this number.
    pub before: Option<i64>,
}

/// The result of [`crate::Webhooks::test`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    pub is_delivered: bool,
    pub number: i64,
    /// The header `webhook-id`.
    pub event_id: String,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub duration_ms: u64,
}
