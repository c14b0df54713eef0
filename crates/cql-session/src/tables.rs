//! Records on a cluster: one table for all kinds.
//!
//! Rows are written by `UPDATE` alone: so one that was deleted or has ended leaves nothing behind but the tombstones of
//! its cells. A conditional update names the one that it replaces, and by its own name it knows its row when its answer
//! was lost, also among equal values. Plain writes name their time: the clocks of two nodes differ by some milliseconds,
//! and of two writes of one process the later one must stay, whichever node each goes to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hot::tables::{AFTER_ALL_KEYS, RecordPart, RecordPut, RecordRange, RecordRow, Tables};
use uuid::Uuid;

use crate::{CALL_LIMIT, CqlSession, Result, StatementProfile, WriteAttempts};

/// Rows of one read: a value has at most some hundred kilobytes, and mostly less than one.
const READ_ROWS_MAX: usize = 500;

/// Twenty years: engines refuse more.
const TTL_MAX_S: i32 = 630_720_000;

pub struct CqlTables {
    session: Arc<CqlSession>,
    /// Before the name of each partition: for tests that share a keyspace.
    prefix: Vec<u8>,
}

impl CqlTables {
    pub fn new(session: Arc<CqlSession>) -> CqlTables {
        CqlTables::apart(session, Vec::new())
    }

    /// With partitions of its own: for tests that share a keyspace.
    pub fn apart(session: Arc<CqlSession>, prefix: Vec<u8>) -> CqlTables {
        CqlTables { session, prefix }
    }

    fn name(&self, part: &RecordPart) -> Vec<u8> {
        [self.prefix.as_slice(), &part.name].concat()
    }
}

#[async_trait]
impl Tables for CqlTables {
    async fn get(&self, part: &RecordPart, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let cql = "SELECT value FROM record WHERE kind = ? AND part = ? AND key = ?";
        self.session.value(cql, (part.kind.name, self.name(part), key)).await
    }

    async fn scan(&self, part: &RecordPart, range: RecordRange) -> Result<Vec<RecordRow>> {
        let cql = match range.descending {
            false => {
                "SELECT key, value FROM record WHERE kind = ? AND part = ? AND key >= ? \
                 AND key < ? LIMIT ?"
            }
            true => {
                "SELECT key, value FROM record WHERE kind = ? AND part = ? AND key >= ? \
                 AND key < ? ORDER BY key DESC LIMIT ?"
            }
        };
        let name = self.name(part);
        let (mut from, descending) = (range.from, range.descending);
        let mut until = range.until.unwrap_or_else(|| vec![AFTER_ALL_KEYS]);
        let mut found = Vec::new();
        while found.len() < range.limit {
            let count = READ_ROWS_MAX.min(range.limit - found.len());
            let limit = i32::try_from(count).unwrap_or(i32::MAX);
            let values = (part.kind.name, &name, &from, &until, limit);
            let rows: Vec<(Vec<u8>, Option<Vec<u8>>)> =
                self.session.rows(StatementProfile::Read, cql, values).await?;
            let is_end = rows.len() < count;
            if let Some((last, _)) = rows.last() {
                if descending { until.clone_from(last) } else { from = hot::tables::next_key(last) }
            }
            let row = |(key, value): (_, Option<_>)| Some(RecordRow { key, value: value? });
            found.extend(rows.into_iter().filter_map(row));
            if is_end {
                break;
            }
        }
        Ok(found)
    }

    async fn put(&self, part: &RecordPart, rows: Vec<RecordPut>) -> Result<()> {
        let cql = "UPDATE record USING TIMESTAMP ? AND TTL ? SET value = ? \
                   WHERE kind = ? AND part = ? AND key = ?";
        let (time, name) = (self.session.write_time(), self.name(part));
        let values = |RecordPut { key, value, keep }| {
            (time, ttl(keep), value, part.kind.name, name.clone(), key)
        };
        self.session.write_all(cql, rows.into_iter().map(values).collect()).await
    }

    async fn replace(
        &self,
        part: &RecordPart,
        seen: Option<&[u8]>,
        next: RecordPut,
    ) -> Result<bool> {
        let mut attempts = WriteAttempts::new("the change of a record", CALL_LIMIT);
        let mine = Uuid::new_v4();
        let RecordPut { key, value, keep } = &next;
        // A row that ends has no name, so it is not known whether this call has ended it: who looks finds no row.
        let name = value.as_ref().map(|_| mine);
        let mut sent = false;
        loop {
            let cql = "SELECT value, attempt FROM record WHERE kind = ? AND part = ? AND key = ?";
            let row = self.session.row(cql, (part.kind.name, self.name(part), key)).await;
            let row: Option<(Option<Vec<u8>>, Option<Uuid>)> = attempts.looked(row)?;
            let (present, before) = row.unwrap_or_default();
            if sent && (before == name && present == *value) {
                return Ok(true);
            }
            if present.as_deref() != seen {
                return Ok(false);
            }
            let cql = "UPDATE record USING TTL ? SET value = ?, attempt = ? \
                       WHERE kind = ? AND part = ? AND key = ? IF attempt = ?";
            let values = (ttl(*keep), value, name, part.kind.name, self.name(part), key, before);
            // Before the send: an answer that is lost must not make this write look like another's.
            sent = true;
            if attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await? {
                return Ok(true);
            }
        }
    }

    async fn drop_below(&self, part: &RecordPart, key: Option<&[u8]>) -> Result<()> {
        let (time, name) = (self.session.write_time(), self.name(part));
        match key {
            Some(key) => {
                let cql = "DELETE FROM record USING TIMESTAMP ? \
                           WHERE kind = ? AND part = ? AND key < ?";
                self.session.write(cql, (time, part.kind.name, name, key)).await
            }
            None => {
                let cql = "DELETE FROM record USING TIMESTAMP ? WHERE kind = ? AND part = ?";
                self.session.write(cql, (time, part.kind.name, name)).await
            }
        }
    }

    async fn forget_expired(&self) -> Result<bool> {
        Ok(false)
    }
}

/// 0 stands for no end.
fn ttl(keep: Option<Duration>) -> i32 {
    let seconds = |keep: Duration| i32::try_from(keep.as_secs()).unwrap_or(TTL_MAX_S);
    keep.map_or(0, |keep| seconds(keep).clamp(1, TTL_MAX_S))
}
