//! Leases endpoints for this process, and deletes old rows.

use std::time::Duration;

use tokio::time::Instant;

use super::{Held, Stopping, Trouble};
use crate::file::leases::{self, Terms};
use crate::file::log;
use crate::file::results::millis;
use crate::{WebhookError, Webhooks, retry};

/// Renewals in the time of one lease.
const RENEWALS: u32 = 3;

/// Renews leases, and takes those of processes that are gone, until the service stops.
pub(super) async fn keep(webhooks: &Webhooks, me: &str, held: &Held, mut stopping: Stopping) {
    let mut trouble = Trouble::with("webhooks cannot be leased");
    let mut cleaning = Cleaning::new();
    loop {
        let begun = Instant::now();
        if let Some(leased) = trouble.of(lease(webhooks, me).await) {
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

async fn lease(webhooks: &Webhooks, me: &str) -> Result<Vec<i64>, WebhookError> {
    let options = webhooks.options.clone();
    let terms = Terms {
        lasts: millis(options.lease),
        rest: millis(options.lease / RENEWALS),
        ahead_max: millis(retry::ahead_max(&options)),
    };
    let me = me.to_owned();
    webhooks.file.quick(move |conn| leases::lease(conn, &me, terms, || options.now())).await
}

/// Gives the leases back, so that another process need not wait until they lapse.
pub(super) async fn give_back(webhooks: &Webhooks, me: &str) {
    let me = me.to_owned();
    let released = webhooks.file.quick(move |conn| leases::release(conn, &me)).await;
    Trouble::with("the leases of webhooks could not be given back").of(released);
}

/// Deletes old rows now and then.
struct Cleaning {
    next: Instant,
    trouble: Trouble,
}

impl Cleaning {
    fn new() -> Cleaning {
        let trouble = Trouble::with("old deliveries of webhooks cannot be deleted");
        Cleaning { next: Instant::now(), trouble }
    }

    /// Until the next time.
    fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    async fn clean(&mut self, webhooks: &Webhooks) {
        if Instant::now() < self.next {
            return;
        }
        let options = webhooks.options.clone();
        let (now, trusted) = (options.now(), webhooks.trusts_clock());
        let cleaned =
            webhooks.file.quick(move |conn| log::clean(conn, &options, now, trusted)).await;
        let has_more = self.trouble.of(cleaned).unwrap_or_default();
        let pause =
            if has_more { webhooks.options.look_every } else { webhooks.options.clean_every };
        self.next = Instant::now() + pause;
    }
}
