//! The files of both tiers, and the logs of cold.

use cold::{ColdError, FileFault};

use super::{ColdIs, Result, Verifier};
use crate::finding::FindingKind;

impl Verifier<'_> {
    /// Checks the file of hot and the logs of cold, before anything is read through them.
    pub(super) async fn files(&mut self) -> Result<()> {
        if self.options.partitions.is_none() {
            for fault in self.hot.engine_faults().await? {
                let other = ("the engine", "it is not right");
                self.found(FindingKind::HotFile, "hot", ("hot", fault), other);
            }
        }
        let begun = self.hot.cold_mark().await?.begun;
        if begun.is_none_or(|begun| begun == 0)
            && self.cold.version().await.ok().flatten().is_none()
        {
            return Ok(());
        }
        self.cold_is = ColdIs::Whole;
        let mut faults = self.cold.audit_logs().await?;
        let mut pauses = self.pauses();
        // The tables are created one after the other.
        while !faults.is_empty() && pauses.pass().await {
            faults = self.cold.audit_logs().await?;
        }
        for fault in faults {
            // The coupons themselves do not need the holder index.
            if fault.is_of_holder_index() {
                self.index_fault(fault);
                continue;
            }
            self.cold_is = ColdIs::Damaged;
            let one = (self.cold.location(), fault.what);
            self.found(FindingKind::ColdLog, fault.file, one, ("the log", "every entry is needed"));
        }
        if self.cold_is == ColdIs::Whole {
            let archive_commits = self.hot.archive_commits().await?;
            match self.cold.has_archive_commits(&archive_commits).await {
                Ok(_) => {}
                Err(ColdError::Damaged { file, what, .. }) => {
                    self.cold_is = ColdIs::Damaged;
                    let one = (self.cold.location(), what.to_string());
                    let other = ("hot", "it knows of that archive commit");
                    self.found(FindingKind::ColdLog, file.to_string(), one, other);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) async fn holder_index(&mut self) -> Result<()> {
        if self.has_cold_log() {
            for fault in self.cold.audit_index().await? {
                self.index_fault(fault);
            }
        }
        Ok(())
    }

    fn index_fault(&mut self, fault: FileFault) {
        let one = (format!("cold, {}", fault.file), fault.what);
        let other = ("the log", "it is part of the holder index");
        self.found(FindingKind::HolderIndex, fault.file, one, other);
    }

    /// From here on, a coupon that is missing may be in the damaged file.
    pub(crate) fn file_fault(&mut self, fault: FileFault) {
        self.cold_is = ColdIs::Damaged;
        let one = (format!("cold, {}", fault.file), fault.what);
        self.found(FindingKind::ColdFile, fault.file, one, ("the log", "it is live"));
    }
}
