//! What the dispatcher does with the endpoints of this process: it writes before it applies.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::Instant;
use webhooks::store::{Due, Moment, Passage, Reader, Room, Target, Tried, Want, Written};
use webhooks::{DeliveryState, Options};

use crate::ClusterStore;
use crate::deliveries::{AT_ONCE, EndedRow, Facts};
use crate::error::{Result, Trouble};
use crate::lane::{Fate, Lane, Outcome};

/// How often what callers have left is taken, and cursors are saved.
const TENDED_EVERY: Duration = Duration::from_secs(1);

struct Write {
    webhook: i64,
    number: i64,
    fate: Fate,
    /// As far as it is here.
    body: Option<String>,
    was_written: bool,
    keep: Duration,
}

impl ClusterStore {
    pub(crate) async fn tend(&self, options: &Options) {
        let is_due = |lane: &Lane| {
            let every = TENDED_EVERY.min(options.look_every * 2);
            lane.is_held() && lane.tended.is_none_or(|at| at.elapsed() >= every)
        };
        let now = options.now();
        let lanes = self.lanes_that(is_due).into_iter();
        join_all(lanes.map(|webhook| self.tend_one(webhook, now))).await;
    }

    /// If that fails, the cursor stays, and the others go on.
    async fn tend_one(&self, webhook: i64, now: i64) {
        self.with_lane(webhook, |lane| lane.tended = Some(Instant::now()));
        let tended = async {
            while self.take_inbox(webhook, now).await? {}
            self.write_waiting(webhook, false).await?;
            self.save_progress(webhook).await
        };
        if let Err(trouble) = tended.await {
            tracing::warn!(?trouble, webhook, "a webhook cannot be looked after; trying again");
        }
    }

    /// Writes what waits and is in memory only, so that the cursor can move on.
    pub(crate) async fn write_waiting(&self, webhook: i64, all: bool) -> Result<()> {
        let waits = self.with_lane(webhook, |lane| lane.to_write(all)).unwrap_or_default();
        let writes = waits.into_iter().map(|(number, facts, body)| async move {
            self.store_pending(webhook, number, &facts, Some(&body)).await?;
            self.with_lane(webhook, |lane| lane.is_written(number));
            Ok::<_, Trouble>(())
        });
        iter(writes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.delete_ended(webhook).await
    }

    pub(crate) async fn delete_ended(&self, webhook: i64) -> Result<()> {
        let ended = self.with_lane(webhook, |lane| lane.ended()).unwrap_or_default();
        let deletes = ended.into_iter().map(|number| async move {
            self.delete_pending(webhook, number).await?;
            self.with_lane(webhook, |lane| lane.is_deleted(number));
            Ok::<_, Trouble>(())
        });
        iter(deletes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Saves how far an endpoint is, if that has changed. Forgets it if another process has it.
    pub(crate) async fn save_progress(&self, webhook: i64) -> Result<()> {
        let changed = self.with_lane(webhook, |lane| {
            let progress = lane.progress();
            (progress != lane.saved).then_some((lane.epoch, progress))
        });
        let Some(Some((epoch, progress))) = changed else { return Ok(()) };
        if self.save(webhook, epoch, &progress).await? {
            self.with_lane(webhook, |lane| lane.saved = progress);
        } else {
            self.forget_lane(webhook);
        }
        Ok(())
    }

    pub(crate) fn lanes_that_read(&self, held: &[i64], pending_max: u64) -> Vec<Reader> {
        let reads =
            |lane: &Lane| lane.is_held() && !lane.is_leaving && lane.pending() < pending_max;
        let lanes = self.lanes();
        let readers = lanes.iter().filter(|(webhook, lane)| held.contains(webhook) && reads(lane));
        let cursor = |lane: &Lane| lane.cursor().map(str::to_owned);
        readers.map(|(&webhook, lane)| Reader { webhook, cursor: cursor(lane) }).collect()
    }

    /// Queues what an endpoint asks for, if it still stands where it was read.
    pub(crate) async fn read_one(
        &self,
        reader: &Reader,
        passage: &Passage,
        next: &str,
        now: i64,
    ) -> Result<usize> {
        let Reader { webhook, cursor } = reader;
        let stands = |lane: &Lane| lane.is_held() && lane.cursor() == cursor.as_deref();
        if let Passage::Gap(why) = passage {
            let number =
                self.with_lane(*webhook, |lane| stands(lane).then(|| lane.next_number(now)));
            let Some(Some(number)) = number else { return Ok(0) };
            self.log_gap(*webhook, number, why, now).await?;
        }
        let queued = self.with_lane(*webhook, |lane| match passage {
            _ if !stands(lane) => 0,
            Passage::Events(events) => lane.queue(events, next, now),
            Passage::Gap(_) => {
                lane.move_to(next.to_owned());
                1
            }
        });
        if cursor.is_none() {
            // It begins here, whatever comes: nothing that is newer may be missing later.
            if let Err(trouble) = self.save_progress(*webhook).await {
                self.forget_lane(*webhook);
                return Err(trouble);
            }
        }
        Ok(queued.unwrap_or_default())
    }

    async fn log_gap(&self, webhook: i64, number: i64, why: &str, now: i64) -> Result<()> {
        let facts = Facts {
            created_at: now,
            next_at: now,
            error: Some(why.to_owned()),
            ended_at: Some(now),
            ..Facts::default()
        };
        let (state, keep) = (DeliveryState::Gap, self.log_keep);
        self.log(webhook, &EndedRow { number, state, facts, body: None, keep }).await
    }

    pub(crate) async fn due_at(
        &self,
        want: &Want,
        room: &Room,
    ) -> Result<Option<(Target, Vec<Due>)>> {
        let due = self.with_lane(want.webhook, |lane| lane.due(want, room));
        let Some((target, numbers)) = due.transpose()?.flatten() else { return Ok(None) };
        let mut due = Vec::new();
        for number in numbers {
            let is_here =
                |lane: &mut Lane| lane.waiting(number).is_some_and(|it| it.body.is_some());
            let read = match self.with_lane(want.webhook, is_here) {
                Some(true) => None,
                _ => self.pending_one(want.webhook, number).await?.and_then(|(_, body)| body),
            };
            if read.is_none() {
                self.with_lane(want.webhook, |lane| lane.has_ended_elsewhere(number));
            }
            let one = self.with_lane(want.webhook, |lane| lane.post(number, read));
            due.extend(one.flatten());
        }
        Ok(Some((target, due)))
    }

    /// Writes results, and then applies them.
    pub(crate) async fn write_results(
        &self,
        tried: &[Tried],
        moment: Moment,
        options: &Options,
    ) -> Result<Written> {
        let mut of_webhook: BTreeMap<i64, Vec<&Tried>> = BTreeMap::new();
        for one in tried {
            of_webhook.entry(one.webhook).or_default().push(one);
        }
        let (mut outcomes, mut writes) = (Vec::new(), Vec::new());
        for (webhook, tried) in of_webhook {
            let outcome = self.with_lane(webhook, |lane| {
                // Otherwise another process has it, and tries again what this one has tried.
                lane.is_leased().then(|| {
                    let outcome = lane.outcome(&tried, moment, options);
                    writes.extend(self.writes(lane, &outcome, moment.now));
                    outcome
                })
            });
            outcomes.extend(outcome.flatten().map(|outcome| (webhook, outcome)));
        }
        // All of it first: if something fails, all of it is tried again, and nothing counts twice.
        let writes = writes.into_iter().map(|write| self.write_one(write));
        let writes = iter(writes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        writes.try_collect::<()>().await?;
        let mut written = Written::default();
        for (webhook, _) in outcomes.iter().filter(|(_, outcome)| outcome.is_gone) {
            if let Some(row) = self.with_lane(*webhook, |lane| lane.row.clone())
                && self.disable_endpoint(&row, moment.now).await?
            {
                written.disabled.push(row.name);
            }
        }
        for (webhook, outcome) in outcomes {
            self.count(webhook, &outcome, &mut written);
            self.with_lane(webhook, |lane| lane.apply(outcome));
            if let Err(trouble) = self.delete_ended(webhook).await {
                tracing::debug!(?trouble, webhook, "rows of deliveries are deleted later");
            }
        }
        Ok(written)
    }

    fn count(&self, webhook: i64, outcome: &Outcome, written: &mut Written) {
        for fate in outcome.fates.values() {
            match fate {
                Fate::Ends(DeliveryState::Delivered, _) => written.delivered += 1,
                Fate::Ends(..) => written.failed += 1,
                Fate::Waits(_) => {}
            }
        }
        written.attempts_failed += outcome.attempts_failed;
        written.failures.insert(webhook, outcome.failures);
    }

    fn writes(&self, lane: &mut Lane, outcome: &Outcome, now: i64) -> Vec<Write> {
        let webhook = lane.row.number;
        let write = |(&number, fate): (&i64, &Fate)| {
            let keep = match fate {
                Fate::Ends(DeliveryState::Delivered, _) => lane.log_keep(self.log_keep, now),
                _ => self.log_keep,
            };
            let waiting = lane.waiting(number)?;
            let (body, was_written) = (waiting.body.clone(), waiting.is_written);
            Some(Write { webhook, number, fate: fate.clone(), body, was_written, keep })
        };
        outcome.fates.iter().filter_map(write).collect()
    }

    async fn write_one(&self, write: Write) -> std::result::Result<(), Trouble> {
        let Write { webhook, number, fate, body, was_written, keep } = write;
        match fate {
            Fate::Waits(facts) => {
                let body = body.filter(|_| !was_written);
                self.store_pending(webhook, number, &facts, body.as_deref()).await
            }
            Fate::Ends(state, facts) => {
                let body = match body {
                    Some(body) => Some(body),
                    None => self.pending_one(webhook, number).await?.and_then(|(_, body)| body),
                };
                self.log(webhook, &EndedRow { number, state, facts, body, keep }).await
            }
        }
    }
}
