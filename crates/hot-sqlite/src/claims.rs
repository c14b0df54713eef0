//! Claims: which coupons a user was given in a campaign, and under which names of requests.
//!
//! Every user who becomes a holder gets an entry here first. An entry counts towards the limit
//! while its coupon names the user, in any state, and has not been replaced. Its name is never free
//! again.
//!
//! The first claims of a user are the wallet, too: an index of holders would be one more page that is
//! written for each coupon, and with users in no order most pages are written for one coupon alone.

use std::collections::{BTreeSet, HashSet};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, UserId};
use coupon::time::{Day, Millis};
use hot::protocol::{
    self, ClaimEnd, Counting, ENTRIES_MAX, NamedEntry, NewEntry, Replacement, issue_of,
};
use rusqlite::{Result as SqlResult, params};

use crate::columns::parsed;
use crate::coupons::{SqlitePlace, stored};
use crate::failure::{NotNow, ours};
use crate::prefetch;
use crate::rows::CampaignHere;
use crate::txn::Txn;

/// First claims of a user: the wallet, which reads the row of each. Most users never have more.
const WALLET_CLAIMS: i64 = 32;

/// Where the next entry of a claim goes.
#[derive(Clone, Debug)]
pub(crate) struct EntrySlot {
    entry: i64,
    /// Whether the index of holders, and not the claim, is the wallet.
    indexed: bool,
}

impl EntrySlot {
    fn after(newest: Option<i64>, indexed: bool) -> EntrySlot {
        EntrySlot { entry: newest.map_or(0, |it| it + 1), indexed }
    }
}

pub(crate) type Claim = protocol::Claim<SqlitePlace, EntrySlot>;

struct ClaimedCoupon {
    entry: i64,
    day: Day,
    code: Code,
    reference: Option<IssueRef>,
    issue: Option<usize>,
}

/// A count reads each coupon at most once, however many names it has.
pub(crate) struct ClaimRows {
    campaign: i64,
    limit: Option<u16>,
    next: EntrySlot,
    /// Newest first.
    rows: Vec<ClaimedCoupon>,
}

impl ClaimRows {
    /// Reads the entries, in one statement unless the user has many; reads no coupon.
    pub(crate) fn read(
        txn: &Txn<'_>,
        campaign: &CampaignHere,
        user: &UserId,
    ) -> SqlResult<ClaimRows> {
        let (of, user) = (campaign.number, user.as_str());
        // Of all campaigns: so their number is known, too.
        let first = txn.all(
            "SELECT expiry_day, code, ref, issue, entry, campaign FROM claim \
             WHERE user_id = ?1 AND indexed = 0 ORDER BY campaign DESC, entry DESC",
            [user],
            |row| Ok(if row.get::<_, i64>(5)? == of { Some(entry_of(row)?) } else { None }),
        )?;
        let indexed = first.len() as i64 >= WALLET_CLAIMS;
        let mut found = match indexed {
            true => txn.all(
                "SELECT expiry_day, code, ref, issue, entry FROM claim WHERE user_id = ?2 \
                 AND indexed = 1 AND campaign = ?1 ORDER BY entry DESC LIMIT ?3",
                params![of, user, ENTRIES_MAX as i64],
                entry_of,
            )?,
            false => Vec::new(),
        };
        found.extend(first.into_iter().flatten());
        found.truncate(ENTRIES_MAX);
        Ok(ClaimRows {
            campaign: of,
            limit: campaign.terms.per_user_limit,
            next: EntrySlot::after(found.first().map(|newest| newest.entry), indexed),
            rows: found,
        })
    }

    fn overflows(&self) -> bool {
        self.rows.len() >= ENTRIES_MAX
    }

    /// The coupon that the request of this name was given. Reads one coupon.
    pub(crate) fn named(
        &self,
        txn: &Txn<'_>,
        user: &UserId,
        reference: &IssueRef,
    ) -> SqlResult<Option<NamedEntry<SqlitePlace>>> {
        let older;
        let row = match self.rows.iter().rfind(|row| row.reference.as_ref() == Some(reference)) {
            Some(row) => Some(row),
            None if self.overflows() => {
                older = txn.first(
                    "SELECT expiry_day, code, ref, issue, entry FROM claim \
                     WHERE user_id = ?2 AND indexed IN (0, 1) AND campaign = ?1 AND ref = ?3 \
                     ORDER BY indexed, entry LIMIT 1",
                    params![self.campaign, user.as_str(), reference.as_str()],
                    entry_of,
                )?;
                older.as_ref()
            }
            None => None,
        };
        let Some(row) = row else { return Ok(None) };
        let located = stored(txn, row.day, &row.code)?;
        Ok(located.map(|located| NamedEntry { issue: row.issue, located }))
    }

    /// Reads coupons until as many count as the limit allows, or all. The coupon `beside` does not count.
    pub(crate) fn count(
        &self,
        txn: &Txn<'_>,
        user: &UserId,
        beside: Option<&Code>,
        all: bool,
        at: Millis,
    ) -> SqlResult<Claim> {
        let enough = self.limit.filter(|_| !all);
        let mut counting = Counting::begin(user, enough, beside);
        let mut seen = HashSet::new();
        let newest: Vec<&ClaimedCoupon> =
            self.rows.iter().filter(|row| seen.insert(&row.code)).collect();
        let mut left = newest.as_slice();
        loop {
            let (these, rest) = left.split_at(counting.next(left.len()));
            if these.is_empty() {
                break;
            }
            // So that the job asks cold for all of them at once.
            let coupons = these.iter().map(|row| stored(txn, row.day, &row.code));
            for located in prefetch::all(coupons)?.into_iter().flatten() {
                let by = match located.coupon.holder() == Some(user)
                    && counting.may_be_replaced(&located, at)
                {
                    true => replacement(txn, located.coupon.code())?,
                    false => None,
                };
                counting.take(located, by.as_ref());
            }
            left = rest;
        }
        Ok(counting.end(ClaimEnd {
            limit: self.limit,
            slot: self.next.clone(),
            overflows: self.overflows(),
            names: self.rows.iter().filter(|row| row.reference.is_some()).count(),
            unfinished: None,
        }))
    }
}

fn entry_of(row: &rusqlite::Row<'_>) -> SqlResult<ClaimedCoupon> {
    let reference = row.get_ref(2)?.as_str_or_null()?.map(IssueRef::stored);
    let issue = row.get::<_, Option<u8>>(3)?.map(usize::from);
    let (day, code, entry) = (Day(row.get(0)?), parsed(row, 1)?, row.get(4)?);
    Ok(ClaimedCoupon { entry, day, code, reference, issue })
}

/// The next entry of a claim, under the name `reference`. Reads no coupon.
pub(crate) fn next_entry(
    txn: &Txn<'_>,
    campaign: i64,
    user: &UserId,
    reference: Option<IssueRef>,
) -> SqlResult<NewEntry<EntrySlot>> {
    let asked = params![campaign, user.as_str()];
    let sql = "SELECT count(*), max(CASE campaign WHEN ?1 THEN entry END) FROM claim \
               WHERE user_id = ?2 AND indexed = 0";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (count, mut newest): (i64, Option<i64>) = txn.statement(sql)?.query_row(asked, read)?;
    let indexed = count >= WALLET_CLAIMS;
    if indexed {
        let sql =
            "SELECT max(entry) FROM claim WHERE user_id = ?2 AND indexed = 1 AND campaign = ?1";
        newest = txn.one::<Option<i64>>(sql, asked)?.or(newest);
    }
    Ok(NewEntry { user: user.clone(), reference, slot: EntrySlot::after(newest, indexed) })
}

pub(crate) fn replacement(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<Replacement>> {
    let sql = "SELECT user_id, issue FROM replacement WHERE replaced = ?1";
    txn.first(sql, [code.as_str()], |row| Ok(Replacement { user: row.get(0)?, issue: row.get(1)? }))
}

/// Fails while the user is being erased: they are given nothing then. For who becomes a holder without a claim.
pub(crate) fn may_have(txn: &Txn<'_>, user: &UserId) -> SqlResult<()> {
    match txn.setting(&erasing(user))? {
        Some(_) => Err(ours(BEING_ERASED)),
        None => Ok(()),
    }
}

/// The setting while a user is being erased.
pub(crate) fn erasing(user: &UserId) -> String {
    format!("erasing {user}")
}

const BEING_ERASED: NotNow = NotNow("the user is being erased: try again in a moment");

/// Enters a coupon. Returns whether the index of holders must have its row.
pub(crate) fn enter(
    txn: &Txn<'_>,
    campaign: i64,
    entry: &NewEntry<EntrySlot>,
    day: Day,
    coupon: &Coupon,
) -> SqlResult<bool> {
    let entered = txn.change(
        "INSERT INTO claim (campaign, user_id, entry, expiry_day, code, ref, issue, indexed) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 \
         WHERE NOT EXISTS (SELECT 1 FROM setting WHERE name = 'erasing ' || ?2)",
        params![
            campaign,
            entry.user.as_str(),
            entry.slot.entry,
            day.0,
            coupon.code().as_str(),
            entry.reference.as_ref().map(IssueRef::as_str),
            issue_of(coupon),
            entry.slot.indexed,
        ],
    )?;
    match entered {
        0 => Err(ours(BEING_ERASED)),
        _ => Ok(entry.slot.indexed),
    }
}

pub(crate) fn has(txn: &Txn<'_>, campaign: i64, user: &UserId, code: &Code) -> SqlResult<bool> {
    txn.statement(
        "SELECT 1 FROM claim \
         WHERE user_id = ?2 AND indexed IN (0, 1) AND campaign = ?1 AND code = ?3",
    )?
    .exists(params![campaign, user.as_str(), code.as_str()])
}

/// The codes of the claims that are the wallet of a user. Their coupons may be gone, or of others by now.
pub(crate) fn in_wallet(txn: &Txn<'_>, user: &UserId) -> SqlResult<BTreeSet<Code>> {
    let sql = "SELECT code FROM claim WHERE user_id = ?1 AND indexed = 0";
    txn.statement(sql)?.query_map([user.as_str()], |row| parsed(row, 0))?.collect()
}

/// Whether a claim that is not in the wallet of its user comes after all that are.
pub(crate) fn is_beyond_wallet(txn: &Txn<'_>, user: &UserId) -> SqlResult<bool> {
    let sql = "SELECT count(*) >= ?2 FROM claim WHERE user_id = ?1 AND indexed = 0";
    txn.one(sql, params![user.as_str(), WALLET_CLAIMS])
}
