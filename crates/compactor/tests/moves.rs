//! The compactor on a real hot store and a real cold folder: no coupon is lost and none is there
//! twice, also if a process stops, fails, freezes or works at the same time.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

mod moves {
    mod damage;
    mod deleting;
    mod erasing;
    mod plan;
    mod readers;
    mod restored;
    mod runs_at_most;
    mod steps;
    mod stores;
    mod tiers;
    mod together;
    mod world;
}

/// Where the cold tier is: in a folder. `moves_bucket` has the same cases with a bucket.
mod place {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use cold::{ColdOptions, ColdStore};
    use object_store::ObjectStore;
    use object_store::local::LocalFileSystem;
    use tempfile::TempDir;
    use testengines::times;

    /// A new folder for a place.
    pub(crate) fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// The cold tier in `folder`.
    pub(crate) fn cold(folder: &Path, options: ColdOptions) -> ColdStore {
        ColdStore::on_folder(folder, options)
    }

    /// The object store under it.
    pub(crate) fn objects(folder: &Path) -> Arc<dyn ObjectStore> {
        fs::create_dir_all(folder).unwrap();
        Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap())
    }

    /// Each of the three sweeps tries every twentieth step, in CI every tenth, each sweep different
    /// ones. With `COUPONRY_TEST_EVERY_STEP` they try every step.
    pub(crate) fn stride() -> u64 {
        if std::env::var_os("COUPONRY_TEST_EVERY_STEP").is_some() { 1 } else { times(20, 10) }
    }

    /// A folder is always there.
    pub(crate) fn is_there() -> bool {
        true
    }

    /// What another process needs to find it.
    pub(crate) fn environment() -> Vec<(String, String)> {
        Vec::new()
    }
}
