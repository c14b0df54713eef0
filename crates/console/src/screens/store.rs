//! The store: expiry days and their archive, and whether it takes writes.

use askama::Template;
use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Day, Millis};
use engine::{AuditEvent, AuditKind, CompactionRun, Failure, Gauge, PartitionPlan};

use crate::compactions::PlannedWork;
use crate::desk::{PageContext, to};
use crate::machine::MachineStatus;
use crate::nodes::{NodeAnswer, NodeInfo};
use crate::roles::ConsoleAction;
use crate::screens::campaigns::CampaignPhase;
use crate::text::{IsolatedText, PageTexts};
use crate::trouble::ConsoleResult;

/// Expiry days of the page: a year and a month.
const DAYS: usize = 400;

#[derive(Template)]
#[template(path = "store.html")]
struct StorePage<'a> {
    d: &'a PageContext,
    writable: Result<(), String>,
    clock: Option<String>,
    gauge: Gauge,
    sizes: Vec<(&'static str, String)>,
    /// Of a store on a cluster, or why they cannot be asked.
    nodes: Option<Result<Vec<NodeRow>, String>>,
    /// The folder of the archive, where other machines may not see it.
    lone_archive: Option<&'a str>,
    /// Whether a compaction runs, or is asked for: then no other one is offered.
    is_compacting: bool,
    /// Since when this server has been asked for one that no list has yet.
    asked_at: Option<String>,
    runs: Vec<RunRow>,
    days: Vec<PartitionRow>,
    has_archive: Option<bool>,
    late: usize,
}

struct NodeRow {
    address: String,
    datacenter: String,
    /// Its release, and how far its clock is away from that of this machine; or why it says nothing.
    said: Result<(String, String), String>,
}

struct RunRow {
    began: String,
    by: String,
    host: String,
    state: RunState,
}

enum RunState {
    /// With what it does now.
    Runs(String),
    /// It was heard of at this time.
    BrokeOff(String),
    Over {
        took: String,
        days: String,
        rows: String,
        bytes: String,
        failed: Option<String>,
    },
}

struct PartitionRow {
    day: String,
    state: &'static str,
    label: &'static str,
    seal_after: String,
    commits: String,
}

/// `GET /console/store`
pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let (t, engine) = (desk.t, desk.engine());
    let plans = engine.partitions().partitions().await.map_err(Failure::from)?;
    let runs = engine.compaction_runs().await?;
    let is_running = runs.iter().any(|run| run.is_running(desk.now));
    let asked_at = desk.console.compactions().since();
    let page = StorePage {
        d: &desk,
        writable: engine.writable().await.map_err(|why| t.attention_writable(IsolatedText(why))),
        clock: engine.clock_warning().await.map(|why| t.attention_clock(IsolatedText(why))),
        gauge: engine.gauge(),
        sizes: sizes(t, &desk.machine().await?),
        nodes: match &desk.console.nodes {
            Some(nodes) => Some(node_rows(t, nodes.all().await)),
            None => None,
        },
        lone_archive: desk.console.lone_archive.as_deref(),
        is_compacting: is_running || asked_at.is_some(),
        asked_at: asked_at.filter(|_| !is_running).map(|at| desk.at(&at)),
        runs: runs.iter().map(|run| run_row(&desk, run)).collect(),
        late: plans.iter().filter(|plan| plan.is_late(desk.now)).count(),
        days: plans.iter().take(DAYS).map(|plan| row(&desk, plan)).collect(),
        // A cold tier that does not answer is a fact of this page, not the end of it.
        has_archive: engine.has_cold().await.ok(),
    };
    desk.page(&page)
}

/// `POST /console/store/compact`: if one runs already, that one is enough.
pub(crate) async fn compact(desk: PageContext) -> ConsoleResult {
    let (engine, caller) = (desk.engine(), desk.caller(ConsoleAction::Compact)?);
    let compactions = desk.console.compactions();
    let runs = engine.compaction_runs().await?;
    if compactions.since().is_some() || runs.iter().any(|run| run.is_running(desk.now)) {
        return Ok(to("/console/store"));
    }
    engine.record(&caller, AuditEvent::of_store(AuditKind::CompactionAsked, Vec::new())).await?;
    compactions.ask(desk.now, caller.to_string());
    Ok(to("/console/store?done=compacting"))
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage<'a> {
    d: &'a PageContext,
    /// Why it cannot be said.
    failed: Option<String>,
    warning: Option<String>,
    works: Vec<(String, &'static str, String)>,
}

/// `GET /console/store/plan`: what a compaction would do now.
pub(crate) async fn plan(desk: PageContext) -> ConsoleResult {
    let t = desk.t;
    let (plan, failed) = match desk.console.plans.plan().await? {
        Ok(plan) => (plan, None),
        Err(why) => (Default::default(), Some(why)),
    };
    let page = PlanPage {
        d: &desk,
        failed,
        warning: plan.warning.map(|why| t.attention_clock(IsolatedText(why))),
        works: plan.works.iter().take(DAYS).map(|work| planned(t, work)).collect(),
    };
    desk.page(&page)
}

fn planned(t: PageTexts, work: &PlannedWork) -> (String, &'static str, String) {
    (day(t, work.day), t.planned_pass(&work.pass), t.number(work.waiting))
}

fn sizes(t: PageTexts, machine: &MachineStatus) -> Vec<(&'static str, String)> {
    let all = [
        (t.store_bytes(), machine.store_bytes),
        (t.log_bytes(), machine.log_bytes),
        (t.free_bytes(), machine.free_bytes),
        (t.memory_bytes(), machine.memory_bytes),
    ];
    all.into_iter().filter_map(|(name, bytes)| Some((name, t.bytes(bytes?)))).collect()
}

fn node_rows(t: PageTexts, nodes: Result<Vec<NodeInfo>, String>) -> Result<Vec<NodeRow>, String> {
    let row = |NodeInfo { address, datacenter, answer }| {
        let said = answer.map(|it: NodeAnswer| {
            let ms = t.number(it.clock_ahead_ms.unsigned_abs());
            (it.version, t.milliseconds_short(ms))
        });
        NodeRow { address, datacenter, said }
    };
    Ok(nodes?.into_iter().map(row).collect())
}

fn run_row(desk: &PageContext, run: &CompactionRun) -> RunRow {
    let t = desk.t;
    let state = match &run.ended {
        Some(ended) => RunState::Over {
            took: t.seconds(ended.took_ms),
            days: t.number(ended.days),
            rows: t.number(ended.rows),
            bytes: t.bytes(ended.bytes),
            failed: ended.failed.clone(),
        },
        None if run.is_running(desk.now) => RunState::Runs(match run.day() {
            Some(on) => {
                t.compaction_at(day(t, on), t.number(run.step.rows), t.number(run.step.total))
            }
            None => t.compaction_looks().to_owned(),
        }),
        None => RunState::BrokeOff(t.broke_off(desk.at(&Millis(run.seen_at)))),
    };
    let by = if run.by == "serve" { t.by_itself().to_owned() } else { run.by.clone() };
    RunRow { began: desk.at(&Millis(run.began_at)), by, host: run.host.clone(), state }
}

/// An expiry day, which is one of UTC.
fn day(t: PageTexts, day: Day) -> String {
    t.date(Date::of(Millis(i64::from(day.0) * DAY_MS), &Zone::utc()))
}

fn row(desk: &PageContext, plan: &PartitionPlan) -> PartitionRow {
    let t = desk.t;
    let (state, label) = match plan.sealed {
        true => ("ended", t.day_sealed()),
        false if plan.is_late(desk.now) => ("paused", t.day_late()),
        false if plan.seal_after <= desk.now => ("planned", t.day_due()),
        false => ("running", t.day_open()),
    };
    PartitionRow {
        day: day(t, plan.day),
        state,
        label,
        seal_after: desk.at(&plan.seal_after),
        commits: t.number(plan.archive_commit),
    }
}
