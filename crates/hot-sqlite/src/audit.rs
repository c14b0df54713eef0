//! The embedded store as `verify` sees it.

use async_trait::async_trait;
use coupon::campaign::BatchKind;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::{Day, Millis};
use router::Owner;
use rusqlite::{OptionalExtension, Row, params};

use super::coupons::{located, signed};
use super::failure::damaged;
use super::txn::Txn;
use super::{SqliteHot, archiving, examine, rows};
use hot::audit::{
    Atomicity, Audit, AuditBatch, AuditCampaign, AuditClaim, AuditEntry, AuditEntryIs, AuditPage,
    AuditPartition, AuditRow, CountShift, IndexRow, IndexRowKind, RowIs, Unreadable,
};
use hot::{HotError, PartitionPlan};

#[async_trait]
impl Audit for SqliteHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::OneTransaction
    }

    async fn audit_files(&self) -> Result<Vec<String>, HotError> {
        self.readers.run(examine::integrity).await
    }

    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>, HotError> {
        self.readers.run(days).await
    }

    async fn audit_rows(
        &self,
        day: Day,
        after: String,
        limit: usize,
    ) -> Result<Vec<AuditRow>, HotError> {
        self.readers.run(move |txn| rows_behind(txn, day, &after, limit)).await
    }

    async fn audit_spots(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<AuditRow>>, HotError> {
        let look =
            move |txn: &Txn<'_>| spots.iter().map(|(day, code)| spot(txn, *day, code)).collect();
        self.readers.run(look).await
    }

    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>, HotError> {
        self.readers.run(campaigns).await
    }

    async fn audit_entries(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditEntry>, HotError> {
        self.readers.run(move |txn| entries_behind(txn, after.as_deref(), limit)).await
    }

    async fn audit_entries_of(
        &self,
        codes: Vec<Code>,
    ) -> Result<Vec<Option<AuditEntry>>, HotError> {
        self.readers.run(move |txn| codes.iter().map(|code| entry_of(txn, code)).collect()).await
    }

    async fn audit_claims(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditClaim>, HotError> {
        self.readers.run(move |txn| claims_behind(txn, after.as_deref(), limit)).await
    }

    async fn audit_claimed(
        &self,
        asked: Vec<(CampaignId, UserId, Code)>,
    ) -> Result<Vec<bool>, HotError> {
        let look = move |txn: &Txn<'_>| asked.iter().map(|asked| is_claimed(txn, asked)).collect();
        self.readers.run(look).await
    }

    /// Indexes do what index rows do elsewhere, and [`Audit::audit_files`] looks at those.
    async fn audit_index_rows(
        &self,
        _kind: IndexRowKind,
        _after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<IndexRow>, HotError> {
        Ok(AuditPage { items: Vec::new(), unreadable: Vec::new(), next: None })
    }

    async fn audit_unindexed(
        &self,
        coupons: Vec<(Day, Coupon)>,
    ) -> Result<Vec<Vec<IndexRowKind>>, HotError> {
        Ok(vec![Vec::new(); coupons.len()])
    }

    async fn mend_index_rows(&self, _day: Day, _coupon: Coupon) -> Result<(), HotError> {
        Ok(())
    }

    async fn remove_index_rows(&self, _index_rows: Vec<IndexRow>) -> Result<(), HotError> {
        Ok(())
    }

    async fn mend_counts(&self, shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64, HotError> {
        self.writer.run(move |txn| mend(txn, &shifts)).await
    }
}

fn days(txn: &Txn<'_>) -> rusqlite::Result<Vec<AuditPartition>> {
    let mut statement = txn.statement(
        "SELECT expiry_day, seal_after, sealed, archive_commit, emptied, next_serial FROM partition_plan ORDER BY expiry_day",
    )?;
    let plans = statement.query_map([], |row| {
        let plan: PartitionPlan = archiving::plan(row)?;
        let next_serial = row.get::<_, i64>(5)?.unsigned_abs();
        Ok(AuditPartition { day: plan.day, plan: Some(plan), next_serial })
    })?;
    let mut days = plans.collect::<rusqlite::Result<Vec<AuditPartition>>>()?;
    // Through the index: as many steps as there are partitions.
    for sql in [
        "SELECT min(expiry_day) FROM coupon INDEXED BY coupon_by_code WHERE expiry_day > ?1",
        "SELECT min(expiry_day) FROM archived_marker WHERE expiry_day > ?1",
    ] {
        let mut after = i64::MIN;
        let mut statement = txn.statement(sql)?;
        while let Some(day) = statement.query_row([after], |row| row.get::<_, Option<i32>>(0))? {
            after = i64::from(day);
            if days.binary_search_by_key(&day, |it| it.day.0).is_err() {
                days.push(AuditPartition { day: Day(day), plan: None, next_serial: 0 });
                days.sort_unstable_by_key(|it| it.day);
            }
        }
    }
    Ok(days)
}

/// Where a row lies, or which version an archived marker names.
enum Lies {
    Row(i64),
    ArchivedMarker(u64),
}

fn rows_behind(
    txn: &Txn<'_>,
    day: Day,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<AuditRow>> {
    let mut found: Vec<(String, Lies)> = Vec::new();
    let asked = params![day.0, after, signed(limit as u64)];
    let mut statement = txn.statement(
        "SELECT code, number FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    for one in statement.query_map(asked, |row| Ok((row.get(0)?, Lies::Row(row.get(1)?))))? {
        found.push(one?);
    }
    let mut statement = txn.statement(
        "SELECT code, version FROM archived_marker WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    let archived_marker = |row: &Row<'_>| {
        Ok((row.get(0)?, Lies::ArchivedMarker(row.get::<_, i64>(1)?.unsigned_abs())))
    };
    for one in statement.query_map(asked, archived_marker)? {
        found.push(one?);
    }
    // A row before an archived marker of the same code.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some((last, _)) = found.get(limit.saturating_sub(1)) {
        // Of both together no more, so that nothing is left out in between.
        let last = last.clone();
        found.retain(|(code, _)| *code <= last);
    }
    rows_of(txn, found)
}

/// Rows are read in the order in which they lie: a page of the table once for all of its rows.
fn rows_of(txn: &Txn<'_>, found: Vec<(String, Lies)>) -> rusqlite::Result<Vec<AuditRow>> {
    let mut order: Vec<(i64, usize)> = Vec::new();
    let mut all: Vec<AuditRow> = Vec::with_capacity(found.len());
    for (code, lies) in found {
        let is = match lies {
            Lies::ArchivedMarker(version) => RowIs::ArchivedMarker { version },
            Lies::Row(number) => {
                order.push((number, all.len()));
                RowIs::Unreadable("the index names it, and the table has no such row".to_owned())
            }
        };
        all.push(AuditRow { code, is, astray: None });
    }
    order.sort_unstable();
    let sql = concat!("SELECT ", rows::coupon_columns!(), " FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    for (number, at) in order {
        let mut found = statement.query([number])?;
        if let Some(row) = found.next()? {
            all[at].is = is_of(txn, row).written_as(&all[at].code);
        }
    }
    Ok(all)
}

/// The coupon of a row and what its columns say otherwise. What cannot be read says why.
fn is_of(txn: &Txn<'_>, row: &Row<'_>) -> RowIs {
    let read = rows::coupon_row(row).and_then(|it| {
        let (campaign, batch) = (it.campaign, it.batch);
        located(txn, it).map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => {
                damaged("campaign", format!("{campaign}, or its batch {batch}, is not there"))
            }
            error => error,
        })
    });
    match read {
        Err(error) => RowIs::Unreadable(error.to_string()),
        Ok(located) => match examine::disagreement(&located.coupon, row) {
            Ok(differs) => RowIs::Coupon { coupon: Box::new(located.coupon), differs },
            Err(error) => RowIs::Unreadable(error.to_string()),
        },
    }
}

fn spot(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Vec<AuditRow>> {
    let number = txn
        .statement(
            "SELECT number FROM coupon INDEXED BY coupon_by_code \
             WHERE expiry_day = ?1 AND code = ?2",
        )?
        .query_row(params![day.0, code.as_str()], |row| row.get(0))
        .optional()?;
    let archived_marker = super::partitions::archived_marker(txn, day, code)?;
    let found = number.map(Lies::Row).into_iter().chain(archived_marker.map(Lies::ArchivedMarker));
    rows_of(txn, found.map(|lies| (code.to_string(), lies)).collect())
}

/// All at one moment, rows and counts.
fn campaigns(txn: &Txn<'_>) -> rusqlite::Result<Vec<AuditCampaign>> {
    let mut counted = examine::rows_of_campaigns(txn)?;
    let mut statement = txn.statement(
        "SELECT number, stock, issued, redeemed, void, cold_issued, cold_redeemed, cold_void \
         FROM campaign ORDER BY number",
    )?;
    let mut found = statement.query([])?;
    let mut campaigns = Vec::new();
    while let Some(row) = found.next()? {
        let number: i64 = row.get(0)?;
        let terms = txn.campaign_at(number)?.terms;
        campaigns.push(AuditCampaign {
            stock: row.get::<_, i64>(1)?.unsigned_abs(),
            all: [row.get(2)?, row.get(3)?, row.get(4)?],
            cold: [row.get(5)?, row.get(6)?, row.get(7)?],
            rows: Some(counted.remove(&number).unwrap_or_default()),
            batches: batches(txn, number, &terms.id)?,
            terms,
        });
    }
    Ok(campaigns)
}

fn batches(txn: &Txn<'_>, number: i64, id: &CampaignId) -> rusqlite::Result<Vec<AuditBatch>> {
    let sql = concat!(
        "SELECT ",
        rows::batch_columns!(),
        ", next_offset FROM batch WHERE campaign = ?1 ORDER BY number"
    );
    let mut statement = txn.statement(sql)?;
    let batches = statement.query_map([number], |row| {
        let batch = rows::batch(row, id)?;
        let run = match batch.kind {
            BatchKind::Minted(run) => Some(run),
            BatchKind::Imported => None,
        };
        Ok(AuditBatch {
            id: batch.id,
            run,
            count: batch.count,
            made_at: batch.created_at,
            offered: row.get::<_, Option<i64>>(11)?.unwrap_or(0).unsigned_abs(),
        })
    })?;
    batches.collect()
}

macro_rules! entry_columns {
    () => {
        "directory.code, kind, campaign_id, batch_id, directory.expiry_day, directory.valid_from, \
         directory.expires_at FROM directory \
         LEFT JOIN campaign ON campaign.number = directory.campaign \
         LEFT JOIN batch ON batch.number = directory.batch "
    };
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let code: String = row.get(0)?;
    let read = || -> rusqlite::Result<AuditEntryIs> {
        Ok(match row.get_ref(1)?.as_str()? {
            "gone" => AuditEntryIs::Gone,
            "shared" => AuditEntryIs::Shared { campaign: rows::parsed(row, 2)? },
            "coupon" => AuditEntryIs::Coupon {
                owner: Owner { campaign: rows::parsed(row, 2)?, batch: rows::parsed(row, 3)? },
                day: Day(row.get(4)?),
                line: match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?) {
                    (Some(from), Some(until)) => Some((Millis(from), Millis(until))),
                    _ => None,
                },
            },
            other => return Err(damaged("kind", other)),
        })
    };
    let is = read().unwrap_or_else(|error| AuditEntryIs::Unreadable(error.to_string()));
    Ok(AuditEntry { code, is })
}

fn entries_behind(
    txn: &Txn<'_>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<AuditPage<AuditEntry>> {
    let sql = concat!(
        "SELECT ",
        entry_columns!(),
        "WHERE directory.code > ?1 ORDER BY directory.code LIMIT ?2"
    );
    let mut statement = txn.statement(sql)?;
    let asked = params![after.unwrap_or_default(), signed(limit as u64)];
    let items = statement.query_map(asked, entry)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = items.last().filter(|_| items.len() == limit).map(|entry| entry.code.clone());
    Ok(AuditPage { items, unreadable: Vec::new(), next })
}

fn entry_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<AuditEntry>> {
    let sql = concat!("SELECT ", entry_columns!(), "WHERE directory.code = ?1");
    txn.statement(sql)?.query_row([code.as_str()], entry).optional()
}

/// A position is campaign, entry and user, the parts apart by blanks: no name has one.
fn claims_behind(
    txn: &Txn<'_>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<AuditPage<AuditClaim>> {
    let bad = |why: &dyn std::fmt::Display| damaged("position", why);
    let mut parts = after.unwrap_or_default().splitn(3, ' ');
    let number = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Ok(i64::MIN),
        Some(text) => text.parse::<i64>().map_err(|why| bad(&why)),
    };
    let (campaign, slot) = (number(parts.next())?, number(parts.next())?);
    let asked = params![campaign, parts.next().unwrap_or_default(), slot, signed(limit as u64)];
    let mut statement = txn.statement(
        "SELECT campaign, user_id, entry, code, expiry_day, issue FROM claim \
         WHERE (campaign, user_id, entry) > (?1, ?2, ?3) \
         ORDER BY campaign, user_id, entry LIMIT ?4",
    )?;
    let found = statement.query_map(asked, |row| {
        let (campaign, user): (i64, String) = (row.get(0)?, row.get(1)?);
        let key = format!("{campaign} {} {user}", row.get::<_, i64>(2)?);
        let claim = claim_of(txn, row, campaign).map_err(|error| Unreadable {
            about: format!("the claim of {user} on campaign {campaign}"),
            why: error.to_string(),
        });
        Ok((key, claim))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = found.last().filter(|_| found.len() == limit).map(|(key, _)| key.clone());
    let (mut items, mut unreadable) = (Vec::new(), Vec::new());
    for (_, claim) in found {
        match claim {
            Ok(claim) => items.push(claim),
            Err(why) => unreadable.push(why),
        }
    }
    Ok(AuditPage { items, unreadable, next })
}

fn claim_of(txn: &Txn<'_>, row: &Row<'_>, campaign: i64) -> rusqlite::Result<AuditClaim> {
    let campaign = txn.campaign_at(campaign).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => damaged("campaign", "it is not there"),
        error => error,
    })?;
    let issue = row.get::<_, Option<i64>>(5)?.and_then(|it| usize::try_from(it).ok());
    Ok(AuditClaim {
        campaign: campaign.terms.id.clone(),
        user: rows::parsed(row, 1)?,
        code: rows::parsed(row, 3)?,
        day: Day(row.get(4)?),
        issue,
        begun: None,
    })
}

fn is_claimed(
    txn: &Txn<'_>,
    (campaign, user, code): &(CampaignId, UserId, Code),
) -> rusqlite::Result<bool> {
    let Some(campaign) = txn.campaign(campaign)? else { return Ok(false) };
    txn.statement("SELECT 1 FROM claim WHERE campaign = ?1 AND user_id = ?2 AND code = ?3")?
        .exists(params![campaign.number, user.as_str(), code.as_str()])
}

/// Lowers counts by what they were too high: that stays right whatever is counted meanwhile.
fn mend(txn: &Txn<'_>, shifts: &[(CountShift, [i64; 3])]) -> rusqlite::Result<u64> {
    let mut mended = 0;
    for (shift, cold) in shifts {
        let changed = txn
            .statement(
                "UPDATE campaign SET issued = issued - ?2, redeemed = redeemed - ?3, \
                 void = void - ?4, cold_issued = cold_issued - ?5, \
                 cold_redeemed = cold_redeemed - ?6, cold_void = cold_void - ?7, \
                 stock = stock - ?8 WHERE campaign_id = ?1 AND cold_issued = ?9 \
                 AND cold_redeemed = ?10 AND cold_void = ?11",
            )?
            .execute(params![
                shift.campaign.as_str(),
                shift.all[0],
                shift.all[1],
                shift.all[2],
                shift.cold[0],
                shift.cold[1],
                shift.cold[2],
                shift.stock,
                cold[0],
                cold[1],
                cold[2],
            ])?;
        mended += changed as u64;
    }
    Ok(mended)
}
