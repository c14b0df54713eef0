//! The states that were reached, and the list of those that must be.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::steps::orders;

/// The states that many seeds reached, and how often.
#[derive(Clone, Debug, Default)]
pub struct StateCoverage(BTreeMap<String, u64>);

impl StateCoverage {
    /// Adds those of one seed.
    pub fn add(&mut self, reached: &BTreeMap<String, u64>) {
        for (state, count) in reached {
            *self.0.entry(state.clone()).or_default() += count;
        }
    }

    /// How many states were reached.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list of those that were reached `least` times: another thousand seeds reach them again.
    pub fn to_list(&self, least: u64) -> String {
        let mut text = String::from(
            "# States that a thousand seeds reach; one that is not reached any more fails CI.\n\
             # Write it anew with `simulate --seeds 1000 --write-coverage FILE`.\n",
        );
        for (state, _) in self.all().into_iter().filter(|(_, count)| *count >= least) {
            let _ = writeln!(text, "{state}");
        }
        text
    }

    /// A line for each order of steps: how many of its gaps were interrupted, and which were not.
    pub fn orders(&self) -> String {
        orders::report(&self.0)
    }

    /// The states and the gaps between steps that were interrupted.
    fn all(&self) -> BTreeMap<String, u64> {
        let mut all = orders::interrupted(&self.0);
        all.extend(self.0.iter().map(|(state, count)| (state.clone(), *count)));
        all
    }

    /// How often each was reached, the rarest first.
    pub fn rarest(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> =
            self.0.iter().map(|(state, count)| (state.as_str(), *count)).collect();
        all.sort_by_key(|(state, count)| (*count, *state));
        all
    }
}

/// The states of `list` that were not reached.
pub fn missing<'a>(list: &'a str, coverage: &StateCoverage) -> Vec<&'a str> {
    let states = list.lines().map(str::trim).filter(|line| !line.is_empty());
    let wanted = states.filter(|line| !line.starts_with('#'));
    let reached = coverage.all();
    wanted.filter(|state| !reached.contains_key(*state)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_not_reached_any_more_is_named() {
        let mut coverage = StateCoverage::default();
        coverage.add(&BTreeMap::from([("a".into(), 1), ("b".into(), 9)]));
        let list = coverage.to_list(5);
        assert_eq!(list.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), ["b"]);
        assert_eq!(missing("# of old\na\nc\n\n", &coverage), ["c"]);
        assert_eq!(coverage.rarest(), [("a", 1), ("b", 9)]);
    }

    #[test]
    fn a_gap_that_is_not_interrupted_any_more_is_named() {
        let gap = "between plan: is closing and bucket: is sealed";
        let mut coverage = StateCoverage::default();
        assert_eq!(missing(gap, &coverage), [gap]);
        coverage.add(&BTreeMap::from([("frozen after plan: is closing".into(), 5)]));
        assert_eq!(missing(gap, &coverage), [""; 0]);
        assert!(coverage.to_list(5).contains(gap), "{}", coverage.to_list(5));
    }
}
