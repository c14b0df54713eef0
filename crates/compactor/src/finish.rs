//! From an archive commit to a hot store that no longer has it.

use cold::{ColdFile, Committed, NewFile, Partition};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::HotError;

use crate::merge::Merge;
use crate::plan::Pass;
use crate::report::{PartitionReport, Progress};
use crate::{CompactError, Compactor};

/// What an archive commit's rows are known by: their codes and versions, in order.
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

/// What an archive commit does besides adding rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// The files that it takes out.
    pub(crate) replaced: &'a [ColdFile],
    /// See [`ColdFile::rewrites`].
    pub(crate) rewrites: u8,
    /// Rows that are read for it, about.
    pub(crate) total: u64,
}

/// An archive commit that has been made.
pub(crate) struct ArchiveCommit {
    pub(crate) number: u64,
    pub(crate) files: Vec<NewFile>,
    /// Coupons that came from hot.
    pub(crate) copied: u64,
}

impl Compactor {
    /// Finishes what somebody has committed to an open partition.
    pub(crate) async fn finish(&self, day: Day) -> Result<PartitionReport, CompactError> {
        let mut report = PartitionReport::new(day, Pass::Finish);
        let partition = self.cold.partition(day).await?;
        report.removed = self.finish_open(&partition).await?;
        Ok(report)
    }

    /// Makes an archive commit of what `merge` yields, in the place of what it replaces; `None`
    /// when somebody else has committed to the partition meanwhile.
    pub(crate) async fn write(
        &self,
        on: &Partition,
        mut merge: Merge,
        part: Part<'_>,
    ) -> Result<Option<ArchiveCommit>, CompactError> {
        let (day, number, total) = (on.day, on.archive_commit + 1, part.total);
        let mut writer =
            self.cold.writer_replacing(day, number, part.rewrites, part.replaced).await?;
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
            match self.cold.commit_up_to(on, number, &files, part.replaced, newest + 1).await? {
                Committed::Done { version } => {
                    self.has_committed(version).await?;
                    (self.watch)(Progress::Committed { day, archive_commit: number });
                    return Ok(Some(ArchiveCommit { number, files, copied }));
                }
                Committed::Taken { .. } => return Ok(None),
                Committed::Moved { version } => newest = version,
            }
        }
    }

    /// The same, where an error means no more than that somebody else has committed to the partition
    /// since it was looked at: what was about to be read is merged away.
    pub(crate) async fn unless_conflict(
        &self,
        on: &Partition,
        written: Result<Option<ArchiveCommit>, CompactError>,
    ) -> Result<Option<ArchiveCommit>, CompactError> {
        match written {
            Err(error) => match self.cold.partition(on.day).await? {
                partition if partition.archive_commit > on.archive_commit => Ok(None),
                _ => Err(error),
            },
            written => written,
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

    /// Side table, archived markers, done: for a partition that is still open. How many rows became
    /// archived markers.
    ///
    /// Hot is asked for the rows of each archive commit once, also of an archive commit that was
    /// merged since: a merged file says of each row which archive commit brought it.
    pub(crate) async fn finish_open(&self, partition: &Partition) -> Result<u64, CompactError> {
        let Some(plan) = self.hot.partition(partition.day).await? else { return Ok(0) };
        if partition.archive_commit <= plan.archive_commit {
            return Ok(0);
        }
        // Whoever has committed it may have been killed before it could say so.
        self.has_committed(partition.version).await?;
        self.cold.commit_holders(partition.day, partition.archive_commit).await?;
        let is_new = |file: &&ColdFile| file.newest_archive_commit() > plan.archive_commit;
        let total = partition.files.iter().filter(is_new).map(ColdFile::rows).sum();
        let (mut seen, mut evicted) = (0, 0);
        for file in partition.files.iter().filter(is_new) {
            let mut keys = self.cold.keys_behind(file, plan.archive_commit).await?;
            while let Some(chunk) = keys.next().await? {
                seen += chunk.len() as u64;
                match self.evict(partition.day, chunk).await? {
                    Some(some) => evicted += some,
                    // The rest goes with all that stands there.
                    None => return Ok(evicted),
                }
                (self.watch)(Progress::Removed { rows: seen, total });
            }
        }
        self.patiently(|| {
            self.hot.finish_archive_commit(partition.day, partition.archive_commit, false)
        })
        .await?;
        Ok(evicted)
    }

    /// Evicts these rows, an archived marker in the place of each; `None` when the partition is
    /// sealed, so that a store may refuse it for ever.
    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<Option<u64>, CompactError> {
        match self.hot.evict(day, copied.clone()).await {
            Ok(evicted) => return Ok(Some(evicted)),
            Err(HotError::Overloaded { .. } | HotError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if self.is_sealed(day).await? {
            return Ok(None);
        }
        match self.patiently(|| self.hot.evict(day, copied.clone())).await {
            Ok(evicted) => Ok(Some(evicted)),
            Err(_) if self.is_sealed(day).await? => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
