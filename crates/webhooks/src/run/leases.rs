//! Leases endpoints for this process, and deletes old rows.

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Held, Stopping, Trouble};
use crate::Webhooks;
use crate::options::RENEWALS;

/// Renews leases, and takes those of processes that are gone, until the service stops.
pub(super) async fn keep(webhooks: &Webhooks, me: &str, held: &Held, mut stopping: Stopping) {
    let mut trouble = Trouble::with("webhooks cannot be leased");
    loop {
        let begun = Instant::now();
        if let Some(leased) = trouble.of(webhooks.store.lease(me, &webhooks.options).await) {
            held.set(leased, begun + webhooks.options.lease);
        }
        let pause = webhooks.options.lease / RENEWALS;
        if stopping.wait(pause, &webhooks.endpoints_changed).await {
            return;
        }
    }
}

/// Deletes old rows, beside the renewals: that may take longer than a lease.
pub(super) async fn clean(webhooks: &Webhooks, mut stopping: Stopping) {
    let mut trouble = Trouble::with("old deliveries of webhooks cannot be deleted");
    loop {
        let options = &webhooks.options;
        let cleaned = webhooks.store.clean(options, webhooks.trusts_clock()).await;
        let has_more = trouble.of(cleaned).unwrap_or_default();
        let pause = if has_more { options.look_every } else { options.clean_every };
        if stopping.wait(pause, &Notify::new()).await {
            return;
        }
    }
}

/// Gives the leases back, so that another process need not wait until they lapse.
pub(super) async fn give_back(webhooks: &Webhooks, me: &str) {
    let released = webhooks.store.release(me).await;
    Trouble::with("the leases of webhooks could not be given back").of(released);
}
