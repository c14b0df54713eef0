//! How far a campaign is, as people see it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CampaignPhase {
    Planned,
    Running,
    SoldOut,
    Paused,
    Ended,
}

/// All of them, in the order of the filter.
pub(crate) const PHASES: [CampaignPhase; 5] = [
    CampaignPhase::Running,
    CampaignPhase::Planned,
    CampaignPhase::SoldOut,
    CampaignPhase::Paused,
    CampaignPhase::Ended,
];

impl CampaignPhase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CampaignPhase::Planned => "planned",
            CampaignPhase::Running => "running",
            CampaignPhase::SoldOut => "sold-out",
            CampaignPhase::Paused => "paused",
            CampaignPhase::Ended => "ended",
        }
    }
}
