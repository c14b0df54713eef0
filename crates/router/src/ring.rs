//! The code keys of a process.

use std::sync::Arc;

use coupon::minted::CodeKey;
use parking_lot::RwLock;

/// The code keys that a process mints and opens codes with, the newest last. Clones share one ring,
/// so a key that is added while the process runs is added for all of it at once.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<RwLock<Arc<[CodeKey]>>>);

impl KeyRing {
    /// The keys as they are now. Costs one increment of a reference count.
    pub fn current(&self) -> Arc<[CodeKey]> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the keys. A call that has begun goes on with the keys it began with.
    pub fn replace(&self, keys: Vec<CodeKey>) {
        *self.0.write() = keys.into();
    }
}

impl From<Vec<CodeKey>> for KeyRing {
    fn from(keys: Vec<CodeKey>) -> KeyRing {
        KeyRing(Arc::new(RwLock::new(keys.into())))
    }
}
