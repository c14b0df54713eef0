//! What is written down of deliveries that wait.
//!
//! A partition is a block of numbers. Its rows are never deleted one by one: one that has ended becomes empty, and
//! when all have, the partition is dropped. The progress of an endpoint names its blocks; a block is named before its
//! first row is written.

use std::collections::{BTreeMap, BTreeSet};

use hot::tables::{RecordKind, RecordPart, RecordPut, RecordSync};

use super::delivery_rows::{DeliveryFacts, DeliveryRow, all_facts, keys_of};
use super::numbers::{numbered, waiting_block_of};
use super::{Result, WebhookStore, at_once};
use crate::DeliveryState;

const WAITING: RecordKind = RecordKind { name: "webhook.waiting", sync: RecordSync::Later };

pub(super) fn part_of(webhook: i64, block: i64) -> RecordPart {
    WAITING.part([numbered(webhook), numbered(block)].concat())
}

impl WebhookStore {
    /// Writes deliveries that wait, in the order of their numbers: what a crash leaves is a beginning of them in each
    /// block. Their blocks are named already.
    pub(crate) async fn write_waiting_rows(
        &self,
        webhook: i64,
        rows: &[DeliveryRow],
    ) -> Result<()> {
        let mut blocks: BTreeMap<i64, Vec<&DeliveryRow>> = BTreeMap::new();
        for row in rows {
            blocks.entry(waiting_block_of(row.number)).or_default().push(row);
        }
        for (block, rows) in blocks {
            self.put_deliveries(&part_of(webhook, block), &rows).await?;
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
        let rows = keys_of(numbers).map(|key| RecordPut::new(key, "")).collect();
        Ok(self.tables.put(&part_of(webhook, block), rows).await?)
    }

    pub(crate) async fn drop_waiting(&self, webhook: i64, block: i64) -> Result<()> {
        Ok(self.tables.drop_below(&part_of(webhook, block), None).await?)
    }

    /// Those of some blocks that wait, without their bodies.
    pub(crate) async fn read_waiting(
        &self,
        webhook: i64,
        blocks: &BTreeSet<i64>,
    ) -> Result<BTreeMap<i64, DeliveryFacts>> {
        let reads = blocks.iter().map(|block| async move {
            self.read_facts(&part_of(webhook, *block), all_facts()).await
        });
        Ok(at_once(reads.collect()).await?.into_iter().flatten().collect())
    }

    /// Those that wait at an endpoint, as this process or the store knows them.
    pub(crate) async fn waiting_facts(&self, webhook: i64) -> Result<BTreeMap<i64, DeliveryFacts>> {
        match self.with_lane(webhook, |lane| lane.waiting_facts()) {
            Some(waiting) => Ok(waiting),
            None => self.read_waiting(webhook, &self.progress(webhook).await?.0.blocks).await,
        }
    }

    pub(crate) async fn waiting_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<DeliveryRow>> {
        let part = part_of(webhook, waiting_block_of(number));
        self.read_delivery(&part, number, DeliveryState::Pending).await
    }
}
