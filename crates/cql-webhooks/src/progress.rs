//! How far each endpoint has read the feed, which process posts to it, and how that goes.
//!
//! The name of the process deletes itself when its lease is over. A process that takes a lease raises the epoch, and
//! only the newest epoch writes: so a process that was frozen moves no cursor.

use std::time::Duration;

use cql_session::{Cas, StatementProfile};
use hot::HotError;

use crate::ClusterStore;
use crate::error::Result;

/// What a process writes of an endpoint to which it posts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Everything up to here has ended, or is in `webhook_pending`.
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
}

type Text = Option<String>;
type Number = Option<i64>;
type Row = (Text, Number, Text, Number, Number, Number, Number, Number);

#[derive(Clone, Debug, Default)]
pub(crate) struct ProgressRow {
    pub(crate) holder: Option<String>,
    pub(crate) epoch: Option<i64>,
    pub(crate) progress: Progress,
}

impl ProgressRow {
    fn read(row: Row) -> ProgressRow {
        let (holder, epoch, cursor, failures, failing_since, pending, oldest, restarts) = row;
        let count = |number: Option<i64>| number.unwrap_or_default().unsigned_abs();
        let (failures, pending, restarts) = (count(failures), count(pending), count(restarts));
        let progress = Progress { cursor, failures, failing_since, pending, oldest, restarts };
        ProgressRow { holder, epoch, progress }
    }
}

impl ClusterStore {
    pub(crate) async fn progress_row(
        &self,
        webhook: i64,
        profile: StatementProfile,
    ) -> Result<ProgressRow> {
        let cql = "SELECT holder, epoch, cursor, failures, failing_since, pending, oldest, \
                   restarts FROM webhook_progress WHERE webhook = ?";
        let row = self.session.row_with(profile, cql, (webhook,)).await?;
        Ok(row.map(ProgressRow::read).unwrap_or_default())
    }

    pub(crate) async fn progress(&self, webhook: i64) -> Result<Progress> {
        Ok(self.progress_row(webhook, StatementProfile::Read).await?.progress)
    }

    /// Renews the lease of `me`, or takes one that nobody has (`from` is `None`). Returns whether `me` holds it now.
    pub(crate) async fn hold(
        &self,
        webhook: i64,
        from: Option<&str>,
        me: &str,
        lasts: Duration,
    ) -> Result<bool> {
        let seconds = i32::try_from(lasts.as_secs().max(1)).unwrap_or(i32::MAX);
        let cql = "UPDATE webhook_progress USING TTL ? SET holder = ? WHERE webhook = ? \
                   IF holder = ?";
        let values = (seconds, me, webhook, from);
        Ok(self.session.change(StatementProfile::Change, cql, values).await?.known()?)
    }

    /// Raises the epoch of an endpoint that `me` holds, and returns its row with the new one. `None` if `me` does
    /// not hold it any more.
    pub(crate) async fn begin_epoch(&self, webhook: i64, me: &str) -> Result<Option<ProgressRow>> {
        let mut row = self.progress_row(webhook, StatementProfile::Serial).await?;
        let (seen, next) = (row.epoch, row.epoch.unwrap_or_default() + 1);
        let cql = "UPDATE webhook_progress SET epoch = ? WHERE webhook = ? \
                   IF epoch = ? AND holder = ?";
        let values = (next, webhook, seen, me);
        let is_ours = self.session.change(StatementProfile::Change, cql, values).await?.known()?;
        row.epoch = Some(next);
        Ok(is_ours.then_some(row))
    }

    /// Writes progress, as the process with this epoch. Returns whether it is still the newest.
    pub(crate) async fn save(&self, webhook: i64, epoch: i64, progress: &Progress) -> Result<bool> {
        let cql = "UPDATE webhook_progress SET cursor = ?, failures = ?, failing_since = ?, \
                   pending = ?, oldest = ?, restarts = ? WHERE webhook = ? IF epoch = ?";
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let Progress { cursor, failures, failing_since, pending, oldest, restarts } = progress;
        let (failures, pending, restarts) = (count(*failures), count(*pending), count(*restarts));
        let values = (cursor, failures, failing_since, pending, oldest, restarts, webhook, epoch);
        match self.session.change(StatementProfile::Change, cql, values).await? {
            Cas::Applied => Ok(true),
            Cas::Refused => Ok(false),
            // Written or not, it is written again: nobody else has this epoch.
            Cas::Unknown(why) | Cas::NotSent(why) => Err(HotError::Unavailable(why.into()).into()),
        }
    }

    pub(crate) async fn let_go(&self, webhook: i64, me: &str) -> Result<()> {
        let cql = "UPDATE webhook_progress SET holder = null WHERE webhook = ? IF holder = ?";
        let sent = self.session.change(StatementProfile::Change, cql, (webhook, me)).await?;
        Ok(sent.known().map(drop)?)
    }

    pub(crate) async fn delete_progress(&self, webhook: i64) -> Result<()> {
        let cql = "DELETE FROM webhook_progress WHERE webhook = ? IF EXISTS";
        let sent = self.session.change(StatementProfile::Change, cql, (webhook,)).await?;
        Ok(sent.known().map(drop)?)
    }
}
