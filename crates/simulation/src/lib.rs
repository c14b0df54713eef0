//! The stores of couponry on a cluster, a network and an object store that one seed decides.
//!
//! Read in this order: the crate `simulated-cluster`, `bucket` and `side` (the object store, and
//! cold's blocking work), `world` (what happens in a seed), `check` (what must be true after it), `plants` (bugs
//! that the checks must find), `steps` (names of the writes, and their orders). `system` replaces
//! the clock and the random numbers of the operating system by those of the seed. `one` runs one
//! seed, `process` runs each seed in a process of its own, and `report` prints what happened.
//! docs/testing.md says how to add a fault, a check and a planted bug.

pub mod bucket;
pub mod check;
mod one;
#[cfg(any(test, feature = "plants"))]
mod plants;
pub mod process;
pub mod report;
pub mod side;
mod steps;
pub mod system;
pub mod world;

pub use one::run_one;

/// Operations of a seed's callers, if nobody says otherwise.
pub const OPERATIONS: u64 = 100;

/// How the sentence of a control begins: a change that no seed may find.
pub const CONTROL: &str = "control: ";

/// The bugs that can be planted, and the sentence that each breaks; then the controls. None without
/// the feature `plants`.
pub fn plants() -> &'static [(&'static str, &'static str)] {
    #[cfg(any(test, feature = "plants"))]
    {
        plants::listed()
    }
    #[cfg(not(any(test, feature = "plants")))]
    {
        &[]
    }
}
