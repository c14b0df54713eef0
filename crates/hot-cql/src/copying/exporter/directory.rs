//! Directory entries as items of a copy.

use coupon::code::Code;
use hot::copying::{CopiedEntry, EntryIs, Item, Page};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use super::{AT_ONCE, ByToken, by_token, limit_of};
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::copying::Position;
use crate::session::{Result, StatementProfile};
use crate::values::{day, millis, parsed};

impl Store {
    pub(crate) async fn copied_entries(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(code) AS at_token, code, kind, campaign_id, batch_id, expiry_day, \
                   valid_from, expires_at, imported_state FROM directory WHERE token(code) > ? \
                   LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<EntryRow> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
        let entries = rows.into_iter().map(|row| self.copied_entry(row));
        let entries: Vec<Option<CopiedEntry>> = bounded_join(AT_ONCE, entries).await?;
        Ok(Page { items: entries.into_iter().flatten().map(Item::Entry).collect(), next })
    }

    /// `None` for an entry that was begun and never finished: the same line, sent again, begins
    /// again.
    async fn copied_entry(&self, row: EntryRow) -> Result<Option<CopiedEntry>> {
        let code: Code = parsed("code", &row.code)?;
        let is = match row.kind.as_deref() {
            None => return Ok(None),
            Some("gone") => EntryIs::Gone,
            Some("shared") => {
                let campaign = parsed("campaign_id", row.campaign_id.as_deref().unwrap_or(""))?;
                if self.terms(&campaign).await?.is_none() {
                    return Ok(None);
                }
                EntryIs::Shared { campaign }
            }
            Some(_) => {
                let Some(expiry_day) = row.expiry_day.map(day) else { return Ok(None) };
                let Some(bucket) = self.bucket(expiry_day, &code).await? else { return Ok(None) };
                if self.row_of(StatementProfile::Read, expiry_day, bucket, &code).await?.is_none()
                    && !self.is_sealed(expiry_day, bucket).await?
                {
                    return Ok(None);
                }
                EntryIs::Coupon {
                    campaign: parsed("campaign_id", row.campaign_id.as_deref().unwrap_or(""))?,
                    batch: parsed("batch_id", row.batch_id.as_deref().unwrap_or(""))?,
                    day: expiry_day,
                    line: match (row.valid_from, row.expires_at, row.imported_state) {
                        (Some(from), Some(until), Some(said)) => {
                            Some((millis(from), millis(until), said))
                        }
                        _ => None,
                    },
                }
            }
        };
        Ok(Some(CopiedEntry { code, is }))
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

impl ByToken for EntryRow {
    fn token(&self) -> i64 {
        self.at_token
    }
}
