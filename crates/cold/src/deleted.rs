//! Expiry days that were deleted: a small object for each, beside the tables. It says how many coupons there were, so that
//! the counts of their campaigns can still be checked; it names nobody.

use std::collections::{BTreeMap, BTreeSet};

use coupon::coupon::{Coupon, State};
use coupon::ids::CampaignId;
use coupon::time::Day;
use coupon::worth::WorthSums;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::error::Result;
use crate::names;
use crate::store::ColdStore;

const FOLDER: &str = "deleted";

/// What a deleted day had of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedCoupons {
    /// Issued, redeemed and void.
    pub states: [i64; 3],
    /// The amounts of the redemptions.
    pub worth: WorthSums,
}

/// What a deleted day had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedDay {
    pub coupons: u64,
    pub campaigns: BTreeMap<CampaignId, DeletedCoupons>,
}

impl DeletedDay {
    pub fn add(&mut self, coupon: &Coupon) {
        self.coupons += 1;
        let of = self.campaigns.entry(coupon.genesis().campaign.clone()).or_default();
        match coupon.state() {
            State::Available => {}
            State::Issued { .. } => of.states[0] += 1,
            State::Redeemed { .. } => of.states[1] += 1,
            State::Void { .. } => of.states[2] += 1,
        }
        if let Some(worth) = coupon.redemption().and_then(|it| it.worth) {
            of.worth.add(&WorthSums::redeemed(&worth));
        }
    }

    fn text(&self) -> String {
        let of = |(id, of): (&CampaignId, &DeletedCoupons)| {
            (id.to_string(), json!({"states": of.states, "worth": of.worth.to_string()}))
        };
        let campaigns: serde_json::Map<String, Value> = self.campaigns.iter().map(of).collect();
        json!({"coupons": self.coupons, "campaigns": campaigns}).to_string()
    }

    fn parse(text: &[u8]) -> Option<DeletedDay> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let mut campaigns = BTreeMap::new();
        for (id, of) in value["campaigns"].as_object()? {
            let states = [0, 1, 2].map(|at| of["states"][at].as_i64());
            let [Some(issued), Some(redeemed), Some(void)] = states else { return None };
            let worth = of["worth"].as_str()?.parse().ok()?;
            let coupons = DeletedCoupons { states: [issued, redeemed, void], worth };
            campaigns.insert(id.parse().ok()?, coupons);
        }
        Some(DeletedDay { coupons: value["coupons"].as_u64()?, campaigns })
    }
}

fn object(day: Day) -> Path {
    Path::from(format!("{FOLDER}/{}.json", names::iso(day)))
}

impl ColdStore {
    /// Keeps what a day had whose coupons are to be deleted. From here on the day is one of [`ColdStore::deleted_days`].
    /// What is there stays.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`], [`crate::ColdError::Full`].
    pub async fn keep_deleted(&self, day: Day, had: &DeletedDay) -> Result<()> {
        self.inner.location.keep(&object(day), had.text().into()).await
    }

    /// The days whose coupons were deleted, or are being deleted. One list of a folder.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`].
    pub async fn deleted_days(&self) -> Result<BTreeSet<Day>> {
        let location = &self.inner.location;
        if location.folder.as_ref().is_some_and(|local| local.is_gone()) {
            return Ok(BTreeSet::new());
        }
        let kept = location.list(&Path::from(FOLDER)).await?;
        let day = |path: &Path| names::day_from_iso(path.filename()?.strip_suffix(".json")?);
        Ok(kept.iter().filter_map(|meta| day(&meta.location)).collect())
    }

    /// What a deleted day had; `None` of another day.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`], [`crate::ColdError::Damaged`].
    pub async fn deleted(&self, day: Day) -> Result<Option<DeletedDay>> {
        let (location, object) = (&self.inner.location, object(day));
        let Some(text) = location.whole(&object).await? else { return Ok(None) };
        let damaged = || location.damaged(&object, "it does not say how many coupons there were");
        DeletedDay::parse(&text).ok_or_else(damaged).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_day_had_is_read_back() {
        let coupons = DeletedCoupons {
            states: [1, 2, 3],
            worth: "KRW 1 30000 3000 3000 0 0 0 0".parse().unwrap(),
        };
        let campaigns =
            [("c".parse().unwrap(), coupons), ("d".parse().unwrap(), DeletedCoupons::default())];
        let had = DeletedDay { coupons: 7, campaigns: campaigns.into() };
        assert_eq!(DeletedDay::parse(had.text().as_bytes()), Some(had));
        for text in ["", "{}", r#"{"coupons": 1, "campaigns": {"c": {"states": [1]}}}"#] {
            assert_eq!(DeletedDay::parse(text.as_bytes()), None, "{text}");
        }
    }
}
