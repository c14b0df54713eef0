//! Items of a copy, written into this store.

use coupon::campaign::ImportCounts;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, IssueRef};
use coupon::time::Day;
use hot::Tier;
use hot::inventory::{
    BatchItem, CampaignItem, ClaimItem, EntryIs, EntryItem, Item, PartitionItem, Pass,
    ReplacementItem, RowIs,
};
use router::BUCKET_BITS_DEFAULT;
use rusqlite::{OptionalExtension, params};

use crate::coupons::{Here, Located, writing};
use crate::failure::damaged;
use crate::numbers::signed;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{partitions, rejected_lines, settings};

/// Writes one item. A second pass brings only what is newer than here.
pub(super) fn put(txn: &Txn<'_>, item: &Item, pass: Pass) -> rusqlite::Result<()> {
    match item {
        Item::Partition(partition) => put_partition(txn, partition),
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
        Item::Row(row) => match &row.is {
            RowIs::Coupon { coupon, .. } => put_coupon(txn, row.day, coupon, pass),
            RowIs::ArchivedMarker { version } => {
                put_archived_marker(txn, row.day, &row.code, *version)
            }
            RowIs::Forwarding { .. } | RowIs::Unreadable(_) => Err(never_copied(item)),
        },
        Item::Entry(entry) => put_entry(txn, entry),
        Item::Claim(claim) => put_claim(txn, claim),
        Item::Replacement(ReplacementItem { replaced, user, issue }) => {
            txn.statement(
                "INSERT OR REPLACE INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![replaced.as_str(), user, issue])?;
            Ok(())
        }
        Item::Rejected { campaign, batch, line, at } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            rejected_lines::keep(txn, number, std::slice::from_ref(line), *at)
        }
        Item::Setting { setting, value } => {
            let here = txn.setting(setting.name())?;
            let here = here.map(|text| setting.value(&text)).transpose();
            let here = here.map_err(|why| damaged(setting.name(), why))?;
            match here.is_none_or(|here| here < *value) {
                true => settings::set(txn, setting.name(), &setting.text(*value)),
                false => Ok(()),
            }
        }
        Item::IndexRow(_) | Item::Unreadable(_) => Err(never_copied(item)),
    }
}

fn never_copied(item: &Item) -> rusqlite::Error {
    damaged(item.what(), "these are never copied")
}

fn put_partition(txn: &Txn<'_>, it: &PartitionItem) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO partition_plan (expiry_day, bucket_bits, seal_after, closing, next_serial, \
         sealed, archive_commit, emptied) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (expiry_day) DO UPDATE SET \
         seal_after = max(seal_after, excluded.seal_after), \
         closing = max(closing, excluded.closing), \
         next_serial = max(next_serial, excluded.next_serial), \
         sealed = max(sealed, excluded.sealed), \
         archive_commit = max(archive_commit, excluded.archive_commit), \
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
        // The rows that an earlier pass has brought are archived by now.
        for sql in [
            "DELETE FROM coupon WHERE expiry_day = ?1",
            "DELETE FROM archived_marker WHERE expiry_day = ?1",
        ] {
            txn.statement(sql)?.execute([it.day.0])?;
        }
    }
    Ok(())
}

fn put_campaign(txn: &Txn<'_>, it: &CampaignItem) -> rusqlite::Result<()> {
    let terms = &it.terms;
    let stock: u64 = it.batches.iter().map(|batch| batch.count).sum();
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
        it.all[0],
        it.all[1],
        it.all[2],
        it.cold[0],
        it.cold[1],
        it.cold[2],
    ])?;
    txn.forget_terms();
    let gone = || damaged("campaign", "not there after it was put");
    let number = txn.campaign(&terms.id)?.ok_or_else(gone)?.number;
    it.batches.iter().try_for_each(|batch| put_batch(txn, number, batch))
}

fn put_batch(txn: &Txn<'_>, campaign: i64, it: &BatchItem) -> rusqlite::Result<()> {
    let ImportCounts { lines, imported, already_there, rejected } = it.import;
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, \
         count, paused, paused_reason, lines, imported, already_there, rejected, created_at) \
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
        signed(it.count),
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

/// The campaign and the number of its batch, which were written before.
pub(super) fn batch_here(
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
    writing::insert(txn, &located, &located.coupon, day)
}

fn put_archived_marker(txn: &Txn<'_>, day: Day, code: &str, version: u64) -> rusqlite::Result<()> {
    txn.statement("DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
        .execute(params![day.0, code])?;
    txn.statement(
        "INSERT OR REPLACE INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![day.0, code, signed(version)])?;
    Ok(())
}

fn put_entry(txn: &Txn<'_>, it: &EntryItem) -> rusqlite::Result<()> {
    let number = |id: &CampaignId| -> rusqlite::Result<i64> {
        let gone = || damaged("campaign", format!("{id} was not copied"));
        Ok(txn.campaign(id)?.ok_or_else(gone)?.number)
    };
    let (kind, campaign, batch, day, line) = match &it.is {
        EntryIs::Gone => ("gone", 0, None, None, None),
        EntryIs::Shared { campaign } => ("shared", number(campaign)?, None, None, None),
        EntryIs::Coupon { owner, day, line } => {
            let (campaign, batch) = batch_here(txn, &owner.campaign, &owner.batch)?;
            ("coupon", campaign.number, Some(batch), Some(day.0), line.as_ref())
        }
        EntryIs::Unreadable(why) => return Err(damaged("directory", why)),
    };
    txn.statement(
        "INSERT OR REPLACE INTO directory (code, kind, campaign, batch, expiry_day, valid_from, \
         expires_at, imported_state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        it.code,
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

fn put_claim(txn: &Txn<'_>, it: &ClaimItem) -> rusqlite::Result<()> {
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

/// Deletes rows that an earlier pass has brought to a partition which their coupon has left since,
/// and counts rows again: counts are exact here and were not on a cluster.
pub(super) fn settle(txn: &Txn<'_>) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM coupon WHERE expiry_day < (SELECT directory.expiry_day FROM directory \
         WHERE directory.code = coupon.code AND kind = 'coupon')",
        "UPDATE campaign SET issued = cold_issued, redeemed = cold_redeemed, void = cold_void",
        "UPDATE campaign SET issued = cold_issued + here.issued, \
         redeemed = cold_redeemed + here.redeemed, void = cold_void + here.void \
         FROM (SELECT campaign AS number, \
         count(*) FILTER (WHERE state = 'issued') AS issued, \
         count(*) FILTER (WHERE state = 'redeemed') AS redeemed, \
         count(*) FILTER (WHERE state = 'void') AS void \
         FROM coupon NOT INDEXED GROUP BY campaign) AS here WHERE here.number = campaign.number",
    ] {
        txn.conn.execute(sql, [])?;
    }
    Ok(())
}
