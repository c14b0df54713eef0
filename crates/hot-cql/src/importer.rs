//! A cluster as the target of a copy. Each sort of items that takes more than one write has a file.
//!
//! Every write has a write time long ago that follows from the version of the item. So of two
//! passes the later version stays, and every write of a running service is newer than both. A
//! campaign has no version that all stores know: it is written as a service changes it, by updates
//! that are conditional on its revision here.

mod campaigns;
mod coupons;
mod directory;
mod partitions;
mod stock;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::time::Millis;
use hot::inventory::{ClaimItem, Importer, Item, Pass, RowIs, RowItem, Vanishing};
use hot::settings::{FEED_EPOCH, FEED_EPOCHS_BEFORE, LONG_CODES};
use hot::{HotError, bounded_join};
use uuid::Uuid;

use crate::claims::EntryValue;
use crate::import::{LONG_AGO, ROWS_AT_ONCE};
use crate::values::{date, parsed};
use crate::{CqlHot, CqlStore};
use cql_session::Result;

const AT_ONCE: usize = 128;

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
        let cql = "UPDATE claim USING TIMESTAMP ? SET revision = ?, claimed[?] = ? \
                   WHERE campaign_id = ? AND user_id = ?";
        let written = LONG_AGO + i64::from(slot);
        let owner = (it.campaign.as_str(), it.user.as_str());
        let values = (written, i64::from(slot), slot, value, owner.0, owner.1);
        self.session.write(cql, values).await
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
            Vanishing::Rejected { campaign, batch, line, at } => {
                self.session.put_rejected(campaign, batch, std::slice::from_ref(line), *at).await
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
            Vanishing::Rejected { campaign, batch, line, .. } => {
                let (campaign, batch) = (campaign.as_str(), batch.as_str());
                self.session.forget_rejected(campaign, batch, line.line).await
            }
        }
    }
}

fn never_copied(item: &Item) -> HotError {
    HotError::Damaged(format!("{}: these are never copied", item.what()))
}

fn written_at(at: Millis) -> i64 {
    at.0.saturating_mul(1_000).max(LONG_AGO)
}
