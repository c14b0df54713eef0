//! Jobs: how a transaction body is run by the writer or a reader, and again with coupons of cold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::cold::Prefetched;
use crate::prefetch::{Attempt, attempt};
use crate::txn::Txn;
use crate::{Result, SqliteHot};

impl SqliteHot {
    /// Runs `body` in a transaction that writes, with the coupons of cold that were fetched before.
    /// Retries it with those that it misses.
    pub(crate) async fn write_with<T: Send + 'static>(
        &self,
        prefetched: Arc<Prefetched>,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let body = Arc::new(body);
        let run = |prefetched: Arc<Prefetched>| {
            let body = Arc::clone(&body);
            self.writer.run(move |txn| attempt(txn, &prefetched, body.as_ref()))
        };
        Ok(self.with_prefetch(prefetched, run).await?.0)
    }

    /// Runs `body` as a point read. Retries it with the coupons of cold that it misses.
    pub(crate) async fn look<T>(
        &self,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync,
    ) -> Result<T> {
        Ok(self.look_with(body).await?.0)
    }

    /// The same, and what it has fetched from cold, for a job after it.
    pub(crate) async fn look_with<T>(
        &self,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync,
    ) -> Result<(T, Arc<Prefetched>)> {
        let body = &body;
        let run = async |prefetched: Arc<Prefetched>| {
            self.readers.point(|txn| attempt(txn, &prefetched, body)).await
        };
        self.with_prefetch(Arc::default(), run).await
    }

    /// Runs a job. Retries it, fetching from cold the coupons that the last try missed.
    pub(crate) async fn with_prefetch<T, F>(
        &self,
        mut prefetched: Arc<Prefetched>,
        run: impl Fn(Arc<Prefetched>) -> F + Send,
    ) -> Result<(T, Arc<Prefetched>)>
    where
        F: Future<Output = Result<Attempt<T>>> + Send,
    {
        loop {
            match run(Arc::clone(&prefetched)).await? {
                Attempt::Done(result) => return Ok((result, prefetched)),
                Attempt::NeedsCold(wanted) => {
                    prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?)
                }
            }
        }
    }

    /// Runs one part of a long write that no user waits for. If others have written since the last
    /// part, it then pauses for as long as this part took.
    pub(crate) async fn background_write<T: Send + 'static>(
        &self,
        mut body: impl FnMut(&Txn<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let begun = Instant::now();
        let work = move |txn: &Txn<'_>| Ok((body(txn)?, txn.commits_of_others()?));
        let (done, elsewhere) = self.writer.run(work).await?;
        // The writes of this process include this part.
        let (writes, _) = self.writer.counts();
        let others = elsewhere.wrapping_add(writes);
        let is_alone = self.others.swap(others, Ordering::Relaxed).wrapping_add(1) == others;
        self.is_alone.store(is_alone, Ordering::Relaxed);
        if !is_alone {
            tokio::time::sleep(begun.elapsed()).await;
        }
        Ok(done)
    }
}
