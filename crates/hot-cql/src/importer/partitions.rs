//! Plans of partitions and their seals, written by a copy.

use coupon::time::Day;
use hot::bounded_join;
use hot::inventory::PartitionItem;
use hot::protocol::SERIAL_GAP;

use super::{AT_ONCE, LONG_AGO};
use crate::CqlStore;
use crate::values::{date, instant, signed};
use cql_session::Result;

/// The write time of a seal: later than any version, earlier than any clock.
const SEALED_LONG_AGO: i64 = 1_000_000_000_000;

const _: () = assert!(SEALED_LONG_AGO > LONG_AGO + (1 << 39));

macro_rules! update_plan {
    ($set:literal) => {
        concat!("UPDATE partition_plan USING TIMESTAMP ? SET ", $set, " WHERE expiry_day = ?")
    };
}

impl CqlStore {
    pub(super) async fn put_partition(
        &self,
        PartitionItem { plan: it, closing, next_serial }: &PartitionItem,
    ) -> Result<()> {
        let of = date(it.day);
        let (bits, is_new) = match self.bits(it.day).await? {
            Some(bits) => (bits, false),
            // Of an emptied partition nothing is left but its seal: one bucket is enough.
            None if it.emptied => (0, true),
            // A restore skips whole gaps.
            None => (self.bits_for(next_serial % SERIAL_GAP), true),
        };
        // Each of these values only rises, and its write time with it.
        if is_new {
            let cql = update_plan!("bucket_bits = ?");
            self.session.write(cql, (LONG_AGO, i32::from(bits), of)).await?;
        }
        let written = LONG_AGO + it.seal_after.0.div_euclid(1_000).max(0);
        let cql = update_plan!("seal_after = ?");
        self.session.write(cql, (written, instant(it.seal_after), of)).await?;
        if *closing {
            self.session.write(update_plan!("closing = true"), (LONG_AGO, of)).await?;
        }
        if *next_serial > 0 {
            let cql =
                "UPDATE minted_run USING TIMESTAMP ? SET next_serial = ? WHERE expiry_day = ?";
            let next = signed(*next_serial);
            self.session.write(cql, (LONG_AGO + next, next, of)).await?;
        }
        if it.sealed {
            let buckets = 0..1_i32 << bits.min(30);
            let seals = buckets.map(|bucket| self.put_seal(it.day, bucket, it.emptied && !is_new));
            bounded_join(AT_ONCE, seals).await?;
            // After the seals: `sealed` says of every bucket that it has its seal.
            self.session.write(update_plan!("sealed = true"), (LONG_AGO, of)).await?;
        }
        if it.archive_commit > 0 {
            let commit = signed(it.archive_commit);
            let cql = update_plan!("archive_commit = ?");
            self.session.write(cql, (LONG_AGO + commit, commit, of)).await?;
        }
        if it.emptied {
            self.session.write(update_plan!("emptied = true"), (LONG_AGO, of)).await?;
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
