//! The look for damage: reads the whole file and compares what it has twice.

use std::collections::BTreeMap;

use hot::HealthFinding;

use crate::coupons::located;
use crate::rows;
use crate::txn::Txn;

/// Faults that are named; of more than these, only the number is.
const NAMED_MAX: usize = 20;

pub(crate) fn all(txn: &Txn<'_>) -> rusqlite::Result<Vec<HealthFinding>> {
    Ok(vec![file(txn)?, coupons(txn)?, counts(txn)?, entries(txn)?, claims(txn)?])
}

/// SQLite's own check of pages, indexes and constraints. One fault a line.
pub(crate) fn integrity(txn: &Txn<'_>) -> rusqlite::Result<Vec<String>> {
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
            Ok(located) => rows::disagreement(&located.coupon, row)?,
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault {
            faults.push(format!("{}: {fault}", row.get::<_, String>(1)?));
        }
    }
    Ok(finding(&format!("{count} coupons: each row says what its events say"), &faults))
}

/// How many rows of each campaign, by its number, are issued, redeemed, void.
pub(crate) fn rows_of_campaigns(txn: &Txn<'_>) -> rusqlite::Result<BTreeMap<i64, [i64; 3]>> {
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
