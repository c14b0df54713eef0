//! The task of a process that counts, for everybody who waits for it.
//!
//! A caller may stop waiting; the task goes on. So callers that give up do not stop a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Result;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The task ends when this is dropped.
pub(crate) struct CountTask {
    asked: Arc<AtomicU64>,
    wake: Arc<Notify>,
    /// Everybody up to this number has their answer.
    answered: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl CountTask {
    /// Counts nothing until a caller asks.
    pub(crate) fn begin<F>(count: impl Fn() -> F + Send + 'static) -> CountTask
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (asked, wake) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (answers, answered) = watch::channel(0);
        let work = work(count, Arc::clone(&asked), Arc::clone(&wake), answers);
        CountTask { asked, wake, answered, task: tokio::spawn(work) }
    }

    /// Waits until everything is counted that the feed has now, but not longer than `limit`. Whether it is.
    pub(crate) async fn counts(&self, limit: Duration) -> bool {
        // Before the wake-up: the count that it begins must have this number.
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        let mut answered = self.answered.clone();
        let answer = answered.wait_for(|answered| *answered >= mine);
        matches!(tokio::time::timeout(limit, answer).await, Ok(Ok(_)))
    }
}

impl Drop for CountTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work<F: Future<Output = Result<()>>>(
    count: impl Fn() -> F,
    asked: Arc<AtomicU64>,
    wake: Arc<Notify>,
    answers: watch::Sender<u64>,
) {
    loop {
        wake.notified().await;
        // A later caller may ask for events that this count has passed already.
        let number = asked.load(Ordering::SeqCst);
        if let Err(error) = count().await {
            tracing::warn!(%error, "the newest events are not counted yet");
        }
        answers.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use hot::HotError;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_count_goes_on_when_those_who_wait_do_not() {
        let (begun, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let of = (Arc::clone(&begun), Arc::clone(&gate));
        let task = CountTask::begin(move || {
            let (begun, gate) = (Arc::clone(&of.0), Arc::clone(&of.1));
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                if number == 0 { Err(HotError::Damaged("the first one".into())) } else { Ok(()) }
            }
        });
        for _ in 0..20 {
            assert!(!task.counts(SHORT).await, "nobody has opened the gate");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1, "one count at a time");
        // The first count began before this request, so it waits for the second one.
        let ((), answered) = tokio::join!(
            async {
                gate.notify_one();
                while begun.load(Ordering::SeqCst) < 2 {
                    tokio::task::yield_now().await;
                }
                gate.notify_one();
            },
            task.counts(LONG)
        );
        assert!(answered);
        assert_eq!(begun.load(Ordering::SeqCst), 2, "all who have waited are answered by it");
    }
}
