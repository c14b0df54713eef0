//! Looking coupons up by code: reads one partition, and at most one row group of a file for each
//! code.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use futures::stream::{self, StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::RowSelection;

use crate::cursor::BATCH_ROWS;
use crate::decode;
use crate::error::Result;
use crate::files::{GroupBytes, ReadError};
use crate::footer::FileFooter;
use crate::live::LiveFile;
use crate::persons::PersonNames;
use crate::store::{ColdStore, ColdStoreInner, READ_TRIES_MAX};

/// Row groups read at once. Each has half a megabyte.
const READS_MAX: usize = 8;

/// If there are two copies of a code, the one with the higher version counts.
type FoundCoupons = BTreeMap<Code, Coupon>;

impl ColdStore {
    /// Looks up `codes` in one partition. Returns one answer for each code, in the same order.
    ///
    /// A hit may come from a cached version, because cold is final. A miss is checked at a version
    /// that was looked up after the call began. Reads one range for each row group that may hold
    /// one of the codes, and the footer of each file whose footer is not cached.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`].
    pub async fn find(&self, day: Day, codes: &[Code]) -> Result<Vec<Option<Coupon>>> {
        self.find_with(day, 0, codes).await
    }

    /// As [`ColdStore::find`], for a caller who knows that the partition has had the commit
    /// `archive_commit`. At a version without that commit, a miss is damage: the log has lost an
    /// entry.
    pub async fn find_with(
        &self,
        day: Day,
        archive_commit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>> {
        let ColdStoreInner { location, coupons, .. } = &*self.inner;
        // Before the first read: a miss counts only at a version that was looked up later.
        let ticket = coupons.ticket();
        let mut missing: Vec<Code> = codes.to_vec();
        missing.sort_unstable();
        missing.dedup();
        let mut found = FoundCoupons::new();
        let (mut known, mut is_fresh) = match coupons.remembered() {
            Some(known) if known.archive_commit(day) >= archive_commit => (known, false),
            Some(_) | None => (coupons.since(ticket).await?, true),
        };
        let mut seen: Vec<Arc<LiveFile>> = Vec::new();
        for _ in 0..READ_TRIES_MAX {
            let files: Vec<Arc<LiveFile>> =
                known.files(day).iter().filter(|file| !seen.contains(file)).cloned().collect();
            match self.look(&files, &missing).await {
                Ok(hits) => {
                    missing.retain(|code| !hits.contains_key(code));
                    found.extend(hits);
                    if is_fresh && !missing.is_empty() && known.archive_commit(day) < archive_commit
                    {
                        return Err(self.lost(day, known.archive_commit(day), archive_commit));
                    }
                    if missing.is_empty() || is_fresh {
                        return Ok(codes.iter().map(|code| found.get(code).cloned()).collect());
                    }
                    seen.extend(files);
                    known = coupons.since(ticket).await?;
                }
                Err((_, ReadError::Cold(error))) => return Err(error),
                Err((file, ReadError::Gone)) => {
                    // A merge has replaced the file: a newer version names the one with its rows.
                    known = coupons.newest().await?;
                    if known.is_live(day, &file.path) {
                        return Err(coupons.unread_file(&file, ReadError::Gone).await);
                    }
                }
            }
            is_fresh = true;
        }
        Err(location.unavailable("merges keep replacing the files of the partition: retry"))
    }

    /// Those of `codes` that the files hold. `codes` ascend.
    async fn look(
        &self,
        files: &[Arc<LiveFile>],
        codes: &[Code],
    ) -> Result<FoundCoupons, (Arc<LiveFile>, ReadError)> {
        let mut reads = Vec::new();
        for file in files {
            if within(codes, file.bounds.code.as_ref()).is_empty() {
                continue;
            }
            let footer = self.inner.files.footer(file).await;
            let footer = footer.map_err(|error| (Arc::clone(file), error))?;
            for (at, group) in footer.groups.iter().enumerate() {
                let wanted = within(codes, group.bounds.code.as_ref()).to_vec();
                if wanted.is_empty() {
                    continue;
                }
                let (file, footer) = (Arc::clone(file), Arc::clone(&footer));
                reads.push(async move {
                    let read = self.look_in(&file, &footer, at, wanted).await;
                    read.map_err(|error| (file, error))
                });
            }
        }
        let mut found = stream::iter(reads).buffer_unordered(READS_MAX);
        let mut newest = FoundCoupons::new();
        while let Some(coupons) = found.try_next().await? {
            for coupon in coupons {
                let held = newest.get(coupon.code());
                if held.is_none_or(|held| held.version() < coupon.version()) {
                    newest.insert(coupon.code().clone(), coupon);
                }
            }
        }
        Ok(newest)
    }

    /// Those of `wanted` that row group `at` of a file holds.
    async fn look_in(
        &self,
        file: &LiveFile,
        footer: &FileFooter,
        at: usize,
        wanted: Vec<Code>,
    ) -> Result<Vec<Coupon>, ReadError> {
        let ColdStoreInner { location, files, .. } = &*self.inner;
        let (bytes, names) = (files.group(file, footer, at).await?, self.names(file));
        Ok(location.decoded(file, move || pick(&bytes, &wanted, &names)).await?)
    }
}

/// Those of `codes` that may lie between the ends. `codes` ascend.
fn within<'a>(codes: &'a [Code], ends: Option<&(String, String)>) -> &'a [Code] {
    let Some((from, to)) = ends else { return codes };
    let first = codes.partition_point(|code| code.as_str() < from.as_str());
    let behind = codes.partition_point(|code| code.as_str() <= to.as_str());
    &codes[first..behind.max(first)]
}

/// The coupons of `wanted` that the row group holds. `wanted` ascend. Decodes the codes first, then
/// the other columns of the matching rows.
fn pick(
    group: &GroupBytes,
    wanted: &[Code],
    names: &PersonNames,
) -> Result<Vec<Coupon>, Box<dyn Error + Send + Sync>> {
    let mut wanted = wanted.iter().peekable();
    let (mut rows, mut at) = (Vec::new(), 0);
    for batch in group.decode(Some(&["code"]), None, BATCH_ROWS)? {
        let batch = batch?;
        let codes = decode::texts(&batch, "code")?;
        for row in 0..batch.num_rows() {
            let code = codes.needed(row)?;
            while wanted.next_if(|wanted| wanted.as_str() < code).is_some() {}
            if wanted.peek().is_some_and(|wanted| wanted.as_str() == code) {
                rows.push(at + row..at + row + 1);
            }
        }
        at += batch.num_rows();
    }
    let mut found = Vec::new();
    if !rows.is_empty() {
        let selected = RowSelection::from_consecutive_ranges(rows.into_iter(), at);
        for batch in group.decode(None, Some(selected), BATCH_ROWS)? {
            found.extend(decode::coupons(&batch?, names)?);
        }
    }
    Ok(found)
}
