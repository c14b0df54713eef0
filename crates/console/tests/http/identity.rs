//! Signing in at the company's identity provider, as far as the console goes.

use axum::body::Body;
use axum::http::{Method, header};
use console::{SIGN_INS_MAX, SIGNING_MAX};
use engine::StaffRole;

use crate::browser::{Browser, Page};
use crate::place::{HOSTILE, PASSWORD, Place};

const LEAVE_MS: i64 = 10 * 60_000;

/// Goes to the provider; returns the state with which it would send the browser back.
async fn leaves(browser: &mut Browser, next: &str) -> String {
    let page = browser.get(&format!("/console/sign-in/identity?next={next}")).await.must(303);
    let cookie = page.headers[header::SET_COOKIE].to_str().expect("text");
    for part in ["Path=/console/sign-in;", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let to = page.to();
    assert!(to.contains("back=http://shop.example/console/sign-in/back"), "{to}");
    let state = to.split("state=").nth(1).expect("a state");
    state.split('&').next().unwrap_or_default().to_owned()
}

async fn comes_back(browser: &mut Browser, state: &str, code: &str) -> Page {
    browser.get(&format!("/console/sign-in/back?state={state}&code={code}")).await
}

#[tokio::test]
async fn a_person_of_the_provider() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let mut browser = place.browser();
    browser.get("/console/sign-in").await.must(200).has("Sign in with your company account");
    let state = leaves(&mut browser, "/console/campaigns").await;
    let page = comes_back(&mut browser, &state, "ida").await.must(200);
    page.has("url=/console/campaigns").has("You are signed in");
    let page = browser.get("/console").await.must(200);
    page.has("ida").has("Marketer");
    // Nobody signs in twice with one way back.
    comes_back(&mut browser, &state, "ida").await.must(401).has("took too long");
    let audit = admin.get("/console/audit").await.must(200);
    audit.has("staff%3Aida");
    assert_eq!(audit.text.matches("Signed in").count(), 1, "{}", audit.text);
    let role = async || {
        let staff = place.engine.staff().await.expect("the list");
        staff.member("ida").map(|it| (it.role, it.password_hash.clone()))
    };
    let of = |role| Some((role, String::new()));
    assert_eq!(role().await, of(StaffRole::Marketer));
    // Somebody else has chosen her name there.
    let mut other = place.browser();
    let state = leaves(&mut other, "/console").await;
    comes_back(&mut other, &state, "namesake").await.must(401).has("ida");
    assert_eq!(role().await, of(StaffRole::Marketer));
    // The provider gives her another role.
    let state = leaves(&mut other, "/console").await;
    comes_back(&mut other, &state, "promoted").await.must(200);
    assert_eq!(role().await, of(StaffRole::Operator));
    browser.get("/console").await.must(200).has("Operator");
    admin.get("/console/staff").await.must(200).has("Company account");
    // And she has no password.
    let fields = [("name", "ida"), ("password", "")];
    browser.post("/console/sign-in", &fields).await.must(401);
    // Signed out everywhere she is out, and can come in again.
    admin.submit("/console/staff/ida/sign-out", &[]).await.must(303);
    browser.get("/console/campaigns").await.must(303);
}

#[tokio::test]
async fn nobody_is_signed_in() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    let cases = [
        ("no answer", "away", "does not answer"),
        ("a code that was used", "used", "does not confirm"),
        ("no role", "none", "no role for couponry"),
        ("no name", "odd", "cannot be a name"),
        ("the account of somebody", "admin", "signs in with a password"),
        ("a name that looks like one", "%D0%B0dmin", "looks like that of somebody"),
    ];
    for (name, code, said) in cases {
        let mut browser = place.browser();
        let state = leaves(&mut browser, "/console").await;
        let page = comes_back(&mut browser, &state, code).await.must(401);
        page.has(said);
        assert!(!page.text.contains(HOSTILE), "{name}");
        browser.get("/console").await.must(303);
    }
    let mut browser = place.browser();
    let state = leaves(&mut browser, "/console").await;
    let mut stranger = place.browser();
    comes_back(&mut stranger, &state, "ida").await.must(401).has("another browser");
    comes_back(&mut browser, "made-up", "ida").await.must(401).has("another browser");
    let denied = format!("/console/sign-in/back?state={state}&error=access_denied");
    browser.get(&denied).await.must(401).has("cancelled");
    place.clock.set(place.engine.now().plus_ms(LEAVE_MS));
    comes_back(&mut browser, &state, "ida").await.must(401).has("took too long");
}

#[tokio::test]
async fn elsewhere_is_not_gone_to() {
    let place = Place::new();
    for next in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2Fv1%2Fcampaigns"] {
        let mut browser = place.browser();
        let state = leaves(&mut browser, next).await;
        let page = comes_back(&mut browser, &state, "ida").await.must(200);
        page.has("url=/console\"");
    }
}

#[tokio::test]
async fn codes_that_are_guessed() {
    let place = Place::new();
    let mut browser = place.browser();
    for _ in 0..SIGN_INS_MAX {
        let state = leaves(&mut browser, "/console").await;
        comes_back(&mut browser, &state, "used").await.must(401).has("does not confirm");
    }
    let state = leaves(&mut browser, "/console").await;
    comes_back(&mut browser, &state, "ida").await.must(401).has("Too many");
}

#[tokio::test]
async fn an_outage_locks_nobody_out() {
    let place = Place::new();
    let mut browser = place.browser();
    for _ in 0..=SIGN_INS_MAX {
        let state = leaves(&mut browser, "/console").await;
        comes_back(&mut browser, &state, "away").await.must(401).has("does not answer");
    }
    let state = leaves(&mut browser, "/console").await;
    comes_back(&mut browser, &state, "ida").await.must(200).has("You are signed in");
}

#[tokio::test]
async fn passwords_work_while_the_provider_hangs() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    let mut browser = place.browser();
    let mut waiting = Vec::new();
    for _ in 0..SIGNING_MAX {
        let state = leaves(&mut browser, "/console").await;
        let path = format!("/console/sign-in/back?state={state}&code=hangs");
        let one = browser.at(&browser);
        waiting.push(tokio::spawn(async move {
            one.answer(Method::GET, &path, None, Body::empty()).await;
        }));
        place.waiting.acquire().await.expect("a permit").forget();
    }
    // One more is too many, also when those before have closed their windows.
    for _ in 0..2 {
        browser.get("/console/sign-in/identity").await.must(429);
        for one in waiting.drain(..) {
            one.abort();
            assert!(one.await.is_err(), "it waits for ever");
        }
    }
    let fields = [("name", "admin"), ("password", PASSWORD)];
    browser.post("/console/sign-in", &fields).await.must(303);
}

#[tokio::test]
async fn a_form_is_kept_while_somebody_signs_in_elsewhere() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.browser();
    let form = [("reason", "they asked"), ("csrf", "old")];
    let page = browser.post("/console/campaigns/spring/pause", &form).await.must(401);
    page.has("in a new tab").has("reason=they");
    let (next, kept) = (page.value("next"), page.value("kept"));
    let fields = [("next", next.as_str()), ("kept", kept.as_str())];
    let page = browser.post("/console/sign-in/go-on", &fields).await.must(401);
    page.has("Nobody has signed in").has("reason=they");
    let state = leaves(&mut browser, "/console").await;
    comes_back(&mut browser, &state, "ida").await.must(200);
    let page = browser.post("/console/sign-in/go-on", &fields).await.must(200);
    page.has("they asked").has("/console/campaigns/spring/pause");
}
