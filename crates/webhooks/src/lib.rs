//! Webhooks: posts the events of the event feed to the endpoints of others, signed as in Standard Webhooks 1.0,
//! each event at least once.
//!
//! An *endpoint* is a URL with secrets and filters. A *delivery* is one event for one endpoint: it is queued, tried
//! until the receiver answers with a 2xx, and stays in the log of deliveries. Everything is in the records of a store
//! ([`hot::tables`]), so that nothing here makes a redemption wait.
//!
//! 1. [`Webhooks::run`] leases endpoints, so that several processes on one store share the work.
//! 2. It reads the feed behind the cursor of each endpoint, and queues what the endpoint asks for. An endpoint with [`Options::pending_max`] deliveries that wait does not read on: the feed keeps
//!    the events until then.
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
//! A request goes only to public addresses, see [`BadUrl`] and `guard.rs`. No redirect is followed.
//!
mod attempt_span;
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

use std::sync::Arc;
use std::time::Duration;

use hot::tables::Tables;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

pub use crate::delivery::{Delivery, DeliveryFilter, DeliveryState, Tested};
pub use crate::endpoint::{
    CAMPAIGN_LEN_MAX, DESCRIPTION_LEN_MAX, ENDPOINTS_MAX, Endpoint, EndpointChanges, EndpointState,
    NewEndpoint, SecretTimes, TYPE_LEN_MAX, TYPES_MAX, WEBHOOK_ID_LEN_MAX,
};
pub use crate::error::{OpenError, WebhookError};
pub use crate::event::{
    Announced, Announcement, DATA_BYTES_MAX, Event, Read, Source, Start, TEST_TYPE,
};
pub use crate::guard::{BadUrl, URL_LEN_MAX};
pub use crate::options::{Options, RENEWALS};
pub use crate::post::{ANSWER_BYTES_MAX, Answered, Verdict};
pub use crate::resolver::{NameResolver, Unresolved};
pub use crate::retry::{
    FAILURES_UNTIL_DOWN, PROBE_PAUSE, PROBE_PAUSE_MAX, RETRY_AFTER_MAX, RETRY_PAUSES, ahead_max,
    chance, pause, tried_for,
};
pub use crate::signature::{SECRET_LEN_MAX, SECRET_LEN_MIN, SECRETS_MAX, Secret, Secrets};

use crate::post::{Letter, Poster};
use crate::store::{TestTarget, Turn, WebhookStore};

/// Most endpoints or deliveries of one answer.
pub const PAGE_MAX: usize = 1_000;

pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Overlap of a rotation if the caller says nothing.
pub const OVERLAP: Duration = Duration::from_secs(86_400);

/// Longest id of an announcement, in characters.
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
    /// Attempts of this process that failed.
    pub attempts_failed: u64,
}

#[derive(Debug)]
pub struct Webhooks {
    store: WebhookStore,
    poster: Poster,
    tests: Semaphore,
    /// Endpoints changed: lease and read at once.
    endpoints_changed: Notify,
    /// Deliveries were queued: look at once.
    queued: Notify,
}

impl Webhooks {
    /// Those in the records of a store. Makes ring the TLS provider of this process, if there is none.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(tables: Arc<dyn Tables>, options: Options) -> Result<Webhooks, OpenError> {
        Ok(Webhooks {
            poster: Poster::new(&options)?,
            store: WebhookStore::new(tables, options),
            tests: Semaphore::new(TESTS_MAX),
            endpoints_changed: Notify::new(),
            queued: Notify::new(),
        })
    }

    /// Whether the clock is trusted; at first it is not. Only then are old deliveries deleted from the log or given
    /// up for their age, and old secrets end: a clock that is a year ahead would make all of them old.
    pub fn trust_clock(&self, trusts: bool) {
        self.store.trust_clock(trusts);
    }

    /// Makes an endpoint. Returns it, its newest secret, and whether it was made: a repeat with the same name and
    /// values returns the one that is there.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NameTaken`], [`WebhookError::TooMany`], and those of the store.
    pub async fn create(&self, new: NewEndpoint) -> Result<(Endpoint, Secret, bool), WebhookError> {
        let new = new.checked(self.store.options.allow_private)?;
        let made = || format!("whk_{}", Uuid::now_v7().simple());
        let name = new.webhook_id.clone().unwrap_or_else(made);
        let made = self.store.create(name, new).await?;
        self.endpoints_changed.notify_one();
        Ok(made)
    }

    /// At most `limit` endpoints (and [`PAGE_MAX`]) in the order of their names, behind the name `after`.
    pub async fn list(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Endpoint>, WebhookError> {
        self.store.list(after, limit.min(PAGE_MAX)).await
    }

    /// # Errors
    /// [`WebhookError::NotFound`], and those of the store.
    pub async fn get(&self, webhook_id: &str) -> Result<Endpoint, WebhookError> {
        self.store.get(webhook_id).await
    }

    /// Changes an endpoint. Filters apply to events that are read from now on; what is queued already is sent. With
    /// another URL, what waits is tried at once.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NotFound`], and those of the store.
    pub async fn update(
        &self,
        webhook_id: &str,
        changes: EndpointChanges,
    ) -> Result<Endpoint, WebhookError> {
        let changes = changes.checked(self.store.options.allow_private)?;
        let endpoint = self.store.update(webhook_id, changes).await?;
        self.endpoints_changed.notify_one();
        self.queued.notify_one();
        Ok(endpoint)
    }

    /// Pauses an endpoint, also a disabled one: nothing is sent to it. Its deliveries wait.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], and those of the store.
    pub async fn pause(&self, webhook_id: &str) -> Result<Endpoint, WebhookError> {
        self.turn(webhook_id, Turn::Pause).await
    }

    /// Sends to an endpoint again that was paused or disabled. What waited is tried at once.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], and those of the store.
    pub async fn resume(&self, webhook_id: &str) -> Result<Endpoint, WebhookError> {
        self.turn(webhook_id, Turn::Resume).await
    }

    async fn turn(&self, webhook_id: &str, turn: Turn) -> Result<Endpoint, WebhookError> {
        let endpoint = self.store.turn(webhook_id, turn).await?;
        self.endpoints_changed.notify_one();
        Ok(endpoint)
    }

    /// Deletes an endpoint with its secrets and its log. A delivery that is under way may still arrive.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], and those of the store.
    pub async fn delete(&self, webhook_id: &str) -> Result<(), WebhookError> {
        self.store.delete(webhook_id).await?;
        self.endpoints_changed.notify_one();
        Ok(())
    }

    /// Makes a new secret, which signs from now on. The others go on signing for a time, so that a receiver can
    /// change from one to the other. Returns it, and whether it was made: a repeat of the same rotation returns the
    /// one that is there.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NotFound`], [`WebhookError::TooManySecrets`], and those of the
    /// store.
    pub async fn rotate_secret(
        &self,
        webhook_id: &str,
        rotation: Rotation,
    ) -> Result<(Secret, bool), WebhookError> {
        if rotation.overlap > OVERLAP_MAX {
            let why = format!("is {:?}, want at most {OVERLAP_MAX:?}", rotation.overlap);
            return Err(WebhookError::Invalid { field: "overlap", why });
        }
        let len = rotation.rotate_ref.as_ref().map_or(1, String::len);
        if !(1..=ROTATE_REF_LEN_MAX).contains(&len) {
            let why = format!("has {len} bytes, want 1 to {ROTATE_REF_LEN_MAX}");
            return Err(WebhookError::Invalid { field: "rotate_ref", why });
        }
        let rotated = self.store.rotate(webhook_id, rotation).await?;
        self.endpoints_changed.notify_one();
        Ok(rotated)
    }

    /// Posts one event of type [`TEST_TYPE`] now, also to an endpoint that is paused or disabled, and logs it. It
    /// is not tried again.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Busy`], and those of the store.
    pub async fn test(&self, webhook_id: &str) -> Result<Tested, WebhookError> {
        let _permit = self.tests.try_acquire().map_err(|_| WebhookError::Busy)?;
        let now = self.store.now();
        let target = self.store.test_target(webhook_id).await?;
        let TestTarget { webhook, url, secrets } = target;
        let event_id = Uuid::now_v7().to_string();
        let body = event::body(TEST_TYPE, now, &json!({ "webhook_id": webhook_id }));
        let url = guard::accepted(&url, self.store.options.allow_private);
        let letter = Letter { id: &event_id, body: &body, timestamp: now.div_euclid(1_000) };
        let answered = self.poster.post(url, &secrets, letter).await;
        let number = self.store.tested(webhook, &event_id, now, body, &answered).await?;
        Ok(Tested {
            is_delivered: answered.verdict == Verdict::Delivered,
            number,
            event_id,
            status: answered.status,
            error: answered.error,
            duration_ms: u64::try_from(answered.duration.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// At most `limit` deliveries of an endpoint (and [`PAGE_MAX`]), newest first.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], and those of the store.
    pub async fn deliveries(
        &self,
        webhook_id: &str,
        filter: DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, WebhookError> {
        self.store.deliveries(webhook_id, filter, limit.min(PAGE_MAX)).await
    }

    /// A delivery, and the body of its POST; a gap has none.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::NoDelivery`], and those of the store.
    pub async fn delivery(
        &self,
        webhook_id: &str,
        number: i64,
    ) -> Result<(Delivery, Option<String>), WebhookError> {
        self.store.delivery(webhook_id, number).await
    }

    /// Delivers again, with the same `webhook-id` and body. One that has ended begins anew; one that waits is tried
    /// at once. If the endpoint is paused or disabled, it waits until it is resumed.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::NoDelivery`], also for a gap, and those of the store.
    pub async fn redeliver(&self, webhook_id: &str, number: i64) -> Result<Delivery, WebhookError> {
        let delivery = self.store.redeliver(webhook_id, number).await?;
        self.queued.notify_one();
        Ok(delivery)
    }

    /// Queues something that is not in the feed, for all endpoints that ask for it and are not disabled. It
    /// survives a power cut when this returns. A repeat with the same id adds nothing where it is queued or in
    /// the log. Any process may call it, also one without `run`.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], and those of the store.
    pub async fn announce(&self, announcement: Announcement) -> Result<Announced, WebhookError> {
        endpoint::check_type("type", &announcement.event_type)?;
        check_id(&announcement.id)?;
        let length = announcement.data.to_string().len();
        if length > DATA_BYTES_MAX {
            let why = format!("has {length} bytes, want at most {DATA_BYTES_MAX}");
            return Err(WebhookError::Invalid { field: "data", why });
        }
        let announced = self.store.announce(&announcement).await?;
        self.queued.notify_one();
        Ok(announced)
    }

    /// Whether [`Webhooks::announce`] has somebody to tell something of this type, whatever its campaigns.
    pub async fn has_asked(&self, event_type: &str) -> Result<bool, WebhookError> {
        self.store.has_asked(event_type).await
    }

    /// Whether this process is the one of all that run which looks for what is to be announced. For a moment it may
    /// be none of them, or two.
    pub fn leads(&self) -> bool {
        self.store.leads()
    }

    /// Totals are of this process.
    pub async fn gauge(&self) -> Result<Gauge, WebhookError> {
        self.store.gauge().await
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

/// Visible ASCII fits in a header.
fn check_id(text: &str) -> Result<(), WebhookError> {
    if !(1..=ID_LEN_MAX).contains(&text.len()) || !text.chars().all(|c| c.is_ascii_graphic()) {
        let why = format!("is no name of 1 to {ID_LEN_MAX} visible ASCII characters");
        return Err(WebhookError::Invalid { field: "id", why });
    }
    Ok(())
}
