//! The dispatcher: three loops that share the file.

mod feed;
mod leases;
mod sends;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::{Source, WebhookError, Webhooks};

#[derive(Debug)]
struct Held {
    /// They, and until when it is sure to hold them.
    leased: Mutex<(Vec<i64>, Instant)>,
    /// Wakes the loop that reads the feed.
    feed: Notify,
    /// Wakes the loop that sends.
    sends: Notify,
}

impl Held {
    fn now(&self) -> Vec<i64> {
        let leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < leased.1 { leased.0.clone() } else { Vec::new() }
    }

    fn set(&self, held: Vec<i64>, until: Instant) {
        *self.leased.lock().unwrap_or_else(PoisonError::into_inner) = (held, until);
        self.feed.notify_one();
        self.sends.notify_one();
    }
}

#[derive(Clone, Debug)]
struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Ends when the service stops.
    async fn begun(&mut self) {
        // An error means that the other side is gone: stop, too.
        let _ = self.0.wait_for(|stops| *stops).await;
    }

    /// Waits for `pause`, or until `wake` has news. Returns whether the service stops.
    async fn wait(&mut self, pause: Duration, wake: &Notify) -> bool {
        tokio::select! {
            () = self.begun() => true,
            () = wake.notified() => false,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

/// Says once for each outage that something does not work.
#[derive(Debug)]
struct Trouble {
    what: &'static str,
    is_said: bool,
}

impl Trouble {
    fn with(what: &'static str) -> Trouble {
        Trouble { what, is_said: false }
    }

    fn say(&mut self, why: &str) {
        if !self.is_said {
            tracing::warn!(error = why, "{}; trying again", self.what);
        }
        self.is_said = true;
    }

    /// The value, or `None` after saying the error.
    fn of<T>(&mut self, result: Result<T, WebhookError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.over();
                Some(value)
            }
            Err(error) => {
                self.say(&error.to_string());
                None
            }
        }
    }

    fn over(&mut self) {
        self.is_said = false;
    }
}

/// See [`Webhooks::run`].
pub(crate) async fn run(
    webhooks: &Arc<Webhooks>,
    source: &dyn Source,
    stop: impl Future<Output = ()> + Send,
) {
    let held = Held {
        leased: Mutex::new((Vec::new(), Instant::now())),
        feed: Notify::new(),
        sends: Notify::new(),
    };
    let me = uuid::Uuid::new_v4().to_string();
    let (stops, stopping) = watch::channel(false);
    let stopping = Stopping(stopping);
    tokio::join!(
        async {
            stop.await;
            stops.send_replace(true);
        },
        leases::keep(webhooks, &me, &held, stopping.clone()),
        leases::clean(webhooks, stopping.clone()),
        feed::read_all(webhooks, source, &held, stopping.clone()),
        sends::send_all(webhooks, &held, stopping),
    );
    leases::give_back(webhooks, &me).await;
}
