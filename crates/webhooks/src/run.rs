//! The dispatcher: loops that share the store.

mod feed;
mod sends;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::{Source, WebhookError, Webhooks};

/// Renewals in the time of one lease.
const RENEWALS: u32 = 3;

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
        keep_leases(webhooks, &leased, stopping.clone()),
        clean(webhooks, stopping.clone()),
        feed::read_all(webhooks, source, &leased, stopping.clone()),
        sends::send_all(webhooks, stopping),
    );
    // So that another process need not wait until the leases lapse.
    let released = webhooks.store.release().await;
    TroubleLog::new("the leases of webhooks could not be given back").of(released);
}

/// Renews leases, and takes those of processes that are gone, until the service stops.
async fn keep_leases(webhooks: &Webhooks, leased: &Notify, mut stopping: StopSignal) {
    let mut trouble = TroubleLog::new("webhooks cannot be leased");
    loop {
        if trouble.of(webhooks.store.lease().await).is_some() {
            leased.notify_one();
            webhooks.queued.notify_one();
        }
        let pause = webhooks.store.options.lease / RENEWALS;
        if stopping.wait(pause, &webhooks.endpoints_changed).await {
            return;
        }
    }
}

/// Deletes old rows, beside the renewals: that may take longer than a lease.
async fn clean(webhooks: &Webhooks, mut stopping: StopSignal) {
    let mut trouble = TroubleLog::new("old deliveries of webhooks cannot be deleted");
    loop {
        let options = &webhooks.store.options;
        let cleaned = webhooks.store.clean().await;
        let has_more = trouble.of(cleaned).unwrap_or_default();
        let pause = if has_more { options.look_every } else { options.clean_every };
        if stopping.wait(pause, &Notify::new()).await {
            return;
        }
    }
}
