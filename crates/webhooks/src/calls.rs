//! The calls: endpoints, their deliveries, and what is announced.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::json;
use uuid::Uuid;

use crate::endpoint::{check_type, invalid};
use crate::error::Result;
use crate::event::{self, TEST_TYPE};
use crate::post::{AttemptVerdict, PostedMessage};
use crate::retry::FAILURES_UNTIL_DOWN;
use crate::signature::Secret;
use crate::store::{DeliveryFacts, DeliveryRow, EndpointTerms, StoredState, locked, single_number};
use crate::{
    Announced, Announcement, DATA_BYTES_MAX, Delivery, DeliveryFilter, DeliveryState, Endpoint,
    EndpointChanges, Gauge, ID_LEN_MAX, NewEndpoint, OVERLAP_MAX, PAGE_MAX, ROTATE_REF_LEN_MAX,
    Rotation, Tested, WebhookError, Webhooks, guard,
};

/// # Errors
/// Each has those of the store, and [`WebhookError::NotFound`] if it names a webhook that is not there. Where it has
/// others, it says which.
impl Webhooks {
    /// Makes an endpoint. Returns it, its newest secret, and whether it was made: a repeat with the same name and
    /// values returns the one that is there.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NameTaken`], [`WebhookError::TooMany`], and those of the store.
    pub async fn create(&self, new: NewEndpoint) -> Result<(Endpoint, Secret, bool)> {
        let new = new.checked(self.store.options.allow_private)?;
        let (row, secret, is_new) = self.store.create_endpoint(new).await?;
        self.endpoints_changed.notify_one();
        Ok((self.store.shown(row).await?, secret, is_new))
    }

    /// At most `limit` endpoints (and [`PAGE_MAX`]) in the order of their names, behind the name `after`.
    pub async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<Endpoint>> {
        let rows = self.store.endpoint_rows().await?;
        let behind = rows.into_iter().filter(|row| Some(&row.name) > after.as_ref());
        try_join_all(behind.take(limit.min(PAGE_MAX)).map(|row| self.store.shown(row))).await
    }

    pub async fn get(&self, webhook_id: &str) -> Result<Endpoint> {
        self.store.shown(self.store.endpoint_row(webhook_id).await?).await
    }

    /// Changes an endpoint. Filters apply to events that are read from now on; what is queued already is sent. With
    /// another URL, what waits is tried at once.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NotFound`], and those of the store.
    pub async fn update(&self, webhook_id: &str, changes: EndpointChanges) -> Result<Endpoint> {
        let changes = changes.checked(self.store.options.allow_private)?;
        let endpoint = self.change(webhook_id, |terms| terms.apply(changes.clone())).await?;
        self.queued.notify_one();
        Ok(endpoint)
    }

    /// Pauses an endpoint, also a disabled one: nothing is sent to it. Its deliveries wait.
    pub async fn pause(&self, webhook_id: &str) -> Result<Endpoint> {
        let now = self.store.now();
        self.change(webhook_id, |terms| Ok(terms.turn(StoredState::Paused, now))).await
    }

    /// Sends to an endpoint again that was paused or disabled. What waited is tried at once.
    pub async fn resume(&self, webhook_id: &str) -> Result<Endpoint> {
        let now = self.store.now();
        self.change(webhook_id, |terms| Ok(terms.turn(StoredState::Active, now))).await
    }

    async fn change(
        &self,
        webhook_id: &str,
        change: impl Fn(&mut EndpointTerms) -> Result<bool> + Send + Sync,
    ) -> Result<Endpoint> {
        let row = self.store.change_endpoint(webhook_id, |row| change(&mut row.terms)).await?;
        self.endpoints_changed.notify_one();
        self.store.shown(row).await
    }

    /// Deletes an endpoint with its secrets and its log. A delivery that is under way may still arrive.
    pub async fn delete(&self, webhook_id: &str) -> Result<()> {
        self.store.delete_endpoint(webhook_id).await?;
        self.endpoints_changed.notify_one();
        Ok(())
    }

    /// Makes a new secret, which signs from now on. The others go on signing for a time, so that a receiver can
    /// change from one to the other. Returns it, and whether it was made: a repeat of the same rotation returns the
    /// one that is there.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], [`WebhookError::NotFound`], [`WebhookError::TooManySecrets`], and those of the
    /// store.
    pub async fn rotate_secret(
        &self,
        webhook_id: &str,
        rotation: Rotation,
    ) -> Result<(Secret, bool)> {
        if rotation.overlap > OVERLAP_MAX {
            let why = format!("is {:?}, want at most {OVERLAP_MAX:?}", rotation.overlap);
            return Err(invalid("overlap", why));
        }
        let len = rotation.rotate_ref.as_ref().map_or(1, String::len);
        if !(1..=ROTATE_REF_LEN_MAX).contains(&len) {
            let why = format!("has {len} bytes, want 1 to {ROTATE_REF_LEN_MAX}");
            return Err(invalid("rotate_ref", why));
        }
        let rotated = self.store.rotate(webhook_id, rotation).await?;
        self.endpoints_changed.notify_one();
        Ok(rotated)
    }

    /// Posts one event of type [`TEST_TYPE`] now, also to an endpoint that is paused or disabled, and logs it. It
    /// is not tried again.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Busy`], and those of the store.
    pub async fn test(&self, webhook_id: &str) -> Result<Tested> {
        let _permit = self.tests.try_acquire().map_err(|_| WebhookError::Busy)?;
        let (store, begun) = (&self.store, self.store.now());
        let row = store.endpoint_row(webhook_id).await?;
        let secrets = row.terms.signing(begun, store.trusts_clock())?;
        let event_id = Uuid::now_v7().to_string();
        let body = event::body(TEST_TYPE, begun, &json!({ "webhook_id": webhook_id }));
        let url = guard::accepted(&row.terms.url, store.options.allow_private);
        let timestamp = begun.div_euclid(1_000);
        let message = PostedMessage { id: &event_id, body: &body, timestamp };
        let answered = self.poster.post(url, &secrets, message).await;
        let is_delivered = answered.verdict == AttemptVerdict::Delivered;
        let state = if is_delivered { DeliveryState::Delivered } else { DeliveryState::Failed };
        let ended = store.now();
        let number = single_number(ended, Uuid::new_v4().as_fields().0);
        let facts = DeliveryFacts::new(&event_id, TEST_TYPE, None, begun).tried(&answered, ended);
        let facts = DeliveryFacts { ended_at: Some(ended), ..facts };
        let logged = DeliveryRow { number, state, facts, body: Some(body) };
        store.log(row.number, &[logged]).await?;
        Ok(Tested {
            is_delivered,
            number,
            event_id,
            status: answered.status,
            error: answered.error,
            duration_ms: answered.duration_ms,
        })
    }

    /// At most `limit` deliveries of an endpoint (and [`PAGE_MAX`]), newest first.
    pub async fn deliveries(
        &self,
        webhook_id: &str,
        filter: DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let webhook = self.store.endpoint_row(webhook_id).await?.number;
        let limit = limit.min(PAGE_MAX);
        let before = filter.before.unwrap_or(i64::MAX);
        // First what waits: one that ends meanwhile is in the log then. One may be in both, the newer one counts.
        let waiting = self.store.waiting_facts(webhook).await?;
        let mut found = self.store.list_ended(webhook, &filter, limit).await?;
        for (number, facts) in waiting.into_iter().filter(|(number, _)| *number < before) {
            let ended = found.get(&number).map(|ended| ended.facts.redelivered);
            if ended.is_none_or(|ended| ended < facts.redelivered) {
                found.insert(number, DeliveryRow::waiting(number, facts, None));
            }
        }
        let wanted = |row: &DeliveryRow| filter.state.is_none_or(|state| state == row.state);
        let found = found.into_values().rev().filter(wanted).take(limit);
        Ok(found.map(|row| row.shown(webhook_id)).collect())
    }

    /// A delivery, and the body of its POST; a gap has none.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::NoDelivery`], and those of the store.
    pub async fn delivery(
        &self,
        webhook_id: &str,
        number: i64,
    ) -> Result<(Delivery, Option<String>)> {
        let webhook = self.store.endpoint_row(webhook_id).await?.number;
        let mut row = self.store.delivery_of(webhook, number).await?;
        let body = row.body.take();
        Ok((row.shown(webhook_id), body))
    }

    /// Delivers again, with the same `webhook-id` and body. One that has ended begins anew; one that waits is tried
    /// at once. If the endpoint is paused or disabled, it waits until it is resumed.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::NoDelivery`], also for a gap, and those of the store.
    pub async fn redeliver(&self, webhook_id: &str, number: i64) -> Result<Delivery> {
        let webhook = self.store.endpoint_row(webhook_id).await?.number;
        let row = self.store.delivery_of(webhook, number).await?;
        if row.state == DeliveryState::Gap {
            return Err(WebhookError::NoDelivery);
        }
        self.store.leave_again(webhook, number).await?;
        self.queued.notify_one();
        let facts = row.facts.again(row.state != DeliveryState::Pending, self.store.now());
        Ok(DeliveryRow::waiting(number, facts, None).shown(webhook_id))
    }

    /// Queues something that is not in the feed, for all endpoints that ask for it and are not disabled. It
    /// survives a power cut when this returns. A repeat with the same id adds nothing where it is queued or in
    /// the log. Any process may call it, also one without `run`.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`], and those of the store.
    pub async fn announce(&self, announcement: Announcement) -> Result<Announced> {
        let Announcement { id, event_type, data, .. } = &announcement;
        check_type("type", event_type)?;
        // Visible ASCII fits in a header.
        if !(1..=ID_LEN_MAX).contains(&id.len()) || !id.chars().all(|c| c.is_ascii_graphic()) {
            let why = format!("is no name of 1 to {ID_LEN_MAX} visible ASCII characters");
            return Err(invalid("id", why));
        }
        let length = data.to_string().len();
        if length > DATA_BYTES_MAX {
            return Err(invalid(
                "data",
                format!("has {length} bytes, want at most {DATA_BYTES_MAX}"),
            ));
        }
        let announced = self.store.announce(&announcement).await?;
        self.queued.notify_one();
        Ok(announced)
    }

    /// Whether [`Webhooks::announce`] has somebody to tell something of this type, whatever its campaigns.
    pub async fn has_asked(&self, event_type: &str) -> Result<bool> {
        let rows = self.store.endpoint_rows().await?;
        Ok(rows.iter().any(|row| {
            let types = row.terms.types.as_ref();
            !row.terms.is_disabled() && types.is_some_and(|types| types.contains(event_type))
        }))
    }

    /// Totals are of this process.
    pub async fn gauge(&self) -> Result<Gauge> {
        let (store, now) = (&self.store, self.store.now());
        let rows = store.endpoint_rows().await?;
        let progress = try_join_all(rows.iter().map(|row| store.doing(row.number))).await?;
        let mut gauge = locked(&store.totals).clone();
        for (row, progress) in rows.iter().zip(progress) {
            gauge.pending += progress.pending;
            match row.terms.state {
                StoredState::Active => {
                    gauge.active += 1;
                    let is_down = progress.failures >= FAILURES_UNTIL_DOWN;
                    gauge.down += u64::from(is_down);
                    let waited = progress.oldest.map(|at| now.saturating_sub(at).max(0));
                    let waited = waited.map(|ms| Duration::from_millis(ms.unsigned_abs()));
                    gauge.oldest_pending = gauge.oldest_pending.max(waited);
                }
                StoredState::Paused => gauge.paused += 1,
                StoredState::Disabled(_) => gauge.disabled += 1,
            }
        }
        Ok(gauge)
    }
}
