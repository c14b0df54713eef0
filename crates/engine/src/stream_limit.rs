//! A limit on the work for long streams, such as a list of codes: only a few pieces of all streams
//! are made at the same time, on threads for blocking work, so that short calls keep most of the
//! machine.

use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt, unfold};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Longest pause after a piece. A piece takes some 2 ms of a core; one that took much longer waited
/// for something, and needs no pause for it.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A pause is so many times as long as its piece took, so short calls get two thirds of the time.
/// At half of it the p99 of a redeem beside fifty lists was four times that without, on two cores.
const PAUSES: u32 = 2;

/// The limit, which all long streams share. The stream that has waited longest is next, so a stream
/// with many pieces does not delay one with few.
#[derive(Clone, Debug)]
pub(crate) struct StreamLimit {
    permits: Arc<Semaphore>,
}

impl StreamLimit {
    /// The limit of this process, however many stores it serves: one piece for each two cores, at least one.
    pub(crate) fn of_process() -> &'static StreamLimit {
        static LIMIT: LazyLock<StreamLimit> = LazyLock::new(|| {
            let cores = available_parallelism().map_or(1, usize::from);
            StreamLimit::of((cores / 2).max(1))
        });
        &LIMIT
    }

    /// Of what is known of people: one piece at a time. Each looks at thousands of rows, and twenty questions at once would
    /// be twenty streams before that of somebody who downloads codes.
    pub(crate) fn of_people() -> &'static StreamLimit {
        static LIMIT: LazyLock<StreamLimit> = LazyLock::new(|| StreamLimit::of(1));
        &LIMIT
    }

    fn of(pieces_max: usize) -> StreamLimit {
        StreamLimit { permits: Arc::new(Semaphore::new(pieces_max)) }
    }

    /// The same stream; each of its pieces waits for a permit. A client that reads slowly has no
    /// permit meanwhile: a piece is made when the client wants it.
    pub(crate) fn wrap<T: Send + 'static>(
        &self,
        stream: BoxStream<'static, T>,
    ) -> BoxStream<'static, T> {
        unfold((self.clone(), stream), async |(limit, stream)| {
            let (piece, stream) = limit.piece(stream).await;
            Some((piece?, (limit, stream)))
        })
        // A caller that has looked for the first piece may look again after the last one.
        .fuse()
        .boxed()
    }

    async fn piece<T: Send + 'static>(
        &self,
        mut stream: BoxStream<'static, T>,
    ) -> (Option<T>, BoxStream<'static, T>) {
        // Only a closed semaphore fails, and nobody closes it.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return std::future::pending().await;
        };
        let runtime = Handle::current();
        // The permit goes with the work: if the client hangs up, it is free when the piece is done.
        let made = spawn_blocking(move || {
            let begun = Instant::now();
            let piece = runtime.block_on(stream.next());
            let pause = (begun.elapsed() * PAUSES).min(PAUSE_MAX);
            runtime.spawn(async move {
                tokio::time::sleep(pause).await;
                drop(permit);
            });
            (piece, stream)
        });
        match made.await {
            Ok(made) => made,
            // The list must break off, not end.
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The process is stopping.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use futures::stream::iter;

    use super::*;

    const STREAMS: usize = 50;
    const PIECES: usize = 4;

    // One thread polls all the streams, so that a stream with a ticket waits before the next one
    // gets its ticket.
    #[tokio::test]
    async fn few_pieces_at_a_time_and_the_longest_wait_first() {
        for pieces_max in [1, 3] {
            let limit = StreamLimit::of(pieces_max);
            let (now, most, made, tickets) = (counter(), counter(), counter(), counter());
            let streams = (0..STREAMS).map(|_| {
                let (now, most, made) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&made));
                let pieces = iter(0..PIECES).map(move |_| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros(200));
                    now.fetch_sub(1, Ordering::SeqCst);
                    made.fetch_add(1, Ordering::SeqCst)
                });
                let (mut limited, tickets) = (limit.wrap(pieces.boxed()), Arc::clone(&tickets));
                async move {
                    let mut pieces = Vec::new();
                    for _ in 0..PIECES {
                        let ticket = tickets.fetch_add(1, Ordering::SeqCst);
                        pieces.push((ticket, limited.next().await));
                    }
                    (pieces, limited.next().await)
                }
            });
            let streams = join_all(streams).await;
            let most = most.load(Ordering::SeqCst);
            assert!((1..=pieces_max).contains(&most), "{most} pieces at once, want {pieces_max}");
            for (pieces, end) in streams {
                assert_eq!(end, None, "there are no more pieces");
                for (ticket, piece) in pieces {
                    let at = piece.expect("every piece came");
                    // It overtakes only those that have a permit at that moment.
                    assert!(at + pieces_max > ticket, "ticket {ticket} was number {at}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_panic_breaks_the_list_off() {
        let pieces = iter([1, 2]).map(|nth| match nth {
            1 => nth,
            _ => panic!("no second piece"),
        });
        let stream = StreamLimit::of(1).wrap(pieces.boxed());
        let list = tokio::spawn(stream.collect::<Vec<_>>());
        assert!(list.await.is_err_and(|error| error.is_panic()), "not a list of one");
    }

    fn counter() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(0))
    }
}
