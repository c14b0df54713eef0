//! A cache of footers: least recently used, limited by memory.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::path::Path;

use crate::footer::FileFooter;

#[derive(Debug)]
pub(super) struct FooterCache {
    bytes_max: usize,
    bytes: usize,
    /// Counts uses. The footer with the lowest number is removed first.
    clock: u64,
    kept: HashMap<Path, CachedFooter>,
}

#[derive(Debug)]
struct CachedFooter {
    used: u64,
    bytes: usize,
    footer: Arc<FileFooter>,
}

impl FooterCache {
    pub(super) fn new(bytes_max: usize) -> FooterCache {
        FooterCache { bytes_max, bytes: 0, clock: 0, kept: HashMap::new() }
    }

    pub(super) fn get(&mut self, object: &Path) -> Option<Arc<FileFooter>> {
        self.clock += 1;
        let kept = self.kept.get_mut(object)?;
        kept.used = self.clock;
        Some(Arc::clone(&kept.footer))
    }

    pub(super) fn put(&mut self, object: &Path, footer: &Arc<FileFooter>) {
        self.clock += 1;
        let new =
            CachedFooter { used: self.clock, bytes: footer.bytes(), footer: Arc::clone(footer) };
        self.bytes += new.bytes;
        let old = self.kept.insert(object.clone(), new);
        self.bytes -= old.map_or(0, |old| old.bytes);
        while self.bytes > self.bytes_max {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(object, _)| object.clone()) else { break };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |old| old.bytes);
        }
    }

    /// The number of footers, and the bytes they take, about.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }
}
