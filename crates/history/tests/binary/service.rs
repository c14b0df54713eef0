//! `couponry-history serve` over sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use api::token::{LocalKey, LocalKeys, Role, TokenService};
use datafusion::arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};

use crate::data::{TOKEN_KEY, TestData};

struct Service {
    child: Child,
    address: String,
    // The banner needs an open reader.
    _out: BufReader<ChildStdout>,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Seconds that a query may take: longer than the machine stops for while it does other things.
const LONG: &str = "300";

/// How often a request is sent. The server closes a connection over which no request comes within
/// 5 seconds, and this thread may stop for longer before it sends one.
const TRIES: usize = 50;

impl Service {
    fn start(data: &TestData) -> Service {
        Service::with_time_limit(data, LONG)
    }

    fn with_time_limit(data: &TestData, seconds: &str) -> Service {
        let listen = ["serve", "--listen", "127.0.0.1:0", "--time-limit", seconds];
        let mut command = data.command(&listen);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it listened");
            if let Some((_, address)) = line.split_once("http://") {
                break address.trim().to_owned();
            }
        };
        Service { child, address, _out: out }
    }

    fn ask(&self, token: Option<&str>, accept: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /v1/history/query HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{authorization}\
             accept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let tries = (0..TRIES).map(|_| self.answered(&request));
        let bytes = tries.flatten().find(|bytes| !bytes.is_empty()).expect("an answer");
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(!head.contains("chunked"), "{head}");
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// All that comes until the server closes the connection.
    fn answered(&self, request: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn token(role: Role) -> String {
    let keys = LocalKeys::new(vec![LocalKey::active("t1", &TOKEN_KEY, 0).unwrap()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    TokenService::new(keys, None).unwrap().mint("ann", role, 3_600_000, now).unwrap().0
}

const BY_STATE: &str = "select state, count(*) as n from coupons group by 1 order by 1";

#[test]
fn rows_have_three_formats() {
    let data = TestData::new();
    let before = data.fingerprint();
    let service = Service::start(&data);
    let operator = token(Role::Operator);
    let ask = |accept: &str, body: &Value| service.ask(Some(&operator), accept, body);
    let answer = ask("*/*", &json!({"sql": BY_STATE}));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let want = json!({
        "columns": [{"name": "state", "type": "Utf8View"}, {"name": "n", "type": "Int64"}],
        "data": [
            {"state": "available", "n": 54},
            {"state": "issued", "n": 53},
            {"state": "redeemed", "n": 53},
        ],
        "truncated": false,
    });
    assert_eq!(answer.json(), want);
    let answer = ask("text/csv", &json!({"sql": BY_STATE}));
    assert_eq!(answer.body, b"state,n\navailable,54\nissued,53\nredeemed,53\n");
    assert!(answer.head.contains("content-type: text/csv"), "{}", answer.head);
    let answer =
        ask("application/vnd.apache.arrow.stream", &json!({"sql": "select * from coupons"}));
    let rows = StreamReader::try_new(answer.body.as_slice(), None).unwrap();
    assert_eq!(rows.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 160);
    let body = json!({"sql": "select count(*) as n from coupons", "as_of": 1});
    assert_eq!(ask("*/*", &body).json()["data"], json!([{"n": 60}]), "a version of cold");
    drop(service);
    assert_eq!(data.fingerprint(), before, "nothing was written");
}

#[test]
fn long_answers_are_truncated() {
    let data = TestData::new();
    let service = Service::start(&data);
    let admin = token(Role::Admin);
    let rows = |limit: u64| format!("select a.code from coupons a, coupons b limit {limit}");
    for (name, limit, truncated) in [("the limit", 10_000, false), ("one row more", 10_001, true)] {
        let body = json!({"sql": rows(limit)});
        let answer = service.ask(Some(&admin), "*/*", &body);
        let found = answer.json();
        assert_eq!(found["data"].as_array().unwrap().len(), 10_000, "{name}");
        assert_eq!(found["truncated"], truncated, "{name}");
        assert_eq!(answer.head.contains("x-truncated-at: 10000"), truncated, "{name}");
        let answer = service.ask(Some(&admin), "text/csv", &body);
        let lines = answer.body.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, 10_001, "{name}: with its header");
        assert_eq!(answer.head.contains("x-truncated-at: 10000"), truncated, "{name}");
    }
}

#[test]
fn errors_are_problem_documents() {
    let data = TestData::new();
    let (service, hasty) = (Service::start(&data), Service::with_time_limit(&data, "2"));
    let (user, shop, operator) = (token(Role::User), token(Role::Shop), token(Role::Operator));
    let sql = |sql: &str| json!({"sql": sql});
    let long = "select sum(a.version * b.version) from coupons a cross join (coupons b cross join \
         (coupons c cross join coupons d))";
    let cases = [
        ("nobody", None, sql("select 1"), 401, "UNAUTHENTICATED", "no Authorization header"),
        ("a forged token", Some("x.y.z"), sql("select 1"), 401, "UNAUTHENTICATED", ""),
        ("a user", Some(user.as_str()), sql("select 1"), 403, "FORBIDDEN", ""),
        ("a shop", Some(shop.as_str()), sql("select 1"), 403, "FORBIDDEN", ""),
        ("no SQL", Some(&operator), json!({}), 400, "INVALID", "sql is missing"),
        ("a field", Some(&operator), json!({"sql": "select 1", "x": 1}), 400, "INVALID", "unknown"),
        (
            "a syntax error",
            Some(&operator),
            sql("selct"),
            400,
            "INVALID",
            "sql syntax: Expected: an SQL",
        ),
        ("a table", Some(&operator), sql("select * from x"), 400, "INVALID", "there is no table x"),
        (
            "a write",
            Some(&operator),
            sql("drop table coupons"),
            400,
            "INVALID",
            "DROP is not allowed",
        ),
        ("a value", Some(&operator), sql("select 1 / 0"), 400, "INVALID", "divides by zero"),
        ("time", Some(&operator), sql(long), 408, "TIMEOUT", "the query took more than 2s"),
    ];
    for (name, token, body, status, code, detail) in cases {
        let service = if name == "time" { &hasty } else { &service };
        let answer = service.ask(token, "*/*", &body);
        let found = answer.json();
        assert_eq!(answer.status, status, "{name}: {found}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{name}");
        assert_eq!(found["code"], code, "{name}: {found}");
        assert!(found["detail"].as_str().unwrap().contains(detail), "{name}: {found}");
        assert!(found["request_id"].is_string(), "{name}: {found}");
    }
}
