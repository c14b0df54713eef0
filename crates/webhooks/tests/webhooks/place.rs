//! The records of a data folder.

use std::path::PathBuf;
use std::sync::Arc;

use hot::tables::Tables;
use hot_sqlite::RecordFile;
use tempfile::TempDir;
use webhooks::{Options, Webhooks};

pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    /// `None` where there is no such store.
    pub(crate) fn find() -> Option<Place> {
        Some(Place::new())
    }

    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(RecordFile::NAME)
    }

    pub(crate) fn open(&self, options: Options) -> Webhooks {
        open(self.path(), options)
    }

    /// What [`open_named`] needs to open it in another process.
    pub(crate) fn name(&self) -> String {
        self.path().display().to_string()
    }

    pub(crate) fn tables(&self) -> Arc<dyn Tables> {
        tables(self.path(), &Options::default())
    }
}

fn tables(path: PathBuf, options: &Options) -> Arc<dyn Tables> {
    Arc::new(RecordFile::open(&path, Arc::clone(&options.clock)).unwrap())
}

fn open(path: PathBuf, options: Options) -> Webhooks {
    Webhooks::new(tables(path, &options), options).unwrap()
}

pub(crate) async fn open_named(name: &str, options: Options) -> Webhooks {
    open(PathBuf::from(name), options)
}
