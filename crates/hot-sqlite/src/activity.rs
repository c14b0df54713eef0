//! How often something was done, and what it was worth: added up from the events of the feed, each once. The orders of
//! redemptions are entered with them.
//!
//! A setting has the number of the last event that is in the sums, and is written with them. So neither a
//! kill nor a second process counts an event twice. Nobody who redeems waits for it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::CampaignId;
use coupon::worth::{RedemptionWorth, WorthSums};
use hot::activity::{ALL_TIME, Activities, Activity, QUARTER_MS};
use hot::feed::CouponEventKind;
use rusqlite::{Result as SqlResult, params};

use crate::columns::{parsed_or_null, unsigned};
use crate::txn::Txn;
use crate::txn::events::number_of;
use crate::txn::worth::ALL_CAMPAIGNS;
use crate::{Result, SqliteHot, orders, settings};

/// The setting with the number of the last event that was counted.
const COUNTED: &str = "activity_counted";

/// Events that one transaction counts: some 5 ms.
const COUNTED_MAX: i64 = 1_000;

/// Sums of quarters that one transaction deletes: about a millisecond.
const QUARTERS_DELETED_MAX: i64 = 2_000;

#[async_trait]
impl Activities for SqliteHot {
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>> {
        self.count_or_warn().await;
        let read = move |txn: &Txn<'_>| {
            let number = match campaign.as_ref().map(|id| txn.campaign(id)).transpose()? {
                None => ALL_CAMPAIGNS,
                Some(Some(here)) => here.number,
                Some(None) => return Ok(Vec::new()),
            };
            txn.all(
                "SELECT quarter, issued, redeemed, cancelled, worth FROM activity \
                 WHERE campaign = ?1 AND quarter >= ?2 AND quarter < ?3 ORDER BY quarter",
                params![number, from, until],
                |row| {
                    let (issued, redeemed) = (unsigned(row, 1)?, unsigned(row, 2)?);
                    let cancelled = unsigned(row, 3)?;
                    let worth = parsed_or_null(row, 4)?.unwrap_or_default();
                    Ok((row.get(0)?, Activity { issued, redeemed, cancelled, worth }))
                },
            )
        };
        self.readers.run(read).await
    }

    async fn count_activity(&self) -> Result<()> {
        let is_behind = |txn: &Txn<'_>| {
            let newest: i64 = txn.one("SELECT coalesce(max(number), 0) FROM event", [])?;
            Ok(newest > counted(txn)?)
        };
        // By a read first: a write for nothing would take a turn of the writer.
        if self.readers.run(is_behind).await? {
            let orders = self.options.orders;
            while self.background_write(move |txn| count(txn, orders)).await? {}
        }
        Ok(())
    }

    async fn forget_activity(&self, before: i64) -> Result<u64> {
        let (mut forgotten, mut after) = (0, -1);
        // One campaign after the other: no index has all old ones together.
        let next = "SELECT min(campaign) FROM activity WHERE campaign > ?1";
        while let Some(campaign) =
            self.readers.run(move |txn| txn.one::<Option<i64>>(next, [after])).await?
        {
            let sql = "DELETE FROM activity WHERE campaign = ?1 AND quarter IN \
                       (SELECT quarter FROM activity WHERE campaign = ?1 AND quarter < ?2 \
                       AND quarter > ?4 ORDER BY quarter LIMIT ?3)";
            let asked = [campaign, before, QUARTERS_DELETED_MAX, ALL_TIME];
            loop {
                match self.background_write(move |txn| txn.change(sql, asked)).await? {
                    0 => break,
                    some => forgotten += some as u64,
                }
            }
            after = campaign;
        }
        Ok(forgotten)
    }
}

impl SqliteHot {
    /// Counts what was not counted yet. A full disk takes no counts: then what was counted before is read.
    pub(crate) async fn count_or_warn(&self) {
        if let Err(error) = self.count_activity().await {
            tracing::warn!(error = %error, "the newest events are not counted yet");
        }
    }
}

/// Counts some of the events that were not counted yet, and enters the `orders` of redemptions. Returns
/// whether there are more.
fn count(txn: &Txn<'_>, orders: bool) -> SqlResult<bool> {
    // With the events of earlier jobs of this group.
    txn.flush()?;
    let counted = counted(txn)?;
    let (found, last, has_worth): (i64, Option<i64>, bool) = txn
        .statement(
            "SELECT count(*), max(number), count(worth) > 0 FROM \
             (SELECT number, worth FROM event WHERE number > ?1 ORDER BY number LIMIT ?2)",
        )?
        .query_row(params![counted, COUNTED_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let Some(last) = last else { return Ok(false) };
    let kinds =
        [CouponEventKind::Issued, CouponEventKind::Redeemed, CouponEventKind::RedemptionCancelled];
    let [issued, redeemed, cancelled] = kinds.map(number_of);
    let all = ALL_CAMPAIGNS.to_string();
    for (campaign, join) in
        [("batch.campaign", "JOIN batch ON batch.number = event.batch"), (&all, "")]
    {
        let sql = format!(
            "INSERT INTO activity (campaign, quarter, issued, redeemed, cancelled) \
             SELECT {campaign}, event.at / ?3, sum(event.kind = ?4), sum(event.kind = ?5), \
             sum(event.kind = ?6) FROM event {join} \
             WHERE event.number > ?1 AND event.number <= ?2 AND event.kind IN (?4, ?5, ?6) \
             GROUP BY 1, 2 \
             ON CONFLICT (campaign, quarter) DO UPDATE SET issued = issued + excluded.issued, \
             redeemed = redeemed + excluded.redeemed, cancelled = cancelled + excluded.cancelled"
        );
        txn.run(&sql, params![counted, last, QUARTER_MS, issued, redeemed, cancelled])?;
    }
    if has_worth {
        count_worth(txn, counted, last)?;
    }
    if orders {
        orders::enter_events(txn, counted, last)?;
    }
    settings::set(txn, COUNTED, &last.to_string())?;
    Ok(found == COUNTED_MAX)
}

/// Adds the amounts of the events behind `counted` up to `last`. Not by SQL: a sum of the largest must end nothing.
fn count_worth(txn: &Txn<'_>, counted: i64, last: i64) -> SqlResult<()> {
    for ((campaign, quarter), worth) in told_worth(txn, counted, last)? {
        txn.add_worth((campaign, quarter), &worth)?;
        txn.add_worth((ALL_CAMPAIGNS, quarter), &worth)?;
        txn.add_worth_of_all_time(campaign, &worth)?;
    }
    Ok(())
}

/// The amounts of events behind `counted` up to `last`, by the number of the campaign and the quarter.
fn told_worth(
    txn: &Txn<'_>,
    counted: i64,
    last: i64,
) -> SqlResult<BTreeMap<(i64, i64), WorthSums>> {
    let mut statement = txn.statement(
        "SELECT batch.campaign, event.at / ?3, event.kind = ?4, event.worth \
         FROM event JOIN batch ON batch.number = event.batch \
         WHERE event.number > ?1 AND event.number <= ?2 AND event.worth IS NOT NULL",
    )?;
    let redeemed = number_of(CouponEventKind::Redeemed);
    let mut rows = statement.query(params![counted, last, QUARTER_MS, redeemed])?;
    let mut sums = BTreeMap::<(i64, i64), WorthSums>::new();
    while let Some(row) = rows.next()? {
        let text = row.get_ref(3)?.as_str()?;
        let Ok(worth) = text.parse::<RedemptionWorth>() else {
            // All others wait for this one; `verify` misses its amounts.
            tracing::warn!(
                text,
                "an event has amounts that cannot be read, and they are not counted"
            );
            continue;
        };
        let one = match row.get(2)? {
            true => WorthSums::redeemed(&worth),
            false => WorthSums::cancelled(&worth),
        };
        sums.entry((row.get(0)?, row.get(1)?)).or_default().add(&one);
    }
    Ok(sums)
}

/// What the redemptions of a coupon were worth of which the events behind the first `known` say something.
pub(crate) fn worth_since(coupon: &Coupon, known: usize) -> WorthSums {
    let mut sums = WorthSums::default();
    for event in coupon.events().iter().skip(known) {
        let Some(worth) = coupon.worth_of(event) else { continue };
        sums.add(&match event.kind {
            EventKind::RedemptionCancelled { .. } => WorthSums::cancelled(&worth),
            _ => WorthSums::redeemed(&worth),
        });
    }
    sums
}

/// The amounts of all time of each campaign by its number, also those of events that are not counted yet.
pub(crate) fn worth_of_all_time(
    txn: &Txn<'_>,
    campaigns: &[i64],
) -> SqlResult<BTreeMap<i64, WorthSums>> {
    let mut sums = BTreeMap::<i64, WorthSums>::new();
    for campaign in campaigns {
        sums.insert(*campaign, txn.worth_at((*campaign, ALL_TIME))?);
    }
    for ((campaign, _), worth) in told_worth(txn, counted(txn)?, i64::MAX)? {
        sums.entry(campaign).or_default().add(&worth);
    }
    Ok(sums)
}

/// Puts amounts of all time in the place of those that were read, unless there are others now or some are not counted
/// yet. [`add_up_campaigns`] must follow.
pub(crate) fn mend(txn: &Txn<'_>, id: &CampaignId, [was, right]: &[WorthSums; 2]) -> SqlResult<()> {
    let Some(campaign) = txn.campaign(id)? else { return Ok(()) };
    match txn.worth_at((campaign.number, ALL_TIME))? == *was {
        true => txn.set_worth((campaign.number, ALL_TIME), right),
        false => Ok(()),
    }
}

/// Makes the amounts of all time of all campaigns together what those of each are.
pub(crate) fn add_up_campaigns(txn: &Txn<'_>) -> SqlResult<()> {
    let mut all = WorthSums::default();
    for number in txn.all("SELECT number FROM campaign", [], |row| row.get(0))? {
        all.add(&txn.worth_at((number, ALL_TIME))?);
    }
    txn.set_worth((ALL_CAMPAIGNS, ALL_TIME), &all)
}

/// The number of the last event that was counted; 0 before the first.
pub(crate) fn counted(txn: &Txn<'_>) -> SqlResult<i64> {
    Ok(txn.setting_number(COUNTED)?.unwrap_or(0).cast_signed())
}
