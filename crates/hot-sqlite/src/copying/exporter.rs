//! Items of a copy, read from this store page by page.

use coupon::campaign::BatchKind;
use coupon::code::Code;
use coupon::ids::{CampaignId, IssueRef};
use coupon::time::{Day, Millis};
use hot::copying::{
    CopiedBatch, CopiedCampaign, CopiedClaim, CopiedCounts, CopiedEntry, CopiedPartition,
    CopiedReplacement, EntryIs, Item, Kind, Page, SETTINGS,
};
use hot::{Account, RejectedLine};
use rusqlite::params;

use crate::columns::{parsed, unsigned};
use crate::coupons::{Located, located};
use crate::failure::damaged;
use crate::rows;
use crate::txn::Txn;

/// A position is the key of the last item, its parts separated by blanks: no name has one.
struct After<'a>(std::str::SplitWhitespace<'a>);

impl<'a> After<'a> {
    fn number(&mut self, first: i64) -> rusqlite::Result<i64> {
        match self.0.next() {
            None => Ok(first),
            Some(text) => text.parse().map_err(|why| damaged("copy_position", why)),
        }
    }

    fn text(&mut self) -> &'a str {
        self.0.next().unwrap_or_default()
    }
}

/// One page of the items of a kind.
pub(super) fn page(
    txn: &Txn<'_>,
    kind: Kind,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Page> {
    let mut at = After(after.unwrap_or_default().split_whitespace());
    let rows = match kind {
        Kind::Day => days_after(txn, &mut at, limit)?,
        Kind::Campaign => campaigns_after(txn, &mut at, limit)?,
        Kind::Account => accounts_after(txn, &mut at, limit)?,
        Kind::Coupon => return residue_after(txn, &mut at, limit),
        Kind::Entry => entries_after(txn, &mut at, limit)?,
        Kind::Claim => claims_after(txn, &mut at, limit)?,
        Kind::Replacement => replacements_after(txn, &mut at, limit)?,
        Kind::Rejected => rejected_after(txn, &mut at, limit)?,
        Kind::Setting => return Ok(Page { items: settings(txn)?, next: None }),
    };
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
}

/// Items and their keys.
type Rows = Vec<(String, Item)>;

fn days_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT expiry_day, seal_after, closing, sealed, archive_commit, emptied, next_serial \
         FROM partition_plan \
         WHERE expiry_day > ?1 ORDER BY expiry_day LIMIT ?2",
    )?;
    let asked = params![at.number(i64::MIN)?, limit as i64];
    let days = statement.query_map(asked, |row| {
        let day = CopiedPartition {
            day: Day(row.get(0)?),
            // SQLite does not use buckets.
            bits: None,
            seal_after: Millis(row.get(1)?),
            closing: row.get(2)?,
            sealed: row.get(3)?,
            archive_commit: unsigned(row, 4)?,
            emptied: row.get(5)?,
            next_serial: unsigned(row, 6)?,
            entered: Vec::new(),
        };
        Ok((day.day.0.to_string(), Item::Day(day)))
    })?;
    days.collect()
}

fn campaigns_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let sql = concat!(
        "SELECT ",
        rows::campaign_columns!(),
        ", number, cold_issued, cold_redeemed, cold_void FROM campaign \
          WHERE number > ?1 ORDER BY number LIMIT ?2"
    );
    let mut statement = txn.statement(sql)?;
    let found = statement.query_map(params![at.number(i64::MIN)?, limit as i64], |row| {
        let counts = CopiedCounts {
            all: [row.get(18)?, row.get(19)?, row.get(20)?],
            cold: [row.get(23)?, row.get(24)?, row.get(25)?],
        };
        let terms = rows::campaign(row)?;
        let batches = Vec::new();
        let campaign = CopiedCampaign { terms, created_as: row.get(21)?, batches, counts };
        Ok((row.get::<_, i64>(22)?, campaign))
    })?;
    let mut rows = Vec::new();
    for one in found {
        let (number, mut campaign) = one?;
        campaign.batches = batches_of(txn, number, &campaign.terms.id)?;
        rows.push((number.to_string(), Item::Campaign(Box::new(campaign))));
    }
    Ok(rows)
}

fn batches_of(txn: &Txn<'_>, number: i64, id: &CampaignId) -> rusqlite::Result<Vec<CopiedBatch>> {
    let sql = concat!(
        "SELECT ",
        rows::batch_columns!(),
        ", next_offset, paused_reason FROM batch WHERE campaign = ?1 ORDER BY number"
    );
    let mut statement = txn.statement(sql)?;
    let batches = statement.query_map([number], |row| {
        let batch = rows::batch(row, id)?;
        let (run, arrived) = match batch.kind {
            BatchKind::Minted(run) => (Some(run), 0),
            BatchKind::Imported => (None, batch.count),
        };
        Ok(CopiedBatch {
            id: batch.id,
            run,
            arrived,
            paused: batch.paused,
            paused_reason: row.get(12)?,
            import: batch.import,
            created_at: batch.created_at,
            offered: row.get::<_, Option<i64>>(11)?.unwrap_or(0).unsigned_abs(),
        })
    })?;
    batches.collect()
}

fn accounts_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT login_id, user_id, password_hash, created_at FROM account \
         WHERE login_id > ?1 ORDER BY login_id LIMIT ?2",
    )?;
    let accounts = statement.query_map(params![at.text(), limit as i64], |row| {
        let account = Account {
            login_id: parsed(row, 0)?,
            user_id: parsed(row, 1)?,
            password_hash: row.get(2)?,
        };
        let key = account.login_id.to_string();
        Ok((key, Item::Account { account, created_at: Millis(row.get(3)?) }))
    })?;
    accounts.collect()
}

/// Rows in the order of the table, then archived markers.
fn residue_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Page> {
    const ARCHIVED_MARKERS: &str = "archived_markers";
    let first = at.text();
    if first == ARCHIVED_MARKERS {
        return archived_markers_after(txn, at, limit, ARCHIVED_MARKERS);
    }
    let after: i64 = match first {
        "" => i64::MIN,
        number => number.parse().map_err(|why| damaged("copy_position", why))?,
    };
    let sql = concat!(
        "SELECT ",
        rows::coupon_columns!(),
        " FROM coupon WHERE number > ?1 ORDER BY number LIMIT ?2"
    );
    let mut statement = txn.statement(sql)?;
    let found = statement.query_map(params![after, limit as i64], rows::coupon_row)?;
    let (mut items, mut last) = (Vec::with_capacity(limit), after);
    for one in found {
        let row = one?;
        last = row.number;
        let Located { day, coupon, .. } = located(txn, row)?;
        items.push(Item::Coupon { day, coupon: Box::new(coupon) });
    }
    let next = if items.len() == limit { last.to_string() } else { ARCHIVED_MARKERS.to_owned() };
    Ok(Page { items, next: Some(next) })
}

fn archived_markers_after(
    txn: &Txn<'_>,
    at: &mut After<'_>,
    limit: usize,
    word: &str,
) -> rusqlite::Result<Page> {
    let mut statement = txn.statement(
        "SELECT expiry_day, code, version FROM archived_marker WHERE (expiry_day, code) > (?1, ?2) \
         ORDER BY expiry_day, code LIMIT ?3",
    )?;
    let asked = params![at.number(i64::MIN)?, at.text(), limit as i64];
    let archived_markers = statement.query_map(asked, |row| {
        let (day, code): (Day, Code) = (Day(row.get(0)?), parsed(row, 1)?);
        let key = format!("{word} {} {code}", day.0);
        Ok((key, Item::ArchivedMarker { day, code, version: unsigned(row, 2)? }))
    })?;
    let rows = archived_markers.collect::<rusqlite::Result<Rows>>()?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
}

fn entries_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT code, kind, campaign, batch, expiry_day, valid_from, expires_at, imported_state \
         FROM directory WHERE code > ?1 ORDER BY code LIMIT ?2",
    )?;
    let entries = statement.query_map(params![at.text(), limit as i64], |row| {
        let code: Code = parsed(row, 0)?;
        let campaign = || Ok::<_, rusqlite::Error>(txn.campaign_at(row.get(2)?)?.terms.id.clone());
        let is = match row.get_ref(1)?.as_str()? {
            "gone" => EntryIs::Gone,
            "shared" => EntryIs::Shared { campaign: campaign()? },
            "coupon" => EntryIs::Coupon {
                campaign: campaign()?,
                batch: txn.batch_at(row.get(3)?)?.id,
                day: Day(row.get(4)?),
                line: match row.get::<_, Option<String>>(7)? {
                    None => None,
                    Some(said) => Some((Millis(row.get(5)?), Millis(row.get(6)?), said)),
                },
            },
            other => return Err(damaged("kind", other)),
        };
        Ok((code.to_string(), Item::Entry(CopiedEntry { code, is })))
    })?;
    entries.collect()
}

fn claims_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    // The partition that the coupon is in by now: on a cluster nothing leads there from an earlier
    // one.
    let mut statement = txn.statement(
        "SELECT campaign, user_id, entry, code, ref, issue, coalesce((SELECT directory.expiry_day \
         FROM directory WHERE directory.code = claim.code AND kind = 'coupon'), expiry_day) \
         FROM claim WHERE (campaign, user_id, entry) > (?1, ?2, ?3) \
         ORDER BY campaign, user_id, entry LIMIT ?4",
    )?;
    let asked = params![at.number(i64::MIN)?, at.text(), at.number(i64::MIN)?, limit as i64];
    let claims = statement.query_map(asked, |row| {
        let number: i64 = row.get(0)?;
        let claim = CopiedClaim {
            campaign: txn.campaign_at(number)?.terms.id.clone(),
            user: parsed(row, 1)?,
            slot: row.get(2)?,
            day: Day(row.get(6)?),
            code: parsed(row, 3)?,
            reference: row.get::<_, Option<String>>(4)?.as_deref().map(IssueRef::stored),
            issue: row.get(5)?,
        };
        Ok((format!("{number} {} {}", claim.user, claim.slot), Item::Claim(claim)))
    })?;
    claims.collect()
}

fn replacements_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT replaced, user_id, issue FROM replacement WHERE replaced > ?1 \
         ORDER BY replaced LIMIT ?2",
    )?;
    let replacements = statement.query_map(params![at.text(), limit as i64], |row| {
        let replaced: Code = parsed(row, 0)?;
        let (user, issue) = (row.get(1)?, row.get(2)?);
        let key = replaced.to_string();
        Ok((key, Item::Replacement(CopiedReplacement { replaced, user, issue })))
    })?;
    replacements.collect()
}

fn rejected_after(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT rejected_line.batch, line, text, reason, detail, at, batch_id, campaign_id \
         FROM rejected_line JOIN batch ON batch.number = rejected_line.batch \
         JOIN campaign ON campaign.number = batch.campaign \
         WHERE (rejected_line.batch, line) > (?1, ?2) \
         ORDER BY rejected_line.batch, line LIMIT ?3",
    )?;
    let asked = params![at.number(i64::MIN)?, at.number(i64::MIN)?, limit as i64];
    let lines = statement.query_map(asked, |row| {
        let line = RejectedLine {
            line: unsigned(row, 1)?,
            text: row.get(2)?,
            reason: row.get(3)?,
            detail: row.get(4)?,
        };
        let key = format!("{} {}", row.get::<_, i64>(0)?, line.line);
        let (batch, campaign) = (parsed(row, 6)?, parsed(row, 7)?);
        Ok((key, Item::Rejected { campaign, batch, line, at: Millis(row.get(5)?) }))
    })?;
    lines.collect()
}

fn settings(txn: &Txn<'_>) -> rusqlite::Result<Vec<Item>> {
    let mut items = Vec::new();
    for setting in SETTINGS {
        if let Some(text) = txn.setting(setting.name())? {
            let value = setting.value(&text).map_err(|why| damaged(setting.name(), why))?;
            items.push(Item::Setting { setting, value });
        }
    }
    Ok(items)
}
