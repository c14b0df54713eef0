//! Looking for damage: reads the whole file and compares what is said twice.

use std::collections::BTreeMap;

use coupon::coupon::Coupon;
use coupon::time::Millis;
use rusqlite::Row;

use super::coupons::located;
use super::rows;
use super::txn::Txn;
use hot::HealthFinding;
use hot::protocol::is_history_full;

/// Faults named one by one; past it only their number is told.
const NAMED_MAX: usize = 20;

pub(super) fn all(txn: &Txn<'_>) -> rusqlite::Result<Vec<HealthFinding>> {
    Ok(vec![file(txn)?, coupons(txn)?, counts(txn)?, entries(txn)?, claims(txn)?])
}

/// SQLite's own check: pages, indexes, constraints. What it does not like, one thing a line.
pub(super) fn integrity(txn: &Txn<'_>) -> rusqlite::Result<Vec<String>> {
    let mut statement = txn.statement("PRAGMA integrity_check(20)")?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    let said = said.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(said.into_iter().filter(|said| said != "ok").collect())
}

fn file(txn: &Txn<'_>) -> rusqlite::Result<HealthFinding> {
    Ok(match integrity(txn)?.as_slice() {
        [] => HealthFinding::Sound("hot.db: every page and index is as it should be".into()),
        faults => HealthFinding::Fault(format!("hot.db: {}", faults.join("; "))),
    })
}

/// Each row against its events.
fn coupons(txn: &Txn<'_>) -> rusqlite::Result<HealthFinding> {
    let sql = concat!("SELECT ", rows::coupon_columns!(), " FROM coupon");
    let mut statement = txn.conn.prepare(sql)?;
    let mut found = statement.query([])?;
    let (mut count, mut faults) = (0_u64, Vec::new());
    while let Some(row) = found.next()? {
        count += 1;
        let checked = rows::coupon_row(row).and_then(|it| located(txn, it));
        let fault = match checked {
            Ok(located) => disagreement(&located.coupon, row)?,
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault {
            faults.push(format!("{}: {fault}", row.get::<_, String>(1)?));
        }
    }
    Ok(finding(&format!("{count} coupons: each row says what its events say"), &faults))
}

/// What a column says that the events do not.
pub(super) fn disagreement(coupon: &Coupon, row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let redemption = coupon.redemption();
    let number = |column: &str| -> rusqlite::Result<Option<String>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(|number| number.to_string()))
    };
    let at = |instant: Millis| instant.0.to_string();
    let columns = [
        ("state", row.get::<_, Option<String>>("state")?, Some(coupon.state().as_str().to_owned())),
        ("holder", row.get("holder")?, coupon.holder().map(ToString::to_string)),
        ("expires_at", number("expires_at")?, Some(at(coupon.expires_at()))),
        ("issued_at", number("issued_at")?, coupon.issued_at().map(at)),
        ("redeemed_at", number("redeemed_at")?, redemption.map(|it| at(it.at))),
        ("order_ref", row.get("order_ref")?, redemption.map(|it| it.order.to_string())),
        (
            "history_full",
            number("history_full")?,
            Some(u8::from(is_history_full(coupon)).to_string()),
        ),
    ];
    let wrong = columns.into_iter().find(|(_, stored, folded)| stored != folded);
    Ok(wrong
        .map(|(name, stored, folded)| format!("{name} is {stored:?}, its events say {folded:?}")))
}

/// How many rows of each campaign, by its number, are issued, redeemed, void.
pub(super) fn rows_of_campaigns(txn: &Txn<'_>) -> rusqlite::Result<BTreeMap<i64, [i64; 3]>> {
    let mut counted: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    // No index has both, and one that has the campaign leads to rows all over the table.
    let mut statement = txn.statement(
        "SELECT campaign, state, count(*) FROM coupon NOT INDEXED GROUP BY campaign, state",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let at = match row.get_ref(1)?.as_str()? {
            "issued" => 0,
            "redeemed" => 1,
            "void" => 2,
            _ => continue,
        };
        counted.entry(row.get(0)?).or_default()[at] = row.get(2)?;
    }
    Ok(counted)
}

/// The counts of the campaigns against their rows.
fn counts(txn: &Txn<'_>) -> rusqlite::Result<HealthFinding> {
    let mut counted = rows_of_campaigns(txn)?;
    let mut statement = txn.statement(
        "SELECT number, campaign_id, issued - cold_issued, redeemed - cold_redeemed, \
         void - cold_void, stock, \
         (SELECT coalesce(sum(batch.count), 0) FROM batch \
         WHERE batch.campaign = campaign.number) FROM campaign",
    )?;
    let mut rows = statement.query([])?;
    let (mut campaigns, mut faults) = (0_u64, Vec::new());
    while let Some(row) = rows.next()? {
        campaigns += 1;
        let stored: [i64; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
        let found = counted.remove(&row.get(0)?).unwrap_or_default();
        let (stock, batches): (i64, i64) = (row.get(5)?, row.get(6)?);
        let id: String = row.get(1)?;
        if stored != found {
            faults.push(format!(
                "{id}: counted issued, redeemed, void as {stored:?}, its rows say {found:?}"
            ));
        }
        if stock != batches || found.iter().sum::<i64>() > stock {
            faults.push(format!("{id}: stock is {stock}, its batches have {batches}"));
        }
    }
    Ok(finding(&format!("{campaigns} campaigns: the counts are those of their rows"), &faults))
}

/// Foreign coupons against their directory entries.
fn entries(txn: &Txn<'_>) -> rusqlite::Result<HealthFinding> {
    let missing = "SELECT directory.code FROM directory LEFT JOIN coupon \
                   ON coupon.expiry_day = directory.expiry_day AND coupon.code = directory.code \
                   WHERE directory.kind = 'coupon' AND coupon.code IS NULL AND NOT EXISTS \
                   (SELECT 1 FROM archived_marker WHERE archived_marker.expiry_day = directory.expiry_day \
                   AND archived_marker.code = directory.code) AND NOT EXISTS \
                   (SELECT 1 FROM partition_plan WHERE expiry_day = directory.expiry_day AND sealed = 1) \
                   LIMIT 100";
    let mut statement = txn.statement(missing)?;
    let codes = statement.query_map([], |row| row.get::<_, String>(0))?;
    let codes = codes.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(finding("every code in the directory has its coupon", &codes))
}

/// Holders against their claims.
fn claims(txn: &Txn<'_>) -> rusqlite::Result<HealthFinding> {
    let missing = "SELECT coupon.code FROM coupon JOIN campaign ON campaign.number = coupon.campaign \
                   WHERE holder IS NOT NULL AND per_user_limit IS NOT NULL AND NOT EXISTS \
                   (SELECT 1 FROM claim WHERE claim.campaign = coupon.campaign \
                   AND claim.user_id = holder AND claim.code = coupon.code) LIMIT 100";
    let mut statement = txn.statement(missing)?;
    let codes = statement.query_map([], |row| row.get::<_, String>(0))?;
    let codes = codes.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut faults = codes;
    let lost = "SELECT claim.code FROM claim WHERE NOT EXISTS \
                (SELECT 1 FROM coupon WHERE coupon.expiry_day = claim.expiry_day \
                AND coupon.code = claim.code) AND NOT EXISTS \
                (SELECT 1 FROM archived_marker WHERE archived_marker.expiry_day = claim.expiry_day \
                AND archived_marker.code = claim.code) AND NOT EXISTS \
                (SELECT 1 FROM directory WHERE directory.code = claim.code) AND NOT EXISTS \
                (SELECT 1 FROM partition_plan WHERE expiry_day = claim.expiry_day AND sealed = 1) LIMIT 100";
    let mut statement = txn.statement(lost)?;
    for code in statement.query_map([], |row| row.get::<_, String>(0))? {
        faults.push(format!("{} is nowhere", code?));
    }
    Ok(finding("every holder stands in a claim, and what is claimed is there", &faults))
}

fn finding(sound: &str, faults: &[String]) -> HealthFinding {
    if faults.is_empty() {
        return HealthFinding::Sound(sound.to_owned());
    }
    let named = faults.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let more = faults.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    HealthFinding::Fault(format!("not so that {sound}: {named}{more}"))
}
