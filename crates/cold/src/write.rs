//! Writing the files of an archive commit.

use std::fmt;

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::encoder::{FileEncoder, NewFiles};
use crate::error::{ColdError, Result};
use crate::live::NewFile;
use crate::location::StoreLocation;
use crate::names::{self, FileOrigin};
use crate::options::ColdOptions;
use crate::origins::OriginReader;
use crate::{encode, schema};

/// Coupons, and for each the archive commit that brought it to cold.
type CouponChunk = (Vec<Coupon>, Vec<u64>);

/// Chunks that wait for the encoder: enough to hide one slow read.
const CHUNKS_MAX: usize = 4;

/// Takes the coupons of one archive commit, in ascending order of their codes.
///
/// If it is dropped before [`PartitionWriter::finish`], a later sweep deletes any file it leaves.
pub struct PartitionWriter {
    location: StoreLocation,
    /// `None` after an error.
    encoder: Option<FileEncoder<CouponChunk>>,
    last: Option<Code>,
    origins: OriginReader,
}

impl fmt::Debug for PartitionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionWriter").field("last", &self.last).finish_non_exhaustive()
    }
}

impl PartitionWriter {
    pub(crate) fn new(
        location: &StoreLocation,
        options: &ColdOptions,
        origin: FileOrigin,
        origins: OriginReader,
    ) -> PartitionWriter {
        let name = move || names::coupons_file(origin);
        let files = NewFiles::new(location, &schema::COUPONS, options.group_bytes, name);
        let rows_max = options.file_rows_max.max(1);
        let take = move |files: &mut NewFiles, (coupons, archived_in): CouponChunk| {
            write(files, rows_max, &coupons, &archived_in)
        };
        let encoder = FileEncoder::start(files, CHUNKS_MAX, take);
        PartitionWriter { location: location.clone(), encoder: Some(encoder), last: None, origins }
    }

    /// Takes the next coupons. Waits only while the encoder is several chunks behind.
    ///
    /// # Errors
    /// [`ColdError::Order`] if a code is not above the one before it. Otherwise what went wrong
    /// with an earlier chunk, or on reading a file that is to be replaced. After an error nothing
    /// more can be written.
    pub async fn push(&mut self, coupons: Vec<Coupon>) -> Result<()> {
        if let Err(error) = self.check_order(&coupons) {
            self.encoder = None;
            return Err(error);
        }
        let archived_in = self.origins.of(&coupons).await?;
        if let Some(encoder) = &self.encoder
            && encoder.push((coupons, archived_in)).await
        {
            return Ok(());
        }
        self.outcome().await.map(|_| ())
    }

    /// Ends the files and returns them; none if there were no coupons. They are durable and in no
    /// commit.
    pub async fn finish(mut self) -> Result<Vec<NewFile>> {
        self.outcome().await
    }

    fn check_order(&mut self, coupons: &[Coupon]) -> Result<()> {
        let mut last = self.last.as_ref();
        for coupon in coupons {
            if let Some(last) = last.filter(|last| *last >= coupon.code()) {
                return Err(ColdError::Order { last: last.clone(), found: coupon.code().clone() });
            }
            last = Some(coupon.code());
        }
        self.last = last.cloned();
        Ok(())
    }

    async fn outcome(&mut self) -> Result<Vec<NewFile>> {
        match self.encoder.take() {
            Some(encoder) => encoder.finish().await,
            None => Err(self.location.unavailable("the writer has failed before")),
        }
    }
}

fn write(
    files: &mut NewFiles,
    rows_max: u64,
    mut coupons: &[Coupon],
    mut archived_in: &[u64],
) -> Result<()> {
    while !coupons.is_empty() {
        let room = usize::try_from(rows_max - files.rows()).unwrap_or(usize::MAX);
        let (now, later) = coupons.split_at(room.min(coupons.len()));
        let (archive_commits, later_archive_commits) = archived_in.split_at(now.len());
        files.write(encode::batch(now, archive_commits))?;
        if files.rows() >= rows_max {
            files.close()?;
        }
        (coupons, archived_in) = (later, later_archive_commits);
    }
    Ok(())
}
