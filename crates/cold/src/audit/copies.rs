//! Every copy of given codes, including damaged ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

use super::files::FileFault;
use super::rows::{AuditedRow, rows};
use crate::bounds::{ColumnBounds, may_hold};
use crate::cursor::{FileCursor, RowDecoder};
use crate::error::ColdError;
use crate::log::LiveFile;
use crate::store::{ColdStore, ColdStoreInner};

#[derive(Clone, Debug, PartialEq)]
pub struct ColdCopy {
    /// The file that has it, within its table.
    pub file: Arc<str>,
    /// The coupon, or why it cannot be read.
    pub coupon: Result<Box<Coupon>, String>,
    /// The first column that contradicts the events, and how.
    pub differs: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColdCode {
    /// The code as the files have it.
    pub code: String,
    /// One copy as a rule; several while runs overlap, or where something is wrong.
    pub copies: Vec<ColdCopy>,
}

impl ColdStore {
    /// Returns every copy of `codes` in one partition as it is now, in the same order, and the last
    /// archive commit of the partition. Skips files that cannot be read.
    ///
    /// # Errors
    /// As [`ColdStore::audit_partition`].
    pub async fn audit_copies(
        &self,
        day: Day,
        codes: &[Code],
    ) -> Result<(u64, Vec<Vec<ColdCopy>>), ColdError> {
        if self.version().await?.is_none() {
            return Ok((0, vec![Vec::new(); codes.len()]));
        }
        let partition = self.partition(day).await?;
        let mut found: BTreeMap<String, Vec<ColdCopy>> = BTreeMap::new();
        let wanted: Arc<BTreeSet<String>> = Arc::new(codes.iter().map(Code::to_string).collect());
        for file in &partition.files {
            let may =
                |ends: Option<&(String, String)>| wanted.iter().any(|code| may_hold(ends, code));
            let of = Arc::clone(&wanted);
            let reading = RowDecoder::all(move |batch| {
                let mut rows = rows(batch)?;
                rows.retain(|row| of.contains(&row.code));
                Ok(rows)
            });
            let cursor = self.audit_cursor(&file.live, may, reading).await?;
            let Ok(mut cursor) = cursor else { continue };
            let name: Arc<str> = file.path().into();
            while let Ok(Some(rows)) = self.audit_next(&file.live, &mut cursor).await? {
                for row in rows {
                    found.entry(row.code.clone()).or_default().push(row.of(&name));
                }
            }
        }
        let copies = codes.iter().map(|code| found.get(code.as_str()).cloned().unwrap_or_default());
        Ok((partition.archive_commit, copies.collect()))
    }

    /// A cursor over the row groups of a file of `coupons` whose range of codes `may` be wanted.
    pub(super) async fn audit_cursor(
        &self,
        file: &Arc<LiveFile>,
        may: impl Fn(Option<&(String, String)>) -> bool,
        reading: RowDecoder<AuditedRow>,
    ) -> Result<Result<FileCursor<AuditedRow>, FileFault>, ColdError> {
        let ColdStoreInner { coupons, files, .. } = &*self.inner;
        if let Err(error) = self.audit_size(&file.object(), file).await {
            return FileFault::of(error).map(Err);
        }
        let footer = match files.footer(file).await {
            Ok(footer) => footer,
            Err(error) => return self.fault_of(coupons, file, error).await.map(Err),
        };
        let may = |bounds: &ColumnBounds| may(bounds.code.as_ref());
        Ok(Ok(self.inner.cursor_where(file, footer, reading, may)))
    }

    pub(super) async fn audit_next(
        &self,
        file: &LiveFile,
        cursor: &mut FileCursor<AuditedRow>,
    ) -> Result<Result<Option<Vec<AuditedRow>>, FileFault>, ColdError> {
        match cursor.next().await {
            Ok(rows) => Ok(Ok(rows)),
            Err(error) => self.fault_of(&self.inner.coupons, file, error).await.map(Err),
        }
    }
}
