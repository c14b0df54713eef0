//! Everything that a cluster holds, for `verify` and to compare a copy: one file for each table.

mod accounts;
mod campaigns;
mod claims;
mod coupons;
mod directory;
mod index_rows;
mod partitions;
mod rejected;
mod replacements;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::HotError;
use hot::inventory::{
    Atomicity, CampaignItem, CountShift, EntryItem, IndexRow, IndexRowKind, Inventory, Item, Page,
    RowItem, Table, Verifiable, all,
};

use crate::values::parsed;
use crate::{CqlHot, Store};
use cql_session::{OwnedRow, Result, StatementProfile, bounded_join};

const AT_ONCE: usize = 128;

#[async_trait]
impl Inventory for CqlHot {
    async fn page(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page> {
        let (store, after) = (&self.store, after.as_deref());
        let at = Position::of(after.unwrap_or_default());
        match of {
            Table::Partitions => store.page_of_partitions(&at, limit).await,
            Table::Campaigns => store.page_of_campaigns(&at, limit).await,
            Table::Accounts => store.page_of_accounts(&at, limit).await,
            Table::Coupons => store.page_of_coupons(&at, limit).await,
            Table::Directory => store.page_of_entries(&at, limit).await,
            Table::Claims => store.page_of_claims(&at, limit).await,
            Table::Replacements => store.page_of_replacements(&at, limit).await,
            Table::RejectedLines => store.page_of_rejected(&at, limit).await,
            Table::Settings => store.page_of_settings().await,
            Table::IndexRows(kind) => store.page_of_index_rows(kind, after).await,
        }
    }
}

#[async_trait]
impl Verifiable for CqlHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::StepByStep
    }

    async fn engine_faults(&self) -> Result<Vec<String>> {
        self.store.stray_partitions().await
    }

    async fn counted_campaigns(&self) -> Result<Vec<CampaignItem>> {
        // What this process has counted.
        self.store.counts.write_down(&self.store).await;
        let items = all(self, Table::Campaigns).await?.into_iter();
        let campaign = |item| if let Item::Campaign(it) = item { Some(*it) } else { None };
        Ok(items.filter_map(campaign).collect())
    }

    async fn next_partition(&self, from: Day) -> Result<Option<Day>> {
        let plans = self.store.plans().await?;
        Ok(plans.iter().map(|plan| plan.day()).find(|day| *day >= from))
    }

    async fn rows_by_code(&self, day: Day, after: String, limit: usize) -> Result<Vec<RowItem>> {
        self.store.rows_by_code(day, &after, limit).await
    }

    async fn rows_at(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<RowItem>>> {
        let looks = spots.iter().map(|(day, code)| self.store.rows_at(*day, code));
        bounded_join(AT_ONCE, looks).await
    }

    async fn entries_at(&self, codes: Vec<Code>) -> Result<Vec<Option<EntryItem>>> {
        bounded_join(AT_ONCE, codes.iter().map(|code| self.store.entry_at(code))).await
    }

    async fn claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>> {
        let looks =
            asked.iter().map(|(campaign, user, code)| self.store.is_claimed(campaign, user, code));
        bounded_join(AT_ONCE, looks).await
    }

    async fn unindexed(&self, coupons: Vec<Coupon>) -> Result<Vec<Vec<IndexRowKind>>> {
        let looks = coupons.iter().map(|coupon| async move {
            let mut missing = Vec::new();
            if !self.store.has_wallet(coupon).await? {
                missing.push(IndexRowKind::Wallet);
            }
            if !self.store.has_expiring(coupon).await? {
                missing.push(IndexRowKind::Expiring);
            }
            Ok::<_, HotError>(missing)
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn mend_index_rows(&self, day: Day, coupon: Coupon) -> Result<()> {
        self.store.write_wallet(&coupon, day).await?;
        self.store.write_expiring(coupon.genesis().campaign.as_str(), &coupon, day).await
    }

    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<()> {
        let removes = index_rows.iter().map(|it| self.store.remove_old_index_row(it));
        bounded_join(AT_ONCE, removes).await.map(drop)
    }

    /// Changes nothing: each process writes its own sums, so a sum that another process corrects
    /// would be wrong again after the next write.
    async fn mend_counts(&self, _shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64> {
        Ok(0)
    }
}

/// A position: the key of the last item, with its parts separated by blanks, which no name has.
struct Position<'a>(Vec<&'a str>);

impl<'a> Position<'a> {
    fn of(text: &'a str) -> Position<'a> {
        Position(text.split_whitespace().collect())
    }

    fn text(&self, part: usize) -> &'a str {
        self.0.get(part).copied().unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, part: usize, first: T) -> Result<T> {
        match self.0.get(part) {
            None => Ok(first),
            Some(text) => text
                .parse()
                .map_err(|_| HotError::Damaged(format!("a position has {text:?}, want a number"))),
        }
    }

    fn name<T>(&self, part: usize) -> Result<Option<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.0.get(part).map(|text| parsed("position", text)).transpose()
    }
}

/// The rows of a page, and where the next one begins. Two keys may have one token: the last token
/// of a full page is left to the next page, so that no key is skipped.
fn by_token<R>(mut rows: Vec<R>, limit: usize, token: fn(&R) -> i64) -> (Vec<R>, Option<String>) {
    if rows.len() < limit {
        return (rows, None);
    }
    let last = rows.last().map_or(i64::MAX, token);
    let whole = rows.iter().take_while(|row| token(row) != last).count();
    if whole > 0 {
        rows.truncate(whole);
    }
    let next = rows.last().map(|row| token(row).to_string());
    (rows, next)
}

/// For a `LIMIT`: at least two, so that a page has one more token than the last one.
fn limit_of(limit: usize) -> i32 {
    i32::try_from(limit.max(2)).unwrap_or(i32::MAX)
}

impl Store {
    /// `cql` asks for rows after a token, at most so many.
    async fn rows_by_token<R: OwnedRow>(
        &self,
        cql: &'static str,
        at: &Position<'_>,
        limit: usize,
        token: fn(&R) -> i64,
    ) -> Result<(Vec<R>, Option<String>)> {
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<R> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        Ok(by_token(rows, limit.max(2), token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_passed_over() {
        let rows = [
            ("nothing", vec![], 2, vec![], None),
            ("the end", vec![1, 2], 3, vec![1, 2], None),
            ("a full page", vec![1, 2, 3], 3, vec![1, 2], Some("2")),
            ("two of one token at its end", vec![1, 2, 2], 3, vec![1], Some("1")),
            ("all of one token", vec![2, 2], 2, vec![2, 2], Some("2")),
        ];
        for (name, tokens, limit, want, next) in rows {
            let (kept, from) = by_token(tokens, limit, |token| *token);
            assert_eq!(kept, want, "{name}");
            assert_eq!(from.as_deref(), next, "{name}");
        }
    }
}
