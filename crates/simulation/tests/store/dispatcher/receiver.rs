//! Receivers of webhooks that are functions, and the way to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::Value;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::SimulatedProcess;
use tokio::time::{Instant, sleep};
use webhooks::PostCarrier;

/// How long couponry waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// What the clock of the process said that posted it, in milliseconds since 1970.
    pub(crate) posted_ms: i64,
    pub(crate) is_accepted: bool,
}

impl Arrival {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn data(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["data"].clone()
    }
}

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
enum Reaction {
    Answers(StatusCode),
    /// 429 with `Retry-After`, in seconds.
    AsksFor(u64),
    /// Says nothing.
    Hangs,
}

struct ReceiverState {
    rng: Rng,
    /// Of 1,000 requests, how many it does not accept.
    faults: u32,
    away_until: Option<Instant>,
    arrivals: Vec<Arrival>,
}

/// One receiver.
pub(crate) struct SimulatedReceiver(Mutex<ReceiverState>);

impl SimulatedReceiver {
    pub(crate) fn new(rng: Rng, faults: u32) -> SimulatedReceiver {
        let (away_until, arrivals) = (None, Vec::new());
        SimulatedReceiver(Mutex::new(ReceiverState { rng, faults, away_until, arrivals }))
    }

    /// Nobody listens there for a while.
    pub(crate) fn leaves_for(&self, time: Duration) {
        self.0.lock().unwrap().away_until = Some(Instant::now() + time);
    }

    /// From now on it accepts everything, unless it is away.
    pub(crate) fn is_well(&self) {
        self.0.lock().unwrap().faults = 0;
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.0.lock().unwrap().arrivals.clone()
    }

    /// `None` if it is away.
    fn receive(&self, request: ReceivedRequest, posted_ms: i64) -> Option<(Reaction, Duration)> {
        let mut state = self.0.lock().unwrap();
        if state.away_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let faults = state.faults;
        let reaction = match state.rng.chance(faults) {
            false => Reaction::Answers(StatusCode::NO_CONTENT),
            true => match state.rng.below(4) {
                0 => Reaction::AsksFor(state.rng.between(1, 120)),
                1 => Reaction::Hangs,
                2 => Reaction::Answers(StatusCode::INTERNAL_SERVER_ERROR),
                _ => Reaction::Answers(StatusCode::FOUND),
            },
        };
        let is_accepted = matches!(reaction, Reaction::Answers(status) if status.is_success());
        let (at, ReceivedRequest { headers, body }) = (Instant::now(), request);
        state.arrivals.push(Arrival { at, headers, body, posted_ms, is_accepted });
        Some((reaction, Duration::from_millis(state.rng.between(1, 300))))
    }
}

struct ReceivedRequest {
    headers: BTreeMap<String, String>,
    body: String,
}

/// What a process has in the place of HTTP: the receivers by their URLs.
pub(crate) fn carrier(
    process: SimulatedProcess,
    receivers: BTreeMap<String, Arc<SimulatedReceiver>>,
) -> PostCarrier {
    Arc::new(move |request| {
        let request = request.build().expect("a request");
        let receiver = Arc::clone(&receivers[request.url().as_str()]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let (headers, body) = (headers.collect(), request.body().and_then(|it| it.as_bytes()));
        let received = ReceivedRequest { headers, body: text(body.expect("a body")) };
        let process = process.clone();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            process.gate().await;
            match receiver.receive(received, process.now_ms()) {
                Some((reaction, takes)) => {
                    sleep(takes).await;
                    reaction.answer().await.map(Into::into)
                }
                None => Err("connection refused".to_owned()),
            }
        })
    })
}

impl Reaction {
    async fn answer(self) -> Result<Response<&'static str>, String> {
        let answer = Response::builder();
        let answer = match self {
            Reaction::Answers(status) => answer.status(status),
            Reaction::AsksFor(seconds) => {
                answer.status(StatusCode::TOO_MANY_REQUESTS).header("retry-after", seconds)
            }
            Reaction::Hangs => {
                sleep(TIMEOUT).await;
                return Err(format!("no answer within {TIMEOUT:?}"));
            }
        };
        Ok(answer.body("").expect("an answer"))
    }
}
