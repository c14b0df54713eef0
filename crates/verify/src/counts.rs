//! What is counted against what was read.

use std::collections::{BTreeMap, HashMap};

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Day;
use hot::audit::{Atomicity, AuditCampaign, CountShift};

use crate::finding::{Kind, Note, Said};
use crate::verifier::{ColdIs, Offered, Repair, TOLD_MAX, Verifier, VerifyError};

/// Serials that are looked up at a time where some of a run have no row.
const SERIALS: u64 = 4_096;

impl Verifier<'_> {
    /// What has been offered until now has a row, and keeps it wherever it goes.
    pub(crate) fn begin_counting(&mut self, campaigns: &[AuditCampaign]) {
        self.report.campaigns = campaigns.len() as u64;
        for campaign in campaigns {
            // What nobody took until it expired needs no row, on a cluster.
            let is_over = campaign.terms.expires_at <= self.now;
            if is_over && self.hot.atomicity() == Atomicity::StepByStep {
                continue;
            }
            for batch in &campaign.batches {
                if let Some(run) = batch.run {
                    let below = batch.offered.min(run.count);
                    self.offered.insert((run.day, run.first), Offered { below, seen: 0 });
                }
            }
        }
    }

    /// The counts of each campaign. Those of rows in hot are of one moment; those of cold only rise,
    /// so that what the walk has seen lies between what was counted before it and after it.
    pub(crate) async fn counts(&mut self, before: &[AuditCampaign]) -> Result<(), VerifyError> {
        let after = self.hot.audit_campaigns().await?;
        let earlier: HashMap<&CampaignId, &AuditCampaign> =
            before.iter().map(|campaign| (&campaign.terms.id, campaign)).collect();
        let mut shifts = Vec::new();
        for campaign in &after {
            let shift = match self.hot.atomicity() {
                Atomicity::OneTransaction => {
                    let earlier = earlier.get(&campaign.terms.id).copied();
                    self.counts_of(earlier, campaign)
                }
                Atomicity::StepByStep => {
                    self.drift_of(campaign);
                    continue;
                }
            };
            // A count that is too high may be all that is left of a lost row.
            let lowers = shift.all.iter().chain(&shift.cold).any(|by| *by > 0);
            let is_off = shift.all != [0; 3] || shift.cold != [0; 3] || shift.stock != 0;
            if is_off && (!lowers || self.options.lower_counts) {
                shifts.push((shift, campaign.cold));
            }
        }
        // Into a file that is damaged nothing is written.
        let is_sound = !self.report.findings.contains_key(&Kind::HotFile);
        if self.options.repair == Repair::Derived && is_sound && !shifts.is_empty() {
            self.report.mended_counts = self.hot.mend_counts(shifts).await?;
        }
        Ok(())
    }

    /// By how much what is counted of a campaign is too high.
    fn counts_of(&mut self, earlier: Option<&AuditCampaign>, now: &AuditCampaign) -> CountShift {
        let id = now.terms.id.clone();
        let mut shift = CountShift { campaign: id.clone(), all: [0; 3], cold: [0; 3], stock: 0 };
        let about = id.as_str();
        let batches: u64 = now.batches.iter().map(|batch| batch.count).sum();
        if now.stock != batches {
            shift.stock = i64::try_from(now.stock).unwrap_or(i64::MAX)
                - i64::try_from(batches).unwrap_or(i64::MAX);
            let one = Said::new(format!("campaign {id}"), format!("its stock is {}", now.stock));
            let other = Said::new("its batches", format!("{batches} together"));
            self.found(Kind::StockWrong, about, one, other);
        }
        let read = self.cold_states.get(&id).copied().unwrap_or_default();
        let was = earlier.map_or([0; 3], |earlier| earlier.cold);
        if self.cold_is == ColdIs::Damaged {
            self.note(Note::BehindDamage);
        } else if (0..3).any(|at| read[at] < was[at] || now.cold[at] < read[at]) {
            match was == now.cold {
                true => {
                    shift.cold = std::array::from_fn(|at| now.cold[at] - read[at]);
                    let one = Said::new(format!("campaign {id}"), said("in cold", now.cold));
                    let other = Said::new("the rows in cold", said("", read));
                    self.found(of_counts(now.cold, read), about, one, other);
                }
                // Somebody has moved coupons meanwhile: nobody can tell at which moment.
                false => self.note(Note::CountsMoving),
            }
        }
        if let Some(rows) = now.rows {
            let here: [i64; 3] = std::array::from_fn(|at| now.all[at] - now.cold[at]);
            // What is too high of cold is too high of both.
            shift.all = std::array::from_fn(|at| here[at] - rows[at] + shift.cold[at]);
            if here != rows {
                let one = Said::new(format!("campaign {id}"), said("in hot", here));
                let other = Said::new("its rows in hot", said("", rows));
                self.found(of_counts(here, rows), about, one, other);
            }
        }
        shift
    }

    /// On a cluster each process writes down what it has counted once a second, and takes what it
    /// has not written with it when it is killed.
    fn drift_of(&mut self, now: &AuditCampaign) {
        let of = |counts: &HashMap<CampaignId, [i64; 3]>| {
            counts.get(&now.terms.id).copied().unwrap_or_default()
        };
        let (cold, hot) = (of(&self.cold_states), of(&self.hot_states));
        if now.cold != cold || (0..3).any(|at| now.all[at] - now.cold[at] != hot[at]) {
            self.note(Note::CountsDrifted);
        }
    }

    /// Serials that were offered once and have no row; runs that hold the same serials.
    pub(crate) async fn serials(&mut self, campaigns: &[AuditCampaign]) -> Result<(), VerifyError> {
        self.overlaps(campaigns).await?;
        for campaign in campaigns {
            for batch in &campaign.batches {
                let Some(run) = batch.run else { continue };
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
                self.missing_serials(campaign, &batch.id, run, offered.below).await?;
            }
        }
        Ok(())
    }

    /// Names them: some are missing, and only the codes of all say which.
    async fn missing_serials(
        &mut self,
        campaign: &AuditCampaign,
        batch: &BatchId,
        run: MintedRun,
        below: u64,
    ) -> Result<(), VerifyError> {
        let Some(key) = self.keys.iter().find(|key| key.id() == run.key) else { return Ok(()) };
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
                    let other = Said::new(
                        "both tiers",
                        "neither a row, nor an archived marker, nor an archived coupon",
                    );
                    self.found(Kind::SerialMissing, code.as_str(), Said::new(place, says), other);
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

    /// No two batches hold one serial, and a day gives none out that a batch has.
    async fn overlaps(&mut self, campaigns: &[AuditCampaign]) -> Result<(), VerifyError> {
        let mut days: BTreeMap<Day, Vec<(u64, u64, String)>> = BTreeMap::new();
        for campaign in campaigns {
            for batch in &campaign.batches {
                if let Some(run) = batch.run {
                    let name = format!("batch {} of {}", batch.id, campaign.terms.id);
                    days.entry(run.day).or_default().push((run.first, run.count, name));
                }
            }
        }
        // Read after the batches: a run that was made since is no fault of theirs.
        let next: HashMap<Day, u64> = self
            .hot
            .audit_partitions()
            .await?
            .into_iter()
            .map(|it| (it.day, it.next_serial))
            .collect();
        for (day, mut runs) in days {
            runs.sort_unstable();
            for pair in runs.windows(2) {
                let [(first, count, name), (next, _, other)] = pair else { continue };
                if first + count > *next {
                    let one = Said::new(
                        name.clone(),
                        format!("serials {first} to {}", first + count - 1),
                    );
                    let other = Said::new(other.clone(), format!("serials from {next} on"));
                    self.found(Kind::SerialsOverlap, &cold::day_text(day), one, other);
                }
            }
            let given = next.get(&day).copied().unwrap_or(0);
            if let Some((first, count, name)) = runs.last().filter(|it| it.0 + it.1 > given) {
                let one =
                    Said::new(name.clone(), format!("serials {first} to {}", first + count - 1));
                let place = format!("the plan of {}", cold::day_text(day));
                let other = Said::new(place, format!("serial {given} is the next to be given"));
                self.found(Kind::SerialsOverlap, &cold::day_text(day), one, other);
            }
        }
        Ok(())
    }
}

/// What it is that so many were counted and so many are there.
fn of_counts(counted: [i64; 3], there: [i64; 3]) -> Kind {
    match (0..3).any(|at| counted[at] > there[at]) {
        true => Kind::RowsFewer,
        false => Kind::CountsWrong,
    }
}

fn said(place: &str, counts: [i64; 3]) -> String {
    let [issued, redeemed, void] = counts;
    format!("{issued} issued, {redeemed} redeemed, {void} void {place}").trim_end().to_owned()
}
