//! Pages of every table, and single directory entries and claims.

use coupon::code::Code;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use hot::inventory::{
    COPIED_SETTINGS, ClaimItem, EntryIs, EntryItem, Item, Page, PartitionItem, ReplacementItem,
    RowIs, RowItem, Table, Unreadable, Vanishing,
};
use hot::{Account, imported_state_text};
use router::Owner;
use rusqlite::{Result as SqlResult, Row, ToSql, params};

use super::campaigns::{CAMPAIGNS, campaign};
use super::coupons::{ROWS, row_item};
use crate::columns::{millis_or_null, parsed, signed, unsigned};
use crate::coupons::{RowNumber, numbered};
use crate::directory::DirectoryKind;
use crate::failure::damaged;
use crate::last_line::LastLine;
use crate::txn::Txn;
use crate::{claims, directory, partitions};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPurpose {
    AsStored,
    /// As of [`hot::inventory::CopySource::page_to_copy`].
    ToCopy,
}

/// The first word of a position among archived markers. They come after the rows.
const ARCHIVED_MARKERS: &str = "archived_markers";

/// A position is the key of the last item, its parts separated by blanks: no name has one.
struct TablePosition<'a>(std::str::SplitWhitespace<'a>);

impl<'a> TablePosition<'a> {
    fn number(&mut self) -> SqlResult<i64> {
        let number = |text: &str| text.parse::<i64>().map_err(|why| damaged("position", why));
        self.0.next().map_or(Ok(i64::MIN), number)
    }

    fn text(&mut self) -> &'a str {
        self.0.next().unwrap_or_default()
    }
}

/// SQLite has indexes instead of index rows.
pub(super) fn page(
    txn: &Txn<'_>,
    of: Table,
    reading: ReadPurpose,
    after: Option<&str>,
    limit: usize,
) -> SqlResult<Page> {
    let mut at = TablePosition(after.unwrap_or_default().split_whitespace());
    let some = signed(limit as u64);
    let found = match of {
        Table::Partitions => rows(txn, of, PARTITIONS, params![at.number()?, some], partition)?,
        Table::Campaigns => {
            let item = |row: &Row<'_>| Ok(Item::Campaign(Box::new(campaign(txn, row)?)));
            rows(txn, of, CAMPAIGNS, params![at.number()?, some], item)?
        }
        Table::Accounts => rows(txn, of, ACCOUNTS, params![at.text(), some], account)?,
        Table::Coupons => return coupons(txn, &mut at, limit),
        Table::Directory => {
            let item = |row: &Row<'_>| Ok(Item::Entry(entry(txn, row, reading)?));
            rows(txn, of, ENTRIES, params![at.text(), some], item)?
        }
        Table::Claims => {
            let item = |row: &Row<'_>| Ok(Item::Claim(claim(txn, row, reading)?));
            let after = params![at.text(), at.number()?, at.number()?, at.number()?, some];
            rows(txn, of, CLAIMS, after, item)?
        }
        Table::Replacements => rows(txn, of, REPLACEMENTS, params![at.text(), some], replacement)?,
        Table::Settings => return Ok(Page { items: settings(txn)?, next: None }),
        Table::IndexRows(_) => Vec::new(),
    };
    Ok(paged(found, limit))
}

type KeyedItems = Vec<(String, Item)>;

fn paged(found: KeyedItems, limit: usize) -> Page {
    let next = found.last().filter(|_| found.len() == limit).map(|(position, _)| position.clone());
    Page { items: found.into_iter().map(|(_, item)| item).collect(), next }
}

/// The rows of a statement whose last column is the position.
fn rows(
    txn: &Txn<'_>,
    of: Table,
    sql: &str,
    asked: &[&dyn ToSql],
    item: impl Fn(&Row<'_>) -> SqlResult<Item>,
) -> SqlResult<KeyedItems> {
    let mut statement = txn.statement(sql)?;
    let mut found = statement.query(asked)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let position: String = row.get("position")?;
        let item = match item(row) {
            Ok(item) => item,
            // It is not about the row.
            Err(error) if error.sqlite_error_code().is_some() => return Err(error),
            Err(error) => Item::Unreadable(Unreadable::row(of, &position, error)),
        };
        rows.push((position, item));
    }
    Ok(rows)
}

/// Rows in the order of the table, then archived markers.
fn coupons(txn: &Txn<'_>, at: &mut TablePosition<'_>, limit: usize) -> SqlResult<Page> {
    let of = Table::Coupons;
    let some = signed(limit as u64);
    let after: i64 = match at.text() {
        ARCHIVED_MARKERS => {
            let asked = params![at.number()?, at.text(), some];
            return Ok(paged(rows(txn, of, MARKERS, asked, archived_marker)?, limit));
        }
        "" => i64::MIN,
        number => number.parse().map_err(|why| damaged("position", why))?,
    };
    let item = |row: &Row<'_>| Ok(Item::Row(row_item(txn, row)?));
    let page = paged(rows(txn, of, ROWS, params![after, some], item)?, limit);
    Ok(Page { next: page.next.or_else(|| Some(ARCHIVED_MARKERS.to_owned())), ..page })
}

const MARKERS: &str = "SELECT expiry_day, code, version, \
    'archived_markers ' || expiry_day || ' ' || code AS position \
    FROM archived_marker WHERE (expiry_day, code) > (?1, ?2) ORDER BY expiry_day, code LIMIT ?3";

fn archived_marker(row: &Row<'_>) -> SqlResult<Item> {
    Ok(Item::Row(RowItem {
        day: Day(row.get(0)?),
        code: row.get(1)?,
        is: RowIs::ArchivedMarker { version: unsigned(row, 2)? },
        astray: None,
    }))
}

const PARTITIONS: &str = "SELECT expiry_day, seal_after, sealed, archive_commit, emptied, closing, \
    next_serial, CAST(expiry_day AS TEXT) AS position \
    FROM partition_plan WHERE expiry_day > ?1 ORDER BY expiry_day LIMIT ?2";

fn partition(row: &Row<'_>) -> SqlResult<Item> {
    let (plan, closing, next_serial) = (partitions::plan(row)?, row.get(5)?, unsigned(row, 6)?);
    Ok(Item::Partition(PartitionItem { plan, closing, next_serial }))
}

const ACCOUNTS: &str = "SELECT login_id, user_id, password_hash, created_at, login_id AS position \
    FROM account WHERE login_id > ?1 ORDER BY login_id LIMIT ?2";

fn account(row: &Row<'_>) -> SqlResult<Item> {
    let account =
        Account { login_id: parsed(row, 0)?, user_id: parsed(row, 1)?, password_hash: row.get(2)? };
    Ok(Item::Vanishing(Vanishing::Account { account, created_at: Millis(row.get(3)?) }))
}

macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT directory.code, directory.campaign, directory.number, campaign_id, batch_id, \
             directory.expiry_day, last_line, batch.valid_from, batch.expires_at, key_id, \
             directory.code AS position FROM directory \
             LEFT JOIN batch ON batch.number = directory.number >> 37 \
             LEFT JOIN campaign ON campaign.number = coalesce(batch.campaign, directory.campaign) \
             WHERE directory.code ",
            $rest
        )
    };
}

const ENTRIES: &str = entries!("> ?1 ORDER BY directory.code LIMIT ?2");

fn entry(txn: &Txn<'_>, row: &Row<'_>, reading: ReadPurpose) -> SqlResult<EntryItem> {
    let code: String = row.get(0)?;
    let is = match DirectoryKind::of(row.get(1)?, row.get(2)?) {
        Ok(DirectoryKind::Gone) => Ok(EntryIs::Gone),
        Ok(DirectoryKind::Shared(_)) => parsed(row, 3).map(|campaign| EntryIs::Shared { campaign }),
        Ok(DirectoryKind::Coupon(number)) => entry_of_coupon(txn, row, (&code, number), reading),
        Err(error) => Err(error),
    };
    let is = is.unwrap_or_else(|error| EntryIs::Unreadable(error.to_string()));
    Ok(EntryItem { code, is })
}

/// The entry of a coupon. As it is stored, it does not say what the row has of the last line.
fn entry_of_coupon(
    txn: &Txn<'_>,
    row: &Row<'_>,
    (code, number): (&str, i64),
    reading: ReadPurpose,
) -> SqlResult<EntryIs> {
    let owner = Owner { campaign: parsed(row, 3)?, batch: parsed(row, 4)? };
    let expires_at = millis_or_null(row, 8)?;
    let no_dates = || damaged("batch", "it has coupons and no dates");
    let day = match (row.get::<_, Option<i32>>(5)?, expires_at) {
        (Some(day), _) => Day(day),
        (None, expires_at) => Day::expiry_day_of(expires_at.ok_or_else(no_dates)?),
    };
    let is_imported = row.get_ref(9)?.as_str_or_null()?.is_none();
    let line = LastLine::decode(row.get_ref(6)?.as_blob_or_null()?)?;
    let dates = (line.valid_from.or(millis_or_null(row, 7)?), line.expires_at.or(expires_at));
    let line = match dates {
        (Some(valid_from), Some(expires_at)) if is_imported => {
            let said = match (line.state, reading) {
                (Some(state), _) => state,
                (None, ReadPurpose::AsStored) => ImportedState::Available,
                (None, ReadPurpose::ToCopy) => {
                    let code = code.parse().map_err(|why| damaged("code", why))?;
                    let located = numbered(txn, RowNumber::OfEntry(number), &code)?;
                    located.map_or(ImportedState::Available, |it| it.here.said.line(&it.coupon))
                }
            };
            Some((valid_from, expires_at, imported_state_text::to_json(&said)))
        }
        _ => None,
    };
    Ok(EntryIs::Coupon { owner, day, line })
}

pub(super) fn entry_of(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<EntryItem>> {
    let read = |row: &Row<'_>| entry(txn, row, ReadPurpose::AsStored);
    txn.first(entries!("= ?1"), [code.as_str()], read)
}

const CLAIMS: &str = "SELECT campaign, user_id, entry, code, ref, issue, expiry_day, indexed, \
    user_id || ' ' || indexed || ' ' || campaign || ' ' || entry AS position \
    FROM claim WHERE (user_id, indexed, campaign, entry) > (?1, ?2, ?3, ?4) \
    ORDER BY user_id, indexed, campaign, entry LIMIT ?5";

fn claim(txn: &Txn<'_>, row: &Row<'_>, reading: ReadPurpose) -> SqlResult<ClaimItem> {
    let campaign = txn.campaign_at(row.get(0)?).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => damaged("campaign", "it is not there"),
        error => error,
    })?;
    let (user, code): (UserId, Code) = (parsed(row, 1)?, parsed(row, 3)?);
    if row.get(7)? && !claims::is_beyond_wallet(txn, &user)? {
        return Err(damaged("indexed", "the user has fewer claims"));
    }
    let entered = match reading {
        ReadPurpose::AsStored => None,
        // On a cluster nothing leads to it from an earlier partition.
        ReadPurpose::ToCopy => directory::partition_of(txn, &code)?,
    };
    Ok(ClaimItem {
        campaign: campaign.terms.id.clone(),
        user,
        slot: row.get(2)?,
        day: entered.map_or_else(|| row.get(6).map(Day), Ok)?,
        code,
        reference: row.get::<_, Option<String>>(4)?.as_deref().map(IssueRef::stored),
        issue: row.get(5)?,
        begun: None,
    })
}

pub(super) fn is_claimed(
    txn: &Txn<'_>,
    (campaign, user, code): &(CampaignId, UserId, Code),
) -> SqlResult<bool> {
    txn.campaign(campaign)?.map_or(Ok(false), |it| claims::has(txn, it.number, user, code))
}

const REPLACEMENTS: &str = "SELECT replaced, user_id, issue, replaced AS position \
    FROM replacement WHERE replaced > ?1 ORDER BY replaced LIMIT ?2";

fn replacement(row: &Row<'_>) -> SqlResult<Item> {
    let (replaced, user, issue) = (parsed(row, 0)?, row.get(1)?, row.get(2)?);
    let item = ReplacementItem { replaced, user, issue };
    Ok(Item::Vanishing(Vanishing::Replacement(item)))
}

fn settings(txn: &Txn<'_>) -> SqlResult<Vec<Item>> {
    let mut items = Vec::new();
    for name in COPIED_SETTINGS {
        items.extend(txn.setting(name)?.map(|value| Item::Setting { name, value }));
    }
    Ok(items)
}
