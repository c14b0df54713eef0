//! What is made or changed under a name that the caller chose.

use coupon::campaign::{Campaign, Handout};

use crate::{CampaignPatch, Patched};

/// The terms after a patch, or why it is refused.
pub fn patched(campaign: &Campaign, patch: &CampaignPatch) -> Result<Campaign, Patched> {
    let mut campaign = campaign.clone();
    if let Some(limit) = patch.per_user_limit {
        let present = campaign.per_user_limit;
        let raised = match (present, limit) {
            (Some(present), Some(limit)) => limit >= present,
            (None, Some(_)) => false,
            (_, None) => campaign.handout == Handout::Bearer,
        };
        if !raised {
            return Err(Patched::LimitNotRaised { present });
        }
        campaign.per_user_limit = limit;
    }
    campaign.name = patch.name.clone().unwrap_or(campaign.name);
    campaign.metadata = patch.metadata.clone().unwrap_or(campaign.metadata);
    campaign.paused = patch.paused.unwrap_or(campaign.paused);
    campaign.issue_from = patch.issue_from.unwrap_or(campaign.issue_from);
    campaign.issue_until = patch.issue_until.unwrap_or(campaign.issue_until);
    match (campaign.issue_from, campaign.issue_until) {
        (Some(from), Some(until)) if from >= until => Err(Patched::WindowEmpty),
        _ => Ok(campaign),
    }
}
