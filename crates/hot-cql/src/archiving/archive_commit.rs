//! What a partition's plan and the settings say about archive commits.

use coupon::time::Day;
use hot::ColdMark;
use hot::settings::{COLD_BEGUN, COLD_COMMITTED};

use crate::Store;
use crate::session::{Result, StatementProfile};
use crate::spread::Spread;
use crate::values::{date, signed};

impl Store {
    pub(crate) async fn finish(&self, day: Day, archive_commit: u64, emptied: bool) -> Result<()> {
        if let Ok(mut gone) = self.gone.lock() {
            gone.retain(|(of, _)| *of != day || !emptied);
        }
        let mut attempts = self.attempts("an archive commit of a partition");
        loop {
            let plan = attempts.looked(self.plan(StatementProfile::Read, day).await)?;
            let Some(plan) = plan else { return Ok(()) };
            let wanted = plan.archive_commit().max(archive_commit);
            let emptied = plan.is_emptied() || emptied;
            if plan.archive_commit() == wanted && plan.is_emptied() == emptied {
                break;
            }
            let cql = "UPDATE partition_plan SET archive_commit = ?, emptied = ? WHERE expiry_day \
                       = ? IF archive_commit = ?";
            let before = (plan.archive_commit() > 0).then(|| signed(plan.archive_commit()));
            let values = (signed(wanted), emptied, date(day), before);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
        if emptied {
            let bits = self.bits(day).await?.unwrap_or(0);
            let spread = Spread::Closed { day, bucket_bits: bits };
            for queue in self.cql_partitions(&spread).await? {
                let cql = "DELETE FROM closed WHERE expiry_day = ? AND shard = ?";
                self.session.write(cql, (date(day), queue)).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn mark(&self) -> Result<ColdMark> {
        Ok(ColdMark {
            begun: self.setting_number(COLD_BEGUN).await?,
            committed: self.setting_number(COLD_COMMITTED).await?,
        })
    }

    pub(crate) async fn raise_mark(&self, mark: ColdMark) -> Result<()> {
        for (name, new) in [(COLD_BEGUN, mark.begun), (COLD_COMMITTED, mark.committed)] {
            let Some(new) = new else { continue };
            self.change_number(name, |here| here.is_none_or(|here| here < new).then_some(new))
                .await?;
        }
        Ok(())
    }
}
