//! How far a campaign is, as people see it.

coupon::words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum CampaignPhase {
        Running = "running",
        Planned = "planned",
        SoldOut = "sold-out",
        Paused = "paused",
        Ended = "ended",
    }
}
