//! Webhooks: posts the events of the event feed to the endpoints of others, signed as in Standard Webhooks 1.0,
//! each event at least once.
//!
//! An *endpoint* is a URL with secrets and filters. A *delivery* is one event for one endpoint: it is queued, tried
//! until the receiver answers with a 2xx, and stays in the log of deliveries. Everything is in the records of a store
//! ([`hot::tables`]), so that nothing here makes a redemption wait.
//!
//! 1. [`Webhooks::run`] leases endpoints, so that several processes on one store share the work.
//! 2. It reads the feed behind the cursor of each endpoint, and queues what the endpoint asks for. An endpoint with
//!    [`Options::pending_max`] deliveries that wait does not read on: the feed keeps the events until then.
//! 3. It posts what is due, and writes the results, many together. What was posted in the last second before a kill is
//!    posted again, with the same `webhook-id` and body: a receiver drops what it has seen.
//!
//! No endpoint delays another: each has a place of its own to send from ([`Options::in_flight_each`],
//! [`Options::in_flight_shared`]), and an endpoint at which everything fails is only tried now and then.
//!
//! The order is that of the feed as long as nothing fails, but several deliveries are under way at a time. With
//! [`Endpoint::ordered`], a delivery waits for all earlier ones of its code. After a failed delivery that was given
//! up, or one that is delivered again by hand, later ones may have arrived first.
//!
//! A request goes only to public addresses, see `guard.rs`. No redirect is followed.

mod attempt_span;
mod audit;
mod calls;
mod delivery;
mod endpoint;
mod error;
mod event;
mod guard;
mod options;
mod post;
mod resolver;
mod retry;
mod run;
mod signature;
mod store;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hot::tables::Tables;
use tokio::sync::{Notify, Semaphore};

pub use crate::delivery::{Delivery, DeliveryFilter, DeliveryState, Tested};
pub use crate::endpoint::{
    ENDPOINTS_MAX, Endpoint, EndpointChanges, EndpointState, NewEndpoint, SecretTimes,
};
pub use crate::error::{OpenError, WebhookError};
pub use crate::event::{Announced, Announcement, DATA_BYTES_MAX, Event, Read, Source, Start};
pub use crate::options::Options;
pub use crate::post::PostCarrier;
pub use crate::resolver::{NameResolver, UnresolvedName};
pub use crate::signature::{Secret, Secrets};
pub use crate::store::{BroughtWebhooks, bring_webhooks};
pub use hot::cause;

use crate::post::WebhookPoster;
use crate::store::WebhookStore;

/// Most endpoints or deliveries of one answer.
pub const PAGE_MAX: usize = 1_000;

pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Overlap of a rotation if the caller says nothing.
pub const OVERLAP: Duration = Duration::from_secs(86_400);

pub const ID_LEN_MAX: usize = 100;

/// Longest name of a rotation, in bytes of UTF-8. What it may have is its caller's business.
pub const ROTATE_REF_LEN_MAX: usize = 128;

/// Calls of [`Webhooks::test`] that wait for a receiver at a time.
const TESTS_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The caller's name for it: a repeat with the same name returns the same secret.
    pub rotate_ref: Option<String>,
    /// How long the secrets of before go on signing, at most [`OVERLAP_MAX`]. With zero they end at once.
    pub overlap: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    pub active: u64,
    pub paused: u64,
    /// Endpoints whose receiver answered 410.
    pub disabled: u64,
    /// Active endpoints at which the last attempts all failed.
    pub down: u64,
    /// Deliveries that wait, of all endpoints.
    pub pending: u64,
    /// For how long the oldest delivery of an active endpoint has waited.
    pub oldest_pending: Option<Duration>,
    /// Deliveries of this process since it began.
    pub delivered: u64,
    /// Deliveries that this process gave up.
    pub failed: u64,
    pub attempts_failed: u64,
}

pub struct Webhooks {
    store: WebhookStore,
    poster: WebhookPoster,
    tests: Semaphore,
    /// Endpoints changed: lease and read at once.
    endpoints_changed: Notify,
    /// Deliveries were queued: look at once.
    queued: Notify,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").field("held", &self.store.held()).finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Those in the records of a store. Makes ring the TLS provider of this process, if there is none.
    pub fn new(tables: Arc<dyn Tables>, options: Options) -> Result<Webhooks, OpenError> {
        Ok(Webhooks {
            poster: WebhookPoster::new(&options)?,
            store: WebhookStore::new(tables, options),
            tests: Semaphore::new(TESTS_MAX),
            endpoints_changed: Notify::new(),
            queued: Notify::new(),
        })
    }

    /// The same with another way to receivers.
    #[must_use]
    pub fn with_carrier(mut self, carrier: PostCarrier) -> Webhooks {
        self.poster.carrier = carrier;
        self
    }

    /// Whether the clock is trusted; at first it is not. Only then are old deliveries deleted from the log or given
    /// up for their age, and old secrets end: a clock that is a year ahead would make all of them old.
    pub fn trust_clock(&self, trusts: bool) {
        self.store.trusts_clock.store(trusts, Ordering::Relaxed);
    }

    /// Whether this process, of all that run, is the one that looks for what to announce. For a moment it may
    /// be none of them, or two.
    pub fn leads(&self) -> bool {
        self.store.leads()
    }

    /// Sends until `stop` ends; then waits a moment for what is under way, and gives the leases back. Reads the feed
    /// from `source`. Never fails: while the store or the feed does not answer, it warns and tries again. Call it
    /// once in a process.
    pub async fn run(
        self: Arc<Self>,
        source: Arc<dyn Source>,
        stop: impl Future<Output = ()> + Send,
    ) {
        run::run(&self, &*source, stop).await;
    }
}
