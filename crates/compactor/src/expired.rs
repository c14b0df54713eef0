//! The Expired pass: a shelf whose time is over is sealed, moved and emptied.

use std::collections::VecDeque;

use cold::{Keys, Shelf};
use coupon::code::Code;
use coupon::time::{Day, Millis};
use hot::{Emptying, Kept};

use crate::merge::{self, Merge};
use crate::plan::Pass;
use crate::report::{Progress, ShelfReport};
use crate::{CHUNK, CompactError, Compactor, RACES_MAX};

impl Compactor {
    /// Seals one shelf, moves all of it and empties it.
    pub(crate) async fn expired_pass(
        &self,
        day: Day,
        now: Millis,
    ) -> Result<ShelfReport, CompactError> {
        let mut report = ShelfReport::new(day, Pass::Expired);
        if !self.patiently(|| self.hot.seal(day, now)).await? {
            // Its time was put off since the plan was made.
            return Ok(report);
        }
        let total = self.hot.count(day).await?;
        let known = self.hot.shelf(day).await?.map_or(0, |plan| plan.unit);
        if total == 0 && known == 0 && self.hot.cold_mark().await?.begun.is_none() {
            // Nothing was ever on it that had a row.
            self.patiently(|| self.hot.finish_unit(day, 0, true)).await?;
            return Ok(report);
        }
        self.make_tables().await?;
        for _ in 0..RACES_MAX {
            let shelf = self.cold.shelf(day).await?;
            if shelf.unit > known {
                self.cold.commit_holders(day, shelf.unit).await?;
            }
            if shelf.files.len() <= 1 && self.is_all_there(&shelf).await? {
                self.has_committed(shelf.version).await?;
                report.removed = self.empty(day, total).await?;
                self.patiently(|| self.hot.finish_unit(day, shelf.unit, true)).await?;
                return Ok(report);
            }
            let mut sources = vec![merge::kept(self.hot.clone(), day)];
            sources.extend(merge::files(&self.cold, &shelf.files).await?);
            let rows = total + shelf.files.iter().map(|file| file.rows()).sum::<u64>();
            let written = self.write(&shelf, Merge::new(day, sources), &shelf.files, rows).await;
            let unit = match written {
                Ok(Some(unit)) => unit,
                Ok(None) => continue,
                // A stub of a unit that was committed after the shelf was looked at.
                Err(CompactError::StubAlone { .. })
                    if self.cold.shelf(day).await?.unit > shelf.unit =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            report.add(&unit);
            self.cold.commit_holders(day, unit.number).await?;
            report.removed = self.empty(day, total).await?;
            self.patiently(|| self.hot.finish_unit(day, unit.number, true)).await?;
            return Ok(report);
        }
        Err(CompactError::Overtaken { day })
    }

    /// Whether everything that stands on the shelf lies in its file already: a run that was killed
    /// after its commit, or a shelf that the Closed pass has moved as a whole.
    async fn is_all_there(&self, shelf: &Shelf) -> Result<bool, CompactError> {
        let mut cold = KeysAhead { keys: None, rows: VecDeque::new() };
        if let Some(file) = shelf.files.first() {
            cold.keys = Some(self.cold.keys(file).await?);
        }
        let mut after: Option<Code> = None;
        loop {
            let kept = self.hot.kept(shelf.day, after.take(), CHUNK).await?;
            let Some(last) = kept.last() else { return Ok(true) };
            after = Some(last.code().clone());
            for row in &kept {
                let version = match row {
                    Kept::Coupon(coupon) => coupon.version(),
                    Kept::Stub { version, .. } => *version,
                };
                if cold.version_of(row.code()).await?.is_none_or(|found| found < version) {
                    return Ok(false);
                }
            }
        }
    }

    async fn empty(&self, day: Day, total: u64) -> Result<u64, CompactError> {
        let mut so_far = Emptying::default();
        while let Some(further) =
            self.patiently(|| self.hot.remove_kept(day, so_far.clone())).await?
        {
            so_far = further;
            (self.watch)(Progress::Removed { rows: so_far.removed, total });
        }
        Ok(so_far.removed)
    }
}

/// The keys of a file, walked beside those of hot.
struct KeysAhead {
    keys: Option<Keys>,
    rows: VecDeque<(Code, u64)>,
}

impl KeysAhead {
    async fn version_of(&mut self, code: &Code) -> Result<Option<u64>, CompactError> {
        loop {
            match self.rows.front() {
                Some((here, _)) if here < code => {
                    self.rows.pop_front();
                }
                Some((here, version)) => return Ok((here == code).then_some(*version)),
                None => {
                    let Some(keys) = &mut self.keys else { return Ok(None) };
                    match keys.next().await? {
                        Some(chunk) => self.rows.extend(chunk),
                        None => self.keys = None,
                    }
                }
            }
        }
    }
}
