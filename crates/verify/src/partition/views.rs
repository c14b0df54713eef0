//! Views of codes: the only place that reads the directory, the claims and the index rows for them.

use coupon::code::Code;
use coupon::coupon::Coupon;
use router::Owner;

use super::{PartitionState, TierCopies};
use crate::catalog::SerialPosition;
use crate::rules::{self, CodeHome, CodeView, TableAnswer};
use crate::verifier::{Result, Verifier};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// What the balance does not compare: the entries of coupons that were moved away.
    Unbalanced,
    /// Also the entries of codes that do not say themselves where they are, and the claims.
    Needed,
    /// The entry of every code, and the claims.
    All,
}

impl Verifier<'_> {
    pub(crate) async fn views(
        &mut self,
        partition: PartitionState,
        met: Vec<TierCopies>,
        look_up: LookUp,
    ) -> Result<Vec<(CodeView, Option<SerialPosition>)>> {
        let mut views = Vec::with_capacity(met.len());
        for TierCopies { code, rows, copies } in met {
            let parsed = rules::code_of(&code);
            let serial = match &parsed {
                Some(code) => self.catalog.serial(self.hot, self.keys, code).await?,
                None => None,
            };
            let mut view = CodeView {
                day: partition.day,
                code,
                plan: partition.plan,
                rows,
                copies,
                cold_archive_commit: partition.cold_archive_commit,
                cold_whole: partition.cold_whole,
                home: CodeHome::Foreign,
                terms: None,
                entry: TableAnswer::Not,
                claimed: TableAnswer::Not,
                unindexed: Vec::new(),
                atomicity: self.hot.atomicity(),
            };
            if let Some(coupon) = view.coupon() {
                let genesis = coupon.genesis();
                let owner =
                    Owner { campaign: genesis.campaign.clone(), batch: genesis.batch.clone() };
                self.catalog.look_up(self.hot, &owner).await?;
                view.terms = self.catalog.terms_of(&owner);
            }
            view.home = self.catalog.home(serial.as_ref());
            views.push((view, serial));
        }
        self.ask_directory(&mut views, look_up).await?;
        if look_up != LookUp::Unbalanced {
            self.ask_claims(&mut views).await?;
        }
        self.ask_index_rows(&mut views).await?;
        Ok(views)
    }

    async fn ask_directory(
        &self,
        views: &mut [(CodeView, Option<SerialPosition>)],
        look_up: LookUp,
    ) -> Result<()> {
        let asked = views.iter().enumerate().filter_map(|(at, (view, _))| {
            let moved = view.forward_to().is_some();
            let needed = match look_up {
                LookUp::Unbalanced => moved,
                LookUp::Needed => moved || rules::needs_entry(&view.home, view.day),
                LookUp::All => true,
            };
            Some((at, rules::code_of(&view.code).filter(|_| needed)?))
        });
        let (at, codes): (Vec<usize>, Vec<Code>) = asked.unzip();
        for (at, entry) in at.into_iter().zip(self.hot.entries_at(codes).await?) {
            views[at].0.entry = TableAnswer::Is(entry);
        }
        Ok(())
    }

    async fn ask_claims(&self, views: &mut [(CodeView, Option<SerialPosition>)]) -> Result<()> {
        let held = views.iter().enumerate().filter_map(|(at, (view, _))| {
            view.terms.as_ref()?.per_user_limit?;
            let (coupon, holder) = (view.coupon()?, view.coupon()?.holder()?);
            let claim = (coupon.genesis().campaign.clone(), holder.clone(), coupon.code().clone());
            Some((at, claim))
        });
        let (at, held): (Vec<usize>, Vec<_>) = held.unzip();
        for (at, claimed) in at.into_iter().zip(self.hot.claimed(held).await?) {
            views[at].0.claimed = TableAnswer::Is(claimed);
        }
        Ok(())
    }

    async fn ask_index_rows(&self, views: &mut [(CodeView, Option<SerialPosition>)]) -> Result<()> {
        let indexed = views.iter().enumerate().filter_map(|(at, (view, _))| {
            // A sealed partition deletes index rows and rows in any order.
            Some((at, view.hot_coupon().filter(|_| !view.is_sealed())?.clone()))
        });
        let (at, coupons): (Vec<usize>, Vec<Coupon>) = indexed.unzip();
        for (at, unindexed) in at.into_iter().zip(self.hot.unindexed(coupons).await?) {
            views[at].0.unindexed = unindexed;
        }
        Ok(())
    }
}
