//! Reading many coupons: what cannot match is ruled out by the statistics of files and row
//! groups, and the rest is read one partition after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};

use crate::bounds::{Bounds, may_hold};
use crate::cursor::{BATCH_ROWS, Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::files::ReadError;
use crate::footer::Footer;
use crate::log::{LiveFile, TableVersion};
use crate::store::{ColdFile, ColdStore, Inner, Partition};

/// Which coupons are wanted; what is not set rules nothing out.
#[derive(Clone, Debug, Default)]
pub struct ScanFilter {
    /// Of one campaign.
    pub campaign: Option<CampaignId>,
    /// That expire at this instant or later.
    pub expires_from: Option<Millis>,
    /// That expire before this instant.
    pub expires_before: Option<Millis>,
    /// That were changed at this instant or later.
    pub modified_from: Option<Millis>,
    /// In the partitions of these days, both included.
    pub days: Option<(Day, Day)>,
    /// Refuse before reading if more rows than that cannot be ruled out.
    pub rows_max: Option<u64>,
}

impl ScanFilter {
    fn has_day(&self, day: Day) -> bool {
        self.days.is_none_or(|(from, to)| from <= day && day <= to)
    }

    fn takes(&self, coupon: &Coupon) -> bool {
        self.campaign.as_ref().is_none_or(|campaign| *campaign == coupon.genesis().campaign)
            && self.expires_from.is_none_or(|from| from <= coupon.expires_at())
            && self.expires_before.is_none_or(|before| coupon.expires_at() < before)
            && self.modified_from.is_none_or(|from| from <= coupon.modified_at())
    }

    /// Whether a row within `bounds` may match in what no later version of it takes back: the
    /// campaign never changes, and the time of the last change only rises.
    fn may_take(&self, bounds: &Bounds) -> bool {
        let campaign = self.campaign.as_ref();
        campaign.is_none_or(|campaign| may_hold(bounds.campaign.as_ref(), campaign.as_str()))
            && self.modified_from.zip(bounds.modified_at).is_none_or(|(from, (_, to))| from <= to)
    }

    /// Whether a row within `bounds` may match in its expiry. A later version may have another
    /// one, so this rules out rows only where there is one version.
    fn may_expire(&self, bounds: &Bounds) -> bool {
        let Some((first, last)) = bounds.expires_at else { return true };
        self.expires_from.is_none_or(|from| from <= last)
            && self.expires_before.is_none_or(|before| first < before)
    }
}

impl ColdStore {
    /// The coupons that `filter` takes, at one version that is looked up now, in no promised
    /// order; of two copies of a code in one partition the newer one. Memory for one row group of
    /// each file of a partition.
    ///
    /// # Errors
    /// [`ColdError::TooMuch`], known from the footers alone; [`ColdError::Unavailable`], also
    /// where there is no table; [`ColdError::Damaged`].
    pub async fn scan(&self, filter: ScanFilter) -> Result<Scan, ColdError> {
        let known = self.inner.coupons.newest().await?;
        let days = known.files.keys().copied().filter(|day| filter.has_day(*day)).collect();
        let scan = Scan { store: self.clone(), filter, known, days, partition: None };
        if let Some(max) = scan.filter.rows_max {
            let rows = scan.rows().await?;
            if rows > max {
                return Err(ColdError::TooMuch { rows, max });
            }
        }
        Ok(scan)
    }
}

impl ColdStore {
    /// The coupons of one partition behind `after`, in the order of their codes, each in its newest
    /// version. Memory for one row group of each file.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn partition_rows(
        &self,
        partition: &Partition,
        after: Option<&Code>,
    ) -> Result<PartitionRows, ColdError> {
        let Inner { location, coupons, files, .. } = &*self.inner;
        let mut heads = Vec::with_capacity(partition.files.len());
        for ColdFile { live: file } in &partition.files {
            let object = coupons.object(&file.path);
            let footer = match files.footer(&object, file).await {
                Ok(footer) => footer,
                Err(error) => return Err(unread(self, file, error).await),
            };
            let is_behind = |at: &usize| match (&footer.groups[*at].bounds.code, after) {
                (Some((_, last)), Some(after)) => last.as_str() > after.as_str(),
                (None, _) | (_, None) => true,
            };
            let groups = (0..footer.groups.len()).filter(is_behind).collect();
            let reading = Reading::all(decode::coupons);
            let cursor = Cursor::new(location, files, object, file, footer, reading, groups);
            heads.push(Head { file: Arc::clone(file), cursor, rows: VecDeque::new() });
        }
        let merge = Merge { day: partition.day, heads };
        Ok(PartitionRows { store: self.clone(), merge, after: after.cloned() })
    }
}

/// The coupons of one partition, in order.
pub struct PartitionRows {
    store: ColdStore,
    merge: Merge,
    after: Option<Code>,
}

impl PartitionRows {
    /// The next coupons whose codes are not behind `last`, at most `limit`.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn up_to(
        &mut self,
        last: Option<&Code>,
        limit: usize,
    ) -> Result<Vec<Coupon>, ColdError> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(code) = self.merge.next_code(&self.store).await? else { break };
            if last.is_some_and(|last| code > *last) {
                break;
            }
            let Some(coupon) = self.merge.next(&self.store).await? else { break };
            // A row group begins before what was asked for.
            if self.after.as_ref().is_none_or(|after| coupon.code() > after) {
                taken.push(coupon);
            }
        }
        Ok(taken)
    }
}

/// A scan on its way.
pub struct Scan {
    store: ColdStore,
    filter: ScanFilter,
    known: Arc<TableVersion>,
    /// Partitions that are still to be read.
    days: VecDeque<Day>,
    partition: Option<Merge>,
}

impl Scan {
    /// The next coupons with their partitions, at most 8,192 and all of one partition; `None`
    /// behind the last one.
    ///
    /// # Errors
    /// As [`ColdStore::scan`].
    pub async fn next(&mut self) -> Result<Option<Vec<(Day, Coupon)>>, ColdError> {
        loop {
            let mut partition = match self.partition.take() {
                Some(partition) => partition,
                None => match self.days.pop_front() {
                    Some(day) => self.open(day).await?,
                    None => return Ok(None),
                },
            };
            let mut taken = Vec::new();
            while let Some(coupon) = partition.next(&self.store).await? {
                if self.filter.takes(&coupon) {
                    taken.push((partition.day, coupon));
                }
                if taken.len() == BATCH_ROWS {
                    self.partition = Some(partition);
                    return Ok(Some(taken));
                }
            }
            if !taken.is_empty() {
                return Ok(Some(taken));
            }
        }
    }

    /// Rows that cannot be ruled out.
    async fn rows(&self) -> Result<u64, ColdError> {
        let mut rows = 0;
        for day in &self.days {
            for part in self.parts(*day).await? {
                rows += part.groups.iter().map(|at| part.footer.groups[*at].rows).sum::<u64>();
            }
        }
        Ok(rows)
    }

    /// The row groups of a partition that cannot be ruled out.
    async fn parts(&self, day: Day) -> Result<Vec<Part>, ColdError> {
        let files = self.known.files(day);
        let mut parts = Vec::new();
        let mut some_expire = false;
        for file in files.iter().filter(|file| self.filter.may_take(&file.bounds)) {
            let object = self.store.inner.coupons.object(&file.path);
            let footer = match self.store.inner.files.footer(&object, file).await {
                Ok(footer) => footer,
                Err(error) => return Err(unread(&self.store, file, error).await),
            };
            let bounds = |at: &usize| &footer.groups[*at].bounds;
            let mut groups: VecDeque<usize> =
                (0..footer.groups.len()).filter(|at| self.filter.may_take(bounds(at))).collect();
            some_expire |= groups.iter().any(|at| self.filter.may_expire(bounds(at)));
            if files.len() == 1 {
                groups.retain(|at| self.filter.may_expire(bounds(at)));
            }
            parts.push(Part { file: Arc::clone(file), footer, groups });
        }
        parts.retain(|part| some_expire && !part.groups.is_empty());
        Ok(parts)
    }

    async fn open(&self, day: Day) -> Result<Merge, ColdError> {
        let Inner { location, coupons, files, .. } = &*self.store.inner;
        let heads = self.parts(day).await?.into_iter().map(|Part { file, footer, groups }| {
            let (object, reading) = (coupons.object(&file.path), Reading::all(decode::coupons));
            let cursor = Cursor::new(location, files, object, &file, footer, reading, groups);
            Head { file, cursor, rows: VecDeque::new() }
        });
        Ok(Merge { day, heads: heads.collect() })
    }
}

/// What is read of one file.
struct Part {
    file: Arc<LiveFile>,
    footer: Arc<Footer>,
    groups: VecDeque<usize>,
}

/// The files of one partition, read side by side in the order of the codes.
struct Merge {
    day: Day,
    heads: Vec<Head>,
}

struct Head {
    file: Arc<LiveFile>,
    cursor: Cursor<Coupon>,
    rows: VecDeque<Coupon>,
}

impl Merge {
    /// The next code.
    async fn next_code(&mut self, store: &ColdStore) -> Result<Option<Code>, ColdError> {
        self.fill(store).await?;
        let codes = self.heads.iter().filter_map(|head| head.rows.front().map(Coupon::code));
        Ok(codes.min().cloned())
    }

    /// The coupon with the next code, in its newest version.
    async fn next(&mut self, store: &ColdStore) -> Result<Option<Coupon>, ColdError> {
        let Some(code) = self.next_code(store).await? else { return Ok(None) };
        let copies = self.heads.iter_mut().filter_map(|head| head.take(&code));
        Ok(copies.max_by_key(Coupon::version))
    }

    async fn fill(&mut self, store: &ColdStore) -> Result<(), ColdError> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if head.rows.is_empty() {
                match head.cursor.next().await {
                    Ok(Some(rows)) => head.rows = rows.into(),
                    Ok(None) => {
                        self.heads.swap_remove(at);
                        continue;
                    }
                    Err(error) => return Err(unread(store, &head.file, error).await),
                }
            }
            at += 1;
        }
        Ok(())
    }
}

impl Head {
    fn take(&mut self, code: &Code) -> Option<Coupon> {
        self.rows.pop_front_if(|coupon| coupon.code() == code)
    }
}

async fn unread(store: &ColdStore, file: &Arc<LiveFile>, error: ReadError) -> ColdError {
    store.unread(&ColdFile { live: Arc::clone(file) }, error).await
}
