//! Every copy of given codes, including damaged ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon::code::Code;
use coupon::time::Day;

use super::rows::{AuditedRow, ColdCopy, rows};
use crate::bounds::{ColumnBounds, may_hold};
use crate::cursor::{FileRows, RowDecoder};
use crate::error::{ColdError, Result};
use crate::live::{ColdFile, LiveFile};
use crate::store::ColdStore;

#[derive(Clone, Debug, PartialEq)]
pub struct ColdCode {
    pub code: String,
    /// One copy as a rule; several while runs overlap, or where something is wrong.
    pub copies: Vec<ColdCopy>,
}

impl ColdStore {
    /// Returns every copy of `codes` in one partition as it is now, in the same order, and the last
    /// archive commit of the partition. Skips files that cannot be read.
    pub async fn audit_copies(
        &self,
        day: Day,
        codes: &[Code],
    ) -> Result<(u64, Vec<Vec<ColdCopy>>)> {
        if self.version().await?.is_none() {
            return Ok((0, vec![Vec::new(); codes.len()]));
        }
        let partition = self.partition(day).await?;
        let mut found: BTreeMap<String, Vec<ColdCopy>> = BTreeMap::new();
        let wanted: Arc<BTreeSet<String>> = Arc::new(codes.iter().map(Code::to_string).collect());
        for file in &partition.files {
            match self.add_copies(file, &wanted, &mut found).await {
                Ok(()) | Err(ColdError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let copies = codes.iter().map(|code| found.get(code.as_str()).cloned().unwrap_or_default());
        Ok((partition.archive_commit, copies.collect()))
    }

    async fn add_copies(
        &self,
        file: &ColdFile,
        wanted: &Arc<BTreeSet<String>>,
        found: &mut BTreeMap<String, Vec<ColdCopy>>,
    ) -> Result<()> {
        let may = |ends: Option<&(String, String)>| wanted.iter().any(|code| may_hold(ends, code));
        let of = Arc::clone(wanted);
        let reading = RowDecoder::all(move |batch, names| {
            let mut rows = rows(batch, names)?;
            rows.retain(|row| of.contains(&row.code));
            Ok(rows)
        });
        let mut copies = self.audited(&file.live, may, reading).await?;
        let name: Arc<str> = file.path().into();
        while let Some(rows) = copies.next().await? {
            for row in rows {
                found.entry(row.code.clone()).or_default().push(row.of(&name));
            }
        }
        Ok(())
    }

    /// Opens the row groups of a file of `coupons` whose range of codes `may` be wanted.
    pub(super) async fn audited(
        &self,
        file: &Arc<LiveFile>,
        may: impl Fn(Option<&(String, String)>) -> bool,
        reading: RowDecoder<AuditedRow>,
    ) -> Result<FileRows<AuditedRow>> {
        self.audit_size(file).await?;
        let may = |bounds: &ColumnBounds| may(bounds.code.as_ref());
        self.open_where(&self.inner.coupons, file, reading, may).await
    }
}
