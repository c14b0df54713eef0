//! Coupons with their terms, for pages and walks.

use std::collections::{BTreeMap, HashMap};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{CouponSnapshot, Tier};

use crate::Engine;
use crate::failure::Result;

impl Engine {
    /// Leaves out those of whose coupons hot still has rows: hot lists them, at another position. `of` names the
    /// partition and the coupon of each.
    pub(crate) async fn not_in_hot<T>(
        &self,
        mut found: Vec<T>,
        of: impl Fn(&T) -> (Day, &Coupon),
    ) -> Result<Vec<T>> {
        let mut by_day: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for (day, coupon) in found.iter().map(&of) {
            by_day.entry(day).or_default().push(coupon.code().clone());
        }
        let mut versions: HashMap<Code, u64> = HashMap::new();
        for (day, mut codes) in by_day {
            codes.sort_unstable();
            codes.dedup();
            let rows = self.hot.coupons_of(day, codes).await?;
            versions.extend(rows.iter().map(|coupon| (coupon.code().clone(), coupon.version())));
        }
        found.retain(|it| {
            let (_, coupon) = of(it);
            versions.get(coupon.code()).is_none_or(|version| *version < coupon.version())
        });
        Ok(found)
    }

    /// Each coupon with its terms, beside what belongs to it. Leaves out coupons of campaigns that a restored hot store
    /// does not know.
    pub(crate) async fn snapshots_of<T>(
        &self,
        coupons: Vec<(T, Coupon, Tier)>,
    ) -> Result<Vec<(T, CouponSnapshot)>> {
        let mut known = HashMap::new();
        let mut snapshots = Vec::with_capacity(coupons.len());
        for (beside, coupon, tier) in coupons {
            let genesis = coupon.genesis();
            let key = (genesis.campaign.clone(), genesis.batch.clone());
            if !known.contains_key(&key) {
                let campaign = self.hot.campaign(&key.0, self.now()).await?;
                let batch = self.hot.batch(&key.0, &key.1).await?;
                let both = campaign.map(|row| row.campaign).zip(batch.map(|batch| batch.paused));
                known.insert(key.clone(), both);
            }
            if let Some(Some((campaign, batch_paused))) = known.get(&key).cloned() {
                snapshots.push((beside, CouponSnapshot { coupon, campaign, batch_paused, tier }));
            }
        }
        Ok(snapshots)
    }
}
