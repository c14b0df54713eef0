//! Live tails: how many there may be, what they show, and when they end.

use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use engine::StaffRole;
use http_body_util::BodyExt;

use crate::browser::Browser;
use crate::place::Place;

async fn tail(browser: &Browser) -> Response {
    browser.answer(Method::GET, "/console/events/tail", None, Body::empty()).await
}

/// The next piece; `None` at the end.
async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.expect("a frame");
    let bytes = frame.into_data().expect("data");
    Some(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn a_person_has_a_few() {
    let place = Place::new();
    let admin = place.signed_in(StaffRole::Admin).await;
    let viewer = place.signed_in(StaffRole::Viewer).await;
    let mut open = Vec::new();
    for _ in 0..console::TAILS_OF_ONE_MAX {
        open.push(tail(&admin).await);
    }
    assert!(open.iter().all(|it| it.status() == 200));
    assert_eq!(tail(&admin).await.status(), 429, "one more than a person may have");
    assert_eq!(tail(&viewer).await.status(), 200, "somebody else has their own");
    open.pop();
    assert_eq!(tail(&admin).await.status(), 200, "a window was closed");
}

#[tokio::test]
async fn all_see_what_happens_by_one_read() {
    let place = Place::new();
    place.seeded().await;
    let viewer = place.signed_in(StaffRole::Viewer).await;
    let mut bodies = Vec::new();
    for _ in 0..console::TAILS_OF_ONE_MAX {
        bodies.push(tail(&viewer).await.into_body());
    }
    place.issued("cyd").await;
    let before = place.engine.hot().gauge().statements;
    for body in &mut bodies {
        let event = piece(body).await.expect("an event");
        assert!(event.contains("coupon.issued") && event.contains("cyd"), "{event}");
    }
    let statements = place.engine.hot().gauge().statements - before;
    assert!(statements <= 12, "{statements} statements for {} tails", bodies.len());
}

#[tokio::test]
async fn they_end() {
    let place = Place::new();
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    let admin = place.signed_in(StaffRole::Admin).await;
    let mut of_viewer = tail(&viewer).await.into_body();
    let mut of_admin = tail(&admin).await.into_body();
    viewer.submit("/console/sign-out", &[]).await.must(303);
    assert_eq!(piece(&mut of_viewer).await, None, "with the session");
    place.console.stop();
    assert_eq!(piece(&mut of_admin).await, None, "with the process");
    assert_eq!(tail(&admin).await.status(), 429, "none begins while it stops");
}
