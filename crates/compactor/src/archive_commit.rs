//! Makes an archive commit: copies the coupons to new files, checks the files, and commits them.

use std::sync::Arc;

use cold::{ColdFile, ColdPartition, ColdStore, CommitOutcome, NewFile};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use xxhash_rust::xxh3::Xxh3;

use crate::merge::{MergeSource, PIECE, PartitionMerge};
use crate::progress::CompactionProgress;
use crate::{CompactError, Compactor, Result};

/// A digest of the rows of an archive commit: their number, and a hash of their codes and versions,
/// in order. It finds lost and changed rows; it is not stored.
#[derive(Default)]
struct CommitDigest {
    rows: u64,
    hash: Xxh3,
}

impl CommitDigest {
    fn add(&mut self, code: &Code, version: u64) {
        self.rows += 1;
        self.hash.update(code.as_str().as_bytes());
        self.hash.update(&version.to_le_bytes());
    }
}

/// What an archive commit does besides adding rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitRewrite<'a> {
    pub(crate) replaced: &'a [ColdFile],
    /// See [`ColdFile::rewrites`].
    pub(crate) rewrites: u8,
    /// Rows that are read for it, about.
    pub(crate) total: u64,
}

pub(crate) struct ArchiveCommit {
    pub(crate) number: u64,
    pub(crate) files: Vec<NewFile>,
    pub(crate) copied: u64,
}

impl Compactor {
    /// `sources` must read cold through the store that it gets. Returns `None` if another compactor has committed to the
    /// partition meanwhile, or a person was erased: begin again.
    pub(crate) async fn write(
        &self,
        on: &ColdPartition,
        sources: impl FnOnce(&Arc<ColdStore>) -> Vec<MergeSource>,
        part: CommitRewrite<'_>,
    ) -> Result<Option<ArchiveCommit>> {
        let (day, number, total) = (on.day, on.archive_commit + 1, part.total);
        // Before the sources, which begin to read at once: the files say that they are clean of its erasures.
        let cold = Arc::new(self.cold.pinned());
        let sources = sources(&cold);
        let mut writer = cold.writer(day, number, part.rewrites, part.replaced).await?;
        let mut digest = CommitDigest::default();
        let mut merge = PartitionMerge::begin(day, sources).await?;
        loop {
            let chunk = merge.next(PIECE).await?;
            if chunk.is_empty() {
                break;
            }
            chunk.iter().for_each(|coupon: &Coupon| digest.add(coupon.code(), coupon.version()));
            writer.push(chunk).await?;
            (self.watch)(CompactionProgress::Copied { rows: digest.rows, total });
        }
        let files = writer.finish().await?;
        // Before the commit, so that a file that cannot be read is never published.
        self.read_back(day, &files, &digest).await?;
        // A later row of hot may be of a new person with the name of one who was erased since.
        if self.cold.known_erasures().last > cold.known_erasures().last {
            return Ok(None);
        }
        let copied = merge.from_hot;
        let mut newest = on.version;
        loop {
            // Before the commit: cold above this mark can only mean that hot is a restored backup.
            self.record_begun(newest + 1).await?;
            match self.cold.commit(on, number, &files, part.replaced, newest + 1).await? {
                CommitOutcome::Done { version } => {
                    // After the commit: cold below this mark can only be an older copy.
                    self.record_committed(version).await?;
                    (self.watch)(CompactionProgress::Committed { day, archive_commit: number });
                    return Ok(Some(ArchiveCommit { number, files, copied }));
                }
                CommitOutcome::Taken { archive_commit } if archive_commit > on.archive_commit => {
                    return Ok(None);
                }
                // Nobody else has committed, so this is no conflict, and a retry would end here, too.
                CommitOutcome::Taken { .. } => {
                    let what = format!("archive commit {number} was refused");
                    return Err(CompactError::NoProgress { day, what });
                }
                // The begun mark must name the version that the next try makes.
                CommitOutcome::Moved { version } => newest = version,
            }
        }
    }

    /// Turns an error into `None` if another compactor has committed to the partition meanwhile:
    /// then the error was that a merge had replaced the files that this one was reading.
    pub(crate) async fn unless_conflict(
        &self,
        on: &ColdPartition,
        written: Result<Option<ArchiveCommit>>,
    ) -> Result<Option<ArchiveCommit>> {
        match written {
            Err(error) => match self.cold.partition(on.day).await? {
                partition if partition.archive_commit > on.archive_commit => Ok(None),
                _ => Err(error),
            },
            written => written,
        }
    }

    async fn read_back(&self, day: Day, files: &[NewFile], written: &CommitDigest) -> Result<()> {
        let mut found = CommitDigest::default();
        for NewFile { file, .. } in files {
            let mut keys = self.cold.keys(file).await?;
            while let Some(chunk) = keys.next().await? {
                chunk.iter().for_each(|(code, version)| found.add(code, *version));
            }
        }
        if found.rows == written.rows && found.hash.digest() == written.hash.digest() {
            return Ok(());
        }
        let names: Vec<&str> = files.iter().map(|new| new.file.path()).collect();
        Err(CompactError::NotAsWritten { day, file: names.join(", ") })
    }
}
