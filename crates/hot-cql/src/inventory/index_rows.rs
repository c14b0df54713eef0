//! Index rows: whether one is there, and the deletion of one that leads nowhere.

use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{IndexRow, IndexRowKind};

use crate::CqlStore;
use crate::values::{date, instant, signed, tie};
use cql_session::Result;

impl CqlStore {
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
