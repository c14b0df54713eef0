//! The serials of minted batches: whether each that was offered has a row, and belongs to one batch.

use std::collections::{BTreeMap, HashMap};

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::BatchId;
use coupon::time::Day;
use hot::inventory::{Atomicity, CampaignItem, Item, Table, all};

use crate::finding::{FindingKind, Note};
use crate::verifier::{ColdIs, OfferedSerials, Result, TOLD_MAX, Verifier};

/// Serials of one look-up, if some of a run have no row.
const SERIALS: u64 = 4_096;

impl Verifier<'_> {
    /// Notes the serials that have been offered until now. Their coupons have rows, and keep them through every move.
    pub(crate) fn begin_counting(&mut self, campaigns: &[CampaignItem]) {
        self.report.campaigns = campaigns.len() as u64;
        for campaign in campaigns {
            // On a cluster, a coupon that expired before anybody took it needs no row.
            let is_over = campaign.terms.expires_at <= self.now;
            if is_over && self.hot.atomicity() == Atomicity::StepByStep {
                continue;
            }
            for batch in &campaign.batches {
                if let Some(run) = batch.run().filter(|run| !self.deleted.contains(&run.day)) {
                    let below = batch.offered.min(run.count);
                    self.offered.insert((run.day, run.first), OfferedSerials { below, seen: 0 });
                }
            }
        }
    }

    pub(crate) async fn serials(&mut self, campaigns: &[CampaignItem]) -> Result<()> {
        self.overlaps(campaigns).await?;
        for campaign in campaigns {
            for batch in &campaign.batches {
                let Some(run) = batch.run() else { continue };
                let Some(offered) = self.offered.get(&(run.day, run.first)).copied() else {
                    continue;
                };
                if offered.seen >= offered.below {
                    continue;
                }
                if self.cold_is == ColdIs::Damaged {
                    self.note(Note::BehindDamage);
                    continue;
                }
                self.missing_serials(campaign, &batch.batch.id, run, offered.below).await?;
            }
        }
        Ok(())
    }

    /// Finds which serials of a run are missing. The sums only say that some are.
    async fn missing_serials(
        &mut self,
        campaign: &CampaignItem,
        batch: &BatchId,
        run: MintedRun,
        below: u64,
    ) -> Result<()> {
        let Some(key) = self.keys.iter().find(|key| key.id() == run.key) else {
            self.note(Note::KeyMissing);
            return Ok(());
        };
        let mut named = 0;
        for first in (0..below).step_by(usize::try_from(SERIALS).unwrap_or(usize::MAX)) {
            let offsets = first..(first + SERIALS).min(below);
            let codes: Vec<Code> =
                offsets.clone().map(|offset| key.mint(run.day, run.first + offset)).collect();
            let untouched = self.hot.untouched(run, codes.clone()).await?;
            for ((offset, code), untouched) in offsets.zip(codes).zip(untouched) {
                if untouched {
                    let place = format!("batch {batch} of {}", campaign.terms.id);
                    let says = format!("serial {} was offered", run.first + offset);
                    let nothing = "neither a row, nor an archived marker, nor an archived coupon";
                    let other = ("both tiers", nothing);
                    self.found(FindingKind::SerialMissing, code.as_str(), (place, says), other);
                    named += 1;
                }
            }
            self.tick();
            if named > TOLD_MAX {
                break;
            }
        }
        Ok(())
    }

    /// No two batches have the same serial, and no day gives out a serial that a batch has.
    async fn overlaps(&mut self, campaigns: &[CampaignItem]) -> Result<()> {
        let mut days: BTreeMap<Day, Vec<(u64, u64, String)>> = BTreeMap::new();
        for campaign in campaigns {
            for batch in &campaign.batches {
                if let Some(run) = batch.run() {
                    let name = format!("batch {} of {}", batch.batch.id, campaign.terms.id);
                    days.entry(run.day).or_default().push((run.first, run.count, name));
                }
            }
        }
        // Read after the batches: a run that was reserved since raises it.
        let mut next: HashMap<Day, u64> = HashMap::new();
        for item in all(self.hot, Table::Partitions).await? {
            if let Item::Partition(it) = item {
                next.insert(it.plan.day, it.next_serial);
            } else if let Item::Unreadable(row) = item {
                self.unreadable(row);
            }
        }
        let minted = |(first, count, name): &(u64, u64, String)| {
            (name.clone(), format!("serials {first} to {}", first + count - 1))
        };
        for (day, mut runs) in days {
            runs.sort_unstable();
            for pair in runs.windows(2) {
                let [run, (next, _, other)] = pair else { continue };
                if run.0 + run.1 > *next {
                    let other = (other, format!("serials from {next} on"));
                    self.found(FindingKind::SerialsOverlap, day.to_string(), minted(run), other);
                }
            }
            let given = next.get(&day).copied().unwrap_or(0);
            if let Some(run) = runs.last().filter(|run| run.0 + run.1 > given) {
                let given = format!("serial {given} is the next to be given");
                let other = (format!("the plan of {day}"), given);
                self.found(FindingKind::SerialsOverlap, day.to_string(), minted(run), other);
            }
        }
        Ok(())
    }
}
