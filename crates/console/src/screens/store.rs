//! The store: expiry days and their archive, and whether it takes writes.

use std::borrow::Borrow;

use askama::Template;
use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Day, Millis};
use engine::{AuditEvent, AuditKind, CompactionRun, Failure, Gauge, PartitionPlan};

use crate::desk::{PageContext, to};
use crate::machine::MachineStatus;
use crate::nodes::NodeInfo;
use crate::phase::CampaignPhase;
use crate::plan::PlannedWork;
use crate::roles::ConsoleAction;
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
    nodes: Option<Result<Vec<NodeInfo>, String>>,
    /// The folder of the archive, where other machines may not see it.
    lone_archive: Option<&'a str>,
    /// Whether a compaction runs, or is asked for: then no other one is offered.
    is_compacting: bool,
    /// Since when this server has been asked for one that no list has yet.
    asked_at: Option<String>,
    runs: Vec<CompactionRun>,
    days: Vec<PartitionPlan>,
    has_archive: Option<bool>,
    late: usize,
}

impl StorePage<'_> {
    fn step(&self, run: &CompactionRun) -> String {
        let t = self.d.t;
        match run.day() {
            Some(on) => {
                let (rows, total) = (t.number(run.step.rows), t.number(run.step.total));
                t.compaction_at(self.d.expiry_day(on), rows, total)
            }
            None => t.compaction_looks().to_owned(),
        }
    }

    /// The class and the words of the state of an expiry day.
    fn state(&self, plan: &PartitionPlan) -> (&'static str, &'static str) {
        let (t, now) = (self.d.t, self.d.now);
        match plan.sealed {
            true => ("ended", t.day_sealed()),
            false if plan.is_late(now) => ("paused", t.day_late()),
            false if plan.seal_after <= now => ("planned", t.day_due()),
            false => ("running", t.day_open()),
        }
    }
}

impl PageContext {
    /// An expiry day, which is one of UTC.
    fn expiry_day(&self, day: impl Borrow<Day>) -> String {
        let begins_at = Millis(i64::from(day.borrow().0) * DAY_MS);
        self.t.date(Date::of(begins_at, &Zone::utc()))
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let (t, engine) = (desk.t, desk.engine());
    let plans = engine.partitions().partitions().await.map_err(Failure::from)?;
    let runs = engine.compaction_runs().await?;
    let is_running = runs.iter().any(|run| run.is_running(desk.now));
    let asked_at = desk.console.compactions().since();
    let page = StorePage {
        d: &desk,
        writable: engine
            .writable()
            .await
            .map_err(|why| t.attention_writable(IsolatedText(t.detail(&why)))),
        clock: engine
            .clock_warning()
            .await
            .map(|why| t.attention_clock(IsolatedText(t.detail(&why)))),
        gauge: engine.gauge(),
        sizes: sizes(t, &desk.machine().await?),
        nodes: if let Some(nodes) = &desk.console.nodes { Some(nodes.all().await) } else { None },
        lone_archive: desk.console.setup.lone_archive.as_deref(),
        is_compacting: is_running || asked_at.is_some(),
        asked_at: asked_at.filter(|_| !is_running).map(|at| desk.at(&at)),
        runs,
        late: plans.iter().filter(|plan| plan.is_late(desk.now)).count(),
        days: plans.into_iter().take(DAYS).collect(),
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
    works: Vec<PlannedWork>,
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
        warning: plan.warning.map(|why| t.attention_clock(IsolatedText(t.detail(&why)))),
        works: plan.works.into_iter().take(DAYS).collect(),
    };
    desk.page(&page)
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
