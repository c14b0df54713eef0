//! The injector: what happens to nodes, links, clocks, processes and the bucket while callers ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::SimulatedWorld;
use super::slots::running_machine;
use super::stops::{ProcessLife, ProcessStop};
use simulated_cluster::rng::Rng;

/// Nodes that are frozen or dead at the same time, mostly: with two of three, nothing is decided.
const DOWN_MOST: usize = 1;

/// How often, in permille, one more of them may be, of three nodes and of more.
const ONE_MORE: [u32; 2] = [100, 600];

/// Longest time that a node or a link is down.
const DOWN_MS: u64 = 60_000;

/// A step at which a process is stopped comes within so many writes.
const STEPS_AHEAD: u64 = 24;

/// Longest times that the bucket is away, in longest pauses between two turns.
const AWAY_TURNS: [u64; 3] = [2, 10, 40];

/// How far a clock is set.
const CLOCK_MS: u64 = 2_000;

/// How far the clock of a machine is away: a leap of daylight saving, a day, and a wrong year.
const MACHINE_CLOCKS_MS: [i64; 6] =
    [3_600_000, -3_600_000, 86_400_000, -86_400_000, 3 * 31_557_600_000, -30_000];

/// How long, until somebody sets it right: the shortest is less than the ten seconds after which a
/// process looks again.
const MACHINE_CLOCK_MS: (u64, u64) = (1_000, 40_000);

/// How long a node is away whose disk is lost. Longer than any message and any frozen node is late:
/// the node that replaces it knows no promise of the old one.
const DISK_MS: (u64, u64) = (150_000, 300_000);

/// What is broken at the moment, and until when.
#[derive(Default)]
struct CurrentFaults {
    nodes: BTreeMap<usize, (Instant, NodeFault)>,
    links: BTreeMap<(usize, usize), Instant>,
    clock: Option<WrongClock>,
}

/// What is wrong with a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeFault {
    Frozen,
    Dead,
    WithoutDisk,
}

/// A machine with a wrong clock. One at a time: with the clocks of two of three nodes wrong, nobody
/// can tell what time it is.
struct WrongClock {
    node: usize,
    life: Arc<ProcessLife>,
    until: Instant,
}

/// Never ends.
pub(crate) async fn injector(world: Arc<SimulatedWorld>, mut rng: Rng) {
    let faults = &world.plan.faults;
    if faults.is_none() {
        return std::future::pending().await;
    }
    let mut broken = CurrentFaults::default();
    // Of its own, so that what happens to the bucket changes nothing else.
    let mut of_bucket = rng.fork("bucket");
    let mut of_aims = rng.fork("aims");
    let mut of_machines = rng.fork("machines");
    if faults.weather > 0 && rng.chance(700) {
        world.site.set_weather(&mut rng);
    }
    loop {
        sleep(Duration::from_millis(rng.between(1, faults.every_ms))).await;
        broken.mend(&world);
        node_faults(&world, &mut rng, &mut broken);
        machine_faults(&world, &mut of_machines, &mut broken);
        process_faults(&world, &mut rng, &mut of_aims);
        if rng.chance(faults.weather) {
            world.trace.fault("weather");
            world.trace.say("injector", "the weather of the network changes");
            world.site.set_weather(&mut rng);
        }
        if rng.chance(faults.bucket) {
            world.trace.fault("weather of the bucket");
            world.trace.say("injector", "the weather of the bucket changes");
            world.site.set_bucket_weather(&mut rng);
        }
        if rng.chance(faults.repair) {
            world.site.cluster.repair();
        }
        bucket_faults(&world, &mut of_bucket);
    }
}

impl CurrentFaults {
    /// Ends what is over.
    fn mend(&mut self, world: &SimulatedWorld) {
        let now = Instant::now();
        let over: Vec<usize> =
            self.nodes.iter().filter(|(_, (until, _))| *until <= now).map(|it| *it.0).collect();
        for node in over {
            match self.nodes[&node].1 {
                NodeFault::Frozen => {}
                NodeFault::Dead => world.site.cluster.start(node),
                // Whoever replaces a node waits for the others.
                NodeFault::WithoutDisk if self.nodes.len() > 1 => continue,
                NodeFault::WithoutDisk => world.site.cluster.replace(node),
            }
            self.nodes.remove(&node);
        }
        if let Some(wrong) = self.clock.take_if(|wrong| wrong.until <= now) {
            world.trace.say("injector", format!("the clock of machine {} is right", wrong.node));
            world.site.cluster.set_clock(wrong.node, 0);
            wrong.life.process.set_clock(0);
        }
        let over: Vec<(usize, usize)> =
            self.links.iter().filter(|(_, until)| **until <= now).map(|it| *it.0).collect();
        for (one, other) in over {
            self.links.remove(&(one, other));
            world.trace.say("network", format!("nodes {one} and {other} reach each other"));
            world.site.cluster.mend(one, other);
        }
    }
}

fn node_faults(world: &SimulatedWorld, rng: &mut Rng, broken: &mut CurrentFaults) {
    let (faults, cluster) = (&world.plan.faults, &world.site.cluster);
    let nodes = cluster.nodes();
    let node = usize::try_from(rng.below(nodes as u64)).unwrap_or(0);
    let long = Duration::from_millis(rng.between(10, DOWN_MS));
    let one_more = ONE_MORE[usize::from(nodes > 3)];
    let most = if rng.chance(one_more) { DOWN_MOST + 1 } else { DOWN_MOST };
    let may_fall = broken.nodes.len() < most && !broken.nodes.contains_key(&node);
    if may_fall && rng.chance(faults.node_frozen) {
        cluster.freeze(node, long);
        broken.nodes.insert(node, (Instant::now() + long, NodeFault::Frozen));
    } else if may_fall && rng.chance(faults.node_killed) {
        cluster.kill(node);
        broken.nodes.insert(node, (Instant::now() + long, NodeFault::Dead));
    }
    let other = (node + 1) % nodes;
    if !broken.links.contains_key(&(node, other)) && rng.chance(faults.link_cut) {
        cluster.cut(node, other);
        broken.links.insert((node, other), Instant::now() + long);
    }
    let is_wrong = broken.clock.as_ref().is_some_and(|wrong| wrong.node == node);
    if rng.chance(faults.node_clock) && !is_wrong {
        cluster.set_clock(node, offset(rng, CLOCK_MS / 4));
    }
}

fn machine_faults(world: &SimulatedWorld, rng: &mut Rng, broken: &mut CurrentFaults) {
    let (faults, cluster) = (&world.plan.faults, &world.site.cluster);
    if rng.chance(faults.machine_clock)
        && broken.clock.is_none()
        && let Some((number, machine)) = running_machine(&world.slots, rng)
    {
        let (node, life) = (number % cluster.nodes(), Arc::clone(&machine.life));
        let ahead = *rng.pick(&MACHINE_CLOCKS_MS);
        let (low, high) = MACHINE_CLOCK_MS;
        let until = Instant::now() + Duration::from_millis(rng.between(low, high));
        world.trace.fault("clock of a machine");
        world.trace.say("injector", format!("the clock of machine {node} is {ahead} ms ahead"));
        cluster.set_clock(node, ahead);
        life.process.set_clock(ahead);
        broken.clock = Some(WrongClock { node, life, until });
    }
    if rng.chance(faults.disk_lost) && broken.nodes.is_empty() {
        let node = usize::try_from(rng.below(cluster.nodes() as u64)).unwrap_or(0);
        cluster.lose_disk(node);
        let (low, high) = DISK_MS;
        let until = Instant::now() + Duration::from_millis(rng.between(low, high));
        broken.nodes.insert(node, (until, NodeFault::WithoutDisk));
    }
}

/// Waits for no process: as long as none can start, somebody has to mend what hinders them.
fn process_faults(world: &SimulatedWorld, rng: &mut Rng, of_aims: &mut Rng) {
    let (faults, trace) = (&world.plan.faults, &world.trace);
    let Some((_, machine)) = running_machine(&world.slots, rng) else { return };
    let life = &machine.life;
    let long = Duration::from_millis(rng.between(1, faults.freeze_ms));
    if rng.chance(faults.process_killed) {
        trace.fault("process killed");
        life.stop(ProcessStop::Kill);
    } else if rng.chance(faults.process_frozen) {
        trace.fault("process frozen");
        life.stop(ProcessStop::Freeze(long));
    } else if rng.chance(faults.stopped_at_step) {
        let stop = if rng.chance(500) { ProcessStop::Kill } else { ProcessStop::Freeze(long) };
        let (passes, after) = (rng.below(STEPS_AHEAD), rng.chance(400));
        match faults.aims.is_empty() || of_aims.chance(300) {
            true => life.stop_at(passes, after, stop),
            false => {
                let step = *of_aims.pick(&faults.aims);
                life.stop_at_step(step, of_aims.chance(500), stop);
            }
        }
    }
    if rng.chance(faults.process_clock) {
        // Once in a while beyond the bound: then the process must notice, and write nothing.
        let ahead = if rng.chance(100) { 9_000 } else { offset(rng, CLOCK_MS) };
        trace.fault("clock of a process");
        trace.say(life.process.name(), format!("its clock is {ahead} ms ahead"));
        life.process.set_clock(ahead);
    }
}

fn bucket_faults(world: &SimulatedWorld, rng: &mut Rng) {
    let (faults, trace, bucket) = (&world.plan.faults, &world.trace, &world.site.bucket);
    if rng.chance(faults.bucket_away) {
        let most = *rng.pick(&AWAY_TURNS) * faults.every_ms;
        let long = Duration::from_millis(rng.between(10, most));
        trace.fault("absence of the bucket");
        trace.say("injector", format!("the bucket is away for {} ms", long.as_millis()));
        bucket.away(long);
    }
    if rng.chance(faults.bucket_clock) {
        let ahead = offset(rng, CLOCK_MS);
        trace.fault("clock of the bucket");
        trace.say("injector", format!("the clock of the bucket is {ahead} ms ahead"));
        bucket.set_clock(ahead);
    }
}

fn offset(rng: &mut Rng, most: u64) -> i64 {
    i64::try_from(rng.below(2 * most)).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
}
