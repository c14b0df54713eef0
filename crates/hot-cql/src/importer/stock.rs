//! Adds the available coupons that a copy has written to the stock.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use hot::bounded_join;
use hot::protocol::{is_history_full, is_stock};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::{AT_ONCE, LONG_AGO};
use crate::CqlStore;
use crate::coupons::CqlCoupon;
use crate::stock::CHUNK;
use crate::values::signed;
use cql_session::Result;

const CHUNK_CODES: usize = 500;

impl CqlStore {
    /// Enters available coupons with a row: minted ones in `returned`, imported ones in a lease.
    pub(super) async fn put_stock(&self, coupons: &[CqlCoupon]) -> Result<()> {
        let mut imported: BTreeMap<(&str, &str), Vec<(Millis, &Code)>> = BTreeMap::new();
        let mut returned = Vec::new();
        for it in coupons {
            let coupon = &it.coupon;
            if !is_stock(it.terms(), coupon) || is_history_full(coupon) {
                continue;
            }
            let (campaign, batch) = (&coupon.genesis().campaign, &coupon.genesis().batch);
            if it.here.campaign.batches.get(batch).is_some_and(|batch| batch.run.is_some()) {
                returned.push(self.put_returned(campaign, coupon));
            } else {
                let of = imported.entry((campaign.as_str(), batch.as_str())).or_default();
                of.push((coupon.expires_at(), coupon.code()));
            }
        }
        bounded_join(AT_ONCE, returned).await?;
        for ((campaign, batch), mut codes) in imported {
            // Within a page, the code that expires first is issued first.
            codes.sort();
            for some in codes.chunks(CHUNK_CODES) {
                self.put_chunk(campaign, batch, some).await?;
            }
        }
        Ok(())
    }

    async fn put_returned(&self, campaign: &CampaignId, coupon: &Coupon) -> Result<()> {
        let part = self.part_to_enter(campaign, coupon).await?;
        let cql = "INSERT INTO returned (campaign_id, batch_id, part, version, code) \
                   VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (batch, version) = (coupon.genesis().batch.as_str(), signed(coupon.version()));
        let code = coupon.code().as_str();
        let values = (campaign.as_str(), batch, part, version, code, LONG_AGO + version);
        self.session.write(cql, values).await
    }

    /// A chunk is named after its codes: written again it is the same one.
    async fn put_chunk(
        &self,
        campaign: &str,
        batch: &str,
        codes: &[(Millis, &Code)],
    ) -> Result<()> {
        let names: Vec<&str> = codes.iter().map(|(_, code)| code.as_str()).collect();
        let chunk = Uuid::from_u128(xxh3_128(names.join(" ").as_bytes()));
        let cql = "INSERT INTO stock (chunk, position, code) VALUES (?, ?, ?)";
        let rows = (0_i32..).zip(&names).map(|(at, code)| (chunk, at, *code));
        self.session.write_all(cql, rows.collect()).await?;
        // After the codes: a lease without them would be taken for one that is used up.
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let first = codes.first().map_or(0, |(at, _)| at.0);
        let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
        let values = (campaign, batch, CHUNK, first, chunk.to_string(), count, LONG_AGO);
        self.session.write(cql, values).await
    }
}
