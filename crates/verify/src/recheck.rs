//! The recheck: nothing is reported before it looks wrong several times.
//!
//! Other processes write between two reads, so a code may look wrong once although nothing is.

use std::collections::{BTreeMap, BTreeSet};

use coupon::code::Code;
use coupon::time::Day;

use crate::finding::{Finding, FindingKind};
use crate::partition::{LookUp, PartitionState, TierCopies};
use crate::rules::{self, CodeView};
use crate::verifier::{ColdIs, RepairMode, Result, Verifier};

/// Codes that are collected before they are looked at again.
const KEPT_MAX: usize = 1_024;

impl Verifier<'_> {
    pub(crate) async fn look_again_if_many(&mut self) -> Result<()> {
        if self.recheck.len() >= KEPT_MAX { self.look_again().await } else { Ok(()) }
    }

    /// Looks at every collected code again, after each pause, and reports those that are wrong each time.
    pub(crate) async fn look_again(&mut self) -> Result<()> {
        let (mut spots, mut wrong) = (std::mem::take(&mut self.recheck), Vec::new());
        self.report.looked_again += spots.len() as u64;
        let mut pauses = self.pauses();
        while !spots.is_empty() && pauses.pass().await {
            wrong = self.judged_again(&spots).await?;
            spots = wrong
                .iter()
                .filter_map(|(view, _)| Some((view.day, rules::code_of(&view.code)?)))
                .collect();
        }
        for (view, findings) in wrong {
            self.mend_index_rows_of(&view, &findings).await?;
            findings.into_iter().for_each(|finding| self.tell(finding));
        }
        Ok(())
    }

    async fn judged_again(
        &mut self,
        spots: &BTreeSet<(Day, Code)>,
    ) -> Result<Vec<(CodeView, Vec<Finding>)>> {
        let mut days: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for (day, code) in spots {
            days.entry(*day).or_default().push(code.clone());
        }
        let mut wrong = Vec::new();
        for (day, codes) in days {
            let plan = self.hot.partition(day).await?;
            let asked = codes.iter().map(|code| (day, code.clone())).collect();
            let rows = self.hot.rows_at(asked).await?;
            // Hot before cold: a coupon that is archived in between is then in both, never in neither.
            let (cold_archive_commit, copies) = match self.has_cold_log() {
                true => self.cold.audit_copies(day, &codes).await?,
                false => (0, vec![Vec::new(); codes.len()]),
            };
            let met = codes.into_iter().zip(rows.into_iter().zip(copies));
            let met = met.map(|(code, (rows, copies))| TierCopies {
                code: code.to_string(),
                rows,
                copies,
            });
            let cold_whole = self.cold_is != ColdIs::Damaged;
            let partition = PartitionState { day, plan, cold_archive_commit, cold_whole };
            for (view, _) in self.views(partition, met.collect(), LookUp::All).await? {
                let judged = rules::judge(&view);
                if !judged.findings.is_empty() {
                    wrong.push((view, judged.findings));
                }
            }
        }
        Ok(wrong)
    }

    async fn mend_index_rows_of(&mut self, view: &CodeView, findings: &[Finding]) -> Result<()> {
        if self.options.repair != RepairMode::Derived
            || view.unindexed.is_empty()
            || self.has_found(FindingKind::HotFile)
            || findings.iter().any(|finding| finding.kind != FindingKind::IndexRowMissing)
        {
            // Nothing is derived from a coupon that is wrong in other ways.
            return Ok(());
        }
        if let Some(coupon) = view.hot_coupon() {
            self.hot.mend_index_rows(view.day, coupon.clone()).await?;
            self.report.mended_index_rows += 1;
        }
        Ok(())
    }
}
