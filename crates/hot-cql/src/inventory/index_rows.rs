//! Index rows.

use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{IndexRow, IndexRowKind, Item, Page};
use scylla::DeserializeRow;
use scylla::response::PagingState;
use scylla::value::{CqlDate, CqlTimestamp};

use crate::Store;
use crate::values::{date, day, instant, millis, parsed, signed, tie};
use cql_session::{Result, damaged};

#[derive(DeserializeRow)]
struct RawIndexRow {
    user_id: Option<String>,
    expires_at: CqlTimestamp,
    tie: i64,
    code: String,
    expiry_day: Option<CqlDate>,
    written: Option<i64>,
}

impl RawIndexRow {
    /// `None` if only the key is there: the row says nothing.
    fn index_row(self, kind: IndexRowKind) -> Result<Option<IndexRow>> {
        let (Some(expiry_day), Some(written_at)) = (self.expiry_day, self.written) else {
            return Ok(None);
        };
        let user = match kind {
            IndexRowKind::Wallet => Some(parsed("user_id", self.user_id.as_deref().unwrap_or(""))?),
            IndexRowKind::Expiring => None,
        };
        Ok(Some(IndexRow {
            kind,
            code: parsed("code", &self.code)?,
            day: day(expiry_day),
            expires_at: millis(self.expires_at),
            user,
            tie: self.tie,
            written_at,
        }))
    }
}

impl Store {
    /// A page of a scan. One CQL partition may have more rows than a page, so the engine's paging
    /// state is the position.
    pub(super) async fn page_of_index_rows(
        &self,
        kind: IndexRowKind,
        after: Option<&str>,
    ) -> Result<Page> {
        let cql = match kind {
            IndexRowKind::Wallet => {
                "SELECT user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM wallet"
            }
            IndexRowKind::Expiring => {
                "SELECT campaign_id AS user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM expiring"
            }
        };
        let from = match after {
            None => PagingState::start(),
            Some(text) => PagingState::new_from_raw_bytes(bytes_of(text)?),
        };
        let (rows, next) = self.session.page::<RawIndexRow>(cql, (), from).await?;
        let next = next.and_then(|state| state.as_bytes_slice().map(|bytes| text_of(bytes)));
        let index_rows = rows.into_iter().filter_map(|row| row.index_row(kind).transpose());
        let items = index_rows.map(|row| row.map(Item::IndexRow)).collect::<Result<Vec<Item>>>()?;
        Ok(Page { items, next })
    }

    pub(super) async fn has_wallet(&self, coupon: &Coupon) -> Result<bool> {
        let Some(holder) = coupon.holder() else { return Ok(true) };
        let cql = "SELECT code FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                   AND code = ?";
        let code = coupon.code();
        let at = instant(coupon.expires_at());
        let values = (holder.as_str(), at, signed(tie(code)), code.as_str());
        self.session.has(cql, values).await
    }

    pub(super) async fn remove_old_index_row(&self, index_row: &IndexRow) -> Result<()> {
        let (code, at, tie) =
            (index_row.code.as_str(), instant(index_row.expires_at), index_row.tie);
        match (index_row.kind, &index_row.user) {
            (IndexRowKind::Wallet, Some(user)) => {
                let cql = "DELETE FROM wallet USING TIMESTAMP ? WHERE user_id = ? \
                           AND expires_at = ? AND tie = ? AND code = ?";
                self.session.write(cql, (index_row.written_at, user.as_str(), at, tie, code)).await
            }
            (IndexRowKind::Wallet, None) => Ok(()),
            (IndexRowKind::Expiring, _) => {
                let cql = "DELETE FROM expiring USING TIMESTAMP ? WHERE expires_on = ? \
                           AND shard = ? AND expires_at = ? AND tie = ? AND code = ?";
                let on = Day::expiry_day_of(index_row.expires_at);
                let of = self.expiring_partitions(index_row.expires_at, tie, &index_row.code);
                for partition in of.await? {
                    let values = (index_row.written_at, date(on), partition, at, tie, code);
                    self.session.write(cql, values).await?;
                }
                Ok(())
            }
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Result<Vec<u8>> {
    let pairs = (0..text.len() / 2).map(|at| text.get(2 * at..2 * at + 2).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        for bytes in [&[] as &[u8], &[0, 1, 0xff], b"state"] {
            assert_eq!(bytes_of(&text_of(bytes)).ok().as_deref(), Some(bytes));
        }
        assert!(bytes_of("zz").is_err());
    }
}
