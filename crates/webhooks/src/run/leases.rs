//! Leases endpoints for this process, and deletes old rows.

use tokio::time::Instant;

use super::{Held, Stopping, Trouble};
use crate::file::leases::{self, Leased, Terms};
use crate::file::log;
use crate::file::results::millis;
use crate::{Webhooks, retry};

/// Most endpoints that are taken at a time: processes that start together share them.
const TAKEN_MAX: usize = 8;

/// Renewals in the time of one lease.
const RENEWALS: u32 = 3;

/// Renews leases, and takes those of processes that are gone, until the service stops.
pub(super) async fn keep(webhooks: &Webhooks, me: &str, held: &Held, mut stopping: Stopping) {
    let mut trouble = Trouble::with("webhooks cannot be leased");
    let mut cleaning = Cleaning::new();
    loop {
        let begun = Instant::now();
        let leased = trouble.of(lease(webhooks, me).await).unwrap_or_default();
        let has_more = leased.taken == TAKEN_MAX;
        if !trouble.is_said {
            held.set(leased.held, begun + webhooks.options.lease);
        }
        cleaning.clean(webhooks).await;
        let options = &webhooks.options;
        let pause = if has_more { options.look_every } else { options.lease / RENEWALS };
        if stopping.wait(pause.min(options.clean_every), &webhooks.endpoints_changed).await {
            return;
        }
    }
}

async fn lease(webhooks: &Webhooks, me: &str) -> Result<Leased, crate::WebhookError> {
    let options = &webhooks.options;
    let terms = Terms {
        now: options.now(),
        lasts: millis(options.lease),
        take_max: TAKEN_MAX,
        ahead_max: millis(retry::ahead_max(options)),
    };
    let me = me.to_owned();
    webhooks.file.quick(move |conn| leases::lease(conn, &me, terms)).await
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
