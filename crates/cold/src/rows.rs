//! Reading one file: whole coupons, or codes and versions.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::bounds::ColumnBounds;
use crate::cursor::{FileRows, RowDecoder};
use crate::decode;
use crate::error::Result;
use crate::files::ReadError;
use crate::footer::FileFooter;
use crate::live::{ColdFile, LiveFile};
use crate::log::DeltaTable;
use crate::persons::PersonNames;
use crate::store::ColdStore;

impl ColdStore {
    /// Reads the coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if a merge has replaced the file and a sweep has deleted
    /// it; [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<CouponRows> {
        self.open(&file.live, RowDecoder::all(decode::coupons)).await
    }

    /// Reads the codes and versions of one file, in the order of the codes. Costs a fraction of
    /// [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<CodeRows> {
        let reading = RowDecoder::of(&["code", "version"], |batch, _| decode::keys(batch));
        self.open(&file.live, reading).await
    }

    /// Reads the codes and versions of those coupons of a file that came to cold after
    /// `archive_commit`. [`ColdFile::newest_archive_commit`] says whether there are any.
    pub async fn keys_behind(&self, file: &ColdFile, archive_commit: u64) -> Result<CodeRows> {
        let reading = RowDecoder::of(&["code", "version", "archived_in"], move |batch, _| {
            let behind =
                decode::origins(batch)?.into_iter().filter(|(_, _, it)| *it > archive_commit);
            Ok(behind.map(|(code, version, _)| (code, version)).collect())
        });
        self.open(&file.live, reading).await
    }

    /// Whether the rows of a file may name a person of a pending erasure, by its name. Reads nothing. A reader with an
    /// engine of its own must leave the rows of such a file to couponry.
    pub fn is_behind(&self, file: &ColdFile) -> bool {
        !self.names(&file.live).behind().is_empty()
    }

    /// Whether a coupon of a file names a person of a pending erasure. Reads the file up to the first such coupon, and
    /// decodes only the columns that name persons. Reads nothing of a file that is not behind.
    pub async fn has_persons(&self, file: &ColdFile) -> Result<bool> {
        self.persons_in(&self.inner.coupons, &file.live).await
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
        match self.open_or_gone(table, file, reading, may).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(table.unread_file(file, error).await),
        }
    }

    /// As [`ColdStore::open_where`], for a caller that reads again if the file is gone.
    pub(crate) async fn open_or_gone<T: Send + 'static>(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        reading: RowDecoder<T>,
        may: impl Fn(&ColumnBounds) -> bool,
    ) -> Result<FileRows<T>, ReadError> {
        let files = &self.inner.files;
        let footer = files.footer(file).await?;
        let groups =
            (0..footer.groups.len()).filter(|at| may(&footer.groups[*at].bounds)).collect();
        Ok(FileRows::new(files, table, file, footer, (reading, self.names(file)), groups))
    }

    /// How to read the names of persons in a file.
    pub(crate) fn names(&self, file: &LiveFile) -> PersonNames {
        PersonNames::of(self.erasures(), file.origin.through)
    }

    /// The same of a file of `coupons` or of the holder index.
    pub(crate) async fn persons_in(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
    ) -> Result<bool> {
        if self.names(file).behind().is_empty() {
            return Ok(false);
        }
        let reading = RowDecoder::of(decode::OF_PERSONS, decode::persons);
        Ok(self.open_where(table, file, reading, |_| true).await?.next().await?.is_some())
    }
}

pub type CouponRows = FileRows<Coupon>;

pub type CodeRows = FileRows<(Code, u64)>;
