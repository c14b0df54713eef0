//! What any process leaves for the one that posts to an endpoint: announcements, and deliveries that are to be made
//! again.
//!
//! The inbox of an endpoint has parts, numbered from 0, of which one is written to: the progress of the endpoint says
//! which. A row becomes empty when what it asks for is written down. After some rows the process that posts begins
//! another part, and drops the one before when nobody writes to it any more: so it never reads over many rows that are
//! done with. Who has left a row looks whether its part is still the one that is written to, and else leaves it again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt, iter};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::lane::WebhookLane;
use super::numbers::numbered;
use super::waiting::{DeliveryFacts, WaitingRow};
use super::{AT_ONCE, Result, WebhookStore, locked, to_json};
use crate::event::{Matter, Message};
use crate::{Announced, Announcement, Delivery, DeliveryState, WebhookError};

const INBOX: RecordKind = RecordKind { name: "webhook.inbox", sync: RecordSync::AtOnce };

/// Announcements that were left for an endpoint, each a partition.
const ANNOUNCED: RecordKind = RecordKind { name: "webhook.announced", sync: RecordSync::AtOnce };

/// Rows that are taken at a time.
const TAKEN_TOGETHER: usize = 100;

/// Announcements that wait in memory; the others stay in the inbox.
const WAITING_MAX: usize = 1_000;

/// A part with so many rows that are done with is closed.
const PART_ROWS: usize = 1_000;

/// How long a part is read after it was closed: longer than a call of the store may take.
const CLOSED_FOR: Duration = Duration::from_secs(60);

/// Parts that are being closed at a time.
const CLOSING_MAX: usize = 2;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InboxRequest {
    Announce { id: String, event_type: String, body: String },
    Again { number: i64 },
}

impl InboxRequest {
    /// A repeat of the same request has the same.
    fn id(&self) -> String {
        match self {
            InboxRequest::Announce { id, .. } => format!("announce {id}"),
            InboxRequest::Again { number } => format!("again {number}"),
        }
    }
}

/// How many rows are left in an inbox, as this process knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftCount {
    rows: u64,
    counted: Instant,
}

/// Where the process that posts is in the inbox of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct InboxPlace {
    /// The part that is written to.
    pub(crate) part: i64,
    /// Rows that were taken from it.
    taken: usize,
    /// Parts that are being closed, and since when.
    closing: Vec<(i64, Instant)>,
    /// In parts that were not read to their end: the last row that was taken.
    after: BTreeMap<i64, Vec<u8>>,
}

impl InboxPlace {
    /// One that another process had before: it may have closed parts a moment ago.
    pub(crate) fn after_another(part: i64) -> InboxPlace {
        let first = part.saturating_sub(CLOSING_MAX as i64).max(0);
        let closing = (first..part).map(|part| (part, Instant::now())).collect();
        InboxPlace { part, taken: 0, closing, after: BTreeMap::new() }
    }

    fn parts(&self) -> Vec<i64> {
        self.closing.iter().map(|(part, _)| *part).chain([self.part]).collect()
    }

    /// Notes that a part was read to its end, which began at `begun`. Returns whether it is to be dropped.
    fn is_read(&mut self, part: i64, begun: Instant) -> bool {
        self.after.remove(&part);
        if part == self.part && self.taken >= PART_ROWS && self.closing.len() < CLOSING_MAX {
            self.closing.push((part, Instant::now()));
            (self.part, self.taken) = (part + 1, 0);
            return false;
        }
        let is_over = |&(_, since): &(i64, Instant)| begun.duration_since(since) >= CLOSED_FOR;
        self.closing.iter().any(|it| it.0 == part && is_over(it))
    }

    fn is_dropped(&mut self, part: i64) {
        self.closing.retain(|(closing, _)| *closing != part);
    }
}

fn part_of(webhook: i64, part: i64) -> RecordPart {
    INBOX.part([numbered(webhook), numbered(part)].concat())
}

fn announced_part(webhook: i64, id: &str) -> RecordPart {
    ANNOUNCED.part([numbered(webhook).as_slice(), id.as_bytes()].concat())
}

impl WebhookStore {
    async fn leave(&self, webhook: i64, request: &InboxRequest) -> Result<()> {
        let row = RecordPut::new(request.id(), to_json(request)?);
        let mut part = self.doing(webhook).await?.inbox;
        loop {
            self.tables.put(&part_of(webhook, part), vec![row.clone()]).await?;
            let now = self.doing(webhook).await?.inbox;
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
        for part in last.saturating_sub(CLOSING_MAX as i64).max(0)..=last {
            self.tables.drop_below(&part_of(webhook, part), None).await?;
        }
        Ok(())
    }

    /// Leaves an announcement for all endpoints that ask for it and are not disabled.
    pub(super) async fn leave_announcement(
        &self,
        announcement: &Announcement,
        pending_max: u64,
    ) -> Result<Announced> {
        let matter = Matter::from(announcement);
        let Message { id, event_type, body } = matter.message();
        let request = InboxRequest::Announce { id: id.clone(), event_type, body };
        let rows = self.endpoint_rows().await?;
        let asks = rows.iter().filter(|row| {
            let terms = &row.terms;
            !terms.is_disabled() && matter.is_for(terms.types.as_ref(), terms.campaign.as_deref())
        });
        let leaves = asks.map(|row| self.leave_once(row.number, &id, &request, pending_max));
        let leaves = iter(leaves.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let mut announced = Announced::default();
        for is_left in leaves.try_collect::<Vec<bool>>().await? {
            announced.endpoints += usize::from(is_left);
            announced.full += usize::from(!is_left);
        }
        Ok(announced)
    }

    /// Leaves an announcement, unless it was left before. `false`: too much waits.
    async fn leave_once(
        &self,
        webhook: i64,
        id: &str,
        request: &InboxRequest,
        pending_max: u64,
    ) -> Result<bool> {
        let announced = announced_part(webhook, id);
        if self.tables.get(&announced, b"").await?.is_some() {
            return Ok(true);
        }
        if self.waits(webhook, pending_max).await? >= pending_max {
            return Ok(false);
        }
        self.leave(webhook, request).await?;
        // After it, so that a repeat finds nothing that was not left.
        let row = RecordPut::new("", "").kept_for(self.log_keep);
        self.tables.put(&announced, vec![row]).await?;
        Ok(true)
    }

    /// How many deliveries of an endpoint wait, with those that nobody has taken yet; not more than `most`.
    async fn waits(&self, webhook: i64, most: u64) -> Result<u64> {
        let progress = self.doing(webhook).await?;
        let known = locked(&self.left).get(&webhook).copied();
        let known = known.filter(|left| left.counted.elapsed() < self.counted_for);
        let left = match known {
            Some(left) => left.rows,
            None => {
                let limit = usize::try_from(most).unwrap_or(usize::MAX);
                let mut rows = 0;
                for part in (progress.inbox - CLOSING_MAX as i64).max(0)..=progress.inbox {
                    let part = part_of(webhook, part);
                    let found = self.tables.scan(&part, RecordRange::first(limit)).await?;
                    rows += found.iter().filter(|row| !row.value.is_empty()).count() as u64;
                }
                let counted = LeftCount { rows, counted: Instant::now() };
                locked(&self.left).insert(webhook, counted);
                rows
            }
        };
        Ok(progress.pending.saturating_add(left).min(most))
    }

    /// Leaves word to deliver something again, and returns it as it will be.
    pub(super) async fn leave_again(
        &self,
        webhook: i64,
        name: &str,
        number: i64,
        now: i64,
    ) -> Result<Delivery> {
        let (state, facts, _) = self.delivery_of(webhook, number).await?;
        if state == DeliveryState::Gap {
            return Err(WebhookError::NoDelivery);
        }
        self.leave(webhook, &InboxRequest::Again { number }).await?;
        let facts = facts.again(state != DeliveryState::Pending, now);
        Ok(facts.shown(number, name, DeliveryState::Pending))
    }

    /// Takes what was left for an endpoint to which this process posts, as far as there is room.
    pub(super) async fn take_inbox(&self, webhook: i64, now: i64) -> Result<()> {
        let parts = self.with_lane(webhook, |lane| lane.inbox.parts()).unwrap_or_default();
        for part in parts {
            let begun = Instant::now();
            if !self.take_part(webhook, part, now).await? {
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
    async fn take_part(&self, webhook: i64, part: i64, now: i64) -> Result<bool> {
        let of = part_of(webhook, part);
        loop {
            let place = self.with_lane(webhook, |lane| {
                let room = WAITING_MAX.saturating_sub(lane.announced());
                (room, lane.inbox.after.get(&part).cloned())
            });
            let Some((room @ 1.., after)) = place else { return Ok(false) };
            let limit = TAKEN_TOGETHER.min(room);
            let range = RecordRange::first(limit);
            let range = after.iter().fold(range, |range, key| range.after(key));
            let rows = self.tables.scan(&of, range).await?;
            let (is_end, last) = (rows.len() < limit, rows.last().map(|row| row.key.clone()));
            let mut done = Vec::new();
            let mut announced = Vec::new();
            for row in rows.into_iter().filter(|row| !row.value.is_empty()) {
                match serde_json::from_slice(&row.value) {
                    Ok(InboxRequest::Announce { id, event_type, body }) => {
                        announced.push(Message { id, event_type, body });
                    }
                    Ok(InboxRequest::Again { number }) => {
                        self.take_again(webhook, number, now).await?;
                    }
                    // Of a later release: its own process will take it.
                    Err(error) => {
                        tracing::warn!(%error, "a webhook was asked for something unknown");
                        continue;
                    }
                }
                done.push(RecordPut::new(row.key, ""));
            }
            self.take_announcements(webhook, announced, now).await?;
            let taken = done.len();
            self.tables.put(&of, done).await?;
            if let Some(left) = locked(&self.left).get_mut(&webhook) {
                left.rows = left.rows.saturating_sub(taken as u64);
            }
            self.with_lane(webhook, |lane| {
                lane.inbox.taken += if part == lane.inbox.part { taken } else { 0 };
                lane.inbox.after.extend(last.map(|key| (part, key)));
            });
            if is_end {
                return Ok(true);
            }
        }
    }

    async fn take_announcements(
        &self,
        webhook: i64,
        messages: Vec<Message>,
        now: i64,
    ) -> Result<()> {
        let rows = self.with_lane(webhook, |lane| {
            let is_new = |message: &Message| !lane.has_id(&message.id);
            let messages: Vec<Message> = messages.into_iter().filter(is_new).collect();
            let row = |message: Message| {
                let facts = DeliveryFacts::new(&message, None, now);
                let facts = DeliveryFacts { announced: true, ..facts };
                WaitingRow { number: lane.next_number(now), facts, body: Some(message.body) }
            };
            messages.into_iter().map(row).collect::<Vec<_>>()
        });
        let rows = rows.unwrap_or_default();
        self.store_waiting(webhook, rows, WebhookLane::insert_written).await
    }

    async fn take_again(&self, webhook: i64, number: i64, now: i64) -> Result<()> {
        let hurried = self.with_lane(webhook, |lane| {
            let waiting = lane.waiting(number)?;
            let facts = waiting.facts.again(false, now);
            lane.hurry(number, facts);
            Some(())
        });
        if let Some(Some(())) = hurried {
            return Ok(());
        }
        // First: the end that its old row still waits for would be the end of the new one.
        self.empty_ended(webhook).await?;
        let Some((state, facts, Some(body))) = self.logged_one(webhook, number).await? else {
            return Ok(());
        };
        let facts = facts.again(true, now);
        let row = WaitingRow { number, facts, body: Some(body) };
        self.store_waiting(webhook, vec![row], WebhookLane::insert_written).await?;
        // Last: after a crash it is in both, and is listed once.
        self.delete_logged(webhook, number, state).await
    }
}
