//! Commands over HTTP with a service that is not what it seems.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::data::{Data, Ran};

/// What a service sends for the path of a request.
type Answer = fn(&str) -> Vec<u8>;

/// A service on this machine, and how many requests it got. Its thread ends with the test.
fn service(answer: Answer) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer: TcpStream = peer.expect("a connection");
            let mut lines = BufReader::new(peer.try_clone().expect("a socket")).lines();
            let Some(Ok(first)) = lines.next() else { continue };
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            count.fetch_add(1, Ordering::SeqCst);
            let path = first.split(' ').nth(1).unwrap_or_default();
            // A client that has heard enough hangs up.
            let _ = peer.write_all(&answer(path));
        }
    });
    (url, requests)
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json_of(status: &str, body: &Value) -> Vec<u8> {
    http(status, body.to_string().as_bytes())
}

fn page(cursor: &str) -> Vec<u8> {
    json_of("200 OK", &json!({"data": [], "has_more": true, "next_cursor": cursor}))
}

fn run(data: &Data, url: &str, arguments: &[&str]) -> Ran {
    let mut command = data.command(arguments);
    command.env("COUPONRY_URL", url).env("COUPONRY_TOKEN", "x");
    data.run_command(command)
}

const NAME: &str = "\u{1b}]0;mine\u{7}\u{9b}31m\u{202e}\r봄";

#[test]
fn what_it_sends_is_shown_and_not_obeyed() {
    let (url, _) = service(|path| match path {
        "/v1/campaigns/here" => json_of("200 OK", &json!({"name": NAME})),
        "/v1/campaigns?limit=1000" => json_of("200 OK", &json!({"data": [{"name": NAME}]})),
        _ => json_of("404 Not Found", &json!({"status": 404, "code": "X", "detail": NAME})),
    });
    let data = Data::new();
    let shown = run(&data, &url, &["campaign", "show", "here"]);
    let listed = run(&data, &url, &["campaign", "list"]);
    let refused = run(&data, &url, &["campaign", "show", "there"]);
    for (name, ran, text) in [
        ("shown", &shown, &shown.stdout),
        ("listed", &listed, &listed.stdout),
        ("refused", &refused, &refused.stderr),
    ] {
        let is_obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(is_obeyed) && text.contains('봄'), "{name}: {ran:?}");
        assert!(text.contains("\\u001b]0;mine\\u0007\\u009b31m\\u202e"), "{name}: {ran:?}");
    }
    let back: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(back["name"], NAME, "JSON loses nothing");
}

#[test]
fn what_never_ends() {
    const MORE_THAN_32_MIB: usize = (32 << 20) + 1;
    const LIST: &[&str] = &["campaign", "list"];
    let rows: [(&str, &[&str], Answer, &str); 8] = [
        ("the same cursor", LIST, |_| page("a"), "the same pages"),
        (
            "a circle",
            LIST,
            |path| page(if path.ends_with("cursor=b") { "c" } else { "b" }),
            "the same pages",
        ),
        ("events in a circle", &["events"], |_| page("a"), "the same pages"),
        (
            "events without a cursor",
            &["events"],
            |_| json_of("200 OK", &json!({"data": [], "has_more": true})),
            "the same pages",
        ),
        (
            "a long answer",
            LIST,
            |_| http("200 OK", &vec![b' '; MORE_THAN_32_MIB]),
            "more than 33554432 bytes",
        ),
        (
            "a long problem",
            LIST,
            |_| http("400 Bad Request", &vec![b' '; MORE_THAN_32_MIB]),
            "not of couponry",
        ),
        ("something else", LIST, |_| http("200 OK", b"<html>"), "not of couponry"),
        (
            "a code without an end",
            &["export", "codes", "--campaign", "c"],
            |_| http("200 OK", &vec![b'A'; 1 << 20]),
            "a line without an end",
        ),
    ];
    let data = Data::new();
    for (name, arguments, answer, word) in rows {
        let (url, _) = service(answer);
        let ran = run(&data, &url, arguments);
        assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("may have been done"), "{name}: it only reads: {ran:?}");
    }
}

/// What a repeat would do twice is sent once, although its answer breaks off.
#[test]
fn an_answer_that_breaks_off() {
    let (url, requests) =
        service(|_| b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{".to_vec());
    let data = Data::new();
    let ran = run(&data, &url, &["campaign", "generate", "c", "--count", "5"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("it may have been done"), "{ran:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn tokens_with_line_ends() {
    let (url, requests) = service(|_| json_of("200 OK", &json!({"data": []})));
    let data = Data::new();
    let rows = [
        ("as it is", "abc", 0),
        ("from a file", "abc\n", 0),
        ("from a file of Windows", "abc\r\n", 0),
        ("two of them", "abc\ndef\n", 2),
        ("a character of no header", "abc\u{7f}", 2),
    ];
    for (name, token, code) in rows {
        let mut command = data.command(["campaign", "list"]);
        command.env("COUPONRY_URL", &url).env("COUPONRY_TOKEN", token);
        let ran = data.run_command(command);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert_eq!(ran.stderr.contains("the setting token"), code == 2, "{name}: {ran:?}");
        assert!(!ran.stderr.contains("abc"), "{name}: it shows the token: {ran:?}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}
