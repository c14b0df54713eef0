//! Where endpoints, deliveries and cursors are kept: in a file of one machine, or in the tables of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::event::{Event, Matter};
use crate::post::Answered;
use crate::signature::{Secret, Secrets};
use crate::{
    Announced, Announcement, Delivery, DeliveryFilter, Endpoint, EndpointChanges, Gauge,
    NewEndpoint, Options, Rotation, WebhookError,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Pause,
    Resume,
}

#[derive(Clone, Debug)]
pub struct TestTarget {
    pub webhook: i64,
    pub url: String,
    pub secrets: Secrets,
}

/// For which endpoint the dispatcher has free places.
#[derive(Clone, Debug)]
pub struct Want {
    pub webhook: i64,
    /// Deliveries that are being sent, or whose result is not written yet.
    pub in_flight: BTreeSet<i64>,
    /// Whether the endpoint is to be left alone, unless it was changed since this generation.
    pub quiet: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Most deliveries in flight at an endpoint.
    pub each: usize,
    /// From how many failures on an endpoint is down: then one in flight is enough.
    pub failures_until_down: u64,
    /// In milliseconds since 1970.
    pub now: i64,
    pub trusted: bool,
}

impl Room {
    /// Whether an endpoint with so many failures in a row is down, and how many more deliveries it has places for.
    pub fn free(&self, failures: u64, in_flight: usize) -> (bool, usize) {
        let down = failures >= self.failures_until_down;
        let places = if down { 1 } else { self.each };
        (down, places.saturating_sub(in_flight))
    }
}

#[derive(Clone, Debug)]
pub struct Target {
    pub webhook: i64,
    /// Raised by each call that changes the endpoint.
    pub generation: i64,
    pub url: String,
    pub secrets: Secrets,
    /// Whether it is down, and this is to find out whether it still is.
    pub probes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub number: i64,
    /// The header `webhook-id`.
    pub id: String,
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    pub webhook: i64,
    /// Where it stands; `None` if it has not begun.
    pub cursor: Option<String>,
}

/// What endpoints that stood at one cursor read.
#[derive(Debug)]
pub enum Passage {
    Events(Vec<Event>),
    /// Why events are missing.
    Gap(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub webhook: i64,
    pub number: i64,
    /// Whether the endpoint was down when it began.
    pub probes: bool,
    pub answered: Answered,
}

#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// In milliseconds since 1970.
    pub now: i64,
    /// Whether the clock is trusted: only then is anything given up for its age.
    pub trusted: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub delivered: u64,
    /// Deliveries that were given up.
    pub failed: u64,
    pub attempts_failed: u64,
    /// Of each endpoint, how many attempts have failed in a row now.
    pub failures: BTreeMap<i64, u64>,
    /// The names of endpoints that are disabled now.
    pub disabled: Vec<String>,
}

/// Keeps endpoints, their deliveries, and where each stands in the feed. What [`crate::Webhooks`] promises of
/// its calls, this promises of the methods of the same name; times are in milliseconds since 1970.
///
/// An endpoint has a number besides its name, which is never used again, so that what is under way for a deleted
/// one does not reach its successor. The methods from [`Store::lease`] on are for the dispatcher.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Makes an endpoint of this name, or finds the one that an earlier call made with the same values. Returns
    /// its newest secret, and whether it was made.
    async fn create(
        &self,
        name: String,
        new: NewEndpoint,
        now: i64,
    ) -> Result<(Endpoint, Secret, bool), WebhookError>;

    async fn list(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Endpoint>, WebhookError>;

    async fn get(&self, name: &str) -> Result<Endpoint, WebhookError>;

    /// Changes an endpoint. With another URL, what waits is due at once.
    async fn update(
        &self,
        name: &str,
        changes: EndpointChanges,
        now: i64,
    ) -> Result<Endpoint, WebhookError>;

    /// Pauses or resumes an endpoint. One that is paused already stays as it is; so does an active one that is
    /// resumed. After a resume, what waits is due at once.
    async fn turn(&self, name: &str, turn: Turn, now: i64) -> Result<Endpoint, WebhookError>;

    /// Deletes an endpoint. Its deliveries may be deleted later.
    async fn delete(&self, name: &str) -> Result<(), WebhookError>;

    /// Adds a secret, and ends the others after the overlap. Returns whether this call made it.
    async fn rotate(
        &self,
        name: &str,
        rotation: Rotation,
        now: i64,
    ) -> Result<(Secret, bool), WebhookError>;

    /// What a test posts to: also an endpoint that is paused or disabled.
    async fn test_target(
        &self,
        name: &str,
        now: i64,
        trusted: bool,
    ) -> Result<TestTarget, WebhookError>;

    /// Logs a test that ended at `now`, and returns its number.
    async fn tested(
        &self,
        webhook: i64,
        matter: Matter<'_>,
        answered: &Answered,
        now: i64,
    ) -> Result<i64, WebhookError>;

    async fn deliveries(
        &self,
        name: &str,
        filter: DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, WebhookError>;

    async fn delivery(
        &self,
        name: &str,
        number: i64,
    ) -> Result<(Delivery, Option<String>), WebhookError>;

    async fn redeliver(&self, name: &str, number: i64, now: i64) -> Result<Delivery, WebhookError>;

    /// Queues an announcement for all endpoints that ask for it and are not disabled; those with `pending_max`
    /// deliveries that wait are full.
    async fn announce(
        &self,
        announcement: Announcement,
        pending_max: u64,
        now: i64,
    ) -> Result<Announced, WebhookError>;

    /// Whether an endpoint that is not disabled names this type.
    async fn has_asked(&self, event_type: &str) -> Result<bool, WebhookError>;

    /// What it knows of the gauge: all but the totals of the process.
    async fn gauge(&self, now: i64, failures_until_down: u64) -> Result<Gauge, WebhookError>;

    /// Renews the leases of the process `me`, and gives some back or takes some, so that all processes have as
    /// many. Returns the endpoints that it holds now.
    ///
    /// A lease only saves work. Two processes that both send to an endpoint, because one was frozen or a clock
    /// jumped, post some events twice, with the same id.
    async fn lease(&self, me: &str, options: &Options) -> Result<Vec<i64>, WebhookError>;

    async fn release(&self, me: &str) -> Result<(), WebhookError>;

    /// Whether this process is the one of all that lease which looks for what is to be announced. For a moment it
    /// may be none of them, or two: an announcement that is made twice is queued once.
    fn leads(&self) -> bool;

    /// Deletes some of what was kept long enough, or is too much, or of endpoints that were deleted. Returns
    /// whether there may be more. What still waits stays, unless its endpoint is gone.
    async fn clean(&self, options: &Options, trusted: bool) -> Result<bool, WebhookError>;

    /// Those of the endpoints `held` that read on: active ones with room for more deliveries.
    async fn readers(&self, held: Vec<i64>, options: &Options)
    -> Result<Vec<Reader>, WebhookError>;

    /// Queues what endpoints ask for, and moves them to the cursor `next`: a kill loses neither. One that does not
    /// stand at its cursor any more is skipped: another process has read on for it. Returns how many deliveries
    /// were queued.
    async fn read_on(
        &self,
        readers: Vec<Reader>,
        passage: Arc<Passage>,
        next: &str,
        now: i64,
    ) -> Result<usize, WebhookError>;

    /// What is due at endpoints, for each at most as many as there are free places. Of an ordered endpoint, of
    /// each code only the oldest that waits.
    async fn due(
        &self,
        wants: Vec<Want>,
        room: Room,
    ) -> Result<Vec<(Target, Vec<Due>)>, WebhookError>;

    /// Writes results. One of a delivery that another process has ended changes nothing.
    async fn write(
        &self,
        tried: Vec<Tried>,
        moment: Moment,
        options: &Options,
    ) -> Result<Written, WebhookError>;
}
