//! Jobs: how a transaction body is run by the writer or a reader, and again with coupons of cold.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use coupon::time::Day;
use hot::HotError;
use rusqlite::Result as SqlResult;

use crate::cold::Prefetched;
use crate::day_order::{Collecting, DayOrder, OfCode};
use crate::prefetch::{JobAttempt, attempt};
use crate::txn::Txn;
use crate::{Result, SqliteHot};

impl SqliteHot {
    /// Runs `body` in a transaction that writes. Retries it with the coupons of cold that it misses.
    pub(crate) async fn write_with<T: Send + 'static>(
        &self,
        prefetched: Arc<Prefetched>,
        body: impl Fn(&Txn<'_>) -> SqlResult<T> + Send + Sync + 'static,
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
        body: impl Fn(&Txn<'_>) -> SqlResult<T> + Send + Sync,
    ) -> Result<T> {
        Ok(self.look_with(body).await?.0)
    }

    /// The same, and what it has fetched from cold, for a job after it.
    pub(crate) async fn look_with<T>(
        &self,
        body: impl Fn(&Txn<'_>) -> SqlResult<T> + Send + Sync,
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
        F: Future<Output = Result<JobAttempt<T>>> + Send,
    {
        loop {
            match run(Arc::clone(&prefetched)).await? {
                JobAttempt::Done(result) => return Ok((result, prefetched)),
                JobAttempt::NeedsCold(wanted) => {
                    prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?)
                }
            }
        }
    }

    /// The next page of a partition in the order of codes. `read` may leave out what is gone by now.
    pub(crate) async fn by_code<T: Send + 'static>(
        &self,
        day: Day,
        after: &str,
        limit: usize,
        read: fn(&Txn<'_>, Day, &[OfCode]) -> SqlResult<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut order = match self.orders.take(day, after) {
            Some(order) => order,
            None => self.order(day, after.to_owned()).await?,
        };
        let mut all: Vec<T> = Vec::with_capacity(limit);
        loop {
            // Some of a page may be gone by now, and fewer than `limit` are the end for the caller.
            let want = limit - all.len();
            let ahead = blocking(move || order.read_ahead(want).map(|()| order)).await?;
            let page = move |txn: &Txn<'_>| {
                let mut order = ahead;
                let Some(found) = order.page(txn, want)? else { return Ok(Err(order)) };
                Ok(Ok((read(txn, day, &found)?, found.len() < want, order)))
            };
            let (page, is_end, after_page) = match self.readers.run(page).await? {
                Ok(page) => page,
                Err(old) => {
                    order = self.order(day, old.after).await?;
                    continue;
                }
            };
            all.extend(page);
            if is_end {
                return Ok(all);
            }
            order = after_page;
            if all.len() >= limit {
                self.orders.keep(order);
                return Ok(all);
            }
        }
    }

    async fn order(&self, day: Day, after: String) -> Result<DayOrder> {
        let mut collecting = Collecting::begin(day, &self.folder);
        loop {
            let collect = move |txn: &Txn<'_>| {
                let mut collecting = collecting;
                Ok((collecting.collect(txn)?, collecting))
            };
            let (has_more, mut now) = self.readers.run(collect).await?;
            if !has_more {
                return blocking(move || now.sorted(&after)).await;
            }
            collecting = blocking(move || now.rows.relieve().map(|()| now)).await?;
        }
    }

    /// Runs one part of a long write that no user waits for. If others have written since the last
    /// part, it then pauses for as long as this part took.
    pub(crate) async fn background_write<T: Send + 'static>(
        &self,
        mut body: impl FnMut(&Txn<'_>) -> SqlResult<T> + Send + 'static,
    ) -> Result<T> {
        let begun = Instant::now();
        // SQLite changes `data_version` when another process has written.
        let work = move |txn: &Txn<'_>| Ok((body(txn)?, txn.pragma("data_version")?));
        let (done, elsewhere) = self.writer.run(work).await?;
        // The writes of this process include this part.
        let others = elsewhere.wrapping_add(self.writer.writes());
        let is_alone = self.others.swap(others, Ordering::Relaxed).wrapping_add(1) == others;
        self.is_alone.store(is_alone, Ordering::Relaxed);
        if !is_alone {
            tokio::time::sleep(begun.elapsed()).await;
        }
        Ok(done)
    }
}

/// Runs work with a file where it may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    done.map_err(|error| HotError::Unavailable(error.into()))
}
