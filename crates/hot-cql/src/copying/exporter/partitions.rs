//! Plans of partitions as items of a copy.

use coupon::time::Day;
use hot::HotError;
use hot::copying::{CopiedPartition, Item, Page};
use hot::settings::SERIAL_FLOOR;

use super::AT_ONCE;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::copying::Position;
use crate::session::{Result, StatementProfile};
use crate::values::date;

impl Store {
    pub(crate) async fn copied_partitions(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let after = at.number(0, i32::MIN)?;
        let plans = self.plans().await?;
        let behind: Vec<_> = plans.iter().filter(|plan| plan.day().0 > after).collect();
        let some = behind.iter().take(limit);
        let days = some.map(|plan| async move {
            let next_serial = self.copied_serial(plan.day()).await?;
            Ok::<_, HotError>(Item::Day(CopiedPartition {
                day: plan.day(),
                bits: Some(plan.bits()),
                seal_after: plan.seal_after(),
                closing: plan.is_closing(),
                sealed: plan.is_sealed(),
                archive_commit: plan.archive_commit(),
                emptied: plan.is_emptied(),
                next_serial,
                entered: plan.entered().collect(),
            }))
        });
        let items = bounded_join(AT_ONCE, days).await?;
        let last = behind.get(limit.saturating_sub(1)).filter(|_| behind.len() > limit);
        Ok(Page { items, next: last.map(|plan| plan.day().0.to_string()) })
    }

    pub(crate) async fn copied_serial(&self, of: Day) -> Result<u64> {
        let cql = "SELECT next_serial FROM minted_run WHERE expiry_day = ? LIMIT 1";
        let row: Option<(Option<i64>,)> =
            self.session.row(StatementProfile::Read, cql, (date(of),)).await?;
        match row.and_then(|(next,)| next) {
            Some(next) => Ok(next.unsigned_abs()),
            None => Ok(self.setting_number(SERIAL_FLOOR).await?.unwrap_or(0)),
        }
    }
}
