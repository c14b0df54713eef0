//! Sends what is due, and writes the results.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::StopSignal;
use crate::post::{Answered, Letter, Verdict};
use crate::store::{Due, Target, Tried, Want, Written};
use crate::{Webhooks, guard, retry};

/// How long a result waits for others, so that one transaction has many.
const TOGETHER: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Lane {
    /// They, until their results are written.
    in_flight: BTreeSet<i64>,
    /// The one that has the endpoint's own place; the others share places with other endpoints.
    own: Option<i64>,
    /// Until when to leave it alone, unless it is changed after this generation.
    quiet: Option<(Instant, i64)>,
    /// Until when nothing is due, unless something is queued or ends.
    idle: Option<Instant>,
    is_down: bool,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    webhook: i64,
    generation: i64,
    number: i64,
    probes: bool,
}

#[derive(Debug)]
struct Ended {
    way: UnderWay,
    answered: Answered,
}

pub(super) async fn send_all(webhooks: &Arc<Webhooks>, mut stopping: StopSignal) {
    let pause = webhooks.store.options.look_every;
    let mut sends = Sends::new(webhooks);
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

struct Sends<'a> {
    webhooks: &'a Arc<Webhooks>,
    lanes: BTreeMap<i64, Lane>,
    posts: JoinSet<Answered>,
    under_way: HashMap<Id, UnderWay>,
    ended: Vec<Ended>,
    shared: Arc<Semaphore>,
}

impl<'a> Sends<'a> {
    fn new(webhooks: &'a Arc<Webhooks>) -> Sends<'a> {
        Sends {
            webhooks,
            lanes: BTreeMap::new(),
            posts: JoinSet::new(),
            under_way: HashMap::new(),
            ended: Vec::new(),
            shared: Arc::new(Semaphore::new(webhooks.store.options.in_flight_shared)),
        }
    }

    /// Begins to send what is due at the endpoints of this process, as far as there are free places.
    async fn begin(&mut self) {
        let held = self.webhooks.store.held();
        self.lanes.retain(|webhook, lane| held.contains(webhook) || !lane.in_flight.is_empty());
        let wants: Vec<Want> = held.into_iter().filter_map(|webhook| self.want(webhook)).collect();
        if wants.is_empty() {
            return;
        }
        let idle = Instant::now() + self.webhooks.store.options.look_every;
        for want in &wants {
            self.lanes.entry(want.webhook).or_default().idle = Some(idle);
        }
        let found = self.webhooks.store.due(wants).await;
        for (target, due) in found {
            self.post_some(&target, due);
        }
    }

    fn look_again(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.idle = None);
    }

    fn want(&mut self, webhook: i64) -> Option<Want> {
        let lane = self.lanes.entry(webhook).or_default();
        lane.quiet = lane.quiet.filter(|(until, _)| Instant::now() < *until);
        let quiet = lane.quiet.map(|(_, generation)| generation);
        lane.idle = lane.idle.filter(|until| Instant::now() < *until);
        let free = lane.in_flight.len() < self.webhooks.store.options.in_flight_each
            && lane.idle.is_none();
        free.then(|| Want { webhook, in_flight: lane.in_flight.clone(), quiet })
    }

    fn post_some(&mut self, target: &Target, due: Vec<Due>) {
        let lane = self.lanes.entry(target.webhook).or_default();
        for due in due {
            let permit = if lane.own.is_none() {
                lane.own = Some(due.number);
                None
            } else {
                let Ok(permit) = Arc::clone(&self.shared).try_acquire_owned() else { return };
                Some(permit)
            };
            lane.in_flight.insert(due.number);
            let way = UnderWay {
                webhook: target.webhook,
                generation: target.generation,
                number: due.number,
                probes: target.probes,
            };
            let post = post(Arc::clone(self.webhooks), target.clone(), due, permit);
            self.under_way.insert(self.posts.spawn(post).id(), way);
        }
    }

    fn collect(&mut self, joined: Result<(Id, Answered), JoinError>) {
        let (id, answered) = match joined {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an attempt of a webhook panicked");
                (error.id(), panicked())
            }
        };
        if let Some(way) = self.under_way.remove(&id) {
            self.ended.push(Ended { way, answered });
        }
    }

    /// Writes the results of all attempts that have ended. Returns whether there were none, or any were written.
    async fn write(&mut self) -> bool {
        while let Some(joined) = self.posts.try_join_next_with_id() {
            self.collect(joined);
        }
        if self.ended.is_empty() {
            return true;
        }
        let written = write(self.webhooks, &self.ended).await;
        for name in &written.disabled {
            tracing::warn!(webhook_id = %name, "a webhook is disabled: its receiver answered 410");
        }
        let all = std::mem::take(&mut self.ended);
        let (left, ended): (Vec<Ended>, Vec<Ended>) =
            all.into_iter().partition(|ended| written.left.contains(&ended.way.webhook));
        self.ended = left;
        ended.iter().for_each(|ended| self.settle(ended, &written));
        // If all are left, the store is away.
        !ended.is_empty()
    }

    /// Frees the place of a delivery, and leaves an endpoint alone that is down or asked for it.
    fn settle(&mut self, Ended { way, answered }: &Ended, written: &Written) {
        let options = &self.webhooks.store.options;
        let lane = self.lanes.entry(way.webhook).or_default();
        lane.in_flight.remove(&way.number);
        lane.idle = None;
        lane.own = lane.own.filter(|number| *number != way.number);
        let failures = written.failures.get(&way.webhook).copied().unwrap_or_default();
        let probe = retry::probe_pause(failures, options, retry::chance());
        if probe.is_some() && !lane.is_down {
            tracing::info!(
                webhook = way.webhook,
                failures,
                "a webhook is down: trying it now and then"
            );
        }
        lane.is_down = probe.is_some();
        let asked = match answered.verdict {
            Verdict::Failed { asked } => asked.map(|asked| asked.min(options.retry_after_max)),
            Verdict::Delivered | Verdict::Gone => None,
        };
        if failures == 0 {
            lane.quiet = None;
        } else if let Some(pause) = probe.max(asked) {
            let until = Instant::now() + pause;
            let later = lane.quiet.filter(|(other, _)| *other > until);
            lane.quiet = later.or(Some((until, way.generation)));
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
        self.posts.abort_all();
        self.write().await;
    }
}

async fn post(
    webhooks: Arc<Webhooks>,
    target: Target,
    due: Due,
    _place: Option<OwnedSemaphorePermit>,
) -> Answered {
    let timestamp = webhooks.store.now().div_euclid(1_000);
    let letter = Letter { id: &due.id, body: &due.body, timestamp };
    let url = guard::accepted(&target.url, webhooks.store.options.allow_private);
    webhooks.poster.post(url, &target.secrets, letter).await
}

fn panicked() -> Answered {
    Answered {
        verdict: Verdict::Failed { asked: None },
        status: None,
        error: Some("the attempt panicked".to_owned()),
        duration: Duration::ZERO,
    }
}

async fn write(webhooks: &Webhooks, ended: &[Ended]) -> Written {
    let tried = |Ended { way, answered }: &Ended| Tried {
        webhook: way.webhook,
        number: way.number,
        generation: way.generation,
        probes: way.probes,
        answered: answered.clone(),
    };
    let tried: Vec<Tried> = ended.iter().map(tried).collect();
    let written = webhooks.store.write(&tried).await;
    let add = |total: &std::sync::atomic::AtomicU64, more| total.fetch_add(more, Ordering::Relaxed);
    add(&webhooks.totals.delivered, written.delivered);
    add(&webhooks.totals.failed, written.failed);
    add(&webhooks.totals.attempts_failed, written.attempts_failed);
    written
}
