//! Campaigns with their batches and counts, and the counts that `verify` sets right.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::ids::CampaignId;
use hot::inventory::{BatchItem, CampaignItem, CountShift};
use hot::protocol::count_state;
use rusqlite::{Result as SqlResult, Row, params};

use crate::activity;
use crate::columns::{signed, unsigned};
use crate::rows;
use crate::txn::Txn;

pub(super) const CAMPAIGNS: &str = rows::select_campaign!(
    ", number, cold_issued, cold_redeemed, cold_void, CAST(number AS TEXT) AS position \
     FROM campaign WHERE number > ?1 ORDER BY number LIMIT ?2"
);

/// From [`CAMPAIGNS`].
pub(super) fn campaign(txn: &Txn<'_>, row: &Row<'_>) -> SqlResult<CampaignItem> {
    let terms = rows::campaign(row)?;
    Ok(CampaignItem {
        created_as: row.get(21)?,
        batches: batches_of(txn, row.get("number")?, &terms.id)?,
        stock: unsigned(row, 17)?,
        all: [row.get(18)?, row.get(19)?, row.get(20)?],
        cold: [row.get("cold_issued")?, row.get("cold_redeemed")?, row.get("cold_void")?],
        rows: None,
        worth: None,
        spent: unsigned(row, 23)?,
        terms: Arc::new(terms),
    })
}

fn batches_of(txn: &Txn<'_>, number: i64, id: &CampaignId) -> SqlResult<Vec<BatchItem>> {
    let sql = rows::select_batch!(
        ", next_offset, paused_reason FROM batch WHERE campaign = ?1 ORDER BY number"
    );
    txn.all(sql, [number], |row| {
        Ok(BatchItem {
            batch: rows::batch(row, id)?,
            paused_reason: row.get(12)?,
            offered: row.get::<_, Option<i64>>(11)?.unwrap_or(0).unsigned_abs(),
        })
    })
}

/// How many rows of each campaign, by its number, are issued, redeemed, void.
fn rows_by_state(txn: &Txn<'_>) -> SqlResult<BTreeMap<i64, [i64; 3]>> {
    let mut counted: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    // No index has both, and one that has the batch leads to rows all over the table.
    let mut statement = txn
        .statement("SELECT batch, state, count(*) FROM coupon NOT INDEXED GROUP BY batch, state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let campaign = match txn.batch_at(row.get(0)?) {
            Ok(batch) => batch.campaign,
            // `verify` reports the row itself.
            Err(rusqlite::Error::QueryReturnedNoRows) => continue,
            Err(error) => return Err(error),
        };
        let state = rows::state_name(row.get(1)?);
        count_state(counted.entry(campaign).or_default(), state, row.get(2)?);
    }
    Ok(counted)
}

/// Every campaign, how many rows it has, and, if events are told, its amounts, all in one read transaction.
pub(super) fn counted(txn: &Txn<'_>, tells: bool) -> SqlResult<Vec<CampaignItem>> {
    let numbers = txn.all("SELECT number FROM campaign", [], |row| row.get(0))?;
    let mut worth = match tells {
        true => activity::worth_of_all_time(txn, &numbers)?,
        false => BTreeMap::new(),
    };
    let mut counted = rows_by_state(txn)?;
    let mut statement = txn.statement(CAMPAIGNS)?;
    let mut found = statement.query([i64::MIN, i64::MAX])?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        let number = row.get("number")?;
        let rows = Some(counted.remove(&number).unwrap_or_default());
        let worth = worth.remove(&number);
        items.push(CampaignItem { rows, worth, ..campaign(txn, row)? });
    }
    Ok(items)
}

/// Subtracts from counts what they were too high. That is right whatever else is counted meanwhile.
pub(super) fn mend(txn: &Txn<'_>, shifts: &[(CountShift, [i64; 3])]) -> SqlResult<u64> {
    let mut mended = 0;
    if shifts.iter().any(|(shift, _)| shift.worth.is_some()) {
        for (shift, _) in shifts {
            if let Some(worth) = &shift.worth {
                activity::mend(txn, &shift.campaign, worth)?;
            }
        }
        activity::add_up_campaigns(txn)?;
    }
    for (shift, cold) in shifts {
        let CountShift { campaign, all: [a, b, c], cold: [d, e, f], stock, spent, .. } = shift;
        let (id, [g, h, i]) = (campaign.as_str(), cold);
        // Not by a difference: two repairs at once would add it twice, and a budget depends on it.
        let [was, right] = spent.map_or([None; 2], |both| both.map(|it| Some(signed(it))));
        let changed = txn.change(
            "UPDATE campaign SET issued = issued - ?2, redeemed = redeemed - ?3, \
             void = void - ?4, cold_issued = cold_issued - ?5, \
             cold_redeemed = cold_redeemed - ?6, cold_void = cold_void - ?7, \
             stock = stock - ?8, spent = CASE WHEN spent = ?12 THEN ?13 ELSE spent END \
             WHERE campaign_id = ?1 AND cold_issued = ?9 AND cold_redeemed = ?10 \
             AND cold_void = ?11",
            params![id, a, b, c, d, e, f, stock, g, h, i, was, right],
        )?;
        mended += changed as u64;
    }
    Ok(mended)
}
