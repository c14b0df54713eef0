//! The dispatcher: loops that share the store.

mod feed;
mod leases;
mod sends;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::{Source, WebhookError, Webhooks};

#[derive(Clone, Debug)]
struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
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
struct TroubleLog {
    what: &'static str,
    is_said: bool,
}

impl TroubleLog {
    fn new(what: &'static str) -> TroubleLog {
        TroubleLog { what, is_said: false }
    }

    fn say(&mut self, why: &str) {
        if !self.is_said {
            tracing::warn!(error = why, "{}; trying again", self.what);
        }
        self.is_said = true;
    }

    /// The value, or `None` after saying the error.
    fn of<T>(&mut self, result: Result<T, WebhookError>) -> Option<T> {
        match &result {
            Ok(_) => self.over(),
            Err(error) => self.say(&error.to_string()),
        }
        result.ok()
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
    // Wakes the loop that reads the feed.
    let leased = Notify::new();
    let (stops, stopping) = watch::channel(false);
    let stopping = StopSignal(stopping);
    tokio::join!(
        async {
            stop.await;
            stops.send_replace(true);
        },
        leases::keep(webhooks, &leased, stopping.clone()),
        leases::clean(webhooks, stopping.clone()),
        feed::read_all(webhooks, source, &leased, stopping.clone()),
        sends::send_all(webhooks, stopping),
    );
    leases::give_back(webhooks).await;
}
