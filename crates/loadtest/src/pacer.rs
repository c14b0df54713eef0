//! A timer that is exact to about ten microseconds.
//!
//! tokio's own timer counts in milliseconds, which is longer than most answers here take.

use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    pub(super) struct PreciseTimer(AsyncFd<OwnedFd>);

    impl PreciseTimer {
        #[expect(
            deprecated,
            reason = "a type could give another descriptor each time it is asked; OwnedFd does \
                      not, and the new way in is unsafe"
        )]
        pub(super) fn new() -> io::Result<PreciseTimer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            Ok(PreciseTimer(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
        }

        pub(super) async fn sleep(&self, time: Duration) -> io::Result<()> {
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Timespec {
                tv_sec: time.as_secs() as i64,
                // Zero would mean never.
                tv_nsec: i64::from(time.subsec_nanos().max(1)),
            };
            let once = Itimerspec { it_interval: none, it_value: once };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = self.0.readable().await?;
                let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0_u8; 8])?));
                match read {
                    Ok(read) => return read.map(drop),
                    Err(_would_block) => {}
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use std::io;
    use std::time::Duration;

    pub(super) struct PreciseTimer;

    impl PreciseTimer {
        pub(super) fn new() -> io::Result<PreciseTimer> {
            Ok(PreciseTimer)
        }

        pub(super) async fn sleep(&self, time: Duration) -> io::Result<()> {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

/// Shorter waits are skipped: to sleep and wake takes as long.
const NOT_WORTH_IT: Duration = Duration::from_micros(20);

/// A timer of one task.
pub(crate) struct SendPacer(precise::PreciseTimer);

impl SendPacer {
    /// # Errors
    /// No descriptor left. Call it inside a runtime.
    pub(crate) fn new() -> io::Result<SendPacer> {
        precise::PreciseTimer::new().map(SendPacer)
    }

    /// Waits for this time, or a little longer.
    pub(crate) async fn sleep(&self, time: Duration) -> io::Result<()> {
        if time < NOT_WORTH_IT { Ok(()) } else { self.0.sleep(time).await }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn never_too_early() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let pacer = SendPacer::new().expect("a timer");
            for micros in [50, 300, 2_000] {
                let begun = Instant::now();
                pacer.sleep(Duration::from_micros(micros)).await.expect("slept");
                assert!(begun.elapsed() >= Duration::from_micros(micros), "{micros}");
            }
        });
    }
}
