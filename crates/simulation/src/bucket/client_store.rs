//! The bucket through the client of one process, as a store of objects.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::client::BucketClient;
use super::list;
use super::state::BucketObjects;
use super::upload::PartUpload;
use super::weather::BucketVerb;

/// The bucket through one client.
pub(super) struct ClientStore(pub(super) Arc<BucketClient>);

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
        let verb = if mode == PutMode::Create { BucketVerb::Create } else { BucketVerb::Put };
        let request =
            move |objects: &mut BucketObjects, now_ms| objects.put(&to, bytes, &mode, now_ms);
        self.0.call(verb, location, request).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = |objects: &mut BucketObjects, _: i64| Ok(objects.begin());
        let upload = self.0.call(BucketVerb::Begin, location, begin).await?;
        Ok(Box::new(PartUpload::new(Arc::clone(&self.0), location.clone(), upload)))
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
                let request = move |objects: &mut BucketObjects, _: i64| {
                    objects.remove(&gone);
                    Ok(())
                };
                client.call(BucketVerb::Delete, &location, request).await?;
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
        let request = move |objects: &mut BucketObjects, _: i64| Ok(objects.level(under.as_ref()));
        self.0.call(BucketVerb::List, &location, request).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented {
            operation: "`copy_opts`".into(),
            implementer: self.to_string(),
        })
    }
}
