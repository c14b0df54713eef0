//! Leases endpoints for this process, and deletes old rows.

use tokio::sync::Notify;

use super::{StopSignal, TroubleLog};
use crate::Webhooks;

/// Renewals in the time of one lease.
const RENEWALS: u32 = 3;

/// Renews leases, and takes those of processes that are gone, until the service stops.
pub(super) async fn keep(webhooks: &Webhooks, leased: &Notify, mut stopping: StopSignal) {
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
pub(super) async fn clean(webhooks: &Webhooks, mut stopping: StopSignal) {
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

/// Gives the leases back, so that another process need not wait until they lapse.
pub(super) async fn give_back(webhooks: &Webhooks) {
    let released = webhooks.store.release().await;
    TroubleLog::new("the leases of webhooks could not be given back").of(released);
}
