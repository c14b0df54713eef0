//! Plans of partitions and their seals, written by a copy.

use coupon::time::Day;
use hot::inventory::PartitionItem;
use scylla::value::CqlDate;

use super::{AT_ONCE, LONG_AGO};
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::session::Result;
use crate::values::{date, instant, signed};

/// The write time of a seal: later than any version, earlier than any clock.
const SEALED_LONG_AGO: i64 = 1_000_000_000_000;

const _: () = assert!(SEALED_LONG_AGO > LONG_AGO + (1 << 39));

impl Store {
    pub(super) async fn put_partition(&self, it: &PartitionItem) -> Result<()> {
        let of = date(it.day);
        let (bits, is_new) = match self.bits(it.day).await? {
            Some(bits) => (bits, false),
            // Of an emptied partition nothing is left but its seal: one bucket is enough.
            None if it.emptied && it.bits.is_none() => (0, true),
            None => (it.bits.unwrap_or(self.options.bucket_bits), true),
        };
        // Each of these values only rises, and its write time with it.
        let cql =
            "UPDATE partition_plan USING TIMESTAMP ? SET bucket_bits = ? WHERE expiry_day = ?";
        if is_new {
            self.session.write(cql, (LONG_AGO, i32::from(bits), of)).await?;
        }
        let cql = "UPDATE partition_plan USING TIMESTAMP ? SET seal_after = ? WHERE expiry_day = ?";
        let written = LONG_AGO + it.seal_after.0.div_euclid(1_000).max(0);
        self.session.write(cql, (written, instant(it.seal_after), of)).await?;
        if !it.entered.is_empty() {
            let cql = "UPDATE partition_plan USING TIMESTAMP ? SET entered = entered + ? WHERE \
                       expiry_day = ?";
            let entered: Vec<CqlDate> = it.entered.iter().copied().map(date).collect();
            self.session.write(cql, (LONG_AGO, entered, of)).await?;
        }
        if it.closing {
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET closing = true WHERE expiry_day = ?";
            self.session.write(cql, (LONG_AGO, of)).await?;
        }
        if it.next_serial > 0 {
            let cql =
                "UPDATE minted_run USING TIMESTAMP ? SET next_serial = ? WHERE expiry_day = ?";
            let next = signed(it.next_serial);
            self.session.write(cql, (LONG_AGO + next, next, of)).await?;
        }
        if it.sealed {
            let buckets = 0..1_i32 << bits.min(30);
            let seals = buckets.map(|bucket| self.put_seal(it.day, bucket, it.emptied && !is_new));
            bounded_join(AT_ONCE, seals).await?;
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET sealed = true WHERE expiry_day = ?";
            self.session.write(cql, (LONG_AGO, of)).await?;
        }
        if it.archive_commit > 0 {
            let cql = "UPDATE partition_plan USING TIMESTAMP ? SET archive_commit = ? WHERE \
                       expiry_day = ?";
            let archive_commit = signed(it.archive_commit);
            self.session.write(cql, (LONG_AGO + archive_commit, archive_commit, of)).await?;
        }
        if it.emptied {
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET emptied = true WHERE expiry_day = ?";
            self.session.write(cql, (LONG_AGO, of)).await?;
        }
        Ok(())
    }

    /// Writes a seal, and deletes what an earlier pass wrote into its bucket.
    async fn put_seal(&self, expiry_day: Day, bucket: i32, empties: bool) -> Result<()> {
        let cql = "UPDATE coupon USING TIMESTAMP ? SET sealed = true \
                   WHERE expiry_day = ? AND bucket = ?";
        self.session.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        if empties {
            let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            self.session.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        }
        Ok(())
    }
}
