//! What the dispatcher and the store say to each other.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::post::AttemptAnswer;
use crate::signature::Secrets;

/// For which endpoint the dispatcher has free places.
#[derive(Clone, Debug)]
pub(crate) struct FreePlaces {
    pub(crate) webhook: i64,
    /// Deliveries that are being sent, or whose result is not written yet.
    pub(crate) in_flight: BTreeSet<i64>,
    /// The endpoint gets nothing for now, unless it was changed after this generation.
    pub(crate) quiet: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct PostTarget {
    pub(crate) webhook: i64,
    /// Raised by each call that changes the endpoint.
    pub(crate) generation: i64,
    pub(crate) url: String,
    pub(crate) secrets: Secrets,
    /// Whether it is down, and this is to find out whether it still is.
    pub(crate) probes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DueDelivery {
    pub(crate) number: i64,
    /// The header `webhook-id`.
    pub(crate) id: String,
    pub(crate) body: String,
}

/// What endpoints that stood at one cursor read.
#[derive(Debug)]
pub(crate) enum FeedPassage {
    Events(Vec<Event>),
    Gap(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedAttempt {
    pub(crate) webhook: i64,
    pub(crate) number: i64,
    /// That of the endpoint when it began.
    pub(crate) generation: i64,
    /// Whether the endpoint was down when it began.
    pub(crate) probes: bool,
    pub(crate) answered: AttemptAnswer,
}
