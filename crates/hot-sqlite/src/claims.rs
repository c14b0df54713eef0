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

use super::coupons::{Located, stored};
use super::prefetch;
use super::rows;
use super::txn::{CampaignHere, Txn};

/// Most entries of one user in a campaign that are read, the newest first: ten times the
/// largest limit. An import may bring more; whoever has so many has reached any limit.
const ENTRIES_MAX: usize = 1_000;

/// In place of the event of a replaced coupon that a restore knows nothing more of: it was final.
pub(super) const ANY_ISSUE: i64 = -1;

const _: () = assert!(ENTRIES_MAX > PER_USER_LIMIT_MAX as usize);

/// One entry as it is stored; its coupon has not been read.
struct Row {
    day: Day,
    code: Code,
    reference: Option<IssueRef>,
    issue: Option<usize>,
}

/// One entry, and its coupon as it is now.
pub(super) struct Entry {
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

/// Everything a user was given in a campaign. Coupons are read when they are asked for, each at
/// most once, however many names there are for it.
pub(super) struct Claim {
    user: UserId,
    limit: Option<u16>,
    next: i64,
    /// Whether there are more entries than are read.
    overflows: bool,
    /// Newest first.
    rows: Vec<Row>,
    /// The coupons that were read, those with the newest entries first.
    looked: Vec<Located>,
    /// Indexes in `looked` of coupons that count.
    counted: Vec<usize>,
}

/// An entry to be written.
pub(super) struct NewEntry {
    user: UserId,
    entry: i64,
    reference: Option<IssueRef>,
}

impl Claim {
    /// The entries, in one statement; reads no coupon.
    pub(super) fn read(
        txn: &Txn<'_>,
        campaign: &CampaignHere,
        user: &UserId,
    ) -> rusqlite::Result<Claim> {
        let mut statement = txn.statement(
            "SELECT entry, expiry_day, code, ref, issue FROM claim \
             WHERE campaign = ?1 AND user_id = ?2 ORDER BY entry DESC LIMIT ?3",
        )?;
        let asked = params![campaign.number, user.as_str(), ENTRIES_MAX as i64];
        let found = statement.query_map(asked, |row| {
            let reference = row.get_ref(3)?.as_str_or_null()?.map(IssueRef::stored);
            let issue = row.get::<_, Option<u8>>(4)?.map(usize::from);
            let (day, code) = (Day(row.get(1)?), rows::parsed(row, 2)?);
            Ok((row.get::<_, i64>(0)?, Row { day, code, reference, issue }))
        })?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Claim {
            user: user.clone(),
            limit: campaign.terms.per_user_limit,
            next: found.first().map_or(0, |(newest, _)| newest + 1),
            overflows: found.len() >= ENTRIES_MAX,
            rows: found.into_iter().map(|(_, row)| row).collect(),
            looked: Vec::new(),
            counted: Vec::new(),
        })
    }

    /// What the request of this name was given. Reads one coupon.
    pub(super) fn named(
        &self,
        txn: &Txn<'_>,
        reference: &IssueRef,
    ) -> rusqlite::Result<Option<Entry>> {
        let row = self.rows.iter().rev().find(|row| row.reference.as_ref() == Some(reference));
        let Some(row) = row else { return Ok(None) };
        let located = stored(txn, row.day, &row.code)?;
        Ok(located.map(|located| Entry { issue: row.issue, located }))
    }

    /// Reads coupons, those with the newest entries first, until as many count as the limit
    /// allows; `code` does not. So a full claim costs as many reads as its limit, and each coupon
    /// that an admin has taken back one more.
    pub(super) fn count(&mut self, txn: &Txn<'_>, code: Option<&Code>) -> rusqlite::Result<()> {
        let enough = self.limit.map_or(usize::MAX, usize::from);
        self.look(txn, enough, code)
    }

    /// Reads every coupon.
    pub(super) fn count_all(&mut self, txn: &Txn<'_>) -> rusqlite::Result<()> {
        self.look(txn, usize::MAX, None)
    }

    fn look(
        &mut self,
        txn: &Txn<'_>,
        enough: usize,
        beside: Option<&Code>,
    ) -> rusqlite::Result<()> {
        let mut seen = HashSet::new();
        let newest: Vec<&Row> = self.rows.iter().filter(|row| seen.insert(&row.code)).collect();
        let (mut looked, mut counted, mut found) = (Vec::new(), Vec::new(), 0);
        // What lies in cold is asked for all at once, and twice as much each time, so that a job
        // asks some ten times at most.
        let (mut from, mut some) = (0, enough.clamp(1, ENTRIES_MAX));
        while from < newest.len() && found < enough {
            let until = newest.len().min(from + some);
            let coupons = newest[from..until].iter().map(|row| stored(txn, row.day, &row.code));
            for located in prefetch::all(coupons)?.into_iter().flatten() {
                let coupon = &located.coupon;
                if coupon.holder() == Some(&self.user) && !is_replaced(txn, coupon, &self.user)? {
                    counted.push(looked.len());
                    found += usize::from(Some(coupon.code()) != beside);
                }
                looked.push(located);
            }
            (from, some) = (until, some * 2);
        }
        (self.looked, self.counted) = (looked, counted);
        Ok(())
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

    /// The coupons that count, of those that were read, oldest first.
    pub(super) fn counted(&self) -> impl DoubleEndedIterator<Item = &Located> {
        self.counted.iter().rev().filter_map(|at| self.looked.get(*at))
    }

    /// The coupons that were read, oldest first.
    pub(super) fn looked(&self) -> impl DoubleEndedIterator<Item = &Located> {
        self.looked.iter().rev()
    }

    /// The one coupon of a campaign that gives each user one.
    pub(super) fn only_one(&self) -> Option<&Located> {
        (self.limit == Some(1)).then(|| self.counted().next_back())?
    }

    /// Whether one more name for what the user has may be kept at all.
    pub(super) fn has_room(&self) -> bool {
        !self.overflows
    }

    /// How many names requests have given.
    pub(super) fn names(&self) -> usize {
        self.rows.iter().filter(|row| row.reference.is_some()).count()
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
        "INSERT INTO claim (campaign, user_id, entry, expiry_day, code, ref, issue) \
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
