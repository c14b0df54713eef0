//! What must not be left after a quiet while: leases of processes that are gone, plans that are
//! half closed, coupons in the queue of the compactor.

use std::time::Duration;

use cql_session::{BoundValue, CqlCluster, RowPage, StatementProfile, StatementRequest};
use hot::Partitions;
use tokio::time::sleep;

use super::SimulatedWorld;
use super::machine::SimulatedMachine;
use simulated_cluster::cql::cells;

/// A lease without renewal has no owner after a minute.
const LEASES_END: Duration = Duration::from_secs(120);

/// Rows of one answer: there are never so many.
const PAGE_ROWS: i32 = 10_000;

/// The texts are those of the store itself, so that the simulated cluster knows them.
const LEASES: &str = "SELECT cursor, returned_rows, kind, first, name, count, owner, done \
                      FROM lease WHERE campaign_id = ? AND batch_id = ?";

const PLANS: &str = "SELECT expiry_day, bucket_bits, seal_after, closing, sealed, archive_commit, \
                     emptied, entered FROM partition_plan";

/// Looks for all of it, and waits for the leases.
pub(crate) async fn looked_for(world: &SimulatedWorld, machine: &SimulatedMachine) {
    if world.plan.jobs.cold {
        queue(world, machine).await;
    }
    plans(world, machine).await;
    machine.flush().await;
    sleep(LEASES_END).await;
    for (nth, batch) in world.scene.batches() {
        let id = world.scene.id(nth).as_str();
        let values = [id, batch.as_str()].map(|text| BoundValue::Value(text.as_bytes().to_vec()));
        let Some(page) = rows(world, machine, LEASES, values.to_vec()).await else { continue };
        for row in &page.rows {
            let cells = cells(row);
            let (kind, owner) = (cells.get(2), cells.get(6));
            if kind.is_some_and(Option::is_some) && owner.is_some_and(Option::is_some) {
                world.find(format!("{id}, {batch}: a process that is gone owns a lease"));
            }
        }
    }
}

/// Coupons that wait for the compactor, which has just run.
async fn queue(world: &SimulatedWorld, machine: &SimulatedMachine) {
    match machine.hot.closed(machine.now(), 1_000).await {
        Ok(waiting) => {
            for it in waiting {
                let what = format!("{}: {} coupons wait for the compactor", it.day, it.waiting);
                world.find(what);
            }
        }
        Err(error) => world.find(format!("the queue of the compactor: {error}")),
    }
}

/// Partitions that somebody began to seal.
async fn plans(world: &SimulatedWorld, machine: &SimulatedMachine) {
    let Some(page) = rows(world, machine, PLANS, Vec::new()).await else { return };
    for row in &page.rows {
        let cells = cells(row);
        let is = |at: usize| cells.get(at).copied().flatten() == Some(&[1]);
        if is(3) && !is(4) {
            let day = cells.first().copied().flatten();
            world.find(format!("a partition is closing, and not sealed: {day:?}"));
        }
    }
}

async fn rows(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    cql: &'static str,
    values: Vec<BoundValue>,
) -> Option<RowPage> {
    let request = StatementRequest {
        cql,
        rows: vec![values],
        profile: StatementProfile::Read,
        from: None,
        page_rows: PAGE_ROWS,
    };
    let answer = match machine.session.prepare(cql).await {
        Ok(_) => machine.session.execute(request).await,
        Err(error) => Err(error),
    };
    answer.map_err(|error| world.find(format!("{cql}: {error}"))).ok()
}
