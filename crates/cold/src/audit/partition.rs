//! Every copy of every coupon of one partition, in the order of codes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::copies::ColdCode;
use super::files::FileFault;
use super::rows::{AuditedRow, rows};
use crate::cursor::{FileRows, RowDecoder};
use crate::error::Result;
use crate::store::{ColdPartition, ColdStore};

pub struct PartitionAudit {
    after: String,
    heads: Vec<AuditedFile>,
    faults: Vec<FileFault>,
}

struct AuditedFile {
    name: Arc<str>,
    file: FileRows<AuditedRow>,
    rows: VecDeque<AuditedRow>,
    /// The last code that was taken.
    last: Option<String>,
    read: u64,
    /// Whether the file is read from its first row on.
    whole: bool,
}

impl ColdStore {
    /// Begins to read every copy of every code of one partition after `after`, in the order of
    /// codes. Holds one row group of each file in memory.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_partition(
        &self,
        partition: &ColdPartition,
        after: &str,
    ) -> Result<PartitionAudit> {
        let mut audit =
            PartitionAudit { after: after.to_owned(), heads: Vec::new(), faults: Vec::new() };
        for file in &partition.files {
            let is_behind = |ends: Option<&(String, String)>| {
                ends.is_none_or(|(_, last)| last.as_str() > after)
            };
            match self.audited(&file.live, is_behind, RowDecoder::all(rows)).await {
                Ok(rows) => audit.heads.push(AuditedFile {
                    name: file.path().into(),
                    file: rows,
                    rows: VecDeque::new(),
                    last: None,
                    read: 0,
                    whole: after.is_empty(),
                }),
                Err(error) => audit.faults.push(FileFault::of(error)?),
            }
        }
        Ok(audit)
    }
}

impl PartitionAudit {
    /// Returns the next codes up to `last`, at most `limit`.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if a merge has replaced a file: begin again after the last
    /// code that was returned.
    pub async fn up_to(&mut self, last: Option<&str>, limit: usize) -> Result<Vec<ColdCode>> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            self.fill().await?;
            let codes = self.heads.iter().filter_map(|head| head.rows.front());
            let Some(code) = codes.map(|row| row.code.as_str()).min() else { break };
            if last.is_some_and(|last| code > last) {
                break;
            }
            let code = code.to_owned();
            let mut copies = Vec::new();
            for head in &mut self.heads {
                while let Some(row) = head.rows.pop_front_if(|row| row.code == code) {
                    copies.push(row.of(&head.name));
                    head.last = Some(code.clone());
                    if head.rows.is_empty() {
                        // The next batch may begin with the same code.
                        break;
                    }
                }
            }
            // The row group may begin before `after`.
            if code > self.after {
                match taken.last_mut() {
                    Some(ColdCode { code: before, copies: had }) if *before == code => {
                        had.extend(copies);
                    }
                    Some(_) | None => taken.push(ColdCode { code, copies }),
                }
            }
        }
        Ok(taken)
    }

    /// The faults found so far. After a fault the rest of its file is skipped.
    pub fn faults(&mut self) -> Vec<FileFault> {
        std::mem::take(&mut self.faults)
    }

    async fn fill(&mut self) -> Result<()> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            match head.fill().await {
                Ok(true) => {
                    at += 1;
                    continue;
                }
                Ok(false) => {}
                Err(error) => self.faults.push(FileFault::of(error)?),
            }
            self.heads.swap_remove(at);
        }
        Ok(())
    }
}

impl AuditedFile {
    /// Reads on if all rows were taken. Returns `false` at the end of the file.
    ///
    /// # Errors
    /// As [`FileRows::next`]. It is damage if the codes do not ascend, or if rows are missing.
    async fn fill(&mut self) -> Result<bool> {
        if !self.rows.is_empty() {
            return Ok(true);
        }
        let Some(rows) = self.file.next().await? else {
            let want = self.file.file.rows;
            if self.whole && self.read != want {
                return Err(self.file.damaged(format!("it has {} rows, want {want}", self.read)));
            }
            return Ok(false);
        };
        self.read += rows.len() as u64;
        let mut before = self.last.as_deref();
        for row in &rows {
            if before.is_some_and(|before| before > row.code.as_str()) {
                return Err(self.file.damaged(format!("{} is out of order", row.code)));
            }
            before = Some(&row.code);
        }
        self.rows = rows.into();
        Ok(true)
    }
}
