//! The cases of `moves` for the cold tier, with a bucket of a real S3 server. A bucket of versitygw
//! is a folder, so the tests can still copy and read it as one.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]
#![expect(dead_code, reason = "some items are for the cases about folders")]

mod moves {
    #[path = "../moves/readers.rs"]
    mod readers;
    #[path = "../moves/steps.rs"]
    mod steps;
    #[path = "../moves/stores.rs"]
    mod stores;
    #[path = "../moves/together.rs"]
    mod together;
    #[path = "../moves/world.rs"]
    mod world;
}

/// Where the cold tier is: in a bucket, under the name of its folder.
mod place {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, LazyLock};

    use cold::{BucketAddress, ColdOptions, ColdStore};
    use object_store::ObjectStore;
    use tempfile::TempDir;
    use testbucket::{BUCKET, Kind, Server};

    /// The folder of the bucket, for a child of the process that runs the server.
    const BUCKET_FOLDER: &str = "COUPONRY_TEST_BUCKET_FOLDER";

    struct Shared {
        /// The variables that lead to the server. None if nobody asks for one: a printed line says so.
        environment: Option<Vec<(String, String)>>,
        folder: PathBuf,
        _server: Option<Server>,
    }

    static SHARED: LazyLock<Shared> = LazyLock::new(|| {
        if let Some(folder) = std::env::var_os(BUCKET_FOLDER) {
            let environment = Some(std::env::vars().collect());
            return Shared { environment, folder: folder.into(), _server: None };
        }
        match Server::start(Kind::Versitygw) {
            Some(server) => {
                println!("the cold tier is in a bucket of versitygw at {}", server.address());
                let (environment, folder) = (Some(server.environment()), server.bucket());
                Shared { environment, folder, _server: Some(server) }
            }
            None => Shared { environment: None, folder: std::env::temp_dir(), _server: None },
        }
    });

    pub(crate) fn is_there() -> bool {
        SHARED.environment.is_some()
    }

    pub(crate) fn folder() -> TempDir {
        TempDir::with_prefix_in("place", &SHARED.folder).unwrap()
    }

    pub(crate) fn cold(folder: &Path, options: ColdOptions) -> ColdStore {
        let environment = SHARED.environment.clone().expect("a server");
        let prefix = folder.strip_prefix(&SHARED.folder).unwrap().display();
        let address: BucketAddress = format!("s3://{BUCKET}/{prefix}").parse().unwrap();
        ColdStore::on_bucket_by(&address, environment, options).unwrap()
    }

    pub(crate) fn objects(folder: &Path) -> Arc<dyn ObjectStore> {
        cold(folder, ColdOptions::default()).objects()
    }

    /// Every 29th step is tried, because a compaction takes seconds here and has hundreds of steps.
    /// With `COUPONRY_TEST_EVERY_STEP` every step is tried.
    pub(crate) fn stride() -> u64 {
        if std::env::var_os("COUPONRY_TEST_EVERY_STEP").is_some() { 1 } else { 29 }
    }

    pub(crate) fn environment() -> Vec<(String, String)> {
        let mut environment = SHARED.environment.clone().expect("a server");
        environment.push((BUCKET_FOLDER.to_owned(), SHARED.folder.display().to_string()));
        environment
    }
}
