//! Reading one file: whole coupons, or codes and versions.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::cursor::{BATCH_ROWS, FileCursor, RowDecoder};
use crate::decode;
use crate::error::ColdError;
use crate::footer::Footer;
use crate::log::{DeltaTable, LiveFile};
use crate::store::{ColdFile, ColdStore};
use crate::write::NewFile;

impl ColdStore {
    /// Reads the coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if a merge has replaced the file and a sweep has deleted
    /// it; [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<CouponRows, ColdError> {
        self.rows_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::rows`], at most `batch_rows` at a time, for a caller that reads many files
    /// in parallel.
    pub async fn rows_by(
        &self,
        file: &ColdFile,
        batch_rows: usize,
    ) -> Result<CouponRows, ColdError> {
        let rows = self.open(&file.live, RowDecoder::all(decode::coupons)).await?;
        Ok(rows.in_batches_of(batch_rows))
    }

    /// Reads the codes and versions of one file, in the order of the codes. Costs a fraction of
    /// [`ColdStore::rows`].
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<CodeRows, ColdError> {
        self.keys_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::keys`], at most `batch_rows` at a time.
    pub async fn keys_by(&self, file: &ColdFile, batch_rows: usize) -> Result<CodeRows, ColdError> {
        let reading = RowDecoder::of(&["code", "version"], decode::keys);
        Ok(self.open(&file.live, reading).await?.in_batches_of(batch_rows))
    }

    /// Reads back the codes and versions of a file that is in no commit yet.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_of_new(&self, file: &NewFile) -> Result<CodeRows, ColdError> {
        self.keys(&ColdFile { live: Arc::clone(&file.live) }).await
    }

    /// Reads the codes and versions of those coupons of a file that came to cold after
    /// `archive_commit`. Reads nothing if there are none, which is usual for a file that a merge
    /// wrote.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_behind(
        &self,
        file: &ColdFile,
        archive_commit: u64,
    ) -> Result<CodeRows, ColdError> {
        if file.newest_archive_commit() <= archive_commit {
            let (table, file) = (Arc::clone(&self.inner.coupons), Arc::clone(&file.live));
            return Ok(FileRows { table, file, cursor: None });
        }
        let reading = RowDecoder::of(&["code", "version", "archived_in"], move |batch| {
            let behind =
                decode::origins(batch)?.into_iter().filter(|(_, _, it)| *it > archive_commit);
            Ok(behind.map(|(code, version, _)| (code, version)).collect())
        });
        self.open(&file.live, reading).await
    }

    pub(crate) async fn footer(&self, file: &LiveFile) -> Result<Arc<Footer>, ColdError> {
        match self.inner.files.footer(file).await {
            Ok(footer) => Ok(footer),
            Err(error) => Err(self.inner.coupons.unread_file(file, error).await),
        }
    }

    /// Opens a file of `coupons`.
    pub(crate) async fn open<T: Send + 'static>(
        &self,
        file: &Arc<LiveFile>,
        reading: RowDecoder<T>,
    ) -> Result<FileRows<T>, ColdError> {
        self.open_of(&self.inner.coupons, file, reading).await
    }

    pub(crate) async fn open_of<T: Send + 'static>(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        reading: RowDecoder<T>,
    ) -> Result<FileRows<T>, ColdError> {
        match self.inner.cursor(file, reading).await {
            Ok(cursor) => Ok(FileRows::new(table, file, cursor)),
            Err(error) => Err(table.unread_file(file, error).await),
        }
    }
}

/// The rows of one file. Holds one undecoded row group and one decoded batch.
pub struct FileRows<T> {
    table: Arc<DeltaTable>,
    file: Arc<LiveFile>,
    /// `None` if no row of the file is wanted.
    cursor: Option<FileCursor<T>>,
}

pub type CouponRows = FileRows<Coupon>;

pub type CodeRows = FileRows<(Code, u64)>;

impl<T: Send + 'static> FileRows<T> {
    pub(crate) fn new(
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        cursor: FileCursor<T>,
    ) -> FileRows<T> {
        FileRows { table: Arc::clone(table), file: Arc::clone(file), cursor: Some(cursor) }
    }

    fn in_batches_of(self, rows: usize) -> FileRows<T> {
        FileRows { cursor: self.cursor.map(|cursor| cursor.in_batches_of(rows)), ..self }
    }

    /// Returns the next rows, at most 8,192; `None` after the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, ColdError> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        loop {
            match cursor.next().await {
                // No row of the batch is wanted.
                Ok(Some(rows)) if rows.is_empty() => {}
                Ok(rows) => return Ok(rows),
                Err(error) => return Err(self.table.unread_file(&self.file, error).await),
            }
        }
    }
}
