//! Index rows, as `verify` reads and deletes them.

use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::audit::{IndexRow, IndexRowKind};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use crate::Store;
use crate::session::{Result, StatementProfile};
use crate::values::{date, day, instant, millis, parsed, signed, tie};

#[derive(DeserializeRow)]
pub(super) struct RawIndexRow {
    user_id: Option<String>,
    expires_at: CqlTimestamp,
    tie: i64,
    code: String,
    expiry_day: Option<CqlDate>,
    written: Option<i64>,
}

impl RawIndexRow {
    /// `None` if only the key is there: the row says nothing.
    pub(super) fn index_row(self, kind: IndexRowKind) -> Result<Option<IndexRow>> {
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
    pub(super) async fn has_wallet(&self, coupon: &Coupon) -> Result<bool> {
        let Some(holder) = coupon.holder() else { return Ok(true) };
        let cql = "SELECT code FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                   AND code = ?";
        let code = coupon.code();
        let at = instant(coupon.expires_at());
        let values = (holder.as_str(), at, signed(tie(code)), code.as_str());
        let index_row: Option<(String,)> =
            self.session.row(StatementProfile::Read, cql, values).await?;
        Ok(index_row.is_some())
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
                for partition in
                    self.expiring_partitions(index_row.expires_at, tie, &index_row.code).await?
                {
                    let values = (index_row.written_at, date(on), partition, at, tie, code);
                    self.session.write(cql, values).await?;
                }
                Ok(())
            }
        }
    }
}
