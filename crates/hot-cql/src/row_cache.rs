//! Coupons as they stood a moment ago, so that a change need not read before it writes.
//!
//! A remembered coupon may be old. It is good enough to decide that a change is accepted, because
//! the write that follows says which version it is for and is refused if that is over; a refusal
//! or a replay is only ever said of a coupon that was read.

use std::collections::HashMap;
use std::sync::Mutex;

use coupon::code::Code;

use super::coupons::Located;

/// Coupons in each of the two generations, some 1 KB each.
const GENERATION: usize = 16_384;

/// Two generations: when the young one is full it becomes the old one, whose coupons are forgotten
/// unless they were asked for again.
#[derive(Default)]
pub(super) struct RowCache {
    generations: Mutex<(Generation, Generation)>,
}

type Generation = HashMap<Code, Located>;

impl RowCache {
    pub(super) fn get(&self, code: &Code) -> Option<Located> {
        let mut both = self.generations.lock().ok()?;
        if let Some(located) = both.0.get(code) {
            return Some(located.clone());
        }
        let located = both.1.remove(code)?;
        keep(&mut both, code.clone(), located.clone());
        Some(located)
    }

    pub(super) fn put(&self, located: &Located) {
        if let Ok(mut both) = self.generations.lock() {
            both.1.remove(located.coupon.code());
            keep(&mut both, located.coupon.code().clone(), located.clone());
        }
    }

    pub(super) fn forget(&self, code: &Code) {
        if let Ok(mut both) = self.generations.lock() {
            both.0.remove(code);
            both.1.remove(code);
        }
    }
}

fn keep(both: &mut (Generation, Generation), code: Code, located: Located) {
    if both.0.len() >= GENERATION {
        both.1 = std::mem::take(&mut both.0);
    }
    both.0.insert(code, located);
}
