//! Limits and times.

use std::sync::Arc;
use std::time::Duration;

use hot::clock::system_ms;

use crate::resolver::NameResolver;
use crate::retry::{PROBE_PAUSE, PROBE_PAUSE_MAX, RETRY_PAUSES};

/// Limits and times of [`crate::Webhooks`]. The default is for production.
#[derive(Clone)]
pub struct Options {
    /// Whether endpoints may have private addresses, and `http`. Then the guard accepts every address, also those of
    /// the metadata of clouds.
    pub allow_private: bool,
    /// Resolves the names of endpoints. Each store has its own, so that names of one delay no other.
    pub names: NameResolver,
    pub log_keep: Duration,
    /// About so many, of all endpoints: the store takes about 1 kB for each.
    pub log_rows_max: u64,
    /// An endpoint with this many deliveries that wait reads no further events. One page may come on top.
    pub pending_max: u64,
    /// An endpoint with this many deliveries that wait gets no further announcements.
    pub announced_max: u64,
    /// Longest attempt, from the name look-up to the last byte: Standard Webhooks asks for 15 to 30 s.
    pub timeout: Duration,
    pub retry_pauses: Vec<Duration>,
    /// First pause between two attempts at an endpoint that is down.
    pub probe_pause: Duration,
    pub probe_pause_max: Duration,
    pub in_flight_each: usize,
    /// Most deliveries under way beside one of each endpoint.
    pub in_flight_shared: usize,
    /// How long a process holds an endpoint without renewing: so long one that was killed delays the others.
    pub lease: Duration,
    /// How often to look for events, and for deliveries that are due.
    pub look_every: Duration,
    /// Events of one read of the feed.
    pub page: usize,
    pub clean_every: Duration,
    /// How long to wait for deliveries under way when it stops. They are tried again later.
    pub stop_within: Duration,
    /// The wall clock, in milliseconds since 1970. Pauses are also measured by the monotonic one.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for Options {
    /// 30 days and a million deliveries in the log; 2,000 events that wait at an endpoint, which takes 60 MB if 100
    /// endpoints are down, and 100,000 announcements; 17
    /// attempts of 15 s in three days; 8 under way to an endpoint, and 128 to all beside one to each.
    fn default() -> Options {
        Options {
            allow_private: false,
            names: NameResolver::default(),
            log_keep: Duration::from_secs(30 * 86_400),
            log_rows_max: 1_000_000,
            pending_max: 2_000,
            announced_max: 100_000,
            timeout: Duration::from_secs(15),
            retry_pauses: RETRY_PAUSES.to_vec(),
            probe_pause: PROBE_PAUSE,
            probe_pause_max: PROBE_PAUSE_MAX,
            in_flight_each: 8,
            in_flight_shared: 128,
            lease: Duration::from_secs(15),
            look_every: Duration::from_millis(500),
            page: 500,
            clean_every: Duration::from_secs(600),
            stop_within: Duration::from_secs(5),
            clock: Arc::new(system_ms),
        }
    }
}
