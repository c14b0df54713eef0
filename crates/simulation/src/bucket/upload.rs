//! An upload in parts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::client::Client;
use super::state::State;
use super::weather::Does;

pub(super) struct Upload {
    client: Arc<Client>,
    location: Path,
    upload: u64,
    parts: usize,
}

impl Upload {
    pub(super) fn new(client: Arc<Client>, location: Path, upload: u64) -> Upload {
        Upload { client, location, upload, parts: 0 }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upload {} of {}", self.upload, self.location)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (client, location, upload) =
            (Arc::clone(&self.client), self.location.clone(), self.upload);
        let (part, bytes) = (self.parts, Bytes::from(payload));
        self.parts += 1;
        Box::pin(async move {
            let to = location.clone();
            let request = move |state: &mut State, _: i64| state.part(&to, upload, part, bytes);
            client.call(Does::Part, &location, request).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (to, upload, parts) = (self.location.clone(), self.upload, self.parts);
        let request = move |state: &mut State, now_ms| state.complete(&to, upload, parts, now_ms);
        self.client.call(Does::Complete, &self.location, request).await
    }

    async fn abort(&mut self) -> Result<()> {
        let (to, upload) = (self.location.clone(), self.upload);
        let request = move |state: &mut State, _: i64| state.abort(&to, upload);
        self.client.call(Does::Abort, &self.location, request).await
    }
}
