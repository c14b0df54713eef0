//! Transactions that need coupons of cold.
//!
//! A transaction cannot wait for another store. A job that meets a coupon of cold which was not
//! fetched yet ends before it has written anything, and says which coupons it needs. The caller
//! fetches them and runs the job again.
use rusqlite::Result as SqlResult;

use crate::cold::{ColdRequest, Prefetched};
use crate::failure::{ColdMiss, elsewhere};
use crate::txn::Txn;

pub(crate) enum JobAttempt<T> {
    Done(T),
    /// Without a result, and without a write: the job needs these coupons.
    NeedsCold(Vec<ColdRequest>),
}

/// `body` must not have written anything when it needs more from cold.
pub(crate) fn attempt<T>(
    txn: &Txn<'_>,
    prefetched: &Prefetched,
    body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
) -> SqlResult<JobAttempt<T>> {
    let txn = txn.with_prefetched(prefetched);
    match body(&txn) {
        Err(error) if elsewhere(&error) == Some(&ColdMiss::Wanted) => {
            Ok(JobAttempt::NeedsCold(txn.wanted()))
        }
        ended => ended.map(JobAttempt::Done),
    }
}

/// Goes on after [`ColdMiss::Wanted`], so that the job asks cold for all coupons at once.
pub(crate) fn all<T>(results: impl Iterator<Item = SqlResult<T>>) -> SqlResult<Vec<T>> {
    let (mut all, mut wanted) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(error) if elsewhere(&error) == Some(&ColdMiss::Wanted) => wanted = Some(error),
            Err(error) => return Err(error),
        }
    }
    wanted.map_or(Ok(all), Err)
}
