//! What the machine of a process says of itself: sizes, and keys without their secrets.
//!
//! Whoever builds the console reads it; no figure needs a walk over coupons.

use coupon::time::Millis;

/// Reads what the machine says. May wait for its disk.
pub type ReadMachine = dyn Fn() -> MachineStatus + Send + Sync;

/// What the machine says; what it cannot say is not there.
#[derive(Clone, Debug, Default)]
pub struct MachineStatus {
    pub store_bytes: Option<u64>,
    /// The log of the hot store, whose end is not in the file yet.
    pub log_bytes: Option<u64>,
    /// What is free on the disk of the data folder.
    pub free_bytes: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Oldest first.
    pub keys: Vec<KeyInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    pub use_of: KeyUse,
    pub id: String,
    pub made_at: Millis,
    pub retired_at: Option<Millis>,
    /// Whether it is the newest of its kind that is not retired.
    pub is_newest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Mints codes.
    Code,
    /// Signs tokens and sessions.
    Token,
}
