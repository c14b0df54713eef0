//! Claims: who became a holder in a campaign, under which name for the request.
//!
//! Whoever becomes a holder passes through here first. An entry counts towards the limit while
//! its coupon names the user, in any state, and has not been replaced; its reference is spent for
//! ever.

use std::collections::HashSet;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::time::Day;
use rusqlite::{OptionalExtension, params};

use super::coupons::{Located, row_of};
use super::days;
use super::rows;
use super::txn::{CampaignHere, Txn};

/// Most entries of one user in a campaign that take one more name for a coupon he has: each was a
/// request of its own.
const NAMES_MAX: usize = 200;

/// One entry, and its coupon as it is now.
pub(super) struct Entry {
    pub(super) reference: Option<IssueRef>,
    issue: Option<usize>,
    pub(super) located: Located,
}

impl Entry {
    /// Whether the user still has what this entry is about: not taken back since, nor taken back
    /// and given again.
    pub(super) fn stands(&self, user: &UserId) -> bool {
        let coupon = &self.located.coupon;
        coupon.holder() == Some(user) && coupon.issue_sequence() == self.issue
    }
}

/// Everything a user was given in a campaign.
pub(super) struct Claim {
    user: UserId,
    limit: Option<u16>,
    next: i64,
    pub(super) entries: Vec<Entry>,
    /// Indexes of entries that count, one a coupon, oldest first.
    counted: Vec<usize>,
}

/// An entry to be written.
pub(super) struct NewEntry {
    user: UserId,
    entry: i64,
    reference: Option<IssueRef>,
}

impl Claim {
    pub(super) fn read(
        txn: &Txn<'_>,
        campaign: &CampaignHere,
        user: &UserId,
    ) -> rusqlite::Result<Claim> {
        let mut statement = txn.statement(
            "SELECT entry, shelf_day, code, ref, issue FROM claim \
             WHERE campaign = ?1 AND user_id = ?2 ORDER BY entry",
        )?;
        let found = statement.query_map(params![campaign.number, user.as_str()], |row| {
            let reference: Option<String> = row.get(3)?;
            let code: Code = rows::parsed(row, 2)?;
            let issue = row.get::<_, Option<u8>>(4)?.map(usize::from);
            Ok((row.get::<_, i64>(0)?, Day(row.get(1)?), code, reference, issue))
        })?;
        let (mut next, mut entries) = (0, Vec::new());
        for entry in found {
            let (number, day, code, reference, issue) = entry?;
            next = number + 1;
            let reference = reference.as_deref().map(IssueRef::stored);
            let located = wherever(txn, day, &code)?;
            entries.extend(located.map(|located| Entry { reference, issue, located }));
        }
        let counted = counted(txn, &entries, user)?;
        let limit = campaign.terms.per_user_limit;
        Ok(Claim { user: user.clone(), limit, next, entries, counted })
    }

    /// Whether the user may have no more.
    pub(super) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.counted.len() >= usize::from(limit))
    }

    /// The coupons that count, oldest first.
    pub(super) fn counted(&self) -> impl DoubleEndedIterator<Item = &Located> {
        self.counted.iter().filter_map(|at| self.entries.get(*at)).map(|entry| &entry.located)
    }

    /// The one coupon of a campaign that gives each user one.
    pub(super) fn only_one(&self) -> Option<&Located> {
        (self.limit == Some(1)).then(|| self.counted().next_back())?
    }

    /// Whether one more name for what the user has may be kept.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < NAMES_MAX
    }

    /// The next entry of this claim.
    pub(super) fn entry(&self, reference: Option<IssueRef>) -> NewEntry {
        NewEntry { user: self.user.clone(), entry: self.next, reference }
    }
}

impl NewEntry {
    /// An entry without a name, behind all there are. Reads none of them.
    pub(super) fn behind_all(
        txn: &Txn<'_>,
        campaign: i64,
        user: &UserId,
    ) -> rusqlite::Result<NewEntry> {
        let entry = txn
            .statement(
                "SELECT coalesce(max(entry) + 1, 0) FROM claim \
                 WHERE campaign = ?1 AND user_id = ?2",
            )?
            .query_row(params![campaign, user.as_str()], |row| row.get(0))?;
        Ok(NewEntry { user: user.clone(), entry, reference: None })
    }
}

fn counted(txn: &Txn<'_>, entries: &[Entry], user: &UserId) -> rusqlite::Result<Vec<usize>> {
    let (mut counted, mut seen) = (Vec::new(), HashSet::new());
    for (at, entry) in entries.iter().enumerate() {
        let coupon = &entry.located.coupon;
        // Given, taken back and given again: two entries, one coupon.
        let first = seen.insert(coupon.code());
        if first && coupon.holder() == Some(user) && !is_replaced(txn, coupon.code())? {
            counted.push(at);
        }
    }
    Ok(counted)
}

fn is_replaced(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<bool> {
    Ok(replacement_of(txn, code)?.is_some())
}

/// Who got a coupon in place of `code`, and in which campaign.
pub(super) fn replacement_of(
    txn: &Txn<'_>,
    code: &Code,
) -> rusqlite::Result<Option<(CampaignId, UserId)>> {
    let found = txn
        .statement("SELECT campaign, user_id FROM replacement WHERE replaced = ?1")?
        .query_row([code.as_str()], |row| Ok((row.get(0)?, rows::parsed(row, 1)?)))
        .optional()?;
    let Some((number, user)) = found else { return Ok(None) };
    Ok(Some((txn.campaign_at(number)?.terms.id.clone(), user)))
}

pub(super) fn keep_replacement(
    txn: &Txn<'_>,
    replaced: &Code,
    campaign: i64,
    user: &UserId,
) -> rusqlite::Result<()> {
    txn.statement("INSERT INTO replacement (replaced, campaign, user_id) VALUES (?1, ?2, ?3)")?
        .execute(params![replaced.as_str(), campaign, user.as_str()])?;
    Ok(())
}

fn wherever(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Option<Located>> {
    if let Some(located) = row_of(txn, day, code)? {
        return Ok(Some(located));
    }
    match days::of_moved(txn, code)? {
        Some(moved) => row_of(txn, moved, code),
        None => Ok(None),
    }
}

pub(super) fn enter(
    txn: &Txn<'_>,
    campaign: i64,
    entry: &NewEntry,
    day: Day,
    coupon: &Coupon,
) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO claim (campaign, user_id, entry, shelf_day, code, ref, issue) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        campaign,
        entry.user.as_str(),
        entry.entry,
        day.0,
        coupon.code().as_str(),
        entry.reference.as_ref().map(IssueRef::as_str),
        coupon.issue_sequence().map(|sequence| sequence as i64),
    ])?;
    Ok(())
}
