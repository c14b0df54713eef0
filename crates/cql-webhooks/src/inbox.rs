//! What any process leaves for the one that posts to an endpoint: announcements, and deliveries that are to be made
//! again. A row is deleted when what it asks for is written.

use cql_session::StatementProfile;
use serde::{Deserialize, Serialize};
use webhooks::{Announced, Announcement, Delivery, DeliveryState, Matter, Message, WebhookError};

use crate::ClusterStore;
use crate::deliveries::Facts;
use crate::error::{Result, to_json};
use crate::lane::{Lane, Waiting};

/// Rows that are taken at a time.
const TAKEN_TOGETHER: usize = 100;

/// With so many deliveries that wait, announcements stay where they are: what waits is in memory.
const WAITING_MAX: u64 = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Announce { id: String, event_type: String, body: String },
    Again { number: i64 },
}

impl Request {
    /// A repeat of the same request has the same.
    fn id(&self) -> String {
        match self {
            Request::Announce { id, .. } => format!("announce {id}"),
            Request::Again { number } => format!("again {number}"),
        }
    }
}

impl ClusterStore {
    async fn leave(&self, webhook: i64, request: &Request) -> Result<()> {
        let text = to_json(request)?;
        let cql = "INSERT INTO webhook_inbox (webhook, id, request) VALUES (?, ?, ?)";
        self.session.write(cql, (webhook, request.id(), text)).await?;
        self.look_soon(webhook);
        Ok(())
    }

    pub(crate) async fn delete_inbox(&self, webhook: i64) -> Result<()> {
        let cql = "DELETE FROM webhook_inbox WHERE webhook = ?";
        Ok(self.session.write(cql, (webhook,)).await?)
    }

    /// Leaves an announcement for all endpoints that ask for it and are not disabled.
    pub(crate) async fn leave_announcement(
        &self,
        announcement: &Announcement,
        pending_max: u64,
    ) -> Result<Announced> {
        let matter = Matter::from(announcement);
        let Message { id, event_type, body } = matter.message();
        let request = Request::Announce { id: id.clone(), event_type, body };
        let mut announced = Announced::default();
        for row in self.endpoint_rows().await? {
            let terms = &row.terms;
            let asks = matter.is_for(terms.types.as_ref(), terms.campaign.as_deref());
            if !asks || terms.is_disabled() {
                continue;
            }
            let known = "SELECT id FROM webhook_announced WHERE webhook = ? AND id = ?";
            if !self.session.has(known, (row.number, id.as_str())).await? {
                if self.waits(row.number).await? >= pending_max {
                    announced.full += 1;
                    continue;
                }
                self.leave(row.number, &request).await?;
                // After it, so that a repeat finds nothing that was not left.
                let cql = "INSERT INTO webhook_announced (webhook, id) VALUES (?, ?) USING TTL ?";
                let keep = i32::try_from(self.log_keep.as_secs().max(1)).unwrap_or(i32::MAX);
                self.session.write(cql, (row.number, id.as_str(), keep)).await?;
            }
            announced.endpoints += 1;
        }
        Ok(announced)
    }

    /// How many deliveries of an endpoint wait, with those that nobody has taken yet.
    async fn waits(&self, webhook: i64) -> Result<u64> {
        let cql = "SELECT COUNT(*) FROM webhook_inbox WHERE webhook = ?";
        let left: Option<i64> = self.session.value(cql, (webhook,)).await?;
        let pending = self.doing(webhook).await?.pending;
        Ok(pending.saturating_add(left.unwrap_or_default().unsigned_abs()))
    }

    /// Leaves word to deliver something again, and returns it as it will be.
    pub(crate) async fn leave_again(
        &self,
        webhook: i64,
        name: &str,
        number: i64,
        now: i64,
    ) -> Result<Delivery> {
        let (state, facts, _) = self.delivery_of(webhook, number).await?;
        if state == DeliveryState::Gap {
            return Err(WebhookError::NoDelivery.into());
        }
        self.leave(webhook, &Request::Again { number }).await?;
        let facts = facts.again(state != DeliveryState::Pending, now);
        Ok(facts.shown(number, name, DeliveryState::Pending))
    }

    /// Takes some of what was left for an endpoint to which this process posts. Returns whether there may be more.
    pub(crate) async fn take_inbox(&self, webhook: i64, now: i64) -> Result<bool> {
        if self.with_lane(webhook, |lane| lane.pending()).is_none_or(|it| it >= WAITING_MAX) {
            return Ok(false);
        }
        let cql = "SELECT id, request FROM webhook_inbox WHERE webhook = ? LIMIT ?";
        let values = (webhook, i32::try_from(TAKEN_TOGETHER).unwrap_or(i32::MAX));
        let rows: Vec<(String, String)> =
            self.session.rows(StatementProfile::Read, cql, values).await?;
        let mut taken = 0;
        for (id, text) in rows {
            match serde_json::from_str(&text) {
                Ok(Request::Announce { id, event_type, body }) => {
                    self.take_announcement(webhook, Message { id, event_type, body }, now).await?;
                }
                Ok(Request::Again { number }) => self.take_again(webhook, number, now).await?,
                // Of a later release: its own process will take it.
                Err(error) => {
                    tracing::warn!(%error, "a webhook was asked for something unknown");
                    continue;
                }
            }
            let cql = "DELETE FROM webhook_inbox WHERE webhook = ? AND id = ?";
            self.session.write(cql, (webhook, id)).await?;
            taken += 1;
        }
        Ok(taken == TAKEN_TOGETHER)
    }

    async fn take_announcement(&self, webhook: i64, message: Message, now: i64) -> Result<()> {
        let number = self
            .with_lane(webhook, |lane| (!lane.has_id(&message.id)).then(|| lane.next_number(now)));
        let Some(Some(number)) = number else { return Ok(()) };
        let facts = Facts::new(&message, None, now);
        self.store_pending(webhook, number, &facts, Some(&message.body)).await?;
        self.with_lane(webhook, |lane: &mut Lane| lane.insert(number, Waiting::written(facts)));
        Ok(())
    }

    async fn take_again(&self, webhook: i64, number: i64, now: i64) -> Result<()> {
        let hurried = self.with_lane(webhook, |lane| {
            let waiting = lane.waiting(number)?;
            let facts = waiting.facts.again(false, now);
            lane.hurry(number, facts);
            Some(())
        });
        if let Some(Some(())) = hurried {
            return Ok(());
        }
        // First: the delete that its old row still waits for would delete the new one.
        self.delete_ended(webhook).await?;
        let Some((state, facts, Some(body))) = self.logged(webhook, number).await? else {
            return Ok(());
        };
        let facts = facts.again(true, now);
        self.store_pending(webhook, number, &facts, Some(&body)).await?;
        self.with_lane(webhook, |lane: &mut Lane| lane.insert(number, Waiting::written(facts)));
        // Last: after a crash it is in both, and is listed once.
        self.delete_logged(webhook, number, state).await
    }
}
