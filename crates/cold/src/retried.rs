//! Retries of calls to an object store that `object_store` does not retry.
//!
//! `object_store` retries a request that was not answered, and resumes the body of an object if the
//! server gave it an ETag. It does not retry a list, nor an object without an ETag, and the kernel
//! turns such an error into one of its own. What couponry reads is small, a log entry or a row
//! group, so it is read as a whole and retried as a whole. A read that has already taken long is
//! not retried, because `object_store` has retried it.
//!
//! A write that replaces what is there is retried if the server answers `409 Conflict`: Amazon S3
//! does so while another request changes the same object, and servers that keep objects as files,
//! such as versitygw, while another one deletes the last object of the same folder. All other
//! writes are passed on unchanged: their caller looks up the outcome.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

const TRIES_MAX: u32 = 4;

/// The pause after the first try. It doubles with every further one.
const PAUSE: Duration = Duration::from_millis(100);

/// A call that took longer is not retried.
const BEGUN_AGAIN_WITHIN: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub(crate) struct RetryingStore(pub(crate) PrefixStore<AmazonS3>);

/// Calls `call` until it succeeds or fails with an error that does not pass.
async fn retried<T, F>(passes: fn(&Error) -> bool, call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let (mut pause, begun) = (PAUSE, Instant::now());
    for _ in 1..TRIES_MAX {
        match call().await {
            Err(error) if passes(&error) && begun.elapsed() < BEGUN_AGAIN_WITHIN => {}
            ended => return ended,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    call().await
}

/// Whether a read that failed with `error` may succeed when it is retried.
fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. })
}

impl RetryingStore {
    async fn whole(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.0.get_opts(location, options).await?;
        let (meta, range, attributes) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let want = range.end.saturating_sub(range.start);
        let bytes = got.bytes().await?;
        if bytes.len() as u64 != want {
            let source = format!("{} bytes of {location} came, want {want}", bytes.len());
            return Err(Error::Generic { store: "S3", source: source.into() });
        }
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }
}

/// Lists objects, and yields them after the whole list was read.
fn listed<F>(read: impl Fn() -> F + Send + 'static) -> BoxStream<'static, Result<ObjectMeta>>
where
    F: Future<Output = Result<Vec<ObjectMeta>>> + Send + 'static,
{
    stream::once(async move {
        let found = retried(is_lost, read).await?;
        Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
    })
    .try_flatten()
    .boxed()
}

impl fmt::Display for RetryingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for RetryingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Overwrite {
            return self.0.put_opts(location, payload, options).await;
        }
        // What `object_store` makes of `409 Conflict`.
        let is_conflict = |error: &Error| matches!(error, Error::AlreadyExists { .. });
        retried(is_conflict, || self.0.put_opts(location, payload.clone(), options.clone())).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.0.get_opts(location, options).await;
        }
        retried(is_lost, || self.whole(location, options.clone())).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.0.clone(), prefix.cloned());
        listed(move || store.list(prefix.as_ref()).try_collect())
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix, offset) = (self.0.clone(), prefix.cloned(), offset.clone());
        listed(move || store.list_with_offset(prefix.as_ref(), &offset).try_collect())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        retried(is_lost, || self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
