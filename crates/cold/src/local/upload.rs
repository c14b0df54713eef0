//! Uploads in parts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::{Error, MultipartUpload, PutMode, PutPayload, PutResult, Result, UploadPart};

use super::blocking;
use super::staged::StagedFile;

#[derive(Debug)]
pub(super) struct LocalUpload {
    file: Arc<File>,
    staged: Option<StagedFile>,
    /// The offset of the next part.
    end: u64,
}

impl LocalUpload {
    pub(super) fn begin(staged: StagedFile) -> io::Result<LocalUpload> {
        Ok(LocalUpload { file: Arc::new(staged.open()?), staged: Some(staged), end: 0 })
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut at = self.end;
        self.end += data.content_length() as u64;
        let file = Arc::clone(&self.file);
        let named = self.staged.as_ref().map_or_else(PathBuf::new, |it| it.named.clone());
        Box::pin(async move {
            blocking(&named, move || {
                for bytes in &data {
                    file.write_all_at(bytes, at)?;
                    at += bytes.len() as u64;
                }
                Ok(())
            })
            .await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.take().ok_or_else(over)?;
        let file = Arc::clone(&self.file);
        let named = staged.named.clone();
        blocking(&named, move || {
            // Before it has its name, as in `put_opts`.
            file.sync_all()?;
            staged.publish(&PutMode::Create)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.take().ok_or_else(over)?;
        let named = staged.named.clone();
        blocking(&named, move || {
            drop(staged);
            Ok(())
        })
        .await
    }
}

fn over() -> Error {
    Error::Generic { store: "LocalFolder", source: "the upload has ended".into() }
}
