//! Where a coupon is that something else names: the walk from partition to partition, and into cold.

use std::collections::BTreeMap;

use cold::ColdError;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{EntryIs, RowIs};

use crate::verifier::{ColdIs, Result, Verifier};

/// Most coupons that one run looks for in cold because something names them. Each is a read of its own.
const FOLLOWED_MAX: u64 = 100_000;

/// Most moves of one coupon that are followed. A coupon is moved a few times in its life; more hops than
/// this are a circle.
const HOPS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CouponWhereabouts {
    Found(Box<Coupon>),
    /// In cold, where it was not looked for.
    InCold,
    /// Its row cannot be read, or says that it is in cold and it is not; the row has a finding of its own.
    Unreadable,
    Nowhere,
}

/// Whether this is the first look at something, or one that decides whether to report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookRound {
    /// May leave out what costs too many reads.
    First,
    /// Reads everything.
    Again,
}

impl Verifier<'_> {
    /// Follows every move of the coupons that were once in these partitions: where each is now.
    pub(crate) async fn whereabouts(
        &mut self,
        spots: &[(Day, Code)],
        look: LookRound,
    ) -> Result<Vec<CouponWhereabouts>> {
        let mut found = vec![CouponWhereabouts::Nowhere; spots.len()];
        let mut open: Vec<(usize, Day, Code)> =
            spots.iter().enumerate().map(|(at, (day, code))| (at, *day, code.clone())).collect();
        let mut in_cold: Vec<(usize, Day, Code)> = Vec::new();
        for _ in 0..HOPS_MAX {
            if open.is_empty() {
                break;
            }
            let asked = open.iter().map(|(_, day, code)| (*day, code.clone())).collect();
            let rows = self.hot.rows_at(asked).await?;
            let (mut moved, mut absent) = (Vec::new(), Vec::new());
            for ((at, day, code), rows) in open.into_iter().zip(rows) {
                match rows.into_iter().next().map(|row| row.is) {
                    Some(RowIs::Coupon { coupon, .. }) => {
                        found[at] = CouponWhereabouts::Found(coupon)
                    }
                    Some(RowIs::Unreadable(_)) => found[at] = CouponWhereabouts::Unreadable,
                    Some(RowIs::ArchivedMarker { .. }) => {
                        // If nothing is in cold, the archived marker has a finding of its own.
                        found[at] = CouponWhereabouts::Unreadable;
                        in_cold.push((at, day, code));
                    }
                    Some(RowIs::Forwarding { to }) => moved.push((at, to, code)),
                    None => absent.push((at, day, code)),
                }
            }
            let codes = absent.iter().map(|(_, _, code)| code.clone()).collect();
            let entries = self.hot.entries_at(codes).await?;
            for ((at, day, code), entry) in absent.into_iter().zip(entries) {
                match entry.map(|entry| entry.is) {
                    Some(EntryIs::Coupon { day: entered, .. }) if entered > day => {
                        moved.push((at, entered, code));
                    }
                    _ => in_cold.push((at, day, code)),
                }
            }
            open = moved;
        }
        let spots: Vec<(Day, Code)> =
            in_cold.iter().map(|(_, day, code)| (*day, code.clone())).collect();
        let archived = self.in_cold(&spots, look).await?;
        for ((at, ..), archived) in in_cold.into_iter().zip(archived) {
            if archived != CouponWhereabouts::Nowhere {
                found[at] = archived;
            }
        }
        Ok(found)
    }

    /// Looks for these coupons in cold, up to [`FOLLOWED_MAX`] of them.
    pub(crate) async fn in_cold(
        &mut self,
        spots: &[(Day, Code)],
        look: LookRound,
    ) -> Result<Vec<CouponWhereabouts>> {
        let mut found = vec![CouponWhereabouts::Nowhere; spots.len()];
        let mut days: BTreeMap<Day, Vec<usize>> = BTreeMap::new();
        for (at, (day, _)) in spots.iter().enumerate() {
            days.entry(*day).or_default().push(at);
        }
        for (day, places) in days {
            let is_known = self.hot.partition(day).await?;
            if self.cold_is == ColdIs::Unused {
                continue;
            }
            let enough = look == LookRound::First && self.followed >= FOLLOWED_MAX;
            if !self.has_cold_log() || (enough && is_known.is_some()) {
                places.iter().for_each(|at| found[*at] = CouponWhereabouts::InCold);
                continue;
            }
            self.followed += places.len() as u64;
            let codes: Vec<Code> = places.iter().map(|at| spots[*at].1.clone()).collect();
            match self.cold.find(day, &codes).await {
                Ok(coupons) => {
                    for (at, coupon) in places.into_iter().zip(coupons) {
                        if let Some(coupon) = coupon {
                            found[at] = CouponWhereabouts::Found(Box::new(coupon));
                        }
                    }
                }
                Err(ColdError::Damaged { .. }) => {
                    places.iter().for_each(|at| found[*at] = CouponWhereabouts::InCold);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}
