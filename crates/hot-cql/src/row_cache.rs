//! A cache of coupons as they were a moment ago, so that a change need not read before it writes.
//!
//! A cached coupon can only lead to an acceptance: the write that follows names the version that it
//! replaces, and fails if the coupon has a newer one. Before a refusal or a replay the coupon is
//! read.

use std::collections::HashMap;

use coupon::code::Code;
use parking_lot::Mutex;

use super::coupons::CqlCoupon;

/// Coupons in each of the two generations, some 1 KB each.
const GENERATION: usize = 16_384;

/// Two generations. When the young one is full it becomes the old one; coupons of the old one that
/// were not used again are forgotten.
#[derive(Default)]
pub(super) struct RowCache {
    generations: Mutex<(CacheGeneration, CacheGeneration)>,
}

type CacheGeneration = HashMap<Code, CqlCoupon>;

impl RowCache {
    pub(super) fn get(&self, code: &Code) -> Option<CqlCoupon> {
        let mut both = self.generations.lock();
        if let Some(located) = both.0.get(code) {
            return Some(located.clone());
        }
        let located = both.1.remove(code)?;
        keep(&mut both, code.clone(), located.clone());
        Some(located)
    }

    pub(super) fn put(&self, located: &CqlCoupon) {
        let mut both = self.generations.lock();
        both.1.remove(located.coupon.code());
        keep(&mut both, located.coupon.code().clone(), located.clone());
    }

    pub(super) fn forget(&self, code: &Code) {
        let mut both = self.generations.lock();
        both.0.remove(code);
        both.1.remove(code);
    }
}

fn keep(both: &mut (CacheGeneration, CacheGeneration), code: Code, located: CqlCoupon) {
    if both.0.len() >= GENERATION {
        both.1 = std::mem::take(&mut both.0);
    }
    both.0.insert(code, located);
}
