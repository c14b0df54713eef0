//! Partition by partition: judges every code that hot or cold has.

mod side;
mod views;
mod walk;

use cold::{ColdCopy, ColdError};
use coupon::coupon::State;
use coupon::time::Day;
use coupon::worth::WorthSums;
use hot::PartitionPlan;
use hot::inventory::{RowIs, RowItem};
use tokio::sync::Mutex;

use crate::catalog::SerialPosition;
use crate::finding::Note;
use crate::postings;
use crate::rules::{self, CodeView};
use crate::verifier::{Result, Verifier, VerifyError};
pub(crate) use views::LookUp;
use walk::MergedWalk;

/// How often the walk over a partition continues after a merge has replaced, and a sweep has deleted, a
/// file that it was reading. Merges of one partition are days apart.
const TRIES_MAX: usize = 3;

/// What both tiers have of one code, before the directory, the claims and the index rows are read.
pub(crate) struct TierCopies {
    pub(crate) code: String,
    pub(crate) rows: Vec<RowItem>,
    pub(crate) copies: Vec<ColdCopy>,
}

/// A partition at the moment when some of its codes were read.
#[derive(Clone, Copy)]
pub(crate) struct PartitionState {
    pub(crate) day: Day,
    pub(crate) plan: Option<PartitionPlan>,
    pub(crate) cold_archive_commit: u64,
    pub(crate) cold_whole: bool,
}

impl Verifier<'_> {
    /// Reads partitions of both tiers, in the order of days. Other runs take from `next`, too.
    pub(crate) async fn days(&mut self, next: &Mutex<Day>) -> Result<()> {
        while let Some(day) = self.take_day(next).await? {
            if self.deleted.contains(&day) {
                continue;
            }
            rules::folder(day).into_iter().for_each(|finding| self.tell(finding));
            let plan = self.hot.partition(day).await?;
            let early = plan.and_then(|plan| self.catalog.closes_early(&plan));
            early.into_iter().for_each(|finding| self.tell(finding));
            if self.options.partitions.is_some() && !self.is_there(day).await? {
                self.note(Note::NoSuchPartition);
            }
            self.partition(day).await?;
            if self.has_cold_log() {
                self.side(day).await?;
            }
            self.look_again_if_many().await?;
        }
        Ok(())
    }

    async fn is_there(&self, day: Day) -> Result<bool> {
        let is_in_hot = self.hot.next_partition(day).await? == Some(day);
        Ok(is_in_hot || (self.has_cold_log() && self.cold.partition(day).await?.archive_commit > 0))
    }

    async fn take_day(&mut self, next: &Mutex<Day>) -> Result<Option<Day>> {
        let mut next = next.lock().await;
        // Read again after each: an extension may have moved a coupon to a new day.
        let day = self.next_day(*next).await?;
        if let Some(day) = day {
            *next = Day(day.0.saturating_add(1));
        }
        Ok(day)
    }

    async fn next_day(&mut self, from: Day) -> Result<Option<Day>> {
        if let Some(partitions) = &self.options.partitions {
            return Ok(partitions.range(from..).next().copied());
        }
        let mut days: Vec<Day> = self.hot.next_partition(from).await?.into_iter().collect();
        if self.has_cold_log() {
            days.extend(self.cold.partitions().await?.into_iter().map(|partition| partition.day));
        }
        Ok(days.into_iter().filter(|day| *day >= from).min())
    }

    async fn partition(&mut self, day: Day) -> Result<()> {
        let mut walk = MergedWalk::begin(day, String::new());
        let mut tries = 0;
        loop {
            match walk.next(self).await {
                Ok(None) => return Ok(()),
                Ok(Some(met)) => {
                    walk.after = met.last().map_or(walk.after, |it| it.code.clone());
                    self.meet(walk.partition, met).await?;
                    self.look_again_if_many().await?;
                    self.tick();
                }
                Err(VerifyError::Cold(ColdError::Unavailable { .. })) if tries < TRIES_MAX => {
                    tries += 1;
                    walk = MergedWalk::begin(day, walk.after);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A code that looks wrong is looked at again later.
    async fn meet(&mut self, partition: PartitionState, met: Vec<TierCopies>) -> Result<()> {
        for one in &met {
            self.report.cold_rows += one.copies.len() as u64;
            for row in &one.rows {
                match row.is {
                    RowIs::ArchivedMarker { .. } => self.report.archived_markers += 1,
                    RowIs::Coupon { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => {
                        self.report.hot_rows += 1;
                    }
                }
            }
        }
        let look_up = if self.balance.is_some() { LookUp::Unbalanced } else { LookUp::Needed };
        let views = self.views(partition, met, look_up).await?;
        let judged = views.into_iter().map(|(view, serial)| (rules::judge(&view), view, serial));
        let judged: Vec<_> = judged.collect();
        // What looks wrong is looked up, and so is what the tables have of it.
        let right = judged.iter().filter(|(judged, ..)| judged.findings.is_empty());
        postings::post(&self.balance, right, |balance, (_, view, _)| {
            postings::of_view(balance, view);
        });
        for (judged, view, serial) in judged {
            self.count(&view, serial.as_ref());
            for note in judged.notes {
                self.note(note);
            }
            if judged.findings.is_empty() {
                continue;
            }
            match rules::code_of(&view.code).filter(|_| !self.is_flooded(&judged.findings)) {
                Some(code) => {
                    self.recheck.insert((partition.day, code));
                }
                // It cannot be read by its code, or it is one of very many.
                None => judged.findings.into_iter().for_each(|finding| self.tell(finding)),
            }
        }
        Ok(())
    }

    /// Adds to the sums that [`Verifier::counts`] and [`Verifier::serials`] compare.
    fn count(&mut self, view: &CodeView, serial: Option<&SerialPosition>) {
        let cold = view.cold_coupon().filter(|_| view.is_in_cold_alone());
        let tiers = [(&mut self.cold_states, cold), (&mut self.hot_states, view.hot_coupon())];
        for (states, coupon) in tiers {
            let Some(coupon) = coupon else { continue };
            let campaign = &coupon.genesis().campaign;
            count_state(states.entry(campaign.clone()).or_default(), coupon.state());
            if let Some(worth) = coupon.redemption().and_then(|it| it.worth) {
                let sums = self.redeemed_worth.entry(campaign.clone()).or_default();
                sums.add(&WorthSums::redeemed(&worth));
            }
        }
        // A moved coupon is counted in its new partition.
        if let Some(serial) = serial.filter(|_| view.forward_to().is_none())
            && let Some(offered) = self.offered.get_mut(&(serial.run.day, serial.run.first))
            && serial.offset < offered.below
        {
            offered.seen += 1;
        }
    }
}

fn count_state(counts: &mut [i64; 3], state: &State) {
    match state {
        State::Available => {}
        State::Issued { .. } => counts[0] += 1,
        State::Redeemed { .. } => counts[1] += 1,
        State::Void { .. } => counts[2] += 1,
    }
}
