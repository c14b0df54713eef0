//! The difference between this machine's clock and the cluster's.

use std::collections::HashSet;
use std::time::Duration;

use hot::HotError;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{CqlSession, Result};

/// How far the clocks of two processes may differ, in milliseconds. Other processes wait so much
/// longer for a hold to end, and a coupon is final so much later.
pub const CLOCK_BOUND_MS: i64 = 5_000;

/// How far the clock of one process may differ from the cluster's, in milliseconds; with a larger
/// difference the process writes nothing. A clock that is a year ahead would seal open partitions
/// for ever. Half the bound, since one process may be ahead of the cluster and another one after
/// it.
pub const CLOCK_DIFFERENCE_MAX_MS: i64 = CLOCK_BOUND_MS / 2;

const _: () = assert!(2 * CLOCK_DIFFERENCE_MAX_MS <= CLOCK_BOUND_MS);

/// How far the clock of a node may be from the one in the middle, in milliseconds. A node further away coordinates
/// nothing: its clock decides when rows end, and which of two plain writes stays.
pub const NODE_DIFFERENCE_MAX_MS: i64 = CLOCK_BOUND_MS;

/// Rounds of the upkeep, a second each, between two comparisons, and between two looks at the copies. Until the next
/// comparison a node whose clock was set wrong still coordinates. A comparison costs one read of each node.
pub const COMPARED_EVERY_ROUNDS: u32 = 2;

/// How long a node may take to say what time it is.
pub(crate) const NODE_CLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A comparison is used again for so long.
const COMPARED_FOR: Duration = Duration::from_secs(1);

/// What the clock of a node said between two instants of ours, all in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The host id.
    pub node: Uuid,
    pub before: i64,
    pub there: i64,
    pub after: i64,
}

/// The difference between this machine's clock and the cluster's, as it was last measured.
#[derive(Default)]
pub struct ClockDifference(Mutex<Option<ClockMeasure>>);

#[derive(Clone)]
struct ClockMeasure {
    nodes: NodeClocks,
    /// In milliseconds; positive when ours is ahead.
    ahead: i64,
    at: Instant,
    /// What our clock said then.
    said: i64,
}

/// Host ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NodeClocks {
    /// Nodes whose clocks were far from the one in the middle.
    far: HashSet<Uuid>,
    /// The nodes that have ever said what time it is. One that is not among them is new, or was down since this process
    /// began: its clock may be wrong.
    said: HashSet<Uuid>,
}

impl ClockDifference {
    /// Asks every node, since one of them may be on a machine whose clock is wrong, such as this one. From then on
    /// no statement goes to a node whose clock is far from the one in the middle, nor to one that has never said what
    /// time it is. Takes a second at most.
    ///
    /// # Errors
    /// [`HotError::Unavailable`] if fewer than half of the nodes answer: the one beside us may be one of a few.
    pub async fn measure(&self, session: &CqlSession) -> Result<()> {
        let (at, said) = (Instant::now(), session.now_ms());
        let asked = session.clocks().await;
        let answers: Vec<ClockReading> = asked.iter().copied().flatten().collect();
        let too_few = || {
            let (answers, asked) = (answers.len(), asked.len());
            HotError::Unavailable(format!("{answers} of {asked} nodes say what time it is").into())
        };
        let differences: Vec<(Uuid, i64)> =
            answers.iter().map(|it| (it.node, ahead_of(*it))).collect();
        let before = self.0.lock().as_ref().map(|last| last.nodes.clone()).unwrap_or_default();
        let middle = middle_of_voters(&differences, &before.far);
        let middle = middle.filter(|_| are_enough(answers.len(), asked.len()));
        let ahead = middle.ok_or_else(too_few)?;
        let nodes = before.clone().after(&differences, ahead);
        if nodes.far != before.far {
            tracing::warn!(
                nodes = ?nodes.far,
                "the clocks of these nodes are far from those of the others: set them right (NTP); \
                 statements go to other nodes"
            );
        }
        session.allow(nodes.allowed());
        *self.0.lock() = Some(ClockMeasure { nodes, ahead, at, said });
        Ok(())
    }

    /// The same, unless it was measured a moment ago and our clock has not been set since.
    pub async fn measure_again(&self, session: &CqlSession) -> Result<()> {
        let is_new = |last: &ClockMeasure| {
            let said = (session.now_ms() - last.said).unsigned_abs();
            last.at.elapsed().max(Duration::from_millis(said)) < COMPARED_FOR
        };
        if self.0.lock().as_ref().is_some_and(is_new) {
            return Ok(());
        }
        self.measure(session).await
    }

    /// Whether the clocks agree well enough; `now_ms` is what ours says, which may have been set since the last
    /// measure.
    pub fn check(&self, now_ms: i64) -> std::result::Result<(), String> {
        let ahead = self.0.lock().as_ref().map_or(0, |last| {
            let elapsed = i64::try_from(last.at.elapsed().as_millis()).unwrap_or(i64::MAX);
            last.ahead + (now_ms - last.said - elapsed)
        });
        if ahead.abs() <= CLOCK_DIFFERENCE_MAX_MS {
            return Ok(());
        }
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        let [ahead, most] = [ahead.abs(), CLOCK_DIFFERENCE_MAX_MS].map(|ms| ms as f64 / 1_000.0);
        Err(format!(
            "the clock of this machine is {ahead:.1} s {which} the cluster's, {most:.1} s are \
             allowed: set it right (NTP); nothing is written until then"
        ))
    }
}

/// How far our clock is ahead of a node's, in milliseconds. That was read at some instant between the
/// two of ours: the nearer one counts.
pub(crate) fn ahead_of(reading: ClockReading) -> i64 {
    let ClockReading { before, there, after, .. } = reading;
    before.max(there).min(after) - there
}

impl NodeClocks {
    /// The same after a comparison. One that was far and does not answer stays far: it is down or frozen, and its clock
    /// is as wrong when it comes back, some seconds before the next comparison.
    fn after(mut self, differences: &[(Uuid, i64)], middle: i64) -> NodeClocks {
        for (node, ahead) in differences {
            self.said.insert(*node);
            match (ahead - middle).abs() > NODE_DIFFERENCE_MAX_MS {
                true => self.far.insert(*node),
                false => self.far.remove(node),
            };
        }
        self
    }

    /// The nodes that may coordinate.
    fn allowed(&self) -> HashSet<Uuid> {
        self.said.difference(&self.far).copied().collect()
    }
}

/// Whether the middle of some answers stands for all nodes.
fn are_enough(answers: usize, asked: usize) -> bool {
    2 * answers >= asked
}

/// The middle of those that were not far the last time: while one of the others is down, the one that is wrong must not
/// count as one of two.
fn middle_of_voters(differences: &[(Uuid, i64)], was_far: &HashSet<Uuid>) -> Option<i64> {
    let voters = differences.iter().filter(|(node, _)| !was_far.contains(node));
    let all = || middle_of(differences.iter().map(|(_, ahead)| *ahead).collect());
    middle_of(voters.map(|(_, ahead)| *ahead).collect()).or_else(all)
}

/// The middle of some differences; of two in the middle the larger one, since nobody can say which of
/// the two nodes is right.
pub fn middle_of(mut differences: Vec<i64>) -> Option<i64> {
    differences.sort_unstable();
    let middle = differences.len().checked_sub(1)? / 2..=differences.len() / 2;
    differences[middle].iter().copied().max_by_key(|ahead| ahead.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(ahead: i64) -> bool {
        let nodes = NodeClocks::default();
        let measure = ClockMeasure { nodes, ahead, at: Instant::now(), said: 0 };
        ClockDifference(Mutex::new(Some(measure))).check(0).is_ok()
    }

    #[test]
    fn a_clock_that_is_set_between_two_measures_is_seen_at_once() {
        let difference = ClockDifference::default();
        let (nodes, at) = (NodeClocks::default(), Instant::now());
        *difference.0.lock() = Some(ClockMeasure { nodes, ahead: 100, at, said: 7 });
        let rows = [
            ("goes on", 0, true),
            ("set ahead", 3_600_000, false),
            ("set back", -3_600_000, false),
        ];
        for (name, step, want) in rows {
            assert_eq!(difference.check(7 + step).is_ok(), want, "{name}");
        }
    }

    #[test]
    fn no_two_processes_that_write_lie_further_apart_than_a_hold_waits() {
        let rows = [
            ("in step", 0, true),
            ("ahead by all it may", CLOCK_DIFFERENCE_MAX_MS, true),
            ("ahead by more", CLOCK_DIFFERENCE_MAX_MS + 1, false),
            ("behind by all it may", -CLOCK_DIFFERENCE_MAX_MS, true),
            ("behind by more", -CLOCK_DIFFERENCE_MAX_MS - 1, false),
        ];
        for (name, ahead, want) in rows {
            assert_eq!(allowed(ahead), want, "{name}");
        }
        let most = (0..=2 * CLOCK_BOUND_MS).rev().find(|ahead| allowed(*ahead));
        let least = (-2 * CLOCK_BOUND_MS..=0).find(|ahead| allowed(*ahead));
        let apart = most.zip(least).map(|(most, least)| most - least);
        assert!(apart.is_some_and(|apart| apart <= CLOCK_BOUND_MS), "{apart:?} ms apart");
    }

    #[test]
    fn the_node_in_the_middle_counts() {
        const YEARS: i64 = 3 * 365 * 86_400_000;
        let rows: [(&str, &[i64], Option<i64>); 8] = [
            ("nobody answers", &[], None),
            ("one node", &[40], Some(40)),
            ("all right", &[-3, 0, 2], Some(0)),
            ("one node is years ahead", &[0, -YEARS, 1], Some(0)),
            ("ours and one node are years ahead", &[YEARS, 0, YEARS], Some(YEARS)),
            ("ours is ahead, and the node beside it", &[0, YEARS, YEARS + 5], Some(YEARS)),
            ("of two nodes one agrees", &[0, YEARS], Some(YEARS)),
            ("two of five are wrong", &[0, 1, 2, YEARS, -YEARS], Some(1)),
        ];
        for (name, differences, want) in rows {
            assert_eq!(middle_of(differences.to_vec()), want, "{name}");
        }
    }

    #[test]
    fn a_node_that_was_far_has_no_vote() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        const HOUR: i64 = 3_600_000;
        let rows = [
            ("all answer", vec![(one, 0), (two, HOUR), (three, 1)], Some(1)),
            ("another one is down", vec![(two, HOUR), (three, 1)], Some(1)),
            ("it is right again", vec![(two, 2), (three, 1)], Some(1)),
            ("it alone answers", vec![(two, HOUR)], Some(HOUR)),
        ];
        for (name, differences, want) in rows {
            assert_eq!(middle_of_voters(&differences, &HashSet::from([two])), want, "{name}");
        }
    }

    #[test]
    fn a_node_is_allowed_once_it_says_the_right_time_until_it_says_a_wrong_one() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        const MOST: i64 = NODE_DIFFERENCE_MAX_MS;
        let rows = [
            (
                "the second one is far, the third one down",
                vec![(one, 0), (two, MOST + 1)],
                vec![one],
            ),
            ("the second one is down", vec![(one, 0), (three, 0)], vec![one, three]),
            ("the third one is far, too", vec![(one, 0), (three, -MOST - 1)], vec![one]),
            ("the second one is right", vec![(one, 0), (two, MOST)], vec![one, two]),
            ("all are", vec![(one, 0), (two, 1), (three, MOST)], vec![one, two, three]),
        ];
        let mut nodes = NodeClocks::default();
        for (name, differences, want) in rows {
            nodes = nodes.after(&differences, 0);
            assert_eq!(nodes.allowed(), HashSet::from_iter(want), "{name}");
        }
    }

    #[test]
    fn the_node_beside_us_does_not_decide_alone() {
        let rows = [(1, 1, true), (1, 2, true), (1, 3, false), (2, 3, true), (2, 5, false)];
        for (answers, asked, want) in rows {
            assert_eq!(are_enough(answers, asked), want, "{answers} of {asked}");
        }
    }

    #[test]
    fn the_nearer_end_of_a_reading_counts() {
        let rows =
            [("between", 10, 12, 20, 0), ("before", 10, 4, 20, 6), ("after", 10, 25, 20, -5)];
        for (name, before, there, after, want) in rows {
            let reading = ClockReading { node: Uuid::nil(), before, there, after };
            assert_eq!(ahead_of(reading), want, "{name}");
        }
    }
}
