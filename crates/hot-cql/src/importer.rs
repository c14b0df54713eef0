//! A cluster as the target of a copy. Campaigns, rows of coupons and directory entries have a file each.
//!
//! Every write has a write time long ago that follows from the version of the item. So of two
//! passes the later version stays, and every write of a running service is newer than both. A
//! campaign has no version that all stores know: it is written as a service changes it, by updates
//! that are conditional on its revision here.

mod campaigns;
mod coupons;
mod directory;

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};
use hot::inventory::{ClaimItem, Importer, Item, PartitionItem, Pass, RowIs, RowItem, Vanishing};
use hot::protocol::{SERIAL_GAP, is_history_full, is_stock};
use hot::settings::{FEED_EPOCH, FEED_EPOCHS_BEFORE, LONG_CODES};
use hot::{HotError, bounded_join};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::coupons::CqlCoupon;
use crate::import::{LONG_AGO, ROWS_AT_ONCE};
use crate::stock::CHUNK;
use crate::values::{date, instant, parsed, signed};
use crate::{CqlHot, CqlStore};
use cql_session::Result;
use cql_session::claim_rows::EntryValue;

const AT_ONCE: usize = 128;

const CHUNK_CODES: usize = 500;

/// The write time of a seal: later than any version, earlier than any clock.
const SEALED_LONG_AGO: i64 = 1_000_000_000_000;

const _: () = assert!(SEALED_LONG_AGO > LONG_AGO + (1 << 39));

macro_rules! update_plan {
    ($set:literal) => {
        concat!("UPDATE partition_plan USING TIMESTAMP ? SET ", $set, " WHERE expiry_day = ?")
    };
}

#[async_trait]
impl Importer for CqlHot {
    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<()> {
        let coupons = items.iter().filter_map(|item| match item {
            Item::Row(RowItem { day, is: RowIs::Coupon { coupon, .. }, .. }) => {
                Some((*day, &**coupon))
            }
            _ => None,
        });
        self.store.put_coupons(coupons.collect(), pass).await?;
        let others = items.iter().map(|item| self.store.put_item(item, pass));
        bounded_join(AT_ONCE, others).await.map(drop)
    }

    async fn remove(&self, items: Vec<Vanishing>) -> Result<()> {
        bounded_join(AT_ONCE, items.iter().map(|it| self.store.remove_vanished(it))).await.map(drop)
    }

    async fn settle(&self) -> Result<()> {
        self.flush().await;
        Ok(())
    }
}

impl CqlStore {
    async fn put_item(&self, item: &Item, pass: Pass) -> Result<()> {
        match item {
            Item::Partition(it) => self.put_partition(it).await,
            Item::Campaign(it) => self.put_campaign(it).await,
            Item::Row(RowItem { day, code, is, .. }) => match is {
                // Written before, with those of the whole page.
                RowIs::Coupon { .. } => Ok(()),
                RowIs::ArchivedMarker { version } => {
                    let code: Code = parsed("code", code)?;
                    self.put_copied_archived_marker(*day, &code, *version).await
                }
                RowIs::Forwarding { .. } | RowIs::Unreadable(_) => Err(never_copied(item)),
            },
            Item::Entry(it) => self.put_entry(it, pass).await,
            Item::Claim(it) => self.put_claim(it).await,
            Item::Vanishing(it) => self.put_vanishing(it).await,
            Item::Setting {
                name: name @ (LONG_CODES | FEED_EPOCH | FEED_EPOCHS_BEFORE),
                value,
            } => self.session.set(name, value).await,
            Item::Setting { name, value } => self.raise_setting(name, parsed(name, value)?).await,
            Item::IndexRow(_) | Item::Unreadable(_) => Err(never_copied(item)),
        }
    }

    async fn put_claim(&self, it: &ClaimItem) -> Result<()> {
        let slot = i32::try_from(it.slot)
            .map_err(|_| HotError::Damaged(format!("claim: entry {} is too far", it.slot)))?;
        let value = EntryValue {
            expiry_day: date(it.day),
            code: it.code.to_string(),
            reference: it.reference.as_ref().map(|name| name.as_str().to_owned()),
            // No event has this number: the entry is certain.
            sequence: 0,
            issue: it.issue.and_then(|issue| i32::try_from(issue).ok()),
            operation: Uuid::nil(),
            version: 0,
        };
        let (key, written) = ((&it.campaign, &it.user), LONG_AGO + i64::from(slot));
        self.session.put_claim_entry(key, (slot, &value), written).await
    }

    async fn put_vanishing(&self, item: &Vanishing) -> Result<()> {
        match item {
            Vanishing::Account { account, created_at: at } => {
                self.session.put_account(account, *at, written_at(*at)).await
            }
            Vanishing::Replacement(it) => {
                let cql = "INSERT INTO replacement (replaced, campaign_id, user_id, reference, \
                           issue) VALUES (?, '', ?, '', ?) USING TIMESTAMP ?";
                let issue = it.issue.and_then(|issue| i32::try_from(issue).ok());
                let values = (it.replaced.as_str(), it.user.as_str(), issue, LONG_AGO);
                self.session.write(cql, values).await
            }
        }
    }

    async fn remove_vanished(&self, item: &Vanishing) -> Result<()> {
        match item {
            // As old as what it deletes: the same login may have been made again.
            Vanishing::Account { account, created_at: at } => {
                self.session.forget_account(account, written_at(*at)).await
            }
            Vanishing::Replacement(it) => {
                let cql = "DELETE FROM replacement USING TIMESTAMP ? WHERE replaced = ?";
                self.session.write(cql, (LONG_AGO, it.replaced.as_str())).await
            }
        }
    }

    async fn put_partition(
        &self,
        PartitionItem { plan: it, closing, next_serial }: &PartitionItem,
    ) -> Result<()> {
        let of = date(it.day);
        let (bits, is_new) = match self.bits(it.day).await? {
            Some(bits) => (bits, false),
            // Of an emptied partition nothing is left but its seal: one bucket is enough.
            None if it.emptied => (0, true),
            // A restore skips whole gaps.
            None => (self.bits_for(next_serial % SERIAL_GAP), true),
        };
        // Each of these values only rises, and its write time with it.
        if is_new {
            let cql = update_plan!("bucket_bits = ?");
            self.session.write(cql, (LONG_AGO, i32::from(bits), of)).await?;
        }
        let written = LONG_AGO + it.seal_after.0.div_euclid(1_000).max(0);
        let cql = update_plan!("seal_after = ?");
        self.session.write(cql, (written, instant(it.seal_after), of)).await?;
        if *closing {
            self.session.write(update_plan!("closing = true"), (LONG_AGO, of)).await?;
        }
        if *next_serial > 0 {
            let cql =
                "UPDATE minted_run USING TIMESTAMP ? SET next_serial = ? WHERE expiry_day = ?";
            let next = signed(*next_serial);
            self.session.write(cql, (LONG_AGO + next, next, of)).await?;
        }
        if it.sealed {
            let buckets = 0..1_i32 << bits.min(30);
            let seals = buckets.map(|bucket| self.put_seal(it.day, bucket, it.emptied && !is_new));
            bounded_join(AT_ONCE, seals).await?;
            // After the seals: `sealed` says of every bucket that it has its seal.
            self.session.write(update_plan!("sealed = true"), (LONG_AGO, of)).await?;
        }
        if it.archive_commit > 0 {
            let commit = signed(it.archive_commit);
            let cql = update_plan!("archive_commit = ?");
            self.session.write(cql, (LONG_AGO + commit, commit, of)).await?;
        }
        if it.emptied {
            self.session.write(update_plan!("emptied = true"), (LONG_AGO, of)).await?;
        }
        Ok(())
    }

    /// Writes a seal, and deletes what an earlier pass wrote into its bucket.
    async fn put_seal(&self, expiry_day: Day, bucket: i32, empties: bool) -> Result<()> {
        let cql = "UPDATE coupon USING TIMESTAMP ? SET sealed = true \
                   WHERE expiry_day = ? AND bucket = ?";
        self.session.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        if empties {
            let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            self.session.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        }
        Ok(())
    }

    /// Enters available coupons with a row: minted ones in `returned`, imported ones in a lease.
    async fn put_stock(&self, coupons: &[CqlCoupon]) -> Result<()> {
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

fn never_copied(item: &Item) -> HotError {
    HotError::Damaged(format!("{}: these are never copied", item.what()))
}

fn written_at(at: Millis) -> i64 {
    at.0.saturating_mul(1_000).max(LONG_AGO)
}
