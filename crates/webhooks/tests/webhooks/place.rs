//! A data folder.

use std::path::PathBuf;

use tempfile::TempDir;
use webhooks::{Options, Webhooks};

pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("webhooks.db")
    }

    pub(crate) fn open(&self, options: Options) -> Webhooks {
        Webhooks::open(&self.path(), options).unwrap()
    }
}
