//! The rows of a list, in order: those of each batch, merged with those that have an expiry of their
//! own.

use std::cmp::Reverse;
use std::collections::VecDeque;

use coupon::ids::{CampaignId, UserId};
use coupon::time::Millis;
use hot::{ListOrder, ListQuery, ListScope};
use rusqlite::{Result as SqlResult, types::Value};
use rusqlite::{Row, params};

use crate::claims;
use crate::columns::signed;
use crate::coupons::{RowNumber, number_of};
use crate::rows::{batch_of, numbers_of};
use crate::txn::Txn;

/// When a row expires, and its number.
pub(super) type ExpiryKey = (Millis, i64);

#[derive(Clone, Copy)]
pub(super) enum NextRow {
    Row(ExpiryKey),
    /// Nothing up to there: the end of a batch, or a row that comes elsewhere.
    Nothing(ExpiryKey),
}

const AHEAD: usize = 64;

/// Batches that are found at a time, for a list of everybody's coupons.
const BATCHES_AHEAD: usize = 16;

pub(super) struct ListSources<'a> {
    query: &'a ListQuery,
    /// Batches whose rows come later.
    batches: VecDeque<(Millis, i64)>,
    /// Whether there may be more batches after those.
    more_batches: bool,
    /// The rows of one batch.
    usual: Option<RowSource>,
    /// Rows with an expiry of their own: of everybody, of the holder, or of each batch of the campaign.
    own: Vec<RowSource>,
}

/// Rows that one index, or the table, has in order.
struct RowSource {
    of: SourceKind,
    found: VecDeque<NextRow>,
    /// Where the next rows begin; `None` if all are found.
    after: Option<ExpiryKey>,
}

enum SourceKind {
    /// Rows that expire with their batch.
    Batch { number: i64, expires_at: Millis },
    /// Rows of a batch, or of all, with an expiry of their own.
    OwnExpiry { batch: Option<i64> },
    /// Rows that the claims of a holder lead to.
    Claims,
}

impl NextRow {
    pub(super) fn key(self) -> ExpiryKey {
        match self {
            NextRow::Row(key) | NextRow::Nothing(key) => key,
        }
    }
}

impl RowSource {
    fn new(of: SourceKind, after: ExpiryKey) -> RowSource {
        RowSource { of, found: VecDeque::new(), after: Some(after) }
    }

    /// What it has first. It stays there.
    fn first(&mut self, txn: &Txn<'_>, query: &ListQuery) -> SqlResult<Option<NextRow>> {
        if let (true, Some(after)) = (self.found.is_empty(), self.after) {
            let found = match self.of {
                SourceKind::Batch { number, expires_at } => {
                    rows_of_batch(txn, query, number, expires_at, after)?
                }
                SourceKind::OwnExpiry { batch } => rows_of_own_expiry(txn, query, batch, after)?,
                SourceKind::Claims => rows_of_claims(txn, query, after)?,
            };
            // Of claims there are never so many.
            self.after = found.last().filter(|_| found.len() == AHEAD).map(|last| last.key());
            self.found = found.into();
            if let (None, SourceKind::Batch { number, expires_at }) = (self.after, &self.of) {
                let numbers = numbers_of(*number);
                let end = match query.order {
                    ListOrder::Soonest => *numbers.end(),
                    ListOrder::Latest => *numbers.start(),
                };
                self.found.push_back(NextRow::Nothing((*expires_at, end)));
            }
        }
        Ok(self.found.front().copied())
    }
}

impl<'a> ListSources<'a> {
    pub(super) fn of(txn: &Txn<'_>, query: &'a ListQuery) -> SqlResult<ListSources<'a>> {
        let before_all = match query.order {
            ListOrder::Soonest => (Millis(i64::MIN), i64::MIN),
            ListOrder::Latest => (Millis(i64::MAX), i64::MAX),
        };
        let after = query.after.as_ref().map(|after| (after.expires_at, signed(after.tie)));
        let after = after.unwrap_or(before_all);
        let batches = match &query.scope {
            ListScope::Holder(user) => batches_of_holder(txn, user)?,
            ListScope::Campaign(id) => batches_of_campaign(txn, id)?,
            ListScope::Everybody => Vec::new(),
        };
        let own: Vec<Option<i64>> = match &query.scope {
            ListScope::Campaign(_) => batches.iter().map(|(_, batch)| Some(*batch)).collect(),
            ListScope::Holder(_) | ListScope::Everybody => vec![None],
        };
        let claims = matches!(query.scope, ListScope::Holder(_)).then_some(SourceKind::Claims);
        let own = own.into_iter().map(|batch| SourceKind::OwnExpiry { batch }).chain(claims);
        let own = own.map(|kind| RowSource::new(kind, after));
        let mut sources = ListSources {
            query,
            batches: VecDeque::new(),
            more_batches: query.scope == ListScope::Everybody,
            usual: None,
            own: own.collect(),
        };
        sources.come(batches, after);
        sources.next_batch(txn, after)?;
        Ok(sources)
    }

    pub(super) fn next(&mut self, txn: &Txn<'_>) -> SqlResult<Option<NextRow>> {
        let (query, order) = (self.query, self.query.order);
        let mut first = match &mut self.usual {
            Some(usual) => usual.first(txn, query)?.map(|next| (next, None)),
            None => None,
        };
        for (at, own) in self.own.iter_mut().enumerate() {
            if let Some(next) = own.first(txn, query)?
                && first.is_none_or(|(first, _)| comes_before(order, next.key(), first.key()))
            {
                first = Some((next, Some(at)));
            }
        }
        let Some((next, at)) = first else { return Ok(None) };
        match at {
            Some(at) => drop(self.own[at].found.pop_front()),
            None => {
                let usual = self.usual.as_mut();
                let is_last = usual.is_some_and(|usual| {
                    usual.found.pop_front();
                    usual.found.is_empty() && usual.after.is_none()
                });
                if is_last {
                    self.next_batch(txn, next.key())?;
                }
            }
        }
        Ok(Some(next))
    }

    /// Takes in those of `batches` that the list has after `after`.
    fn come(&mut self, mut batches: Vec<(Millis, i64)>, after: ExpiryKey) {
        let (query, order) = (self.query, self.query.order);
        batches.retain(|(expires_at, batch)| {
            let numbers = numbers_of(*batch);
            let is_after = match order {
                ListOrder::Soonest => (*expires_at, *numbers.end()) > after,
                ListOrder::Latest => (*expires_at, *numbers.start()) < after,
            };
            is_after && query.filter.expires.holds(Some(*expires_at))
        });
        match order {
            ListOrder::Soonest => batches.sort_unstable(),
            ListOrder::Latest => batches.sort_unstable_by_key(|batch| Reverse(*batch)),
        }
        self.batches = batches.into();
    }

    fn next_batch(&mut self, txn: &Txn<'_>, after: ExpiryKey) -> SqlResult<()> {
        if self.batches.is_empty() && self.more_batches {
            let batches = batches_of_all(txn, self.query, after)?;
            self.more_batches = batches.len() == BATCHES_AHEAD;
            self.come(batches, after);
        }
        self.usual = self.batches.pop_front().map(|(expires_at, number)| {
            RowSource::new(SourceKind::Batch { number, expires_at }, after)
        });
        Ok(())
    }
}

fn comes_before(order: ListOrder, one: ExpiryKey, other: ExpiryKey) -> bool {
    match order {
        ListOrder::Soonest => one < other,
        ListOrder::Latest => one > other,
    }
}

fn descending(order: ListOrder) -> &'static str {
    match order {
        ListOrder::Soonest => "",
        ListOrder::Latest => " DESC",
    }
}

/// Rows with an expiry of their own are nothing here: they come from another source.
fn rows_of_batch(
    txn: &Txn<'_>,
    query: &ListQuery,
    batch: i64,
    expires_at: Millis,
    (after_expiry, after): ExpiryKey,
) -> SqlResult<Vec<NextRow>> {
    let numbers = numbers_of(batch);
    let (mut from, mut until) = (*numbers.start(), *numbers.end());
    if after_expiry == expires_at {
        match query.order {
            ListOrder::Soonest => from = from.max(after.saturating_add(1)),
            ListOrder::Latest => until = until.min(after.saturating_sub(1)),
        }
    }
    let next = |row: &Row<'_>| {
        let key = (expires_at, row.get(0)?);
        Ok(if row.get(1)? { NextRow::Row(key) } else { NextRow::Nothing(key) })
    };
    let (order, ahead) = (descending(query.order), AHEAD as i64);
    if let ListScope::Holder(user) = &query.scope {
        let sql = format!(
            "SELECT number, 1 FROM coupon INDEXED BY coupon_by_holder WHERE holder = ?1 AND indexed \
             AND expires_at IS NULL AND number BETWEEN ?2 AND ?3 ORDER BY number{order} LIMIT ?4"
        );
        return txn.all(&sql, params![user.as_str(), from, until, ahead], next);
    }
    let sql = format!(
        "SELECT number, expires_at IS NULL FROM coupon NOT INDEXED \
         WHERE number BETWEEN ?1 AND ?2 ORDER BY number{order} LIMIT ?3"
    );
    txn.all(&sql, params![from, until, ahead], next)
}

fn rows_of_own_expiry(
    txn: &Txn<'_>,
    query: &ListQuery,
    batch: Option<i64>,
    (expires_at, number): ExpiryKey,
) -> SqlResult<Vec<NextRow>> {
    let (which, value): (_, Value) = match (&query.scope, batch) {
        (_, Some(batch)) => ("coupon_by_batch_expiry WHERE batch = ? AND", batch.into()),
        (ListScope::Holder(user), None) => {
            ("coupon_by_holder WHERE holder = ? AND indexed AND", user.to_string().into())
        }
        // So that the values are the same in number.
        (ListScope::Campaign(_) | ListScope::Everybody, None) => {
            ("coupon_by_expiry WHERE ? IS NULL AND", Value::Null)
        }
    };
    let span = &query.filter.expires;
    // The position implies the other bound, and SQLite would begin its scan there.
    let (position, within, bound) = match query.order {
        ListOrder::Soonest => (">", "<=", span.before.map_or(i64::MAX, |before| before.0 - 1)),
        ListOrder::Latest => ("<", ">=", span.from.map_or(i64::MIN, |from| from.0)),
    };
    let order = descending(query.order);
    // A page that begins within the span.
    let (expires_at, number) = match (query.order, span.from, span.before) {
        (ListOrder::Soonest, Some(from), _) if expires_at < from => (from, i64::MIN),
        (ListOrder::Latest, _, Some(before)) if expires_at >= before => (before, i64::MIN),
        _ => (expires_at, number),
    };
    let sql = format!(
        "SELECT expires_at, number FROM coupon INDEXED BY {which} expires_at IS NOT NULL \
         AND (expires_at, number) {position} (?, ?) AND expires_at {within} ? \
         ORDER BY expires_at{order}, number{order} LIMIT ?"
    );
    let asked = params![value, expires_at.0, number, bound, AHEAD as i64];
    txn.all(&sql, asked, |row| Ok(NextRow::Row((Millis(row.get(0)?), row.get(1)?))))
}

/// All of them at once: they are few.
fn rows_of_claims(txn: &Txn<'_>, query: &ListQuery, after: ExpiryKey) -> SqlResult<Vec<NextRow>> {
    let ListScope::Holder(user) = &query.scope else { return Ok(Vec::new()) };
    let sql = "SELECT coalesce(coupon.expires_at, batch.expires_at) FROM coupon \
               CROSS JOIN batch ON batch.number = coupon.batch WHERE coupon.number = ?1 \
               AND coupon.code = ?2 AND holder = ?3 AND NOT indexed AND batch.expires_at IS NOT NULL";
    let mut keys: Vec<ExpiryKey> = Vec::new();
    for code in claims::in_wallet(txn, user)? {
        let Some(number) = number_of(txn, &code)?.map(RowNumber::number) else { continue };
        let asked = params![number, code.as_str(), user.as_str()];
        keys.extend(txn.first(sql, asked, |row| Ok((Millis(row.get(0)?), number)))?);
    }
    keys.retain(|key| comes_before(query.order, after, *key));
    keys.sort_unstable();
    if query.order == ListOrder::Latest {
        keys.reverse();
    }
    Ok(keys.into_iter().map(NextRow::Row).collect())
}

/// The batches of the coupons that a user holds and that expire with their batch.
fn batches_of_holder(txn: &Txn<'_>, user: &UserId) -> SqlResult<Vec<(Millis, i64)>> {
    let (mut batches, mut after) = (Vec::new(), i64::MIN);
    let sql = "SELECT number FROM coupon INDEXED BY coupon_by_holder \
               WHERE holder = ?1 AND indexed AND expires_at IS NULL AND number > ?2 ORDER BY number LIMIT 1";
    while let Some(number) = txn.first(sql, params![user.as_str(), after], |row| row.get(0))? {
        let batch = batch_of(number);
        if let Some(common) = txn.batch_at(batch)?.common {
            batches.push((common.expires_at, batch));
        }
        after = *numbers_of(batch).end();
    }
    Ok(batches)
}

/// The batches of a campaign that have rows.
fn batches_of_campaign(txn: &Txn<'_>, id: &CampaignId) -> SqlResult<Vec<(Millis, i64)>> {
    let Some(campaign) = txn.campaign(id)? else { return Ok(Vec::new()) };
    let sql = "SELECT expires_at, number FROM batch \
               WHERE campaign = ?1 AND expires_at IS NOT NULL";
    txn.all(sql, [campaign.number], |row| Ok((Millis(row.get(0)?), row.get(1)?)))
}

/// In the order of the list. The first may be the batch in which `after` is.
fn batches_of_all(
    txn: &Txn<'_>,
    query: &ListQuery,
    (expires_at, number): ExpiryKey,
) -> SqlResult<Vec<(Millis, i64)>> {
    let (span, batch) = (&query.filter.expires, batch_of(number));
    let (position, from) = match query.order {
        ListOrder::Soonest => (">=", span.from.filter(|from| *from > expires_at)),
        ListOrder::Latest => ("<=", span.before.filter(|before| *before <= expires_at)),
    };
    let order = descending(query.order);
    let sql = format!(
        "SELECT expires_at, number FROM batch WHERE expires_at IS NOT NULL AND (expires_at, number) \
         {position} (?1, ?2) ORDER BY expires_at{order}, number{order} LIMIT ?3"
    );
    let (expires_at, batch) = from.map_or((expires_at, batch), |from| (from, i64::MIN));
    let asked = params![expires_at.0, batch, BATCHES_AHEAD as i64];
    txn.all(&sql, asked, |row| Ok((Millis(row.get(0)?), row.get(1)?)))
}
