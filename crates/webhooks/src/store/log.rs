//! The log of deliveries that have ended.
//!
//! A partition is a block of numbers; in it the rows of one state are together, newest last, and the bodies come after
//! them. An index says which blocks there are and how many rows each has of a state, as each process counts its own:
//! so a list reads no block in vain, and whole blocks are dropped when they are old or too many.

use std::collections::BTreeMap;

use futures::stream::{StreamExt, TryStreamExt, iter};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};

use super::endpoints::EndpointRow;
use super::numbers::{begin_of_block, block_of, millis, number_of, numbered};
use super::waiting::{DeliveryFacts, in_writes};
use super::{AT_ONCE, Result, WebhookStore, damaged, from_json, locked, to_json};
use crate::{DeliveryFilter, DeliveryState, Options};

const LOG: RecordKind = RecordKind { name: "webhook.log", sync: RecordSync::Later };

/// Of an endpoint: a key is a block, a state and the process that counts, a value is how many rows it has written.
const LOG_BLOCKS: RecordKind = RecordKind { name: "webhook.log_blocks", sync: RecordSync::Later };

const ENDED: [DeliveryState; 3] =
    [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Gap];

/// In a key, in the place of a state.
const BODY: u8 = 9;

/// Blocks that one step of a list reads together.
const BLOCKS_TOGETHER: usize = 8;

/// Blocks that one call of `clean` drops.
const BLOCKS_DROPPED: usize = 200;

/// The rows of one state in one block of an endpoint.
pub(super) type LogPlace = (i64, i64, DeliveryState);

#[derive(Clone, Debug)]
pub(crate) struct EndedDelivery {
    pub(crate) number: i64,
    pub(crate) state: DeliveryState,
    pub(crate) facts: DeliveryFacts,
    pub(crate) body: Option<String>,
}

fn part_of(webhook: i64, block: i64) -> RecordPart {
    LOG.part([numbered(webhook), numbered(block)].concat())
}

fn blocks_of(webhook: i64) -> RecordPart {
    LOG_BLOCKS.part(numbered(webhook))
}

fn state_byte(state: DeliveryState) -> u8 {
    u8::try_from(state.number()).unwrap_or(u8::MAX)
}

fn key_of(what: u8, number: i64) -> Vec<u8> {
    [&[what], numbered(number).as_slice()].concat()
}

impl WebhookStore {
    pub(crate) async fn log(&self, webhook: i64, ended: Vec<EndedDelivery>) -> Result<()> {
        let mut blocks: BTreeMap<i64, Vec<EndedDelivery>> = BTreeMap::new();
        for one in ended {
            blocks.entry(block_of(one.number)).or_default().push(one);
        }
        for (block, ended) in blocks {
            // First: a row in a block that nobody knows would never be found, nor dropped.
            self.count_logged(webhook, block, &ended).await?;
            let rows = ended.into_iter().map(|EndedDelivery { number, state, facts, body }| {
                let facts = RecordPut::new(key_of(state_byte(state), number), to_json(&facts)?);
                let body = body.map(|body| RecordPut::new(key_of(BODY, number), body));
                Ok(body.into_iter().chain([facts]).collect())
            });
            for write in in_writes(rows.collect::<Result<_>>()?) {
                self.tables.put(&part_of(webhook, block), write).await?;
            }
        }
        Ok(())
    }

    async fn count_logged(&self, webhook: i64, block: i64, ended: &[EndedDelivery]) -> Result<()> {
        let mut counts = BTreeMap::new();
        {
            let mut logged = locked(&self.logged);
            // What is older than the block before is not counted on; a late row begins a new count.
            logged.retain(|(of, at, _), _| *of != webhook || *at >= block - 1);
            for one in ended {
                let count = logged.entry((webhook, block, one.state)).or_default();
                *count += 1;
                counts.insert(one.state, *count);
            }
        }
        let row = |(state, count): (DeliveryState, u64)| {
            let writer = self.writer.to_be_bytes();
            let key = [numbered(block).as_slice(), &[state_byte(state)], &writer].concat();
            RecordPut::new(key, count.to_string())
        };
        let rows = counts.into_iter().map(row).collect();
        Ok(self.tables.put(&blocks_of(webhook), rows).await?)
    }

    /// The blocks of an endpoint from `range`, and how many rows they have of each state.
    async fn log_blocks(
        &self,
        webhook: i64,
        range: RecordRange,
    ) -> Result<BTreeMap<i64, BTreeMap<u8, u64>>> {
        let mut blocks: BTreeMap<i64, BTreeMap<u8, u64>> = BTreeMap::new();
        for row in self.tables.scan(&blocks_of(webhook), range).await? {
            let Some((block, [state, ..])) = row.key.split_first_chunk::<8>() else {
                return Err(damaged("a block of the log of a webhook"));
            };
            let count = String::from_utf8_lossy(&row.value).parse().unwrap_or(1);
            *blocks.entry(number_of(block)?).or_default().entry(*state).or_default() += count;
        }
        Ok(blocks)
    }

    /// At least the `limit` newest deliveries that have ended, if there are as many.
    pub(crate) async fn list_ended(
        &self,
        row: &EndpointRow,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<BTreeMap<i64, (DeliveryState, DeliveryFacts)>> {
        let (webhook, mut found) = (row.number, BTreeMap::new());
        let wanted = |state: &DeliveryState| filter.state.is_none_or(|it| it == *state);
        let states: Vec<DeliveryState> = ENDED.into_iter().filter(wanted).collect();
        let before = filter.before.unwrap_or(i64::MAX);
        let range = RecordRange::last(usize::MAX).before(numbered(block_of(before) + 1));
        let blocks = self.log_blocks(webhook, range).await?;
        let blocks: Vec<_> = blocks.into_iter().rev().collect();
        for some in blocks.chunks(BLOCKS_TOGETHER) {
            let reads = some.iter().flat_map(|(block, counts)| {
                let there = states.iter().filter(|state| counts.contains_key(&state_byte(**state)));
                there.map(|state| self.list_block(webhook, *block, *state, before, limit))
            });
            let reads = iter(reads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
            for (number, state, facts) in reads.try_concat().await? {
                found.insert(number, (state, facts));
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn list_block(
        &self,
        webhook: i64,
        block: i64,
        state: DeliveryState,
        before: i64,
        limit: usize,
    ) -> Result<Vec<(i64, DeliveryState, DeliveryFacts)>> {
        let range = RecordRange::last(limit).before(key_of(state_byte(state), before));
        let range = RecordRange { from: vec![state_byte(state)], ..range };
        let rows = self.json_rows(&part_of(webhook, block), range).await?;
        rows.into_iter().map(|(key, facts)| Ok((number_of(&key[1..])?, state, facts))).collect()
    }

    pub(crate) async fn logged_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<(DeliveryState, DeliveryFacts, Option<String>)>> {
        if number < 0 {
            return Ok(None);
        }
        let part = part_of(webhook, block_of(number));
        for state in ENDED {
            let facts = self.tables.get(&part, &key_of(state_byte(state), number)).await?;
            if let Some(facts) = facts {
                let body = self.tables.get(&part, &key_of(BODY, number)).await?;
                let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
                return Ok(Some((state, from_json(&part, &facts)?, body)));
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
        let keys = [state_byte(state), BODY].map(|what| key_of(what, number));
        let rows = keys.map(RecordPut::delete).into();
        Ok(self.tables.put(&part_of(webhook, block_of(number)), rows).await?)
    }

    pub(crate) async fn drop_log(&self, webhook: i64) -> Result<()> {
        let blocks = self.log_blocks(webhook, RecordRange::first(usize::MAX)).await?;
        self.drop_blocks(webhook, blocks.keys().copied()).await?;
        Ok(self.tables.drop_below(&blocks_of(webhook), None).await?)
    }

    async fn drop_blocks(&self, webhook: i64, blocks: impl Iterator<Item = i64>) -> Result<()> {
        let drops = blocks.map(|block| async move {
            self.tables.drop_below(&part_of(webhook, block), None).await
        });
        let drops = iter(drops.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        Ok(drops.try_collect().await?)
    }

    /// Drops blocks that are older than the log is kept, if the time is known, and the oldest of those that are too
    /// many; but never the newest of all. Returns whether there may be more.
    pub(crate) async fn clean_log(&self, options: &Options, now: Option<i64>) -> Result<bool> {
        let mut blocks = Vec::new();
        for row in self.endpoint_rows().await? {
            let found = self.log_blocks(row.number, RecordRange::first(usize::MAX)).await?;
            let count = |counts: BTreeMap<u8, u64>| counts.values().sum::<u64>();
            blocks.extend(found.into_iter().map(|(at, counts)| (at, row.number, count(counts))));
        }
        blocks.sort_unstable();
        blocks.pop();
        let old = now.map(|now| now.saturating_sub(millis(self.log_keep)));
        let is_old = |at: i64| old.is_some_and(|old| begin_of_block(at + 1) <= old);
        let mut rows: u64 = blocks.iter().map(|(.., count)| count).sum();
        let mut ends: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (at, webhook, count) in blocks.into_iter().take(BLOCKS_DROPPED) {
            if !is_old(at) && rows <= options.log_rows_max {
                break;
            }
            rows -= count;
            ends.entry(webhook).or_default().push(at);
        }
        let dropped: usize = ends.values().map(Vec::len).sum();
        for (webhook, blocks) in ends {
            let end = blocks.last().map_or(0, |last| last + 1);
            self.drop_blocks(webhook, blocks.into_iter()).await?;
            // Last: what the index does not name any more is not dropped by another round.
            self.tables.drop_below(&blocks_of(webhook), Some(&numbered(end))).await?;
        }
        Ok(dropped == BLOCKS_DROPPED)
    }
}
