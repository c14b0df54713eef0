//! A local folder as a durable object store.
//!
//! Invariant: when a write returns, the object and its name survive a crash. `LocalFileSystem`
//! never syncs, and it is not enough to sync a file after it has its name: a log entry that has its
//! name but not its bytes can never be replaced. So an object is written to the staging folder,
//! synced, given its name, and then the folders that contain the name are synced. Reads, lists and
//! deletes are those of `LocalFileSystem`.

mod staged;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use staged::{STAGING, StagedFile, keep, sync_folder};

/// A staged file of this age has no writer any more: no upload takes a day.
pub(crate) const STAGING_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of the local disk. Only [`LocalFolder::make`] creates the folder itself, so that
/// nothing is written under the mount point of a disk that is not mounted.
#[derive(Debug)]
pub(crate) struct LocalFolder {
    root: PathBuf,
    /// Folders whose own names are known to be synced.
    kept: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalFolder {
    pub(crate) fn new(root: &FilePath) -> LocalFolder {
        LocalFolder { root: root.to_owned(), kept: Arc::default() }
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.root)?;
        // It is not known who created which of them, so all are synced up to the root of the file
        // system.
        for folder in fs::canonicalize(&self.root)?.ancestors() {
            match sync_folder(folder) {
                Ok(()) => {}
                // This process did not create a parent that it may not read.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn is_gone(&self) -> bool {
        !self.root.is_dir()
    }

    /// Makes the names in a folder and its own name durable, whichever process created them.
    pub(crate) async fn settle(&self, folder: &Path) -> Result<()> {
        let (root, folder) = (self.root.clone(), self.file(folder));
        let kept = Arc::clone(&self.kept);
        blocking(folder.clone(), move || {
            sync_folder(&folder)?;
            keep(&root, &kept, &folder)
        })
        .await
    }

    /// Deletes what crashed writers left behind before an instant. A writer that still runs fails.
    pub(crate) async fn sweep_staging(&self, before: SystemTime) -> Result<()> {
        let staging = self.root.join(STAGING);
        blocking(staging.clone(), move || {
            let entries = match fs::read_dir(&staging) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.metadata()?.modified()? < before {
                    remove_if_there(&entry.path())?;
                }
            }
            Ok(())
        })
        .await
    }

    fn inner(&self) -> Result<LocalFileSystem> {
        LocalFileSystem::new_with_prefix(&self.root)
    }

    fn file(&self, location: &Path) -> PathBuf {
        self.root.join(location.as_ref())
    }

    fn stage(&self, location: &Path) -> StagedFile {
        StagedFile::new(&self.root, self.file(location), &self.kept)
    }
}

#[async_trait]
impl ObjectStore for LocalFolder {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) {
            return Err(Error::NotImplemented {
                operation: "`put_opts` with mode `PutMode::Update`".into(),
                implementer: self.to_string(),
            });
        }
        let staged = self.stage(location);
        blocking(staged.named.clone(), move || {
            let mut file = staged.open()?;
            payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
            // Before it has its name: a named log entry without its bytes can never be replaced.
            file.sync_all()?;
            staged.publish(&opts.mode)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let staged = self.stage(location);
        let begin = blocking(staged.named.clone(), move || LocalUpload::begin(staged));
        Ok(Box::new(begin.await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner()?.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.inner() {
            Ok(inner) => inner.delete_stream(locations),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        ascending(self.inner().map(|inner| inner.list(prefix)))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        ascending(self.inner().map(|inner| inner.list_with_offset(prefix, offset)))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner()?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented {
            operation: "`copy_opts`".into(),
            implementer: self.to_string(),
        })
    }
}

impl fmt::Display for LocalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

#[derive(Debug)]
struct LocalUpload {
    file: Arc<File>,
    staged: Option<StagedFile>,
    /// The offset of the next part.
    end: u64,
}

impl LocalUpload {
    fn begin(staged: StagedFile) -> io::Result<LocalUpload> {
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
        Box::pin(blocking(named, move || {
            for bytes in &data {
                file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.take().ok_or_else(over)?;
        let file = Arc::clone(&self.file);
        blocking(staged.named.clone(), move || {
            // Before it has its name, as in `put_opts`.
            file.sync_all()?;
            staged.publish(&PutMode::Create)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.take().ok_or_else(over)?;
        blocking(staged.named.clone(), move || {
            drop(staged);
            Ok(())
        })
        .await
    }
}

fn over() -> Error {
    Error::Generic { store: "LocalFolder", source: "the upload has ended".into() }
}

/// `LocalFileSystem` lists in the order of the disk, and the log must be read in the order of
/// names.
fn ascending(
    list: Result<BoxStream<'static, Result<ObjectMeta>>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(async {
        let mut found: Vec<ObjectMeta> = list?.try_collect().await?;
        found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
    })
    .try_flatten()
    .boxed()
}

async fn blocking<T: Send + 'static>(
    named: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await?.map_err(|source| {
        let path = named.display().to_string();
        match source.kind() {
            ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: source.into() },
            ErrorKind::NotFound => Error::NotFound { path, source: source.into() },
            _ => Error::Generic {
                store: "LocalFolder",
                source: Box::new(LocalFileError { path, source }),
            },
        }
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
struct LocalFileError {
    path: String,
    source: io::Error,
}

fn remove_if_there(file: &FilePath) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, LocalFolder) {
        let disk = TempDir::new().unwrap();
        let folder = LocalFolder::new(disk.path());
        (disk, folder)
    }

    async fn listed(folder: &LocalFolder) -> Vec<String> {
        let found: Vec<ObjectMeta> = folder.list(None).try_collect().await.unwrap();
        found.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    #[tokio::test]
    async fn a_name_is_given_once() {
        let (disk, folder) = folder();
        let at = Path::from("log/a/1.json");
        let create = || PutOptions::from(PutMode::Create);
        folder.put_opts(&at, "first".into(), create()).await.unwrap();
        let again = folder.put_opts(&at, "second".into(), create()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        let mut upload = folder.put_multipart(&at).await.unwrap();
        upload.put_part("third".into()).await.unwrap();
        let again = upload.complete().await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        assert_eq!(folder.get(&at).await.unwrap().bytes().await.unwrap(), "first");
        folder.put(&at, "fourth".into()).await.unwrap();
        assert_eq!(folder.get(&at).await.unwrap().bytes().await.unwrap(), "fourth");
        assert_eq!(fs::read_dir(disk.path().join(STAGING)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_upload_is_seen_when_it_is_complete() {
        let (_disk, folder) = folder();
        let at = Path::from("day/a.parquet");
        let mut upload = folder.put_multipart(&at).await.unwrap();
        let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert_eq!(listed(&folder).await, Vec::<String>::new());
        upload.complete().await.unwrap();
        assert_eq!(listed(&folder).await, ["day/a.parquet"]);
        assert_eq!(folder.get(&at).await.unwrap().bytes().await.unwrap(), "one two");

        let mut upload = folder.put_multipart(&Path::from("day/b.parquet")).await.unwrap();
        upload.put_part("one".into()).await.unwrap();
        upload.abort().await.unwrap();
        drop(folder.put_multipart(&Path::from("day/c.parquet")).await.unwrap());
        assert_eq!(listed(&folder).await, ["day/a.parquet"]);
    }

    #[tokio::test]
    async fn names_are_listed_in_order() {
        let (_disk, folder) = folder();
        for name in ["log/3", "log/1", "log/2", "other/1"] {
            folder.put(&Path::from(name), "x".into()).await.unwrap();
        }
        let after: Vec<ObjectMeta> = folder
            .list_with_offset(Some(&Path::from("log")), &Path::from("log/1"))
            .try_collect()
            .await
            .unwrap();
        let after: Vec<String> = after.into_iter().map(|meta| meta.location.to_string()).collect();
        assert_eq!(after, ["log/2", "log/3"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_not_made_by_a_write() {
        let (disk, folder) = folder();
        drop(disk);
        let put = folder.put(&Path::from("a/1"), "x".into()).await;
        assert!(matches!(put, Err(Error::NotFound { .. })), "{put:?}");
        assert!(!folder.root.exists());
        assert!(folder.list(None).try_collect::<Vec<_>>().await.is_err());
    }

    #[tokio::test]
    async fn staged_files_are_swept_by_their_age() {
        let (disk, folder) = folder();
        let upload = folder.put_multipart(&Path::from("a/1")).await.unwrap();
        let now = SystemTime::now();
        let cases = [
            ("a fresh one stays", now - Duration::from_secs(60), 1),
            ("an older one goes", now + Duration::from_secs(60), 0),
        ];
        for (name, before, want) in cases {
            folder.sweep_staging(before).await.unwrap();
            assert_eq!(fs::read_dir(disk.path().join(STAGING)).unwrap().count(), want, "{name}");
        }
        drop(upload);
    }
}
