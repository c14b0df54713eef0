//! Archiving: the plans of partitions that move to cold, their seals, and their archive commits.

pub(crate) mod closed;
pub(crate) mod cold_mark;
pub(crate) mod eviction;
pub(crate) mod removal;
pub(crate) mod residue;
pub(crate) mod shrink;

use coupon::time::{Day, Millis};
use hot::PartitionPlan;
use hot::audit::{Act, AuditEvent, AuditKind, given};
use rusqlite::{Row, params};

use crate::columns::{signed, unsigned};
use crate::txn::Txn;

macro_rules! select_plan {
    ($rest:literal) => {
        concat!(
            "SELECT expiry_day, seal_after, sealed, archive_commit, emptied FROM partition_plan ",
            $rest
        )
    };
}

fn plan(row: &Row<'_>) -> rusqlite::Result<PartitionPlan> {
    Ok(PartitionPlan {
        day: Day(row.get(0)?),
        seal_after: Millis(row.get(1)?),
        sealed: row.get(2)?,
        archive_commit: unsigned(row, 3)?,
        emptied: row.get(4)?,
    })
}

pub(crate) fn plans(txn: &Txn<'_>) -> rusqlite::Result<Vec<PartitionPlan>> {
    txn.all(select_plan!("WHERE emptied = 0 ORDER BY expiry_day"), [], plan)
}

pub(crate) fn plan_of(txn: &Txn<'_>, day: Day) -> rusqlite::Result<Option<PartitionPlan>> {
    txn.first(select_plan!("WHERE expiry_day = ?1"), [day.0], plan)
}

pub(crate) fn archive_commits(txn: &Txn<'_>) -> rusqlite::Result<Vec<(Day, u64)>> {
    let sql = "SELECT expiry_day, archive_commit FROM partition_plan WHERE archive_commit > 0";
    txn.all(sql, [], |row| Ok((Day(row.get(0)?), unsigned(row, 1)?)))
}

/// Seals a partition if its time is over, and returns whether it is sealed.
pub(crate) fn seal(txn: &Txn<'_>, day: Day, now: Millis) -> rusqlite::Result<bool> {
    txn.run(
        "UPDATE partition_plan SET closing = 1, sealed = 1 \
         WHERE expiry_day = ?1 AND seal_after < ?2 AND sealed = 0",
        params![day.0, now.0],
    )?;
    txn.forget_terms();
    txn.is_sealed(day)
}

/// Notes the last archive commit of a partition, and whether it was the last of all.
pub(crate) fn finish(
    txn: &Txn<'_>,
    day: Day,
    archive_commit: u64,
    emptied: Option<Millis>,
) -> rusqlite::Result<()> {
    let before = plan_of(txn, day)?;
    txn.run(
        "UPDATE partition_plan SET archive_commit = max(archive_commit, ?2), \
         emptied = max(emptied, ?3) WHERE expiry_day = ?1",
        params![day.0, signed(archive_commit), emptied.is_some()],
    )?;
    match (emptied, before) {
        (Some(at), Some(plan)) if !plan.emptied => {
            let changes = vec![given("expiry_day", day)];
            let event = AuditEvent::of_store(AuditKind::DayArchived, changes);
            txn.audit(&Act::of_system("compact", at), &event)
        }
        _ => Ok(()),
    }
}
