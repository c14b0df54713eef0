//! Every problem code, caused over HTTP.

use std::time::Duration;

use api::problem_code::ApiErrorCode;
use axum::body::Body;
use futures::stream::{FuturesUnordered, StreamExt, iter};
use hot_sqlite::SqliteOptions;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, Asked, Nobody, Service, Shop, TRIES, code_keys, options};

/// Longest wait for a write, in tests with a store that accepts none.
const SHORT: Duration = Duration::from_millis(200);

/// The writes that may wait (2,048), those that the writer has taken (512), and a few more.
const CROWD: usize = 2_048 + 512 + 40;

#[tokio::test]
async fn each_code_is_caused() {
    for code in ApiErrorCode::ALL {
        let answer = Box::pin(provoked(*code)).await;
        let want = format!("{} {}", code.status(), code.as_str());
        answer.is(&want, code.as_str());
    }
}

/// Causes `code`. A new code does not compile until it has a line here.
async fn provoked(code: ApiErrorCode) -> Answer {
    match code {
        ApiErrorCode::Invalid => Service::new().post(Admin, "/v1/campaigns", json!({})).await,
        ApiErrorCode::Unauthenticated => Service::new().get(Nobody, "/v1/coupons").await,
        ApiErrorCode::Forbidden => Service::new().post(Shop, "/v1/campaigns", json!({})).await,
        ApiErrorCode::NotFound => Service::new().get(ANN, "/v1/coupons/AAAA").await,
        ApiErrorCode::MethodNotAllowed => Service::new().delete(Admin, "/v1/campaigns").await,
        ApiErrorCode::Timeout => broken_off().await,
        ApiErrorCode::AlreadyRedeemed => after_redeeming(json!({}), "redeem", "2").await,
        ApiErrorCode::AlreadyIssued => issued_to_another().await,
        ApiErrorCode::NotIssued => on_untouched(json!({})).await,
        ApiErrorCode::Expired => at("2028-01-01T00:00:00Z", json!({})).await,
        ApiErrorCode::Voided => after_void().await,
        ApiErrorCode::SoldOut => issues_past(json!({"stock": 1}), &["ann", "bob"]).await,
        ApiErrorCode::LimitPerUser => {
            issues_past(json!({"per_user_limit": 2}), &["ann", "ann", "ann"]).await
        }
        ApiErrorCode::CancelClosed => {
            after_redeeming(json!({"cancel_days": 0}), "cancel-redemption", "1").await
        }
        ApiErrorCode::RedemptionCancelled => order_of_a_cancelled_redemption().await,
        ApiErrorCode::NotRedeemed => after_redeeming(json!({}), "cancel-redemption", "2").await,
        ApiErrorCode::NotLater => extended("2027-12-31T23:59:59.999Z").await,
        ApiErrorCode::ExpiryDayClosed => extended_too_late().await,
        ApiErrorCode::VersionConflict => voided_at_another_version().await,
        ApiErrorCode::HistoryFull => history_full().await,
        ApiErrorCode::NotIssuable => issues_past(json!({"handout": "bearer"}), &["ann"]).await,
        ApiErrorCode::NameTaken => name_taken().await,
        ApiErrorCode::LoginTaken => login_taken().await,
        ApiErrorCode::Held => after_hold().await,
        ApiErrorCode::OrderTooSmall => off(json!({"order_amount": 29_999})).await,
        ApiErrorCode::AmountRequired => off(json!({})).await,
        ApiErrorCode::CurrencyMismatch => {
            off(json!({"order_amount": 30_000, "currency": "USD"})).await
        }
        ApiErrorCode::DiscountMismatch => off(json!({"order_amount": 30_000, "discount": 1})).await,
        ApiErrorCode::OrderRefused => {
            let service = Service::new();
            let body = json!({"user_id": "ann", "coupons": ["NOSUCHCODE"]});
            service.post(Shop, "/v1/orders/1/redeem", body).await
        }
        ApiErrorCode::BudgetSpent => off(json!({"order_amount": 30_000})).await,
        ApiErrorCode::NotStarted => on_issued(json!({"valid_from": "2027-01-01T00:00:00Z"})).await,
        ApiErrorCode::IssueClosed => {
            issues_past(json!({"issue_from": "2027-01-01T00:00:00Z"}), &["ann"]).await
        }
        ApiErrorCode::Paused => paused().await,
        ApiErrorCode::PreconditionFailed => {
            let service = Service::new();
            service.campaign("c", json!({})).await;
            let asked = Asked::new("PATCH", "/v1/campaigns/c").json(&json!({"paused": true}));
            service.send(Admin, asked.header("if-match", "\"0\"")).await
        }
        ApiErrorCode::CursorGone => {
            let service = Service::new();
            let end = service.get(Shop, "/v1/events").await.string("next_cursor");
            service.get(Shop, &format!("/v1/events?after={end}7")).await
        }
        ApiErrorCode::NotKept => {
            let without = Service::with(SqliteOptions { events: false, ..options() }, code_keys);
            without.get(Shop, "/v1/events").await
        }
        ApiErrorCode::TooLarge => {
            let body = vec![b' '; api::BODY_BYTES_MAX + 1];
            let asked = Asked::new("POST", "/v1/campaigns").typed("application/json", body);
            Service::new().send(Admin, asked).await
        }
        ApiErrorCode::UnsupportedMediaType => {
            let asked = Asked::new("POST", "/v1/campaigns").typed("text/plain", "{}");
            Service::new().send(Admin, asked).await
        }
        ApiErrorCode::Unprocessable => {
            let service = Service::new();
            service.campaign("c", json!({})).await;
            service.import("c", "b", "code,colour\nAAAA,red\n").await
        }
        ApiErrorCode::TooMany => guessed().await,
        ApiErrorCode::Internal => without_keys().await,
        ApiErrorCode::Overloaded => overloaded().await,
        ApiErrorCode::StoreFull => full().await,
        ApiErrorCode::StoreUnavailable => no_turn().await,
        ApiErrorCode::StoreDamaged => edited_row().await,
        ApiErrorCode::ColdUnavailable => archived_and_cold_away().await,
        ApiErrorCode::OutcomeUnknown => unknown().await,
    }
}

async fn on_issued(terms: Value) -> Answer {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await
}

/// Redeems a coupon of ₩5,000 off orders of ₩30,000 or more, of a campaign with a budget of one won less.
async fn off(money: Value) -> Answer {
    let service = Service::new();
    let benefit = json!({"kind": "amount", "amount": 5_000, "min_order": 30_000});
    let terms = json!({"currency": "KRW", "benefit": benefit, "budget": 4_999});
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    let mut body = json!({"user_id": "ann", "order_ref": "1"});
    for (field, value) in money.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    service.post(Shop, &format!("/v1/coupons/{code}/redeem"), body).await
}

async fn on_untouched(terms: Value) -> Answer {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.codes("c").await.remove(0);
    service.does("redeem", &code, "1").await
}

async fn voided_at_another_version() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.post(Admin, &format!("/v1/coupons/{code}/void"), json!({"version": 0})).await
}

async fn at(moment: &str, terms: Value) -> Answer {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    service.set(moment);
    service.does("redeem", &code, "1").await
}

async fn after_redeeming(terms: Value, what: &str, order: &str) -> Answer {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await.is("201", "the first");
    match what {
        "cancel-redemption" => service.cancel(Shop, &code, order).await,
        what => service.does(what, &code, order).await,
    }
}

async fn archived_and_cold_away() -> Answer {
    let service = Service::new().by_hand();
    service.campaign("c", json!({"cancel_days": 0})).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await.is("201", "redeemed");
    service.compact().await;
    service.does("redeem", &code, "1").await.is("200", "a replay from cold");
    std::fs::remove_dir_all(service.folder().join("cold")).expect("it is found");
    let service = service.reopened();
    service.does("redeem", &code, "1").await
}

/// A row with another holder than its events.
async fn edited_row() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    // Code and holder are next to each other in the row.
    let bare = code.replace('-', "");
    let edited = service.edited(&format!("{bare}ann"), &format!("{bare}eve"));
    edited.does("redeem", &code, "1").await
}

async fn issued_to_another() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.admin("issue", &code, json!({"user_id": "bob"})).await
}

async fn after_void() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.admin("void", &code, json!({})).await.is("200", "void");
    service.does("redeem", &code, "1").await
}

/// Issues to each user in turn. Returns the last answer.
async fn issues_past(terms: Value, users: &[&str]) -> Answer {
    let service = Service::new();
    service.campaign("c", terms).await;
    let mut last = None;
    for (nth, user) in users.iter().enumerate() {
        let body = json!({"user_id": user, "issue_ref": format!("r{nth}")});
        last = Some(service.post(Shop, "/v1/campaigns/c/issue", body).await);
    }
    last.expect("at least one user")
}

async fn order_of_a_cancelled_redemption() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await;
    service.cancel(Shop, &code, "1").await.is("200", "cancel");
    service.does("redeem", &code, "1").await
}

async fn extended(expires_at: &str) -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.admin("extend", &code, json!({"expires_at": expires_at})).await
}

async fn extended_too_late() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({"extend_days": 1})).await;
    let code = service.issued("c", "ann").await;
    service.set("2028-01-02T00:00:00Z");
    service.admin("extend", &code, json!({"expires_at": "2029-01-01T00:00:00Z"})).await
}

/// Issued and revoked until there is no room for another event.
async fn history_full() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({"stock": 1})).await;
    let code = service.codes("c").await.remove(0);
    for _ in 0..40 {
        let issued = service.admin("issue", &code, json!({"user_id": "ann"})).await;
        if issued.status != 201 {
            return issued;
        }
        service.admin("revoke", &code, json!({"user_id": "ann"})).await.is("200", "revoke");
    }
    panic!("more than 80 events fit")
}

async fn name_taken() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let body = json!({"campaign_id": "c", "stock": 11, "expires_at": "2028-01-01T00:00:00Z"});
    service.post(Admin, "/v1/campaigns", body).await
}

async fn login_taken() -> Answer {
    let service = Service::new();
    let body = json!({"login_id": "ann@example.com", "password": "correct horse"});
    service.post(Nobody, "/v1/users", body).await.is("201", "the first");
    let body = json!({"login_id": "ann@example.com", "password": "another horse"});
    service.post(Nobody, "/v1/users", body).await
}

async fn after_hold() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.does("hold", &code, "1").await.is("201", "hold");
    service.does("redeem", &code, "2").await
}

async fn paused() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    service.patch(Admin, "/v1/campaigns/c", json!({"paused": true})).await.is("200", "pause");
    service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "ann"})).await
}

async fn guessed() -> Answer {
    let service = Service::new();
    for _ in 0..api::GUESSES_MAX {
        service.get(ANN, "/v1/coupons/AAAA").await.is("404 NOT_FOUND", "a guess");
    }
    service.get(ANN, "/v1/coupons/AAAA").await
}

/// An upload that stops in the middle.
async fn broken_off() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let pieces = [Ok("code\nAAAA\n"), Err(std::io::Error::other("the client is gone"))];
    let body = Body::from_stream(iter(pieces));
    service.send(Admin, Asked::new("POST", "/v1/campaigns/c/batches").csv(body)).await
}

/// A server that cannot mint, because it has no key.
async fn without_keys() -> Answer {
    let service = Service::with(options(), Vec::new);
    let body = json!({"stock": 1, "expires_at": "2028-01-01T00:00:00Z"});
    let answer = service.post(Admin, "/v1/campaigns", body).await;
    assert_eq!(
        answer.json["detail"], "see the log of the server",
        "the answer does not tell the cause"
    );
    answer
}

/// The wanted free space is more than any disk has: writes are refused, reads succeed.
async fn full() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let full = service.beside(SqliteOptions { free_min_bytes: u64::MAX, ..options() });
    let answer = full.does("redeem", &code, "1").await;
    full.get(ANN, &format!("/v1/coupons/{code}")).await.is("200", "a read with a full disk");
    full.does("check", &code, "1").await.is("200", "a check with a full disk");
    let ready = full.get(Nobody, "/readyz").await;
    assert_eq!((&ready.json["ready"], &ready.json["writable"]), (&json!(true), &json!(false)));
    assert!(ready.json["reason"].is_string(), "{}", ready.text);
    service.does("redeem", &code, "1").await.is("201", "after there is space");
    answer
}

/// Another process holds the write lock.
async fn no_turn() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let waiting = service.beside(SqliteOptions { write_timeout: SHORT, ..options() });
    let held = write_lock(&service);
    let answer = waiting.does("redeem", &code, "1").await;
    waiting.get(ANN, &format!("/v1/coupons/{code}")).await.is("200", "reads succeed");
    held.unlock().expect("an unlock");
    let coupon = waiting.coupon(&code).await;
    assert_eq!(coupon["state"], "issued", "the refused change was not made");
    redeemed_again(&waiting, &code).await;
    answer
}

/// The same request again succeeds. A stop of the machine may outlast a short wait more than once.
async fn redeemed_again(service: &Service, code: &str) {
    let mut was_unknown = false;
    for _ in 0..TRIES {
        let again = service.does("redeem", code, "1").await;
        match again.word().as_str() {
            "503 STORE_UNAVAILABLE" => {}
            "503 OUTCOME_UNKNOWN" => was_unknown = true,
            "200" if was_unknown => return,
            _ => {
                again.is("201", "the same request again");
                return;
            }
        }
    }
    panic!("no turn to write in {TRIES} tries");
}

pub(crate) fn write_lock(service: &Service) -> std::fs::File {
    let path = service.folder().join("hot.write");
    let file = std::fs::File::options().write(true).open(path).expect("the lock file");
    file.lock().expect("a lock");
    file
}

/// More writes than fit into the queue, while nothing can be written.
async fn overloaded() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let patient = service.beside(options());
    let held = write_lock(&service);
    let change = || patient.patch(Admin, "/v1/campaigns/c", json!({"name": "crowded"}));
    let mut crowd: FuturesUnordered<_> = (0..CROWD).map(|_| change()).collect();
    // No other request has an answer yet.
    let first = crowd.next().await.expect("an answer");
    held.unlock().expect("an unlock");
    let rest: Vec<String> = crowd.map(|answer| answer.word()).collect().await;
    let done = rest.iter().filter(|word| *word == "200").count();
    assert!(done >= 2_048, "the writes in the queue were answered: {done}");
    first
}

/// A commit that takes longer than the caller waits: a program that does not know the lock files has
/// SQLite's write lock.
async fn unknown() -> Answer {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let lines: String = (0..200).map(|line| format!("UNSURE{line:03}\n")).collect();
    let hasty = service.beside(SqliteOptions { write_timeout: SHORT, ..options() });
    let stranger = Connection::open(service.folder().join("hot.db")).expect("a connection");
    for _ in 0..TRIES {
        stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
        let answer = hasty.import("c", "b", &lines).await;
        stranger.execute_batch("ROLLBACK").expect("its end");
        match answer.word().as_str() {
            // The machine stopped before the import had its turn.
            "503 STORE_UNAVAILABLE" => {}
            word => {
                assert_eq!(word, "503 OUTCOME_UNKNOWN", "{}", answer.text);
                a_repeat_says_what_happened(&service, &lines).await;
                return answer;
            }
        }
    }
    panic!("no turn to write in {TRIES} tries")
}

async fn a_repeat_says_what_happened(service: &Service, lines: &str) {
    let again = service.import("c", "b", lines).await;
    let found = ["imported", "already_there", "rejected"].map(|field| again.json[field].as_u64());
    let [Some(imported), Some(already_there), Some(0)] = found else { panic!("{}", again.text) };
    assert_eq!(imported + already_there, 200, "{}", again.text);
}

#[tokio::test]
async fn a_problem_links_to_its_page() {
    let service = Service::new();
    for code in ApiErrorCode::ALL.iter().map(|code| code.as_str()) {
        let page = service.get(Nobody, &format!("/docs/problems/{code}")).await;
        page.is("200", code);
        assert!(page.text.contains(code), "{code} is on its page");
    }
    service.get(Nobody, "/docs/problems/NO_SUCH").await.is("404 NOT_FOUND", "no such code");
}

#[tokio::test]
async fn a_later_try_has_its_instant() {
    let service = Service::new();
    let window =
        json!({"issue_from": "2026-12-01T00:00:00Z", "issue_until": "2026-12-02T00:00:00Z"});
    let begins = json!({"valid_from": "2026-12-01T00:00:00Z"});
    service.campaign("window", window).await;
    service.campaign("begins", begins).await;
    service.campaign("held", json!({})).await;
    let (early, held) =
        (service.issued("begins", "ann").await, service.issued("held", "ann").await);
    service.does("hold", &held, "1").await.is("201", "hold");
    let issue = || service.post(Shop, "/v1/campaigns/window/issue", json!({"user_id": "ann"}));
    let before = issue().await;
    service.set("2026-12-02T00:00:00Z");
    let after = issue().await;
    service.set(crate::service::NOON);
    let cases = [
        ("the window opens", before, "409 ISSUE_CLOSED", json!("2026-12-01T00:00:00.000Z")),
        ("the window has closed", after, "409 ISSUE_CLOSED", Value::Null),
        (
            "the coupon becomes valid",
            service.does("redeem", &early, "1").await,
            "409 NOT_STARTED",
            json!("2026-12-01T00:00:00.000Z"),
        ),
        (
            "the hold ends",
            service.does("redeem", &held, "2").await,
            "409 HELD",
            json!("2026-11-20T12:15:00.000Z"),
        ),
    ];
    for (name, answer, want, retry_at) in cases {
        answer.is(want, name);
        assert_eq!(answer.json["retry_at"], retry_at, "{name}");
    }
}

#[tokio::test]
async fn a_problem_shows_the_coupon_to_its_holder() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await.is("201", "redeem");
    let redeem = format!("/v1/coupons/{code}/redeem");
    let owner = service.post(ANN, &redeem, json!({"order_ref": "2"})).await;
    assert_eq!(owner.json["coupon"]["order_ref"], "1", "{}", owner.text);
    let hidden = service.post(crate::service::BOB, &redeem, json!({"order_ref": "2"})).await;
    hidden.is("404 NOT_FOUND", "another's");
    assert_eq!(hidden.json["coupon"], Value::Null);
}

#[tokio::test]
async fn a_request_may_have_its_own_id() {
    let service = Service::new();
    let long = "x".repeat(65);
    let cases = [
        ("short and visible", "order-991/try-2", true),
        ("64 characters", &long[..64], true),
        ("65 characters", &long, false),
        ("a blank", "a b", false),
        ("empty", "", false),
    ];
    for (name, id, kept) in cases {
        let asked = Asked::new("GET", "/v1/coupons/AAAA").header("x-request-id", id);
        let answer = service.send(ANN, asked).await;
        assert_eq!(answer.string("request_id") == id, kept, "{name}");
    }
}
