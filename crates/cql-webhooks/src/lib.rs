//! Webhooks on a cluster ([`webhooks::store::Store`]): every process answers every call, and all that run share the
//! posting.
//!
//! Each active endpoint belongs to one process at a time ([`leases`]). That process reads the feed for it and keeps
//! what waits in memory ([`lane`]). What arrives at once is written once, into the log. What does not is written to
//! `webhook_pending` ([`deliveries`]), and the cursor that the cluster knows never moves beyond an event that has
//! neither ended nor is written ([`progress`]). So a process that takes an endpoint over misses nothing, and posts
//! again what the one before it has posted in its last second.
//!
//! What callers say of an endpoint is in one row, which only conditional updates change ([`endpoints`]); the process
//! that posts notices at its next renewal. Announcements and repeats are left for it ([`inbox`]).
//!
//! The crate owns the tables `webhook` and `webhook_…`.

mod deliveries;
mod endpoints;
mod error;
mod inbox;
mod lane;
mod leases;
mod numbers;
mod posting;
mod progress;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cql_session::CqlSession;
use futures::future::{join_all, try_join_all};
use tokio::time::Instant;
use uuid::Uuid;
use webhooks::store::{
    Due, Moment, Passage, Reader, Room, Store, Target, TestTarget, Tried, Turn, Want, Written,
};
use webhooks::{
    Announced, Announcement, Answered, Delivery, DeliveryFilter, DeliveryState, Endpoint,
    EndpointChanges, Gauge, Matter, NewEndpoint, Options, Rotation, Secret, Verdict, WebhookError,
};

use crate::deliveries::{EndedRow, Facts};
use crate::endpoints::EndpointRow;
use crate::lane::Lane;
use crate::progress::Progress;

type Answer<T> = std::result::Result<T, WebhookError>;

/// The webhooks of a keyspace, for [`webhooks::Webhooks::with`] and the same options.
pub fn store(session: Arc<CqlSession>, options: &Options) -> Arc<dyn Store> {
    store_of_part(session, options, 0)
}

/// The same with endpoints and processes in another CQL partition: for tests that share a keyspace.
pub fn store_of_part(session: Arc<CqlSession>, options: &Options, part: i32) -> Arc<dyn Store> {
    let Options { log_keep, clock, .. } = options.clone();
    let (leads_until, lanes) = (Mutex::default(), Mutex::default());
    Arc::new(ClusterStore { session, part, log_keep, clock, leads_until, lanes })
}

struct ClusterStore {
    session: Arc<CqlSession>,
    /// The CQL partition of all endpoints, and of all processes.
    part: i32,
    log_keep: Duration,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Until when this process is the first of all by its name.
    leads_until: Mutex<Option<Instant>>,
    /// The endpoints to which this process posts, by their numbers.
    lanes: Mutex<BTreeMap<i64, Lane>>,
}

impl fmt::Debug for ClusterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStore").field("lanes", &self.held()).finish_non_exhaustive()
    }
}

impl ClusterStore {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<i64, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if this process does not post to that endpoint.
    fn with_lane<T>(&self, webhook: i64, work: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        self.lanes().get_mut(&webhook).map(work)
    }

    fn lanes_that(&self, wanted: impl Fn(&Lane) -> bool) -> Vec<i64> {
        let lanes = self.lanes();
        lanes.iter().filter(|(_, lane)| wanted(lane)).map(|(webhook, _)| *webhook).collect()
    }

    fn held(&self) -> Vec<i64> {
        self.lanes_that(Lane::is_held)
    }

    fn forget_lane(&self, webhook: i64) {
        self.lanes().remove(&webhook);
    }

    /// Takes what was left for an endpoint at the next look, if this process posts to it.
    fn look_soon(&self, webhook: i64) {
        self.with_lane(webhook, |lane| lane.tended = None);
    }

    fn unwritten_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Option<(DeliveryState, Facts, Option<String>)> {
        let found = self.with_lane(webhook, |lane| {
            let waiting = lane.waiting(number).filter(|it| !it.is_written)?;
            Some((DeliveryState::Pending, waiting.facts.clone(), waiting.body.clone()))
        });
        found.flatten()
    }

    /// How an endpoint is doing: exactly if this process posts to it, else as of its last second.
    async fn doing(&self, webhook: i64) -> error::Result<Progress> {
        match self.with_lane(webhook, |lane| lane.counts()) {
            Some(counts) => Ok(counts),
            None => self.progress(webhook).await,
        }
    }

    async fn shown(&self, row: EndpointRow) -> error::Result<Endpoint> {
        let progress = self.doing(row.number).await?;
        Ok(row.shown(&progress))
    }
}

#[async_trait]
impl Store for ClusterStore {
    async fn create(
        &self,
        name: String,
        new: NewEndpoint,
        now: i64,
    ) -> Answer<(Endpoint, Secret, bool)> {
        let (row, secret, is_new) = self.create_endpoint(&name, new, now).await?;
        Ok((self.shown(row).await?, secret, is_new))
    }

    async fn list(&self, after: Option<String>, limit: usize) -> Answer<Vec<Endpoint>> {
        let rows = self.endpoint_rows().await?;
        let rows = rows.into_iter().filter(|row| Some(&row.name) > after.as_ref()).take(limit);
        Ok(try_join_all(rows.map(|row| self.shown(row))).await?)
    }

    async fn get(&self, name: &str) -> Answer<Endpoint> {
        Ok(self.shown(self.endpoint_row(name).await?).await?)
    }

    async fn update(&self, name: &str, changes: EndpointChanges, now: i64) -> Answer<Endpoint> {
        Ok(self.shown(self.update_endpoint(name, changes, now).await?).await?)
    }

    async fn turn(&self, name: &str, turn: Turn, now: i64) -> Answer<Endpoint> {
        Ok(self.shown(self.turn_endpoint(name, turn, now).await?).await?)
    }

    async fn delete(&self, name: &str) -> Answer<()> {
        let webhook = self.delete_endpoint(name).await?.number;
        self.forget_lane(webhook);
        self.delete_progress(webhook).await?;
        self.delete_inbox(webhook).await?;
        Ok(self.delete_deliveries(webhook).await?)
    }

    async fn rotate(&self, name: &str, rotation: Rotation, now: i64) -> Answer<(Secret, bool)> {
        Ok(self.rotate_secret(name, rotation, now).await?)
    }

    async fn test_target(&self, name: &str, now: i64, trusted: bool) -> Answer<TestTarget> {
        let EndpointRow { number, terms, .. } = self.endpoint_row(name).await?;
        let secrets = terms.signing(now, trusted)?;
        Ok(TestTarget { webhook: number, url: terms.url, secrets })
    }

    async fn tested(
        &self,
        webhook: i64,
        matter: Matter<'_>,
        answered: &Answered,
        now: i64,
    ) -> Answer<i64> {
        let message = matter.message();
        let number = numbers::single(now, Uuid::new_v4().as_fields().0);
        let facts = Facts::new(&message, None, matter.at_ms).tried(answered, now);
        let facts = Facts { ended_at: Some(now), ..facts };
        let state = match answered.verdict {
            Verdict::Delivered => DeliveryState::Delivered,
            Verdict::Failed { .. } | Verdict::Gone => DeliveryState::Failed,
        };
        let (body, keep) = (Some(message.body), self.log_keep);
        self.log(webhook, &EndedRow { number, state, facts, body, keep }).await?;
        Ok(number)
    }

    async fn deliveries(
        &self,
        name: &str,
        filter: DeliveryFilter,
        limit: usize,
    ) -> Answer<Vec<Delivery>> {
        let row = self.endpoint_row(name).await?;
        let unwritten = self.with_lane(row.number, |lane| lane.unwritten()).unwrap_or_default();
        Ok(self.list(&row, &filter, limit, unwritten).await?)
    }

    async fn delivery(&self, name: &str, number: i64) -> Answer<(Delivery, Option<String>)> {
        let webhook = self.endpoint_row(name).await?.number;
        let (state, facts, body) = self.delivery_of(webhook, number).await?;
        Ok((facts.shown(number, name, state), body))
    }

    async fn redeliver(&self, name: &str, number: i64, now: i64) -> Answer<Delivery> {
        let webhook = self.endpoint_row(name).await?.number;
        Ok(self.leave_again(webhook, name, number, now).await?)
    }

    async fn announce(
        &self,
        announcement: Announcement,
        pending_max: u64,
        _now: i64,
    ) -> Answer<Announced> {
        Ok(self.leave_announcement(&announcement, pending_max).await?)
    }

    async fn has_asked(&self, event_type: &str) -> Answer<bool> {
        let rows = self.endpoint_rows().await?;
        let asks = |row: &EndpointRow| {
            let types = row.terms.types.as_ref();
            !row.terms.is_disabled() && types.is_some_and(|types| types.contains(event_type))
        };
        Ok(rows.iter().any(asks))
    }

    async fn gauge(&self, now: i64, failures_until_down: u64) -> Answer<Gauge> {
        let rows = self.endpoint_rows().await?;
        let progress = try_join_all(rows.iter().map(|row| self.doing(row.number))).await?;
        let mut gauge = Gauge::default();
        for (row, progress) in rows.iter().zip(progress) {
            let is_active = row.terms.is_active();
            gauge.active += u64::from(is_active);
            gauge.paused += u64::from(row.terms.is_paused());
            gauge.disabled += u64::from(row.terms.is_disabled());
            gauge.down += u64::from(is_active && progress.failures >= failures_until_down);
            gauge.pending += progress.pending;
            let since = |at| Duration::from_millis(now.saturating_sub(at).max(0).unsigned_abs());
            let waited = progress.oldest.filter(|_| is_active).map(since);
            gauge.oldest_pending = gauge.oldest_pending.max(waited);
        }
        Ok(gauge)
    }

    async fn lease(&self, me: &str, options: &Options) -> Answer<Vec<i64>> {
        Ok(self.renew(me, options).await?)
    }

    async fn release(&self, me: &str) -> Answer<()> {
        Ok(self.give_all_back(me).await?)
    }

    fn leads(&self) -> bool {
        let until = *self.leads_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    async fn clean(&self, options: &Options, trusted: bool) -> Answer<bool> {
        // Everything else deletes itself.
        if trusted {
            self.forget_secrets(options.now()).await?;
        }
        Ok(false)
    }

    async fn readers(&self, held: Vec<i64>, options: &Options) -> Answer<Vec<Reader>> {
        self.tend(options).await;
        Ok(self.lanes_that_read(&held, options.pending_max))
    }

    async fn read_on(
        &self,
        readers: Vec<Reader>,
        passage: Arc<Passage>,
        next: &str,
        now: i64,
    ) -> Answer<usize> {
        let mut queued = 0;
        for reader in &readers {
            queued += self.read_one(reader, &passage, next, now).await?;
        }
        Ok(queued)
    }

    async fn due(&self, wants: Vec<Want>, room: Room) -> Answer<Vec<(Target, Vec<Due>)>> {
        let due = join_all(wants.iter().map(|want| self.due_at(want, &room))).await;
        let of_one = |due: error::Result<_>| match due {
            Ok(due) => due,
            // The others go on.
            Err(trouble) => {
                tracing::warn!(?trouble, "what is due at a webhook cannot be read; trying again");
                None
            }
        };
        Ok(due.into_iter().filter_map(of_one).collect())
    }

    async fn write(&self, tried: Vec<Tried>, moment: Moment, options: &Options) -> Answer<Written> {
        Ok(self.write_results(&tried, moment, options).await?)
    }
}
