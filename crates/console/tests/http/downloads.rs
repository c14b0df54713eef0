//! Files for spreadsheets: they open rightly, and nothing in them is run.

use axum::http::header;
use engine::StaffRole;

use crate::place::Place;

#[tokio::test]
async fn files() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let file = "code\nOLD-0001\n=cmd|' /C calc'!A0\n";
    browser.upload("/console/campaigns/spring/import", "import", "old", file).await.must(303);
    // The path, what it has, and what it must not have.
    let rows = [
        ("/console/reports/redemptions.csv?from=2026-11-01&to=2026-11-30", "'=1+1", ",=1+1"),
        ("/console/campaigns/spring/batches/old/rejected.csv", "'=cmd", ",=cmd"),
        ("/console/campaigns/spring/codes.csv", "code\n", issued.as_str()),
        ("/console/import/template.csv", "code,", "=1"),
    ];
    for (path, has, not) in rows {
        let page = browser.get(path).await.must(200);
        assert!(page.text.starts_with('\u{feff}'), "{path}: a spreadsheet takes it for UTF-8");
        assert!(page.text.contains(has) && !page.text.contains(not), "{path}: {}", page.text);
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8", "{path}");
        let name = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert!(name.starts_with("attachment; filename=\""), "{path}: {name}");
    }
    let codes = browser.get("/console/campaigns/spring/codes.csv").await;
    assert_eq!(codes.text.lines().count(), 1 + 18, "those that nobody has got");
    let report = browser.get("/console/reports/redemptions.csv").await;
    assert!(report.text.contains(&redeemed), "{}", report.text);
}
