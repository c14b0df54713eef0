//! Sends what is due, and writes the results.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::StopSignal;
use crate::post::{AttemptAnswer, AttemptVerdict, PostedMessage};
use crate::store::{DueDelivery, EndedAttempt, FreePlaces, PostTarget};
use crate::{Webhooks, guard, retry};

/// How long a result waits for others, so that one transaction has many.
const TOGETHER: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct EndpointSends {
    /// Deliveries, until their results are written.
    in_flight: BTreeSet<i64>,
    /// The one that has the endpoint's own place; the others share places with other endpoints.
    own: Option<i64>,
    /// Until when to leave it alone, unless it is changed after this generation.
    quiet: Option<(Instant, i64)>,
    /// Until when nothing is due, unless something is queued or ends.
    idle: Option<Instant>,
    is_down: bool,
}

pub(super) async fn send_all(webhooks: &Arc<Webhooks>, mut stopping: StopSignal) {
    let pause = webhooks.store.options.look_every;
    let mut sends = DeliverySender::new(webhooks);
    loop {
        sends.begin().await;
        tokio::select! {
            () = stopping.begun() => break,
            Some(joined) = sends.posts.join_next_with_id() => {
                sends.collect(joined);
                tokio::time::sleep(TOGETHER).await;
            }
            () = webhooks.queued.notified() => sends.look_again(),
            () = tokio::time::sleep(pause) => {}
        }
        if !sends.write().await && stopping.wait(pause, &Notify::new()).await {
            break;
        }
    }
    sends.finish().await;
}

struct DeliverySender<'a> {
    webhooks: &'a Arc<Webhooks>,
    endpoints: BTreeMap<i64, EndpointSends>,
    posts: JoinSet<AttemptAnswer>,
    /// Each with what follows if it panics.
    under_way: HashMap<Id, EndedAttempt>,
    ended: Vec<EndedAttempt>,
    shared: Arc<Semaphore>,
}

impl<'a> DeliverySender<'a> {
    fn new(webhooks: &'a Arc<Webhooks>) -> DeliverySender<'a> {
        DeliverySender {
            webhooks,
            endpoints: BTreeMap::new(),
            posts: JoinSet::new(),
            under_way: HashMap::new(),
            ended: Vec::new(),
            shared: Arc::new(Semaphore::new(webhooks.store.options.in_flight_shared)),
        }
    }

    /// Begins to send what is due at the endpoints of this process, as far as there are free places.
    async fn begin(&mut self) {
        let store = &self.webhooks.store;
        let held = store.held();
        self.endpoints.retain(|webhook, it| held.contains(webhook) || !it.in_flight.is_empty());
        let free = held.into_iter().filter_map(|webhook| self.free_places(webhook)).collect();
        for (target, due) in store.due(free).await {
            self.post_some(&target, due);
        }
    }

    fn look_again(&mut self) {
        self.endpoints.values_mut().for_each(|endpoint| endpoint.idle = None);
    }

    /// `None` if an endpoint has no free places, or nothing that is due.
    fn free_places(&mut self, webhook: i64) -> Option<FreePlaces> {
        let options = &self.webhooks.store.options;
        let endpoint = self.endpoints.entry(webhook).or_default();
        let now = Instant::now();
        endpoint.quiet = endpoint.quiet.filter(|(until, _)| now < *until);
        let is_idle = endpoint.idle.is_some_and(|until| now < until);
        if is_idle || endpoint.in_flight.len() >= options.in_flight_each {
            return None;
        }
        endpoint.idle = Some(now + options.look_every);
        let quiet = endpoint.quiet.map(|(_, generation)| generation);
        Some(FreePlaces { webhook, in_flight: endpoint.in_flight.clone(), quiet })
    }

    fn post_some(&mut self, target: &PostTarget, due: Vec<DueDelivery>) {
        let endpoint = self.endpoints.entry(target.webhook).or_default();
        for due in due {
            let permit = if endpoint.own.is_none() {
                endpoint.own = Some(due.number);
                None
            } else {
                let Ok(permit) = Arc::clone(&self.shared).try_acquire_owned() else { return };
                Some(permit)
            };
            endpoint.in_flight.insert(due.number);
            let attempt = EndedAttempt {
                webhook: target.webhook,
                number: due.number,
                generation: target.generation,
                probes: target.probes,
                answered: panicked(),
            };
            let post = post(Arc::clone(self.webhooks), target.clone(), due, permit);
            self.under_way.insert(self.posts.spawn(post).id(), attempt);
        }
    }

    fn collect(&mut self, joined: Result<(Id, AttemptAnswer), JoinError>) {
        let ended = match joined {
            Ok((id, answered)) => {
                self.under_way.remove(&id).map(|attempt| EndedAttempt { answered, ..attempt })
            }
            Err(error) => {
                tracing::error!(%error, "an attempt of a webhook panicked");
                self.under_way.remove(&error.id())
            }
        };
        self.ended.extend(ended);
    }

    /// Writes the results of all attempts that have ended. Returns whether there were none, or any were written.
    async fn write(&mut self) -> bool {
        while let Some(joined) = self.posts.try_join_next_with_id() {
            self.collect(joined);
        }
        if self.ended.is_empty() {
            return true;
        }
        let failures = self.webhooks.store.write(&self.ended).await;
        for ended in mem::take(&mut self.ended) {
            match failures.get(&ended.webhook) {
                Some(failures) => self.settle(&ended, *failures),
                None => self.ended.push(ended),
            }
        }
        // If all are left, the store is away.
        !failures.is_empty()
    }

    /// Frees the place of a delivery, and leaves an endpoint alone that is down or asked for it.
    fn settle(&mut self, ended: &EndedAttempt, failures: u64) {
        let options = &self.webhooks.store.options;
        let EndedAttempt { webhook, number, generation, .. } = *ended;
        let endpoint = self.endpoints.entry(webhook).or_default();
        // Only after its result is written: until then the delivery still looks due.
        endpoint.in_flight.remove(&number);
        endpoint.idle = None;
        endpoint.own = endpoint.own.filter(|own| *own != number);
        let probe = retry::probe_pause(failures, options, retry::chance());
        if probe.is_some() && !endpoint.is_down {
            tracing::info!(webhook, failures, "a webhook is down: trying it now and then");
        }
        endpoint.is_down = probe.is_some();
        let asked = match ended.answered.verdict {
            AttemptVerdict::Failed { asked } => {
                asked.map(|asked| asked.min(retry::RETRY_AFTER_MAX))
            }
            AttemptVerdict::Delivered | AttemptVerdict::Gone => None,
        };
        if failures == 0 {
            endpoint.quiet = None;
        } else if let Some(pause) = probe.max(asked) {
            let until = Instant::now() + pause;
            let later = endpoint.quiet.filter(|(other, _)| *other > until);
            endpoint.quiet = later.or(Some((until, generation)));
        }
    }

    /// Waits for what is under way, for some time, and writes the results.
    async fn finish(&mut self) {
        let deadline = Instant::now() + self.webhooks.store.options.stop_within;
        while let Ok(Some(joined)) =
            tokio::time::timeout_at(deadline, self.posts.join_next_with_id()).await
        {
            self.collect(joined);
        }
        // The receiver may have got these: the next process posts them again, with the same ids.
        self.posts.abort_all();
        self.write().await;
    }
}

async fn post(
    webhooks: Arc<Webhooks>,
    target: PostTarget,
    due: DueDelivery,
    _place: Option<OwnedSemaphorePermit>,
) -> AttemptAnswer {
    let timestamp = webhooks.store.now().div_euclid(1_000);
    let message = PostedMessage { id: &due.id, body: &due.body, timestamp };
    let url = guard::accepted(&target.url, webhooks.store.options.allow_private);
    webhooks.poster.post(url, &target.secrets, message).await
}

fn panicked() -> AttemptAnswer {
    AttemptAnswer {
        verdict: AttemptVerdict::Failed { asked: None },
        status: None,
        error: Some("the attempt panicked".to_owned()),
        duration_ms: 0,
    }
}
