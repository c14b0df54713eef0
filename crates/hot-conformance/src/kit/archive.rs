//! A cold tier in memory.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::Archive;

/// A cold tier in memory. It counts its reads, and a case can make them fail.
#[derive(Default)]
pub struct MemoryArchive {
    coupons: Mutex<HashMap<(Day, Code), Coupon>>,
    /// The last archive commit of each partition.
    archive_commits: Mutex<HashMap<Day, u64>>,
    /// The last archive commit that a read named.
    archive_commit: AtomicU64,
    is_out: AtomicBool,
    calls: AtomicUsize,
    codes: AtomicUsize,
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn coupons(
        &self,
        day: Day,
        archive_commit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>> {
        self.archive_commit.store(archive_commit, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.codes.fetch_add(codes.len(), Ordering::Relaxed);
        if self.is_out.load(Ordering::Relaxed) {
            return Err("the archive does not answer".into());
        }
        Ok(codes.iter().map(|code| self.coupon(day, code)).collect())
    }
}

impl MemoryArchive {
    /// Stores a copy without its hold, which has lapsed. The higher of two versions stays.
    pub fn keep(&self, day: Day, coupon: &Coupon) {
        let (genesis, events) = (coupon.genesis().clone(), coupon.events().to_vec());
        let copy = Coupon::of(genesis, events, None, coupon.version(), coupon.modified_at());
        let mut coupons = self.coupons.lock().unwrap();
        let here = coupons.entry((day, coupon.code().clone())).or_insert_with(|| copy.clone());
        if here.version() < copy.version() {
            *here = copy;
        } else if here.version() == copy.version() {
            assert_eq!(here, &copy, "a coupon in cold is final");
        }
    }

    pub fn coupon(&self, day: Day, code: &Code) -> Option<Coupon> {
        self.coupons.lock().unwrap().get(&(day, code.clone())).cloned()
    }

    /// Loses a coupon. A real cold tier must not do this.
    pub fn lose(&self, day: Day, code: &Code) -> Coupon {
        self.coupons.lock().unwrap().remove(&(day, code.clone())).expect("the coupon was there")
    }

    /// The archive commit that the last read named.
    pub fn archive_commit_asked(&self) -> u64 {
        self.archive_commit.load(Ordering::Relaxed)
    }

    /// Completes one more archive commit of a partition. Returns its number.
    pub(super) fn commit(&self, day: Day) -> u64 {
        let mut archive_commits = self.archive_commits.lock().unwrap();
        let archive_commit = archive_commits.entry(day).or_default();
        *archive_commit += 1;
        *archive_commit
    }

    /// From now on every read fails.
    pub fn goes_out(&self) {
        self.is_out.store(true, Ordering::Relaxed);
    }

    /// From now on reads succeed.
    pub fn comes_back(&self) {
        self.is_out.store(false, Ordering::Relaxed);
    }

    /// The reads since the last call of this method, and the number of their codes.
    pub fn asked(&self) -> (usize, usize) {
        (self.calls.swap(0, Ordering::Relaxed), self.codes.swap(0, Ordering::Relaxed))
    }
}
