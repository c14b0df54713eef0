//! The harness finds the faults of servers with known faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use loadtest::plan::RunPlan;
use loadtest::run::run;
use loadtest::scenario::{LoadScenario, RunGround};
use loadtest::schedule::RateSchedule;
use loadtest::stock::UserOrder;
use loadtest::wire::ServerAddress;
use serde_json::{Value, json};

/// The fault of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerFault {
    Nothing,
    /// Redeems every request.
    RedeemsTwice,
    /// Issues the same code to two users.
    GivesTwice,
    /// Stops answering for [`STALL`], once.
    Stalls,
    /// Answers every third request with 503.
    Overloaded,
}

const STALL: Duration = Duration::from_millis(400);

/// How often a run is tried. A run takes 1.5 s, and the machine may stop during most of it.
const TRIES: usize = 20;

struct FaultyStore {
    fault: ServerFault,
    begun: Instant,
    /// Order by coupon.
    redeemed: Mutex<HashMap<String, String>>,
    /// Code by user.
    issued: Mutex<HashMap<String, String>>,
    asked: Mutex<u64>,
}

type JsonAnswer = (StatusCode, Json<Value>);

/// A server on loopback, until the test ends.
fn server(fault: ServerFault) -> ServerAddress {
    let store = Arc::new(FaultyStore {
        fault,
        begun: Instant::now(),
        redeemed: Mutex::default(),
        issued: Mutex::default(),
        asked: Mutex::default(),
    });
    let app = Router::new()
        .route("/v1/coupons/{code}", get(look_up))
        .route("/v1/coupons/{code}/redeem", post(redeem))
        .route("/v1/campaigns/c/issue", post(issue))
        .route("/v1/batch", post(batch))
        .with_state(store);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("the test listens");
            axum::serve(listener, app).await.expect("it serves");
        });
    });
    format!("http://{}", told.recv().expect("an address")).parse().expect("a target")
}

async fn look_up(State(store): State<Arc<FaultyStore>>, Path(code): Path<String>) -> JsonAnswer {
    let since = store.begun.elapsed();
    if store.fault == ServerFault::Stalls && since > STALL && since < 2 * STALL {
        // The whole server stops, as in a long garbage collection: it has one thread.
        std::thread::sleep(2 * STALL - since);
    }
    let number = (0..100).find(|number| loadtest::stock::code(*number) == code);
    let holder = number.map(|number| UserOrder::Scattered.user(number));
    (StatusCode::OK, Json(json!({"code": code, "holder": holder})))
}

async fn redeem(
    State(store): State<Arc<FaultyStore>>,
    Path(code): Path<String>,
    Json(body): Json<Value>,
) -> JsonAnswer {
    let order = body["order_ref"].as_str().unwrap_or_default().to_owned();
    let mut asked = store.asked.lock().expect("no panic");
    *asked += 1;
    if store.fault == ServerFault::Overloaded && asked.is_multiple_of(3) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"code": "OVERLOADED"})));
    }
    let mut redeemed = store.redeemed.lock().expect("no panic");
    let by = redeemed.entry(code).or_insert_with(|| order.clone());
    let is_first = !by.ends_with('!');
    let mine = *by == order || by.trim_end_matches('!') == order;
    let answer = json!({"order_ref": order});
    match (is_first, mine) {
        _ if store.fault == ServerFault::RedeemsTwice => (StatusCode::CREATED, Json(answer)),
        (true, true) => {
            by.push('!');
            (StatusCode::CREATED, Json(answer))
        }
        (false, true) => (StatusCode::OK, Json(answer)),
        (_, false) => (StatusCode::CONFLICT, Json(json!({"code": "ALREADY_REDEEMED"}))),
    }
}

async fn issue(State(store): State<Arc<FaultyStore>>, Json(body): Json<Value>) -> JsonAnswer {
    let user = body["user_id"].as_str().unwrap_or_default().to_owned();
    let mut issued = store.issued.lock().expect("no panic");
    let next = match store.fault {
        ServerFault::GivesTwice => issued.len() / 2,
        _ => issued.len(),
    };
    if let Some(code) = issued.get(&user) {
        return (StatusCode::OK, Json(json!({"code": code, "holder": user})));
    }
    if next >= 500 {
        return (StatusCode::CONFLICT, Json(json!({"code": "SOLD_OUT"})));
    }
    issued.insert(user.clone(), format!("N{next}"));
    (StatusCode::CREATED, Json(json!({"code": format!("N{next}"), "holder": user})))
}

async fn batch(State(store): State<Arc<FaultyStore>>, Json(body): Json<Value>) -> JsonAnswer {
    let mut results = Vec::new();
    for operation in body["operations"].as_array().expect("a list") {
        let (store, body) = (State(Arc::clone(&store)), Json(operation["body"].clone()));
        let (status, Json(body)) = match operation["action"].as_str() {
            Some("issue") => issue(store, body).await,
            _ => {
                let code = operation["code"].as_str().expect("a code").to_owned();
                redeem(store, Path(code), body).await
            }
        };
        results.push(json!({"status": status.as_u16(), "body": body}));
    }
    (StatusCode::OK, Json(json!({"results": results})))
}

fn plan(target: ServerAddress, scenario: LoadScenario, rate: Option<f64>) -> RunPlan {
    let time = Duration::from_millis(1_500);
    RunPlan {
        target,
        scenario,
        ground: RunGround {
            coupons: 0..match scenario {
                LoadScenario::LookUp => 100,
                _ => 1_000_000,
            },
            codes: None,
            turns: 0..1_000_000,
            campaign: "c".into(),
            stock: 500,
            users: UserOrder::Scattered,
            first_user: 0,
            token: String::new(),
            checked: true,
        },
        batch: 1,
        schedule: rate.map(|rate| RateSchedule::steady(rate, time)),
        time,
        warm_up: Duration::ZERO,
        connections: 8,
        senders: 2,
        patience: Duration::from_secs(180),
    }
}

#[test]
fn faults_are_found() {
    for (fault, scenario, is_wrong) in [
        (ServerFault::Nothing, LoadScenario::Redeem, false),
        (ServerFault::Overloaded, LoadScenario::Redeem, false),
        (ServerFault::RedeemsTwice, LoadScenario::Redeem, true),
        (ServerFault::Nothing, LoadScenario::IssueRush, false),
        (ServerFault::GivesTwice, LoadScenario::IssueRush, true),
    ] {
        for batch in [1, 7] {
            let name = format!("{fault:?}, {batch} in a request");
            let is_found = (0..TRIES).any(|_| {
                let plan = RunPlan { batch, ..plan(server(fault), scenario, None) };
                let report = run(&plan).expect("a run");
                let refused: u64 = report.refused.values().sum();
                assert!(is_wrong || report.wrong == 0, "{name}: {report}");
                assert!(fault == ServerFault::Overloaded || refused == 0, "{name}: {report}");
                // A run in which the machine stopped may have too few requests for the fault.
                let has_both = (report.wrong > 0) == is_wrong
                    && (refused > 0) == (fault == ServerFault::Overloaded);
                has_both && report.latency.count > 0
            });
            assert!(is_found, "{name}: not in one of {TRIES} runs");
        }
    }
}

/// All requests that were due while the server did not answer have waited, not only the eight that
/// had a connection.
#[test]
fn nothing_is_omitted() {
    let mut seen = Ok(());
    for _ in 0..TRIES {
        seen = all_have_waited();
        if seen.is_ok() {
            return;
        }
    }
    panic!("{seen:?}");
}

/// One run in an open loop and one in a closed loop. If the machine stops during one of them, the
/// stall of the server is missed, or a longer one comes to it.
fn all_have_waited() -> Result<(), String> {
    let rate = 400.0;
    let came_in_it = (rate * STALL.as_secs_f64()) as u64;
    let report =
        run(&plan(server(ServerFault::Stalls), LoadScenario::LookUp, Some(rate))).expect("a run");
    let waited: u64 = report
        .intervals
        .iter()
        .filter(|interval| interval.latency.max > STALL.as_secs_f64() * 1_000.0 / 2.0)
        .map(|interval| interval.latency.count)
        .sum();
    if waited < came_in_it / 2 {
        return Err(format!("{waited} of {came_in_it}: {report}"));
    }
    // Half a second of 1.5 s was slow, so the ninetieth percentile shows it.
    if report.latency.p90 <= STALL.as_secs_f64() * 1_000.0 / 4.0 {
        return Err(format!("not at the ninetieth percentile: {report}"));
    }
    let closed =
        run(&plan(server(ServerFault::Stalls), LoadScenario::LookUp, None)).expect("a run");
    match closed.latency.p99 < report.latency.p90 {
        true => Ok(()),
        false => Err(format!("a closed loop does not show it: {closed}")),
    }
}
