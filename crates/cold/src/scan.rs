//! Scans over many coupons, one partition after the other. The statistics of files and row groups
//! exclude what cannot match.

use std::collections::VecDeque;
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};

use crate::bounds::{ColumnBounds, may_hold};
use crate::cursor::{BATCH_ROWS, FileRows, RowDecoder};
use crate::decode;
use crate::error::{ColdError, Result};
use crate::live::ColdFile;
use crate::log::TableVersion;
use crate::merge::RowMerge;
use crate::store::{ColdPartition, ColdStore};

/// Which coupons to return. A field that is not set excludes nothing.
#[derive(Clone, Debug, Default)]
pub struct ScanFilter {
    pub campaign: Option<CampaignId>,
    /// Only with this expiry or a later one.
    pub expires_from: Option<Millis>,
    /// Only with an expiry before this instant.
    pub expires_before: Option<Millis>,
    /// Only with a redemption, live or cancelled, made at the first instant or later and before the second.
    pub redeemed: Option<(Millis, Millis)>,
    /// Fail before reading if the statistics do not exclude more rows than this.
    pub rows_max: Option<u64>,
}

impl ScanFilter {
    fn takes(&self, coupon: &Coupon) -> bool {
        self.campaign.as_ref().is_none_or(|campaign| *campaign == coupon.genesis().campaign)
            && self.expires_from.is_none_or(|from| from <= coupon.expires_at())
            && self.expires_before.is_none_or(|before| coupon.expires_at() < before)
            && self.redeemed.is_none_or(|(from, before)| {
                let mut made =
                    coupon.events().iter().filter(|event| (from..before).contains(&event.at));
                made.any(|event| matches!(event.kind, EventKind::Redeemed { .. }))
            })
    }

    /// Whether a row within `bounds` may match by what no later version can undo: the campaign
    /// never changes, and no version forgets a redemption.
    fn may_take(&self, bounds: &ColumnBounds) -> bool {
        let campaign = self.campaign.as_ref();
        campaign.is_none_or(|campaign| may_hold(bounds.campaign.as_ref(), campaign.as_str()))
            && self.redeemed.is_none_or(|span| may_be_redeemed(bounds, span))
    }

    /// Whether a row within `bounds` may match by its expiry. A later version may have another
    /// expiry, so this may exclude rows only where there is one version.
    fn may_expire(&self, bounds: &ColumnBounds) -> bool {
        let Some((first, last)) = bounds.expires_at else { return true };
        self.expires_from.is_none_or(|from| from <= last)
            && self.expires_before.is_none_or(|before| first < before)
    }
}

impl ColdStore {
    /// Scans the newest version for the coupons that `filter` accepts, in no particular order. If a
    /// partition has two copies of a code, the newer one counts. Holds one row group of each file
    /// of a partition in memory.
    ///
    /// # Errors
    /// [`ColdError::TooMuch`], decided from the footers; [`ColdError::Unavailable`], also if there
    /// is no table; [`ColdError::Damaged`].
    pub async fn scan(&self, filter: ScanFilter) -> Result<ColdScan> {
        let known = self.inner.coupons.newest().await?;
        let days = known.files.keys().copied().collect();
        let scan = ColdScan { store: self.clone(), filter, known, days, partition: None };
        if let Some(max) = scan.filter.rows_max {
            let rows = scan.rows().await?;
            if rows > max {
                return Err(ColdError::TooMuch { rows, max });
            }
        }
        Ok(scan)
    }

    /// Reads the coupons of one partition after `after`, in the order of their codes, each in its
    /// newest version. Holds one row group of each file in memory.
    pub async fn partition_rows(
        &self,
        partition: &ColdPartition,
        after: Option<&Code>,
    ) -> Result<PartitionRows> {
        let mut files = Vec::with_capacity(partition.files.len());
        let is_behind = |bounds: &ColumnBounds| match (&bounds.code, after) {
            (Some((_, last)), Some(after)) => last.as_str() > after.as_str(),
            (None, _) | (_, None) => true,
        };
        for ColdFile { live } in &partition.files {
            let reading = RowDecoder::all(decode::coupons);
            files.push(self.open_where(&self.inner.coupons, live, reading, is_behind).await?);
        }
        Ok(PartitionRows { merge: RowMerge::new(files), after: after.cloned() })
    }
}

/// Whether a row within `bounds` may have a redemption of this span of time. A cancelled one needs two
/// changes, and what was redeemed did not change last before that.
fn may_be_redeemed(bounds: &ColumnBounds, (from, before): (Millis, Millis)) -> bool {
    let live = bounds.redeemed_at.is_none_or(|(first, last)| first < before && from <= last);
    let cancelled = bounds.version.is_none_or(|(_, highest)| highest >= 2);
    (live || cancelled) && bounds.modified_at.is_none_or(|(_, last)| from <= last)
}

pub struct ColdScan {
    store: ColdStore,
    filter: ScanFilter,
    known: Arc<TableVersion>,
    days: VecDeque<Day>,
    partition: Option<(Day, RowMerge<Coupon>)>,
}

impl ColdScan {
    /// Returns the next coupons with the expiry day of their partition, at most 8,192 and all of
    /// one partition; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<(Day, Coupon)>>> {
        loop {
            let (day, mut partition) = match self.partition.take() {
                Some(partition) => partition,
                None => match self.days.pop_front() {
                    Some(day) => (day, RowMerge::new(self.parts(day).await?)),
                    None => return Ok(None),
                },
            };
            let mut taken = Vec::new();
            while let Some(coupon) = partition.next().await? {
                if self.filter.takes(&coupon) {
                    taken.push((day, coupon));
                }
                if taken.len() == BATCH_ROWS {
                    self.partition = Some((day, partition));
                    return Ok(Some(taken));
                }
            }
            if !taken.is_empty() {
                return Ok(Some(taken));
            }
        }
    }

    /// Rows that the statistics do not exclude.
    async fn rows(&self) -> Result<u64> {
        let mut rows = 0;
        for day in &self.days {
            rows += self.parts(*day).await?.iter().map(FileRows::rows_left).sum::<u64>();
        }
        Ok(rows)
    }

    /// The row groups of a partition that the statistics do not exclude.
    async fn parts(&self, day: Day) -> Result<Vec<FileRows<Coupon>>> {
        let inner = &self.store.inner;
        let reading = match self.filter.redeemed {
            None => RowDecoder::all(decode::coupons),
            Some((from, before)) => RowDecoder::all(move |batch, names| {
                decode::coupons_redeemed(batch, names, from, before)
            }),
        };
        let files = self.known.files(day);
        let mut parts = Vec::new();
        let mut some_expire = false;
        for file in files.iter().filter(|file| self.filter.may_take(&file.bounds)) {
            let footer = self.store.footer(file).await?;
            let bounds = |at: &usize| &footer.groups[*at].bounds;
            let mut groups: VecDeque<usize> =
                (0..footer.groups.len()).filter(|at| self.filter.may_take(bounds(at))).collect();
            some_expire |= groups.iter().any(|at| self.filter.may_expire(bounds(at)));
            if files.len() == 1 {
                groups.retain(|at| self.filter.may_expire(bounds(at)));
            }
            let reading = (reading.clone(), self.store.names(file));
            parts.push(FileRows::new(&inner.files, &inner.coupons, file, footer, reading, groups));
        }
        parts.retain(|part| some_expire && part.rows_left() > 0);
        Ok(parts)
    }
}

pub struct PartitionRows {
    merge: RowMerge<Coupon>,
    after: Option<Code>,
}

impl PartitionRows {
    /// Returns the next coupons up to the code `last`, at most `limit`.
    pub async fn up_to(&mut self, last: Option<&Code>, limit: usize) -> Result<Vec<Coupon>> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(next) = self.merge.peek().await? else { break };
            if last.is_some_and(|last| next.code() > last) {
                break;
            }
            let Some(coupon) = self.merge.next().await? else { break };
            // The row group may begin before `after`.
            if self.after.as_ref().is_none_or(|after| coupon.code() > after) {
                taken.push(coupon);
            }
        }
        Ok(taken)
    }
}
