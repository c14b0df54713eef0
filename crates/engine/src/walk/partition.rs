//! A walk over one partition: the merge of hot and cold in the order of codes.

use std::collections::VecDeque;

use cold::PartitionRows;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{HotError, Residue, Tier};

#[cfg(test)]
use super::tests;
use crate::Engine;
use crate::failure::{Failure, Result};

/// How often a walk tries one chunk. A merge may replace the files that it reads, and a sweep
/// remove them; merges of one partition are days apart.
const TRIES_MAX: usize = 3;

/// A walk over one partition that gives the coupons without their terms.
pub struct PartitionWalk {
    pub(super) day: Day,
    chunk: usize,
    /// The last code that was handed out.
    after: Option<Code>,
    residue: VecDeque<Residue>,
    hot_ended: bool,
    /// The partition's archive commit when cold was read last.
    archive_commit: u64,
    cold: Option<PartitionRows>,
}

impl PartitionWalk {
    /// Reads at most `chunk` coupons of each tier at a time.
    pub fn begin(day: Day, chunk: usize) -> PartitionWalk {
        let (residue, hot_ended, archive_commit) = (VecDeque::new(), false, 0);
        PartitionWalk { day, chunk, after: None, residue, hot_ended, archive_commit, cold: None }
    }

    /// The next coupons, perhaps none, in the order of codes; `None` after the last one. Has
    /// coupons of campaigns that a restored hot store does not know, too.
    ///
    /// # Errors
    /// Those of both stores; a coupon that should be in cold and is not. An error ends the walk.
    pub async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>> {
        for _ in 1..TRIES_MAX {
            match self.some(engine).await {
                Err(_) if self.was_merged(engine).await => self.go_back(),
                ended => return ended,
            }
        }
        self.some(engine).await
    }

    /// Whether the partition has a newer archive commit than the open files. The files that
    /// replaced them have the same coupons.
    async fn was_merged(&self, engine: &Engine) -> bool {
        let partition = engine.cold.partition(self.day).await;
        partition.is_ok_and(|partition| partition.archive_commit > self.archive_commit)
    }

    fn go_back(&mut self) {
        *self = PartitionWalk {
            after: self.after.take(),
            ..PartitionWalk::begin(self.day, self.chunk)
        };
    }

    async fn some(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>> {
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

    /// Opens the partition in cold, after the last code that was handed out. Only after hot was
    /// read.
    async fn look_at_cold(&mut self, engine: &Engine) -> Result<()> {
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

    /// The coupons of both tiers up to a code, each code once.
    fn merged(&mut self, cold: Vec<Coupon>, up_to: Option<&Code>) -> Result<Vec<(Coupon, Tier)>> {
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

/// The coupon of one code that hot has, and perhaps cold: the higher version.
fn newer(residue: Residue, archived: Option<Coupon>) -> Result<(Coupon, Tier)> {
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
