//! Every coupon of both tiers that something has happened to or that was imported, once each,
//! partition by partition in the order of codes, also while a compaction runs.
//!
//! Of each partition a chunk of hot is read, and then what cold has between the same codes, at a
//! version looked up after it: what was moved in between is in the second, what was not is in the
//! first, and of two versions of a code the higher is the coupon. Memory for one chunk of hot and
//! one row group of each file.
//!
//! A coupon that is extended goes to a later partition, so it is never missed; but where the walk
//! has passed the earlier one before, it comes a second time, in a later version.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::PartitionRows;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{CouponSnapshot, HotError, Residue, Tier};

use crate::Engine;
use crate::failure::Failure;

/// Coupons read, and handed out, at a time.
const CHUNK: usize = 4_096;

/// How often one chunk is begun again because a merge has replaced what was being read, and a sweep
/// removed it. Merges of one partition are days apart.
const TRIES_MAX: usize = 3;

/// A walk on its way.
pub struct Walk {
    engine: Arc<Engine>,
    /// The first day that is still to come, and the last one.
    next: Day,
    last: Day,
    partition: Option<PartitionWalk>,
    chunk: usize,
    strangers: u64,
}

/// Some coupons of a walk.
pub(crate) struct Stretch {
    /// Those that were wanted.
    pub(crate) snapshots: Vec<CouponSnapshot>,
    /// How many were looked at.
    pub(crate) looked_at: u64,
}

/// Where a walk stands in one partition.
struct PartitionWalk {
    day: Day,
    chunk: usize,
    /// The last code handed out.
    after: Option<Code>,
    residue: VecDeque<Residue>,
    hot_ended: bool,
    /// The partition's archive commit when cold was looked at last.
    archive_commit: u64,
    cold: Option<PartitionRows>,
}

impl Engine {
    /// Begins a walk over the partitions from `from` on.
    pub fn walk(self: Arc<Engine>, from: Option<Day>) -> Walk {
        self.walk_by(CHUNK, from)
    }

    fn walk_by(self: Arc<Engine>, chunk: usize, from: Option<Day>) -> Walk {
        let (next, last) = (from.unwrap_or(Day(i32::MIN)), Day(i32::MAX));
        Walk { engine: self, next, last, partition: None, chunk, strangers: 0 }
    }
}

/// A walk over one partition, with nothing but the coupons.
pub struct PartitionCoupons {
    engine: Arc<Engine>,
    partition: PartitionWalk,
}

impl Engine {
    /// Begins a walk over one partition.
    pub fn partition_coupons(self: Arc<Engine>, day: Day) -> PartitionCoupons {
        PartitionCoupons { engine: self, partition: PartitionWalk::begin(day, CHUNK) }
    }
}

impl PartitionCoupons {
    /// Some coupons more, perhaps none, in the order of codes, also of campaigns that a restored
    /// hot store does not know; `None` behind the last one.
    ///
    /// # Errors
    /// As [`Walk::next`].
    pub async fn next(&mut self) -> Result<Option<Vec<(Coupon, Tier)>>, Failure> {
        self.partition.next(&self.engine).await
    }
}

impl Walk {
    /// The same walk, over the partitions up to `last` only.
    pub fn up_to(self, last: Option<Day>) -> Walk {
        Walk { last: last.unwrap_or(self.last), ..self }
    }

    /// Some coupons more, perhaps none; `None` behind the last one.
    ///
    /// # Errors
    /// Those of both stores; a coupon that should be in cold and is not. The walk is over then.
    pub async fn next(&mut self) -> Result<Option<Vec<CouponSnapshot>>, Failure> {
        Ok(self.next_of(|_| true).await?.map(|stretch| stretch.snapshots))
    }

    /// The same, of those that are `wanted` alone.
    ///
    /// # Errors
    /// As [`Walk::next`].
    pub(crate) async fn next_of(
        &mut self,
        wanted: impl Fn(&Coupon) -> bool,
    ) -> Result<Option<Stretch>, Failure> {
        loop {
            if self.partition.is_none() {
                let Some(day) = self.next_day().await? else { return Ok(None) };
                self.partition = Some(PartitionWalk::begin(day, self.chunk));
            }
            let Some(partition) = &mut self.partition else { return Ok(None) };
            match partition.next(&self.engine).await? {
                Some(coupons) => return self.stretch(coupons, wanted).await.map(Some),
                None => {
                    // No coupon expires at the end of the range of days.
                    self.next = Day(partition.day.0.saturating_add(1));
                    self.partition = None;
                }
            }
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Coupons so far of campaigns that a restored hot store does not know: they are left out.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// The partition behind the last one, looked up now: an extension may have brought a coupon to
    /// a day that there was not when the walk began.
    async fn next_day(&self) -> Result<Option<Day>, Failure> {
        let days = self.next..=self.last;
        // Hot first: a partition that is emptied in between is in cold.
        let hot = self.engine.hot.partitions().await?.into_iter().map(|partition| partition.day);
        let hot = hot.filter(|day| days.contains(day)).min();
        let cold = match self.engine.has_cold().await? {
            true => self.engine.cold.partitions().await?,
            false => Vec::new(),
        };
        let cold =
            cold.into_iter().map(|partition| partition.day).filter(|day| days.contains(day)).min();
        Ok(hot.into_iter().chain(cold).min())
    }

    async fn stretch(
        &mut self,
        coupons: Vec<(Coupon, Tier)>,
        wanted: impl Fn(&Coupon) -> bool,
    ) -> Result<Stretch, Failure> {
        let looked_at = coupons.len() as u64;
        let coupons: Vec<_> = coupons.into_iter().filter(|(coupon, _)| wanted(coupon)).collect();
        let found = coupons.len();
        let snapshots = self.engine.snapshots_of(coupons).await?;
        self.strangers += (found - snapshots.len()) as u64;
        Ok(Stretch { snapshots, looked_at })
    }
}

impl PartitionWalk {
    fn begin(day: Day, chunk: usize) -> PartitionWalk {
        let (after, residue) = (None, VecDeque::new());
        PartitionWalk {
            day,
            chunk,
            after,
            residue,
            hot_ended: false,
            archive_commit: 0,
            cold: None,
        }
    }

    /// Some coupons more, perhaps none; `None` at the end of the partition.
    async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>, Failure> {
        for _ in 1..TRIES_MAX {
            match self.some(engine).await {
                Err(_) if self.was_merged(engine).await => self.go_back(),
                ended => return ended,
            }
        }
        self.some(engine).await
    }

    /// Whether the partition has moved on since its files were opened: what took their place has
    /// the same coupons.
    async fn was_merged(&self, engine: &Engine) -> bool {
        engine
            .cold
            .partition(self.day)
            .await
            .is_ok_and(|partition| partition.archive_commit > self.archive_commit)
    }

    /// To what was handed out last.
    fn go_back(&mut self) {
        *self = PartitionWalk {
            after: self.after.take(),
            ..PartitionWalk::begin(self.day, self.chunk)
        };
    }

    async fn some(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>, Failure> {
        if self.residue.is_empty() && !self.hot_ended {
            #[cfg(test)]
            tests::meanwhile(tests::Read::Hot).await;
            let residue = engine.hot.residue(self.day, self.after.clone(), self.chunk).await?;
            self.hot_ended = residue.len() < self.chunk;
            self.residue = residue.into();
            self.look_at_cold(engine).await?;
        }
        let last = self.residue.back().map(|residue| residue.code().clone());
        let cold = match &mut self.cold {
            Some(rows) => rows.up_to(last.as_ref(), self.chunk).await?,
            None => Vec::new(),
        };
        if cold.is_empty() && self.residue.is_empty() {
            return Ok(None);
        }
        // A full chunk of cold may end before hot's does.
        let up_to = match cold.len() == self.chunk {
            true => cold.last().map(|coupon| coupon.code().clone()),
            false => last,
        };
        let merged = self.merged(cold, up_to.as_ref())?;
        self.after = merged.last().map(|(coupon, _)| coupon.code().clone());
        Ok(Some(merged))
    }

    /// After hot was read: the same partition in cold, behind what was handed out.
    async fn look_at_cold(&mut self, engine: &Engine) -> Result<(), Failure> {
        #[cfg(test)]
        tests::meanwhile(tests::Read::Cold).await;
        if !engine.has_cold().await? {
            return Ok(());
        }
        let partition = engine.cold.partition(self.day).await?;
        if self.cold.is_none() || self.archive_commit != partition.archive_commit {
            self.archive_commit = partition.archive_commit;
            self.cold = Some(engine.cold.partition_rows(&partition, self.after.as_ref()).await?);
        }
        Ok(())
    }

    /// Both up to a code, each code once.
    fn merged(
        &mut self,
        cold: Vec<Coupon>,
        up_to: Option<&Code>,
    ) -> Result<Vec<(Coupon, Tier)>, Failure> {
        let mut cold = cold.into_iter().peekable();
        let mut merged = Vec::new();
        while let Some(residue) =
            self.residue.pop_front_if(|residue| up_to.is_none_or(|up_to| residue.code() <= up_to))
        {
            while let Some(archived) = cold.next_if(|archived| archived.code() < residue.code()) {
                merged.push((archived, Tier::Cold));
            }
            let archived = cold.next_if(|archived| archived.code() == residue.code());
            merged.push(newer(residue, archived)?);
        }
        merged.extend(cold.map(|archived| (archived, Tier::Cold)));
        Ok(merged)
    }
}

/// Of one code what stands in hot and what lies in cold: the higher version is the coupon.
fn newer(residue: Residue, archived: Option<Coupon>) -> Result<(Coupon, Tier), Failure> {
    match (residue, archived) {
        (Residue::Coupon(coupon), Some(archived)) if archived.version() > coupon.version() => {
            Ok((archived, Tier::Cold))
        }
        (Residue::Coupon(coupon), _) => Ok((*coupon, Tier::Hot)),
        (Residue::ArchivedMarker { version, .. }, Some(archived))
            if archived.version() >= version =>
        {
            Ok((archived, Tier::Cold))
        }
        (Residue::ArchivedMarker { code, .. }, _) => {
            let why = format!("{code} was moved to cold and is not there");
            Err(Failure::Store(HotError::Cold(why.into())))
        }
    }
}

#[cfg(test)]
mod tests;
