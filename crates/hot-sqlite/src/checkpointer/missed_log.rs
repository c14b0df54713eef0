//! The log while Litestream is away.
//!
//! When Litestream is back it goes on where it was if the frame that it read last is still in the file of the log,
//! even if the log was restarted meanwhile (`verify` in its `db.go`, 0.5.17). A short new log leaves that frame where
//! it was: then the copy has nothing of what came behind it, and is a damaged file. So as soon as nobody else reads the
//! database, which Litestream always does, the file of the log is cut. That is within one round of the checkpointer,
//! and Litestream needs longer to start. It finds that the log was cut, and copies the whole store.

use std::time::Duration;

use super::{CheckpointLoop, SqlResult};
use crate::schema::BUSY_TIMEOUT;

impl CheckpointLoop {
    /// Whether Litestream may miss what is in the log, and the log is still to be cut.
    pub(super) fn is_log_missed(&self) -> bool {
        let is_away = self.litestream.exists() && !self.index.is_read_elsewhere();
        self.is_cut.set(self.is_cut.get() && is_away);
        is_away && !self.is_cut.get()
    }

    /// Cuts the log, unless somebody reads it: then the next round tries it again.
    pub(super) fn cut_log(&self) -> SqlResult<()> {
        self.conn.busy_timeout(Duration::ZERO)?;
        let cut = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_read = self.conn.query_row(cut, [], |row| row.get::<_, bool>(0));
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        self.is_cut.set(!is_read?);
        Ok(())
    }
}
