//! The client of one process: how a request goes to the bucket and its answer comes back.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use object_store::path::Path;
use object_store::{Attributes, Error, GetOptions, GetResult, GetResultPayload, Result};

use super::SimulatedBucket;
use super::state::{BucketObjects, STORE, StoredObject, already_exists, failed, not_found};
use super::tamper::{BucketTamper, BucketWrite};
use super::weather::{BucketFault, BucketVerb, RequestFate};
use simulated_cluster::rng::Rng;
use simulated_cluster::session::SimulatedProcess;
use simulated_cluster::trace::Trace;

pub(super) struct BucketClient {
    pub(super) bucket: SimulatedBucket,
    /// `None` for somebody who is never stopped.
    owner: Option<ClientOwner>,
    rng: Mutex<Rng>,
    trace: Trace,
}

/// Whose client it is.
pub(super) struct ClientOwner {
    pub(super) process: SimulatedProcess,
    pub(super) tamper: Arc<dyn BucketTamper>,
}

impl BucketClient {
    pub(super) fn new(
        bucket: SimulatedBucket,
        owner: Option<ClientOwner>,
        rng: Rng,
        trace: Trace,
    ) -> BucketClient {
        BucketClient { bucket, owner, rng: Mutex::new(rng), trace }
    }

    /// Sends a request. `request` does it at the moment at which it arrives.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        verb: BucketVerb,
        location: &Path,
        request: impl FnOnce(&mut BucketObjects, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.gate().await;
        let hooked = self.owner.as_ref().zip(BucketWrite::of(verb, location));
        if let Some((owner, write)) = &hooked {
            owner.tamper.before(write);
            owner.process.gate().await;
        }
        let draw = self.draw(verb, location);
        let answer = self.send(draw, verb, location, request).await;
        if let Some((owner, write)) = &hooked {
            owner.tamper.after(write);
            // A process that was killed here never gets the answer.
            owner.process.gate().await;
            if self.trace.on() {
                let outcome = answer.as_ref().map_or_else(ToString::to_string, |_| "done".into());
                self.trace.say(owner.process.name(), format!("{write}: {outcome}"));
            }
        }
        answer
    }

    async fn send<T: Send + 'static>(
        &self,
        draw: RequestFate,
        verb: BucketVerb,
        location: &Path,
        request: impl FnOnce(&mut BucketObjects, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::time::sleep(draw.there).await;
        let answer = if self.bucket.is_away() {
            self.trace.fault("bucket: away");
            Err(failed("the connection was refused"))
        } else {
            self.arrived(draw.fault, verb, location, request)
        };
        let is_silent = draw.fault.is_some_and(BucketFault::is_silent);
        tokio::time::sleep(if is_silent { draw.gives_up } else { draw.back }).await;
        if let Some(slow) = draw.slow {
            tokio::time::sleep(slow).await;
        }
        self.gate().await;
        if let Err(Error::AlreadyExists { .. }) = &answer {
            self.trace.reached("bucket: a conditional put found an object");
        }
        answer
    }

    fn arrived<T: Send + 'static>(
        &self,
        fault: Option<BucketFault>,
        verb: BucketVerb,
        location: &Path,
        request: impl FnOnce(&mut BucketObjects, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match fault {
            None => self.bucket.apply(request),
            Some(BucketFault::Unavailable) => Err(failed("503 Slow Down")),
            Some(BucketFault::RequestLost) => Err(failed("the request timed out")),
            Some(BucketFault::AnswerLost) => {
                // What became of it is in the lost answer.
                let _ = self.bucket.apply(request);
                Err(failed("the request timed out"))
            }
            Some(BucketFault::DoneLate(after)) => {
                let bucket = self.bucket.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = bucket.apply(request);
                });
                Err(failed("the request timed out"))
            }
            Some(BucketFault::OwnRetry) => match self.bucket.apply(request) {
                Ok(_) if verb == BucketVerb::Create => Err(already_exists(location)),
                Ok(_) => Err(not_found(location)),
                refused => refused,
            },
        }
    }

    fn draw(&self, verb: BucketVerb, location: &Path) -> RequestFate {
        let weather = self.bucket.weather();
        let draw = {
            let mut rng = self.rng.lock().expect("nothing panics with the numbers in its hand");
            weather.draw(&mut rng, verb)
        };
        if draw.slow.is_some() {
            self.trace.fault(match verb {
                BucketVerb::List => "bucket: slow list",
                _ => "bucket: slow answer",
            });
        }
        if let Some(fault) = draw.fault {
            self.trace.fault(fault.kind());
            if self.trace.on() {
                self.trace.say("bucket", format!("{verb:?} {location}: {}", fault.kind()));
            }
        }
        draw
    }

    /// Waits while the process is frozen, and for ever if it was killed.
    async fn gate(&self) {
        if let Some(owner) = &self.owner {
            owner.process.gate().await;
        }
    }

    pub(super) async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gate().await;
        let draw = self.draw(BucketVerb::Get, location);
        let wanted = location.clone();
        let request = move |objects: &mut BucketObjects, _: i64| objects.get(&wanted);
        let object: StoredObject = self.send(draw, BucketVerb::Get, location, request).await?;
        let meta = object.meta(location);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|source| Error::Generic { store: STORE, source: source.into() })?,
            None => 0..meta.size,
        };
        let bytes = object.bytes.slice(at(range.start)..at(range.end));
        let parts = if draw.is_cut && !options.head && !bytes.is_empty() {
            self.trace.fault("bucket: body cut");
            vec![Ok(bytes.slice(..bytes.len() / 2)), Err(failed("the connection was reset"))]
        } else {
            vec![Ok::<Bytes, Error>(bytes)]
        };
        let payload = GetResultPayload::Stream(stream::iter(parts).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
