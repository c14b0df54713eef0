//! Import: a long file in little memory, with counts for every line, also after a broken
//! connection.

use std::fs;
use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::Client;
use super::data::{Data, STORE_TIMEOUT, Server, despite_stalls, full, wait_until};

const MIB: u64 = 1 << 20;
/// More than the pages of the program that the service has read before: two windows of lines, of some 15 MiB each, with
/// what they become.
const RESIDENT_MORE_MAX: u64 = 100 * MIB;
/// Lines of one piece on the wire. The pieces do not begin or end with lines.
const PIECE: usize = 997;

/// A header and `lines` codes. Every 1,000th line has no valid code.
fn file(name: &str, lines: usize) -> impl Iterator<Item = String> {
    let name = name.to_owned();
    (0..lines.div_ceil(PIECE)).map(move |piece| {
        let first = piece * PIECE;
        let mut text = if piece == 0 { "code,expires_at\n".to_owned() } else { String::new() };
        for n in first..lines.min(first + PIECE) {
            match n % 1_000 {
                999 => text.push_str("!,2031-12-31\n"),
                _ => text.push_str(&format!("{name}{n:09},2031-12-31\n")),
            }
        }
        text
    })
}

fn campaign(admin: &mut Client, id: &str) {
    let terms = json!({"campaign_id": id, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
}

/// The three counts add up, and are these.
#[track_caller]
fn adds_up(name: &str, batch: &Value, lines: usize, imported: Option<usize>) {
    let number = |field: &str| batch[field].as_u64().unwrap_or_else(|| panic!("{name}: {batch}"));
    let rejected = lines / 1_000;
    assert_eq!(number("lines"), lines as u64, "{name}: {batch}");
    assert_eq!(number("rejected"), rejected as u64, "{name}: {batch}");
    let sum = number("imported") + number("already_there") + number("rejected");
    assert_eq!(sum, lines as u64, "{name}: {batch}");
    assert_eq!(number("count"), (lines - rejected) as u64, "{name}: {batch}");
    if let Some(imported) = imported {
        assert_eq!(number("imported"), imported as u64, "{name}: {batch}");
    }
}

fn scene(data: &Data) -> (Server, Client) {
    let server = data.serve();
    let admin = server.client(&data.token("admin", "root"));
    (server, admin)
}

#[test]
fn flat_memory() {
    let long = if full() { 2_000_000 } else { 300_000 };
    if !full() {
        eprintln!("import: {long} lines; 2,000,000 with COUPONRY_FULL=1 or in release");
    }
    for (name, lines) in [("short", 20_000), ("long", long)] {
        let data = Data::new();
        let (server, mut admin) = scene(&data);
        campaign(&mut admin, name);
        let (before, begun) = (server.resident_most(), Instant::now());
        let path = format!("/v1/campaigns/{name}/batches?batch_id=old");
        let answer = admin.upload(&path, file("L", lines), None).expect("sent").expect("an answer");
        let took = begun.elapsed();
        adds_up(name, &answer.must(201).json(), lines, Some(lines - lines / 1_000));
        let more = server.resident_most() - before;
        eprintln!("import: {lines} lines in {took:?}, {} MiB more resident", more / MIB);
        assert!(more < RESIDENT_MORE_MAX, "{name}: {} MiB more resident", more / MIB);
        server.stop();
    }
}

/// A connection that breaks in the middle, and `kill -9` in the middle: the repeat imports the
/// rest.
#[test]
fn broken_off() {
    const LINES: usize = 30_000;
    let data = Data::new();
    let (mut server, mut admin) = scene(&data);
    let token = data.token("admin", "root");
    for (name, kill) in [("broken", false), ("killed", true)] {
        campaign(&mut admin, name);
        let path = format!("/v1/campaigns/{name}/batches?batch_id=old");
        let sent =
            admin.upload(&path, file("B", LINES).map(renamed(name)), Some(15)).expect("sent");
        assert!(sent.is_none(), "{name}: answered before the end");
        let batch = format!("/v1/campaigns/{name}/batches/old");
        wait_until("some lines", || {
            let batch = admin.get(&batch);
            batch.status == 200 && batch.json()["count"].as_u64() > Some(0)
        });
        if kill {
            server.kill();
            server = data.serve();
            admin = server.client(&token);
        }
        let again = admin.upload(&path, file("B", LINES).map(renamed(name)), None);
        let again = again.expect("sent").expect("an answer").must(200).json();
        adds_up(name, &again, LINES, None);
        assert!(again["already_there"].as_u64() > Some(0), "{name}: {again}");
        let twice = admin.upload(&path, file("B", LINES).map(renamed(name)), None);
        let twice = twice.expect("sent").expect("an answer").must(200).json();
        adds_up(name, &twice, LINES, Some(0));
        rejects(&mut admin, name, &batch, LINES);
    }
    server.stop();
}

fn renamed(name: &str) -> impl Fn(String) -> String {
    let first = if name == "killed" { "K" } else { "B" };
    move |text| text.replace('B', first)
}

/// The rejected lines: line number, the line, the reason.
fn rejects(admin: &mut Client, name: &str, batch: &str, lines: usize) {
    let report = admin.get_csv(batch).must(200).text();
    let rows: Vec<&str> = report.lines().skip(2).collect();
    assert_eq!(rows.len(), lines / 1_000, "{name}: {report}");
    // Line 1 is the header, which the report begins with.
    assert!(rows[0].starts_with("1001,"), "{name}: {}", rows[0]);
    assert!(rows[0].contains("!,2031-12-31"), "{name}: {}", rows[0]);
}

/// The same file through the command, beside the service. Then a file with new lines.
#[test]
fn command_beside_serve() {
    despite_stalls(STORE_TIMEOUT, command_beside_serve_once);
}

fn command_beside_serve_once() {
    const LINES: usize = 20_000;
    let data = Data::new();
    let (server, mut admin) = scene(&data);
    campaign(&mut admin, "both");
    let path = "/v1/campaigns/both/batches?batch_id=old";
    let sent = admin.upload(path, file("S", LINES), None).expect("sent").expect("an answer");
    adds_up("over HTTP", &sent.must(201).json(), LINES, Some(LINES - LINES / 1_000));
    let csv = data.folder().join("old.csv");
    let mut written = fs::File::create(&csv).expect("old.csv");
    for piece in file("S", LINES) {
        written.write_all(piece.as_bytes()).expect("written");
    }
    let old = csv.to_str().expect("UTF-8");
    let same = data.run(&["import", old, "--campaign", "both", "--batch", "old"]);
    assert_eq!(same.code, Some(3), "some lines are rejected: {same:?}");
    let batch = admin.get("/v1/campaigns/both/batches/old").must(200).json();
    adds_up("the same by command", &batch, LINES, Some(0));
    let more = data.folder().join("more.csv");
    let lines: String = (0..LINES).map(|n| format!("NEW{n:09},,2031-12-31\n")).collect();
    fs::write(&more, lines).expect("more.csv");
    let more = more.to_str().expect("UTF-8");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (ran, served) = std::thread::scope(|scope| {
        let mut client = admin.again();
        let stop = &stop;
        let serving = scope.spawn(move || {
            let mut served = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let body = json!({"user_id": format!("u{served}")});
                client.post("/v1/campaigns/both/issue", &body).must(201);
                served += 1;
            }
            served
        });
        let ran = data.run(&["import", more, "--campaign", "both", "--batch", "new"]);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        (ran, serving.join().expect("the customers"))
    });
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(served > 10, "{served} coupons issued while the command ran");
    let batch = admin.get("/v1/campaigns/both/batches/new").must(200).json();
    assert_eq!(batch["imported"], LINES, "{batch}");
    assert_eq!(batch["count"], LINES, "{batch}");
    server.stop();
}

/// A file in another format: the template, a dry run that shows how it is read, and the import.
#[test]
fn a_file_of_another_shape() {
    let data = Data::new();
    let (server, mut admin) = scene(&data);
    campaign(&mut admin, "old");
    let template = data.run(&["import", "--template"]);
    assert_eq!(template.code, Some(0), "{template:?}");
    assert!(template.stdout.starts_with("code,valid_from,expires_at"), "{template:?}");
    // 메모;쿠폰 in CP949, then two codes.
    let mut bytes = b"\xb8\xde\xb8\xf0;\xc4\xed\xc6\xf9\n".to_vec();
    bytes.extend_from_slice(b"a;ELSEWHERE1\nb;ELSEWHERE2\n");
    let file = data.folder().join("elsewhere.csv");
    fs::write(&file, bytes).expect("elsewhere.csv");
    let file = file.to_str().expect("UTF-8");
    let import = ["import", file, "--campaign", "old", "--batch", "b"];
    let refused = data.run(&import);
    assert_eq!(refused.code, Some(1), "an unknown column: {refused:?}");
    let mapped = [&import[..], &["--columns", "code:쿠폰", "--encoding", "cp949"]].concat();
    let dry = data.run(&[&mapped[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(0), "{dry:?}");
    for said in ["nothing was written", "CP949", "(skipped), code", "ELSEWHERE1"] {
        assert!(dry.stdout.contains(said), "{said}: {}", dry.stdout);
    }
    assert_eq!(admin.get("/v1/campaigns/old/batches/b").status, 404, "nothing was written");
    let done = data.run(&mapped);
    assert_eq!(done.code, Some(0), "{done:?}");
    admin.get("/v1/coupons/ELSEWHERE2").must(200);
    server.stop();
}
