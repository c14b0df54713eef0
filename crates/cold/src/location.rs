//! The location of a cold store: objects by name, and errors that name the store and the file.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::blocking::BlockingPool;
use crate::error::{ColdError, Result};
use crate::live::LiveFile;
use crate::local::LocalFolder;

#[derive(Clone, Debug)]
pub(crate) struct StoreLocation {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) name: Arc<str>,
    pub(crate) folder: Option<Arc<LocalFolder>>,
    pub(crate) blocking: BlockingPool,
}

impl StoreLocation {
    /// Reads a small object; `None` if it does not exist.
    pub(crate) async fn whole(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async { self.store.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("reading {path}"), error)),
        }
    }

    /// Lists everything under a folder, in the order of names.
    pub(crate) async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let found = self.store.list(Some(folder)).try_collect().await;
        found.map_err(|error| self.failed(&format!("listing {folder}"), error))
    }

    /// The size of an object; `None` if it does not exist.
    pub(crate) async fn size(&self, path: &Path) -> Result<Option<u64>> {
        Ok(self.meta(path).await?.map(|meta| meta.size))
    }

    /// What is known of an object without its bytes; `None` if it does not exist.
    pub(crate) async fn meta(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("looking up {path}"), error)),
        }
    }

    /// Deletes an object. Succeeds if it does not exist.
    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            // Another process may have deleted it at the same moment. Some servers report that as
            // another error.
            Err(error) => match self.size(path).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) | Err(_) => Err(self.failed(&format!("deleting {path}"), error)),
            },
        }
    }

    /// Makes the folder unless it exists. An object store has none.
    pub(crate) async fn make(&self) -> Result<()> {
        let Some(local) = self.folder.clone() else { return Ok(()) };
        self.blocking(move || local.make()).await?.map_err(|error| {
            let error = object_store::Error::Generic { store: "LocalFolder", source: error.into() };
            self.failed("creating the folder", error)
        })
    }

    /// Makes the names in a folder durable. In an object store they already are.
    pub(crate) async fn settle(&self, folder: &Path) -> Result<()> {
        match &self.folder {
            Some(local) => local
                .settle(folder)
                .await
                .map_err(|error| self.failed(&format!("syncing {folder}"), error)),
            None => Ok(()),
        }
    }

    pub(crate) fn failed(&self, what: &str, error: object_store::Error) -> ColdError {
        let (location, full) = (self.name.to_string(), is_full(&error));
        let what = format!("{what}: {error}");
        if full {
            ColdError::Full { location, what }
        } else {
            ColdError::Unavailable { location, what, source: Some(error.into()) }
        }
    }

    /// The store answers, but without what is needed.
    pub(crate) fn unavailable(&self, what: impl Into<String>) -> ColdError {
        ColdError::Unavailable { location: self.name.to_string(), what: what.into(), source: None }
    }

    pub(crate) fn damaged(&self, file: impl ToString, what: impl ToString) -> ColdError {
        ColdError::Damaged {
            location: self.name.to_string(),
            file: file.to_string(),
            what: what.to_string(),
        }
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.blocking.spawn(work).await.map_err(|error| self.stopped(error))
    }

    /// Decodes bytes of `file`. The decoder panics only on bytes that were never written.
    pub(crate) async fn decoded<T: Send + 'static>(
        &self,
        file: &LiveFile,
        decode: impl FnOnce() -> Result<T, Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> Result<T> {
        match self.blocking.spawn(decode).await {
            Ok(decoded) => decoded.map_err(|error| self.damaged(file.object(), error)),
            Err(error) if error.is_panic() => {
                Err(self.damaged(file.object(), "it cannot be decoded"))
            }
            Err(error) => Err(self.stopped(error)),
        }
    }

    /// A task of this process that panicked or was cancelled.
    pub(crate) fn stopped(&self, error: tokio::task::JoinError) -> ColdError {
        ColdError::Unavailable {
            location: self.name.to_string(),
            what: "a task panicked or was cancelled".to_owned(),
            source: Some(error.into()),
        }
    }
}

/// Whether the disk is full or read-only, anywhere in the chain of causes.
pub(crate) fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let failed = |kind: ErrorKind| object_store::Error::Generic {
            store: "test",
            source: Box::new(io::Error::from(kind)),
        };
        let cases = [
            ("full", ErrorKind::StorageFull, true),
            ("over quota", ErrorKind::QuotaExceeded, true),
            ("read-only", ErrorKind::ReadOnlyFilesystem, true),
            ("broken", ErrorKind::Other, false),
        ];
        for (name, kind, want) in cases {
            assert_eq!(is_full(&failed(kind)), want, "{name}");
        }
    }
}
