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
    faults: Vec<StoreFault>,
    /// The store in sentences for people who do not run it.
    sentences: Vec<String>,
    gauge: Gauge,
    sizes: Vec<(&'static str, String)>,
    /// Of a store on a cluster.
    nodes: Vec<NodeInfo>,
    /// The folder of the archive, where other machines may not see it.
    lone_archive: Option<&'a str>,
    /// Whether a compaction runs, or is asked for: then no other one is offered.
    is_compacting: bool,
    /// Since when this server has been asked for one that no list has yet.
    asked_at: Option<String>,
    runs: Vec<CompactionRun>,
    days: Vec<PartitionPlan>,
    has_archive: Option<bool>,
    late: u64,
}

/// What is wrong with the store.
pub(crate) struct StoreFault {
    pub(crate) said: String,
    /// What an operator does about it; empty if that is said already.
    mended: &'static str,
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
            false if plan.is_late(now) => ("paused", t.behind()),
            false if plan.seal_after <= now => ("planned", t.day_due()),
            false => ("running", t.day_open()),
        }
    }
}

impl PageContext {
    pub(crate) async fn store_faults(&self, plans: &[PartitionPlan]) -> Vec<StoreFault> {
        let (t, engine) = (self.t, self.engine());
        let mut faults = Vec::new();
        let mut add = |said, mended| faults.push(StoreFault { said, mended });
        if let Err(why) = engine.hot().writable().await {
            let mended = if self.console.nodes.is_some() { t.mend_nodes() } else { t.mend_disk() };
            add(t.attention_writable(IsolatedText(t.detail(&why))), mended);
        }
        if let Some(why) = engine.clock_warning().await {
            add(t.attention_clock(IsolatedText(t.detail(&why))), "");
        }
        match late(plans, self.now) {
            0 => {}
            late => add(t.attention_late(late), t.mend_compaction()),
        }
        faults
    }

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
    // A cold tier that does not answer is a fact of this page, not the end of it.
    let has_archive = engine.has_cold().await.ok();
    let asked =
        if let Some(nodes) = &desk.console.nodes { nodes.all().await } else { Ok(Vec::new()) };
    let mut faults = desk.store_faults(&plans).await;
    let mut add = |said, mended| faults.push(StoreFault { said, mended });
    if has_archive.is_none() {
        add(t.fault_archive().to_owned(), t.mend_archive());
    }
    let last = runs.iter().find_map(|run| run.ended.as_ref());
    if let Some(why) = last.and_then(|end| end.failed.as_ref()) {
        add(t.fault_compaction(IsolatedText(t.detail(why))), t.mend_compaction());
    }
    let nodes = asked.unwrap_or_else(|why| {
        add(t.nodes_silent(IsolatedText(why)), t.mend_nodes());
        Vec::new()
    });
    for node in nodes.iter().filter(|node| node.answer.is_err()) {
        add(t.fault_node(&node.address), t.mend_nodes());
    }
    let machine = desk.machine().await?;
    let page = StorePage {
        d: &desk,
        faults,
        sentences: sentences(&desk, &plans, &runs, has_archive, machine.free_bytes),
        gauge: engine.hot().gauge(),
        sizes: sizes(t, &machine),
        nodes,
        lone_archive: desk.console.setup.lone_archive.as_deref(),
        is_compacting: is_running || asked_at.is_some(),
        asked_at: asked_at.filter(|_| !is_running).map(|at| desk.at(&at)),
        runs,
        late: late(&plans, desk.now),
        days: plans.into_iter().take(DAYS).collect(),
        has_archive,
    };
    desk.page(&page)
}

fn late(plans: &[PartitionPlan], now: Millis) -> u64 {
    plans.iter().filter(|plan| plan.is_late(now)).count() as u64
}

/// Only what the page has read anyway: to count the coupons that wait, all open days would be read.
fn sentences(
    desk: &PageContext,
    plans: &[PartitionPlan],
    runs: &[CompactionRun],
    has_archive: Option<bool>,
    free: Option<u64>,
) -> Vec<String> {
    let t = desk.t;
    let is_over = |plan: &&PartitionPlan| plan.sealed || plan.seal_after <= desk.now;
    let waiting = plans.iter().filter(is_over).count() as u64;
    let mut said = vec![t.store_days_open(plans.len() as u64 - waiting)];
    if waiting > 0 {
        said.push(t.store_days_waiting(waiting));
    }
    let moved = |run: &CompactionRun| Some((run.ended.as_ref()?.rows, run.began_at));
    let moved = runs.iter().filter_map(moved).find(|(rows, _)| *rows > 0);
    if runs.iter().any(|run| run.is_running(desk.now)) {
        said.push(t.store_moves().to_owned());
    } else if let Some((rows, at)) = moved {
        said.push(t.store_moved(rows, desk.at(&Millis(at))));
    }
    said.extend(match has_archive {
        Some(true) => Some(t.store_archive_means().to_owned()),
        Some(false) => Some(t.store_unmoved().to_owned()),
        None => None,
    });
    said.extend(free.map(|bytes| t.store_free(t.bytes(bytes))));
    said
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
