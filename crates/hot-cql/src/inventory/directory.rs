//! Directory entries.

use coupon::code::Code;
use hot::inventory::{EntryIs, EntryItem, Item, Page};
use router::Owner;
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use super::Position;
use crate::Store;
use crate::values::{day, millis, parsed};
use cql_session::{Result, damaged};

macro_rules! entry_columns {
    () => {
        "SELECT token(code) AS at_token, code, kind, campaign_id, batch_id, expiry_day, \
         valid_from, expires_at, imported_state FROM directory "
    };
}

impl Store {
    pub(super) async fn page_of_entries(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = concat!(entry_columns!(), "WHERE token(code) > ? LIMIT ?");
        let (rows, next) =
            self.rows_by_token(cql, at, limit, |row: &EntryRow| row.at_token).await?;
        let entries = rows.into_iter().filter_map(EntryRow::entry);
        Ok(Page { items: entries.map(Item::Entry).collect(), next })
    }

    pub(super) async fn entry_at(&self, code: &Code) -> Result<Option<EntryItem>> {
        let cql = concat!(entry_columns!(), "WHERE code = ?");
        let row: Option<EntryRow> = self.session.row(cql, (code.as_str(),)).await?;
        Ok(row.and_then(EntryRow::entry))
    }
}

#[derive(DeserializeRow)]
struct EntryRow {
    at_token: i64,
    code: String,
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    imported_state: Option<String>,
}

impl EntryRow {
    /// `None` if only the key is there: the write was not finished.
    fn entry(self) -> Option<EntryItem> {
        let kind = self.kind?;
        let (campaign, batch) =
            (self.campaign_id.unwrap_or_default(), self.batch_id.unwrap_or_default());
        let line = match (self.valid_from, self.expires_at, self.imported_state) {
            (Some(from), Some(until), Some(said)) => Some((millis(from), millis(until), said)),
            _ => None,
        };
        let read = || -> Result<EntryIs> {
            Ok(match kind.as_str() {
                "gone" => EntryIs::Gone,
                "shared" => EntryIs::Shared { campaign: parsed("campaign_id", &campaign)? },
                "coupon" => EntryIs::Coupon {
                    owner: Owner {
                        campaign: parsed("campaign_id", &campaign)?,
                        batch: parsed("batch_id", &batch)?,
                    },
                    day: self.expiry_day.map(day).ok_or_else(|| damaged("no expiry_day"))?,
                    line,
                },
                other => return Err(damaged(format!("kind is {other:?}"))),
            })
        };
        let is = read().unwrap_or_else(|error| EntryIs::Unreadable(error.to_string()));
        Some(EntryItem { code: self.code, is })
    }
}
