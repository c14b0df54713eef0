//! Campaigns: made by name, once; their terms and their counts.

use async_trait::async_trait;
use coupon::ids::CampaignId;
use coupon::time::Millis;

use crate::audit::Act;
use crate::{CampaignPatch, CampaignRow, Named, NewCampaign, Patched, Result};

#[async_trait]
pub trait Campaigns {
    /// Creates a campaign, its shared code and its first batch, or none of them.
    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>>;

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>>;

    /// Campaigns in the order of their names, after `after`, at most `limit`.
    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>>;

    /// Changes what may be changed of a campaign. When this returns, every process uses the new terms.
    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched>;
}
