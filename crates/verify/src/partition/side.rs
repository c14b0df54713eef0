//! The side table `coupons_by_holder` of one partition.

use cold::ColdError;
use coupon::time::Day;

use crate::finding::{FindingKind, Note};
use crate::verifier::{Result, Verifier};

impl Verifier<'_> {
    pub(super) async fn side(&mut self, day: Day) -> Result<()> {
        let mut pauses = self.pauses();
        loop {
            // Read first: an archive commit is finished after the side table has it.
            let finished = self.hot.partition(day).await?.map_or(0, |plan| plan.archive_commit);
            let audit = self.cold.audit_side(day).await;
            let is_wrong = match &audit {
                // There may have been a commit between the two reads.
                Ok(audit) => !audit.faults.is_empty(),
                Err(error) => matches!(error, ColdError::Unavailable { .. }),
            };
            if is_wrong && pauses.pass().await {
                continue;
            }
            let audit = audit?;
            self.report.side_rows += audit.rows;
            if audit.archive_commit < finished {
                let one = ("hot", format!("archive commit {finished} is finished"));
                let place = format!("cold, coupons_by_holder, partition {day}");
                let last = format!("it has archive commit {} at the last", audit.archive_commit);
                self.found(FindingKind::SideMissing, day.to_string(), one, (place, last));
            } else if audit.behind > 0 {
                self.note(Note::SideBehind);
            }
            audit.files.into_iter().for_each(|fault| self.file_fault(fault));
            for fault in audit.faults {
                let partition = format!("cold, coupons, partition {day}");
                let holder = format!("cold, coupons_by_holder, {}", fault.holder);
                let (kind, one, other) = match fault.is {
                    cold::SideIs::Missing => {
                        (FindingKind::SideMissing, "a coupon of theirs", "not there")
                    }
                    cold::SideIs::Alone => {
                        (FindingKind::SideAlone, "not there, or otherwise", "a row")
                    }
                };
                self.found(kind, fault.code, (partition, one), (holder, other));
            }
            return Ok(());
        }
    }
}
