//! The objects of a bucket, and what a request does to them at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{Error, ListResult, ObjectMeta, PutMode, PutResult, Result};

/// The name of the store in errors: that of the real client.
pub(super) const STORE: &str = "S3";

#[derive(Clone)]
pub(super) struct StoredObject {
    pub(super) bytes: Bytes,
    modified_ms: i64,
    e_tag: String,
}

#[derive(Default)]
pub(super) struct BucketObjects {
    objects: BTreeMap<Path, StoredObject>,
    uploads: BTreeMap<u64, BTreeMap<usize, Bytes>>,
    /// The number of the last change.
    last: u64,
}

impl StoredObject {
    pub(super) fn meta(&self, location: &Path) -> ObjectMeta {
        let since = Duration::from_millis(u64::try_from(self.modified_ms).unwrap_or(0));
        ObjectMeta {
            location: location.clone(),
            last_modified: (UNIX_EPOCH + since).into(),
            size: self.bytes.len() as u64,
            e_tag: Some(self.e_tag.clone()),
            version: None,
        }
    }
}

impl BucketObjects {
    pub(super) fn put(
        &mut self,
        location: &Path,
        bytes: Bytes,
        mode: &PutMode,
        now_ms: i64,
    ) -> Result<PutResult> {
        let there = self.objects.get(location);
        match mode {
            PutMode::Overwrite => {}
            PutMode::Create if there.is_some() => return Err(already_exists(location)),
            PutMode::Create => {}
            PutMode::Update(wanted) => {
                let found = there.map(|object| object.e_tag.as_str());
                if found.is_none() || found != wanted.e_tag.as_deref() {
                    let source = format!("the ETag is {found:?}").into();
                    return Err(Error::Precondition { path: location.to_string(), source });
                }
            }
        }
        let e_tag = format!("\"{:016x}\"", self.next());
        let object = StoredObject { bytes, modified_ms: now_ms, e_tag: e_tag.clone() };
        self.objects.insert(location.clone(), object);
        Ok(PutResult { e_tag: Some(e_tag), version: None })
    }

    pub(super) fn get(&self, location: &Path) -> Result<StoredObject> {
        self.objects.get(location).cloned().ok_or_else(|| not_found(location))
    }

    /// As in S3, it is no error if there is no such object.
    pub(super) fn remove(&mut self, location: &Path) {
        self.objects.remove(location);
    }

    /// The first `max` objects under `prefix` behind `after`, in the order of names.
    pub(super) fn page(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
        max: usize,
    ) -> Vec<ObjectMeta> {
        let root = Path::default();
        let prefix = prefix.unwrap_or(&root);
        let from = match after {
            Some(after) if after > prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let is_under = |location: &Path| {
            location.prefix_match(prefix).is_some_and(|mut rest| rest.next().is_some())
        };
        self.objects
            .range::<Path, _>((from, Bound::Unbounded))
            .take_while(|(location, _)| location.as_ref().starts_with(prefix.as_ref()))
            .filter(|(location, _)| is_under(location))
            .take(max)
            .map(|(location, object)| object.meta(location))
            .collect()
    }

    /// The objects and the folders directly under `prefix`.
    pub(super) fn level(&self, prefix: Option<&Path>) -> ListResult {
        let root = Path::default();
        let above = prefix.unwrap_or(&root);
        let (mut objects, mut folders) = (Vec::new(), BTreeSet::new());
        for meta in self.page(prefix, None, usize::MAX) {
            let folder = meta.location.prefix_match(above).and_then(|mut rest| {
                let first = rest.next()?;
                rest.next().map(|_| Path::from_iter(above.parts().chain([first])))
            });
            match folder {
                Some(folder) => drop(folders.insert(folder)),
                None => objects.push(meta),
            }
        }
        ListResult { common_prefixes: folders.into_iter().collect(), objects }
    }

    pub(super) fn begin(&mut self) -> u64 {
        let upload = self.next();
        self.uploads.insert(upload, BTreeMap::new());
        upload
    }

    pub(super) fn part(
        &mut self,
        location: &Path,
        upload: u64,
        part: usize,
        bytes: Bytes,
    ) -> Result<()> {
        let parts = self.uploads.get_mut(&upload).ok_or_else(|| not_found(location))?;
        parts.insert(part, bytes);
        Ok(())
    }

    /// Makes an object of the first `count` parts.
    pub(super) fn complete(
        &mut self,
        location: &Path,
        upload: u64,
        count: usize,
        now_ms: i64,
    ) -> Result<PutResult> {
        let parts = self.uploads.get(&upload).ok_or_else(|| not_found(location))?;
        let mut whole = BytesMut::new();
        for part in 0..count {
            let bytes =
                parts.get(&part).ok_or_else(|| failed(&format!("part {part} is missing")))?;
            whole.extend_from_slice(bytes);
        }
        self.uploads.remove(&upload);
        self.put(location, whole.freeze(), &PutMode::Overwrite, now_ms)
    }

    pub(super) fn abort(&mut self, location: &Path, upload: u64) -> Result<()> {
        self.uploads.remove(&upload).map(|_| ()).ok_or_else(|| not_found(location))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.objects.keys().map(Path::to_string).collect()
    }

    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// An error that a retry may pass.
pub(super) fn failed(what: &str) -> Error {
    Error::Generic { store: STORE, source: what.into() }
}

pub(super) fn already_exists(location: &Path) -> Error {
    let source = "412 Precondition Failed".into();
    Error::AlreadyExists { path: location.to_string(), source }
}

pub(super) fn not_found(location: &Path) -> Error {
    Error::NotFound { path: location.to_string(), source: "404 Not Found".into() }
}
