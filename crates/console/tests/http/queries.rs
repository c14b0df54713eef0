//! Saved SQL: who may do what, and what people read.

use axum::http::header;
use engine::{QUERIES_MAX, StaffRole};

use crate::browser::Browser;
use crate::place::{HOSTILE, Place};

const PATH: &str = "/console/reports/sql";

async fn saved(browser: &mut Browser, name: &str, sql: &str) -> String {
    let fields = [("do", "save"), ("name", name), ("sql", sql)];
    let to = browser.submit(PATH, &fields).await.must(303).to().to_owned();
    to.split('?').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_query_is_written_saved_and_run() {
    let place = Place::new();
    let mut eva = place.signed_in(StaffRole::Operator).await;
    let mut mina = place.signed_in(StaffRole::Marketer).await;
    eva.get("/console/reports").await.must(200).has("/console/reports/sql");
    let page = eva.submit(PATH, &[("do", "run"), ("sql", "select 1")]).await.must(200);
    page.has("staff:operator").has("Rows: 1").has("select 1").has("&#60;b&#62;Bold");
    let address = saved(&mut eva, HOSTILE, "select 1").await;
    let page = mina.get(&address).await.must(200);
    page.has("staff:marketer").has("select 1");
    assert!(!page.text.contains("<textarea"), "who may not write sees what there is");
    let file = mina.get(&format!("{address}/file.csv")).await.must(200);
    assert_eq!(file.text, "\u{feff}who\nstaff:marketer\n");
    let name = file.headers[header::CONTENT_DISPOSITION].to_str().expect("text");
    assert!(name.starts_with("attachment; filename=\"query-"), "{name}");
    // The same name again replaces the query, whose address is another one then.
    let other = saved(&mut eva, HOSTILE, "select 2").await;
    mina.get(&address).await.must(404);
    eva.submit(&format!("{other}/delete"), &[]).await.must(303);
    mina.get(PATH).await.must(200).has("None yet.");
    let audit = eva.get("/console/audit").await.must(200);
    for (what, count) in [("Query run", 3), ("Query saved", 2), ("Query deleted", 1)] {
        assert_eq!(audit.text.matches(what).count(), count, "{what}");
    }
}

/// What every marketer asks of a campaign is there, for those who may not write SQL, too.
#[tokio::test]
async fn the_query_of_a_campaign() {
    let place = Place::new();
    place.seeded().await;
    let path = "/console/reports/sql?campaign=spring";
    for role in [StaffRole::Marketer, StaffRole::Operator] {
        let mut browser = place.signed_in(role).await;
        for from in ["/console/campaigns/spring", "/console/reports?campaign=spring"] {
            browser.get(from).await.must(200).has(&format!("href=\"{path}\""));
        }
        let page = browser.get(path).await.must(200);
        page.has("campaign_id = &#39;spring&#39;")
            .has("Rows: 1")
            .has("redeemed within so many days");
        let has_form = page.text.contains("<textarea");
        assert_eq!(has_form, role == StaffRole::Operator, "{role:?} {}", page.text);
    }
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    let page = viewer.get("/console/campaigns/spring").await.must(200);
    assert!(!page.text.contains("/console/reports/sql"), "{}", page.text);
    viewer.get(path).await.must(403);
    let mut marketer = place.signed_in(StaffRole::Marketer).await;
    marketer.get("/console/reports/sql?campaign=none").await.must(404);
    marketer.get("/console/reports/sql?campaign=a'b").await.must(422);
}

#[tokio::test]
async fn a_query_without_an_answer() {
    let place = Place::new();
    let mut eva = place.signed_in(StaffRole::Admin).await;
    let cases = [
        ("wrong", "cannot be run"),
        ("slow", "takes longer"),
        ("busy", "Other queries run"),
        ("away", "does not answer"),
    ];
    for (sql, said) in cases {
        let page = eva.submit(PATH, &[("do", "run"), ("sql", sql)]).await.must(200);
        page.has(said).has(&format!(">{sql}</textarea>"));
        assert!(!page.text.contains(HOSTILE), "{sql}");
    }
    let page = eva.submit(PATH, &[("do", "run"), ("sql", "many")]).await.must(200);
    page.has("The first 500 rows");
    assert!(page.text.len() < 200_000, "{} bytes", page.text.len());
    let address = saved(&mut eva, "many", "many").await;
    // A file that lacks rows would be taken for all of them.
    eva.get(&format!("{address}/file.csv")).await.must(422).has("10,000");
}

#[tokio::test]
async fn bounds_of_queries() {
    let place = Place::new();
    let mut eva = place.signed_in(StaffRole::Operator).await;
    let long = "x".repeat(4_001);
    let rows = [("", "select 1"), ("name", ""), ("name", long.as_str()), (&long[..81], "select 1")];
    for (name, sql) in rows {
        let fields = [("do", "save"), ("name", name), ("sql", sql)];
        eva.submit(PATH, &fields).await.must(422);
    }
    eva.submit(PATH, &[("do", "run"), ("sql", &long)]).await.must(422);
    for nth in 0..QUERIES_MAX {
        saved(&mut eva, &format!("query {nth}"), "select 1").await;
    }
    let fields = [("do", "save"), ("name", "one more"), ("sql", "select 1")];
    eva.submit(PATH, &fields).await.must(422).has("50 queries");
    // Another one in the place of one that there is.
    saved(&mut eva, "query 7", "select 2").await;
}
