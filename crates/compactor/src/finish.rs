//! From a committed unit to a hot store that no longer has it.

use cold::{ColdFile, Committed, NewFile, Shelf};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

use crate::merge::Merge;
use crate::plan::Pass;
use crate::report::{Progress, ShelfReport};
use crate::{CompactError, Compactor};

/// What a unit's rows are known by: their codes and versions, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    rows: u64,
    hash: u64,
}

impl Digest {
    /// FNV-1a, 64 bits: it has to notice a lost or changed row, not an adversary.
    pub(crate) fn add(&mut self, code: &Code, version: u64) {
        const PRIME: u64 = 0x0100_0000_01b3;
        let mut hash = self.hash ^ 0xcbf2_9ce4_8422_2325;
        for byte in code.as_str().bytes().chain(version.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        self.hash = hash;
        self.rows += 1;
    }
}

/// A unit that has been committed.
pub(crate) struct Unit {
    pub(crate) number: u64,
    pub(crate) files: Vec<NewFile>,
    /// Coupons that came from hot.
    pub(crate) copied: u64,
}

impl Compactor {
    /// Finishes what somebody has committed to an open shelf.
    pub(crate) async fn finish(&self, day: Day) -> Result<ShelfReport, CompactError> {
        let mut report = ShelfReport::new(day, Pass::Finish);
        let shelf = self.cold.shelf(day).await?;
        report.removed = self.finish_open(&shelf).await?;
        Ok(report)
    }

    /// Writes a unit of what `merge` yields and commits it in the place of `replaced`; `None` when
    /// somebody else has committed to the shelf meanwhile.
    pub(crate) async fn write(
        &self,
        on: &Shelf,
        mut merge: Merge,
        replaced: &[ColdFile],
        total: u64,
    ) -> Result<Option<Unit>, CompactError> {
        let (day, number) = (on.day, on.unit + 1);
        let mut writer = self.cold.writer(day, number).await?;
        let (mut digest, mut rows) = (Digest::default(), 0);
        loop {
            let chunk = merge.next().await?;
            if chunk.is_empty() {
                break;
            }
            rows += chunk.len() as u64;
            chunk.iter().for_each(|coupon: &Coupon| digest.add(coupon.code(), coupon.version()));
            writer.push(chunk).await?;
            (self.watch)(Progress::Copied { rows, total });
        }
        let files = writer.finish().await?;
        // Before the commit: a file that cannot be read is never published.
        self.read_back(day, &files, digest).await?;
        let copied = merge.from_hot;
        let mut newest = on.version;
        loop {
            self.begins(newest + 1).await?;
            match self.cold.commit_up_to(on, number, &files, replaced, newest + 1).await? {
                Committed::Done { version } => {
                    self.has_committed(version).await?;
                    (self.watch)(Progress::Committed { day, unit: number });
                    return Ok(Some(Unit { number, files, copied }));
                }
                Committed::Taken { .. } => return Ok(None),
                Committed::Moved { version } => newest = version,
            }
        }
    }

    async fn read_back(
        &self,
        day: Day,
        files: &[NewFile],
        written: Digest,
    ) -> Result<(), CompactError> {
        let mut found = Digest::default();
        for file in files {
            let mut keys = self.cold.keys_of_new(file).await?;
            while let Some(chunk) = keys.next().await? {
                chunk.iter().for_each(|(code, version)| found.add(code, *version));
            }
        }
        match found == written {
            true => Ok(()),
            false => {
                let names: Vec<&str> = files.iter().map(|file| file.path()).collect();
                Err(CompactError::NotAsWritten { day, file: names.join(", ") })
            }
        }
    }

    /// Side table, stubs, done: for a shelf that is still open. How many rows became stubs.
    pub(crate) async fn finish_open(&self, shelf: &Shelf) -> Result<u64, CompactError> {
        let Some(plan) = self.hot.shelf(shelf.day).await? else { return Ok(0) };
        if shelf.unit <= plan.unit {
            return Ok(0);
        }
        // Whoever has committed it may have been killed before it could say so.
        self.has_committed(shelf.version).await?;
        self.cold.commit_holders(shelf.day, shelf.unit).await?;
        let total = shelf.files.iter().map(|file| file.rows()).sum();
        let (mut seen, mut retired) = (0, 0);
        for file in shelf.files.iter().filter(|file| file.unit() > plan.unit) {
            let mut keys = self.cold.keys(file).await?;
            while let Some(chunk) = keys.next().await? {
                seen += chunk.len() as u64;
                retired += self.patiently(|| self.hot.retire(shelf.day, chunk.clone())).await?;
                (self.watch)(Progress::Removed { rows: seen, total });
            }
        }
        self.patiently(|| self.hot.finish_unit(shelf.day, shelf.unit, false)).await?;
        Ok(retired)
    }
}
