//! The counts of campaigns against their rows.

use std::collections::HashMap;

use coupon::ids::CampaignId;
use coupon::worth::{CurrencySum, WorthSums};
use hot::inventory::{Atomicity, CampaignItem, CountShift};

use crate::finding::{FindingKind, Note};
use crate::verifier::{ColdIs, RepairMode, Result, Verifier};

impl Verifier<'_> {
    /// Adds what the deleted days had: counts never fall.
    pub(crate) async fn count_deleted(&mut self) -> Result<()> {
        for day in &self.deleted {
            let had = self.cold.deleted(*day).await?.unwrap_or_default();
            for (campaign, had) in had.campaigns {
                let states = self.cold_states.entry(campaign.clone()).or_default();
                (0..3).for_each(|at| states[at] += had.states[at]);
                self.redeemed_worth.entry(campaign).or_default().add(&had.worth);
            }
        }
        Ok(())
    }

    /// With transactions, the counts of hot and its rows are of one moment; otherwise counts may drift. The
    /// counts of cold only rise, so what the walk has seen lies between the counts before and after it.
    pub(crate) async fn counts(&mut self, before: &[CampaignItem]) -> Result<()> {
        let after = self.hot.counted_campaigns().await?;
        let earlier: HashMap<&CampaignId, &CampaignItem> =
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
            // A count that is too high may be the only trace of a lost row.
            let lowers_worth = shift.worth.as_ref().is_some_and(|[was, right]| !right.covers(was));
            let lowers = lowers_worth
                || shift.spent.is_some_and(|[was, right]| was > right)
                || shift.all.iter().chain(&shift.cold).any(|by| *by > 0);
            let is_off = shift.all != [0; 3]
                || shift.cold != [0; 3]
                || shift.stock != 0
                || shift.spent.is_some()
                || shift.worth.is_some();
            if is_off && (!lowers || self.options.lower_counts) {
                shifts.push((shift, campaign.cold));
            }
        }
        // Nothing is written into a damaged file.
        let is_sound = !self.has_found(FindingKind::HotFile);
        if self.options.repair == RepairMode::Derived && is_sound && !shifts.is_empty() {
            self.report.mended_counts = self.hot.mend_counts(shifts).await?;
        }
        Ok(())
    }

    /// By how much the counts of a campaign are too high.
    fn counts_of(&mut self, earlier: Option<&CampaignItem>, now: &CampaignItem) -> CountShift {
        let id = now.terms.id.clone();
        let (all, cold, stock) = ([0; 3], [0; 3], 0);
        let mut shift =
            CountShift { campaign: id.clone(), all, cold, stock, worth: None, spent: None };
        if let Some(rows) = self.quiet_worth(earlier, now) {
            shift.worth = self.worth_of(now, &rows);
            shift.spent = self.spent_of(now, &rows);
        }
        let place = format!("campaign {id}");
        let batches: u64 = now.batches.iter().map(|it| it.batch.count).sum();
        if now.stock != batches {
            shift.stock = i64::try_from(now.stock).unwrap_or(i64::MAX)
                - i64::try_from(batches).unwrap_or(i64::MAX);
            let one = (&place, format!("its stock is {}", now.stock));
            let other = ("its batches", format!("{batches} together"));
            self.found(FindingKind::StockWrong, id.as_str(), one, other);
        }
        let read = self.cold_states.get(&id).copied().unwrap_or_default();
        let was = earlier.map_or([0; 3], |earlier| earlier.cold);
        if self.cold_is == ColdIs::Damaged {
            self.note(Note::BehindDamage);
        } else if (0..3).any(|at| read[at] < was[at] || now.cold[at] < read[at]) {
            match was == now.cold {
                true => {
                    shift.cold = std::array::from_fn(|at| now.cold[at] - read[at]);
                    let one = (&place, said("in cold", now.cold));
                    let other = ("the rows in cold", said("", read));
                    self.found(of_counts(now.cold, read), id.as_str(), one, other);
                }
                // Coupons were archived meanwhile, at a moment that is not known.
                false => self.note(Note::CountsMoving),
            }
        }
        if let Some(rows) = now.rows {
            let here: [i64; 3] = std::array::from_fn(|at| now.all[at] - now.cold[at]);
            // A count of cold that is too high makes the count of both too high, too.
            shift.all = std::array::from_fn(|at| here[at] - rows[at] + shift.cold[at]);
            if here != rows {
                let one = (&place, said("in hot", here));
                let other = ("its rows in hot", said("", rows));
                self.found(of_counts(here, rows), id.as_str(), one, other);
            }
        }
        shift
    }

    /// The amounts of the redemptions of a campaign, if the walk was over what is counted.
    fn quiet_worth(
        &mut self,
        earlier: Option<&CampaignItem>,
        now: &CampaignItem,
    ) -> Option<WorthSums> {
        let (was, is) = (earlier?.worth.as_ref()?, now.worth.as_ref()?);
        if self.cold_is == ColdIs::Damaged || was != is {
            let moves = self.cold_is != ColdIs::Damaged;
            self.note(if moves { Note::CountsMoving } else { Note::BehindDamage });
            return None;
        }
        Some(self.redeemed_worth.get(&now.terms.id).cloned().unwrap_or_default())
    }

    /// The amounts of a campaign as they are added up, and as its redemptions say, if these differ.
    fn worth_of(&mut self, now: &CampaignItem, rows: &WorthSums) -> Option<[WorthSums; 2]> {
        let is = now.worth.as_ref()?;
        let mut right = rows.clone();
        for sum in is.iter() {
            right.add(&CurrencySum { redeemed: sum.cancelled, ..*sum }.into());
        }
        if *is == right {
            return None;
        }
        let id = now.terms.id.as_str();
        let one = (format!("campaign {id}"), format!("its amounts are {is}"));
        self.found(FindingKind::SumsWrong, id, one, ("its redemptions", rows.to_string()));
        Some([is.clone(), right])
    }

    /// What a campaign has spent as it is counted, and as its redemptions say, if these differ.
    fn spent_of(&mut self, now: &CampaignItem, rows: &WorthSums) -> Option<[u64; 2]> {
        let right: u64 = rows.iter().map(|sum| sum.redeemed.discount).sum();
        if now.spent == right {
            return None;
        }
        let id = now.terms.id.as_str();
        let one = (format!("campaign {id}"), format!("it has spent {}", now.spent));
        self.found(FindingKind::SumsWrong, id, one, ("its redemptions", right.to_string()));
        Some([now.spent, right])
    }

    /// Each process of a cluster writes its counts once a second; a killed one loses what it counted since.
    fn drift_of(&mut self, now: &CampaignItem) {
        if self.cold_is == ColdIs::Damaged {
            return self.note(Note::BehindDamage);
        }
        let of = |counts: &HashMap<CampaignId, [i64; 3]>| {
            counts.get(&now.terms.id).copied().unwrap_or_default()
        };
        let (cold, hot) = (of(&self.cold_states), of(&self.hot_states));
        if now.cold != cold || (0..3).any(|at| now.all[at] - now.cold[at] != hot[at]) {
            self.note(Note::CountsDrifted);
        }
    }
}

/// The kind of finding if the counts differ from what is there.
fn of_counts(counted: [i64; 3], there: [i64; 3]) -> FindingKind {
    match (0..3).any(|at| counted[at] > there[at]) {
        true => FindingKind::RowsFewer,
        false => FindingKind::CountsWrong,
    }
}

fn said(place: &str, counts: [i64; 3]) -> String {
    let [issued, redeemed, void] = counts;
    format!("{issued} issued, {redeemed} redeemed, {void} void {place}").trim_end().to_owned()
}
