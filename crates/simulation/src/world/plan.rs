//! What a seed draws before anything happens: which faults, how often, how many of everything.
//!
//! Swarm testing (Groce et al., 2012): a seed has some kinds of faults and not the others, so that
//! rare mixtures happen. A seed that had all of them would do little else than wait.

mod erasures;

use std::fmt;
use std::time::Duration;

use coupon::campaign::Handout;
use cql_session::CqlEngine;

use crate::steps::orders::steps_of;
pub(crate) use erasures::ErasurePlan;
use simulated_cluster::cluster::ClusterShape;
use simulated_cluster::rng::Rng;

/// Clocks of processes that are within the bound of the product, in milliseconds.
const CLOCK_NEAR_MS: u64 = 2_000;

/// A clock that is not.
const CLOCK_FAR_MS: i64 = 9_000;

/// Days that one seed may last.
const DAYS_MAX: u64 = 400;

/// From this seed on there are more nodes, and machines and disks that fail. The seeds before stay what
/// they were: `coverage.txt` and `regressions.txt` are about them.
const WIDE_SEEDS: u64 = 1_000_000;

/// From this seed on, people are erased.
const ERASING_SEEDS: u64 = 2_000_000;

/// Codes that the files of two campaigns have in common, at most.
const COMMON_LINES: u64 = 4;

/// Coupons that a user may have of a campaign whose coupons are redeemed together.
const SEVERAL: u16 = 8;

/// Steps at which one seed stops its processes on purpose.
const AIMS: usize = 6;

/// How the steps begin that no process makes beside callers, and those that are so common that
/// nobody has to aim at them.
const NO_AIMS: [&str; 8] = [
    "campaign: ",
    "claim: ",
    "copy: ",
    "counts: ",
    "coupon: row is changed",
    "coupon: row is made",
    "restore: ",
    "wallet: index row is written",
];

/// What one seed does.
#[derive(Clone, Debug)]
pub struct SeedPlan {
    pub seed: u64,
    /// Which engine the nodes run.
    pub engine: CqlEngine,
    /// Its nodes, and the copies of each partition.
    pub(crate) shape: ClusterShape,
    /// Calls of all callers and imports together; the reads at the end come on top.
    pub operations: u64,
    pub(crate) processes: usize,
    pub(crate) callers: usize,
    pub(crate) users: u64,
    pub(crate) orders: u64,
    /// How often of 1,000 times a new request is an order of several coupons.
    pub(crate) of_several: u32,
    /// Longest pause of a caller between two calls.
    pub(crate) think_ms: u64,
    pub(crate) offers: Vec<CampaignOffer>,
    /// In the order of time. There is at least one.
    pub(crate) bursts: Vec<CallBurst>,
    pub(crate) faults: FaultRates,
    pub(crate) jobs: JobPlan,
    pub(crate) bucket_bits: u8,
    pub(crate) partition_rows: u64,
    pub(crate) feed: FeedPlan,
    /// By how much the clock of each process is ahead, in milliseconds.
    pub(crate) clocks: Vec<i64>,
    /// `None`: nobody is erased.
    pub(crate) erasures: Option<ErasurePlan>,
}

/// The event feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedPlan {
    pub(crate) shards: i32,
    pub(crate) readers: usize,
    /// Longest pause between two reads of one reader.
    pub(crate) every_ms: u64,
    /// Whether its readers come to the end before the last compaction.
    pub(crate) before_cold: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct CampaignOffer {
    pub(crate) handout: Handout,
    pub(crate) limit: Option<u16>,
    pub(crate) minted: u64,
    /// Lines of the file that is imported into it.
    pub(crate) lines: u64,
    /// So many of them have codes that the files of other campaigns have, too.
    pub(crate) common_lines: u64,
    pub(crate) ends_in_days: u16,
    pub(crate) cancel_days: u16,
    pub(crate) extend_days: u16,
    pub(crate) valid_days: Option<u16>,
}

/// Some calls, and then a pause in which every process is stopped.
#[derive(Clone, Debug)]
pub(crate) struct CallBurst {
    /// The burst ends when so many calls have begun since the start of the seed.
    pub(crate) up_to: u64,
    pub(crate) pause: Duration,
}

/// Which faults there are. Numbers are permille of the injector's turns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultRates {
    /// Longest time between two turns.
    pub(crate) every_ms: u64,
    pub(crate) node_frozen: u32,
    pub(crate) node_killed: u32,
    pub(crate) link_cut: u32,
    pub(crate) node_clock: u32,
    /// The clock of a node and of the process beside it is far away for a while.
    pub(crate) machine_clock: u32,
    /// A node loses its disk, and is replaced.
    pub(crate) disk_lost: u32,
    pub(crate) process_frozen: u32,
    pub(crate) process_killed: u32,
    /// A process is stopped before or after its next writes.
    pub(crate) stopped_at_step: u32,
    /// Steps at which this seed stops processes more often than at others.
    pub(crate) aims: Vec<&'static str>,
    pub(crate) process_clock: u32,
    pub(crate) weather: u32,
    pub(crate) bucket: u32,
    /// The bucket refuses every request for a while.
    pub(crate) bucket_away: u32,
    pub(crate) bucket_clock: u32,
    /// Permille of compactions: the process is stopped before or after one of its next writes to
    /// the bucket.
    pub(crate) stopped_at_bucket: u32,
    pub(crate) repair: u32,
    /// Longest freeze of a process.
    pub(crate) freeze_ms: u64,
}

/// What runs beside the callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobPlan {
    pub(crate) cold: bool,
    pub(crate) compactors: usize,
    /// Longest pause between two compactions of one compactor.
    pub(crate) compacts_ms: u64,
    /// How long a burst goes on after its last call.
    pub(crate) lingers_ms: u64,
    /// Processes that import the same file at once.
    pub(crate) importers: usize,
    /// Mints, pauses and raised limits.
    pub(crate) admin: bool,
    pub(crate) copy: bool,
    pub(crate) restore: bool,
    /// Whether the seed ends after every partition may be sealed.
    pub(crate) to_the_end: bool,
    /// Whether coupons are extended to days that are being closed.
    pub(crate) meets_closings: bool,
}

impl SeedPlan {
    /// The plan of a seed, with about so many calls, on an engine. It is the same on both.
    pub fn draw(seed: u64, operations: u64, engine: CqlEngine) -> SeedPlan {
        let root = Rng::new(seed);
        let mut rng = root.fork("plan");
        let processes = usize::try_from(rng.between(2, 4)).unwrap_or(2);
        let mut jobs = JobPlan::draw(&mut root.fork("jobs"));
        let mut offers = offers(&mut root.fork("offers"), &jobs, operations);
        let mut bursts = bursts(&mut root.fork("bursts"), operations);
        let clocks = clocks(&mut root.fork("clocks"), processes);
        let mut faults = FaultRates::draw(&mut root.fork("faults"));
        // A stream of its own, and not in each seed: so the others stay what they were.
        let mut of_bucket = root.fork("faults of the bucket");
        if jobs.cold && of_bucket.chance(450) {
            faults.add_of_bucket(&mut of_bucket);
            // Most bursts would end before a compaction did.
            (jobs.compacts_ms, jobs.lingers_ms) = (3_000, 60_000);
        }
        faults.aim(&mut root.fork("aims"));
        let mut shape = ClusterShape::THREE;
        if (WIDE_SEEDS..ERASING_SEEDS).contains(&seed) {
            faults.add_of_machines(&mut root.fork("faults of machines"));
            let shapes = [ClusterShape::THREE, ClusterShape::THREE, ClusterShape::FIVE];
            shape = *root.fork("shape").pick(&shapes);
        }
        let mut of_codes = root.fork("common codes");
        if jobs.importers > 1 && of_codes.chance(400) {
            share_codes(&mut of_codes, &mut offers);
        }
        let has_several = root.fork("orders of several").chance(250);
        if has_several {
            offer_several(&mut offers);
        }
        let mut of_closings = root.fork("closings");
        if jobs.cold && of_closings.chance(120) {
            jobs.meets_closings = true;
            (jobs.compacts_ms, jobs.lingers_ms) = (3_000, 60_000);
            meet_closings(&mut of_closings, &mut offers, &mut bursts);
        }
        let plan = SeedPlan {
            seed,
            engine,
            shape,
            operations,
            processes,
            callers: usize::try_from(rng.between(2, 12)).unwrap_or(2),
            users: rng.between(1, 6),
            orders: rng.between(2, 8),
            of_several: if has_several { 250 } else { 40 },
            think_ms: *rng.pick(&[2, 20, 200, 200, 2_000, 20_000]),
            offers,
            bursts,
            faults,
            jobs,
            bucket_bits: u8::try_from(rng.below(3)).unwrap_or(0),
            partition_rows: *rng.pick(&[4, 32, 10_000]),
            feed: FeedPlan::draw(&mut root.fork("feed")),
            clocks,
            erasures: None,
        };
        match seed < ERASING_SEEDS {
            true => plan,
            false => plan.with_erasures(&mut root.fork("erasures")),
        }
    }

    /// An independent stream for one part of the seed.
    pub(crate) fn rng(&self, label: &str) -> Rng {
        Rng::new(self.seed).fork(label)
    }
}

impl FeedPlan {
    fn draw(rng: &mut Rng) -> FeedPlan {
        FeedPlan {
            shards: *rng.pick(&[1, 2, 3]),
            readers: *rng.pick(&[0, 1, 1, 2, 3]),
            every_ms: *rng.pick(&[300, 2_000, 8_000]),
            before_cold: rng.chance(500),
        }
    }
}

impl JobPlan {
    fn draw(rng: &mut Rng) -> JobPlan {
        let cold = rng.chance(700);
        JobPlan {
            cold,
            compactors: if cold { usize::try_from(rng.between(1, 3)).unwrap_or(1) } else { 0 },
            compacts_ms: 20_000,
            lingers_ms: 0,
            importers: *rng.pick(&[0, 0, 1, 2]),
            admin: rng.chance(400),
            copy: rng.chance(120),
            restore: cold && rng.chance(200),
            to_the_end: rng.chance(400),
            meets_closings: false,
        }
    }
}

impl FaultRates {
    fn draw(rng: &mut Rng) -> FaultRates {
        let hours = rng.chance(50);
        let mut some = |permille: u32| if rng.chance(450) { permille } else { 0 };
        let (node_frozen, node_killed, link_cut) = (some(120), some(80), some(100));
        let (node_clock, process_clock) = (some(20), some(20));
        let (process_frozen, process_killed) = (some(100), some(80));
        let (stopped_at_step, weather) = (some(300).max(some(150)), some(150));
        let (bucket, repair) = (some(150), some(60));
        FaultRates {
            every_ms: *rng.pick(&[50, 500, 500, 5_000]),
            node_frozen,
            node_killed,
            link_cut,
            node_clock,
            machine_clock: 0,
            disk_lost: 0,
            process_frozen,
            process_killed,
            stopped_at_step,
            aims: Vec::new(),
            process_clock,
            weather,
            bucket,
            bucket_away: 0,
            bucket_clock: 0,
            stopped_at_bucket: 0,
            repair,
            freeze_ms: if hours { 3_600_000 } else { *rng.pick(&[800, 9_000, 70_000]) },
        }
    }

    /// In a seed that has faults at all.
    fn add_of_machines(&mut self, rng: &mut Rng) {
        if !self.is_none() && rng.chance(300) {
            self.machine_clock = 30;
        }
        if !self.is_none() && rng.chance(300) {
            self.disk_lost = 30;
        }
    }

    fn add_of_bucket(&mut self, rng: &mut Rng) {
        let mut some = |permille: u32| if rng.chance(600) { permille } else { 0 };
        self.bucket_away = some(20);
        self.bucket_clock = some(40);
        self.stopped_at_bucket = some(500);
    }

    /// Draws a few steps in more than half of the seeds that stop processes at steps. Most steps are
    /// rare: a stop at one of the next writes of any kind hardly ever hits them.
    fn aim(&mut self, rng: &mut Rng) {
        if self.stopped_at_step > 0 && rng.chance(600) {
            let mut all = steps_of("");
            all.retain(|step| !NO_AIMS.iter().any(|begins| step.starts_with(begins)));
            rng.shuffle(&mut all);
            all.truncate(AIMS);
            self.aims = all;
        }
    }

    /// No fault at all.
    pub(crate) fn is_none(&self) -> bool {
        let (every_ms, freeze_ms) = (self.every_ms, self.freeze_ms);
        *self == FaultRates { every_ms, freeze_ms, ..FaultRates::default() }
    }
}

fn offers(rng: &mut Rng, jobs: &JobPlan, operations: u64) -> Vec<CampaignOffer> {
    let count = rng.between(1, 3);
    (0..count).map(|nth| offer(rng, jobs, operations, nth == 0)).collect()
}

fn offer(rng: &mut Rng, jobs: &JobPlan, operations: u64, is_first: bool) -> CampaignOffer {
    let handouts =
        [Handout::Shop, Handout::Shop, Handout::SelfService, Handout::Bearer, Handout::Shared];
    let handout = *rng.pick(&handouts);
    let limit = match handout {
        // Only who has several coupons has one to choose.
        Handout::Shared => Some(*rng.pick(&[1, 3, 3])),
        Handout::Bearer if rng.chance(400) => None,
        _ => Some(*rng.pick(&[1, 1, 3])),
    };
    // Few, so that they run out, or more than all callers can take.
    let few = rng.between(1, 8);
    let many = rng.between(8, operations.max(9));
    let is_few = rng.chance(if handout == Handout::Shared { 300 } else { 600 });
    let minted = if is_few { few } else { many };
    let imports = jobs.importers > 0 && handout != Handout::Shared && (is_first || rng.chance(400));
    CampaignOffer {
        handout,
        limit,
        minted: if imports && rng.chance(300) { 0 } else { minted },
        lines: if imports { rng.between(1, 24) } else { 0 },
        common_lines: 0,
        ends_in_days: u16::try_from(rng.between(1, 12)).unwrap_or(1),
        cancel_days: *rng.pick(&[0, 1, 1, 3, 30]),
        extend_days: *rng.pick(&[0, 1, 2, 30]),
        valid_days: rng.chance(200).then(|| u16::try_from(rng.between(1, 3)).unwrap_or(1)),
    }
}

fn bursts(rng: &mut Rng, operations: u64) -> Vec<CallBurst> {
    let count = rng.between(1, 5);
    let (mut days_left, mut bursts) = (DAYS_MAX / 2, Vec::new());
    for nth in 1..=count {
        let days = *rng.pick(&[0, 0, 1, 2, 5, 15, 40]).min(&days_left);
        days_left -= days;
        let minutes = *rng.pick(&[1, 1, 10, 60, 300]);
        let pause = Duration::from_secs(days * 86_400 + minutes * 60 + rng.below(60));
        bursts.push(CallBurst { up_to: operations * nth / count, pause });
    }
    bursts
}

/// Shapes a seed in which coupons of the first campaign are extended to the day of the second one
/// while that is closed.
fn meet_closings(rng: &mut Rng, offers: &mut Vec<CampaignOffer>, bursts: &mut [CallBurst]) {
    let template = offers[0].clone();
    let (cancel_days, valid_days) = (*rng.pick(&[0, 1]), None);
    let offer = |ends_in_days, extend_days| CampaignOffer {
        ends_in_days,
        extend_days,
        cancel_days,
        valid_days,
        ..template.clone()
    };
    let (first, second) = (offer(2, 12), offer(4, *rng.pick(&[0, 1])));
    *offers = vec![CampaignOffer { minted: first.minted.max(6), ..first }, second];
    if let Some(first) = bursts.first_mut() {
        first.pause = Duration::from_secs(rng.between(6, 9) * 86_400);
    }
}

/// Lets users have so many coupons that an order has some to redeem.
fn offer_several(offers: &mut [CampaignOffer]) {
    for offer in offers.iter_mut().filter(|offer| offer.handout != Handout::Shared) {
        offer.limit = Some(SEVERAL);
        offer.minted = offer.minted.max(u64::from(2 * SEVERAL));
    }
}

/// Lets the files of two campaigns name the same codes.
fn share_codes(rng: &mut Rng, offers: &mut Vec<CampaignOffer>) {
    let imports = |offer: &CampaignOffer| offer.lines > 0;
    let Some(first) = offers.iter().find(|offer| imports(offer)).cloned() else { return };
    if offers.iter().filter(|offer| imports(offer)).count() < 2 {
        offers.push(first);
    }
    for offer in offers.iter_mut().filter(|offer| imports(offer)) {
        offer.common_lines = offer.lines.min(rng.between(1, COMMON_LINES));
    }
}

fn clocks(rng: &mut Rng, processes: usize) -> Vec<i64> {
    let apart = rng.chance(500);
    let mut near = || match apart {
        true => i64::try_from(rng.below(2 * CLOCK_NEAR_MS)).unwrap_or(0) - CLOCK_NEAR_MS as i64,
        false => 0,
    };
    let mut clocks: Vec<i64> = (0..processes).map(|_| near()).collect();
    if rng.chance(80)
        && let Some(last) = clocks.last_mut()
    {
        *last = CLOCK_FAR_MS;
    }
    clocks
}

impl fmt::Display for SeedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} on {} nodes of {}: {} operations by {} callers for {} users, {} processes, clocks {:?} ms",
            self.seed,
            self.shape.nodes,
            self.engine.name(),
            self.operations,
            self.callers,
            self.users,
            self.processes,
            self.clocks
        )?;
        for (nth, offer) in self.offers.iter().enumerate() {
            writeln!(
                f,
                "campaign c{nth}: {}, limit {:?}, {} minted, {} imported, ends in {} days",
                offer.handout.as_str(),
                offer.limit,
                offer.minted,
                offer.lines,
                offer.ends_in_days
            )?;
        }
        let pauses: Vec<u64> = self.bursts.iter().map(|it| it.pause.as_secs() / 60).collect();
        writeln!(f, "pauses after each burst, in minutes: {pauses:?}")?;
        writeln!(f, "{:?}", self.jobs)?;
        if let Some(erasures) = &self.erasures {
            writeln!(f, "{erasures:?}")?;
        }
        if self.faults.is_none() { write!(f, "no faults") } else { write!(f, "{:?}", self.faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_plan() {
        for seed in 0..50 {
            let plan = SeedPlan::draw(seed, 100, CqlEngine::Cassandra);
            let again = SeedPlan::draw(seed, 100, CqlEngine::Cassandra);
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            assert_eq!(plan.bursts.last().map(|burst| burst.up_to), Some(100), "{plan}");
            let pauses: u64 = plan.bursts.iter().map(|burst| burst.pause.as_secs()).sum();
            assert!(pauses < DAYS_MAX * 86_400, "{plan}");
            assert_eq!(plan.clocks.len(), plan.processes);
        }
    }
}
