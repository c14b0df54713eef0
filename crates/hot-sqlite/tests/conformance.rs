//! The conformance suite on SQLite.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

use std::sync::Arc;
use std::time::Duration;

use hot::HotStore;
use hot_conformance::kit::{MemoryArchive, keys};
use hot_conformance::{Ground, conforms};
use hot_sqlite::{SqliteHot, SqliteOptions};

async fn open(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    let folder = tempfile::tempdir().unwrap();
    // Room for a machine that does other things besides.
    let write_timeout = Duration::from_secs(60);
    let options = SqliteOptions { free_min_bytes: 0, write_timeout, ..SqliteOptions::default() };
    let hot = SqliteHot::open(folder.path(), keys(), archive, options).unwrap();
    Some((Arc::new(hot), Box::new(folder)))
}

conforms!(each sqlite by open);
