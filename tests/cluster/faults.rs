//! Faults: which processes are killed, frozen and restarted, and when. A seed gives the plan.

use std::time::{Duration, Instant};

use super::client::Dice;
use super::data::LOOK_EVERY;
use super::load::{Faults, Pace, Together};

/// Processes that can be killed, frozen and restarted, by number from 0.
pub(super) trait Fleet {
    /// `kill -9`.
    fn kill(&mut self, nth: usize);
    /// Starts a killed one, and waits until it works.
    fn start(&mut self, nth: usize);
    /// SIGSTOP.
    fn freeze(&mut self, nth: usize);
    /// SIGCONT.
    fn thaw(&mut self, nth: usize);
    /// Only of a node: no packets between it and the others, or from clients; or its disk is lost.
    fn take(&mut self, what: What, nth: usize) {
        unreachable!("{what:?} of {nth}, which is no node")
    }
    /// Ends what [`Fleet::take`] began.
    fn give_back(&mut self, what: What, nth: usize) {
        unreachable!("{what:?} of {nth}, which is no node")
    }
    /// Only of nodes: where clients find them.
    fn addresses(&self) -> String {
        unreachable!("these are no nodes")
    }
    /// Only of services: the nodes have other addresses from now on.
    fn move_to(&mut self, addresses: &str) {
        unreachable!("no service gets {addresses}")
    }

    fn begin(&mut self, what: What, nth: usize) {
        match what {
            What::Kill => self.kill(nth),
            What::Freeze => self.freeze(nth),
            What::Cut | What::Hide | What::Replace => self.take(what, nth),
        }
    }

    fn end(&mut self, what: What, nth: usize) {
        match what {
            What::Kill => self.start(nth),
            What::Freeze => self.thaw(nth),
            What::Cut | What::Hide | What::Replace => self.give_back(what, nth),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `kill -9`, and a start at the end.
    Kill,
    /// SIGSTOP, and SIGCONT at the end.
    Freeze,
    /// No packets between a node and the others. Clients reach it.
    Cut,
    /// No packets from clients to a node. The others reach it.
    Hide,
    /// A node loses its disk, and another one takes its place by the steps of `docs/cluster.md`.
    Replace,
}

/// What stops a process.
pub(super) const STOPS: &[What] = &[What::Kill, What::Freeze];

/// The same, and what only the network does. Nodes are cut off more often than they stop.
pub(super) const PARTINGS: &[What] =
    &[What::Kill, What::Freeze, What::Cut, What::Cut, What::Cut, What::Hide];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Nodes of the store, by number.
    Nodes(Vec<usize>),
    /// A `serve`.
    Serve(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: What,
    pub(super) whom: Whom,
    pub(super) lasts: Duration,
}

/// The parameters of a plan. Spans are the shortest and the longest time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    pub(super) serves: usize,
    /// Faults of nodes, or of the services if there are no nodes.
    pub(super) faults: usize,
    /// What happens to nodes.
    pub(super) whats: &'static [What],
    /// Each so manyth fault of nodes is a lost disk; 0 for none.
    pub(super) replaced_every: usize,
    /// The node that loses its disk first. Cassandra repairs nothing while a survivor's clock is wrong, so the one with
    /// a wrong clock comes first, and the node in its place has a right one.
    pub(super) replaced_first: usize,
    pub(super) frozen: (Duration, Duration),
    pub(super) down: (Duration, Duration),
}

/// Each sixth fault of nodes hits two of them, and the store has no quorum.
const TWO_EVERY: usize = 6;

/// A fault of a service follows each fifth fault of a node.
const SERVE_EVERY: usize = 5;

/// The faults of a run, one after the other.
pub(super) fn plan(seed: u64, shape: &Shape) -> Vec<Fault> {
    let mut dice = Dice(seed);
    let mut faults = Vec::new();
    for nth in 0..shape.faults {
        if shape.replaced_every > 0 && nth % shape.replaced_every == shape.replaced_every - 1 {
            let any = dice.below(shape.nodes as u64) as usize;
            let node = if nth < shape.replaced_every { shape.replaced_first } else { any };
            let whom = Whom::Nodes(vec![node]);
            faults.push(Fault { what: What::Replace, whom, lasts: Duration::ZERO });
        } else if shape.nodes > 0 {
            let first = dice.below(shape.nodes as u64) as usize;
            let two = shape.nodes > 2 && nth % TWO_EVERY == TWO_EVERY - 1;
            let second = two.then_some((first + 1) % shape.nodes);
            let whom = Whom::Nodes([first].into_iter().chain(second).collect());
            faults.push(fault(&mut dice, shape, shape.whats, whom));
        }
        if shape.nodes == 0 || nth % SERVE_EVERY == SERVE_EVERY - 1 {
            let whom = Whom::Serve(dice.below(shape.serves as u64) as usize);
            faults.push(fault(&mut dice, shape, STOPS, whom));
        }
    }
    faults
}

fn fault(dice: &mut Dice, shape: &Shape, whats: &[What], whom: Whom) -> Fault {
    let what = whats[dice.below(whats.len() as u64) as usize];
    let (least, most) = if what == What::Kill { shape.down } else { shape.frozen };
    Fault { what, whom, lasts: least + dice.within(most - least) }
}

/// Makes the faults of `plan`, spread over the requests of the run, and leaves everything running.
/// Returns how many there were: fewer than planned if the run is late.
pub(super) fn run(
    plan: &[Fault],
    nodes: &mut dyn Fleet,
    serves: &mut dyn Fleet,
    pace: &Pace,
) -> usize {
    let _until_here = (Faults(pace), Together(pace));
    for (done, fault) in plan.iter().enumerate() {
        wait_for_share(done, plan.len(), pace);
        if pace.is_over() {
            return done;
        }
        let (fleet, whom): (&mut dyn Fleet, &[usize]) = match &fault.whom {
            Whom::Nodes(whom) => (nodes, whom),
            Whom::Serve(whom) => (serves, std::slice::from_ref(whom)),
        };
        whom.iter().for_each(|nth| fleet.begin(fault.what, *nth));
        std::thread::sleep(fault.lasts);
        whom.iter().for_each(|nth| fleet.end(fault.what, *nth));
        if fault.what == What::Replace {
            serves.move_to(&nodes.addresses());
        }
    }
    plan.len()
}

/// Waits until the requests have reached the share of the faults, for a limited time: while the
/// store is slow, the faults continue.
fn wait_for_share(done: usize, of: usize, pace: &Pace) {
    const AT_MOST: Duration = Duration::from_secs(15);
    let begun = Instant::now();
    let share = pace.operations * done / of;
    while pace.come_to() < share && begun.elapsed() < AT_MOST && !pace.is_over() {
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How many of each kind.
pub(super) fn counts(faults: &[Fault]) -> String {
    let count = |fits: fn(&Fault) -> bool| faults.iter().filter(|fault| fits(fault)).count();
    let of_nodes = |fault: &Fault| matches!(fault.whom, Whom::Nodes(_));
    let two = count(|fault| matches!(&fault.whom, Whom::Nodes(nodes) if nodes.len() > 1));
    let of_kind = |what: What| faults.iter().filter(|fault| fault.what == what).count();
    format!(
        "{} faults: {} of nodes ({two} of two at once), {} of services; {} kills, {} freezes, {} cuts from the other \
         nodes, {} from clients, {} disks lost",
        faults.len(),
        count(of_nodes),
        faults.len() - count(of_nodes),
        of_kind(What::Kill),
        of_kind(What::Freeze),
        of_kind(What::Cut),
        of_kind(What::Hide),
        of_kind(What::Replace),
    )
}

#[cfg(test)]
mod tests {
    use super::super::data::PATIENCE;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn shape(nodes: usize) -> Shape {
        let frozen = (SECOND, 15 * SECOND);
        let down = (SECOND / 10, 5 * SECOND);
        let (whats, replaced_every, replaced_first) = (STOPS, 0, 0);
        let faults = 40;
        Shape { nodes, serves: 2, faults, whats, replaced_every, replaced_first, frozen, down }
    }

    #[derive(Default)]
    struct Toy {
        down: Vec<usize>,
        frozen: Vec<usize>,
        most: usize,
    }

    impl Fleet for Toy {
        fn kill(&mut self, nth: usize) {
            self.down.push(nth);
            self.most = self.most.max(self.down.len());
        }

        fn start(&mut self, nth: usize) {
            self.down.retain(|it| *it != nth);
        }

        fn freeze(&mut self, nth: usize) {
            self.frozen.push(nth);
            self.most = self.most.max(self.frozen.len());
        }

        fn thaw(&mut self, nth: usize) {
            self.frozen.retain(|it| *it != nth);
        }
    }

    #[test]
    fn plans() {
        for seed in 0..50 {
            let faults = plan(seed, &shape(3));
            let of_nodes: Vec<&Vec<usize>> = faults
                .iter()
                .filter_map(|fault| match &fault.whom {
                    Whom::Nodes(nodes) => Some(nodes),
                    Whom::Serve(_) => None,
                })
                .collect();
            assert_eq!(of_nodes.len(), 40, "seed {seed}: faults of nodes");
            assert_eq!(faults.len(), 48, "seed {seed}: with those of services");
            let two = of_nodes.iter().filter(|nodes| nodes.len() == 2).count();
            assert_eq!(two, 6, "seed {seed}: of two at once");
            assert!(of_nodes.iter().all(|it| it.len() == 1 || it[0] != it[1]), "seed {seed}");
            for what in [What::Kill, What::Freeze] {
                let count = faults.iter().filter(|fault| fault.what == what).count();
                assert!(count >= 10, "seed {seed}: {count} of {what:?}");
            }
            let frozen = faults.iter().filter(|fault| fault.what == What::Freeze);
            assert!(frozen.into_iter().all(|it| (SECOND..=15 * SECOND).contains(&it.lasts)));
            assert_eq!(faults, plan(seed, &shape(3)), "seed {seed}: the same again");
        }
        assert!(plan(1, &shape(0)).iter().all(|it| matches!(it.whom, Whom::Serve(0 | 1))));
    }

    #[test]
    fn nodes_are_parted_and_lose_disks() {
        let shape = Shape { whats: PARTINGS, replaced_every: 12, replaced_first: 1, ..shape(3) };
        for seed in 0..50 {
            let faults = plan(seed, &shape);
            let of_kind = |what: What| faults.iter().filter(|fault| fault.what == what).count();
            assert_eq!(of_kind(What::Replace), 3, "seed {seed}");
            let first = faults.iter().find(|fault| fault.what == What::Replace);
            assert_eq!(first.map(|it| &it.whom), Some(&Whom::Nodes(vec![1])), "seed {seed}");
            assert!(of_kind(What::Cut) > of_kind(What::Hide), "seed {seed}");
            for fault in &faults {
                let is_alone = !matches!(&fault.whom, Whom::Nodes(nodes) if nodes.len() > 1);
                assert!(is_alone || fault.what != What::Replace, "seed {seed}: {fault:?}");
                let is_stop = STOPS.contains(&fault.what);
                assert!(is_stop || matches!(fault.whom, Whom::Nodes(_)), "seed {seed}: {fault:?}");
            }
        }
    }

    #[test]
    fn a_run_ends_with_all_running() {
        let short = (Duration::ZERO, Duration::from_millis(2));
        let shape = Shape { frozen: short, down: short, ..shape(3) };
        let (mut nodes, mut serves) = (Toy::default(), Toy::default());
        let pace = Pace::new(0, PATIENCE);
        let planned = plan(1, &shape);
        assert_eq!(run(&planned, &mut nodes, &mut serves, &pace), planned.len());
        assert_eq!((nodes.most, serves.most), (2, 1), "at once");
        for toy in [nodes, serves] {
            assert!(toy.down.is_empty() && toy.frozen.is_empty());
        }
        let late = Pace::new(0, Duration::ZERO);
        assert_eq!(run(&planned, &mut Toy::default(), &mut Toy::default(), &late), 0, "late");
    }
}
