//! Awaits many calls, a bounded number of them at a time.

use std::vec::IntoIter;

use futures::stream::{self, Buffered, Iter, StreamExt, TryCollect, TryStreamExt};

use crate::Result;

pub type BoundedJoin<F, T> = TryCollect<Buffered<Iter<IntoIter<F>>>, Vec<T>>;

/// The results of `calls` in their order, `at_once` of them at a time, or the first error.
pub fn bounded_join<T, F>(at_once: usize, calls: impl IntoIterator<Item = F>) -> BoundedJoin<F, T>
where
    F: Future<Output = Result<T>>,
{
    // Collected before anything is awaited, so that the iterator is not part of the future.
    let calls: Vec<F> = calls.into_iter().collect();
    stream::iter(calls).buffered(at_once).try_collect()
}
