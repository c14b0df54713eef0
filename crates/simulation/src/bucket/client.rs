//! The client of one process: how a request goes to the bucket and its answer comes back.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

use super::state::{Object, STORE, State, already_exists, failed, not_found};
use super::tamper::{BucketTamper, Write};
use super::upload::Upload;
use super::weather::{Does, Draw, Fault};
use super::{Bucket, list};
use crate::rng::Rng;
use crate::session::SimulatedProcess;
use crate::trace::Trace;

pub(super) struct Client {
    pub(super) bucket: Bucket,
    /// `None` for somebody who is never stopped.
    owner: Option<Owner>,
    rng: Mutex<Rng>,
    trace: Trace,
}

/// Whose client it is.
pub(super) struct Owner {
    pub(super) process: SimulatedProcess,
    pub(super) tamper: Arc<dyn BucketTamper>,
}

impl Client {
    pub(super) fn new(bucket: Bucket, owner: Option<Owner>, rng: Rng, trace: Trace) -> Client {
        Client { bucket, owner, rng: Mutex::new(rng), trace }
    }

    /// Sends a request. `request` does it at the moment at which it arrives.
    pub(super) async fn call<T, R>(&self, does: Does, location: &Path, request: R) -> Result<T>
    where
        T: Send + 'static,
        R: FnOnce(&mut State, i64) -> Result<T> + Send + 'static,
    {
        self.gate().await;
        let hooked = self.owner.as_ref().zip(Write::of(does, location));
        if let Some((owner, write)) = &hooked {
            owner.tamper.before(write);
            owner.process.gate().await;
        }
        let draw = self.draw(does, location);
        let answer = self.send(draw, does, location, request).await;
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

    async fn send<T, R>(&self, draw: Draw, does: Does, location: &Path, request: R) -> Result<T>
    where
        T: Send + 'static,
        R: FnOnce(&mut State, i64) -> Result<T> + Send + 'static,
    {
        tokio::time::sleep(draw.there).await;
        let answer = if self.bucket.is_away() {
            self.trace.fault("bucket: away");
            Err(failed("the connection was refused"))
        } else {
            self.arrived(draw.fault, does, location, request)
        };
        let is_silent = draw.fault.is_some_and(Fault::is_silent);
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

    fn arrived<T, R>(
        &self,
        fault: Option<Fault>,
        does: Does,
        location: &Path,
        request: R,
    ) -> Result<T>
    where
        T: Send + 'static,
        R: FnOnce(&mut State, i64) -> Result<T> + Send + 'static,
    {
        match fault {
            None => self.bucket.apply(request),
            Some(Fault::Unavailable) => Err(failed("503 Slow Down")),
            Some(Fault::RequestLost) => Err(failed("the request timed out")),
            Some(Fault::AnswerLost) => {
                // What became of it is in the lost answer.
                let _ = self.bucket.apply(request);
                Err(failed("the request timed out"))
            }
            Some(Fault::DoneLate(after)) => {
                let bucket = self.bucket.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = bucket.apply(request);
                });
                Err(failed("the request timed out"))
            }
            Some(Fault::OwnRetry) => match self.bucket.apply(request) {
                Ok(_) if does == Does::Create => Err(already_exists(location)),
                Ok(_) => Err(not_found(location)),
                refused => refused,
            },
        }
    }

    fn draw(&self, does: Does, location: &Path) -> Draw {
        let weather = self.bucket.weather();
        let draw = {
            let mut rng = self.rng.lock().expect("nothing panics with the numbers in its hand");
            weather.draw(&mut rng, does)
        };
        if draw.slow.is_some() {
            self.trace.fault(match does {
                Does::List => "bucket: slow list",
                _ => "bucket: slow answer",
            });
        }
        if let Some(fault) = draw.fault {
            self.trace.fault(fault.kind());
            if self.trace.on() {
                self.trace.say("bucket", format!("{does:?} {location}: {}", fault.kind()));
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

    async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gate().await;
        let draw = self.draw(Does::Get, location);
        let wanted = location.clone();
        let request = move |state: &mut State, _: i64| state.get(&wanted);
        let object: Object = self.send(draw, Does::Get, location, request).await?;
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

/// The bucket through one client.
pub(super) struct ClientStore(pub(super) Arc<Client>);

impl fmt::Debug for ClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientStore")
    }
}

impl fmt::Display for ClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated bucket")
    }
}

#[async_trait]
impl ObjectStore for ClientStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (to, bytes, mode) = (location.clone(), Bytes::from(payload), options.mode);
        let does = if mode == PutMode::Create { Does::Create } else { Does::Put };
        let request = move |state: &mut State, now_ms| state.put(&to, bytes, &mode, now_ms);
        self.0.call(does, location, request).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = |state: &mut State, _: i64| Ok(state.begin());
        let upload = self.0.call(Does::Begin, location, begin).await?;
        Ok(Box::new(Upload::new(Arc::clone(&self.0), location.clone(), upload)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = Arc::clone(&self.0);
        let delete = move |location: Result<Path>| {
            let client = Arc::clone(&client);
            async move {
                let location = location?;
                let gone = location.clone();
                let request = move |state: &mut State, _: i64| {
                    state.remove(&gone);
                    Ok(())
                };
                client.call(Does::Delete, &location, request).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        list::pages(&self.0, prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        list::pages(&self.0, prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (under, location) = (prefix.cloned(), prefix.cloned().unwrap_or_default());
        let request = move |state: &mut State, _: i64| Ok(state.level(under.as_ref()));
        self.0.call(Does::List, &location, request).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented {
            operation: "`copy_opts`".into(),
            implementer: self.to_string(),
        })
    }
}
