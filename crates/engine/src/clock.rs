//! The clock: the only place where the time comes from.

use std::sync::atomic::{AtomicI64, Ordering};

use coupon::time::Millis;
use hot::clock::system_ms;

pub trait Clock: Send + Sync + 'static {
    /// In UTC.
    fn now(&self) -> Millis;
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Millis(system_ms())
    }
}

/// A clock that stands still until a test moves it.
pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn at(now: Millis) -> SetClock {
        SetClock(AtomicI64::new(now.0))
    }

    pub fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    pub fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}
