//! Webhooks and their deliveries.

use coupon::calendar::format_instant;
use coupon::time::Millis;
use engine::Role;
use serde::Serialize;
use utoipa::ToSchema;
use webhooks::{Delivery, Endpoint, EndpointState, SecretTimes, Tested};

use crate::closed;

/// An endpoint to which events are posted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookBody {
    /// The id of the webhook.
    webhook_id: String,
    /// Where events are posted. Only an admin reads its query, which may have a secret in it; for
    /// others it is `...`.
    url: String,
    /// For people.
    description: Option<String>,
    /// Only events of these types. Null: all but `coupon.held`, `coupon.released`,
    /// `coupons.expiring` and `report.weekly`.
    #[schema(value_type = Option<Vec<closed::WebhookType>>, max_items = 50)]
    types: Option<Vec<String>>,
    /// Only events of this campaign.
    campaign_id: Option<String>,
    /// Whether events of one coupon are posted one after the other.
    ordered: bool,
    /// Whether events are posted.
    #[schema(value_type = closed::WebhookState)]
    state: &'static str,
    /// Since when it is paused or disabled.
    stopped_at: Option<String>,
    /// Why it is disabled.
    stopped_reason: Option<String>,
    /// When it was created.
    created_at: String,
    /// Deliveries that wait for their first or their next attempt.
    pending: u64,
    /// Attempts that failed since the last good one.
    failures: u64,
    /// When the first of them failed.
    failing_since: Option<String>,
    /// When its secrets were made, and until when they sign; oldest first.
    #[schema(max_items = 16)]
    secrets: Vec<SecretTimesBody>,
    /// The secret, only in the answer of the call that created the webhook.
    pub(crate) secret: Option<String>,
}

/// From when to when a secret signs.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SecretTimes)]
pub struct SecretTimesBody {
    /// When it was made.
    created_at: String,
    /// Until when it signs. Null: until another one replaces it.
    signs_until: Option<String>,
}

/// A secret with which events are signed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub struct SecretBody {
    /// `whsec_` and base64, as Standard Webhooks has it.
    pub(crate) secret: String,
}

/// One event for one webhook, with the result of its last attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryBody {
    /// The number of the delivery. Later ones have higher numbers.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    delivery_id: i64,
    /// How far it is.
    #[schema(value_type = closed::DeliveryState)]
    state: &'static str,
    /// The id of the event: the header `webhook-id`. Null for a gap.
    event_id: Option<String>,
    /// The type of the event. Null for a gap.
    r#type: Option<String>,
    /// The code that the event is about.
    code: Option<String>,
    /// When it was queued.
    created_at: String,
    /// Attempts so far.
    attempts: u64,
    /// How often it was delivered again by hand.
    redelivered: u64,
    /// When the last attempt ended.
    tried_at: Option<String>,
    /// The status that the receiver answered.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Why the last attempt failed. Of a gap: what is missing.
    error: Option<String>,
    /// How long the last attempt took, in milliseconds.
    duration_ms: Option<u64>,
    /// When the next attempt is due.
    next_at: Option<String>,
    /// When it was delivered or given up.
    ended_at: Option<String>,
}

/// What a receiver answered to a test event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WebhookTest)]
pub struct WebhookTestBody {
    /// Whether the answer was a 2xx.
    delivered: bool,
    /// The number of the delivery.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    delivery_id: i64,
    /// The header `webhook-id`.
    event_id: String,
    /// The status that the receiver answered.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Why it failed.
    error: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

fn instant(at: i64) -> String {
    format_instant(Millis(at))
}

impl WebhookBody {
    pub(crate) fn of(endpoint: &Endpoint, role: Role) -> WebhookBody {
        let url = match role {
            Role::Admin => endpoint.url.clone(),
            Role::User | Role::Shop | Role::Operator => endpoint.url_without_query(),
        };
        let (state, since, why) = match &endpoint.state {
            EndpointState::Active => ("active", None, None),
            EndpointState::Paused { since } => ("paused", Some(*since), None),
            EndpointState::Disabled { why, since } => ("disabled", Some(*since), Some(why.clone())),
        };
        WebhookBody {
            webhook_id: endpoint.webhook_id.clone(),
            url,
            description: endpoint.description.clone(),
            types: endpoint.types.as_ref().map(|types| types.iter().cloned().collect()),
            campaign_id: endpoint.campaign.clone(),
            ordered: endpoint.ordered,
            state,
            stopped_at: since.map(instant),
            stopped_reason: why,
            created_at: instant(endpoint.created_at),
            pending: endpoint.pending,
            failures: endpoint.failures,
            failing_since: endpoint.failing_since.map(instant),
            secrets: endpoint.secrets.iter().map(SecretTimesBody::from).collect(),
            secret: None,
        }
    }
}

impl From<&SecretTimes> for SecretTimesBody {
    fn from(times: &SecretTimes) -> SecretTimesBody {
        SecretTimesBody {
            created_at: instant(times.created_at),
            signs_until: times.until.map(instant),
        }
    }
}

impl From<&Delivery> for DeliveryBody {
    fn from(it: &Delivery) -> DeliveryBody {
        DeliveryBody {
            delivery_id: it.number,
            state: it.state.as_str(),
            event_id: it.event_id.clone(),
            r#type: it.event_type.clone(),
            code: it.code.clone(),
            created_at: instant(it.created_at),
            attempts: it.attempts,
            redelivered: it.redelivered,
            tried_at: it.tried_at.map(instant),
            status: it.status,
            error: it.error.clone(),
            duration_ms: it.duration_ms,
            next_at: it.next_at.map(instant),
            ended_at: it.ended_at.map(instant),
        }
    }
}

impl From<Tested> for WebhookTestBody {
    fn from(it: Tested) -> WebhookTestBody {
        WebhookTestBody {
            delivered: it.is_delivered,
            delivery_id: it.number,
            event_id: it.event_id,
            status: it.status,
            error: it.error,
            duration_ms: it.duration_ms,
        }
    }
}
