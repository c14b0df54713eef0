//! Files and logs compared with what was committed: size, checksums, order and number of rows.

use std::sync::Arc;

use crate::cursor::{FileRows, RowDecoder};
use crate::decode;
use crate::error::{ColdError, Result};
use crate::files::ReadError;
use crate::indexed::HolderIndexRow;
use crate::live::LiveFile;
use crate::log::DeltaTable;
use crate::persons::PersonNames;
use crate::schema::HOLDER_INDEX;
use crate::store::{ColdStore, ColdStoreInner};

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file, within the store.
    pub file: String,
    pub what: String,
}

impl FileFault {
    /// Damage as a fault. Any other error ends the audit.
    pub(super) fn of(error: ColdError) -> Result<FileFault> {
        match error {
            ColdError::Damaged { file, what, .. } => Ok(FileFault { file, what }),
            error => Err(error),
        }
    }

    /// Whether the file belongs to the table `holder_index`, which [`ColdStore::merge_holders`]
    /// rebuilds after its folder was deleted.
    pub fn is_of_holder_index(&self) -> bool {
        self.file.split('/').next() == Some(HOLDER_INDEX.name)
    }
}

impl ColdStore {
    /// Reads every entry of the logs of `coupons`, `coupons_by_holder` and, if it exists,
    /// `holder_index`. Returns at most one fault for each table: its first entry that cannot be
    /// read.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_logs(&self) -> Result<Vec<FileFault>> {
        let ColdStoreInner { coupons, by_holder, index, .. } = &*self.inner;
        let mut faults = Vec::new();
        for (table, must_exist) in [(coupons, true), (by_holder, true), (index, false)] {
            match table.newest_if_any().await {
                Ok(Some(_)) => {
                    let broken = table.broken_entry().await?;
                    faults.extend(
                        broken.map(|(entry, what)| FileFault { file: entry.to_string(), what }),
                    );
                }
                Ok(None) if must_exist => {
                    let what = "there is no such table".to_owned();
                    faults.push(FileFault { file: table.folder().to_string(), what });
                }
                Ok(None) => {}
                Err(error) => faults.push(FileFault::of(error)?),
            }
        }
        Ok(faults)
    }

    /// Reads every live file of the table `holder_index`. Returns at most one fault for each file.
    /// Returns none if the log of the table cannot be read: [`ColdStore::audit_logs`] reports that.
    pub async fn audit_index(&self) -> Result<Vec<FileFault>> {
        let index = &self.inner.index;
        let known = match index.newest_if_any().await {
            Ok(Some(known)) => known,
            Ok(None) | Err(ColdError::Damaged { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let reading = RowDecoder::all(|batch, names| decode::indexed(batch, names, |_| true));
        let ascends = |last: &HolderIndexRow, row: &HolderIndexRow| last.key() < row.key();
        let mut faults = Vec::new();
        for file in known.all() {
            match self.audit_rows(index, file, &reading, ascends, |_, _| {}).await {
                Ok(()) => {}
                // A merge has replaced the file, and a sweep has deleted it.
                Err(ReadError::Gone)
                    if !index.newest().await?.is_live(file.origin.day, &file.path) => {}
                Err(error) => faults.push(FileFault::of(index.unread_file(file, error).await)?),
            }
        }
        Ok(faults)
    }

    /// Hands every row of a live file to `take`. Fails unless the file has the size and the number
    /// of rows that its commit says, every checksum is right, and the rows ascend. The names of persons are as they are
    /// stored, because the order is; `take` also gets what they are now.
    pub(super) async fn audit_rows<T: Send + 'static>(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        reading: &RowDecoder<T>,
        ascends: fn(&T, &T) -> bool,
        mut take: impl FnMut(&T, &PersonNames) + Send,
    ) -> Result<(), ReadError> {
        self.audit_size(file).await?;
        // The footer on disk is checked too, so the cache is not used.
        let footer = Arc::new(self.inner.files.read_footer(file).await?);
        let groups = (0..footer.groups.len()).collect();
        let (stored, names) = ((reading.clone(), PersonNames::default()), self.names(file));
        let mut rows = FileRows::new(&self.inner.files, table, file, footer, stored, groups);
        let mut last: Option<T> = None;
        let mut count = 0;
        while let Some(batch) = rows.next_or_gone().await? {
            for row in batch {
                if last.as_ref().is_some_and(|last| !ascends(last, &row)) {
                    return Err(rows.damaged(format!("row {count} is out of order")).into());
                }
                take(&row, &names);
                last = Some(row);
                count += 1;
            }
        }
        if count != file.rows {
            return Err(rows.damaged(format!("it has {count} rows, want {}", file.rows)).into());
        }
        Ok(())
    }

    /// Compares the size with that in the commit: no read would notice surplus bytes at the end.
    pub(super) async fn audit_size(&self, file: &LiveFile) -> Result<()> {
        let (location, object) = (&self.inner.location, file.object());
        match location.size(&object).await?.filter(|found| *found != file.bytes) {
            Some(found) => {
                let what = format!("it has {found} bytes, want {}", file.bytes);
                Err(location.damaged(object, what))
            }
            None => Ok(()),
        }
    }
}
