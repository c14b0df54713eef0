//! Claims: who became a holder in a campaign, under which name for the request.
//!
//! Whoever becomes a holder passes through here first. An entry counts towards the limit while
//! its coupon names the user, in any state, and has not been replaced; its reference is spent for
//! ever.

use std::collections::HashSet;

use coupon::campaign::PER_USER_LIMIT_MAX;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, UserId};
use coupon::time::Day;
use rusqlite::params;

use super::beyond;
use super::coupons::{Located, stored};
use super::rows;
use super::txn::{CampaignHere, Txn};

/// Most entries of one user in a campaign that are looked at, the newest first: ten times the
/// largest limit. An import may bring more; whoever has so many has reached any limit.
const ENTRIES_MAX: usize = 1_000;

/// In place of the event of a replaced coupon that a restore knows nothing more of: it was final.
pub(super) const ANY_ISSUE: i64 = -1;

const _: () = assert!(ENTRIES_MAX > PER_USER_LIMIT_MAX as usize);

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
    /// Whether there are more entries than are looked at.
    overflows: bool,
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
             WHERE campaign = ?1 AND user_id = ?2 ORDER BY entry DESC LIMIT ?3",
        )?;
        let asked = params![campaign.number, user.as_str(), ENTRIES_MAX as i64];
        let found = statement.query_map(asked, |row| {
            let reference: Option<String> = row.get(3)?;
            let code: Code = rows::parsed(row, 2)?;
            let issue = row.get::<_, Option<u8>>(4)?.map(usize::from);
            Ok((row.get::<_, i64>(0)?, Day(row.get(1)?), code, reference, issue))
        })?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let next = found.first().map_or(0, |(newest, ..)| newest + 1);
        let overflows = found.len() >= ENTRIES_MAX;
        let entries = found.into_iter().rev().map(|(_, day, code, reference, issue)| {
            let reference = reference.as_deref().map(IssueRef::stored);
            let located = stored(txn, day, &code)?;
            Ok(located.map(|located| Entry { reference, issue, located }))
        });
        let entries: Vec<Entry> = beyond::all(entries)?.into_iter().flatten().collect();
        let counted = counted(txn, &entries, user)?;
        let limit = campaign.terms.per_user_limit;
        Ok(Claim { user: user.clone(), limit, next, overflows, entries, counted })
    }

    /// Whether the user may have no more.
    pub(super) fn is_full(&self) -> bool {
        self.is_full_beside(None)
    }

    /// Whether the user may have no more when the coupon `code` does not count.
    pub(super) fn is_full_beside(&self, code: Option<&Code>) -> bool {
        let counted = self.counted().filter(|held| Some(held.coupon.code()) != code).count();
        self.limit.is_some_and(|limit| self.overflows || counted >= usize::from(limit))
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
        !self.overflows
    }

    /// The next entry of this claim.
    pub(super) fn entry(&self, reference: Option<IssueRef>) -> NewEntry {
        NewEntry { user: self.user.clone(), entry: self.next, reference }
    }
}

impl NewEntry {
    /// The same under the name of a request.
    pub(super) fn named(self, reference: Option<IssueRef>) -> NewEntry {
        NewEntry { reference, ..self }
    }

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
        if first && coupon.holder() == Some(user) && !is_replaced(txn, coupon, user)? {
            counted.push(at);
        }
    }
    Ok(counted)
}

/// Whether the user got another coupon in place of this one, as he has it now: given to him once
/// more, it counts again.
fn is_replaced(txn: &Txn<'_>, coupon: &Coupon, user: &UserId) -> rusqlite::Result<bool> {
    txn.statement(
        "SELECT 1 FROM replacement \
         WHERE replaced = ?1 AND user_id = ?2 AND (issue IS ?3 OR issue = ?4)",
    )?
    .exists(params![coupon.code().as_str(), user.as_str(), issue_of(coupon), ANY_ISSUE])
}

/// Whether anybody got a coupon in place of `code`.
pub(super) fn has_replacement(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<bool> {
    txn.statement("SELECT 1 FROM replacement WHERE replaced = ?1")?.exists([code.as_str()])
}

pub(super) fn keep_replacement(
    txn: &Txn<'_>,
    replaced: &Coupon,
    user: &UserId,
) -> rusqlite::Result<()> {
    txn.statement("INSERT INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3)")?
        .execute(params![replaced.code().as_str(), user.as_str(), issue_of(replaced)])?;
    Ok(())
}

/// At most 32.
fn issue_of(coupon: &Coupon) -> Option<i64> {
    coupon.issue_sequence().map(|sequence| sequence as i64)
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
        issue_of(coupon),
    ])?;
    Ok(())
}
