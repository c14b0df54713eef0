//! How far each endpoint has read the feed, and how its posting goes.
//!
//! Every save replaces the row that was read or saved before. A process that takes an endpoint replaces it first, so
//! one that was frozen meanwhile moves no cursor.

use std::collections::BTreeSet;

use hot::tables::{RecordKind, RecordPart, RecordPut, RecordSync};
use serde::{Deserialize, Serialize};

use super::numbers::numbered;
use super::{Result, WebhookStore, from_json, to_json};

const PROGRESS: RecordKind = RecordKind { name: "webhook.progress", sync: RecordSync::Later };

/// What a process writes of an endpoint to which it posts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneProgress {
    /// Raised by each process that takes the endpoint.
    pub(crate) epoch: i64,
    /// Raised by each save.
    pub(crate) saves: u64,
    /// Everything up to here has ended, or is written down.
    pub(crate) cursor: Option<String>,
    /// Attempts that failed since the last good one.
    pub(crate) failures: u64,
    /// When the first of them failed.
    pub(crate) failing_since: Option<i64>,
    pub(crate) pending: u64,
    /// When the oldest of them was queued.
    pub(crate) oldest: Option<i64>,
    /// The last restart of the endpoint after which everything was made due.
    pub(crate) restarts: u64,
    /// The blocks of numbers that may have rows of deliveries that wait.
    pub(crate) blocks: BTreeSet<i64>,
    /// The part of the inbox that is written to: those before it are being closed, or gone.
    pub(crate) inbox: i64,
}

fn part_of(webhook: i64) -> RecordPart {
    PROGRESS.part(numbered(webhook))
}

impl WebhookStore {
    /// The progress of an endpoint, and the bytes that were read.
    pub(crate) async fn progress(&self, webhook: i64) -> Result<(LaneProgress, Option<Vec<u8>>)> {
        let part = part_of(webhook);
        let text = self.tables.get(&part, b"").await?;
        let progress = text.as_deref().map(|text| from_json(&part, text)).transpose()?;
        Ok((progress.unwrap_or_default(), text))
    }

    /// Replaces what was `seen`; returns the bytes written, or `None` if another process has replaced it.
    pub(crate) async fn replace_progress(
        &self,
        webhook: i64,
        seen: Option<&[u8]>,
        next: &LaneProgress,
    ) -> Result<Option<Vec<u8>>> {
        let text = to_json(next)?;
        let row = RecordPut::new("", text.clone());
        let is_replaced = self.tables.replace(&part_of(webhook), seen, row).await?;
        Ok(is_replaced.then_some(text))
    }

    pub(crate) async fn delete_progress(&self, webhook: i64) -> Result<()> {
        let part = part_of(webhook);
        while let Some(seen) = self.tables.get(&part, b"").await? {
            if self.tables.replace(&part, Some(&seen), RecordPut::delete("")).await? {
                break;
            }
        }
        Ok(())
    }
}
