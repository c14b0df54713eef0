//! The tables that are read in the engine's own order: for each its statement, and what a row says.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::ids::IssueRef;
use coupon::time::Millis;
use hot::Account;
use hot::inventory::{
    Begun, COPIED_SETTINGS, ClaimItem, EntryIs, EntryItem, IndexRow, IndexRowKind, Item, Page,
    ReplacementItem, Unreadable, Vanishing,
};
use hot::protocol::ClaimIntent;
use router::Owner;
use scylla::value::{CqlDate, CqlTimestamp};

use crate::CqlStore;
use crate::values::{day, millis, parsed};
use cql_session::claim_rows::EntryValue;
use cql_session::{OwnedRow, Result, damaged};

impl CqlStore {
    pub(super) async fn page_of<R: OwnedRow, I: IntoIterator<Item = Item>>(
        &self,
        cql: &'static str,
        after: Option<&str>,
        read: fn(R) -> Result<I>,
    ) -> Result<Page> {
        let (rows, next) = self.session.scan_page(cql, after).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            items.extend(read(row)?);
        }
        Ok(Page { items, next })
    }

    pub(super) async fn page_of_settings(&self) -> Result<Page> {
        let mut items = Vec::new();
        for name in COPIED_SETTINGS {
            let value = self.session.setting(name).await?;
            items.extend(value.map(|value| Item::Setting { name, value }));
        }
        Ok(Page { items, next: None })
    }

    pub(super) async fn entry_at(&self, code: &Code) -> Result<Option<EntryItem>> {
        let cql = concat!(entries!(), " WHERE code = ?");
        let row: Option<EntryRow> = self.session.row(cql, (code.as_str(),)).await?;
        Ok(row.and_then(entry_of))
    }
}

pub(super) const ACCOUNTS: &str =
    "SELECT login_id, user_id, password_hash, created_at FROM account";

type AccountRow = (String, Option<String>, Option<String>, Option<CqlTimestamp>);

/// Nothing if only the key is there: the write was not finished.
pub(super) fn account((login, user, hash, at): AccountRow) -> Result<Option<Item>> {
    let (Some(user), Some(password_hash)) = (user, hash) else { return Ok(None) };
    let (login_id, user_id) = (parsed("login_id", &login)?, parsed("user_id", &user)?);
    let account = Account { login_id, user_id, password_hash };
    let created_at = at.map_or(Millis(0), millis);
    Ok(Some(Item::Vanishing(Vanishing::Account { account, created_at })))
}

macro_rules! entries {
    () => {
        "SELECT code, kind, campaign_id, batch_id, expiry_day, valid_from, expires_at, \
         imported_state FROM directory"
    };
}
use entries;

pub(super) const ENTRIES: &str = entries!();

type EntryRow = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<CqlDate>,
    Option<CqlTimestamp>,
    Option<CqlTimestamp>,
    Option<String>,
);

pub(super) fn entry(row: EntryRow) -> Result<Option<Item>> {
    Ok(entry_of(row).map(Item::Entry))
}

/// Nothing if only the key is there: the write was not finished.
fn entry_of(row: EntryRow) -> Option<EntryItem> {
    let (code, kind, campaign, batch, expiry_day, from, until, said) = row;
    let kind = kind?;
    let (campaign, batch) = (campaign.unwrap_or_default(), batch.unwrap_or_default());
    let read = || -> Result<EntryIs> {
        Ok(match kind.as_str() {
            "gone" => EntryIs::Gone,
            "shared" => EntryIs::Shared { campaign: parsed("campaign_id", &campaign)? },
            "coupon" => EntryIs::Coupon {
                owner: Owner {
                    campaign: parsed("campaign_id", &campaign)?,
                    batch: parsed("batch_id", &batch)?,
                },
                day: expiry_day.map(day).ok_or_else(|| damaged("no expiry_day"))?,
                line: match (from, until, said) {
                    (Some(from), Some(until), Some(said)) => {
                        Some((millis(from), millis(until), said))
                    }
                    _ => None,
                },
            },
            other => return Err(damaged(format!("kind is {other:?}"))),
        })
    };
    let is = read().unwrap_or_else(|error| EntryIs::Unreadable(error.to_string()));
    Some(EntryItem { code, is })
}

pub(super) const CLAIMS: &str = "SELECT campaign_id, user_id, claimed FROM claim";

type ClaimsRow = (String, String, Option<BTreeMap<i32, EntryValue>>);

pub(super) fn claims((campaign, user, claimed): ClaimsRow) -> Result<Vec<Item>> {
    let item = |(slot, value): (i32, EntryValue)| match claim((&campaign, &user), slot, &value) {
        Ok(claim) => Item::Claim(claim),
        Err(error) => {
            let about = format!("the claim of {user} on {campaign}");
            Item::Unreadable(Unreadable { about, why: error.to_string() })
        }
    };
    Ok(claimed.into_iter().flatten().map(item).collect())
}

fn claim((campaign, user): (&str, &str), slot: i32, value: &EntryValue) -> Result<ClaimItem> {
    let ClaimIntent { sequence, operation, .. } = value.intent();
    Ok(ClaimItem {
        campaign: parsed("campaign_id", campaign)?,
        user: parsed("user_id", user)?,
        slot: i64::from(slot),
        day: day(value.expiry_day),
        code: parsed("claim.code", &value.code)?,
        reference: value.reference.as_deref().map(IssueRef::stored),
        issue: value.issue.map(i64::from),
        begun: (sequence > 0).then_some(Begun { sequence, operation }),
    })
}

pub(super) const REPLACEMENTS: &str = "SELECT replaced, user_id, issue FROM replacement";

type ReplacementRow = (String, Option<String>, Option<i32>);

pub(super) fn replacement((replaced, user, issue): ReplacementRow) -> Result<Option<Item>> {
    Ok(Some(Item::Vanishing(Vanishing::Replacement(ReplacementItem {
        replaced: parsed("replaced", &replaced)?,
        user: user.unwrap_or_default(),
        issue: issue.map(i64::from),
    }))))
}

pub(super) const WALLET: &str = "SELECT user_id, expires_at, tie, code, expiry_day, \
    WRITETIME(expiry_day) AS written FROM wallet";

pub(super) const EXPIRING: &str = "SELECT campaign_id, expires_at, tie, code, expiry_day, \
    WRITETIME(expiry_day) AS written FROM expiring";

type RawIndexRow = (String, CqlTimestamp, i64, String, Option<CqlDate>, Option<i64>);

pub(super) fn wallet(row: RawIndexRow) -> Result<Option<Item>> {
    let user = Some(parsed("user_id", &row.0)?);
    let of_user = |it| IndexRow { user, ..it };
    Ok(index_row(IndexRowKind::Wallet, row)?.map(of_user).map(Item::IndexRow))
}

pub(super) fn expiring(row: RawIndexRow) -> Result<Option<Item>> {
    Ok(index_row(IndexRowKind::Expiring, row)?.map(Item::IndexRow))
}

/// Nothing if only the key is there: the row says nothing.
fn index_row(kind: IndexRowKind, row: RawIndexRow) -> Result<Option<IndexRow>> {
    let (_, expires_at, tie, code, Some(expiry_day), Some(written_at)) = row else {
        return Ok(None);
    };
    let (code, day, expires_at) = (parsed("code", &code)?, day(expiry_day), millis(expires_at));
    Ok(Some(IndexRow { kind, code, day, expires_at, user: None, tie, written_at }))
}
