//! Traces with a real collector of OpenTelemetry: what is in the spans, what is not, and that nobody waits for it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbucket::{BUCKET, Kind, Server as Bucket};
use testengines::Engine;

use super::data::{Data, Server, wait_until};
use super::engine::{Running, Script, free_port};
use super::finished::{campaign, compact, day_that_is_over, import, issued, left_over, order};

const SUITE: &str = "traces with a collector of OpenTelemetry";

const COLLECTOR: Script = Script { name: "collector", engine: Engine::COLLECTOR };

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SHOP: &str = "b7ad6b7169203331";

/// A collector, and the file into which it writes.
struct Collector {
    port: u16,
    folder: PathBuf,
    running: Option<Running>,
}

impl Collector {
    /// One that does not run yet.
    fn beside(data: &Data) -> Option<Collector> {
        if !COLLECTOR.is_there(SUITE) {
            return None;
        }
        let folder = data.folder().join("collector");
        fs::create_dir(&folder).expect("a folder");
        Some(Collector { port: free_port(), folder, running: None })
    }

    fn start(&mut self) {
        self.running = Some(COLLECTOR.run(&self.folder, self.port));
        wait_until("the collector", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// A service that sends its spans here.
    fn traced(&self, data: &Data, more: &[&str]) -> Server {
        data.serve_with(|command| {
            command.arg("--traces").arg(format!("http://127.0.0.1:{}", self.port));
            command.args(["--compact-every", "0", "--log-format", "json"]).args(more);
            // Spans are sent a moment after they end.
            command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
        })
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.join("traces.json")).unwrap_or_default()
    }

    /// All spans so far.
    fn spans(&self) -> Vec<Value> {
        let all = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let text = self.text();
        // The last line may not be whole.
        let batches = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        batches
            .flat_map(|batch| all(&batch, "resourceSpans"))
            .flat_map(|of_resource| all(&of_resource, "scopeSpans"))
            .flat_map(|of_scope| all(&of_scope, "spans"))
            .collect()
    }

    /// Waits for a span.
    fn span(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        wait_until(what, || {
            found = self.spans().into_iter().find(&wanted);
            found.is_some()
        });
        found.expect("waited for")
    }
}

/// An attribute of a span, as text.
fn attribute(span: &Value, key: &str) -> Option<String> {
    let all = span["attributes"].as_array()?;
    let value = &all.iter().find(|it| it["key"] == key)?["value"];
    let text = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
    text.map(str::to_owned)
}

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{SHOP}-{flags}")
}

#[test]
fn of_requests() {
    let data = Data::new();
    let Some(mut collector) = Collector::beside(&data) else { return };
    collector.start();
    let server = collector.traced(&data, &["--traces-percent", "0", "--spaces", "acme=acme.test"]);
    let token = data.token("admin", "root");
    let mut admin = server.client(&token);
    campaign(&mut admin, "spring", 5);
    let code = issued(&mut admin, "spring", "ann");
    let at = format!("/v1/coupons/{code}/redeem");
    let mut unrecorded = server.client(&token).with_header(&traceparent("00"));
    unrecorded.get(&format!("/v1/coupons/{code}")).must(200);
    let mut shop = server.client(&token).with_header(&traceparent("01"));
    shop.post(&at, &order("ann", "o1")).must(201);
    let refused = shop.post(&at, &order("ann", "o2"));
    let id = refused.header("x-request-id").expect("an id").to_owned();
    assert_eq!(refused.status, 409);
    server.client("").at_host("acme.test").with_header(&traceparent("01")).get("/v1/campaigns");
    server.client("").with_header(&traceparent("01")).get(&format!("/console/coupons/{code}"));
    let redeemed = collector.span("a redeem", |it| {
        attribute(it, "http.response.status_code").as_deref() == Some("201")
    });
    let with_id = |it: &Value| attribute(it, "couponry.request_id").as_deref() == Some(&id);
    let refused = collector.span("a refused redeem", with_id);
    for span in [&redeemed, &refused] {
        let have = json!([span["traceId"], span["parentSpanId"], span["name"], span["kind"]]);
        let server = 2;
        assert_eq!(have, json!([TRACE, SHOP, "POST /v1/coupons/{code}/redeem", server]), "{span}");
        assert_eq!(attribute(span, "http.route").as_deref(), Some("/v1/coupons/{code}/redeem"));
        assert_eq!(span["status"], json!({}), "a refused request is no error of the service");
    }
    assert_eq!(attribute(&redeemed, "error.type"), None);
    assert_eq!(attribute(&refused, "error.type").as_deref(), Some("ALREADY_REDEEMED"));
    let of_space = collector.span("of a space", |it| attribute(it, "couponry.space").is_some());
    assert_eq!(attribute(&of_space, "couponry.space").as_deref(), Some("acme"));
    assert_eq!(attribute(&of_space, "error.type").as_deref(), Some("UNAUTHENTICATED"));
    let page = collector.span("a page", |it| it["name"] == "GET /console/coupons/{code}");
    assert_eq!(page["parentSpanId"], SHOP, "{page}");
    // What nobody wants to have recorded is not there: neither what the caller does not record, nor the share.
    server.stop();
    assert_eq!(collector.spans().len(), 4, "{}", collector.text());
    assert!(!collector.text().contains(&code), "a span has a code");
    assert!(!collector.text().contains("ann"), "a span has a user");
}

#[test]
fn of_the_archive_and_of_webhooks() {
    let Some(bucket) = Bucket::start(Kind::Versitygw) else { return };
    let data = Data::on_bucket(&format!("s3://{BUCKET}/cold"), bucket.environment());
    let Some(mut collector) = Collector::beside(&data) else { return };
    collector.start();
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a receiver");
    let url = format!("http://{}/hook", receiver.local_addr().expect("its address"));
    let heard = thread::spawn(move || -> String {
        let (mut socket, _) = receiver.accept().expect("a post");
        let mut head = vec![0; 4_096];
        let len = socket.read(&mut head).expect("its head");
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer");
        String::from_utf8_lossy(&head[..len]).into_owned()
    });
    let server = collector.traced(&data, &["--webhook-allow-private"]);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "spring", 5);
    import(&data, "spring", "old", &left_over("OLD-0001", &day_that_is_over(0)));
    compact(&data, &[]);
    let found = admin.get("/v1/coupons/OLD-0001").must(200);
    assert_eq!(found.json()["tier"], "cold");
    let id = found.header("x-request-id").expect("an id").to_owned();
    let looked_up = collector
        .span("a look-up", |it| attribute(it, "couponry.request_id").as_deref() == Some(&id));
    let read = collector.span("a request to the bucket", |it| {
        it["name"] == "bucket get" && it["parentSpanId"] == looked_up["spanId"]
    });
    assert_eq!(read["traceId"], looked_up["traceId"]);
    assert_eq!(attribute(&read, "server.address").as_deref(), Some("127.0.0.1"));
    // The same requests are counted.
    let figures = admin.get("/metrics").text();
    let figure = |name: &str| -> f64 {
        let line = figures.lines().find(|line| line.starts_with(name));
        line.and_then(|it| it.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    };
    assert!(figure("couponry_cold_requests_total{kind=\"get\"}") >= 1.0, "{figures}");
    assert!(figure("couponry_cold_received_bytes_total") > 1_000.0, "{figures}");
    admin.post("/v1/webhooks", &json!({"webhook_id": "w", "url": url})).must(201);
    issued(&mut admin, "spring", "ann");
    let head = heard.join().expect("a post");
    let posted = collector.span("a post", |it| it["name"] == "POST to a webhook");
    let (trace, span) = (&posted["traceId"], &posted["spanId"]);
    let want = format!("traceparent: 00-{}-{}-01", trace.as_str().unwrap(), span.as_str().unwrap());
    assert!(head.contains(&want), "{want}: {head}");
    server.stop();
}

/// No request waits for a collector that is away or hangs; the log says so once, and the next spans arrive.
#[test]
fn a_collector_that_is_away() {
    let data = Data::new();
    let Some(mut collector) = Collector::beside(&data) else { return };
    let server = collector.traced(&data, &[]);
    let mut admin = server.client(&data.token("admin", "root"));
    let lost = "the collector does not take them";
    let begun = Instant::now();
    let mut asked = 0;
    wait_until("the log", || {
        asked += 1;
        admin.get("/v1/campaigns").must(200);
        server.log().contains(lost)
    });
    assert!(begun.elapsed() / asked < Duration::from_secs(1), "{asked} took {:?}", begun.elapsed());
    collector.start();
    wait_until("traces again", || {
        admin.get("/v1/campaigns").must(200);
        server.log().contains("the collector takes traces again") && !collector.spans().is_empty()
    });
    assert_eq!(server.log().matches(lost).count(), 1, "{}", server.log());
    drop(collector.running.take());
    server.stop();
    for (args, want) in [
        (["--traces", "collector:4318"], "want https"),
        (["--traces", "http://ann:secret@collector"], "password"),
        (["--traces-percent", "101"], "0 to 100"),
    ] {
        let ran = data.run(&[&["serve"][..], &args].concat());
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(want) && !ran.stderr.contains("secret"), "{args:?}: {ran:?}");
    }
}
