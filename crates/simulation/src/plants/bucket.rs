//! The object store of one process, with a bug in front of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The folder of a table's commits.
const LOG: &str = "_delta_log/";

/// What happens to requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BucketBug {
    /// A commit is put over one of the same number.
    OverwritesCommits,
    /// Whoever lists deletes the data files that no commit names.
    SweepsAtOnce,
}

/// An object store as a process with a planted bug sees it.
#[derive(Clone)]
pub(super) struct PlantedBucket {
    store: Arc<dyn ObjectStore>,
    bug: BucketBug,
    /// The commits that the process has read, by their names: old ones may be deleted.
    commits: Arc<Mutex<BTreeMap<Path, String>>>,
}

impl PlantedBucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, bug: BucketBug) -> PlantedBucket {
        PlantedBucket { store, bug, commits: Arc::default() }
    }

    /// An error ends it, as it ends any other sweep.
    async fn sweep(&self) -> Result<()> {
        if self.bug != BucketBug::SweepsAtOnce {
            return Ok(());
        }
        let objects: Vec<ObjectMeta> = self.store.list(None).try_collect().await?;
        let names: Vec<Path> = objects.into_iter().map(|object| object.location).collect();
        let (log, rest): (Vec<Path>, Vec<Path>) =
            names.into_iter().partition(|name| name.as_ref().contains(LOG));
        for name in log.into_iter().filter(|name| name.as_ref().ends_with(".json")) {
            if self.with(|commits| commits.contains_key(&name)) {
                continue;
            }
            let commit = self.store.get_opts(&name, GetOptions::default()).await?.bytes().await?;
            let text = String::from_utf8_lossy(&commit).into_owned();
            self.with(|commits| commits.insert(name, text));
        }
        let is_swept = |name: &Path| {
            let file = name.filename().unwrap_or_default();
            let is_named = self.with(|commits| commits.values().any(|text| text.contains(file)));
            file.ends_with(".parquet") && !is_named
        };
        let swept: Vec<Result<Path>> = rest.into_iter().filter(is_swept).map(Ok).collect();
        let gone = self.store.delete_stream(stream::iter(swept).boxed());
        gone.try_collect::<Vec<Path>>().await.map(drop)
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Path, String>) -> T) -> T {
        work(&mut self.commits.lock().expect("nothing panics with the commits in its hand"))
    }
}

impl fmt::Debug for PlantedBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlantedBucket")
    }
}

impl fmt::Display for PlantedBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with a planted bug", self.store)
    }
}

#[async_trait]
impl ObjectStore for PlantedBucket {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let is_commit = options.mode == PutMode::Create && location.as_ref().contains(LOG);
        if is_commit && self.bug == BucketBug::OverwritesCommits {
            options.mode = PutMode::Overwrite;
        }
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (planted, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            // The list is what was asked for, whatever became of the sweep.
            let _ = planted.sweep().await;
            planted.store.list(prefix.as_ref())
        };
        stream::once(listed).flatten().boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (planted, prefix, offset) = (self.clone(), prefix.cloned(), offset.clone());
        let listed = async move {
            let _ = planted.sweep().await;
            planted.store.list_with_offset(prefix.as_ref(), &offset)
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let _ = self.sweep().await;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{BucketWeather, SimulatedBucket};
    use simulated_cluster::rng::Rng;
    use simulated_cluster::trace::Trace;

    async fn put(store: &dyn ObjectStore, name: &str, text: &'static str) -> Result<PutResult> {
        let create = PutOptions::from(PutMode::Create);
        store.put_opts(&Path::from(name), PutPayload::from(text), create).await
    }

    fn made(bug: BucketBug) -> (SimulatedBucket, PlantedBucket) {
        let bucket = SimulatedBucket::new(0, BucketWeather::calm());
        let store = bucket.for_observer(Rng::new(1), Trace::new(false));
        (bucket, PlantedBucket::new(store, bug))
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_is_overwritten_and_nothing_else() {
        let (_, store) = made(BucketBug::OverwritesCommits);
        for (name, is_overwritten) in [("t/_delta_log/0.json", true), ("t/data", false)] {
            put(&store, name, "first").await.expect("it is new");
            assert_eq!(put(&store, name, "second").await.is_ok(), is_overwritten, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_no_commit_names_is_swept() {
        let (bucket, store) = made(BucketBug::SweepsAtOnce);
        put(&store, "t/_delta_log/0.json", "{\"path\":\"a.parquet\"}").await.expect("new");
        put(&store, "t/a.parquet", "a").await.expect("new");
        put(&store, "t/b.parquet", "b").await.expect("new");
        let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.expect("calm");
        assert_eq!(listed.len(), 2);
        assert_eq!(bucket.names(), ["t/_delta_log/0.json", "t/a.parquet"]);
    }
}
