//! An upload in parts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::client::BucketClient;
use super::state::BucketObjects;
use super::weather::BucketVerb;

pub(super) struct PartUpload {
    client: Arc<BucketClient>,
    location: Path,
    upload: u64,
    parts: usize,
}

impl PartUpload {
    pub(super) fn new(client: Arc<BucketClient>, location: Path, upload: u64) -> PartUpload {
        PartUpload { client, location, upload, parts: 0 }
    }
}

impl fmt::Debug for PartUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upload {} of {}", self.upload, self.location)
    }
}

#[async_trait]
impl MultipartUpload for PartUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (client, location, upload) =
            (Arc::clone(&self.client), self.location.clone(), self.upload);
        let (part, bytes) = (self.parts, Bytes::from(payload));
        self.parts += 1;
        Box::pin(async move {
            let to = location.clone();
            let request =
                move |objects: &mut BucketObjects, _: i64| objects.part(&to, upload, part, bytes);
            client.call(BucketVerb::Part, &location, request).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (to, upload, parts) = (self.location.clone(), self.upload, self.parts);
        let request =
            move |objects: &mut BucketObjects, now_ms| objects.complete(&to, upload, parts, now_ms);
        self.client.call(BucketVerb::Complete, &self.location, request).await
    }

    async fn abort(&mut self) -> Result<()> {
        let (to, upload) = (self.location.clone(), self.upload);
        let request = move |objects: &mut BucketObjects, _: i64| objects.abort(&to, upload);
        self.client.call(BucketVerb::Abort, &self.location, request).await
    }
}
