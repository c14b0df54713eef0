//! Turns for long streams: a list of codes is made piece by piece on threads where that disturbs
//! nobody, few pieces at a time over all streams, so that short calls keep most of the machine.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt, unfold};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Longest pause of a turn after a piece. A piece takes some 2 ms of a core; one that took much
/// longer waited for something, and needs no pause for it.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A pause is so many times as long as its piece took: two thirds of a turn belong to short calls.
/// At half of it the p99 of a redeem beside fifty lists was four times that without, on two cores.
const PAUSES: u32 = 2;

/// Turns that all long streams share. Whoever has waited longest is next, so a stream with many
/// pieces does not hold up one with few.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    turns: Arc<Semaphore>,
}

impl Turns {
    /// One for each two cores, at least one.
    pub(crate) fn new() -> Turns {
        let cores = available_parallelism().map_or(1, usize::from);
        Turns::of((cores / 2).max(1))
    }

    fn of(turns: usize) -> Turns {
        Turns { turns: Arc::new(Semaphore::new(turns)) }
    }

    /// The same stream; each of its pieces waits for a turn. A client that reads slowly holds
    /// none: a piece is made when it is asked for.
    pub(crate) fn share<T: Send + 'static>(
        &self,
        stream: BoxStream<'static, T>,
    ) -> BoxStream<'static, T> {
        unfold((self.clone(), stream), async |(turns, stream)| {
            let (piece, stream) = turns.piece(stream).await;
            Some((piece?, (turns, stream)))
        })
        // Whoever has looked for the first piece may look again behind the last.
        .fuse()
        .boxed()
    }

    async fn piece<T: Send + 'static>(
        &self,
        mut stream: BoxStream<'static, T>,
    ) -> (Option<T>, BoxStream<'static, T>) {
        // Only a closed semaphore fails, and nobody closes it.
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return std::future::pending().await;
        };
        let runtime = Handle::current();
        // The turn goes with the work: whoever hangs up gives it back when the piece is done.
        let made = spawn_blocking(move || {
            let begun = Instant::now();
            let piece = runtime.block_on(stream.next());
            let pause = (begun.elapsed() * PAUSES).min(PAUSE_MAX);
            runtime.spawn(async move {
                tokio::time::sleep(pause).await;
                drop(turn);
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

    // One thread polls all the streams: who has a ticket waits in line before the next one gets
    // theirs.
    #[tokio::test]
    async fn few_pieces_at_a_time_and_each_stream_in_its_turn() {
        for turns_max in [1, 3] {
            let turns = Turns::of(turns_max);
            let (now, most, made, tickets) = (counter(), counter(), counter(), counter());
            let streams = (0..STREAMS).map(|_| {
                let (now, most, made) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&made));
                let pieces = iter(0..PIECES).map(move |_| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros(200));
                    now.fetch_sub(1, Ordering::SeqCst);
                    made.fetch_add(1, Ordering::SeqCst)
                });
                let (mut shared, tickets) = (turns.share(pieces.boxed()), Arc::clone(&tickets));
                async move {
                    let mut pieces = Vec::new();
                    for _ in 0..PIECES {
                        let ticket = tickets.fetch_add(1, Ordering::SeqCst);
                        pieces.push((ticket, shared.next().await));
                    }
                    (pieces, shared.next().await)
                }
            });
            let streams = join_all(streams).await;
            let most = most.load(Ordering::SeqCst);
            assert!((1..=turns_max).contains(&most), "{most} pieces at once, want {turns_max}");
            for (pieces, end) in streams {
                assert_eq!(end, None, "there are no more pieces");
                for (ticket, piece) in pieces {
                    let at = piece.expect("every piece came");
                    // It overtakes only those that have a turn at that moment.
                    assert!(at + turns_max > ticket, "ticket {ticket} was number {at}");
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
        let stream = Turns::of(1).share(pieces.boxed());
        let list = tokio::spawn(stream.collect::<Vec<_>>());
        assert!(list.await.is_err_and(|error| error.is_panic()), "not a list of one");
    }

    fn counter() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(0))
    }
}
