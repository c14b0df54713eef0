//! The log of deliveries that have ended.
//!
//! A partition is the deliveries of one state in a block of numbers, newest last, and their bodies after them. An index
//! says which blocks have some and how many, as each process counts its own: so a list reads no block in vain, and whole
//! blocks are dropped when they are old or too many. What has failed is counted apart: otherwise what arrives would push
//! it out, and a delivery that fails after three days has the number of three days ago.

use std::collections::BTreeMap;

use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use uuid::Uuid;

use super::delivery_rows::{DeliveryRow, keys_of, last_facts};
use super::numbers::{begin_of_block, block_of, millis, number_of, numbered};
use super::{Result, WebhookStore, at_once, damaged, locked};
use crate::{DeliveryFilter, DeliveryState};

const LOG: RecordKind = RecordKind { name: "webhook.log", sync: RecordSync::Later };

/// Of a state of an endpoint: a key is a block and a count, a value is how many rows were counted.
const LOG_BLOCKS: RecordKind = RecordKind { name: "webhook.log_blocks", sync: RecordSync::Later };

const ENDED: [DeliveryState; 3] =
    [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Gap];

const BLOCKS_TOGETHER: usize = 8;

const BLOCKS_DROPPED: usize = 200;

/// An endpoint, a block and a state.
pub(super) type LogPlace = (i64, i64, DeliveryState);

/// The name of a count, and how many rows it has.
pub(super) type LogCount = (u64, u64);

fn part_of((webhook, block, state): LogPlace) -> RecordPart {
    LOG.part([numbered(webhook).as_slice(), &numbered(block), &[state as u8]].concat())
}

fn blocks_of(webhook: i64, state: DeliveryState) -> RecordPart {
    LOG_BLOCKS.part([numbered(webhook).as_slice(), &[state as u8]].concat())
}

impl WebhookStore {
    pub(crate) async fn log(&self, webhook: i64, ended: &[DeliveryRow]) -> Result<()> {
        let mut places: BTreeMap<LogPlace, Vec<&DeliveryRow>> = BTreeMap::new();
        for one in ended {
            let place = (webhook, block_of(one.number), one.state);
            places.entry(place).or_default().push(one);
        }
        for (place, ended) in places {
            let count = self.counted(place, ended.len() as u64);
            // First: a row in a block that nobody knows would never be found, nor dropped.
            let (name, rows) = count;
            let key = [numbered(place.1).as_slice(), &name.to_be_bytes()].concat();
            let row = RecordPut::new(key, rows.to_string());
            self.tables.put(&blocks_of(webhook, place.2), vec![row]).await?;
            self.put_deliveries(&part_of(place), &ended).await?;
            // Last: what is written again counts once.
            locked(&self.logged).insert(place, count);
        }
        Ok(())
    }

    /// The name of a count, and how many rows it will have with `more`.
    fn counted(&self, place: LogPlace, more: u64) -> LogCount {
        let mut logged = locked(&self.logged);
        // What is older than the block before is not counted on: a late row begins another count.
        logged.retain(|(of, block, _), _| *of != place.0 || *block >= place.1 - 1);
        let new = || (Uuid::new_v4().as_u64_pair().0, 0);
        let (name, rows) = logged.get(&place).copied().unwrap_or_else(new);
        (name, rows + more)
    }

    /// The blocks of one state of an endpoint from `range`, each with its rows.
    async fn log_blocks(
        &self,
        webhook: i64,
        state: DeliveryState,
        range: RecordRange,
    ) -> Result<BTreeMap<i64, u64>> {
        let mut blocks = BTreeMap::new();
        for row in self.tables.scan(&blocks_of(webhook, state), range).await? {
            let Some((block, _)) = row.key.split_first_chunk::<8>() else {
                return Err(damaged("a block of the log of a webhook"));
            };
            let count: u64 = String::from_utf8_lossy(&row.value).parse().unwrap_or(1);
            *blocks.entry(number_of(block)?).or_default() += count;
        }
        Ok(blocks)
    }

    /// All partitions of the log of an endpoint, and the index.
    pub(super) async fn log_parts(&self, webhook: i64) -> Result<Vec<RecordPart>> {
        let mut parts = Vec::new();
        for state in ENDED {
            let blocks = self.log_blocks(webhook, state, RecordRange::first(usize::MAX)).await?;
            // Before the rows: what the index does not name is never dropped.
            parts.push(blocks_of(webhook, state));
            parts.extend(blocks.into_keys().map(|block| part_of((webhook, block, state))));
        }
        Ok(parts)
    }

    /// At least the `limit` newest deliveries that have ended, if there are as many.
    pub(crate) async fn list_ended(
        &self,
        webhook: i64,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<BTreeMap<i64, DeliveryRow>> {
        let mut found = BTreeMap::new();
        let wanted = |state: &DeliveryState| filter.state.is_none_or(|it| it == *state);
        let before = filter.before.unwrap_or(i64::MAX);
        let mut blocks: BTreeMap<i64, Vec<DeliveryState>> = BTreeMap::new();
        for state in ENDED.into_iter().filter(wanted) {
            let range = RecordRange::last(usize::MAX).before(numbered(block_of(before) + 1));
            for block in self.log_blocks(webhook, state, range).await?.into_keys() {
                blocks.entry(block).or_default().push(state);
            }
        }
        let blocks: Vec<_> = blocks.into_iter().rev().collect();
        for some in blocks.chunks(BLOCKS_TOGETHER) {
            let places = some
                .iter()
                .flat_map(|(block, states)| states.iter().map(|state| (webhook, *block, *state)));
            // Collected, so that the future of the caller can be sent to another thread.
            let places: Vec<LogPlace> = places.collect();
            let reads = places.into_iter().map(|place| self.list_block(place, before, limit));
            let rows = at_once(reads.collect()).await?.into_iter().flatten();
            found.extend(rows.map(|row| (row.number, row)));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn list_block(
        &self,
        place: LogPlace,
        before: i64,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        let facts = self.read_facts(&part_of(place), last_facts(limit, before)).await?;
        let row = |(number, facts)| DeliveryRow { number, state: place.2, facts, body: None };
        Ok(facts.into_iter().map(row).collect())
    }

    pub(crate) async fn logged_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<DeliveryRow>> {
        if number < 0 {
            return Ok(None);
        }
        for state in ENDED {
            let part = part_of((webhook, block_of(number), state));
            let found = self.read_delivery(&part, number, state).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Removes one that waits again.
    pub(crate) async fn delete_logged(
        &self,
        webhook: i64,
        number: i64,
        state: DeliveryState,
    ) -> Result<()> {
        let rows = keys_of(&[number]).map(RecordPut::delete).collect();
        Ok(self.tables.put(&part_of((webhook, block_of(number), state)), rows).await?)
    }

    pub(crate) async fn drop_log(&self, webhook: i64) -> Result<()> {
        for state in ENDED {
            let range = RecordRange::first(usize::MAX);
            let blocks = self.log_blocks(webhook, state, range).await?;
            // Before the index, which alone names the blocks.
            self.drop_blocks(webhook, state, blocks.into_keys()).await?;
            self.tables.drop_below(&blocks_of(webhook, state), None).await?;
        }
        Ok(())
    }

    async fn drop_blocks(
        &self,
        webhook: i64,
        state: DeliveryState,
        blocks: impl Iterator<Item = i64>,
    ) -> Result<()> {
        let drops = blocks.map(|block| async move {
            Ok(self.tables.drop_below(&part_of((webhook, block, state)), None).await?)
        });
        at_once(drops.collect()).await.map(drop)
    }

    /// Drops blocks that are older than the log is kept, if the time is known, and the oldest of those that are too
    /// many. Returns whether there may be more.
    pub(crate) async fn clean_log(&self, now: Option<i64>) -> Result<bool> {
        let mut has_more = false;
        for state in ENDED {
            has_more |= self.clean_state(state, now).await?;
        }
        Ok(has_more)
    }

    /// The newest block of all stays in any case.
    async fn clean_state(&self, state: DeliveryState, now: Option<i64>) -> Result<bool> {
        let mut blocks = Vec::new();
        for row in self.endpoint_rows().await? {
            let range = RecordRange::first(usize::MAX);
            let found = self.log_blocks(row.number, state, range).await?;
            blocks.extend(found.into_iter().map(|(block, rows)| (block, row.number, rows)));
        }
        blocks.sort_unstable();
        blocks.pop();
        let old = now.map(|now| now.saturating_sub(millis(self.options.log_keep)));
        let is_old = |block: i64| old.is_some_and(|old| begin_of_block(block + 1) <= old);
        let mut rows: u64 = blocks.iter().map(|(.., rows)| rows).sum();
        let mut dropped: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (block, webhook, some) in blocks.into_iter().take(BLOCKS_DROPPED) {
            if !is_old(block) && rows <= self.options.log_rows_max {
                break;
            }
            rows -= some;
            dropped.entry(webhook).or_default().push(block);
        }
        let count: usize = dropped.values().map(Vec::len).sum();
        for (webhook, blocks) in dropped {
            let end = blocks.last().map_or(0, |last| last + 1);
            self.drop_blocks(webhook, state, blocks.into_iter()).await?;
            // Last: what the index does not name any more is not dropped by another round.
            self.tables.drop_below(&blocks_of(webhook, state), Some(&numbered(end))).await?;
        }
        Ok(count == BLOCKS_DROPPED)
    }
}
