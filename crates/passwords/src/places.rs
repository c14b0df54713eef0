//! How much each of many callers may have under way at a time: requests, sign-ins, streams.
//!
//! A *place* is taken before the work begins and is free again when it is dropped, also if the client has gone.
//! Nobody waits for one: whoever finds none is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

/// The places of each of many keys; clones share them. Memory for those that are taken. Keys are kept as 64-bit
/// SipHash under a random key.
#[derive(Clone, Debug)]
pub struct CallerPlaces(Arc<PlaceCounts>);

#[derive(Debug)]
struct PlaceCounts {
    each: u32,
    hasher: RandomState,
    taken: Mutex<HashMap<u64, u32>>,
}

impl CallerPlaces {
    /// So many for each key.
    pub fn new(each: u32) -> CallerPlaces {
        let (hasher, taken) = (RandomState::new(), Mutex::default());
        CallerPlaces(Arc::new(PlaceCounts { each, hasher, taken }))
    }

    /// `None` if `key` has taken all of its places.
    pub fn take(&self, key: &str) -> Option<TakenPlace> {
        let hash = self.0.hasher.hash_one(key);
        let mut taken = self.0.taken.lock();
        let count = taken.get(&hash).copied().unwrap_or_default();
        if count >= self.0.each {
            return None;
        }
        taken.insert(hash, count + 1);
        Some(TakenPlace { places: self.clone(), hash })
    }

    /// How many places `key` has taken.
    pub fn taken(&self, key: &str) -> u32 {
        let hash = self.0.hasher.hash_one(key);
        self.0.taken.lock().get(&hash).copied().unwrap_or_default()
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct TakenPlace {
    places: CallerPlaces,
    hash: u64,
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock();
        if let Entry::Occupied(mut count) = taken.entry(self.hash) {
            match *count.get() {
                0 | 1 => drop(count.remove()),
                more => *count.get_mut() = more - 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own() {
        let places = CallerPlaces::new(2);
        let mut anns = vec![places.take("ann").expect("one"), places.take("ann").expect("two")];
        assert!(places.clone().take("ann").is_none(), "no third one");
        assert!(places.take("bob").is_some(), "another key");
        assert_eq!((places.taken("ann"), places.taken("bob")), (2, 0));
        anns.pop();
        assert_eq!(places.taken("ann"), 1);
        anns.extend(places.take("ann"));
        assert_eq!(places.taken("ann"), 2, "one was free again");
        drop(anns);
        assert!(places.0.taken.lock().is_empty(), "nothing is kept of those who have none");
    }
}
