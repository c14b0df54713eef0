//! A cluster as the source of a copy. The product copies only data folders, which cannot be
//! simulated: a cluster gives here what a folder would, so that a copy meets callers at work, late
//! messages and processes that are killed.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::code::Code;
use hot::inventory::{
    ClaimItem, CopySource, EntryIs, EntryItem, Inventory, Item, OrderEntry, Page, RowIs, RowItem,
    Table, Vanishing, Verifiable,
};
use hot::protocol::makes_holder;
use hot::{Accounts, Campaigns, Facts, HotError, bounded_join};

use crate::world::calls::coupon_of;
use crate::world::machine::SimulatedMachine;

const AT_ONCE: usize = 128;

pub(super) struct ClusterSource(pub(super) Arc<SimulatedMachine>);

#[async_trait]
impl CopySource for ClusterSource {
    fn facts(&self) -> &dyn Facts {
        self.0.hot.as_ref()
    }

    async fn page_to_copy(
        &self,
        of: Table,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError> {
        let page = self.0.hot.page(of, after, limit).await?;
        let items = page.items.into_iter().map(|item| self.in_effect(item));
        let items = bounded_join(AT_ONCE, items).await?.into_iter().flatten().collect();
        Ok(Page { items, next: page.next })
    }

    async fn has(&self, items: &[Vanishing]) -> Result<Vec<bool>, HotError> {
        bounded_join(AT_ONCE, items.iter().map(|item| self.has_item(item))).await
    }

    async fn orders(
        &self,
        _after: Option<OrderEntry>,
        _limit: usize,
    ) -> Result<Vec<OrderEntry>, HotError> {
        Ok(Vec::new())
    }
}

impl ClusterSource {
    /// Leaves out what a protocol has begun and not finished: a folder has none of it.
    async fn in_effect(&self, item: Item) -> Result<Option<Item>, HotError> {
        let stays = match &item {
            Item::Row(RowItem { code, is: RowIs::Forwarding { .. }, .. }) => {
                // Whoever reads the coupon finishes its move. Its row in the later partition is read,
                // too, now or in the next pass.
                coupon_of(&self.0, &code_of(code)?).await?;
                false
            }
            Item::Entry(EntryItem { code, is: EntryIs::Coupon { .. } }) => {
                coupon_of(&self.0, &code_of(code)?).await?.is_some()
            }
            Item::Entry(EntryItem { is: EntryIs::Shared { campaign }, .. }) => {
                self.0.hot.campaign(campaign, self.0.now()).await?.is_some()
            }
            Item::Claim(claim) => return Ok(self.claim(claim).await?.map(Item::Claim)),
            _ => true,
        };
        Ok(stays.then_some(item))
    }

    /// Only an entry whose coupon has the event that it was written for; with the partition in which
    /// the coupon is now.
    async fn claim(&self, claim: &ClaimItem) -> Result<Option<ClaimItem>, HotError> {
        let Some(snapshot) = coupon_of(&self.0, &claim.code).await? else { return Ok(None) };
        let happened = claim.begun.is_none_or(|begun| {
            let event = snapshot.coupon.events().get(begun.sequence - 1);
            event.is_some_and(|it| {
                it.operation == begun.operation && makes_holder(&it.kind, &claim.user)
            })
        });
        let entry = self.0.hot.entries_at(vec![claim.code.clone()]).await?.pop().flatten();
        let day = match entry.map(|entry| entry.is) {
            Some(EntryIs::Coupon { day, .. }) => day,
            _ => claim.day,
        };
        Ok(happened.then(|| ClaimItem { day, begun: None, ..claim.clone() }))
    }

    async fn has_item(&self, item: &Vanishing) -> Result<bool, HotError> {
        match item {
            Vanishing::Account { account, .. } => {
                let here = self.0.hot.account_of_login(&account.login_id).await?;
                Ok(here.is_some_and(|here| here.user_id == account.user_id))
            }
            // Nothing deletes a replacement.
            Vanishing::Replacement(_) => Ok(true),
        }
    }
}

fn code_of(text: &str) -> Result<Code, HotError> {
    text.parse().map_err(|why| HotError::Damaged(format!("{text}: {why}")))
}
