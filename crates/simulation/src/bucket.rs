//! An object store in memory that loses requests and answers.
//!
//! A process sees it as the client of S3 would show it: a conditional put has one winner, a list is
//! read page by page while objects change, and an upload in parts is an object when it is complete.
//! What the client retries by itself shows too: a put whose answer was lost finds its own object.

mod client;
mod client_store;
mod list;
mod state;
mod tamper;
mod upload;
mod weather;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::{ObjectStore, Result};
use tokio::time::Instant;

use client::{BucketClient, ClientOwner};
use client_store::ClientStore;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::SimulatedProcess;
use simulated_cluster::trace::Trace;
use state::BucketObjects;

pub use tamper::{BucketTamper, BucketWrite};
pub use weather::BucketWeather;

/// A bucket. Its clones share it.
#[derive(Clone)]
pub struct SimulatedBucket(Arc<SharedBucket>);

struct SharedBucket {
    began: Instant,
    began_ms: i64,
    state: Mutex<BucketState>,
}

struct BucketState {
    objects: BucketObjects,
    weather: BucketWeather,
    away_until: Option<Instant>,
    clock_ms: i64,
}

impl SimulatedBucket {
    /// An empty bucket. Its clock says `now_ms`, in milliseconds since 1970.
    pub fn new(now_ms: i64, weather: BucketWeather) -> SimulatedBucket {
        let objects = BucketObjects::default();
        let state = Mutex::new(BucketState { objects, weather, away_until: None, clock_ms: 0 });
        SimulatedBucket(Arc::new(SharedBucket { began: Instant::now(), began_ms: now_ms, state }))
    }

    /// The bucket as one process sees it, with a hook around each of its writes. After the process
    /// was killed, no call returns.
    pub fn for_process(
        &self,
        process: SimulatedProcess,
        tamper: Arc<dyn BucketTamper>,
        rng: Rng,
        trace: Trace,
    ) -> Arc<dyn ObjectStore> {
        self.client(Some(ClientOwner { process, tamper }), rng, trace)
    }

    /// The bucket as somebody sees it who is never stopped.
    pub fn for_observer(&self, rng: Rng, trace: Trace) -> Arc<dyn ObjectStore> {
        self.client(None, rng, trace)
    }

    /// Changes the rates of faults, for the requests that begin from now on.
    pub fn set_weather(&self, weather: BucketWeather) {
        self.with(|state| state.weather = weather);
    }

    /// Refuses every request for a while.
    pub fn away(&self, how_long: Duration) {
        self.with(|state| state.away_until = Some(Instant::now() + how_long));
    }

    /// Sets the clock of the bucket ahead of the simulated one, or behind it.
    pub fn set_clock(&self, offset_ms: i64) {
        self.with(|state| state.clock_ms = offset_ms);
    }

    /// Ends all faults. What is still under way arrives within
    /// [`BucketWeather::late_ms`] of the weather before.
    pub fn quiet(&self) {
        self.with(|state| {
            (state.weather, state.away_until, state.clock_ms) = (BucketWeather::calm(), None, 0);
        });
    }

    /// The names of all objects, in their order.
    pub fn names(&self) -> Vec<String> {
        self.with(|state| state.objects.names())
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.with(|state| state.objects.open_uploads())
    }

    fn client(&self, owner: Option<ClientOwner>, rng: Rng, trace: Trace) -> Arc<dyn ObjectStore> {
        Arc::new(ClientStore(Arc::new(BucketClient::new(self.clone(), owner, rng, trace))))
    }

    fn weather(&self) -> BucketWeather {
        self.with(|state| state.weather.clone())
    }

    fn is_away(&self) -> bool {
        self.with(|state| state.away_until.is_some_and(|until| Instant::now() < until))
    }

    /// Does a request now, all of it at once.
    fn apply<T>(&self, request: impl FnOnce(&mut BucketObjects, i64) -> Result<T>) -> Result<T> {
        let passed = i64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.with(|state| {
            let now_ms = self.0.began_ms.saturating_add(passed).saturating_add(state.clock_ms);
            request(&mut state.objects, now_ms)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut BucketState) -> T) -> T {
        work(&mut self.0.state.lock().expect("nothing panics with the bucket in its hand"))
    }
}

#[cfg(test)]
mod tests;
