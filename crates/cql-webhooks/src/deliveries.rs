//! The rows of deliveries: those that wait in `webhook_pending`, those that have ended in `webhook_log`.
//!
//! A delivery that arrives at the first attempt is written once, when it has ended. One that waits for long is
//! written before the cursor moves beyond its event.

use std::collections::BTreeMap;
use std::time::Duration;

use cql_session::StatementProfile;
use futures::stream::{StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};
use webhooks::{Answered, Delivery, DeliveryFilter, DeliveryState, Message, WebhookError};

use crate::ClusterStore;
use crate::endpoints::EndpointRow;
use crate::error::{Result, to_json, unreadable};
use crate::numbers::{day_of, single};

/// Statements under way at a time for one call.
pub(crate) const AT_ONCE: usize = 32;

/// Days of the log that one step of a list reads together.
const DAYS_TOGETHER: usize = 4;

const DAY_S: u64 = 86_400;

const ENDED: [DeliveryState; 3] =
    [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Gap];

/// What a row says of a delivery, besides its number and state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The header `webhook-id`; a gap has none.
    pub(crate) id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) attempts: u64,
    pub(crate) redelivered: u64,
    pub(crate) tried_at: Option<i64>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) next_at: i64,
    pub(crate) ended_at: Option<i64>,
}

impl Facts {
    pub(crate) fn new(message: &Message, code: Option<&str>, now: i64) -> Facts {
        Facts {
            id: Some(message.id.clone()),
            event_type: Some(message.event_type.clone()),
            code: code.map(str::to_owned),
            created_at: now,
            next_at: now,
            ..Facts::default()
        }
    }

    pub(crate) fn tried(&self, answered: &Answered, now: i64) -> Facts {
        let Answered { status, error, duration, .. } = answered;
        Facts {
            attempts: self.attempts + 1,
            tried_at: Some(now),
            status: *status,
            error: error.clone(),
            duration_ms: Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            ..self.clone()
        }
    }

    /// As one that begins anew, or is tried at once.
    pub(crate) fn again(&self, has_ended: bool, now: i64) -> Facts {
        Facts {
            attempts: if has_ended { 0 } else { self.attempts },
            redelivered: self.redelivered + 1,
            next_at: now,
            ended_at: None,
            ..self.clone()
        }
    }

    pub(crate) fn shown(self, number: i64, name: &str, state: DeliveryState) -> Delivery {
        let is_pending = state == DeliveryState::Pending;
        Delivery {
            number,
            webhook_id: name.to_owned(),
            state,
            event_id: self.id,
            event_type: self.event_type,
            code: self.code,
            created_at: self.created_at,
            attempts: self.attempts,
            redelivered: self.redelivered,
            tried_at: self.tried_at,
            status: self.status,
            error: self.error,
            duration_ms: self.duration_ms,
            next_at: is_pending.then_some(self.next_at),
            ended_at: self.ended_at,
        }
    }

    fn read(text: &str) -> Result<Facts> {
        serde_json::from_str(text).map_err(|why| unreadable(format!("a delivery: {why}")))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct EndedRow {
    pub(crate) number: i64,
    pub(crate) state: DeliveryState,
    pub(crate) facts: Facts,
    pub(crate) body: Option<String>,
    pub(crate) keep: Duration,
}

impl ClusterStore {
    /// Writes a delivery that waits. Without a `body`, the one that is there stays.
    pub(crate) async fn store_pending(
        &self,
        webhook: i64,
        number: i64,
        facts: &Facts,
        body: Option<&str>,
    ) -> Result<()> {
        let facts = to_json(facts)?;
        let Some(body) = body else {
            let cql = "INSERT INTO webhook_pending (webhook, number, delivery) VALUES (?, ?, ?)";
            return Ok(self.session.write(cql, (webhook, number, facts)).await?);
        };
        let cql = "INSERT INTO webhook_pending (webhook, number, delivery, body) \
                   VALUES (?, ?, ?, ?)";
        Ok(self.session.write(cql, (webhook, number, facts, body)).await?)
    }

    pub(crate) async fn delete_pending(&self, webhook: i64, number: i64) -> Result<()> {
        let cql = "DELETE FROM webhook_pending WHERE webhook = ? AND number = ?";
        Ok(self.session.write(cql, (webhook, number)).await?)
    }

    /// Those that wait, without their bodies.
    pub(crate) async fn pending(&self, webhook: i64) -> Result<BTreeMap<i64, Facts>> {
        let cql = "SELECT number, delivery FROM webhook_pending WHERE webhook = ?";
        pending_of(self.session.scan(cql, (webhook,)).await?)
    }

    pub(crate) async fn pending_one(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<(Facts, Option<String>)>> {
        let cql = "SELECT delivery, body FROM webhook_pending WHERE webhook = ? AND number = ?";
        let row: Option<(Option<String>, Option<String>)> =
            self.session.row(cql, (webhook, number)).await?;
        let Some((Some(facts), body)) = row else { return Ok(None) };
        Ok(Some((Facts::read(&facts)?, body)))
    }

    pub(crate) async fn log(&self, webhook: i64, row: &EndedRow) -> Result<()> {
        let EndedRow { number, state, facts, body, keep } = row;
        let cql = "INSERT INTO webhook_log (webhook, state, day, number, delivery, body) \
                   VALUES (?, ?, ?, ?, ?, ?) USING TTL ?";
        let keep = i32::try_from(keep.as_secs().max(1)).unwrap_or(i32::MAX);
        let (state, day) = (state_column(*state), day_of(*number));
        let values = (webhook, state, day, number, to_json(facts)?, body.as_deref(), keep);
        Ok(self.session.write(cql, values).await?)
    }

    pub(crate) async fn delete_logged(
        &self,
        webhook: i64,
        number: i64,
        state: DeliveryState,
    ) -> Result<()> {
        let cql = "DELETE FROM webhook_log WHERE webhook = ? AND state = ? AND day = ? \
                   AND number = ?";
        let values = (webhook, state_column(state), day_of(number), number);
        Ok(self.session.write(cql, values).await?)
    }

    pub(crate) async fn logged(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<Option<(DeliveryState, Facts, Option<String>)>> {
        for state in ENDED {
            let cql = "SELECT delivery, body FROM webhook_log WHERE webhook = ? AND state = ? \
                       AND day = ? AND number = ?";
            let values = (webhook, state_column(state), day_of(number), number);
            let row: Option<(String, Option<String>)> = self.session.row(cql, values).await?;
            if let Some((facts, body)) = row {
                return Ok(Some((state, Facts::read(&facts)?, body)));
            }
        }
        Ok(None)
    }

    /// Deletes everything of an endpoint that is gone, as far as the log was kept.
    pub(crate) async fn delete_deliveries(&self, webhook: i64) -> Result<()> {
        let cql = "DELETE FROM webhook_pending WHERE webhook = ?";
        self.session.write(cql, (webhook,)).await?;
        let today = day_of(single((self.clock)(), 0));
        let days =
            ENDED.into_iter().flat_map(|state| self.days(today).map(move |day| (state, day)));
        let deletes = days.map(|(state, day)| async move {
            let cql = "DELETE FROM webhook_log WHERE webhook = ? AND state = ? AND day = ?";
            self.session.write(cql, (webhook, state_column(state), day)).await
        });
        let deletes = iter(deletes.collect::<Vec<_>>());
        Ok(deletes.buffer_unordered(AT_ONCE).try_collect().await?)
    }

    /// The days of the log, newest first.
    fn days(&self, newest: i32) -> impl Iterator<Item = i32> {
        let days = i32::try_from(self.log_keep.as_secs().div_ceil(DAY_S)).unwrap_or(i32::MAX);
        (newest.saturating_sub(days)..=newest).rev()
    }

    /// At most `limit` deliveries, newest first. `unwritten` are those that only this process knows.
    pub(crate) async fn list(
        &self,
        row: &EndpointRow,
        filter: &DeliveryFilter,
        limit: usize,
        unwritten: BTreeMap<i64, Facts>,
    ) -> Result<Vec<Delivery>> {
        let (webhook, name) = (row.number, &row.name);
        let before = filter.before.unwrap_or(i64::MAX);
        let wants = |state| filter.state.is_none_or(|wanted| wanted == state);
        let mut found = BTreeMap::new();
        if ENDED.into_iter().any(wants) {
            self.list_ended(row, filter, limit, &mut found).await?;
        }
        // One that waits again may still be in the log, and is listed once.
        let pending = self.list_pending(webhook, before, limit).await?;
        for (number, facts) in unwritten.into_iter().chain(pending) {
            if number < before {
                found.insert(number, (DeliveryState::Pending, facts));
            }
        }
        let found = found.into_iter().rev().filter(|(_, (state, _))| wants(*state)).take(limit);
        Ok(found.map(|(number, (state, facts))| facts.shown(number, name, state)).collect())
    }

    async fn list_pending(
        &self,
        webhook: i64,
        before: i64,
        limit: usize,
    ) -> Result<BTreeMap<i64, Facts>> {
        let cql = "SELECT number, delivery FROM webhook_pending WHERE webhook = ? AND number < ? \
                   LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (webhook, before, limit);
        pending_of(self.session.rows(StatementProfile::Read, cql, values).await?)
    }

    async fn list_ended(
        &self,
        row: &EndpointRow,
        filter: &DeliveryFilter,
        limit: usize,
        found: &mut BTreeMap<i64, (DeliveryState, Facts)>,
    ) -> Result<()> {
        let before = filter.before.unwrap_or(i64::MAX);
        // Another machine's clock may be ahead by some seconds, so there may be a row of tomorrow.
        let tomorrow = day_of(single((self.clock)(), 0)) + 1;
        let first = day_of(single(row.terms.created_at, 0)) - 1;
        let days = self.days(tomorrow.min(day_of(before)));
        let days: Vec<i32> = days.take_while(|day| *day >= first).collect();
        let webhook = row.number;
        let states = ENDED.into_iter().filter(|it| filter.state.is_none_or(|state| state == *it));
        let states: Vec<DeliveryState> = states.collect();
        for some in days.chunks(DAYS_TOGETHER) {
            let reads = some.iter().flat_map(|day| states.iter().map(move |state| (*day, *state)));
            let reads = reads.map(|(day, state)| async move {
                let cql = "SELECT number, delivery FROM webhook_log WHERE webhook = ? \
                           AND state = ? AND day = ? AND number < ? LIMIT ?";
                let limit = i32::try_from(limit).unwrap_or(i32::MAX);
                let values = (webhook, state_column(state), day, before, limit);
                let rows: Vec<(i64, String)> =
                    self.session.rows(StatementProfile::Read, cql, values).await?;
                Ok::<_, crate::error::Trouble>((state, rows))
            });
            let reads = iter(reads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
            for (state, rows) in reads.try_collect::<Vec<_>>().await? {
                for (number, facts) in rows {
                    found.insert(number, (state, Facts::read(&facts)?));
                }
            }
            if found.len() >= limit {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A delivery wherever it is.
    pub(crate) async fn delivery_of(
        &self,
        webhook: i64,
        number: i64,
    ) -> Result<(DeliveryState, Facts, Option<String>)> {
        if let Some(found) = self.unwritten_one(webhook, number) {
            return Ok(found);
        }
        if let Some((facts, body)) = self.pending_one(webhook, number).await? {
            return Ok((DeliveryState::Pending, facts, body));
        }
        Ok(self.logged(webhook, number).await?.ok_or(WebhookError::NoDelivery)?)
    }
}

/// Without those that another process has ended meanwhile: the rest of such a row has no facts.
fn pending_of(rows: Vec<(i64, Option<String>)>) -> Result<BTreeMap<i64, Facts>> {
    let rows = rows.into_iter().filter_map(|(number, facts)| Some((number, facts?)));
    rows.map(|(number, facts)| Ok((number, Facts::read(&facts)?))).collect()
}

fn state_column(state: DeliveryState) -> i32 {
    i32::try_from(state.number()).unwrap_or(i32::MAX)
}
