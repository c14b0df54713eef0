//! Items of a copy, written into this store.

use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, IssueRef};
use coupon::time::Day;
use hot::imported_state_text;
use hot::inventory::{
    BatchItem, CampaignItem, ClaimItem, EntryIs, EntryItem, Item, PartitionItem, Pass,
    ReplacementItem, RowIs,
};
use router::BUCKET_BITS_DEFAULT;
use rusqlite::params;

use crate::columns::{signed, unsigned};
use crate::coupons::writing;
use crate::day_order::expiries;
use crate::directory::Place;
use crate::failure::damaged;
use crate::last_line::Said;
use crate::rows::{CampaignHere, first_number, is_imported, number_of};
use crate::txn::Txn;
use crate::{
    batches, campaigns, cancelled, directory, import, orders, partitions, rejected_lines, settings,
};

/// A second pass brings only what is newer than here.
pub(super) fn put(txn: &Txn<'_>, item: &Item, pass: Pass) -> rusqlite::Result<()> {
    match item {
        Item::Partition(partition) => put_partition(txn, partition),
        Item::Campaign(campaign) => put_campaign(txn, campaign),
        Item::Account { account, created_at } => {
            let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
            txn.run(
                "INSERT OR REPLACE INTO account (login_id, user_id, password_hash, created_at) \
                 VALUES (?1, ?2, ?3, ?4)",
                params![login, user, account.password_hash, created_at.0],
            )
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
        Item::Replacement(ReplacementItem { replaced, user, issue }) => txn.run(
            "INSERT OR REPLACE INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3)",
            params![replaced.as_str(), user, issue],
        ),
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
    txn.run(
        "INSERT INTO partition_plan (expiry_day, bucket_bits, seal_after, closing, next_serial, \
         sealed, archive_commit, emptied) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (expiry_day) DO UPDATE SET \
         seal_after = max(seal_after, excluded.seal_after), \
         closing = max(closing, excluded.closing), \
         next_serial = max(next_serial, excluded.next_serial), \
         sealed = max(sealed, excluded.sealed), \
         archive_commit = max(archive_commit, excluded.archive_commit), \
         emptied = max(emptied, excluded.emptied)",
        params![
            it.day.0,
            it.bits.unwrap_or(BUCKET_BITS_DEFAULT),
            it.seal_after.0,
            it.closing,
            signed(it.next_serial),
            it.sealed,
            signed(it.archive_commit),
            it.emptied,
        ],
    )?;
    txn.forget_terms();
    if it.emptied {
        // The rows that an earlier pass has brought are archived by now.
        let (after, until) = expiries(it.day);
        txn.run(
            "DELETE FROM coupon WHERE expiry_day = ?1 AND number IN (SELECT coupon.number FROM batch \
             JOIN coupon ON coupon.number BETWEEN batch.number << 36 AND (batch.number + 1) << 36 \
             WHERE batch.expires_at > ?2 AND batch.expires_at <= ?3)",
            params![it.day.0, after.0, until.0],
        )?;
        let sql = "DELETE FROM coupon WHERE expires_at IS NOT NULL AND expiry_day = ?1";
        txn.run(sql, [it.day.0])?;
        txn.run("DELETE FROM archived_marker WHERE expiry_day = ?1", [it.day.0])?;
    }
    Ok(())
}

fn put_campaign(txn: &Txn<'_>, it: &CampaignItem) -> rusqlite::Result<()> {
    let id = &it.terms.id;
    let number = match txn.campaign(id)? {
        Some(here) => {
            campaigns::write_terms(txn, here.number, &it.terms)?;
            here.number
        }
        None => campaigns::insert(txn, &it.terms, &it.created_as)?,
    };
    let stock: u64 = it.batches.iter().map(|batch| batch.count).sum();
    let CampaignItem { all, cold, .. } = it;
    txn.run(
        "UPDATE campaign SET stock = ?2, issued = ?3, redeemed = ?4, void = ?5, cold_issued = ?6, \
         cold_redeemed = ?7, cold_void = ?8 WHERE number = ?1",
        params![number, signed(stock), all[0], all[1], all[2], cold[0], cold[1], cold[2]],
    )?;
    it.batches.iter().try_for_each(|batch| put_batch(txn, number, id, batch))
}

fn put_batch(
    txn: &Txn<'_>,
    campaign: i64,
    id: &CampaignId,
    it: &BatchItem,
) -> rusqlite::Result<()> {
    let number = match txn.batch(id, &it.id)? {
        Some((_, number)) => number,
        None => batches::insert(txn, campaign, &it.id, it.run, it.created_at)?,
    };
    let offered = it.run.map(|run| signed(it.offered.min(run.count)));
    txn.run(
        "UPDATE batch SET next_offset = ?2, count = ?3, paused = ?4, paused_reason = ?5 \
         WHERE number = ?1",
        params![number, offered, signed(it.count), it.paused, it.paused_reason],
    )?;
    import::close(txn, number, &it.import)
}

/// The campaign and the number of its batch, which were written before.
pub(super) fn batch_here(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
) -> rusqlite::Result<(CampaignHere, i64)> {
    let gone = || damaged("batch", format!("{campaign}/{batch} was not copied"));
    txn.batch(campaign, batch)?.ok_or_else(gone)
}

fn put_coupon(txn: &Txn<'_>, day: Day, coupon: &Coupon, pass: Pass) -> rusqlite::Result<()> {
    let code = coupon.code();
    if pass == Pass::Again {
        let sql = concat!("SELECT version FROM coupon WHERE number = ", number_of!());
        let here = txn.first(sql, params![day.0, code.as_str()], |row| unsigned(row, 0))?;
        let is_newer = here.is_some_and(|here| here >= coupon.version());
        if is_newer || partitions::archived_marker(txn, day, code)?.is_some() {
            return Ok(());
        }
        if here.is_some() {
            writing::delete(txn, day, code)?;
        }
    }
    let genesis = coupon.genesis();
    let (campaign, batch) = batch_here(txn, &genesis.campaign, &genesis.batch)?;
    let number = writing::insert(txn, batch, coupon, &Said::Available, day)?;
    cancelled::enter(txn, number, campaign.number, coupon, 0)?;
    orders::enter_all(txn, coupon)?;
    match is_imported(number) {
        true => directory::point(txn, code, &Place { day, number }),
        false => Ok(()),
    }
}

fn put_archived_marker(txn: &Txn<'_>, day: Day, code: &str, version: u64) -> rusqlite::Result<()> {
    let sql = concat!("DELETE FROM coupon WHERE number = ", number_of!());
    txn.run(sql, params![day.0, code])?;
    txn.run(
        "INSERT OR REPLACE INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
        params![day.0, code, signed(version)],
    )
}

fn put_entry(txn: &Txn<'_>, it: &EntryItem) -> rusqlite::Result<()> {
    match &it.is {
        EntryIs::Gone => directory::enter_gone(txn, &it.code),
        EntryIs::Shared { campaign } => {
            let gone = || damaged("campaign", format!("{campaign} was not copied"));
            let number = txn.campaign(campaign)?.ok_or_else(gone)?.number;
            directory::enter_shared(txn, &it.code, number)
        }
        EntryIs::Coupon { owner, day, line } => {
            let (_, batch) = batch_here(txn, &owner.campaign, &owner.batch)?;
            let place = Place { day: *day, number: number_here(txn, &it.code, *day, batch)? };
            let Some((valid_from, expires_at, said)) = line else {
                return directory::replace(txn, &it.code, &place, None);
            };
            let said = imported_state_text::from_json(said);
            let imported_state = &said.map_err(|why| damaged("imported_state", why))?;
            let (valid_from, expires_at) = (*valid_from, *expires_at);
            let line = directory::Line { valid_from, expires_at, imported_state };
            directory::replace(txn, &it.code, &place, Some(&line))
        }
        EntryIs::Unreadable(why) => Err(damaged("directory", why)),
    }
}

/// The number of the row of a code, which comes before its entry or after it.
fn number_here(txn: &Txn<'_>, code: &str, day: Day, batch: i64) -> rusqlite::Result<i64> {
    let sql = concat!("SELECT ", number_of!());
    let number: Option<i64> = txn.one(sql, params![day.0, code])?;
    Ok(number.unwrap_or(first_number(batch, txn.batch_at(batch)?.imported)))
}

fn put_claim(txn: &Txn<'_>, it: &ClaimItem) -> rusqlite::Result<()> {
    let gone = || damaged("campaign", format!("{} was not copied", it.campaign));
    let campaign = txn.campaign(&it.campaign)?.ok_or_else(gone)?;
    let reference = it.reference.as_ref().map(IssueRef::as_str);
    let (user, code) = (it.user.as_str(), it.code.as_str());
    txn.run(
        "INSERT OR REPLACE INTO claim (campaign, user_id, entry, expiry_day, code, ref, issue) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![campaign.number, user, it.slot, it.day.0, code, reference, it.issue],
    )
}

/// Deletes rows that an earlier pass has brought to a partition which their coupon has left since,
/// and counts rows again: counts are exact here and were not on a cluster.
pub(super) fn settle(txn: &Txn<'_>) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM coupon WHERE expiry_day < \
         (SELECT coalesce(directory.expiry_day, (batch.expires_at - 1) / 86400000) FROM directory \
         JOIN batch ON batch.number = directory.number >> 36 WHERE directory.code = coupon.code)",
        "UPDATE campaign SET issued = cold_issued, redeemed = cold_redeemed, void = cold_void",
        "UPDATE campaign SET issued = cold_issued + here.issued, \
         redeemed = cold_redeemed + here.redeemed, void = cold_void + here.void \
         FROM (SELECT campaign AS number, sum(state = 1) AS issued, sum(state = 2) AS redeemed, \
         sum(state = 3) AS void FROM coupon NOT INDEXED \
         JOIN batch ON batch.number = coupon.batch GROUP BY campaign) AS here \
         WHERE here.number = campaign.number",
    ] {
        txn.conn.execute(sql, [])?;
    }
    Ok(())
}
