//! Time-outs that look twice.
//!
//! A process that was frozen (SIGSTOP, a virtual machine that is moved) wakes up with its timers
//! over and what arrived meanwhile unread: the kernel ends the wait for sockets with EINTR, and
//! tokio then runs the timers first. So a timer that is over waits a moment more, in which the
//! sockets are read, and only then gives up.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep as TokioSleep;

/// How long a timer that is over waits for what has arrived already. tokio reads 1,024 sockets a
/// turn, and runs some hundred turns in this time.
pub(crate) const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Ends [`SECOND_LOOK`] after its deadline was seen to have passed.
#[derive(Debug)]
pub(crate) struct PatientTimer {
    sleep: Pin<Box<TokioSleep>>,
    looked: bool,
}

impl PatientTimer {
    pub(crate) fn until(deadline: Instant) -> PatientTimer {
        PatientTimer { sleep: Box::pin(tokio::time::sleep_until(deadline.into())), looked: false }
    }
}

impl Future for PatientTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if self.looked {
            return Poll::Ready(());
        }
        self.looked = true;
        let again = tokio::time::Instant::now() + SECOND_LOOK;
        self.sleep.as_mut().reset(again);
        self.sleep.as_mut().poll(context)
    }
}

/// What `work` gives, or `None` when it took longer than `limit`, and [`SECOND_LOOK`] more.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut late = pin!(PatientTimer::until(Instant::now() + limit));
    tokio::select! {
        biased;
        done = &mut work => Some(done),
        () = &mut late => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);
    const TRIES: usize = 50;

    /// A frozen process, as its tasks see it: the deadline has passed, the timers run, and what
    /// arrived before is handed over only after them.
    #[tokio::test]
    async fn what_arrived_before_the_deadline_is_read() {
        for _ in 0..TRIES {
            let begun = Instant::now();
            let (send, receive) = tokio::sync::oneshot::channel();
            let waiting = tokio::spawn(timeout(LIMIT, receive));
            tokio::task::yield_now().await;
            std::thread::sleep(2 * LIMIT);
            // A turn of the runtime that runs its timers.
            tokio::time::sleep(Duration::from_millis(2)).await;
            if waiting.is_finished() {
                // The machine stopped for longer than the second look: this try shows nothing.
                assert!(begun.elapsed() >= LIMIT + SECOND_LOOK, "gave up before it looked");
                continue;
            }
            send.send("arrived").unwrap();
            assert_eq!(waiting.await.unwrap(), Some(Ok("arrived")));
            return;
        }
        panic!("the machine stopped during each of {TRIES} tries");
    }

    #[tokio::test]
    async fn silence_ends() {
        let begun = Instant::now();
        assert_eq!(timeout(LIMIT, std::future::pending::<()>()).await, None);
        assert!(begun.elapsed() >= LIMIT + SECOND_LOOK);
    }
}
