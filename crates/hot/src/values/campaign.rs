//! Campaigns and batches: how they are asked for, and how they are shown.

use std::sync::Arc;

use coupon::campaign::{Campaign, CampaignCounts};
use coupon::ids::BatchId;
use coupon::minted::KeyId;
use coupon::time::Millis;

/// A campaign with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRow {
    pub campaign: Arc<Campaign>,
    pub counts: CampaignCounts,
    /// The moment for which the counts hold.
    pub counted_at: Millis,
    /// See [`NewCampaign::created_as`].
    pub created_as: String,
}

/// A campaign to be made.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    pub campaign: Campaign,
    /// The request in one normal form: the same name with the same form is a replay.
    pub created_as: String,
    pub first_batch: Option<MintOrder>,
}

/// A batch to be minted.
#[derive(Clone, Debug)]
pub struct MintOrder {
    pub id: BatchId,
    pub count: u64,
    pub key: KeyId,
}

/// What `PATCH` changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignPatch {
    /// New name.
    pub name: Option<String>,
    /// New metadata, or none.
    pub metadata: Option<Option<String>>,
    pub paused: Option<bool>,
    pub issue_from: Option<Option<Millis>>,
    pub issue_until: Option<Option<Millis>>,
    /// New limit; only upwards. `Some(None)`, no limit, is for bearer campaigns alone.
    pub per_user_limit: Option<Option<u16>>,
    /// Change it only if what may change has one of these [tags](crate::protocol::terms_tag).
    pub if_tagged: Option<Vec<u64>>,
}

/// The outcome of a [`CampaignPatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched {
    Done(CampaignRow),
    NotFound,
    /// The limit may only be raised.
    LimitNotRaised {
        present: Option<u16>,
    },
    /// `issue_from` would not be before `issue_until`.
    WindowEmpty,
    /// What may change has another tag than the patch wants.
    OtherTag,
}
