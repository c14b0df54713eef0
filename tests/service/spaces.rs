//! Spaces: several brands in one process, none of which can see, count, guess or disturb another.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::data::{Data, Server, wait_until};
use super::finished::{campaign, issued, order};

const ACME: &str = "acme.test";
const GLOBEX: &str = "globex.test";

/// Texts that only acme has.
const ACMES_OWN: [&str; 3] = ["only-acme", "ONLYACME1", "acme-buyer"];

/// A server of the main store and of the spaces that `spaces` names.
fn serve(data: &Data, spaces: &str) -> Server {
    data.serve_with(|command| {
        command.args(["--spaces", spaces, "--log-format", "json"]);
    })
}

/// An admin of a space.
fn admin(data: &Data, server: &Server, space: &str) -> Client {
    let ran = data.run(&["token", "--role", "admin", "--space", space]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    server.client(ran.stdout.trim()).at_host(&format!("{space}.test"))
}

/// A brand with coupons, accounts, a webhook and refused attempts; the code of one of its coupons.
fn fill(admin: &mut Client) -> String {
    for id in ["only-acme", "spring"] {
        campaign(admin, id, 100);
    }
    let code = issued(admin, "only-acme", "acme-buyer");
    admin
        .post(&format!("/v1/coupons/{code}/redeem"), &order("acme-buyer", "only-acme-1"))
        .must(201);
    let bearer =
        json!({"campaign_id": "only-acme-2", "expires_on": "2031-12-31", "handout": "bearer"});
    admin.post("/v1/campaigns", &bearer).must(201);
    let file = ["code\nONLYACME1\n".to_owned()];
    let sent = admin.upload("/v1/campaigns/only-acme-2/batches", file.into_iter(), None);
    assert!(sent.expect("an answer").is_some_and(|it| it.is_good()));
    let person = json!({"login_id": "acme-buyer", "password": "correct horse battery"});
    admin.post("/v1/users", &person).must(201);
    let hook = json!({"webhook_id": "only-acme", "url": "https://acme-buyer.example/hooks"});
    admin.post("/v1/webhooks", &hook).must(201);
    admin.post("/v1/coupons/ONLYACME1/redeem", &order("acme-buyer", "x")).must(201);
    admin
        .post("/v1/coupons/ONLYACME1/redeem", &order("only-acme", "y"))
        .refused(409, "ALREADY_REDEEMED");
    code
}

/// One call of the document, with the names of acme where it wants names.
struct Call {
    method: String,
    path: String,
    body: Option<Value>,
    is_open: bool,
}

/// Every call that the document has.
fn calls(document: &Value, code: &str) -> Vec<Call> {
    let value = |name: &str| match name {
        "code" => code.to_owned(),
        "campaign_id" | "webhook_id" => "only-acme".to_owned(),
        "user_id" | "login_id" => "acme-buyer".to_owned(),
        "order_ref" => "only-acme-1".to_owned(),
        _ => "only-acme".to_owned(),
    };
    let mut calls = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let mut filled = path.clone();
            let mut query = Vec::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                match parameter["in"].as_str() {
                    Some("path") => filled = filled.replace(&format!("{{{name}}}"), &value(name)),
                    Some("query") if parameter["required"] == true => {
                        query.push(format!("{name}={}", value(name)));
                    }
                    _ => {}
                }
            }
            if !query.is_empty() {
                filled = format!("{filled}?{}", query.join("&"));
            }
            let body = operation.pointer("/requestBody/content/application~1json");
            let body = body.map(|it| example(document, it));
            let is_open =
                operation["security"] == json!([{}]) || operation["security"] == json!([]);
            calls.push(Call { method: method.to_uppercase(), path: filled, body, is_open });
        }
    }
    calls
}

/// An example of a body, with names of acme.
fn example(document: &Value, content: &Value) -> Value {
    let schema = &content["schema"];
    let named = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    let schema = named.and_then(|it| document.pointer(it)).unwrap_or(schema);
    let examples = [&content["example"], &schema["example"], &schema["examples"][0]];
    let found = examples.into_iter().find(|it| it.is_object()).cloned();
    let mut body = found.unwrap_or_else(|| json!({}));
    for (name, value) in body.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "campaign_id" | "webhook_id" => *value = json!("only-acme"),
            "user_id" | "login_id" => *value = json!("acme-buyer"),
            _ => {}
        }
    }
    body
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

/// Every call of the interface with acme's names, at globex beside acme and at globex alone: an answer that differs
/// would tell globex something of acme. With a token of acme, or of the main store, every one is refused.
#[test]
fn a_space_learns_nothing_of_another() {
    let beside = Data::new();
    let server = serve(&beside, "acme=acme.test,globex=globex.test");
    let code = fill(&mut admin(&beside, &server, "acme"));
    let alone = Data::new();
    let lone = serve(&alone, "globex=globex.test");

    let document = server.client("").get("/openapi.json").must(200).json();
    let calls = calls(&document, &code);
    assert!(calls.len() > 40, "{} calls", calls.len());
    let events = |server: &Server| {
        let page = admin(&beside, server, "acme").get("/v1/events?limit=500").must(200);
        page.json()["data"].as_array().map_or(0, Vec::len)
    };
    let before = events(&server);
    let main = beside.token("admin", "root");
    let acme = beside.run(&["token", "--role", "admin", "--space", "acme"]).stdout;
    for call in calls.iter().filter(|call| !call.is_open) {
        for (whose, token) in [("the main store", main.as_str()), ("acme", acme.trim())] {
            let mut stranger = server.client(token).at_host(GLOBEX);
            let answer = stranger.call(&call.method, &call.path, call.body.as_ref());
            let what = format!("{} {} with a token of {whose}", call.method, call.path);
            assert_eq!(
                said(&answer),
                (401, "UNAUTHENTICATED".to_owned()),
                "{what}: {}",
                answer.text()
            );
        }
    }
    let (mut here, mut there) = (admin(&beside, &server, "globex"), admin(&alone, &lone, "globex"));
    for call in &calls {
        let what = format!("{} {}", call.method, call.path);
        let answer = here.call(&call.method, &call.path, call.body.as_ref());
        let want = there.call(&call.method, &call.path, call.body.as_ref());
        assert_eq!(said(&answer), said(&want), "{what}: {} / {}", answer.text(), want.text());
        // It may repeat what the caller has said.
        let asked = format!("{what} {}", call.body.clone().unwrap_or_default());
        for own in ACMES_OWN.iter().filter(|own| !asked.contains(*own)) {
            let told = want.text().contains(own);
            assert_eq!(answer.text().contains(own), told, "{what} tells {own}: {}", answer.text());
        }
    }
    // A code, a name and a login that acme has are free in globex.
    for (client, which) in [(&mut here, "beside"), (&mut there, "alone")] {
        let bearer =
            json!({"campaign_id": "only-acme-2", "expires_on": "2031-12-31", "handout": "bearer"});
        client.post("/v1/campaigns", &bearer).must(201);
        let file = ["code\nONLYACME1\n".to_owned()];
        let sent = client.upload("/v1/campaigns/only-acme-2/batches", file.into_iter(), None);
        let report = sent.expect("an answer").expect("a report").must(201).json();
        assert_eq!(report["imported"], 1, "{which}: {report}");
    }
    assert_eq!(events(&server), before, "nothing happened in acme");
    // The figures of a space are its own.
    let figures = |host: &str| server.client("").at_host(host).get("/metrics").must(200).text();
    assert!(figures(GLOBEX).contains("space=\"globex\"") && !figures(GLOBEX).contains("acme"));
    assert!(figures(ACME).contains("space=\"acme\""));
    assert!(!figures("localhost").contains("space="), "those of the main store");
    server.stop();
    lone.stop();
}

/// One that cannot be served, or is too busy, or has no room is alone with that.
#[test]
fn a_space_does_not_disturb_others() {
    let data = Data::new();
    let own = |space: &str, text: &str| {
        let folder = data.path().join("spaces").join(space);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("couponry.toml"), text).expect("a file");
    };
    own("acme", "requests_per_s = 3\n");
    own("globex", "listen = \"0.0.0.0:80\"\n");
    own("small", "store_max_mib = 1\n");
    let server = serve(&data, "acme=acme.test,globex=globex.test,small=small.test");
    assert!(server.banner.contains("globex at globex.test: NOT SERVED"), "{}", server.banner);
    assert!(server.banner.contains("belongs to the whole machine"), "{}", server.banner);
    let mut globex = server.client("").at_host(GLOBEX);
    globex.get("/readyz").refused(503, "STORE_UNAVAILABLE");

    // Acme exceeds its rate at once, and gets answers again after `Retry-After`.
    let mut acme = admin(&data, &server, "acme");
    let answers: Vec<Answer> = (0..10).map(|_| acme.get("/v1/campaigns")).collect();
    let first = answers.first().expect("an answer");
    assert_eq!(first.header("ratelimit-policy"), Some("\"requests\";q=3;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"requests\";r=2;t=1"));
    let last = answers.last().expect("an answer").clone().refused(429, "TOO_MANY");
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(acme.get("/healthz").status, 200, "who asks whether it is alive is not counted");
    wait_until("its turn", || acme.get("/v1/campaigns").is_good());
    let mut main = server.client(&data.token("admin", "root"));
    for _ in 0..10 {
        let answer = main.get("/v1/campaigns").must(200);
        assert_eq!(answer.header("ratelimit"), None, "the main store has no limit");
    }

    // A full space takes no more, and lets customers use what they have.
    let mut small = admin(&data, &server, "small");
    campaign(&mut small, "spring", 1_000);
    let code = issued(&mut small, "spring", "ann");
    let lines: String = (0..20_000).map(|nth| format!("FULL{nth:06}\n")).collect();
    let bearer = json!({"campaign_id": "old", "expires_on": "2031-12-31", "handout": "bearer"});
    small.post("/v1/campaigns", &bearer).must(201);
    let begun = Instant::now();
    let path = "/v1/campaigns/old/batches";
    loop {
        let file = ["code\n".to_owned(), lines.clone()];
        let answer = small.upload(path, file.into_iter(), None).expect("sent").expect("an answer");
        if !answer.is_good() {
            answer.refused(503, "STORE_FULL");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never becomes full");
    }
    small.post("/v1/campaigns/spring/issue", &json!({"user_id": "bob"})).refused(503, "STORE_FULL");
    small.post(&format!("/v1/coupons/{code}/redeem"), &order("ann", "o1")).must(201);
    campaign(&mut main, "spring", 5);
    server.stop();
}

/// A token of the company's identity provider is for one store.
#[test]
fn two_stores_with_the_same_audience() {
    let rows = [
        ("of its own", "identity_audience = \"acme\"", true),
        ("its own for both", "identity_audience = \"acme\"\nconsole_client = \"acme\"", true),
        ("the client is that of the main store", "console_client = \"coupons\"", false),
        ("that of the main store", "identity_audience = \"coupons\"", false),
        ("none: it is coupons/acme", "", true),
    ];
    for (name, file, is_served) in rows {
        let data = Data::new();
        let folder = data.path().join("spaces/acme");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("couponry.toml"), file).expect("a file");
        let server = data.serve_with(|command| {
            command.args(["--spaces", "acme=acme.test", "--identity-issuer", "https://id.example"]);
            command.args(["--identity-audience", "coupons"]);
            command.args(["--identity-jwks", "https://id.example/jwks"]);
        });
        let status = server.client("").at_host(ACME).get("/healthz").status;
        assert_eq!(status, if is_served { 200 } else { 503 }, "{name}: {}", server.banner);
        server.stop();
    }
}

/// Commands work with a space as with the main store, and each space is found again after a restart.
#[test]
fn commands_and_restarts() {
    let data = Data::new();
    let spaces = "acme=acme.test,acme=www.acme.test";
    let server = serve(&data, spaces);
    campaign(&mut admin(&data, &server, "acme"), "spring", 5);
    let mut by_another_host = admin(&data, &server, "acme").at_host("WWW.acme.test:8443");
    by_another_host.get("/v1/campaigns/spring").must(200);
    let listed = |space: &[&str]| {
        let ran = data.run(&[&["campaign", "list"], space].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    assert!(listed(&["--space", "acme"]).contains("spring"));
    assert!(!listed(&[]).contains("spring"));
    let link = data.run(&["console", "--space", "acme", "--spaces", spaces]);
    let port = server.address.to_string().rsplit_once(':').expect("a port").1.to_owned();
    let origin = format!("http://acme.test:{port}");
    assert!(link.stdout.starts_with(&format!("{origin}/console/")), "{link:?}");
    let link = link.stdout.trim().trim_start_matches(&origin).to_owned();
    assert_eq!(server.client("").at_host(ACME).get(&link).status, 200);
    assert_ne!(server.client("").get(&link).status, 200, "it is none of the main store");
    let unknown = data.run(&["console", "--space", "acme"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    // The log says of which space a message is.
    let lost = server.client("").at_host(ACME).get("/v1/campaigns").must(401);
    let id = lost.field("request_id");
    wait_until("its line", || {
        server.log().lines().any(|line| line.contains(&id) && line.contains("\"space\":\"acme\""))
    });
    // A backup has all of them; one can be copied and put back alone.
    let backup = |name: &str, more: &[&str]| {
        let folder = data.folder().join(name).display().to_string();
        let ran = data.run(&[&["backup", &folder], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        folder
    };
    let (all, alone) = (backup("all", &[]), backup("alone", &["--space", "acme"]));
    let of_acme = format!("{all}/spaces/acme");
    for folder in [&all, &of_acme, &alone] {
        assert!(Path::new(folder).join("hot.db").is_file(), "{folder}");
    }
    campaign(&mut admin(&data, &server, "acme"), "later", 5);
    campaign(&mut server.client(&data.token("admin", "root")), "main", 5);
    server.stop();
    let back = data.run(&["restore", &of_acme, "--space", "acme", "--replace", "--yes"]);
    assert_eq!(back.code, Some(0), "{back:?}");
    let server = serve(&data, spaces);
    let mut acme = admin(&data, &server, "acme");
    acme.get("/v1/campaigns/spring").must(200);
    acme.get("/v1/campaigns/later").must(404);
    server.client(&data.token("admin", "root")).get("/v1/campaigns/main").must(200);
    server.stop();
    // One that is damaged keeps the others out of no backup.
    fs::write(data.path().join("spaces/acme/hot.db"), "no store").expect("damage");
    let folder = data.folder().join("partly").display().to_string();
    let partly = data.run(&["backup", &folder]);
    assert_eq!(partly.code, Some(3), "{partly:?}");
    assert!(partly.stderr.contains("the space acme is NOT in it"), "{partly:?}");
    assert!(Path::new(&folder).join("hot.db").is_file());
    let server = serve(&data, spaces);
    assert!(
        server.banner.contains("acme at acme.test, www.acme.test: NOT SERVED"),
        "{}",
        server.banner
    );
    server.client(&data.token("admin", "root")).get("/v1/campaigns/main").must(200);
    server.stop();
    let missing = data.run(&["campaign", "list", "--space", "nobody"]);
    assert_eq!(missing.code, Some(1), "a space that is mistyped is not made: {missing:?}");
    assert!(!data.path().join("spaces/nobody").exists());
    let usage = data.run(&["serve", "--spaces", "acme"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
}
