//! The rows of one file of `coupons`, whole or by their codes and versions alone.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::cursor::{BATCH_ROWS, Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::files::ReadError;
use crate::store::{ColdFile, ColdStore, Inner};
use crate::write::NewFile;

impl ColdStore {
    /// The coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also when a merge has replaced the file and a sweep removed it;
    /// [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<Rows, ColdError> {
        self.rows_by(file, BATCH_ROWS).await
    }

    /// The same, at most `batch_rows` of them at a time, for a caller that reads many files side
    /// by side.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn rows_by(&self, file: &ColdFile, batch_rows: usize) -> Result<Rows, ColdError> {
        let cursor = self.open(file, Reading::all(decode::coupons)).await?;
        let cursor = cursor.in_batches_of(batch_rows);
        Ok(Rows { store: self.clone(), file: file.clone(), cursor })
    }

    /// The codes and versions of one file, in the order of the codes; a fraction of the work of
    /// [`ColdStore::rows`].
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<Keys, ColdError> {
        self.keys_by(file, BATCH_ROWS).await
    }

    /// The same, at most `batch_rows` of them at a time.
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
            Err(error) => Err(self.unread(file, error).await),
        }
    }

    /// What it means that a file could not be read.
    pub(crate) async fn unread(&self, file: &ColdFile, error: ReadError) -> ColdError {
        let Inner { location, coupons, .. } = &*self.inner;
        match error {
            ReadError::Cold(error) => error,
            ReadError::Gone => match coupons.newest().await {
                Ok(known) if known.is_live(file.day(), file.path()) => {
                    location.damaged(coupons.object(file.path()), "it is missing")
                }
                Ok(_) => location.unavailable(format!("{} was merged away", file.path())),
                Err(error) => error,
            },
        }
    }

    /// The codes and versions of a file that is in no commit yet, read back from where it lies.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_of_new(&self, file: &NewFile) -> Result<Keys, ColdError> {
        self.keys(&ColdFile { live: Arc::new(file.as_live()) }).await
    }

    /// The codes and versions of those coupons of a file that came to cold behind the archive
    /// commit `archive_commit`. Of a merged file these are few, or none, in which case nothing is
    /// read.
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

/// The coupons of one file. Holds one row group as it was read, and one batch of it decoded.
pub struct Rows {
    store: ColdStore,
    file: ColdFile,
    cursor: Cursor<Coupon>,
}

impl Rows {
    /// The next coupons, at most 8,192; `None` behind the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<Coupon>>, ColdError> {
        match self.cursor.next().await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.store.unread(&self.file, error).await),
        }
    }
}

/// The codes and versions of one file.
pub struct Keys {
    store: ColdStore,
    file: ColdFile,
    /// None where nothing of the file can be wanted.
    cursor: Option<Cursor<(Code, u64)>>,
}

impl Keys {
    /// The next codes and their versions, at most 8,192; `None` behind the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<(Code, u64)>>, ColdError> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        loop {
            match cursor.next().await {
                // All of a batch may be old.
                Ok(Some(keys)) if keys.is_empty() => {}
                Ok(keys) => return Ok(keys),
                Err(error) => return Err(self.store.unread(&self.file, error).await),
            }
        }
    }
}
