//! The embedded store as the source and the target of a copy.

use async_trait::async_trait;
use coupon::campaign::{BatchKind, ImportCounts};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, IssueRef};
use coupon::time::{Day, Millis};
use router::BUCKET_BITS_DEFAULT;
use rusqlite::{OptionalExtension, Row, params};

use super::coupons::{Here, Located, insert, located, signed};
use super::failure::damaged;
use super::txn::{CampaignHere, Txn};
use super::{SqliteHot, accounts, partitions, rows};
use hot::copying::{
    CopiedBatch, CopiedCampaign, CopiedClaim, CopiedCounts, CopiedEntry, CopiedPartition,
    CopiedReplacement, Copyable, EntryIs, Item, Kind, Page, Pass, SETTINGS,
};
use hot::{Account, HotError, RejectedLine, Tier};

#[async_trait]
impl Copyable for SqliteHot {
    async fn items(
        &self,
        kind: Kind,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError> {
        self.readers.run(move |txn| page(txn, kind, after.as_deref(), limit)).await
    }

    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<(), HotError> {
        let put = move |txn: &Txn<'_>| items.iter().try_for_each(|item| put(txn, item, pass));
        self.writer.run(put).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<bool>, HotError> {
        let items = items.to_vec();
        self.readers.run(move |txn| items.iter().map(|item| has(txn, item)).collect()).await
    }

    async fn remove(&self, items: Vec<Item>) -> Result<(), HotError> {
        self.writer.run(move |txn| items.iter().try_for_each(|item| remove(txn, item))).await
    }

    async fn settle(&self) -> Result<(), HotError> {
        self.writer.run(settle).await
    }

    async fn copy_setting(&self, name: &str) -> Result<Option<String>, HotError> {
        let name = name.to_owned();
        self.readers.run(move |txn| accounts::setting(txn, &name)).await
    }

    async fn set_copy_setting(&self, name: &str, value: &str) -> Result<(), HotError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.writer.run(move |txn| accounts::set(txn, &name, &value)).await
    }
}

/// A position is the key of the last item, its parts apart by blanks: no name has one.
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

fn page(txn: &Txn<'_>, kind: Kind, after: Option<&str>, limit: usize) -> rusqlite::Result<Page> {
    let mut at = After(after.unwrap_or_default().split_whitespace());
    let rows = match kind {
        Kind::Day => days_behind(txn, &mut at, limit)?,
        Kind::Campaign => campaigns_behind(txn, &mut at, limit)?,
        Kind::Account => accounts_behind(txn, &mut at, limit)?,
        Kind::Coupon => return residue_behind(txn, &mut at, limit),
        Kind::Entry => entries_behind(txn, &mut at, limit)?,
        Kind::Claim => claims_behind(txn, &mut at, limit)?,
        Kind::Replacement => replacements_behind(txn, &mut at, limit)?,
        Kind::Rejected => rejected_behind(txn, &mut at, limit)?,
        Kind::Setting => return Ok(Page { items: settings(txn)?, next: None }),
    };
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
}

/// Items and their keys.
type Rows = Vec<(String, Item)>;

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

fn days_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT expiry_day, seal_after, closing, sealed, archive_commit, emptied, next_serial FROM partition_plan \
         WHERE expiry_day > ?1 ORDER BY expiry_day LIMIT ?2",
    )?;
    let asked = params![at.number(i64::MIN)?, limit as i64];
    let days = statement.query_map(asked, |row| {
        let day = CopiedPartition {
            day: Day(row.get(0)?),
            // Its own buckets are never looked at.
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

fn campaigns_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
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

fn accounts_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT login_id, user_id, password_hash, created_at FROM account \
         WHERE login_id > ?1 ORDER BY login_id LIMIT ?2",
    )?;
    let accounts = statement.query_map(params![at.text(), limit as i64], |row| {
        let account = Account {
            login_id: rows::parsed(row, 0)?,
            user_id: rows::parsed(row, 1)?,
            password_hash: row.get(2)?,
        };
        let key = account.login_id.to_string();
        Ok((key, Item::Account { account, created_at: Millis(row.get(3)?) }))
    })?;
    accounts.collect()
}

/// Rows in the order in which they lie, then archived markers.
fn residue_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Page> {
    const ARCHIVED_MARKERS: &str = "archived_markers";
    let first = at.text();
    if first == ARCHIVED_MARKERS {
        return archived_markers_behind(txn, at, limit, ARCHIVED_MARKERS);
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

fn archived_markers_behind(
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
        let (day, code): (Day, Code) = (Day(row.get(0)?), rows::parsed(row, 1)?);
        let key = format!("{word} {} {code}", day.0);
        Ok((key, Item::ArchivedMarker { day, code, version: unsigned(row, 2)? }))
    })?;
    let rows = archived_markers.collect::<rusqlite::Result<Rows>>()?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
}

fn entries_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT code, kind, campaign, batch, expiry_day, valid_from, expires_at, imported_state \
         FROM directory WHERE code > ?1 ORDER BY code LIMIT ?2",
    )?;
    let entries = statement.query_map(params![at.text(), limit as i64], |row| {
        let code: Code = rows::parsed(row, 0)?;
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

fn claims_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    // Where the coupon is by now: on a cluster nothing leads there from a partition that it has
    // left.
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
            user: rows::parsed(row, 1)?,
            slot: row.get(2)?,
            day: Day(row.get(6)?),
            code: rows::parsed(row, 3)?,
            reference: row.get::<_, Option<String>>(4)?.as_deref().map(IssueRef::stored),
            issue: row.get(5)?,
        };
        Ok((format!("{number} {} {}", claim.user, claim.slot), Item::Claim(claim)))
    })?;
    claims.collect()
}

fn replacements_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT replaced, user_id, issue FROM replacement WHERE replaced > ?1 \
         ORDER BY replaced LIMIT ?2",
    )?;
    let replacements = statement.query_map(params![at.text(), limit as i64], |row| {
        let replaced: Code = rows::parsed(row, 0)?;
        let (user, issue) = (row.get(1)?, row.get(2)?);
        let key = replaced.to_string();
        Ok((key, Item::Replacement(CopiedReplacement { replaced, user, issue })))
    })?;
    replacements.collect()
}

fn rejected_behind(txn: &Txn<'_>, at: &mut After<'_>, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = txn.statement(
        "SELECT rejected_line.batch, line, text, word, detail, at, batch_id, campaign_id \
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
            word: row.get(3)?,
            detail: row.get(4)?,
        };
        let key = format!("{} {}", row.get::<_, i64>(0)?, line.line);
        let (batch, campaign) = (rows::parsed(row, 6)?, rows::parsed(row, 7)?);
        Ok((key, Item::Rejected { campaign, batch, line, at: Millis(row.get(5)?) }))
    })?;
    lines.collect()
}

fn settings(txn: &Txn<'_>) -> rusqlite::Result<Vec<Item>> {
    let mut items = Vec::new();
    for setting in SETTINGS {
        if let Some(text) = accounts::setting(txn, setting.name())? {
            let value = setting.value(&text).map_err(|why| damaged(setting.name(), why))?;
            items.push(Item::Setting { setting, value });
        }
    }
    Ok(items)
}

fn put(txn: &Txn<'_>, item: &Item, pass: Pass) -> rusqlite::Result<()> {
    match item {
        Item::Day(day) => put_day(txn, day),
        Item::Campaign(campaign) => put_campaign(txn, campaign),
        Item::Account { account, created_at } => {
            txn.statement(
                "INSERT OR REPLACE INTO account (login_id, user_id, password_hash, created_at) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                account.login_id.as_str(),
                account.user_id.as_str(),
                account.password_hash,
                created_at.0
            ])?;
            Ok(())
        }
        Item::Coupon { day, coupon } => put_coupon(txn, *day, coupon, pass),
        Item::ArchivedMarker { day, code, version } => {
            put_archived_marker(txn, *day, code, *version)
        }
        Item::Entry(entry) => put_entry(txn, entry),
        Item::Claim(claim) => put_claim(txn, claim),
        Item::Replacement(CopiedReplacement { replaced, user, issue }) => {
            txn.statement(
                "INSERT OR REPLACE INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![replaced.as_str(), user, issue])?;
            Ok(())
        }
        Item::Rejected { campaign, batch, line, at } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            super::import::keep_rejected(txn, number, std::slice::from_ref(line), *at)
        }
        Item::Setting { setting, value } => {
            let here = accounts::setting(txn, setting.name())?;
            let here = here.map(|text| setting.value(&text)).transpose();
            let here = here.map_err(|why| damaged(setting.name(), why))?;
            match here.is_none_or(|here| here < *value) {
                true => accounts::set(txn, setting.name(), &setting.text(*value)),
                false => Ok(()),
            }
        }
    }
}

fn put_day(txn: &Txn<'_>, it: &CopiedPartition) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO partition_plan (expiry_day, bucket_bits, seal_after, closing, next_serial, sealed, archive_commit, \
         emptied) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (expiry_day) DO UPDATE SET \
         seal_after = max(seal_after, excluded.seal_after), \
         closing = max(closing, excluded.closing), \
         next_serial = max(next_serial, excluded.next_serial), \
         sealed = max(sealed, excluded.sealed), archive_commit = max(archive_commit, excluded.archive_commit), \
         emptied = max(emptied, excluded.emptied)",
    )?
    .execute(params![
        it.day.0,
        it.bits.unwrap_or(BUCKET_BITS_DEFAULT),
        it.seal_after.0,
        it.closing,
        signed(it.next_serial),
        it.sealed,
        signed(it.archive_commit),
        it.emptied,
    ])?;
    txn.forget_terms();
    if it.emptied {
        // What an earlier pass has brought lies in cold by now.
        for sql in [
            "DELETE FROM coupon WHERE expiry_day = ?1",
            "DELETE FROM archived_marker WHERE expiry_day = ?1",
        ] {
            txn.statement(sql)?.execute([it.day.0])?;
        }
    }
    Ok(())
}

fn put_campaign(txn: &Txn<'_>, it: &CopiedCampaign) -> rusqlite::Result<()> {
    let terms = &it.terms;
    let stock: u64 = it.batches.iter().map(count_of).sum();
    txn.statement(
        "INSERT INTO campaign (campaign_id, name, handout, shared_code, code_prefix, valid_from, \
         expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
         extend_days, paused, metadata, created_at, created_as, stock, issued, redeemed, void, \
         cold_issued, cold_redeemed, cold_void) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT (campaign_id) DO UPDATE SET \
         name = excluded.name, issue_from = excluded.issue_from, \
         issue_until = excluded.issue_until, per_user_limit = excluded.per_user_limit, \
         paused = excluded.paused, metadata = excluded.metadata, stock = excluded.stock, \
         issued = excluded.issued, redeemed = excluded.redeemed, void = excluded.void, \
         cold_issued = excluded.cold_issued, cold_redeemed = excluded.cold_redeemed, \
         cold_void = excluded.cold_void",
    )?
    .execute(params![
        terms.id.as_str(),
        terms.name,
        terms.handout.as_str(),
        terms.shared_code.as_ref().map(Code::as_str),
        terms.code_prefix.as_ref().map(|prefix| prefix.as_str()),
        terms.valid_from.0,
        terms.expires_at.0,
        terms.zone.name(),
        terms.valid_days,
        terms.issue_from.map(|at| at.0),
        terms.issue_until.map(|at| at.0),
        terms.per_user_limit,
        terms.cancel_days,
        terms.extend_days,
        terms.paused,
        terms.metadata,
        terms.created_at.0,
        it.created_as,
        signed(stock),
        it.counts.all[0],
        it.counts.all[1],
        it.counts.all[2],
        it.counts.cold[0],
        it.counts.cold[1],
        it.counts.cold[2],
    ])?;
    txn.forget_terms();
    let gone = || damaged("campaign", "not there after it was put");
    let number = txn.campaign(&terms.id)?.ok_or_else(gone)?.number;
    it.batches.iter().try_for_each(|batch| put_batch(txn, number, batch))
}

fn count_of(batch: &CopiedBatch) -> u64 {
    batch.run.map_or(batch.arrived, |run| run.count)
}

fn put_batch(txn: &Txn<'_>, campaign: i64, it: &CopiedBatch) -> rusqlite::Result<()> {
    let ImportCounts { lines, imported, already_there, rejected } = it.import;
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, count, \
         paused, paused_reason, lines, imported, already_there, rejected, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
         ON CONFLICT (campaign, batch_id) DO UPDATE SET next_offset = excluded.next_offset, \
         count = excluded.count, paused = excluded.paused, \
         paused_reason = excluded.paused_reason, lines = excluded.lines, \
         imported = excluded.imported, already_there = excluded.already_there, \
         rejected = excluded.rejected",
    )?
    .execute(params![
        campaign,
        it.id.as_str(),
        it.run.map(|run| run.key.to_string()),
        it.run.map(|run| run.day.0),
        it.run.map(|run| signed(run.first)),
        it.run.map(|run| signed(it.offered.min(run.count))),
        signed(count_of(it)),
        it.paused,
        it.paused_reason,
        signed(lines),
        signed(imported),
        signed(already_there),
        signed(rejected),
        it.created_at.0,
    ])?;
    Ok(())
}

/// The campaign and the number of its batch, which were put before.
fn batch_here(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
) -> rusqlite::Result<(CampaignHere, i64)> {
    let gone = || damaged("batch", format!("{campaign}/{batch} was not copied"));
    let campaign = txn.campaign(campaign)?.ok_or_else(gone)?;
    let number = txn.batch_number(campaign.number, batch)?.ok_or_else(gone)?;
    Ok((campaign, number))
}

fn put_coupon(txn: &Txn<'_>, day: Day, coupon: &Coupon, pass: Pass) -> rusqlite::Result<()> {
    let code = coupon.code();
    if pass == Pass::Again {
        let here = txn
            .statement("SELECT version FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
            .query_row(params![day.0, code.as_str()], |row| row.get::<_, i64>(0))
            .optional()?;
        let is_newer = here.is_some_and(|here| here >= signed(coupon.version()));
        if is_newer || partitions::archived_marker(txn, day, code)?.is_some() {
            return Ok(());
        }
        if here.is_some() {
            txn.statement("DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
                .execute(params![day.0, code.as_str()])?;
        }
    }
    let genesis = coupon.genesis();
    let (campaign, batch) = batch_here(txn, &genesis.campaign, &genesis.batch)?;
    let here = Here { campaign, batch, row: None };
    let (coupon, tier) = (coupon.clone(), Tier::Hot);
    let located = Located { coupon, batch_paused: false, day, tier, frozen: false, here };
    insert(txn, &located, &located.coupon, day)
}

fn put_archived_marker(txn: &Txn<'_>, day: Day, code: &Code, version: u64) -> rusqlite::Result<()> {
    txn.statement("DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
        .execute(params![day.0, code.as_str()])?;
    txn.statement(
        "INSERT OR REPLACE INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![day.0, code.as_str(), signed(version)])?;
    Ok(())
}

fn put_entry(txn: &Txn<'_>, it: &CopiedEntry) -> rusqlite::Result<()> {
    let number = |id: &CampaignId| -> rusqlite::Result<i64> {
        let gone = || damaged("campaign", format!("{id} was not copied"));
        Ok(txn.campaign(id)?.ok_or_else(gone)?.number)
    };
    let (kind, campaign, batch, day, line) = match &it.is {
        EntryIs::Gone => ("gone", 0, None, None, None),
        EntryIs::Shared { campaign } => ("shared", number(campaign)?, None, None, None),
        EntryIs::Coupon { campaign, batch, day, line } => {
            let (campaign, batch) = batch_here(txn, campaign, batch)?;
            ("coupon", campaign.number, Some(batch), Some(day.0), line.as_ref())
        }
    };
    txn.statement(
        "INSERT OR REPLACE INTO directory (code, kind, campaign, batch, expiry_day, valid_from, \
         expires_at, imported_state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        it.code.as_str(),
        kind,
        campaign,
        batch,
        day,
        line.map(|(from, ..)| from.0),
        line.map(|(_, until, _)| until.0),
        line.map(|(.., said)| said),
    ])?;
    Ok(())
}

fn put_claim(txn: &Txn<'_>, it: &CopiedClaim) -> rusqlite::Result<()> {
    let gone = || damaged("campaign", format!("{} was not copied", it.campaign));
    let campaign = txn.campaign(&it.campaign)?.ok_or_else(gone)?;
    txn.statement(
        "INSERT OR REPLACE INTO claim (campaign, user_id, entry, expiry_day, code, ref, issue) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        campaign.number,
        it.user.as_str(),
        it.slot,
        it.day.0,
        it.code.as_str(),
        it.reference.as_ref().map(IssueRef::as_str),
        it.issue,
    ])?;
    Ok(())
}

/// Of kinds that vanish.
fn has(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<bool> {
    match item {
        Item::Account { account, .. } => txn
            .statement("SELECT 1 FROM account WHERE login_id = ?1 AND user_id = ?2")?
            .exists(params![account.login_id.as_str(), account.user_id.as_str()]),
        Item::Replacement(it) => txn
            .statement("SELECT 1 FROM replacement WHERE replaced = ?1")?
            .exists([it.replaced.as_str()]),
        Item::Rejected { campaign, batch, line, .. } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            txn.statement("SELECT 1 FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .exists(params![number, signed(line.line)])
        }
        Item::Day(_)
        | Item::Campaign(_)
        | Item::Coupon { .. }
        | Item::ArchivedMarker { .. }
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. } => Ok(true),
    }
}

fn remove(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<()> {
    match item {
        Item::Account { account, .. } => txn
            .statement("DELETE FROM account WHERE login_id = ?1 AND user_id = ?2")?
            .execute(params![account.login_id.as_str(), account.user_id.as_str()]),
        Item::Replacement(it) => txn
            .statement("DELETE FROM replacement WHERE replaced = ?1")?
            .execute([it.replaced.as_str()]),
        Item::Rejected { campaign, batch, line, .. } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            txn.statement("DELETE FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .execute(params![number, signed(line.line)])
        }
        Item::Day(_)
        | Item::Campaign(_)
        | Item::Coupon { .. }
        | Item::ArchivedMarker { .. }
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. } => Ok(0),
    }
    .map(drop)
}

/// What no single item says: rows that an earlier pass has brought to a partition which their
/// coupon has left since; and the counts, which are exact here and were not on a cluster.
fn settle(txn: &Txn<'_>) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM coupon WHERE expiry_day < (SELECT directory.expiry_day FROM directory \
         WHERE directory.code = coupon.code AND kind = 'coupon')",
        "UPDATE campaign SET issued = cold_issued, redeemed = cold_redeemed, void = cold_void",
        "UPDATE campaign SET issued = cold_issued + here.issued, \
         redeemed = cold_redeemed + here.redeemed, void = cold_void + here.void FROM (SELECT campaign AS number, \
         count(*) FILTER (WHERE state = 'issued') AS issued, \
         count(*) FILTER (WHERE state = 'redeemed') AS redeemed, \
         count(*) FILTER (WHERE state = 'void') AS void \
         FROM coupon NOT INDEXED GROUP BY campaign) AS here WHERE here.number = campaign.number",
    ] {
        txn.conn.execute(sql, [])?;
    }
    Ok(())
}
