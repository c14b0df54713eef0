//! All that happens in one seed: processes of couponry on a simulated cluster, callers who ask them,
//! jobs beside them, and faults.
//!
//! A seed is a row of *bursts*. In a burst callers ask until so many calls have begun, and everything
//! else happens meanwhile. Between two bursts every process is stopped and time passes: minutes or
//! weeks, which cost nothing as long as nobody runs.

mod callers;
mod calls;
mod copying;
mod creating;
mod ending;
mod erasing;
mod erasures;
mod faults;
mod jobs;
mod leftovers;
mod machine;
mod operators;
mod orders;
mod plan;
mod plants;
mod readers;
mod records;
mod requests;
mod restoring;
mod rushes;
mod scene;
mod slots;
mod stocked_campaign;
mod stops;
mod unfinished;
mod verifying;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use tokio::time::{sleep, timeout};

use crate::check::history::RecordedCall;
use crate::check::{KnownWorld, SeedEnd};
use calls::CallRecorder;
use copying::CopyTarget;
use erasures::ErasureLog;
use machine::SimulatedSite;
pub use plan::SeedPlan;
use plants::SeedPlant;
use readers::CursorReader;
use scene::SeedScene;
use simulated_cluster::cql::ReplicaData;
use simulated_cluster::rng::Rng;
use simulated_cluster::trace::Trace;
use slots::ProcessSlot;
use stops::ProcessStop;

/// Longest time of one burst.
const BURST_MAX: Duration = Duration::from_secs(2 * 3_600);

/// After a burst calls that are under way may end.
const LULL: Duration = Duration::from_secs(20);

/// A pause in which a frozen process stays frozen is at most this long.
const NAP_MAX: Duration = Duration::from_secs(3_700);

/// After this time nodes forget what was deleted: the default of `gc_grace_seconds`.
const GC_GRACE: Duration = Duration::from_secs(10 * 86_400);

/// How many ask for counts and the audit at a time.
const COUNTERS: usize = 2;

/// Findings of one seed, at most: the first ones say enough.
const FINDINGS_MAX: usize = 50;

/// What one seed ended with.
#[derive(Default)]
pub struct SeedOutcome {
    /// What callers and imports asked, in the order in which they began, and the reads at the end.
    pub calls: Vec<RecordedCall>,
    /// How many calls there were before the end; a failing prefix is counted in these.
    pub operations: u64,
    /// The campaigns as the checker has to know them.
    pub known: KnownWorld,
    /// What was read after the quiet while, and what must not be, or must never have happened.
    pub end: SeedEnd,
}

/// What all parts of a seed share.
pub(crate) struct SimulatedWorld {
    pub(crate) plan: SeedPlan,
    pub(crate) trace: Trace,
    pub(crate) site: SimulatedSite,
    pub(crate) scene: SeedScene,
    pub(crate) recorder: Arc<CallRecorder>,
    pub(crate) slots: Vec<ProcessSlot>,
    pub(crate) readers: Vec<CursorReader>,
    pub(crate) erasures: ErasureLog,
    findings: Mutex<Vec<String>>,
}

/// Runs one seed; with `until`, only so many of its calls, which are the same as those of the whole
/// seed. `plant` names a planted bug. Needs a runtime of one thread whose time is paused.
pub async fn run(
    plan: &SeedPlan,
    trace: &Trace,
    until: Option<u64>,
    plant: Option<&str>,
) -> SeedOutcome {
    let site = SimulatedSite::new(plan, trace, SeedPlant::of(plant));
    let target = Arc::new(CopyTarget::new(site.beside(plan.rng("copy"))));
    let mut outcome = SeedOutcome::default();
    // Made now, so that its clock is that of the others.
    let spare = site.beside(plan.rng("restored"));
    let world = match SimulatedWorld::set_up(plan, trace, site).await {
        Ok(world) => world,
        Err(why) => {
            outcome.end.findings.push(format!("the scene cannot be set: {why}"));
            return outcome;
        }
    };
    let snapshot = world.bursts(&target, until.unwrap_or(u64::MAX)).await;
    outcome.operations = world.recorder.count();
    if plan.erasures.is_some() {
        // The other checks know each user by one name.
        erasures::ends(&world).await;
        outcome.end.findings = world.findings();
        return outcome;
    }
    let ended = ending::ends(&world, &target).await;
    if plan.jobs.restore
        && let Some(snapshot) = snapshot
    {
        restoring::restores(&world, &spare, &snapshot).await;
    }
    outcome.calls = world.recorder.calls();
    outcome.known = world.scene.known();
    outcome.end = ended.end(&world, &outcome.calls);
    outcome
}

impl SimulatedWorld {
    async fn set_up(
        plan: &SeedPlan,
        trace: &Trace,
        site: SimulatedSite,
    ) -> Result<Arc<SimulatedWorld>, String> {
        let first = site.start("the first process".to_owned(), 0).await;
        let first = first.ok_or("no process can be started")?;
        let scene = SeedScene::draw(plan, first.now());
        let first = creating::creates(plan, &site, &scene, first).await?;
        first.flush().await;
        let clocks = plan.clocks.iter().enumerate();
        Ok(Arc::new(SimulatedWorld {
            plan: plan.clone(),
            trace: trace.clone(),
            site,
            scene,
            recorder: Arc::new(CallRecorder::new(trace.clone())),
            slots: clocks.map(|(number, clock_ms)| ProcessSlot::new(number, *clock_ms)).collect(),
            readers: (0..plan.feed.readers).map(|_| CursorReader::default()).collect(),
            erasures: ErasureLog::default(),
            findings: Mutex::default(),
        }))
    }

    /// Writes down what must not be.
    pub(crate) fn find(&self, what: impl Into<String>) {
        let what = what.into();
        self.trace.say("finding", &*what);
        self.with_findings(|findings| {
            if findings.len() < FINDINGS_MAX && !findings.contains(&what) {
                findings.push(what);
            }
        });
    }

    /// What was found so far.
    pub(crate) fn findings(&self) -> Vec<String> {
        self.with_findings(|findings| findings.clone())
    }

    fn with_findings<T>(&self, work: impl FnOnce(&mut Vec<String>) -> T) -> T {
        work(&mut self.findings.lock().expect("no holder panics"))
    }

    /// All bursts, and a snapshot of the cluster after one of them.
    async fn bursts(
        self: &Arc<SimulatedWorld>,
        target: &Arc<CopyTarget>,
        until: u64,
    ) -> Option<ReplicaData> {
        let mut rng = self.plan.rng("between bursts");
        let mut snapshot = None;
        for (nth, burst) in self.plan.bursts.iter().enumerate() {
            for slot in &self.slots {
                slot.start(&self.site).await;
            }
            self.recorder.allow(burst.up_to.min(until));
            self.trace.say("world", format!("burst {nth} begins"));
            self.burst(target, nth).await;
            if burst.up_to >= until {
                break;
            }
            if snapshot.is_none() || rng.chance(400) {
                snapshot = Some(self.site.snapshot());
            }
            self.rests(target, burst.pause, &mut rng).await;
        }
        snapshot
    }

    async fn burst(self: &Arc<SimulatedWorld>, target: &Arc<CopyTarget>, nth: usize) {
        let rng = |who: &str, number: usize| self.plan.rng(&format!("{who} {number}, burst {nth}"));
        let world = || Arc::clone(self);
        let mut jobs: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        jobs.push(faults::injector(world(), rng("injector", 0)).boxed_local());
        for slot in &self.slots {
            jobs.push(slot.supervise(&self.site, rng("supervisor", slot.number)).boxed_local());
        }
        for number in 0..self.plan.jobs.compactors {
            jobs.push(jobs::compacts(world(), rng("compactor", number)).boxed_local());
        }
        if self.plan.jobs.meets_closings {
            jobs.push(rushes::meets_closings(world(), rng("closings", 0)).boxed_local());
        }
        for number in 0..self.plan.jobs.importers {
            jobs.push(jobs::imports(world(), rng("importer", number)).boxed_local());
        }
        if self.plan.jobs.admin {
            jobs.push(operators::administers(world(), nth, rng("operator", 0)).boxed_local());
        }
        if self.plan.erasures.is_some() {
            jobs.push(erasures::erases(world(), rng("erasures", 0)).boxed_local());
        }
        for number in 0..COUNTERS {
            jobs.push(records::asks(world(), rng("counter", number)).boxed_local());
        }
        for number in 0..self.readers.len() {
            let rng = rng("reader", number);
            jobs.push(readers::follows(world(), number, rng).boxed_local());
        }
        if self.plan.jobs.copy {
            let target = Arc::clone(target);
            jobs.push(copying::copies(world(), target, rng("copy", 0)).boxed_local());
        }
        let callers = (0..self.plan.callers)
            .map(|number| callers::caller(world(), rng("caller", number)).boxed_local());
        let lingers = Duration::from_millis(self.plan.jobs.lingers_ms);
        let callers = async {
            erasures::writes_late(self, rng("late writes", 0)).await;
            let ended = timeout(BURST_MAX, join_all(callers)).await;
            if !lingers.is_zero() {
                sleep(lingers).await;
            }
            ended
        };
        tokio::select! {
            biased;
            ended = callers => {
                if ended.is_err() {
                    self.trace.reached("a burst took too long");
                }
            }
            // The supervisors never end.
            _ = join_all(jobs) => {}
        }
    }

    /// Stops every process in some way, and lets time pass.
    async fn rests(&self, target: &CopyTarget, pause: Duration, rng: &mut Rng) {
        target.end().await;
        let is_nap = pause <= NAP_MAX;
        let is_lull = rng.chance(700);
        if is_lull {
            sleep(LULL).await;
        }
        for slot in &self.slots {
            let Some(machine) = slot.machine() else { continue };
            match rng.below(4) {
                0 if !is_lull => slot.kill(),
                // It wakes up when the others are there again, and goes on with what it did.
                1 if is_nap => {
                    let long = pause + Duration::from_millis(rng.below(20_000));
                    self.trace.reached("a process slept through a pause");
                    if self.plan.faults.machine_clock > 0 {
                        machine.life.process.set_clock(0);
                    }
                    machine.life.stop(ProcessStop::Freeze(long));
                }
                _ => slot.stop().await,
            }
        }
        self.trace.say("world", format!("rests for {} minutes", pause.as_secs() / 60));
        self.site.quiet().await;
        sleep(pause).await;
        if pause > GC_GRACE {
            self.site.cluster.compact();
        }
    }
}
