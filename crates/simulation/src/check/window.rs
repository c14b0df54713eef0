//! When each step of a row of steps can have happened.

/// The first and the last instant at which a step can have happened, and the calls that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepWindow {
    pub(super) from: u64,
    pub(super) from_call: Option<usize>,
    pub(super) to: u64,
    pub(super) to_call: Option<usize>,
}

impl StepWindow {
    /// Any instant until `to`.
    pub(super) fn until(to: u64) -> StepWindow {
        StepWindow { from: 0, from_call: None, to, to_call: None }
    }

    /// It did not happen before `at`.
    pub(super) fn not_before(&mut self, at: u64, call: Option<usize>) {
        if at > self.from {
            (self.from, self.from_call) = (at, call);
        }
    }

    /// It did not happen after `at`.
    pub(super) fn not_after(&mut self, at: u64, call: Option<usize>) {
        if at < self.to {
            (self.to, self.to_call) = (at, call);
        }
    }

    /// The calls that say so.
    pub(super) fn calls(&self) -> impl Iterator<Item = usize> {
        [self.to_call, self.from_call].into_iter().flatten()
    }
}

/// No step happens before the one that it follows. Returns the first that can have no instant.
pub(super) fn narrow(windows: &mut [StepWindow]) -> Option<usize> {
    for at in 1..windows.len() {
        let before = windows[at - 1];
        windows[at].not_before(before.from, before.from_call);
    }
    for at in (1..windows.len()).rev() {
        let after = windows[at];
        windows[at - 1].not_after(after.to, after.to_call);
    }
    windows.iter().position(|window| window.from > window.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_in_order() {
        let window = |from, to| StepWindow { from, from_call: Some(1), to, to_call: Some(2) };
        let rows = [
            ("none", vec![], None),
            ("one after the other", vec![window(0, 5), window(3, 9)], None),
            ("at one instant", vec![window(0, 9), window(3, 9), window(0, 3)], None),
            ("the second too early", vec![window(5, 9), window(0, 4)], Some(0)),
            ("over one in between", vec![window(5, 9), window(0, 9), window(0, 4)], Some(0)),
        ];
        for (name, mut windows, want) in rows {
            assert_eq!(narrow(&mut windows), want, "{name}");
        }
    }
}
