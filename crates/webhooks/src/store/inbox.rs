//! What any process leaves for the one that posts to an endpoint: announcements, and deliveries that are to be made
//! again.
//!
//! The inbox of an endpoint has parts, numbered from 0, of which one is written to: the progress of the endpoint says
//! which. A row becomes empty when what it asks for is written down, and the process that posts remembers that: by the
//! clock of another machine that is ahead, the row may not become empty yet. After some rows the process that posts begins
//! another part, and drops the one before when nobody writes to it any more: so it never reads over many rows that are
//! done with. A writer then checks that its part is still the one that is written to; if not, it leaves the row again.

use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::delivery_rows::{DeliveryFacts, DeliveryRow};
use super::inbox_place::read_parts;
use super::lane::WebhookLane;
use super::numbers::numbered;
use super::{Result, WebhookStore, at_once, locked, to_json};
use crate::event;
use crate::{Announced, Announcement};

const INBOX: RecordKind = RecordKind { name: "webhook.inbox", sync: RecordSync::AtOnce };

/// Announcements that were left for an endpoint, each a partition.
const ANNOUNCED: RecordKind = RecordKind { name: "webhook.announced", sync: RecordSync::AtOnce };

const TAKEN_TOGETHER: usize = 500;

/// In a key, before the id of the request: what is asked for, and the body of what is announced.
const REQUEST: u8 = 0;
const BODY: u8 = 1;

/// Announcements that wait in memory; the others stay in the inbox.
const WAITING_MAX: usize = 1_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InboxRequest {
    /// Its body has a row of its own.
    Announce { id: String, event_type: String },
    Again {
        number: i64,
        /// Each time somebody asks, it is another one.
        asked: String,
    },
}

impl InboxRequest {
    /// A repeat of the same request has the same.
    fn id(&self) -> String {
        match self {
            InboxRequest::Announce { id, .. } => format!("announce {id}"),
            InboxRequest::Again { number, .. } => format!("again {number}"),
        }
    }
}

/// An inbox is counted at most once in the time of so many looks: 10 s.
const COUNTED_EVERY: u32 = 20;

/// Requests of one read that counts.
const COUNTED_TOGETHER: usize = 5_000;

/// How many rows are left in an inbox, as this process knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftCount {
    rows: u64,
    counted: Instant,
}

pub(super) fn part_of(webhook: i64, part: i64) -> RecordPart {
    INBOX.part([numbered(webhook), numbered(part)].concat())
}

fn key_of(what: u8, id: &str) -> Vec<u8> {
    [&[what], id.as_bytes()].concat()
}

/// Where the body of what a row asks for is.
fn body_key(request: &RecordRow) -> Vec<u8> {
    [&[BODY], &request.key[1..]].concat()
}

impl WebhookStore {
    async fn leave(&self, webhook: i64, request: &InboxRequest, body: Option<&str>) -> Result<()> {
        let (id, request) = (request.id(), to_json(request)?);
        let body = body.map(|body| RecordPut::new(key_of(BODY, &id), body));
        let rows: Vec<RecordPut> =
            body.into_iter().chain([RecordPut::new(key_of(REQUEST, &id), request)]).collect();
        // What the store says, also if this process posts: it may have been frozen.
        let mut part = self.progress(webhook).await?.0.inbox;
        loop {
            self.tables.put(&part_of(webhook, part), rows.clone()).await?;
            let now = self.progress(webhook).await?.0.inbox;
            if now == part {
                break;
            }
            part = now;
        }
        if let Some(left) = locked(&self.left).get_mut(&webhook) {
            left.rows += 1;
        }
        // The process that posts, if it is this one, takes it at its next look.
        self.with_lane(webhook, |lane| lane.tended = None);
        Ok(())
    }

    pub(super) async fn drop_inbox(&self, webhook: i64, last: i64) -> Result<()> {
        for part in read_parts(last) {
            self.tables.drop_below(&part_of(webhook, part), None).await?;
        }
        Ok(())
    }

    /// Queues an announcement for all endpoints that ask for it and are not disabled; those with `announced_max`
    /// deliveries that wait are full.
    pub(crate) async fn announce(&self, announcement: &Announcement) -> Result<Announced> {
        let Announcement { id, event_type, only_by_name, at_ms, campaigns, data } = announcement;
        let body = event::body(event_type, *at_ms, data);
        let request = InboxRequest::Announce { id: id.clone(), event_type: event_type.clone() };
        let rows = self.endpoint_rows().await?;
        let asks = rows.iter().filter(|row| {
            let terms = &row.terms;
            !terms.is_disabled() && terms.asks_for(event_type, *only_by_name, campaigns)
        });
        let leaves = asks.map(|row| self.leave_once(row.number, (id, &body), &request));
        let mut announced = Announced::default();
        for is_left in at_once(leaves.collect()).await? {
            announced.endpoints += usize::from(is_left);
            announced.full += usize::from(!is_left);
        }
        Ok(announced)
    }

    /// Leaves an announcement, unless it was left before. `false`: too much waits.
    async fn leave_once(
        &self,
        webhook: i64,
        (id, body): (&str, &str),
        request: &InboxRequest,
    ) -> Result<bool> {
        let announced = ANNOUNCED.part([numbered(webhook).as_slice(), id.as_bytes()].concat());
        if self.tables.get(&announced, b"").await?.is_some() {
            return Ok(true);
        }
        let most = self.options.announced_max;
        if self.waits(webhook, most).await? >= most {
            return Ok(false);
        }
        self.leave(webhook, request, Some(body)).await?;
        // After it, so that a repeat finds nothing that was not left.
        let row = RecordPut::new("", "").kept_for(self.options.log_keep);
        self.tables.put(&announced, vec![row]).await?;
        Ok(true)
    }

    /// How many deliveries of an endpoint wait, with those that nobody has taken yet; not more than `most`.
    async fn waits(&self, webhook: i64, most: u64) -> Result<u64> {
        // One counts, the others wait for it.
        let _one = self.counting.lock().await;
        let progress = self.doing(webhook).await?;
        let known = locked(&self.left).get(&webhook).copied();
        let known =
            known.filter(|left| left.counted.elapsed() < self.options.look_every * COUNTED_EVERY);
        let left = match known {
            Some(left) => left.rows,
            None => {
                let mut rows = 0;
                for part in read_parts(progress.inbox) {
                    rows += self.count_part(&part_of(webhook, part), most).await?;
                }
                let counted = LeftCount { rows, counted: Instant::now() };
                locked(&self.left).insert(webhook, counted);
                rows
            }
        };
        Ok(progress.pending.saturating_add(left).min(most))
    }

    /// How many requests of a part are left; about `most` at most.
    async fn count_part(&self, part: &RecordPart, most: u64) -> Result<u64> {
        let (mut rows, mut range) = (0, RecordRange::first(COUNTED_TOGETHER).before([BODY]));
        while rows < most {
            let found = self.tables.scan(part, range.clone()).await?;
            rows += found.iter().filter(|row| !row.value.is_empty()).count() as u64;
            match found.last().filter(|_| found.len() == COUNTED_TOGETHER) {
                Some(last) => range = range.after(&last.key),
                None => break,
            }
        }
        Ok(rows)
    }

    /// Leaves word to deliver something again.
    pub(crate) async fn leave_again(&self, webhook: i64, number: i64) -> Result<()> {
        let asked = Uuid::new_v4().to_string();
        self.leave(webhook, &InboxRequest::Again { number, asked }, None).await
    }

    /// Takes what was left for an endpoint to which this process posts, as far as there is room.
    pub(super) async fn take_inbox(&self, webhook: i64) -> Result<()> {
        let parts = self.with_lane(webhook, |lane| {
            let saved = lane.saved.0.inbox;
            lane.inbox.parts(saved)
        });
        for part in parts.unwrap_or_default() {
            let begun = Instant::now();
            if !self.take_part(webhook, part).await? {
                return Ok(());
            }
            let read = self.with_lane(webhook, |lane| lane.inbox.is_read(part, begun));
            if read == Some(true) {
                self.tables.drop_below(&part_of(webhook, part), None).await?;
                self.with_lane(webhook, |lane| lane.inbox.is_dropped(part));
            }
        }
        Ok(())
    }

    /// Returns whether it has come to the end of the part.
    async fn take_part(&self, webhook: i64, part: i64) -> Result<bool> {
        let of = part_of(webhook, part);
        loop {
            let place = self.with_lane(webhook, |lane| {
                let after = lane.inbox.looked_at(part);
                (WAITING_MAX.saturating_sub(lane.announced()), after)
            });
            let Some((room @ 1.., after)) = place else { return Ok(false) };
            let limit = TAKEN_TOGETHER.min(room);
            let range = RecordRange::first(limit).before([BODY]);
            let range = after.iter().fold(range, |range, key| range.after(key));
            let rows = self.tables.scan(&of, range).await?;
            let (is_end, last) = (rows.len() < limit, rows.last().map(|row| row.key.clone()));
            let new = self.with_lane(webhook, |lane| {
                let is_new =
                    |row: &RecordRow| !row.value.is_empty() && !lane.inbox.was_taken(part, row);
                rows.into_iter().filter(is_new).collect::<Vec<RecordRow>>()
            });
            let done = self.take_rows(webhook, &of, new.unwrap_or_default()).await?;
            let Some(done) = done else { return Ok(false) };
            let emptied = done.iter().flat_map(|row| {
                [RecordPut::new(row.key.clone(), ""), RecordPut::new(body_key(row), "")]
            });
            // After what they ask for is written: a crash before this takes the rows again.
            self.tables.put(&of, emptied.collect()).await?;
            if let Some(left) = locked(&self.left).get_mut(&webhook) {
                left.rows = left.rows.saturating_sub(done.len() as u64);
            }
            self.with_lane(webhook, |lane| lane.inbox.take(part, done, last));
            if is_end {
                return Ok(true);
            }
        }
    }

    /// Does what rows ask for. Returns those that are done; `None` if another process has the endpoint by
    /// now, which finds them as they were.
    async fn take_rows(
        &self,
        webhook: i64,
        part: &RecordPart,
        rows: Vec<RecordRow>,
    ) -> Result<Option<Vec<RecordRow>>> {
        let now = self.now();
        let (mut done, mut announced) = (Vec::new(), Vec::new());
        for row in rows {
            match serde_json::from_slice(&row.value) {
                Ok(InboxRequest::Announce { id, event_type }) => {
                    let body = self.tables.get(part, &body_key(&row)).await?.unwrap_or_default();
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let facts = DeliveryFacts::new(&id, &event_type, None, now);
                    announced.push((DeliveryFacts { announced: true, ..facts }, body));
                }
                Ok(InboxRequest::Again { number, .. }) => {
                    if !self.take_again(webhook, number).await? {
                        return Ok(None);
                    }
                }
                // Of a later release: its own process will take it.
                Err(error) => {
                    tracing::warn!(%error, "a webhook was asked for something unknown");
                    continue;
                }
            }
            done.push(row);
        }
        if !announced.is_empty() && !self.take_announcements(webhook, announced).await? {
            return Ok(None);
        }
        Ok(Some(done))
    }

    /// Returns whether they wait now, and this process still has the endpoint.
    async fn take_announcements(
        &self,
        webhook: i64,
        announced: Vec<(DeliveryFacts, String)>,
    ) -> Result<bool> {
        let now = self.now();
        let rows = self.with_lane(webhook, |lane| {
            let mut rows = Vec::new();
            for (facts, body) in announced {
                if !facts.id.as_deref().is_some_and(|id| lane.ids.contains(id)) {
                    rows.push(DeliveryRow::waiting(lane.numbers.next(now), facts, Some(body)));
                }
            }
            rows
        });
        let rows = rows.unwrap_or_default();
        Ok(self.store_waiting(webhook, rows, WebhookLane::insert_written).await?
            && self.still_has(webhook).await?)
    }

    /// Returns whether it waits now, or cannot be delivered again, and this process still has the endpoint.
    async fn take_again(&self, webhook: i64, number: i64) -> Result<bool> {
        let now = self.now();
        let hurried = self.with_lane(webhook, |lane| {
            let waiting = lane.waiting.get(&number)?;
            let facts = waiting.facts.again(false, now);
            let body = waiting.body.clone().filter(|_| !waiting.is_written);
            lane.hurry(number, facts.clone());
            Some(DeliveryRow::waiting(number, facts, body))
        });
        if let Some(Some(row)) = hurried {
            return Ok(self.store_waiting(webhook, vec![row], WebhookLane::are_written).await?
                && self.still_has(webhook).await?);
        }
        // First: the end that its old row still waits for would be the end of the new one.
        self.empty_ended(webhook).await?;
        let logged = self.logged_one(webhook, number).await?;
        let Some(logged) = logged.filter(|row| row.body.is_some()) else { return Ok(true) };
        let row = DeliveryRow::waiting(number, logged.facts.again(true, now), logged.body);
        let is_stored = self.store_waiting(webhook, vec![row], WebhookLane::insert_written).await?;
        if !is_stored || !self.still_has(webhook).await? {
            return Ok(false);
        }
        // Last: after a crash it is in both, and is listed once.
        self.delete_logged(webhook, number, logged.state).await?;
        Ok(true)
    }
}
