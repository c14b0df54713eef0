//! The plan of a run: what is sent, to whom, when, and for how long.

use std::time::Duration;

use crate::scenario::{LoadScenario, RunGround};
use crate::schedule::RateSchedule;
use crate::wire::ServerAddress;

#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The server.
    pub target: ServerAddress,
    /// The scenario.
    pub scenario: LoadScenario,
    /// The coupons.
    pub ground: RunGround,
    /// Changes in one request. 1: each is a request of its own.
    pub batch: usize,
    /// When requests are due. None: each connection sends the next request after its answer.
    pub schedule: Option<RateSchedule>,
    /// How long it takes, with the warm-up.
    pub time: Duration,
    /// Requests due before this time are not counted.
    pub warm_up: Duration,
    /// Over all senders.
    pub connections: usize,
    /// Threads.
    pub senders: usize,
    /// The longest wait for an answer.
    pub patience: Duration,
}
