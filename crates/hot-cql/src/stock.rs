//! What a campaign has left to issue: codes in memory, the leases that they come from, and the walk
//! that finds out that nothing is left.
//!
//! The write of the coupon decides who gets it. A lease only keeps processes from trying the same
//! codes, so other processes may issue from the lease of a process that died, and a process that was
//! frozen does no harm. Coupons that were returned to their batch are in no lease, and each process
//! begins at another place among them. A lease ends only when each of its codes was seen to be
//! issued, or dead.
//!
//! The answer is "sold out" if nothing is left to lease, and two walks over the open leases and the
//! returned coupons, one after the other, have read the same codes in the same versions, and none of
//! them available. Then there was a moment between the two walks at which none was available.

mod counter;
mod lease_rows;
mod leases;
mod offers;
mod returned;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use coupon::code::Code;
use coupon::ids::BatchId;
use coupon::time::Day;

use crate::coupons::CqlCoupon;
pub(crate) use counter::OfferQueues;
pub(crate) use leases::{CHUNK_MAX, RENEWED_EVERY_ROUNDS};
pub(crate) use offers::{CouponOffer, NextOffer, OfferState};

const WALKED_AT_ONCE: usize = 64;

/// Kinds of leases, in the order in which they are stored.
pub(crate) const CHUNK: i32 = 1;

pub(crate) const RUN: i32 = 2;

/// A lease, or one coupon that came back, as this process has it.
#[derive(Debug)]
struct Lease {
    batch: BatchId,
    row: StockRow,
    /// Whether the row of the lease names this process: otherwise there is nothing to give back.
    owned: bool,
    /// Codes that were not seen to be issued, or dead.
    left: AtomicUsize,
    /// What `done` is in its row once `left` is 0.
    ends: usize,
    /// None of its codes was found touched so far: they are offered without a read.
    fresh: AtomicBool,
}

/// The row of a lease, which is deleted with it.
#[derive(Debug)]
enum StockRow {
    Lease { kind: i32, first: i64, name: String },
    Returned { part: i32, version: i64, code: Code },
}

#[derive(Clone, Debug)]
struct WaitingCode {
    code: Code,
    /// The partition that is read first for it.
    day: Option<Day>,
    lease: Arc<Lease>,
}

impl WaitingCode {
    /// One that came back, whose row is in `returned`.
    fn returned(
        batch: &BatchId,
        day: Option<Day>,
        part: i32,
        version: i64,
        code: Code,
    ) -> WaitingCode {
        let lease = Lease {
            batch: batch.clone(),
            row: StockRow::Returned { part, version, code: code.clone() },
            owned: false,
            left: AtomicUsize::new(1),
            ends: 1,
            fresh: AtomicBool::new(false),
        };
        WaitingCode { code, day, lease: Arc::new(lease) }
    }
}

/// Whether a returned code is entered for a version that its coupon may still get.
fn is_entered(lease: &Lease, located: &CqlCoupon) -> bool {
    match lease.row {
        // Nothing is written to a sealed partition.
        StockRow::Returned { version, .. } => {
            located.coupon.version() < version.unsigned_abs() && !located.frozen
        }
        StockRow::Lease { .. } => false,
    }
}
