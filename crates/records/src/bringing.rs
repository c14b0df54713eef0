//! Brings the counts, the orders and the audit of another store, as a copy does.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use coupon::ids::CampaignId;
use coupon::time::Day;
use hot::activity::{Activities, Activity};
use hot::audit::{Audit, Audited};
use hot::bounded_join;
use hot::inventory::CopySource;
use hot::records::CarriedEvent;
use hot::tables::{RecordPut, RecordRange, Tables};
use uuid::Uuid;

use crate::Result;
use crate::audit_rows::{EntryPlace, EntryRow, RevisionPlace, campaign_part, day_part, days_part};
use crate::counting::{SumRow, sums_part};
use crate::keys::{ALL_CAMPAIGNS, damaged, ordered};
use crate::redemption_index::{DAY, order_part};

/// Entries that are read together.
const ENTRIES: usize = 500;

const AT_ONCE: usize = 16;

/// Puts the counts of a campaign, or of all together, in the place of those that are here. Only in a store that has
/// not been used: what it has counted by itself is lost. The same again changes nothing. Memory for all quarters.
///
/// # Errors
/// Those of the two stores. Then some are here, and the call may be repeated.
pub async fn bring_counts(
    from: &dyn Activities,
    to: &dyn Tables,
    campaign: Option<&CampaignId>,
) -> Result<()> {
    let part = sums_part(campaign.map_or(ALL_CAMPAIGNS, CampaignId::as_str));
    let here = to.scan(&part, RecordRange::first(usize::MAX)).await?.into_iter();
    let here: HashMap<Vec<u8>, Vec<u8>> = here.map(|row| (row.key, row.value)).collect();
    let counts = from.activity(campaign.cloned(), i64::MIN, i64::MAX).await?;
    let writes = counts.into_iter().filter_map(|(quarter, sum): (i64, Activity)| {
        let seen = here.get(ordered(quarter).as_slice()).map(Vec::as_slice);
        let row = SumRow { sum, counted_to: None };
        let is_new = seen != Some(row.value().as_slice());
        is_new.then(|| to.replace(&part, seen, row.put(quarter)))
    });
    bounded_join(AT_ONCE, writes).await.map(|_: Vec<bool>| ())
}

/// Brings which coupons orders have redeemed, also archived ones, until `orders_keep` after the redemption. The same
/// again changes nothing. Returns how many there are.
///
/// # Errors
/// Those of the two stores. Then some are here, and the call may be repeated.
pub async fn bring_orders(
    from: &dyn CopySource,
    to: &dyn Tables,
    orders_keep: Duration,
    today: Day,
) -> Result<u64> {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = from.orders(after, ENTRIES).await?;
        let rows = page.iter().filter_map(|entry| {
            let days = today.0.saturating_sub(entry.redeemed_on.0).max(0).unsigned_abs();
            let left = orders_keep.checked_sub(DAY * days).filter(|left| !left.is_zero())?;
            let row = RecordPut::new(entry.code.as_str(), []).kept_for(left);
            Some((order_part(entry.order_hash.into()), row))
        });
        let writes = rows.map(|(part, row)| async move { to.put(&part, vec![row]).await });
        let written: Vec<()> = bounded_join(AT_ONCE, writes).await?;
        count += written.len() as u64;
        match page.last() {
            Some(last) => after = Some(last.clone()),
            None => return Ok(count),
        }
    }
}

/// Brings the audit of a store that numbers its entries, before all entries that this store makes. The same again
/// changes nothing. Returns how many entries there are.
///
/// # Errors
/// Those of the two stores. Then some are here, and the call may be repeated.
pub async fn bring_audit(from: &dyn Audit, to: &dyn Tables) -> Result<u64> {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = from.audit(None, after, ENTRIES).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.place.clone());
        count += page.len() as u64;
        bring_entries(to, &page).await?;
    }
}

async fn bring_entries(to: &dyn Tables, page: &[Audited]) -> Result<()> {
    let mut days: BTreeMap<Day, Vec<RecordPut>> = BTreeMap::new();
    let mut campaigns: BTreeMap<CampaignId, Vec<RecordPut>> = BTreeMap::new();
    for Audited { place, entry } in page {
        let (act, event) = (&entry.act, &entry.event);
        let number: u64 = place.parse().map_err(damaged)?;
        // No process makes such a name, nor a campaign such a revision.
        let (attempt, revision) =
            (Uuid::from_u64_pair(0, number), i64::MIN.wrapping_add_unsigned(number));
        let events = [CarriedEvent::from(event)];
        let campaign = event.campaign.as_ref();
        let told_at = act.at;
        let of_day = |number| EntryPlace { told_at, attempt, number }.key();
        let rows = EntryRow::puts((attempt, None), act, campaign, &events, of_day)?;
        days.entry(told_at.day()).or_default().extend(rows);
        if let Some(id) = campaign {
            let of_revision = |number| RevisionPlace { revision, number }.key();
            let name = (attempt, Some(revision));
            let rows = EntryRow::puts(name, act, campaign, &events, of_revision)?;
            campaigns.entry(id.clone()).or_default().extend(rows);
        }
    }
    // Before the rows of a day: readers look only at days that are listed.
    let listed = days.keys().map(|day| RecordPut::new(ordered(day.0.into()), [])).collect();
    to.put(&days_part(), listed).await?;
    let days = days.into_iter().map(|(day, rows)| (day_part(day), rows));
    let campaigns = campaigns.into_iter().map(|(id, rows)| (campaign_part(&id), rows));
    let puts = days.chain(campaigns).map(|(part, rows)| async move { to.put(&part, rows).await });
    bounded_join(AT_ONCE, puts).await.map(|_: Vec<()>| ())
}
