//! Checkpoints of a log.

use std::sync::Arc;

use super::DeltaTable;
use crate::error::Result;

impl DeltaTable {
    /// Writes a checkpoint of the newest version if the last one is at least `every` versions old.
    pub(crate) async fn checkpoint(&self, every: u64) -> Result<()> {
        let known = self.newest().await?;
        if known.version < self.last_checkpoint().await?.saturating_add(every) {
            return Ok(());
        }
        let engine = Arc::clone(&self.engine);
        let file = self.object(&format!("_delta_log/{:020}.checkpoint.parquet", known.version));
        let written = self
            .blocking(move || known.snapshot.checkpoint(engine.as_ref(), None).map(|_| ()))
            .await?;
        match written {
            Ok(()) => Ok(()),
            // Another process has written it meanwhile.
            Err(_) if self.location.size(&file).await?.is_some() => Ok(()),
            Err(error) => Err(self.failed("writing a checkpoint", error).await),
        }
    }

    /// The version in `_last_checkpoint`; 0 if there is none.
    async fn last_checkpoint(&self) -> Result<u64> {
        let hint = self.object("_delta_log/_last_checkpoint");
        let Some(text) = self.location.whole(&hint).await? else { return Ok(0) };
        // A file that cannot be read is written again with the next checkpoint.
        let hint: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        Ok(hint.and_then(|hint| hint["version"].as_u64()).unwrap_or(0))
    }
}
