//! The lists of the event feed. Each lies in three CQL partitions, which mostly stand on different nodes. Two of them
//! are written at least, and two are read: so an entry is seen while the nodes of any one are down.

use futures::future::join_all;
use scylla::value::CqlTimestamp;

use crate::{CqlSession, Result, StatementProfile};

const COPIES: i32 = 3;

/// What is listed in the column `span` of `change_span`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedList {
    /// Runs of slots that may have rows.
    Runs = 0,
    /// Those in whose first slot are rows that were put aside.
    Asides = 1,
    /// CQL partitions of index rows that could not be read.
    Unread = 2,
}

impl FeedList {
    fn part(self, copy: i32) -> i32 {
        self as i32 + 3 * copy
    }
}

impl CqlSession {
    /// Enters something into a list, where it stays for `ttl` seconds.
    pub async fn list(&self, list: FeedList, entry: i64, ttl: i32) -> Result<()> {
        let at = CqlTimestamp(self.now_ms());
        let cql = "UPDATE change_span USING TTL ? SET at = ? WHERE part = ? AND span = ?";
        let write = |copy| self.write(cql, (ttl, at, list.part(copy), entry));
        of_two(join_all((0..COPIES).map(write)).await).map(drop)
    }

    /// Takes something off a list.
    pub async fn unlist(&self, list: FeedList, entry: i64) -> Result<()> {
        let cql = "DELETE FROM change_span WHERE part = ? AND span = ?";
        let write = |copy| self.write(cql, (list.part(copy), entry));
        of_two(join_all((0..COPIES).map(write)).await).map(drop)
    }

    /// The first `limit` entries of a list from `from` on, in their order.
    pub async fn listed(&self, list: FeedList, from: i64, limit: i32) -> Result<Vec<i64>> {
        let read = |copy| {
            let cql = "SELECT span FROM change_span WHERE part = ? AND span >= ? LIMIT ?";
            self.rows::<(i64,)>(StatementProfile::Read, cql, (list.part(copy), from, limit))
        };
        let mut answers = join_all((0..COPIES - 1).map(read)).await;
        if answers.iter().any(Result::is_err) {
            answers.push(read(COPIES - 1).await);
        }
        let mut all: Vec<i64> = of_two(answers)?.into_iter().flatten().map(|(it,)| it).collect();
        all.sort_unstable();
        all.dedup();
        // Behind the last entry of a full answer another one may be missing.
        all.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(all)
    }
}

/// The answers of two copies at least, or the error of one.
fn of_two<T>(answers: Vec<Result<T>>) -> Result<Vec<T>> {
    let (found, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    match failed.into_iter().find_map(Result::err).filter(|_| found.len() < 2) {
        Some(error) => Err(error),
        None => Ok(found.into_iter().flatten().collect()),
    }
}
