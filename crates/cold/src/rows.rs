//! Reading one file: whole coupons, or codes and versions.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::bounds::ColumnBounds;
use crate::cursor::{BATCH_ROWS, FileRows, RowDecoder};
use crate::decode;
use crate::error::Result;
use crate::footer::FileFooter;
use crate::live::{ColdFile, LiveFile};
use crate::log::DeltaTable;
use crate::store::ColdStore;

impl ColdStore {
    /// Reads the coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if a merge has replaced the file and a sweep has deleted
    /// it; [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<CouponRows> {
        self.rows_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::rows`], at most `batch_rows` at a time, for a caller that reads many files
    /// in parallel.
    pub async fn rows_by(&self, file: &ColdFile, batch_rows: usize) -> Result<CouponRows> {
        let rows = self.open(&file.live, RowDecoder::all(decode::coupons)).await?;
        Ok(rows.in_batches_of(batch_rows))
    }

    /// Reads the codes and versions of one file, in the order of the codes. Costs a fraction of
    /// [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<CodeRows> {
        self.keys_by(file, BATCH_ROWS).await
    }

    /// As [`ColdStore::keys`], at most `batch_rows` at a time.
    pub async fn keys_by(&self, file: &ColdFile, batch_rows: usize) -> Result<CodeRows> {
        let reading = RowDecoder::of(&["code", "version"], decode::keys);
        Ok(self.open(&file.live, reading).await?.in_batches_of(batch_rows))
    }

    /// Reads the codes and versions of those coupons of a file that came to cold after
    /// `archive_commit`. [`ColdFile::newest_archive_commit`] says whether there are any.
    pub async fn keys_behind(&self, file: &ColdFile, archive_commit: u64) -> Result<CodeRows> {
        let reading = RowDecoder::of(&["code", "version", "archived_in"], move |batch| {
            let behind =
                decode::origins(batch)?.into_iter().filter(|(_, _, it)| *it > archive_commit);
            Ok(behind.map(|(code, version, _)| (code, version)).collect())
        });
        self.open(&file.live, reading).await
    }

    pub(crate) async fn footer(&self, file: &LiveFile) -> Result<Arc<FileFooter>> {
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
    ) -> Result<FileRows<T>> {
        self.open_where(&self.inner.coupons, file, reading, |_| true).await
    }

    /// Opens those row groups of a file whose bounds `may` have wanted rows.
    pub(crate) async fn open_where<T: Send + 'static>(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        reading: RowDecoder<T>,
        may: impl Fn(&ColumnBounds) -> bool,
    ) -> Result<FileRows<T>> {
        match self.inner.open_where(table, file, reading, may).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(table.unread_file(file, error).await),
        }
    }
}

pub type CouponRows = FileRows<Coupon>;

pub type CodeRows = FileRows<(Code, u64)>;
