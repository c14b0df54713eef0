//! The store: expiry days and their archive, and whether it takes writes.

use askama::Template;
use axum::response::Response;
use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Millis};
use engine::{Failure, Gauge, PartitionPlan};

use crate::desk::Desk;
use crate::machine::{CompactionRun, Machine};
use crate::roles::Action;
use crate::screens::overview::is_late;
use crate::text::{Said, Texts};
use crate::trouble::Trouble;

/// Expiry days of the page: a year and a month.
const DAYS: usize = 400;

#[derive(Template)]
#[template(path = "store.html")]
struct StorePage<'a> {
    d: &'a Desk,
    t: Texts,
    writable: Result<(), String>,
    clock: Option<String>,
    gauge: Gauge,
    /// What the machine says, by name.
    sizes: Vec<(&'static str, String)>,
    runs: Vec<RunRow>,
    days: Vec<Row>,
    has_archive: Option<bool>,
    late: usize,
}

/// A compaction that has ended.
struct RunRow {
    began: String,
    took: String,
    days: String,
    rows: String,
    bytes: String,
    failed: Option<String>,
}

struct Row {
    day: String,
    state: &'static str,
    label: &'static str,
    seal_after: String,
    commits: String,
}

/// `GET /console/store`
pub(crate) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let (t, engine) = (desk.t, desk.engine());
    let plans = engine.partitions().partitions().await.map_err(Failure::from)?;
    let page = StorePage {
        d: &desk,
        t,
        writable: engine.writable().await.map_err(|why| t.attention_writable(Said(why))),
        clock: engine.clock_warning().await.map(|why| t.attention_clock(Said(why))),
        gauge: engine.gauge(),
        sizes: sizes(t, &desk.machine().await?),
        runs: desk.console.runs.all().iter().map(|run| run_row(&desk, run)).collect(),
        late: plans.iter().filter(|plan| is_late(plan, desk.now)).count(),
        days: plans.iter().take(DAYS).map(|plan| row(&desk, plan)).collect(),
        // A cold tier that does not answer is a fact of this page, not the end of it.
        has_archive: engine.has_cold().await.ok(),
    };
    desk.page(&page)
}

fn sizes(t: Texts, machine: &Machine) -> Vec<(&'static str, String)> {
    let all = [
        (t.store_bytes(), machine.store_bytes),
        (t.log_bytes(), machine.log_bytes),
        (t.free_bytes(), machine.free_bytes),
        (t.memory_bytes(), machine.memory_bytes),
    ];
    all.into_iter().filter_map(|(name, bytes)| Some((name, t.bytes(bytes?)))).collect()
}

fn run_row(desk: &Desk, run: &CompactionRun) -> RunRow {
    let t = desk.t;
    RunRow {
        began: desk.at(&run.began_at),
        took: t.seconds(run.took_ms),
        days: t.number(run.days),
        rows: t.number(run.rows),
        bytes: t.bytes(run.bytes),
        failed: run.failed.clone(),
    }
}

fn row(desk: &Desk, plan: &PartitionPlan) -> Row {
    let t = desk.t;
    let (state, label) = match plan.sealed {
        true => ("ended", t.day_sealed()),
        false if is_late(plan, desk.now) => ("paused", t.day_late()),
        false if plan.seal_after <= desk.now => ("planned", t.day_due()),
        false => ("running", t.day_open()),
    };
    Row {
        day: t.date(Date::of(Millis(i64::from(plan.day.0) * DAY_MS), &Zone::utc())),
        state,
        label,
        seal_after: desk.at(&plan.seal_after),
        commits: t.number(plan.archive_commit),
    }
}
