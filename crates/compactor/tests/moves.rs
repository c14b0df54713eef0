//! The compactor on a real hot store and a real cold folder: nothing is lost, nothing is there
//! twice, whoever stops, fails, freezes or works beside it.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod moves {
    mod damage;
    mod plan;
    mod readers;
    mod restored;
    mod steps;
    mod stores;
    mod tiers;
    mod together;
    mod world;
}

/// Where the cold tier lies: in a folder. `moves_bucket` has the same cases on a bucket.
mod place {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use cold::{ColdStore, Options};
    use object_store::ObjectStore;
    use object_store::local::LocalFileSystem;
    use tempfile::TempDir;

    /// A new folder for a place.
    pub(crate) fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// The cold tier in `folder`.
    pub(crate) fn cold(folder: &Path, options: Options) -> ColdStore {
        ColdStore::on_folder(folder, options)
    }

    /// What lies beneath it.
    pub(crate) fn objects(folder: &Path) -> Arc<dyn ObjectStore> {
        fs::create_dir_all(folder).unwrap();
        Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap())
    }

    /// Every fifth step is tried, by each of the three sweeps other ones, or each one if whoever
    /// runs the tests wants that.
    pub(crate) fn stride() -> u64 {
        if std::env::var_os("COUPONRY_TEST_EVERY_STEP").is_some() { 1 } else { 5 }
    }

    /// What another process needs to find it.
    pub(crate) fn environment() -> Vec<(String, String)> {
        Vec::new()
    }
}
