//! Leases endpoints for this process, and deletes old rows.

use std::time::Duration;

use tokio::time::Instant;

use super::{Held, Stopping, Trouble};
use crate::Webhooks;
use crate::options::RENEWALS;

/// Renews leases, and takes those of processes that are gone, until the service stops.
pub(super) async fn keep(webhooks: &Webhooks, me: &str, held: &Held, mut stopping: Stopping) {
    let mut trouble = Trouble::with("webhooks cannot be leased");
    let mut cleaning = Cleaning::new();
    loop {
        let begun = Instant::now();
        if let Some(leased) = trouble.of(webhooks.store.lease(me, &webhooks.options).await) {
            held.set(leased, begun + webhooks.options.lease);
        }
        cleaning.clean(webhooks).await;
        let options = &webhooks.options;
        let pause = (options.lease / RENEWALS).min(cleaning.pause());
        if stopping.wait(pause, &webhooks.endpoints_changed).await {
            return;
        }
    }
}

/// Gives the leases back, so that another process need not wait until they lapse.
pub(super) async fn give_back(webhooks: &Webhooks, me: &str) {
    let released = webhooks.store.release(me).await;
    Trouble::with("the leases of webhooks could not be given back").of(released);
}

struct Cleaning {
    next: Instant,
    trouble: Trouble,
}

impl Cleaning {
    fn new() -> Cleaning {
        let trouble = Trouble::with("old deliveries of webhooks cannot be deleted");
        Cleaning { next: Instant::now(), trouble }
    }

    fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    async fn clean(&mut self, webhooks: &Webhooks) {
        if Instant::now() < self.next {
            return;
        }
        let cleaned = webhooks.store.clean(&webhooks.options, webhooks.trusts_clock()).await;
        let has_more = self.trouble.of(cleaned).unwrap_or_default();
        let pause =
            if has_more { webhooks.options.look_every } else { webhooks.options.clean_every };
        self.next = Instant::now() + pause;
    }
}
