//! What an order does with several coupons: a part of one transaction, which is kept whole or taken back.

use std::sync::Arc;

use coupon::apply::Change;
use coupon::minted::CodeKey;
use hot::{Applied, OrderDiscounts};
use router::Found;
use rusqlite::Result as SqlResult;

use crate::failure::damaged;
use crate::issuing::StockRequest;
use crate::issuing::handing_out::{self, HandOutStep};
use crate::stock::{StockCursor, StockSupply};
use crate::txn::Txn;
use crate::{Result, SqliteHot, changes, coupons, prefetch};

/// How one try of an order ended. If many serials of a campaign were gone, the next try goes on behind them.
type OrderAttempt = Result<Vec<Applied>, StockCursor>;

impl SqliteHot {
    /// Applies the changes in their order; if one is refused, or without `keeps`, nothing is written.
    pub(super) async fn together(
        &self,
        changes: Vec<(Found, Change)>,
        keeps: bool,
    ) -> Result<Vec<Applied>> {
        let changes = Arc::new(changes);
        // Callers read in parallel here, and ask cold for all coupons at once. The writer then finds them in memory.
        let (_, prefetched) = self
            .look_with(|txn| {
                prefetch::all(changes.iter().map(|(found, _)| match found {
                    Found::Coupon(address) => coupons::locate(txn, address).map(drop),
                    Found::Shared { .. } => Ok(()),
                }))
            })
            .await?;
        loop {
            let (changes, keys) = (Arc::clone(&changes), self.keys.current());
            let ended = self.write_with(Arc::clone(&prefetched), move |txn| {
                let is_accepted = |all: &Vec<Applied>| all.iter().all(|it| it.refusal().is_none());
                let ended = txn.part(
                    |txn| apply_each(txn, &changes, &keys),
                    |ended| keeps && ended.as_ref().is_ok_and(is_accepted),
                )?;
                Ok(ended.inspect_err(|cursor| cursor.note(txn)).ok())
            });
            if let Some(applied) = ended.await? {
                return Ok(applied);
            }
        }
    }
}

/// Goes on behind a refusal, so that the caller hears of all.
fn apply_each(
    txn: &Txn<'_>,
    changes: &[(Found, Change)],
    keys: &[CodeKey],
) -> SqlResult<OrderAttempt> {
    let (mut all, mut discounts) = (Vec::with_capacity(changes.len()), OrderDiscounts::default());
    for (found, change) in changes {
        let change = discounts.before(change);
        let applied = match found {
            Found::Coupon(address) => {
                let decision = changes::decide(txn, address, &change)?;
                changes::write_decision(txn, &decision)?;
                decision.applied
            }
            Found::Shared { campaign } => {
                let campaign = campaign.clone();
                let request = StockRequest { campaign, change: change.clone(), is_shared: true };
                let step = request.step(txn, &StockSupply { keys, walked: None })?;
                if let HandOutStep::Again(cursor) = step {
                    return Ok(Err(cursor));
                }
                let given = handing_out::write(txn, step)?;
                given
                    .ok_or_else(|| damaged("stock", "a step that is not the last one has ended"))?
            }
        };
        discounts.add(&change, &applied);
        all.push(applied);
    }
    Ok(Ok(all))
}
