//! Where a cold store lies: objects by name, and errors that say which file of which store.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::ColdError;
use crate::local::LocalFolder;

/// One store and its name in messages.
#[derive(Clone, Debug)]
pub(crate) struct StoreLocation {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) name: Arc<str>,
    pub(crate) folder: Option<Arc<LocalFolder>>,
}

impl StoreLocation {
    /// A small object as a whole, if it is there.
    pub(crate) async fn whole(&self, path: &Path) -> Result<Option<Bytes>, ColdError> {
        let read = async { self.store.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("reading {path}"), error)),
        }
    }

    /// Everything under a folder, in the order of the names.
    pub(crate) async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>, ColdError> {
        let found = self.store.list(Some(folder)).try_collect().await;
        found.map_err(|error| self.failed(&format!("listing {folder}"), error))
    }

    /// The size of an object, if it is there.
    pub(crate) async fn size(&self, path: &Path) -> Result<Option<u64>, ColdError> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("looking for {path}"), error)),
        }
    }

    /// Removes an object; one that is gone already is.
    pub(crate) async fn remove(&self, path: &Path) -> Result<(), ColdError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            // Somebody else removed it in the same moment: some servers call that an error of their
            // own.
            Err(error) => match self.size(path).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) | Err(_) => Err(self.failed(&format!("removing {path}"), error)),
            },
        }
    }

    /// Makes sure that the names in a folder stay; an object store does by itself.
    pub(crate) async fn settle(&self, folder: &Path) -> Result<(), ColdError> {
        match &self.folder {
            Some(local) => local
                .settle(folder)
                .await
                .map_err(|error| self.failed(&format!("syncing {folder}"), error)),
            None => Ok(()),
        }
    }

    /// An error of the store while doing `what`.
    pub(crate) fn failed(&self, what: &str, error: object_store::Error) -> ColdError {
        let (location, full) = (self.name.to_string(), is_full(&error));
        let what = format!("{what}: {error}");
        if full {
            ColdError::Full { location, what }
        } else {
            ColdError::Unavailable { location, what, source: Some(error.into()) }
        }
    }

    /// The store answers, but not with what is needed.
    pub(crate) fn unavailable(&self, what: impl Into<String>) -> ColdError {
        ColdError::Unavailable { location: self.name.to_string(), what: what.into(), source: None }
    }

    /// What is wrong with a file.
    pub(crate) fn damaged(&self, file: impl ToString, what: impl ToString) -> ColdError {
        ColdError::Damaged {
            location: self.name.to_string(),
            file: file.to_string(),
            what: what.to_string(),
        }
    }

    /// A task of ours that did not come back.
    pub(crate) fn stopped(&self, error: tokio::task::JoinError) -> ColdError {
        ColdError::Unavailable {
            location: self.name.to_string(),
            what: "a task stopped".to_owned(),
            source: Some(error.into()),
        }
    }
}

/// Whether the disk takes no more, anywhere in the chain of causes.
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
