//! The cold mark: the version of the cold table that hot has durably recorded. Also the retries of
//! writes to hot.

use std::time::Duration;

use hot::{ColdMark, HotError};

use crate::{Compactor, Result};

/// How often a write to a busy hot store is tried: for some 13 s, pauses included.
const TURNS_MAX: u32 = 8;

/// The pause after the first try. It doubles with every further one.
const TURN_PAUSE: Duration = Duration::from_millis(100);

impl Compactor {
    /// Creates the tables of cold, after hot has recorded that it takes part in them.
    pub(crate) async fn create_tables(&self) -> Result<()> {
        let mark = self.hot.cold_mark().await?;
        if mark.begun.is_none() {
            self.record_begun(0).await?;
        }
        // Until a commit was made, an earlier run may have been killed before it created the
        // tables.
        if mark.committed.is_none() {
            self.cold.create().await?;
        }
        Ok(())
    }

    /// Hot records a version before it is committed. So a cold tier with a higher version can only
    /// mean that hot was restored from a backup.
    pub(crate) async fn record_begun(&self, version: u64) -> Result<()> {
        let mark = ColdMark { begun: Some(version), committed: None };
        Ok(self.with_retries(|| self.hot.raise_cold_mark(mark)).await?)
    }

    pub(crate) async fn record_committed(&self, version: u64) -> Result<()> {
        let mark = ColdMark { begun: Some(version), committed: Some(version) };
        Ok(self.with_retries(|| self.hot.raise_cold_mark(mark)).await?)
    }

    /// Retries a write while hot is busy or unavailable, so that customers' writes go first.
    pub(crate) async fn with_retries<T, F>(&self, write: impl Fn() -> F) -> Result<T, HotError>
    where
        F: Future<Output = Result<T, HotError>>,
    {
        let mut pause = TURN_PAUSE;
        for _ in 1..TURNS_MAX {
            match write().await {
                Err(HotError::Overloaded { .. } | HotError::Unavailable(_)) => {}
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        write().await
    }
}
