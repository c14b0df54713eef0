//! Every copy of every coupon of one partition, in the order of codes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::copies::ColdCode;
use super::files::FileFault;
use super::rows::{AuditedRow, rows};
use crate::cursor::{FileCursor, RowDecoder};
use crate::error::ColdError;
use crate::log::LiveFile;
use crate::store::{ColdPartition, ColdStore};

pub struct PartitionAudit {
    store: ColdStore,
    after: String,
    heads: Vec<AuditedFile>,
    faults: Vec<FileFault>,
}

struct AuditedFile {
    file: Arc<LiveFile>,
    name: Arc<str>,
    cursor: FileCursor<AuditedRow>,
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
    ) -> Result<PartitionAudit, ColdError> {
        let mut audit = PartitionAudit {
            store: self.clone(),
            after: after.to_owned(),
            heads: Vec::new(),
            faults: Vec::new(),
        };
        for file in &partition.files {
            let is_behind = |ends: Option<&(String, String)>| {
                ends.is_none_or(|(_, last)| last.as_str() > after)
            };
            match self.audit_cursor(&file.live, is_behind, RowDecoder::all(rows)).await? {
                Ok(cursor) => audit.heads.push(AuditedFile {
                    file: Arc::clone(&file.live),
                    name: file.path().into(),
                    cursor,
                    rows: VecDeque::new(),
                    last: None,
                    read: 0,
                    whole: after.is_empty(),
                }),
                Err(fault) => audit.faults.push(fault),
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
    pub async fn up_to(
        &mut self,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ColdCode>, ColdError> {
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

    async fn fill(&mut self) -> Result<(), ColdError> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if !head.rows.is_empty() {
                at += 1;
                continue;
            }
            let fault = match self.store.audit_next(&head.file, &mut head.cursor).await? {
                Ok(Some(rows)) => {
                    head.read += rows.len() as u64;
                    let fault = head.take(rows);
                    if fault.is_none() {
                        at += 1;
                        continue;
                    }
                    fault
                }
                Ok(None) if head.whole && head.read != head.file.rows => {
                    Some(format!("it has {} rows, want {}", head.read, head.file.rows))
                }
                Ok(None) => None,
                Err(fault) => {
                    self.faults.push(fault);
                    None
                }
            };
            let head = self.heads.swap_remove(at);
            if let Some(what) = fault {
                let file = head.file.object().to_string();
                self.faults.push(FileFault { file, what });
            }
        }
        Ok(())
    }
}

impl AuditedFile {
    /// Returns a fault if its codes do not ascend.
    fn take(&mut self, rows: Vec<AuditedRow>) -> Option<String> {
        let mut before = self.last.as_deref();
        for row in &rows {
            if before.is_some_and(|before| before > row.code.as_str()) {
                return Some(format!("{} is out of order", row.code));
            }
            before = Some(&row.code);
        }
        self.rows = rows.into();
        None
    }
}
