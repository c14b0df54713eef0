//! After the last call: a quiet while, a last compaction, and everything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use compactor::ClosedPolicy;
use coupon::campaign::Batch;
use coupon::code::Code;
use hot::feed::{FeedEvent, Happened};
use hot::inventory::{self, COPIED, IndexRowKind, Table};
use hot::{Batches, CampaignRow, Campaigns, CouponSnapshot, ImportOutcome, Partitions};
use tokio::time::sleep;

use super::calls::ask;
use super::copying::CopyTarget;
use super::machine::SimulatedMachine;
use super::{
    SimulatedWorld, copying, erasing, jobs, leftovers, orders, readers, records, unfinished,
    verifying,
};
use crate::check::SeedEnd;
use crate::check::history::{RecordedAnswer, RecordedCall, RecordedRequest};

/// How long nothing is broken before the end.
const QUIET: Duration = Duration::from_secs(600);

/// How often the last compaction is tried: one run may leave work for the next.
const COMPACTIONS_MAX: usize = 6;

/// How often one of the last reads is tried.
const READS_MAX: usize = 3;

/// Longest way to the end of the last partition.
const DAYS_MAX: i64 = 150;

/// Batches of a campaign, at most.
const BATCHES_MAX: usize = 1_000;

/// A campaign at the end.
struct CampaignEnd {
    /// With its counts.
    row: CampaignRow,
    batches: Vec<Batch>,
}

/// What is read at the end.
#[derive(Default)]
pub(crate) struct FinalReads {
    campaigns: Vec<CampaignEnd>,
    coupons: BTreeMap<Code, CouponSnapshot>,
    /// What was read of the feed.
    feeds: Vec<Vec<FeedEvent>>,
}

impl FinalReads {
    /// The same for the checker.
    pub(crate) fn end(&self, world: &SimulatedWorld, calls: &[RecordedCall]) -> SeedEnd {
        let mut end = SeedEnd {
            coupons: self.coupons.clone(),
            findings: world.findings(),
            feeds: self.feeds.clone(),
            ..SeedEnd::default()
        };
        if has_exact_counts(world, calls) {
            for CampaignEnd { row, batches, .. } in &self.campaigns {
                let id = &row.campaign.id;
                end.counts.insert(id.clone(), row.counts);
                let sizes = batches.iter().map(|it| ((id.clone(), it.id.clone()), it.count));
                end.batches.extend(sizes);
            }
        }
        end
    }
}

/// Whether no process lost what it had counted, or did not know what it had done.
fn has_exact_counts(world: &SimulatedWorld, calls: &[RecordedCall]) -> bool {
    let faults = world.trace.faults();
    let is_lost =
        faults.contains_key("process killed") || faults.contains_key("process stopped at a step");
    let is_known = |call: &RecordedCall| {
        matches!(
            call.told,
            RecordedAnswer::Applied(_)
                | RecordedAnswer::Order(_)
                | RecordedAnswer::Read(_)
                | RecordedAnswer::Imported(_)
        )
    };
    let jobs = &world.plan.jobs;
    let is_exact = !is_lost && !jobs.cold && !jobs.admin && calls.iter().all(is_known);
    is_exact && !imported_together(calls)
}

/// Whether two imports at one time brought the same coupon. Both have written its row, and neither
/// can know of the other: both have counted it.
fn imported_together(calls: &[RecordedCall]) -> bool {
    let mut imports: Vec<(u64, u64, BTreeSet<&Code>)> = Vec::new();
    for call in calls {
        let (RecordedRequest::Import { lines, .. }, RecordedAnswer::Imported(outcomes)) =
            (&call.asked, &call.told)
        else {
            continue;
        };
        let brought = lines.iter().zip(outcomes);
        // A line may be refused after its row was written as an earlier file says.
        let brought = brought.filter(|(_, outcome)| {
            matches!(outcome, ImportOutcome::Imported | ImportOutcome::Refused(_))
        });
        let codes = brought.map(|(line, _)| &line.code).collect();
        imports.push((call.began_ms, call.ended_ms.unwrap_or(u64::MAX), codes));
    }
    imports.iter().enumerate().any(|(nth, (began, ended, codes))| {
        imports[..nth]
            .iter()
            .any(|(from, to, others)| from <= ended && began <= to && !codes.is_disjoint(others))
    })
}

/// Ends every fault, waits, and looks at everything.
pub(crate) async fn ends(world: &SimulatedWorld, target: &CopyTarget) -> FinalReads {
    quiet(world).await;
    orders::ends(world).await;
    if world.plan.feed.before_cold
        && let Some(machine) = world.site.start("a reader".to_owned(), 0).await
    {
        readers::read_on(world, &machine).await;
        machine.flush().await;
    }
    if world.plan.jobs.to_the_end {
        to_the_end(world).await;
    }
    if world.plan.jobs.cold {
        unfinished::compacts(world).await;
    }
    let Some(machine) = world.site.start("the last process".to_owned(), 0).await else {
        world.find("nobody can open the cluster any more");
        return FinalReads::default();
    };
    if world.plan.jobs.cold {
        compacts(world, &machine).await;
    }
    machine.flush().await;
    let feeds = readers::ends(world, &machine).await;
    if world.plan.jobs.cold {
        // A reader may have ended the version of a coupon that no queue had: now one has it.
        compacts(world, &machine).await;
        machine.flush().await;
    }
    let coupons = reads(world, &machine, &feeds).await;
    let mut ended = FinalReads { coupons, feeds, ..FinalReads::default() };
    ended.campaigns = campaigns(world, &machine).await;
    let made: Vec<_> = ended.campaigns.iter().map(|it| (&it.row, &it.batches[..])).collect();
    let whole = ended.feeds.last().map_or(&[][..], Vec::as_slice);
    records::ends(world, &machine, whole, &made).await;
    records::are_listed(world, &machine, &ended.coupons).await;
    let kinds = IndexRowKind::ALL.into_iter().map(Table::IndexRows);
    for table in COPIED.into_iter().chain(kinds) {
        if let Err(error) = inventory::all(machine.hot.as_ref(), table).await {
            world.find(format!("inventory of {}: {error}", table.as_str()));
        }
    }
    for finding in &verifying::verified(&machine).await {
        world.find(format!("verify: {finding}"));
    }
    if world.plan.jobs.copy {
        copying::ends(world, target, &machine).await;
    }
    target.end().await;
    leftovers::looked_for(world, &machine).await;
    erasing::ends(world, &machine, &ended.coupons).await;
    ended
}

/// Ends every fault, and waits until nothing is under way.
pub(crate) async fn quiet(world: &SimulatedWorld) {
    world.trace.say("world", "no more faults");
    world.site.quiet().await;
    for slot in &world.slots {
        if let Some(machine) = slot.machine() {
            machine.life.disarm();
            machine.life.process.set_clock(0);
        }
        if !slot.start(&world.site).await {
            world.find(format!("process {} cannot be started", slot.number));
        }
    }
    world.recorder.allow(u64::MAX);
    if let Some(machine) = world.slots.first().and_then(|slot| slot.machine()) {
        for (nth, stocked) in world.scene.stocked.iter().enumerate() {
            for file in stocked.files.iter().filter(|file| !file.is_empty()) {
                let once = jobs::imported(world, nth, file, (0, &machine));
                // It may be frozen for longer than anybody waits.
                if !matches!(tokio::time::timeout(QUIET, once).await, Ok(true)) {
                    world.trace.reached("an import did not end in the quiet while");
                }
            }
        }
    }
    sleep(QUIET).await;
    for slot in &world.slots {
        slot.stop().await;
    }
}

/// Sleeps until every partition may be sealed.
async fn to_the_end(world: &SimulatedWorld) {
    let Some(machine) = world.site.start("an operator".to_owned(), 0).await else { return };
    let now = machine.now();
    let plans = machine.hot.partitions().await.unwrap_or_default();
    let last = plans.iter().map(|plan| plan.seal_after.0).max().unwrap_or(now.0);
    let left = (last - now.0).clamp(0, DAYS_MAX * coupon::time::DAY_MS);
    machine.flush().await;
    drop(machine);
    world.trace.say("world", "waits until the last partition may be sealed");
    sleep(Duration::from_millis(left.unsigned_abs()) + QUIET).await;
}

async fn compacts(world: &SimulatedWorld, machine: &SimulatedMachine) {
    for _ in 0..COMPACTIONS_MAX {
        let ended = jobs::compacted(machine, ClosedPolicy::Now).await;
        for finding in jobs::damage(&ended) {
            world.find(finding);
        }
        if let Err(error) = ended {
            world.find(format!("the last compaction: {error}"));
        }
        match jobs::compactor(machine).plan(machine.now(), ClosedPolicy::Now).await {
            Ok(works) if works.is_empty() => return,
            Ok(_) => {}
            Err(error) => world.find(format!("the plan of a compaction: {error}")),
        }
    }
    world.find("there is work left for the compactor, whatever it does");
}

/// Reads every coupon that anybody could know of.
pub(crate) async fn reads(
    world: &SimulatedWorld,
    machine: &Arc<SimulatedMachine>,
    feeds: &[Vec<FeedEvent>],
) -> BTreeMap<Code, CouponSnapshot> {
    let mut coupons = BTreeMap::new();
    let mut codes: Vec<Code> = world.scene.codes().into_iter().map(|(_, code)| code).collect();
    // A coupon whose answer came after its caller had given up, or never.
    let calls = world.recorder.calls();
    let shown = calls.iter().filter_map(|call| Some(call.shown()?.coupon.code()));
    let told = feeds.iter().flatten().filter_map(|event| match &event.happened {
        Happened::Coupon(happened) => Some(&happened.code),
        Happened::AuditEvent { .. } => None,
    });
    for code in shown.chain(told) {
        if !codes.contains(code) {
            codes.push(code.clone());
        }
    }
    for code in codes {
        let mut told = None;
        for _ in 0..READS_MAX {
            let asked = RecordedRequest::Read { code: code.clone() };
            let Some((at, call)) = ask(&world.recorder, world.slots.len(), machine, asked) else {
                break;
            };
            let _ = call.await;
            let now = world.recorder.told(at);
            let is_read = matches!(now, RecordedAnswer::Read(_));
            told = Some(now);
            if is_read {
                break;
            }
        }
        match told {
            Some(RecordedAnswer::Read(Some(snapshot))) => drop(coupons.insert(code, *snapshot)),
            Some(RecordedAnswer::Read(None)) => {}
            other => world.find(format!("{code} cannot be read: {other:?}")),
        }
    }
    coupons
}

async fn campaigns(world: &SimulatedWorld, machine: &SimulatedMachine) -> Vec<CampaignEnd> {
    let mut ended = Vec::new();
    for nth in 0..world.scene.stocked.len() {
        let id = world.scene.id(nth);
        let row = machine.hot.campaign(id, machine.now()).await;
        let batches = machine.hot.batches(id, None, BATCHES_MAX).await;
        match (row, batches) {
            (Ok(Some(row)), Ok(batches)) => {
                for (of, batch) in world.scene.batches() {
                    if of == nth && !batches.iter().any(|it| it.id == batch) {
                        world.find(format!("{id}: the batch {batch} was made, and is not there"));
                    }
                }
                ended.push(CampaignEnd { row, batches });
            }
            (row, batches) => {
                let batches = batches.map(|batches| batches.len());
                world.find(format!("{id} cannot be read: {row:?}, batches {batches:?}"));
            }
        }
    }
    ended
}
