//! Reading one file of `coupons`: whole coupons, or codes and versions.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::cursor::{BATCH_ROWS, Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::files::ReadError;
use crate::log::LiveFile;
use crate::store::{ColdFile, ColdStore};
use crate::write::NewFile;

impl ColdStore {
    /// Reads the coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if a merge has replaced the file and a sweep has deleted
    /// it; [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<Rows, ColdError> {
        self.rows_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::rows`], at most `batch_rows` at a time, for a caller that reads many files
    /// in parallel.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn rows_by(&self, file: &ColdFile, batch_rows: usize) -> Result<Rows, ColdError> {
        let cursor = self.open(file, Reading::all(decode::coupons)).await?;
        let cursor = cursor.in_batches_of(batch_rows);
        Ok(Rows { store: self.clone(), file: file.clone(), cursor })
    }

    /// Reads the codes and versions of one file, in the order of the codes. Costs a fraction of
    /// [`ColdStore::rows`].
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<Keys, ColdError> {
        self.keys_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::keys`], at most `batch_rows` at a time.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_by(&self, file: &ColdFile, batch_rows: usize) -> Result<Keys, ColdError> {
        let cursor = self.open(file, Reading::of(&["code", "version"], decode::keys)).await?;
        let cursor = cursor.in_batches_of(batch_rows);
        Ok(Keys { store: self.clone(), file: file.clone(), cursor: Some(cursor) })
    }

    pub(crate) async fn open<T: Send + 'static>(
        &self,
        file: &ColdFile,
        reading: Reading<T>,
    ) -> Result<Cursor<T>, ColdError> {
        match self.inner.cursor(&self.inner.coupons, &file.live, reading).await {
            Ok(cursor) => Ok(cursor),
            Err(error) => Err(self.unread(&file.live, error).await),
        }
    }

    /// As [`crate::store::Inner::unread`], for a file of `coupons`.
    pub(crate) async fn unread(&self, file: &LiveFile, error: ReadError) -> ColdError {
        self.inner.unread(&self.inner.coupons, file, error).await
    }

    /// Reads back the codes and versions of a file that is in no commit yet.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_of_new(&self, file: &NewFile) -> Result<Keys, ColdError> {
        self.keys(&ColdFile { live: Arc::new(file.as_live()) }).await
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
    ) -> Result<Keys, ColdError> {
        let reading = Reading::of(&["code", "version", "archived_in"], move |batch| {
            let behind =
                decode::origins(batch)?.into_iter().filter(|(_, _, it)| *it > archive_commit);
            Ok(behind.map(|(code, version, _)| (code, version)).collect())
        });
        let cursor = match file.newest_archive_commit() > archive_commit {
            true => Some(self.open(file, reading).await?),
            false => None,
        };
        Ok(Keys { store: self.clone(), file: file.clone(), cursor })
    }
}

/// The coupons of one file. Holds one undecoded row group and one decoded batch.
pub struct Rows {
    store: ColdStore,
    file: ColdFile,
    cursor: Cursor<Coupon>,
}

impl Rows {
    /// Returns the next coupons, at most 8,192; `None` after the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<Coupon>>, ColdError> {
        match self.cursor.next().await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.store.unread(&self.file.live, error).await),
        }
    }
}

/// The codes and versions of one file.
pub struct Keys {
    store: ColdStore,
    file: ColdFile,
    /// `None` if no row of the file is wanted.
    cursor: Option<Cursor<(Code, u64)>>,
}

impl Keys {
    /// Returns the next codes and their versions, at most 8,192; `None` after the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<(Code, u64)>>, ColdError> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        loop {
            match cursor.next().await {
                // All rows of a batch may be older.
                Ok(Some(keys)) if keys.is_empty() => {}
                Ok(keys) => return Ok(keys),
                Err(error) => return Err(self.store.unread(&self.file.live, error).await),
            }
        }
    }
}
