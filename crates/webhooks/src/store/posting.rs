//! What the dispatcher does with the endpoints of this process: it writes before it applies.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::delivery_rows::{DeliveryFacts, DeliveryRow};
use super::lane::{LaneOutcome, WebhookLane};
use super::{
    DueDelivery, EndedAttempt, FeedPassage, FreePlaces, PostTarget, Result, WebhookStore, locked,
};
use crate::DeliveryState;

/// How often what callers have left is taken, and cursors are saved.
const TENDED_EVERY: Duration = Duration::from_secs(1);

impl WebhookStore {
    pub(crate) async fn tend(&self) {
        let is_due = |lane: &WebhookLane| {
            let every = TENDED_EVERY.min(self.options.look_every * 2);
            lane.is_held() && lane.tended.is_none_or(|at| at.elapsed() >= every)
        };
        let lanes = self.lanes_that(is_due).into_iter();
        join_all(lanes.map(|webhook| self.tend_one(webhook))).await;
    }

    /// If that fails, the cursor stays, and the others go on.
    async fn tend_one(&self, webhook: i64) {
        self.with_lane(webhook, |lane| lane.tended = Some(Instant::now()));
        let tended = async {
            self.take_inbox(webhook).await?;
            self.write_waiting(webhook, false).await?;
            // Last: the cursor passes only what is written by now.
            self.save_progress(webhook).await.map(drop)
        };
        if let Err(error) = tended.await {
            tracing::warn!(%error, webhook, "a webhook cannot be looked after; trying again");
        }
    }

    /// Writes what waits and is in memory only, so that the cursor can move on.
    pub(crate) async fn write_waiting(&self, webhook: i64, all: bool) -> Result<()> {
        let rows = self.with_lane(webhook, |lane| lane.to_write(all)).unwrap_or_default();
        self.store_waiting(webhook, rows, WebhookLane::are_written).await?;
        self.empty_ended(webhook).await
    }

    /// Writes deliveries that wait, in blocks that the store knows of, and then tells the lane. Returns whether it
    /// did: not if this process has the endpoint no more.
    pub(crate) async fn store_waiting(
        &self,
        webhook: i64,
        rows: Vec<DeliveryRow>,
        tell: impl FnOnce(&mut WebhookLane, &[DeliveryRow]),
    ) -> Result<bool> {
        let Some(writing) = self.with_lane(webhook, |lane| lane.writing.clone()) else {
            return Ok(false);
        };
        // Until the lane knows of the rows, their block must not be dropped.
        let _one = writing.lock().await;
        if self.with_lane(webhook, |lane| lane.name_blocks(&rows)) == Some(true) {
            // Before the rows: a process that takes over reads only the blocks that are named.
            self.save_progress(webhook).await?;
        }
        // Without the lane another process has the endpoint, and does not know the blocks.
        if self.with_lane(webhook, |_| ()).is_none() {
            return Ok(false);
        }
        self.write_waiting_rows(webhook, &rows).await?;
        Ok(self.with_lane(webhook, |lane| tell(lane, &rows)).is_some())
    }

    pub(crate) async fn empty_ended(&self, webhook: i64) -> Result<()> {
        let Some(writing) = self.with_lane(webhook, |lane| lane.writing.clone()) else {
            return Ok(());
        };
        let _one = writing.lock().await;
        let ended = self.with_lane(webhook, |lane| lane.ended()).unwrap_or_default();
        for (block, (others_wait, numbers)) in ended {
            match others_wait {
                true => self.empty_waiting(webhook, block, &numbers).await?,
                false => self.drop_waiting(webhook, block).await?,
            }
            // After the store: after an error the rows are emptied again.
            self.with_lane(webhook, |lane| lane.is_emptied(block, &numbers, !others_wait));
        }
        Ok(())
    }

    /// Saves how far an endpoint is, if that has changed. Forgets it if another process has it. Returns whether this
    /// process has it, as far as it knows.
    pub(crate) async fn save_progress(&self, webhook: i64) -> Result<bool> {
        self.save(webhook, false).await
    }

    /// Whether this process still has an endpoint. If so, a process that takes it later reads what was written.
    pub(crate) async fn still_has(&self, webhook: i64) -> Result<bool> {
        self.save(webhook, true).await
    }

    async fn save(&self, webhook: i64, in_any_case: bool) -> Result<bool> {
        let Some(saving) = self.with_lane(webhook, |lane| lane.saving.clone()) else {
            return Ok(false);
        };
        let _one = saving.lock().await;
        loop {
            let changed = self.with_lane(webhook, |lane| {
                lane.unsaved(in_any_case).map(|progress| (lane.saved.clone(), progress))
            });
            let Some(changed) = changed else { return Ok(false) };
            let Some(((before, seen), progress)) = changed else { return Ok(true) };
            let written = self.replace_progress(webhook, Some(&seen), &progress).await?;
            let saved = match written {
                Some(text) => (progress, text),
                // A save of before may have happened, and its answer was lost.
                None => match self.progress(webhook).await? {
                    (found, Some(text)) if found.epoch == before.epoch && text != seen => {
                        self.with_lane(webhook, |lane| lane.saved = (found, text));
                        continue;
                    }
                    _ => {
                        self.forget_lane(webhook);
                        return Ok(false);
                    }
                },
            };
            return Ok(self.with_lane(webhook, |lane| lane.saved = saved).is_some());
        }
    }

    /// Queues what an endpoint asks for, if it still stands where it was read.
    pub(crate) async fn read_one(
        &self,
        webhook: i64,
        cursor: Option<&str>,
        passage: &FeedPassage,
        next: &str,
    ) -> Result<usize> {
        let now = self.now();
        let stands = |lane: &WebhookLane| lane.is_held() && lane.cursor.as_deref() == cursor;
        if let FeedPassage::Gap(why) = passage {
            let number =
                self.with_lane(webhook, |lane| stands(lane).then(|| lane.numbers.next(now)));
            let Some(Some(number)) = number else { return Ok(0) };
            let facts = DeliveryFacts {
                created_at: now,
                next_at: now,
                error: Some(why.clone()),
                ended_at: Some(now),
                ..DeliveryFacts::default()
            };
            let gap = DeliveryRow { number, state: DeliveryState::Gap, facts, body: None };
            // Before the cursor moves: a gap that is not in the log would never be seen.
            self.log(webhook, &[gap]).await?;
        }
        let queued = self.with_lane(webhook, |lane| match passage {
            _ if !stands(lane) => 0,
            FeedPassage::Events(events) => lane.queue(events, next, now),
            FeedPassage::Gap(_) => {
                lane.move_to(next.to_owned());
                1
            }
        });
        if cursor.is_none() {
            // It begins here, whatever comes: nothing that is newer may be missing later.
            if let Err(error) = self.save_progress(webhook).await {
                self.forget_lane(webhook);
                return Err(error);
            }
        }
        Ok(queued.unwrap_or_default())
    }

    pub(crate) async fn due_at(
        &self,
        want: &FreePlaces,
    ) -> Result<Option<(PostTarget, Vec<DueDelivery>)>> {
        let now = self.now();
        let due = self.with_lane(want.webhook, |lane| {
            lane.due(want, &self.options, now, self.trusts_clock())
        });
        let Some((target, numbers)) = due.transpose()?.flatten() else { return Ok(None) };
        let mut due = Vec::new();
        for number in numbers {
            let is_here = |lane: &mut WebhookLane| {
                lane.waiting.get(&number).is_some_and(|it| it.body.is_some())
            };
            let read = match self.with_lane(want.webhook, is_here) {
                Some(true) => None,
                _ => self.waiting_one(want.webhook, number).await?.and_then(|row| row.body),
            };
            if read.is_none() {
                self.end_without_body(want.webhook, number, now).await?;
            }
            let one = self.with_lane(want.webhook, |lane| lane.post(number, read));
            due.extend(one.flatten());
        }
        Ok(Some((target, due)))
    }

    /// Ends a delivery whose rows have no body: another process ended it while this one was frozen,
    /// and this one then wrote its next attempt. It is logged in any case, so that nobody has to
    /// guess why it is missing.
    async fn end_without_body(&self, webhook: i64, number: i64, now: i64) -> Result<()> {
        let facts = self.with_lane(webhook, |lane| lane.without_body(number)).flatten();
        let Some(facts) = facts else { return Ok(()) };
        if self.logged_one(webhook, number).await?.is_none() {
            tracing::error!(webhook, number, "a delivery of a webhook has lost its body");
            let error = Some("its body is missing in the store".to_owned());
            let facts = DeliveryFacts { error, ended_at: Some(now), ..facts };
            let failed = DeliveryRow { number, state: DeliveryState::Failed, facts, body: None };
            self.log(webhook, &[failed]).await?;
        }
        self.with_lane(webhook, |lane| lane.has_ended_elsewhere(number));
        Ok(())
    }

    /// Writes results, and then applies them. One of a delivery that another process has ended changes nothing.
    /// Returns how many attempts have failed in a row now, of each endpoint but those whose rows cannot be written:
    /// their results are left to another call, and the others go on.
    pub(crate) async fn write(&self, ended: &[EndedAttempt]) -> BTreeMap<i64, u64> {
        let mut of_webhook: BTreeMap<i64, Vec<&EndedAttempt>> = BTreeMap::new();
        for one in ended {
            of_webhook.entry(one.webhook).or_default().push(one);
        }
        let writes = of_webhook.into_iter().map(|(webhook, ended)| async move {
            (webhook, self.write_results_of(webhook, &ended).await)
        });
        let mut failures = BTreeMap::new();
        for (webhook, result) in join_all(writes).await {
            match result {
                Ok(Some(outcome)) => {
                    failures.insert(webhook, outcome.failures);
                    self.count(&outcome);
                    self.with_lane(webhook, |lane| lane.apply(outcome));
                    if let Err(error) = self.empty_ended(webhook).await {
                        tracing::debug!(%error, webhook, "rows of deliveries are emptied later");
                    }
                }
                // Another process has it, and tries again what this one has tried.
                Ok(None) => drop(failures.insert(webhook, 0)),
                Err(error) => {
                    tracing::warn!(%error, webhook, "results of a webhook are written later");
                }
            }
        }
        failures
    }

    /// What follows from attempts, once it is written.
    async fn write_results_of(
        &self,
        webhook: i64,
        ended: &[&EndedAttempt],
    ) -> Result<Option<LaneOutcome>> {
        let now = self.now();
        let outcome = self.with_lane(webhook, |lane| {
            let outcome = || lane.outcome(ended, &self.options, now, self.trusts_clock());
            lane.is_leased().then(|| (lane.row.clone(), outcome()))
        });
        let Some(Some((row, outcome))) = outcome else { return Ok(None) };
        if !self.write_rows(webhook, &outcome).await? {
            return Ok(None);
        }
        if outcome.is_gone && self.disable_endpoint(&row).await? {
            let webhook_id = row.name;
            tracing::warn!(%webhook_id, "a webhook is disabled: its receiver answered 410");
        }
        Ok(Some(outcome))
    }

    fn count(&self, outcome: &LaneOutcome) {
        let mut totals = locked(&self.totals);
        for row in outcome.rows.values() {
            match row.state {
                DeliveryState::Pending => {}
                DeliveryState::Delivered => totals.delivered += 1,
                DeliveryState::Failed | DeliveryState::Gap => totals.failed += 1,
            }
        }
        totals.attempts_failed += outcome.attempts_failed;
    }

    async fn write_rows(&self, webhook: i64, outcome: &LaneOutcome) -> Result<bool> {
        let rows = outcome.rows.values().cloned();
        let (waiting, mut ended): (Vec<_>, Vec<_>) =
            rows.partition(|row| row.state == DeliveryState::Pending);
        for row in ended.iter_mut().filter(|row| row.body.is_none()) {
            row.body = self.waiting_one(webhook, row.number).await?.and_then(|found| found.body);
        }
        // Written before the lane applies them: a crash repeats a post, and loses none.
        let is_stored = self.store_waiting(webhook, waiting, WebhookLane::are_written).await?;
        self.log(webhook, &ended).await?;
        Ok(is_stored)
    }
}
