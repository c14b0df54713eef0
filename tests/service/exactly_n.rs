//! Exactly N: a stock of 1,000, 200 clients, more demand than stock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{Answer, Client, at_once};
use super::data::{Data, Server};

const STOCK: usize = 1_000;
const CLIENTS: usize = 200;

/// One request: what it was for, when it ran, its answer.
struct Asked {
    user: usize,
    reference: usize,
    begun: Instant,
    ended: Instant,
    answer: Answer,
}

/// Sends the requests of `demand` in order. The next free client takes the next one.
fn ask_all(
    clients: usize,
    demand: usize,
    client: impl Fn() -> Client + Sync,
    call: impl Fn(&mut Client, usize) -> (usize, usize, Answer) + Sync,
) -> Vec<Asked> {
    let next = AtomicUsize::new(0);
    let asked = at_once(clients, |_| {
        let mut client = client();
        let mut asked = Vec::new();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= demand {
                return asked;
            }
            let begun = Instant::now();
            let (user, reference, answer) = call(&mut client, nth);
            asked.push(Asked { user, reference, begun, ended: Instant::now(), answer });
        }
    });
    asked.into_iter().flatten().collect()
}

/// Checks the requests for a stock of [`STOCK`] with more demand than stock.
fn check(name: &str, asked: &[Asked], limit: usize) {
    let mut by_user: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut by_reference: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    let mut holder: BTreeMap<String, usize> = BTreeMap::new();
    let mut made = 0;
    for it in asked {
        match (it.answer.status, it.answer.problem().as_str()) {
            (201 | 200, _) => {
                let code = it.answer.field("code");
                by_user.entry(it.user).or_default().insert(code.clone());
                by_reference.entry((it.user, it.reference)).or_default().insert(code.clone());
                let first = *holder.entry(code.clone()).or_insert(it.user);
                assert_eq!(first, it.user, "{name}: {code} was issued to two users");
                made += usize::from(it.answer.status == 201);
            }
            (409, "SOLD_OUT" | "LIMIT_PER_USER") => {}
            _ => panic!("{name}: {}", it.answer.text()),
        }
    }
    assert_eq!(holder.len(), STOCK, "{name}: issued codes");
    assert_eq!(made, STOCK, "{name}: answers of 201");
    let most = by_user.values().map(BTreeSet::len).max();
    assert_eq!(most, Some(limit), "{name}: most coupons of one user");
    let twice = by_reference.iter().find(|(_, codes)| codes.len() > 1);
    assert_eq!(twice, None, "{name}: one request, two coupons");
    let is = |it: &&Asked, problem: &str| it.answer.problem() == problem;
    let sold_out = asked.iter().filter(|it| is(it, "SOLD_OUT")).map(|it| it.ended).min();
    let sold_out = sold_out.unwrap_or_else(|| panic!("{name}: nobody got SOLD_OUT"));
    let last = asked.iter().filter(|it| it.answer.status == 201).map(|it| it.begun).max();
    assert!(last < Some(sold_out), "{name}: SOLD_OUT before the request for the last one");
}

fn counts(admin: &mut Client, campaign: &str) -> (u64, u64, u64) {
    let campaign = admin.get(&format!("/v1/campaigns/{campaign}")).must(200).json();
    let number = |field: &str| campaign[field].as_u64().expect("a count");
    (number("stock"), number("issued"), number("redeemed"))
}

struct Scene {
    data: Data,
    server: Server,
    admin: Client,
    shop: Client,
}

fn scene() -> Scene {
    let data = Data::new();
    let server = data.serve();
    let admin = server.client(&data.token("admin", "root"));
    let shop = server.client(&data.token("shop", "checkout"));
    Scene { data, server, admin, shop }
}

impl Scene {
    fn campaign(&mut self, id: &str, terms: Value) {
        let mut body = json!({"campaign_id": id, "expires_on": "2031-12-31"});
        for (name, value) in terms.as_object().expect("terms") {
            body[name] = value.clone();
        }
        self.admin.post("/v1/campaigns", &body).must(201);
    }

    fn stock_up(&mut self, id: &str, imported: bool) {
        let path = format!("/v1/campaigns/{id}/batches");
        if imported {
            let lines = (0..STOCK).map(|n| format!("OLD-{id}-{n:06}\n"));
            let file = std::iter::once("code\n".to_owned()).chain(lines);
            let path = format!("{path}?batch_id=old");
            let answer =
                self.admin.upload(&path, file, None).expect("uploaded").expect("an answer");
            assert_eq!(answer.must(201).json()["imported"], STOCK);
        } else {
            self.admin.post(&path, &json!({"batch_id": "minted", "count": STOCK})).must(201);
        }
    }
}

#[test]
fn issued() {
    let mut scene = scene();
    // Name, imported?, limit, users, references of one user.
    let rows = [
        ("minted, one each", false, 1, 1_300, 1),
        ("minted, three each", false, 3, 450, 5),
        ("imported, one each", true, 1, 1_300, 1),
        ("imported, three each", true, 3, 450, 5),
    ];
    for (nth, (name, imported, limit, users, references)) in rows.into_iter().enumerate() {
        let id = format!("N{nth}");
        scene.campaign(&id, json!({"per_user_limit": limit}));
        scene.stock_up(&id, imported);
        let path = format!("/v1/campaigns/{id}/issue");
        // Every request is sent twice at the same time. The requests of one user follow each other.
        let asked = ask_all(
            CLIENTS,
            users * references * 2,
            || scene.shop.again(),
            |client, nth| {
                let (user, reference) = (nth / 2 / references, nth / 2 % references);
                let mut body = json!({"user_id": format!("u{user}")});
                if limit > 1 {
                    body["issue_ref"] = json!(format!("r{reference}"));
                }
                (user, reference, client.post(&path, &body))
            },
        );
        check(name, &asked, limit);
        assert_eq!(counts(&mut scene.admin, &id), (STOCK as u64, STOCK as u64, 0), "{name}");
        revoked_are_issued_again(name, &mut scene, &id, &asked, limit);
    }
    scene.server.stop();
}

/// After a sell-out, eight clients revoke a coupon and issue one to a new user, again and again:
/// there is always a coupon left for each request.
fn revoked_are_issued_again(
    name: &str,
    scene: &mut Scene,
    id: &str,
    asked: &[Asked],
    limit: usize,
) {
    let given: Vec<(usize, String)> = asked
        .iter()
        .filter(|it| it.answer.status == 201)
        .map(|it| (it.user, it.answer.field("code")))
        .collect();
    let admin = &scene.admin;
    at_once(8, |nth| {
        let mut admin = admin.again();
        for (round, (user, code)) in given.iter().skip(nth * 20).take(20).enumerate() {
            let revoke = json!({"user_id": format!("u{user}"), "reason": "returned"});
            admin.post(&format!("/v1/coupons/{code}/revoke"), &revoke).must(200);
            let mut body = json!({"user_id": format!("late-{nth}-{round}")});
            if limit > 1 {
                body["issue_ref"] = json!("late");
            }
            let issued = admin.post(&format!("/v1/campaigns/{id}/issue"), &body);
            assert_eq!(issued.status, 201, "{name}: after a revoke: {}", issued.text());
        }
    });
    let mut body = json!({"user_id": "too-late"});
    if limit > 1 {
        body["issue_ref"] = json!("late");
    }
    let path = format!("/v1/campaigns/{id}/issue");
    scene.admin.post(&path, &body).refused(409, "SOLD_OUT");
    assert_eq!(counts(&mut scene.admin, id), (STOCK as u64, STOCK as u64, 0), "{name}: revoked");
}

#[test]
fn shared_code() {
    let mut scene = scene();
    let rows = [("one each", 1, 1_300, 1), ("three each", 3, 450, 5)];
    for (nth, (name, limit, users, orders)) in rows.into_iter().enumerate() {
        let (id, word) = (format!("shared-{nth}"), format!("SUMMER{nth}"));
        let terms = json!({"handout": "shared", "shared_code": word, "per_user_limit": limit});
        scene.campaign(&id, terms);
        scene.stock_up(&id, false);
        let path = format!("/v1/coupons/{word}/redeem");
        let asked = ask_all(
            CLIENTS,
            users * orders * 2,
            || scene.shop.again(),
            |client, nth| {
                let (user, order) = (nth / 2 / orders, nth / 2 % orders);
                let body = json!({"user_id": format!("u{user}"), "order_ref": format!("o{order}")});
                (user, order, client.post(&path, &body))
            },
        );
        check(name, &asked, limit);
        assert_eq!(counts(&mut scene.admin, &id), (STOCK as u64, 0, STOCK as u64), "{name}");
    }
    scene.server.stop();
}

/// Two users want each code and each user wants two codes, all at the same time. Then the rest is
/// taken.
#[test]
fn bearer_codes_in_wallets() {
    let mut scene = scene();
    scene.campaign("bearer", json!({"handout": "bearer", "per_user_limit": 1}));
    scene.stock_up("bearer", false);
    let codes = scene.admin.get("/v1/campaigns/bearer/codes").must(200).text();
    let codes: Vec<&str> = codes.lines().skip(1).collect();
    assert_eq!(codes.len(), STOCK);
    let issue = |client: &mut Client, code: &str, user: &str| {
        client.post(&format!("/v1/coupons/{code}/issue"), &json!({"user_id": user}))
    };
    let asked = ask_all(
        CLIENTS,
        STOCK * 2,
        || scene.shop.again(),
        |client, nth| {
            let (user, code) = (nth / 2, (nth / 2 + nth % 2) % STOCK);
            (user, code, issue(client, codes[code], &format!("u{user}")))
        },
    );
    let mut holder: BTreeMap<usize, usize> = BTreeMap::new();
    let mut wallet: BTreeMap<usize, usize> = BTreeMap::new();
    for it in &asked {
        match (it.answer.status, it.answer.problem().as_str()) {
            (201, _) => {
                assert_eq!(holder.insert(it.reference, it.user), None, "a code of two users");
                assert_eq!(wallet.insert(it.user, it.reference), None, "a user with two codes");
            }
            (409, "ALREADY_ISSUED" | "LIMIT_PER_USER") => {}
            _ => panic!("{}", it.answer.text()),
        }
    }
    let left: Vec<usize> = (0..STOCK).filter(|code| !holder.contains_key(code)).collect();
    let answers = at_once(8, |nth| {
        let mut client = scene.shop.again();
        let mut made = 0;
        // Eight users want each of the codes left.
        for code in &left {
            let answer = issue(&mut client, codes[*code], &format!("late-{nth}-{code}"));
            made += usize::from(answer.status == 201);
            assert!(answer.is_good() || answer.problem() == "ALREADY_ISSUED", "{}", answer.text());
        }
        made
    });
    assert_eq!(answers.iter().sum::<usize>(), left.len(), "each code left is taken once");
    assert_eq!(counts(&mut scene.admin, "bearer"), (STOCK as u64, STOCK as u64, 0));
    let issue = scene.shop.post("/v1/campaigns/bearer/issue", &json!({"user_id": "u"}));
    issue.refused(409, "NOT_ISSUABLE");
    scene.server.stop();
}

/// First come, first served: the users issue the coupons themselves.
#[test]
fn taken_by_the_users_themselves() {
    let mut scene = scene();
    scene.campaign("self", json!({"handout": "self", "stock": 30}));
    let tokens: Vec<String> = (0..40).map(|n| scene.data.token("user", &format!("u{n}"))).collect();
    let address = scene.server.address;
    let answers = at_once(80, |nth| {
        Client::new(address, &tokens[nth / 2]).post("/v1/campaigns/self/issue", &json!({}))
    });
    let made = answers.iter().filter(|it| it.status == 201).count();
    let codes: BTreeSet<String> =
        answers.iter().filter(|it| it.is_good()).map(|it| it.field("code")).collect();
    assert_eq!((made, codes.len()), (30, 30));
    for (user, pair) in answers.chunks(2).enumerate() {
        let of_user: BTreeSet<String> =
            pair.iter().filter(|it| it.is_good()).map(|it| it.field("code")).collect();
        assert!(of_user.len() <= 1, "u{user} has {of_user:?}");
        assert!(pair.iter().all(|it| it.is_good() || it.problem() == "SOLD_OUT"), "u{user}");
    }
    scene.server.stop();
}
