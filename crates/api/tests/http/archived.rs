//! An archived coupon has the same answers as in hot: the same status, code and body, except
//! `tier`.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, BOB, Operator, Service, Shop, Who};

/// After everything that ends in December 2026, with `extend_days` and `cancel_days`.
const LATER: &str = "2027-01-20T12:00:00Z";

/// One request that changes nothing.
pub(crate) struct Ask {
    name: String,
    /// The user of this name, or else `who`.
    user: Option<String>,
    who: Who<'static>,
    target: String,
    body: Option<Value>,
}

impl Ask {
    fn by(who: Who<'static>, target: &str, body: Option<Value>) -> Ask {
        let name = format!("{who:?} {target} {}", body.clone().unwrap_or_default());
        Ask { name, user: None, who, target: target.to_owned(), body }
    }

    fn get(who: Who<'static>, target: &str) -> Ask {
        Ask::by(who, target, None)
    }

    fn post(who: Who<'static>, target: &str, body: Value) -> Ask {
        Ask::by(who, target, Some(body))
    }

    fn by_user(self, user: &str) -> Ask {
        Ask { name: format!("{user}: {}", self.name), user: Some(user.to_owned()), ..self }
    }

    async fn of(&self, service: &Service) -> Answer {
        let who = self.user.as_deref().map_or(self.who, Who::User);
        match self.body.clone() {
            Some(body) => service.post(who, &self.target, body).await,
            None => service.get(who, &self.target).await,
        }
    }
}

/// The answer without the tier of the coupon and the id of the request.
fn told(answer: &Answer) -> (String, Option<String>, Value) {
    let mut json = answer.json.clone();
    forget(&mut json);
    (answer.word(), answer.header("retry-after").map(str::to_owned), json)
}

fn forget(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.remove("tier");
            fields.remove("request_id");
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Sends the requests, archives everything possible, and sends them again.
async fn unchanged_by_archiving(service: &Service, asks: &[Ask]) {
    let mut before = Vec::with_capacity(asks.len());
    for ask in asks {
        before.push(told(&ask.of(service).await));
    }
    service.compact().await;
    for (ask, before) in asks.iter().zip(before) {
        assert_eq!(told(&ask.of(service).await), before, "{}", ask.name);
    }
}

async fn tier(service: &Service, code: &str) -> Value {
    service.coupon(code).await["tier"].clone()
}

/// Every request about a coupon by every caller, except changes that an admin may still make. Each
/// stranger sends one request, because users with many 404 are refused.
fn everything(code: &str, holder: Option<&str>) -> Vec<Ask> {
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let mut asks: Vec<Ask> = [Shop, Operator, Admin, crate::service::Nobody]
        .map(|who| Ask::get(who, &format!("/v1/coupons/{code}")))
        .into();
    let mut strangers = (0..).map(|nth| format!("stranger-{nth}-{code}"));
    let mut stranger = || strangers.next().expect("one more");
    for order in ["0", "1", "2"] {
        for what in ["check", "hold", "redeem"] {
            let body = json!({"order_ref": order});
            asks.push(Ask::post(Shop, &at(what), body.clone()).by_user(&stranger()));
            asks.extend(holder.map(|it| Ask::post(Shop, &at(what), body.clone()).by_user(it)));
            for who in [Shop, Admin, Operator] {
                for user in [holder.map_or_else(&mut stranger, str::to_owned), stranger()] {
                    let body = json!({"order_ref": order, "user_id": user});
                    asks.push(Ask::post(who, &at(what), body));
                }
            }
        }
        for what in ["release", "cancel-redemption"] {
            let body = json!({"order_ref": order});
            asks.push(Ask::post(Shop, &at(what), body.clone()).by_user(&stranger()));
            asks.extend(holder.map(|it| Ask::post(Shop, &at(what), body.clone()).by_user(it)));
            asks.extend([Shop, Admin, Operator].map(|it| Ask::post(it, &at(what), body.clone())));
        }
    }
    asks.push(Ask::get(Shop, &format!("/v1/coupons/{code}")).by_user(&stranger()));
    asks.push(Ask::post(Shop, &at("issue"), json!({})).by_user(&stranger()));
    asks.extend(holder.map(|it| Ask::post(Shop, &at("issue"), json!({})).by_user(it)));
    for user in holder.map(str::to_owned).into_iter().chain([stranger()]) {
        asks.push(Ask::get(Shop, &format!("/v1/coupons/{code}?user_id={user}")));
        asks.push(Ask::post(Shop, &at("issue"), json!({"user_id": user})));
    }
    asks.push(Ask::post(Admin, &at("revoke"), json!({"user_id": stranger()})));
    for (who, on) in [(Admin, "2029-06-01"), (Admin, "2020-06-01"), (Shop, "2029-06-01")] {
        asks.push(Ask::post(who, &at("extend"), json!({"expires_on": on})));
    }
    asks.extend([Shop, Operator].map(|who| Ask::post(who, &at("void"), json!({}))));
    asks
}

/// Changes by an admin that the rules refuse, with the same answer in both tiers.
fn by_admin(code: &str) -> Vec<Ask> {
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    vec![
        Ask::post(Admin, &at("void"), json!({})),
        Ask::post(Admin, &at("revoke"), json!({"user_id": "ann"})),
    ]
}

/// A campaign of each kind that ends on `on`.
async fn campaigns(service: &Service, prefix: &str, on: &str) {
    for handout in ["shop", "bearer"] {
        let terms = json!({
            "expires_on": on, "cancel_days": 1, "extend_days": 1, "handout": handout, "stock": 20,
            "per_user_limit": if handout == "bearer" { Value::Null } else { json!(20) },
        });
        service.campaign(&format!("{prefix}-{handout}"), terms).await;
    }
}

/// Three coupons: redeemed by ann for order 1 after order 0 was cancelled; void with holder ann;
/// void without a holder.
async fn finished(service: &Service, campaign: &str) -> Vec<(String, Option<&'static str>)> {
    let codes = service.codes(campaign).await;
    let ann = json!({"user_id": "ann"});
    for code in &codes[..2] {
        service.admin("issue", code, ann.clone()).await.is("201", "issue");
    }
    service.does("redeem", &codes[0], "0").await.is("201", "for order 0");
    service.cancel(Shop, &codes[0], "0").await.is("200", "not");
    service.does("redeem", &codes[0], "1").await.is("201", "for order 1");
    service.admin("void", &codes[1], json!({})).await.is("200", "ann's");
    service.admin("void", &codes[2], json!({})).await.is("200", "nobody's");
    let holders = [Some("ann"), Some("ann"), None];
    codes.into_iter().zip(holders).collect()
}

#[tokio::test]
async fn finished_coupons_of_open_partitions() {
    let service = Service::new().by_hand();
    campaigns(&service, "open", "2028-06-30").await;
    let mut coupons = finished(&service, "open-shop").await;
    coupons.extend(finished(&service, "open-bearer").await);
    service.set(LATER);
    let ask = |(code, holder): &(String, Option<&str>)| {
        let mut asks = everything(code, *holder);
        asks.extend(by_admin(code));
        asks
    };
    let mut asks: Vec<Ask> = coupons.iter().flat_map(ask).collect();
    asks.extend(
        ["open-shop", "open-bearer"].map(|id| Ask::get(Admin, &format!("/v1/campaigns/{id}"))),
    );
    unchanged_by_archiving(&service, &asks).await;
    for (code, _) in &coupons {
        assert_eq!(tier(&service, code).await, "cold", "{code}");
    }
}

#[tokio::test]
async fn coupons_of_a_partition_that_is_over() {
    let service = Service::new().by_hand();
    campaigns(&service, "over", "2026-11-30").await;
    service.import("over-shop", "i", "code\nIMPORTED1\n").await.is("201", "import");
    let (mut spent, mut lapsed) = (Vec::new(), vec![("IMPORTED1".to_owned(), None)]);
    let mut untouched = Vec::new();
    for id in ["over-shop", "over-bearer"] {
        spent.extend(finished(&service, id).await);
        let codes = service.codes(id).await;
        for code in &codes[..2] {
            service.admin("issue", code, json!({"user_id": "ann"})).await.is("201", "issue");
        }
        service.admin("revoke", &codes[1], json!({"user_id": "ann"})).await.is("200", "revoke");
        service.does("hold", &codes[0], "9").await.is("201", "a hold that ends");
        lapsed.extend([(codes[0].clone(), Some("ann")), (codes[1].clone(), None)]);
        untouched.push((codes[2].clone(), None));
    }
    service.set(LATER);
    let of = |some: &[(String, Option<&str>)]| {
        some.iter().flat_map(|(code, holder)| everything(code, *holder)).collect::<Vec<Ask>>()
    };
    let mut asks = of(&[spent.clone(), lapsed.clone(), untouched.clone()].concat());
    asks.extend(spent.iter().flat_map(|(code, _)| by_admin(code)));
    for id in ["over-shop", "over-bearer"] {
        asks.push(Ask::get(Admin, &format!("/v1/campaigns/{id}")));
        asks.push(Ask::post(
            Shop,
            &format!("/v1/campaigns/{id}/issue"),
            json!({"user_id": "late", "issue_ref": "r"}),
        ));
    }
    unchanged_by_archiving(&service, &asks).await;
    for (code, _) in spent.iter().chain(&lapsed) {
        assert_eq!(tier(&service, code).await, "cold", "{code}");
    }
    // The rules allow to void or revoke an expired coupon. The seal refuses it.
    for (code, holder) in lapsed.iter().chain(&untouched) {
        service.admin("void", code, json!({})).await.is("409 EXPIRY_DAY_CLOSED", code);
        let revoke = service.admin("revoke", code, json!({"user_id": "ann"})).await;
        let want = if holder.is_some() { "409 EXPIRY_DAY_CLOSED" } else { "409 NOT_ISSUED" };
        revoke.is(want, code);
    }
}

#[tokio::test]
async fn issue_with_archived_coupons() {
    let service = Service::new().by_hand();
    let shared = |word: &str, limit: u8| {
        json!({
            "handout": "shared", "shared_code": word, "per_user_limit": limit, "cancel_days": 0,
        })
    };
    service.campaign("once", shared("SUMMER", 1)).await;
    service.campaign("twice", shared("TWICE", 2)).await;
    service.campaign("one", json!({"cancel_days": 0})).await;
    service.campaign("two", json!({"cancel_days": 0, "per_user_limit": 2})).await;
    service.does("redeem", "SUMMER", "1").await.is("201", "by the shared code");
    service.does("redeem", "TWICE", "1").await.is("201", "by the shared code");
    service.does("redeem", "TWICE", "2").await.is("201", "by the shared code");
    let issue = async |campaign: &str, user: &str, name: &str| {
        let body = json!({"user_id": user, "issue_ref": name});
        service.post(Shop, &format!("/v1/campaigns/{campaign}/issue"), body).await
    };
    for (campaign, name) in [("one", "a"), ("two", "a"), ("two", "b")] {
        let code = issue(campaign, "ann", name).await.is("201", campaign).string("code");
        service.does("redeem", &code, name).await.is("201", campaign);
    }
    let bobs = issue("two", "bob", "x").await.string("code");
    service.admin("revoke", &bobs, json!({"user_id": "bob"})).await.is("200", "revoke");
    service.admin("void", &bobs, json!({})).await.is("200", "void");
    let mut asks = Vec::new();
    for (word, orders) in [("SUMMER", ["1", "2", "3"]), ("TWICE", ["1", "2", "3"])] {
        for order in orders {
            for what in ["check", "redeem", "hold"] {
                let body = json!({"user_id": "ann", "order_ref": order});
                asks.push(Ask::post(Shop, &format!("/v1/coupons/{word}/{what}"), body));
            }
            for what in ["release", "cancel-redemption"] {
                let body = json!({"order_ref": order});
                asks.push(Ask::post(ANN, &format!("/v1/coupons/{word}/{what}"), body));
            }
        }
    }
    asks.push(Ask::get(ANN, "/v1/coupons/SUMMER"));
    asks.push(Ask::get(Shop, "/v1/coupons/SUMMER?user_id=ann"));
    for (campaign, user, name) in [
        ("one", "ann", "a"),
        ("one", "ann", "another issue_ref"),
        ("two", "ann", "a"),
        ("two", "ann", "b"),
        ("two", "ann", "c"),
        ("two", "bob", "x"),
    ] {
        let body = json!({"user_id": user, "issue_ref": name});
        asks.push(Ask::post(Shop, &format!("/v1/campaigns/{campaign}/issue"), body));
    }
    unchanged_by_archiving(&service, &asks).await;
    assert_eq!(tier(&service, &bobs).await, "cold");
    let cases = [
        ("two", "ann", "c", "409 LIMIT_PER_USER"),
        ("two", "bob", "x", "409 NAME_TAKEN"),
        ("two", "bob", "y", "201"),
        ("one", "ann", "a", "200"),
        ("one", "bob", "a", "201"),
    ];
    for (campaign, user, name, want) in cases {
        issue(campaign, user, name).await.is(want, &format!("{campaign} {user} {name}"));
    }
    service.does("redeem", "TWICE", "3").await.is("409 LIMIT_PER_USER", "two are redeemed");
}

#[tokio::test]
async fn a_shared_code_leads_to_the_newest_archived_coupon() {
    let service = Service::new().by_hand();
    let terms = json!({
        "handout": "shared", "shared_code": "MANY", "per_user_limit": 6, "cancel_days": 0,
    });
    service.campaign("s", terms).await;
    for order in ["1", "2", "3", "4", "5", "6"] {
        service.clock.pass(1_000);
        service.does("redeem", "MANY", order).await.is("201", order);
    }
    unchanged_by_archiving(&service, &[Ask::get(ANN, "/v1/coupons/MANY")]).await;
}

#[tokio::test]
async fn archived_coupons_are_replaced() {
    let service = Service::new().by_hand();
    service.campaign("c", json!({"cancel_days": 0, "per_user_limit": 2})).await;
    let issue = async |user: &str, name: &str| {
        let body = json!({"user_id": user, "issue_ref": name});
        service.post(Shop, "/v1/campaigns/c/issue", body).await
    };
    let first = issue("ann", "a").await.is("201", "a").string("code");
    let second = issue("ann", "b").await.is("201", "b").string("code");
    service.does("redeem", &first, "1").await.is("201", "redeemed");
    service.admin("void", &second, json!({})).await.is("200", "void");
    let names = [format!("replaces:{first}"), format!("replaces:{second}")];
    let new = issue("ann", &names[0]).await.is("201", "its replacement").string("code");
    let ask = |user: &str, name: &str| {
        let body = json!({"user_id": user, "issue_ref": name});
        Ask::post(Shop, "/v1/campaigns/c/issue", body)
    };
    let asks = [
        ask("ann", &names[0]),
        ask("ann", &names[0].replace('-', "")),
        ask("bob", &names[0]),
        ask("bob", &names[1]),
        ask("ann", "c"),
    ];
    unchanged_by_archiving(&service, &asks).await;
    for code in [&first, &second] {
        assert_eq!(tier(&service, code).await, "cold", "{code}");
    }
    assert_eq!(issue("ann", &names[0]).await.is("200", "a repeat").string("code"), new);
    let other = issue("ann", &names[1]).await.is("201", "of an archived coupon").string("code");
    assert_eq!(issue("ann", &names[1]).await.is("200", "again").string("code"), other);
    issue("ann", "c").await.is("409 LIMIT_PER_USER", "two that were replaced, two that were not");
    // Replaced, redeemed and replaced again, with all of them in cold.
    service.does("redeem", &new, "2").await.is("201", "spent");
    service.compact().await;
    let third = format!("replaces:{new}");
    issue("ann", &third).await.is("201", "a replacement is replaced");
    issue("ann", &third).await.is("200", "once");
    issue("ann", "c").await.is("409 LIMIT_PER_USER", "it counts towards the limit");
}

/// Coupons imported in four states and finished here, in hot or in cold.
async fn imported(on: &str) -> Service {
    let service = Service::new().by_hand();
    for id in ["c", "d"] {
        let terms = json!({
            "stock": 0, "per_user_limit": 100, "cancel_days": 0, "extend_days": 1, "expires_on": on,
        });
        service.campaign(id, terms).await;
    }
    service.import("c", "b", FILE).await.is("201", "import");
    service.does("redeem", "ISSUED1", "1").await.is("201", "redeemed here");
    service.admin("void", "FREE1", json!({})).await.is("200", "void here");
    service
}

const FILE: &str = "code,state,user_id,redeemed_at,order_ref\n\
    FREE1,,,,\n\
    ISSUED1,issued,ann,,\n\
    SPENT1,redeemed,ann,2026-10-01,A-1\n\
    SPENT2,redeemed,,2026-10-01,\n\
    VOID1,void,,,\n\
    LEFT1,,,,\n";

/// The counts of the lines, and the reasons of the rejected ones.
async fn lines(service: &Service, campaign: &str, file: &str) -> (Vec<Value>, String) {
    let answer = service.import(campaign, "b", file).await;
    assert!(answer.status < 300, "{}", answer.text);
    let counts = ["lines", "imported", "already_there", "rejected"];
    let counts = counts.map(|field| answer.json[field].clone()).to_vec();
    let target = format!("/v1/campaigns/{campaign}/batches/b");
    let asked = crate::service::Asked::new("GET", &target).header("accept", "text/csv");
    (counts, service.send(Admin, asked).await.is("200", "the rejected lines").text.clone())
}

#[tokio::test]
async fn imported_again_after_archiving() {
    let head = "code,state,user_id,redeemed_at,order_ref\n";
    let cases = [
        ("the same file", "c", FILE.to_owned(), [6, 0, 6, 0]),
        ("into another campaign", "d", FILE.to_owned(), [6, 0, 0, 6]),
        (
            "a line against a change here",
            "c",
            format!("{head}ISSUED1,redeemed,ann,2026-11-20,1\n"),
            [1, 0, 1, 0],
        ),
        ("void here", "c", format!("{head}FREE1,issued,ann,,\n"), [1, 0, 0, 1]),
        ("void there, too", "c", format!("{head}FREE1,void,,,\n"), [1, 0, 1, 0]),
        (
            "redeemed by another user",
            "c",
            format!("{head}ISSUED1,redeemed,bob,2026-11-01,Z\n"),
            [1, 0, 0, 1],
        ),
        ("redeemed and void", "c", format!("{head}SPENT1,void,,,\n"), [1, 0, 0, 1]),
        (
            "void and redeemed",
            "c",
            format!("{head}VOID1,redeemed,ann,2026-11-01,Z\n"),
            [1, 0, 0, 1],
        ),
        ("an older line", "c", format!("{head}SPENT1,issued,ann,,\n"), [1, 0, 1, 0]),
        ("a line for a coupon in hot", "c", format!("{head}LEFT1,issued,ann,,\n"), [1, 1, 0, 0]),
    ];
    let (hot, cold) = (imported("2028-12-31").await, imported("2028-12-31").await);
    cold.compact().await;
    for code in ["FREE1", "ISSUED1", "SPENT1", "SPENT2", "VOID1"] {
        assert_eq!(tier(&cold, code).await, "cold", "{code}");
        assert_eq!(tier(&hot, code).await, "hot", "{code}");
    }
    for (name, campaign, file, want) in cases {
        let found = lines(&cold, campaign, &file).await;
        assert_eq!(found, lines(&hot, campaign, &file).await, "{name}");
        assert_eq!(found.0, want.map(|count| json!(count)), "{name}: {}", found.1);
    }
    for code in ["FREE1", "ISSUED1", "SPENT1", "SPENT2", "VOID1", "LEFT1"] {
        let [hot, cold] = [hot.coupon(code).await, cold.coupon(code).await];
        let told = |mut it: Value| {
            forget(&mut it);
            it
        };
        assert_eq!(told(cold), told(hot), "{code}");
    }
}

#[tokio::test]
async fn imported_again_behind_a_seal() {
    let service = imported("2026-11-30").await;
    service.set(LATER);
    service.compact().await;
    assert_eq!(tier(&service, "LEFT1").await, "cold");
    let (counts, _) = lines(&service, "c", FILE).await;
    assert_eq!(counts, [6, 0, 6, 0].map(|count| json!(count)), "the same file");
    let further = "code,state,user_id\nLEFT1,issued,ann\nNEVERSEEN1,,\n";
    let (counts, rejected) = lines(&service, "c", further).await;
    assert_eq!(counts, [2, 0, 0, 2].map(|count| json!(count)), "{rejected}");
    assert_eq!(rejected.matches("EXPIRY_DAY_CLOSED").count(), 2, "{rejected}");
    assert_eq!(service.coupon("LEFT1").await["state"], "available");
    service.get(Admin, "/v1/coupons/NEVERSEEN1").await.is("404 NOT_FOUND", "no coupon");
}

#[tokio::test]
async fn codes_of_an_emptied_partition() {
    let service = Service::new().by_hand();
    let terms = json!({"expires_on": "2026-11-30", "extend_days": 1, "cancel_days": 0, "stock": 9});
    service.campaign("c", terms).await;
    let all = service.codes("c").await;
    let ann = json!({"user_id": "ann"});
    for code in &all[..4] {
        service.admin("issue", code, ann.clone()).await.is("201", "issue");
        service.admin("revoke", code, ann.clone()).await.is("200", "revoke");
    }
    service.admin("void", &all[1], json!({})).await.is("200", "void");
    service.admin("issue", &all[2], ann.clone()).await.is("201", "issue");
    let later = json!({"expires_on": "2029-01-01"});
    service.admin("extend", &all[3], later.clone()).await.is("200", "to another partition");
    service.admin("extend", &all[4], later).await.is("200", "never issued");
    for move_first in [false, true] {
        if move_first {
            service.set(LATER);
            service.compact().await;
            assert_eq!(tier(&service, &all[0]).await, "cold");
            assert_eq!(tier(&service, &all[3]).await, "hot");
        }
        assert_eq!(service.codes("c").await, all[5..], "archived: {move_first}");
    }
    let behind = format!("/v1/campaigns/c/codes?after={}", all[6]);
    let behind = service.get(Admin, &behind).await;
    assert_eq!(behind.text.lines().skip(1).collect::<Vec<_>>(), all[7..], "after a code");
}

#[tokio::test]
async fn this_suite_archives_before_requests() {
    let service = Service::new();
    service.campaign("c", json!({"cancel_days": 0})).await;
    let [spent, void] = [service.issued("c", "ann").await, service.issued("c", "bob").await];
    assert_eq!(tier(&service, &spent).await, "hot", "it can still be redeemed");
    service.does("redeem", &spent, "1").await.is("201", "redeemed");
    service.admin("void", &void, json!({})).await.is("200", "void");
    for code in [&spent, &void] {
        assert_eq!(tier(&service, code).await, "cold", "{code}");
    }
    service
        .post(BOB, &format!("/v1/coupons/{spent}/redeem"), json!({"order_ref": "1"}))
        .await
        .is("404 NOT_FOUND", "another's");
    service.does("redeem", &spent, "1").await.is("200", "a replay");
}
