//! One coupon is redeemed once by many concurrent requests, and names are permanent.

use serde_json::{Value, json};

use super::client::{Answer, Client, at_once};
use super::data::Data;

const CLIENTS: usize = 64;

/// A campaign, and the code of its first coupon, issued to ann unless it is a bearer code.
fn one_coupon(admin: &mut Client, id: &str, handout: &str) -> String {
    let campaign =
        json!({"campaign_id": id, "stock": 1, "handout": handout, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &campaign).must(201);
    if handout == "bearer" {
        let codes = admin.get(&format!("/v1/campaigns/{id}/codes")).must(200).text();
        return codes.lines().nth(1).expect("a code").to_owned();
    }
    let issued = admin.post(&format!("/v1/campaigns/{id}/issue"), &json!({"user_id": "ann"}));
    issued.must(201).field("code")
}

fn count(answers: &[Answer], status: u16, code: &str) -> usize {
    answers.iter().filter(|it| it.status == status && it.problem() == code).count()
}

/// Handout, user and order_ref of the nth client, and how many get 201, 200 and 409
/// ALREADY_REDEEMED.
type Race = (&'static str, &'static str, fn(usize) -> (String, String), [usize; 3]);

#[test]
fn one_redemption() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let shop = server.client(&data.token("shop", "checkout"));
    let races: [Race; 4] = [
        ("64 orders of one user", "shop", |n| ("ann".into(), format!("order-{n}")), [1, 0, 63]),
        ("one order, 64 times", "shop", |_| ("ann".into(), "order".into()), [1, 63, 0]),
        (
            "64 users with one bearer code",
            "bearer",
            |n| (format!("u{n}"), "order".into()),
            [1, 0, 63],
        ),
        ("one of these users, 64 times", "bearer", |_| ("u".into(), "order".into()), [1, 63, 0]),
    ];
    for (nth, (name, handout, ask, [made, same, refused])) in races.into_iter().enumerate() {
        let code = one_coupon(&mut admin, &format!("race-{nth}"), handout);
        let path = format!("/v1/coupons/{code}/redeem");
        let answers = at_once(CLIENTS, |n| {
            let (user, order) = ask(n);
            shop.again().post(&path, &json!({"user_id": user, "order_ref": order}))
        });
        assert_eq!(count(&answers, 201, ""), made, "{name}: made, of {answers:?}");
        assert_eq!(count(&answers, 200, ""), same, "{name}: replays");
        assert_eq!(count(&answers, 409, "ALREADY_REDEEMED"), refused, "{name}: refused");
        let good: Vec<Value> = answers.iter().filter(|it| it.is_good()).map(Answer::json).collect();
        assert!(good.iter().all(|it| *it == good[0]), "{name}: one redemption, not {good:?}");
        let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
        let events = coupon["events"].as_array().expect("events");
        let redeemed = events.iter().filter(|event| event["kind"] == "redeemed").count();
        assert_eq!(redeemed, 1, "{name}: {coupon}");
        assert_eq!(coupon["order_ref"], good[0]["order_ref"], "{name}");
    }
    server.stop();
}

#[test]
fn one_hold() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let shop = server.client(&data.token("shop", "checkout"));
    let code = one_coupon(&mut admin, "hold", "shop");
    let body = |n: usize| json!({"user_id": "ann", "order_ref": format!("order-{n}")});
    let path = format!("/v1/coupons/{code}/hold");
    let answers = at_once(CLIENTS, |n| shop.again().post(&path, &body(n)));
    assert_eq!(count(&answers, 201, ""), 1, "{answers:?}");
    assert_eq!(count(&answers, 409, "HELD"), CLIENTS - 1, "{answers:?}");
    let winner = answers.iter().position(Answer::is_good).expect("one order holds it");
    let path = format!("/v1/coupons/{code}/redeem");
    let answers = at_once(CLIENTS, |n| shop.again().post(&path, &body(n)));
    assert_eq!(answers[winner].status, 201, "the order that holds it redeems it");
    assert_eq!(count(&answers, 201, ""), 1, "{answers:?}");
    let told = count(&answers, 409, "HELD") + count(&answers, 409, "ALREADY_REDEEMED");
    assert_eq!(told, CLIENTS - 1, "{answers:?}");
    server.stop();
}

#[test]
fn a_cancelled_order_stays_refused() {
    let data = Data::new();
    let mut server = data.serve();
    let token = data.token("admin", "root");
    let code = one_coupon(&mut server.client(&token), "cancel", "shop");
    let path = |call: &str| format!("/v1/coupons/{code}/{call}");
    let redeem = |client: &mut Client, order: &str| {
        client.post(&path("redeem"), &json!({"user_id": "ann", "order_ref": order}))
    };
    let cancel = |client: &mut Client, order: &str| {
        client.post(&path("cancel-redemption"), &json!({"order_ref": order}))
    };
    let mut admin = server.client(&token);
    redeem(&mut admin, "991").must(201);
    let first = cancel(&mut admin, "991").must(200).json()["redemption"].clone();
    assert!(first["cancelled_at"].is_string(), "{first}");
    for round in ["at once", "after kill -9"] {
        redeem(&mut admin, "991").refused(409, "REDEMPTION_CANCELLED");
        let hold = json!({"user_id": "ann", "order_ref": "991"});
        admin.post(&path("hold"), &hold).refused(409, "REDEMPTION_CANCELLED");
        let replayed = redeem(&mut admin, "991-2");
        assert_eq!(replayed.status, if round == "at once" { 201 } else { 200 }, "{round}");
        let replay = cancel(&mut admin, "991").must(200).json();
        assert_eq!(replay["redemption"], first, "{round}: a second cancel is a replay");
        assert_eq!(replay["coupon"]["state"], "redeemed", "{round}: the newer redemption stays");
        let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
        assert_eq!(coupon["order_ref"], "991-2", "{round}");
        assert_eq!(coupon["events"].as_array().map(Vec::len), Some(4), "{round}: {coupon}");
        server.kill();
        server = data.serve();
        admin = server.client(&token);
    }
    server.stop();
}

#[test]
fn names_are_permanent() {
    let data = Data::new();
    let mut server = data.serve();
    let token = data.token("admin", "root");
    let campaign = |stock: u64| {
        let until = "2031-12-31";
        json!({"campaign_id": "spring", "stock": stock, "per_user_limit": 3, "expires_on": until})
    };
    let mut admin = server.client(&token);
    admin.post("/v1/campaigns", &campaign(100)).must(201);
    let issue = "/v1/campaigns/spring/issue";
    let ask = |reference: &str| json!({"user_id": "ann", "issue_ref": reference});
    let code = admin.post(issue, &ask("paid")).must(201).field("code");
    let spent = admin.post(issue, &ask("spent")).must(201).field("code");
    let revoke = json!({"user_id": "ann", "reason": "a mistake"});
    admin.post(&format!("/v1/coupons/{spent}/revoke"), &revoke).must(200);
    let redeem = format!("/v1/coupons/{code}/redeem");
    let order = |user: &str, order: &str| json!({"user_id": user, "order_ref": order});
    let batch = |count: u64| json!({"batch_id": "second", "count": count});
    // Name, call, the first body, another body, the problem of that one.
    let rows = [
        ("campaign_id", "/v1/campaigns", campaign(100), campaign(101), "NAME_TAKEN"),
        ("batch_id", "/v1/campaigns/spring/batches", batch(7), batch(8), "NAME_TAKEN"),
        ("issue_ref", issue, ask("welcome"), ask("spent"), "NAME_TAKEN"),
        ("order_ref", &redeem, order("ann", "991"), order("ann", "992"), "ALREADY_REDEEMED"),
    ];
    let named = ["campaign_id", "batch_id", "code", "order_ref", "redeemed_at", "created_at"];
    let result = |answer: &Answer| named.map(|field| answer.json()[field].clone());
    let mut first = Vec::new();
    for (name, path, body, _, _) in &rows {
        let made = admin.post(path, body);
        assert_eq!(made.status, if *name == "campaign_id" { 200 } else { 201 }, "{name}");
        first.push(result(&made));
    }
    for round in ["at once", "after kill -9", "after SIGTERM"] {
        for ((name, path, body, other, problem), first) in rows.iter().zip(&first) {
            let again = admin.post(path, body);
            assert_eq!(again.status, 200, "{round}: {name}: {}", again.text());
            assert_eq!(result(&again), *first, "{round}: {name}");
            let refused = admin.post(path, other);
            let told = (refused.status, refused.problem());
            assert_eq!(told, (409, (*problem).to_owned()), "{round}: {name}");
        }
        match round {
            "at once" => server.kill(),
            _ => server.stop(),
        }
        server = data.serve();
        admin = server.client(&token);
    }
    server.stop();
}
