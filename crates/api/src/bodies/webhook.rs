//! Requests that create and change webhooks.

use std::collections::BTreeSet;
use std::time::Duration;

use coupon::ids::{CampaignId, RotateRef};
use engine::unknown_webhook_type;
use serde::Deserialize;
use utoipa::ToSchema;
use webhooks::{EndpointChanges, NewEndpoint, Rotation};

use super::FieldReader;
use super::reading::present;
use crate::closed;
use crate::problem::Result;

/// A webhook to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// The id of the webhook. If it is left out, the server chooses one.
    pub(crate) webhook_id: Option<String>,
    /// Where to post: `https` to a public address.
    #[schema(max_length = 2048)]
    url: String,
    /// For people: 1 to 200 bytes.
    description: Option<String>,
    /// Only events of these types. If it is left out, all but `coupon.held`, `coupon.released`,
    /// `coupons.expiring` and `report.weekly`.
    #[schema(value_type = Option<Vec<closed::WebhookType>>, min_items = 1, max_items = 50)]
    types: Option<BTreeSet<String>>,
    /// Only events of this campaign.
    campaign_id: Option<String>,
    /// Whether events of one coupon are posted one after the other, in their order. If it is left out, false.
    ordered: Option<bool>,
}

impl NewWebhook {
    pub(crate) fn into_new(self) -> Result<NewEndpoint> {
        let mut reading = FieldReader::default();
        let campaign: Option<CampaignId> = reading.may("campaign_id", self.campaign_id.as_deref());
        known(&mut reading, self.types.as_ref());
        reading.done(Some(NewEndpoint {
            webhook_id: self.webhook_id,
            url: self.url,
            description: self.description,
            types: self.types,
            campaign: campaign.map(|id| id.to_string()),
            ordered: self.ordered.unwrap_or(false),
            cursor: None,
        }))
    }
}

/// The changes of a webhook. What is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChanges {
    /// Where to post.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// For people. Null deletes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// Only events of these types, from now on. Null: all but `coupon.held`, `coupon.released`,
    /// `coupons.expiring` and `report.weekly`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<closed::WebhookType>>, min_items = 1, max_items = 50)]
    types: Option<Option<BTreeSet<String>>>,
    /// Only events of this campaign, from now on. Null: of all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    campaign_id: Option<Option<String>>,
    /// Whether events of one coupon are posted one after the other.
    ordered: Option<bool>,
    /// `true` pauses the webhook, `false` resumes it: then what waited is sent.
    paused: Option<bool>,
}

impl WebhookChanges {
    /// The changes, and whether to pause or to resume.
    pub(crate) fn into_changes(self) -> Result<(EndpointChanges, Option<bool>)> {
        let mut reading = FieldReader::default();
        let id = self.campaign_id.as_ref().and_then(Option::as_deref);
        let _checked: Option<CampaignId> = reading.may("campaign_id", id);
        known(&mut reading, self.types.as_ref().and_then(Option::as_ref));
        let WebhookChanges { url, description, types, campaign_id, ordered, paused } = self;
        let changes = EndpointChanges { url, description, types, campaign: campaign_id, ordered };
        reading.done(Some((changes, paused)))
    }
}

/// A rotation of secrets.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRotation {
    /// The caller's name for the rotation: a repeat with the same name returns the same secret.
    pub(crate) rotate_ref: Option<String>,
    /// How long the secrets before it go on signing, in seconds: at most 2,592,000, which is 30 days. If it is left
    /// out, a day. 0: they end at once.
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
}

impl SecretRotation {
    pub(crate) fn read(&self) -> Result<Rotation> {
        let mut reading = FieldReader::default();
        let named: Option<RotateRef> = reading.may("rotate_ref", self.rotate_ref.as_deref());
        let overlap = self.overlap_seconds.map_or(webhooks::OVERLAP, Duration::from_secs);
        reading.done(Some(Rotation { rotate_ref: named.map(|it| it.to_string()), overlap }))
    }
}

/// A call that takes nothing: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

fn known(reading: &mut FieldReader, named: Option<&BTreeSet<String>>) {
    if let Some(detail) = unknown_webhook_type(named.into_iter().flatten()) {
        reading.fault("types", detail);
    }
}
