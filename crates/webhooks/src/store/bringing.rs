//! Brings the webhooks of another store, as a copy does, while nobody posts from either.
//!
//! An endpoint keeps its number, so a repeat drops what a call that was cut short has left. What the old store has not
//! read of its own events is queued here, because no cursor of one feed leads into another. The row of an endpoint
//! is written last: until then no process knows the endpoint.

use std::sync::Arc;
use std::time::Duration;

use hot::HotError;
use hot::tables::{RecordPart, RecordPut, RecordRange, Tables};
use tokio::time::Instant;

use super::delivery_rows::WRITE_BYTES_MAX;
use super::endpoints::EndpointRow;
use super::inbox_place::read_parts;
use super::lane::WebhookLane;
use super::progress::LaneProgress;
use super::{FeedPassage, Result, StoredState, WebhookStore, inbox, waiting};
use crate::{Options, Read, Source, Start, WebhookError};

/// Most deliveries that wait at an endpoint which is brought: a process keeps what it knows of each in memory.
const WAITING_MAX: u64 = 50_000;

/// Rows that are read together: a body has some kilobytes, and 256 at most.
const ROWS: usize = 100;

/// Longer than a call takes: nobody else holds the endpoint.
const HELD_FOR: Duration = Duration::from_secs(365 * 86_400);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BroughtWebhooks {
    pub endpoints: u64,
    /// Deliveries that wait at them.
    pub waiting: u64,
}

/// Puts the webhooks of another store in the place of those that are here: endpoints with their secrets, what waits at
/// them, also what the other store has not read yet of its events, and the log. At the end they go on with the newest
/// event of this store. The same again changes nothing. Each store comes with its events.
///
/// # Errors
/// [`WebhookError::Invalid`]: an endpoint is too many events behind. Else those of the two stores and feeds. The call
/// may be repeated, and must be, before anybody posts from here: endpoints that are missing read on nowhere.
pub async fn bring_webhooks(
    (from, old_events): (Arc<dyn Tables>, &dyn Source),
    (to, new_events): (Arc<dyn Tables>, &dyn Source),
) -> Result<BroughtWebhooks> {
    let [from, to] = [from, to].map(|tables| WebhookStore::new(tables, Options::default()));
    let rows = from.endpoint_rows().await?;
    for here in to.endpoint_rows().await? {
        match rows.iter().any(|row| row.number == here.number) {
            true => to.remove_endpoint(&here.name, here.number).await?,
            false => to.delete_endpoint(&here.name).await?,
        }
    }
    let mut brought = BroughtWebhooks::default();
    for row in rows {
        let Read::Page { next, .. } = new_events.read(Start::Newest, 1).await else {
            return Err(unreadable("the newest event of the new store cannot be found".to_owned()));
        };
        brought.waiting += to.bring_endpoint(&from, old_events, &row, next).await?;
        brought.endpoints += 1;
    }
    Ok(brought)
}

fn unreadable(why: String) -> WebhookError {
    HotError::Unavailable(why.into()).into()
}

impl WebhookStore {
    /// Returns how many deliveries wait at it.
    async fn bring_endpoint(
        &self,
        from: &WebhookStore,
        old_events: &dyn Source,
        row: &EndpointRow,
        goes_on: String,
    ) -> Result<u64> {
        let webhook = row.number;
        self.delete_rest(webhook, true).await?;
        let (found, _) = from.progress(webhook).await?;
        // Numbers of its own, and as any process that takes an endpoint.
        let (epoch, saves) = (found.epoch + 1, found.saves + 1);
        let progress = LaneProgress { epoch, saves, ..found };
        // Before the rows: a repeat finds by it what to drop.
        let saved = self.replace_progress(webhook, None, &progress).await?;
        let saved = saved.ok_or_else(|| unreadable("another copy is running".to_owned()))?;
        for part in from.parts_of(webhook, &progress).await? {
            self.copy_part(from, &part).await?;
        }
        let waiting = self.read_waiting(webhook, &progress.blocks).await?;
        // Also what a paused one has not read: it gets that when it goes on.
        let mut active = row.clone();
        active.terms.state = StoredState::Active;
        let lease = (Vec::new(), Instant::now() + HELD_FOR);
        let lane = WebhookLane::new(active, (progress, saved), waiting, lease, self.now());
        self.lanes().insert(webhook, lane);
        self.read_to_the_end(row, old_events).await?;
        self.with_lane(webhook, |lane| lane.move_to(goes_on));
        self.save_progress(webhook).await?;
        let waits = self.doing(webhook).await?.pending;
        self.forget_lane(webhook);
        match self.replace_endpoint(None, row).await? {
            true => Ok(waits),
            false => Err(unreadable(format!("somebody has made the webhook {}", row.name))),
        }
    }

    /// What there is of an endpoint, besides its row and its progress.
    async fn parts_of(&self, webhook: i64, progress: &LaneProgress) -> Result<Vec<RecordPart>> {
        let waiting = progress.blocks.iter().map(|block| waiting::part_of(webhook, *block));
        let inbox = read_parts(progress.inbox).map(|part| inbox::part_of(webhook, part));
        let parts: Vec<RecordPart> = waiting.chain(inbox).collect();
        Ok(parts.into_iter().chain(self.log_parts(webhook).await?).collect())
    }

    /// Writes the rows of a partition of another store that say something.
    async fn copy_part(&self, from: &WebhookStore, part: &RecordPart) -> Result<()> {
        let mut range = RecordRange::first(ROWS);
        loop {
            let rows = from.tables.scan(part, range.clone()).await?;
            let is_end = rows.len() < ROWS;
            range = rows.last().map_or(range.clone(), |last| range.after(&last.key));
            let (mut write, mut size) = (Vec::new(), 0);
            for row in rows.into_iter().filter(|row| !row.value.is_empty()) {
                if size + row.value.len() > WRITE_BYTES_MAX && !write.is_empty() {
                    self.tables.put(part, std::mem::take(&mut write)).await?;
                    size = 0;
                }
                size += row.value.len();
                write.push(RecordPut::new(row.key, row.value));
            }
            if !write.is_empty() {
                self.tables.put(part, write).await?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Queues what the endpoint has not read, and writes it down.
    async fn read_to_the_end(&self, row: &EndpointRow, events: &dyn Source) -> Result<()> {
        let webhook = row.number;
        loop {
            // One that has not begun gets nothing that was before.
            let cursor = self.with_lane(webhook, |lane| lane.cursor.clone()).flatten();
            let Some(cursor) = cursor else { return Ok(()) };
            let read = events.read(Start::After(&cursor), self.options.page).await;
            let (passage, next, is_end) = match read {
                Read::Page { events, next, is_end } => (FeedPassage::Events(events), next, is_end),
                Read::Gone { next, why } if next != cursor => (FeedPassage::Gap(why), next, false),
                Read::Gone { why, .. } | Read::Unavailable { why } => return Err(unreadable(why)),
            };
            self.read_one(webhook, Some(&cursor), &passage, &next).await?;
            self.write_waiting(webhook, true).await?;
            if self.doing(webhook).await?.pending > WAITING_MAX {
                let why = format!(
                    "{} has more than {WAITING_MAX} events to get: let it get them from the old \
                     store, or delete it",
                    row.name
                );
                return Err(WebhookError::Invalid { field: "webhook", why });
            }
            if is_end {
                return Ok(());
            }
        }
    }
}
