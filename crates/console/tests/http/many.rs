//! Many campaigns: a page reads as much as with few.

use engine::{CampaignDraft, StaffRole};

use crate::place::{Place, admin};

/// More than two pages of the store.
const CAMPAIGNS: usize = 2_100;

#[tokio::test]
async fn a_page_does_not_walk_over_all() {
    let place = Place::new();
    for nth in 0..CAMPAIGNS {
        let draft = CampaignDraft {
            id: Some(format!("c{nth:05}").parse().unwrap()),
            expires_on: Some("2027-03-31".parse().unwrap()),
            stock: Some(5),
            ..CampaignDraft::default()
        };
        place.engine.create_campaign(&admin(), draft).await.unwrap();
    }
    let mut browser = place.signed_in(StaffRole::Admin).await;
    // The first page after the start reads them, in pages of the store.
    browser.get("/console/campaigns").await.must(200).has("2,100 campaigns");
    let rows = [
        "/console",
        "/console/campaigns",
        "/console/campaigns?q=c02099&sort=name",
        "/console/campaigns?from=2050",
        "/console/campaigns/c00007",
        "/console/calendar?month=2027-03",
        "/console/calendar/2027-03-31",
        "/console/calendar/2027-03-31?skip=2080",
        "/console/coupons?q=c0000",
        "/console/customers/ann",
        "/console/import",
    ];
    for path in rows {
        let before = place.engine.hot().gauge().statements;
        let page = browser.get(path).await.must(200);
        let statements = place.engine.hot().gauge().statements - before;
        assert!(statements <= 40, "{path}: {statements} statements");
        assert!(page.text.len() < 100_000, "{path}: {} bytes", page.text.len());
    }
    // What this process changes is in the list at once.
    let fields = [
        ("name", "New"),
        ("campaign_id", "zz"),
        ("handout", "shop"),
        ("expires_on", "2027-03-31"),
        ("create", "1"),
    ];
    browser.submit("/console/new-campaign", &fields).await.must(303);
    browser.get("/console/campaigns").await.must(200).has("2,101 campaigns");
}
