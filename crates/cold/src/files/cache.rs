//! A cache of footers: least recently used, limited by memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::path::Path;

use crate::footer::Footer;

#[derive(Debug)]
pub(super) struct FooterCache {
    footers: Mutex<FooterEntries>,
}

#[derive(Debug)]
struct FooterEntries {
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
    footer: Arc<Footer>,
}

impl FooterCache {
    pub(super) fn new(bytes_max: usize) -> FooterCache {
        let footers = FooterEntries { bytes_max, bytes: 0, clock: 0, kept: HashMap::new() };
        FooterCache { footers: Mutex::new(footers) }
    }

    pub(super) fn get(&self, object: &Path) -> Option<Arc<Footer>> {
        let mut footers = self.lock();
        footers.clock += 1;
        let clock = footers.clock;
        let kept = footers.kept.get_mut(object)?;
        kept.used = clock;
        Some(Arc::clone(&kept.footer))
    }

    pub(super) fn put(&self, object: &Path, footer: &Arc<Footer>) {
        let mut footers = self.lock();
        let FooterEntries { bytes_max, bytes, clock, kept } = &mut *footers;
        *clock += 1;
        let new = CachedFooter { used: *clock, bytes: footer.bytes(), footer: Arc::clone(footer) };
        *bytes += new.bytes;
        let old = kept.insert(object.clone(), new);
        *bytes -= old.map_or(0, |old| old.bytes);
        while *bytes > *bytes_max {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(object, _)| object.clone()) else { break };
            *bytes -= kept.remove(&oldest).map_or(0, |old| old.bytes);
        }
    }

    /// The number of footers, and the bytes they take, about.
    pub(super) fn size(&self) -> (usize, usize) {
        let footers = self.lock();
        (footers.kept.len(), footers.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, FooterEntries> {
        self.footers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
