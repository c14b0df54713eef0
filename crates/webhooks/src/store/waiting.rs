//! What is written down of deliveries that wait.
//!
//! A partition is a block of numbers. Its rows are never deleted one by one: one that has ended becomes empty, and
//! when all have, the partition is dropped. The progress of an endpoint names its blocks; a block is named before its
//! first row is written.

use std::collections::BTreeMap;

use futures::stream::{StreamExt, TryStreamExt, iter};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use serde::{Deserialize, Serialize};

use super::numbers::{number_of, numbered, waiting_block_of};
use super::{AT_ONCE, Result, WebhookStore, from_json, to_json};
use crate::event::Message;
use crate::post::Answered;
use crate::{Delivery, DeliveryState};

const WAITING: RecordKind = RecordKind { name: "webhook.waiting", sync: RecordSync::Later };

/// Before the number in a key: the facts of all deliveries of a block come before their bodies.
const FACTS: u8 = 0;
const BODY: u8 = 1;

/// Bytes of one write.
const WRITE_BYTES_MAX: usize = 512 << 10;

/// What a row says of a delivery, besides its number and state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryFacts {
    /// The header `webhook-id`; a gap has none.
    pub(crate) id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) attempts: u64,
    pub(crate) redelivered: u64,
    pub(crate) tried_at: Option<i64>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) next_at: i64,
    pub(crate) ended_at: Option<i64>,
    /// Whether it was announced, and is no event of the feed.
    #[serde(default)]
    pub(crate) announced: bool,
}

impl DeliveryFacts {
    pub(crate) fn new(message: &Message, code: Option<&str>, now: i64) -> DeliveryFacts {
        DeliveryFacts {
            id: Some(message.id.clone()),
            event_type: Some(message.event_type.clone()),
            code: code.map(str::to_owned),
            created_at: now,
            next_at: now,
            ..DeliveryFacts::default()
        }
    }

    pub(crate) fn tried(&self, answered: &Answered, now: i64) -> DeliveryFacts {
        let Answered { status, error, duration, .. } = answered;
        DeliveryFacts {
            attempts: self.attempts + 1,
            tried_at: Some(now),
            status: *status,
            error: error.clone(),
            duration_ms: Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            ..self.clone()
        }
    }

    /// As one that begins anew, or is tried at once.
    pub(crate) fn again(&self, has_ended: bool, now: i64) -> DeliveryFacts {
        DeliveryFacts {
            attempts: if has_ended { 0 } else { self.attempts },
            redelivered: self.redelivered + 1,
            next_at: now,
            ended_at: None,
            ..self.clone()
        }
    }

    pub(crate) fn shown(self, number: i64, name: &str, state: DeliveryState) -> Delivery {
        let is_pending = state == DeliveryState::Pending;
        Delivery {
            number,
            webhook_id: name.to_owned(),
            state,
            event_id: self.id,
            event_type: self.event_type,
            code: self.code,
            created_at: self.created_at,
            attempts: self.attempts,
            redelivered: self.redelivered,
            tried_at: self.tried_at,
            status: self.status,
            error: self.error,
            duration_ms: self.duration_ms,
            next_at: is_pending.then_some(self.next_at),
            ended_at: self.ended_at,
        }
    }
}

/// What is to be written of a delivery that waits.
#[derive(Clone, Debug)]
pub(crate) struct WaitingRow {
    pub(crate) number: i64,
    pub(crate) facts: DeliveryFacts,
    /// `None`: the one that is there stays.
    pub(crate) body: Option<String>,
}

fn part_of(webhook: i64, block: i64) -> RecordPart {
    WAITING.part([numbered(webhook), numbered(block)].concat())
}

fn key_of(what: u8, number: i64) -> Vec<u8> {
    [&[what], numbered(number).as_slice()].concat()
}

/// The rows of some writes, each at most as large as a write should be.
pub(crate) fn in_writes(rows: Vec<Vec<RecordPut>>) -> Vec<Vec<RecordPut>> {
    let (mut writes, mut size): (Vec<Vec<RecordPut>>, _) = (Vec::new(), usize::MAX);
    for some in rows {
        let more = some.iter().map(|row| row.value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        if size.saturating_add(more) > WRITE_BYTES_MAX {
            (size, _) = (0, writes.push(Vec::new()));
        }
        size += more;
        if let Some(write) = writes.last_mut() {
            write.extend(some);
        }
    }
    writes
}

impl WebhookStore {
    /// Writes deliveries that wait, in the order of their numbers: what a crash leaves is a beginning of them in each
    /// block. Their blocks are named already.
    pub(crate) async fn write_waiting_rows(&self, webhook: i64, rows: &[WaitingRow]) -> Result<()> {
        let mut blocks: BTreeMap<i64, Vec<Vec<RecordPut>>> = BTreeMap::new();
        for WaitingRow { number, facts, body } in rows {
            let facts = RecordPut::new(key_of(FACTS, *number), to_json(facts)?);
            let body = body.as_deref().map(|body| RecordPut::new(key_of(BODY, *number), body));
            let row = body.into_iter().chain([facts]).collect();
            blocks.entry(waiting_block_of(*number)).or_default().push(row);
        }
        for (block, rows) in blocks {
            for write in in_writes(rows) {
                self.tables.put(&part_of(webhook, block), write).await?;
            }
        }
        Ok(())
    }

    /// Empties the rows of deliveries of one block that have ended.
    pub(crate) async fn empty_waiting(
        &self,
        webhook: i64,
        block: i64,
        numbers: &[i64],
    ) -> Result<()> {
        let keys = numbers.iter().flat_map(|it| [FACTS, BODY].map(|what| key_of(what, *it)));
        let rows = keys.map(|key| RecordPut::new(key, "")).collect();
        Ok(self.tables.put(&part_of(webhook, block), rows).await?)
    }

    pub(crate) async fn drop_waiting(&self, webhook: i64, block: i64) -> Result<()> {
        Ok(self.tables.drop_below(&part_of(webhook, block), None).await?)
    }

    /// Those of some blocks that wait, without their bodies.
    pub(crate) async fn read_waiting(
        &self,
        webhook: i64,
        blocks: &[i64],
    ) -> Result<BTreeMap<i64, DeliveryFacts>> {
        let reads = blocks.iter().map(|block| async move {
            let range = RecordRange::first(usize::MAX).before([BODY]);
            self.json_rows::<DeliveryFacts>(&part_of(webhook, *block), range).await
        });
        let reads = iter(reads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let rows: Vec<Vec<_>> = reads.try_collect().await?;
        rows.into_iter().flatten().map(|(key, facts)| Ok((number_of(&key[1..])?, facts))).collect()
    }

    /// Those that wait at an endpoint, as this process or the store knows them.
    pub(crate) async fn waiting_facts(&self, webhook: i64) -> Result<BTreeMap<i64, DeliveryFacts>> {
        match self.with_lane(webhook, |lane| lane.waiting_facts()) {
            Some(waiting) => Ok(waiting),
            None => {
                let (progress, _) = self.progress(webhook).await?;
                self.read_waiting(webhook, &progress.blocks.into_iter().collect::<Vec<_>>()).await
            }
        }
    }

    pub(crate) async fn waiting_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<(DeliveryFacts, Option<String>)>> {
        let part = part_of(webhook, waiting_block_of(number));
        let facts = self.tables.get(&part, &key_of(FACTS, number)).await?;
        let Some(facts) = facts.filter(|facts| !facts.is_empty()) else { return Ok(None) };
        let body = self.tables.get(&part, &key_of(BODY, number)).await?;
        let body = body.filter(|body| !body.is_empty());
        let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
        Ok(Some((from_json(&part, &facts)?, body)))
    }
}
