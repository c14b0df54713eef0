//! Object stores in memory that record reads, or lose answers.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A store in memory that records its reads.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    inner: InMemory,
    reads: Mutex<Vec<String>>,
    /// Ranges of Parquet files, and their bytes.
    ranges: Mutex<(usize, u64)>,
    lists: Mutex<usize>,
    loses_answers: AtomicBool,
    /// Commits that it may still refuse, and those that it has refused.
    refuses: Mutex<(usize, usize)>,
}

impl Watched {
    pub(crate) fn new() -> Arc<Watched> {
        Arc::new(Watched::default())
    }

    /// The objects that were read since the last call, once for each range.
    pub(crate) fn reads(&self) -> Vec<String> {
        std::mem::take(&mut *self.reads.lock().unwrap())
    }

    /// The ranges of Parquet files that were read since the last call, and their bytes.
    pub(crate) fn range_reads(&self) -> (usize, u64) {
        std::mem::take(&mut *self.ranges.lock().unwrap())
    }

    /// The reads of Parquet files of the table `coupons`.
    pub(crate) fn coupon_reads(&self) -> Vec<String> {
        let mut reads = self.reads();
        reads.retain(|read| read.starts_with("coupons/expiry_day="));
        reads
    }

    /// How often the store was listed since the last call.
    pub(crate) fn lists(&self) -> usize {
        std::mem::take(&mut *self.lists.lock().unwrap())
    }

    /// From now on commits are made and their answers are lost.
    pub(crate) fn lose_answers(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }

    /// Refuses the next `times` commits as if their names were taken.
    pub(crate) fn refuse(&self, times: usize) {
        *self.refuses.lock().unwrap() = (times, 0);
    }

    /// How many commits it has refused since.
    pub(crate) fn refused(&self) -> usize {
        self.refuses.lock().unwrap().1
    }

    fn is_refused(&self, location: &Path) -> bool {
        let mut refuses = self.refuses.lock().unwrap();
        let is_refused = refuses.0 > 0 && location.as_ref().contains("/_delta_log/");
        if is_refused {
            *refuses = (refuses.0 - 1, refuses.1 + 1);
        }
        is_refused
    }

    fn counted(&self, location: &Path, ranges: &[Range<u64>]) {
        if location.as_ref().contains("/_delta_log/") {
            return;
        }
        let mut counted = self.ranges.lock().unwrap();
        counted.0 += ranges.len();
        counted.1 += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
    }

    fn wrote_down(&self, location: &Path, times: usize) {
        let mut reads = self.reads.lock().unwrap();
        reads.extend((0..times).map(|_| location.to_string()));
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if self.is_refused(location) {
            let (path, source) = (location.to_string(), "it is being written".into());
            return Err(Error::AlreadyExists { path, source });
        }
        let put = self.inner.put_opts(location, payload, opts).await?;
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(Error::Generic { store: "Watched", source: "connection reset".into() });
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_read = !options.head;
        let got = self.inner.get_opts(location, options).await?;
        if is_read {
            self.wrote_down(location, 1);
            self.counted(location, std::slice::from_ref(&got.range));
        }
        Ok(got)
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<bytes::Bytes>> {
        self.wrote_down(location, ranges.len());
        self.counted(location, ranges);
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        *self.lists.lock().unwrap() += 1;
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        *self.lists.lock().unwrap() += 1;
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        *self.lists.lock().unwrap() += 1;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
