//! Where endpoints, deliveries and cursors are kept: as records, on one machine as on a cluster.
//!
//! Every process answers every call, and all that run share the posting. Each active endpoint belongs to one process
//! at a time ([`leases`]). That process reads the feed for it and keeps what waits in memory ([`lane`]). What arrives
//! at once is written once, into the log ([`log`]). What does not is written down ([`waiting`]), and the cursor that
//! the store knows never moves beyond an event that has neither ended nor is written down ([`progress`]). So a process
//! that takes an endpoint over misses nothing, and posts again what the one before it has posted in its last second.
//!
//! What callers say of an endpoint is in one row, which only `replace` changes ([`endpoints`]); the process that posts
//! notices at its next renewal. Announcements and repeats are left for it ([`inbox`]).
//!
//! Deliveries of some minutes are one partition, by their numbers ([`numbers`]), and are dropped together: no read goes
//! over rows that were deleted.

mod bringing;
mod delivery_rows;
mod endpoints;
mod inbox;
mod inbox_place;
mod lane;
mod leases;
mod log;
mod numbers;
mod posting;
mod progress;
mod values;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{StreamExt, TryStreamExt, iter};
use hot::HotError;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync, Tables};
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::Result;
use crate::store::endpoints::EndpointRow;
use crate::store::inbox::LeftCount;
use crate::store::lane::WebhookLane;
use crate::store::leases::LiveProcesses;
use crate::store::progress::LaneProgress;
use crate::{Endpoint, Gauge, Options, WebhookError};

pub use bringing::{BroughtWebhooks, bring_webhooks};
pub(crate) use delivery_rows::{DeliveryFacts, DeliveryRow};
pub(crate) use endpoints::{EndpointTerms, StoredState};
pub(crate) use numbers::single as single_number;
pub(crate) use values::{DueDelivery, EndedAttempt, FeedPassage, FreePlaces, PostTarget};

/// Calls of the store that are under way at a time for one call of ours.
const AT_ONCE: usize = 32;

/// Endpoints that were deleted, until nothing of them is left. A key is a number.
const DELETED: RecordKind = RecordKind { name: "webhook.deleted", sync: RecordSync::AtOnce };

/// How long a frozen process may still write rows of a deleted endpoint.
const DELETED_FOR: Duration = Duration::from_secs(3_600);

/// The webhooks of a store. Times are in milliseconds since 1970.
///
/// An endpoint has a number besides its name, which is never used again, so that what is under way for a deleted one
/// does not reach its successor.
pub(crate) struct WebhookStore {
    tables: Arc<dyn Tables>,
    pub(crate) options: Options,
    /// See [`crate::Webhooks::trust_clock`].
    pub(crate) trusts_clock: AtomicBool,
    /// The name of this process among those that post.
    process: String,
    /// Until when this process is the first of all by its name.
    leads_until: Mutex<Option<Instant>>,
    /// The endpoints to which this process posts, by their numbers.
    lanes: Mutex<BTreeMap<i64, WebhookLane>>,
    live: Mutex<LiveProcesses>,
    logged: Mutex<BTreeMap<log::LogPlace, log::LogCount>>,
    left: Mutex<BTreeMap<i64, LeftCount>>,
    counting: tokio::sync::Mutex<()>,
    /// What this process has delivered, and what has failed; all else is 0.
    pub(crate) totals: Mutex<Gauge>,
}

impl WebhookStore {
    pub(crate) fn new(tables: Arc<dyn Tables>, options: Options) -> WebhookStore {
        WebhookStore {
            tables,
            options,
            trusts_clock: AtomicBool::new(false),
            process: Uuid::new_v4().to_string(),
            leads_until: Mutex::default(),
            lanes: Mutex::default(),
            live: Mutex::default(),
            logged: Mutex::default(),
            left: Mutex::default(),
            counting: tokio::sync::Mutex::default(),
            totals: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        (self.options.clock)()
    }

    pub(crate) fn trusts_clock(&self) -> bool {
        self.trusts_clock.load(Ordering::Relaxed)
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<i64, WebhookLane>> {
        locked(&self.lanes)
    }

    /// `None` if this process does not post to that endpoint.
    fn with_lane<T>(&self, webhook: i64, work: impl FnOnce(&mut WebhookLane) -> T) -> Option<T> {
        self.lanes().get_mut(&webhook).map(work)
    }

    fn lanes_that(&self, wanted: impl Fn(&WebhookLane) -> bool) -> Vec<i64> {
        let lanes = self.lanes();
        lanes.iter().filter(|(_, lane)| wanted(lane)).map(|(webhook, _)| *webhook).collect()
    }

    /// The active endpoints that this process is sure to hold.
    pub(crate) fn held(&self) -> Vec<i64> {
        self.lanes_that(WebhookLane::is_held)
    }

    fn forget_lane(&self, webhook: i64) {
        self.lanes().remove(&webhook);
    }

    /// How an endpoint is doing: exactly if this process posts to it, else as of its last second.
    pub(crate) async fn doing(&self, webhook: i64) -> Result<LaneProgress> {
        match self.with_lane(webhook, |lane| lane.progress_now()) {
            Some(progress) => Ok(progress),
            None => Ok(self.progress(webhook).await?.0),
        }
    }

    pub(crate) async fn shown(&self, row: EndpointRow) -> Result<Endpoint> {
        let progress = self.doing(row.number).await?;
        Ok(row.shown(&progress))
    }

    /// Deletes what there is of an endpoint. Its progress stays until the last call: a process that
    /// posts may still write rows, for some seconds, that only the progress names.
    async fn delete_rest(&self, webhook: i64, is_last: bool) -> Result<()> {
        let (progress, text) = self.progress(webhook).await?;
        let (epoch, saves) = (progress.epoch + 1, progress.saves + 1);
        let ended = LaneProgress { epoch, saves, ..progress.clone() };
        if !is_last {
            // From now on nobody else saves it.
            self.replace_progress(webhook, text.as_deref(), &ended).await?;
        }
        for block in &progress.blocks {
            self.drop_waiting(webhook, *block).await?;
        }
        self.drop_inbox(webhook, progress.inbox).await?;
        self.drop_log(webhook).await?;
        if is_last {
            self.delete_progress(webhook).await?;
        }
        Ok(())
    }

    /// A delivery wherever it is.
    pub(crate) async fn delivery_of(&self, webhook: i64, number: i64) -> Result<DeliveryRow> {
        let in_memory = self.with_lane(webhook, |lane| {
            let waiting = lane.waiting.get(&number).filter(|it| !it.is_written)?;
            Some(DeliveryRow::waiting(number, waiting.facts.clone(), waiting.body.clone()))
        });
        if let Some(Some(found)) = in_memory {
            return Ok(found);
        }
        if let Some(found) = self.waiting_one(webhook, number).await? {
            return Ok(found);
        }
        self.logged_one(webhook, number).await?.ok_or(WebhookError::NoDelivery)
    }

    /// Whether this process, of all that lease, is the one that looks for what to announce. For a moment it
    /// may be none of them, or two: an announcement that is made twice is queued once.
    pub(crate) fn leads(&self) -> bool {
        locked(&self.leads_until).is_some_and(|until| Instant::now() < until)
    }

    /// Deletes some of what was kept long enough, or is too much, or of endpoints that were deleted. Returns whether
    /// there may be more. What still waits stays, unless its endpoint is gone.
    pub(crate) async fn clean(&self) -> Result<bool> {
        if !self.leads() {
            return Ok(false);
        }
        let (now, trusted) = (self.now(), self.trusts_clock());
        self.clean_deleted(now).await?;
        if trusted {
            self.forget_secrets(now).await?;
        }
        let has_more = self.clean_log(trusted.then_some(now)).await?;
        Ok(trusted && self.tables.forget_expired().await? || has_more)
    }

    async fn clean_deleted(&self, now: i64) -> Result<()> {
        let part = DELETED.part("");
        for row in self.tables.scan(&part, RecordRange::first(usize::MAX)).await? {
            let webhook = numbers::number_of(&row.key)?;
            let since = String::from_utf8_lossy(&row.value).parse().unwrap_or(now);
            let is_over = now.saturating_sub(since) > numbers::millis(DELETED_FOR);
            // A clock that was ahead when it was deleted must not keep it for ever.
            let is_last = is_over || since > now;
            self.delete_rest(webhook, is_last).await?;
            if is_last {
                self.tables.put(&part, vec![RecordPut::delete(row.key)]).await?;
            }
        }
        Ok(())
    }

    /// The endpoints that read on, by their cursors (`None`: not begun): active ones with room for more deliveries.
    pub(crate) fn readers(&self) -> BTreeMap<Option<String>, Vec<i64>> {
        let mut readers: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
        for (webhook, lane) in self.lanes().iter() {
            if lane.is_held() && !lane.is_leaving && lane.events() < self.options.pending_max {
                readers.entry(lane.cursor.clone()).or_default().push(*webhook);
            }
        }
        readers
    }

    /// Queues what endpoints that stand at `cursor` ask for, and moves them to the cursor `next`: a kill loses neither.
    /// One that does not stand there any more is skipped: another process has read on for it. Returns how many
    /// deliveries were queued.
    pub(crate) async fn read_on(
        &self,
        webhooks: &[i64],
        cursor: Option<&str>,
        passage: &FeedPassage,
        next: &str,
    ) -> usize {
        let mut queued = 0;
        for &webhook in webhooks {
            match self.read_one(webhook, cursor, passage, next).await {
                Ok(some) => queued += some,
                // It reads the same again, and the others go on.
                Err(error) => tracing::warn!(%error, webhook, "a webhook cannot read on"),
            }
        }
        queued
    }

    /// What is due at endpoints, for each at most as many as there are free places. Of an ordered endpoint, of each
    /// code only the oldest that waits.
    pub(crate) async fn due(&self, free: Vec<FreePlaces>) -> Vec<(PostTarget, Vec<DueDelivery>)> {
        let mut found = Vec::new();
        for due in join_all(free.iter().map(|places| self.due_at(places))).await {
            match due {
                Ok(due) => found.extend(due),
                // The others go on.
                Err(error) => {
                    tracing::warn!(%error, "what is due at a webhook cannot be read; trying again");
                }
            }
        }
        found
    }

    async fn json_rows<T: DeserializeOwned>(
        &self,
        part: &RecordPart,
        range: RecordRange,
    ) -> Result<Vec<(Vec<u8>, T)>> {
        let rows = self.tables.scan(part, range).await?;
        // An empty one has ended.
        let rows = rows.into_iter().filter(|row| !row.value.is_empty());
        rows.map(|row| Ok((row.key, from_json(part, &row.value)?))).collect()
    }
}

/// Waits for calls of the store, of which some are under way at a time.
async fn at_once<T>(calls: Vec<impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    iter(calls).buffer_unordered(AT_ONCE).try_collect().await
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|why| damaged(why.to_string()))
}

fn from_json<T: DeserializeOwned>(part: &RecordPart, value: &[u8]) -> Result<T> {
    let read = serde_json::from_slice(value);
    read.map_err(|why| damaged(format!("a record of {}: {why}", part.kind.name)))
}

fn damaged(why: impl Into<String>) -> WebhookError {
    HotError::Damaged(why.into()).into()
}
