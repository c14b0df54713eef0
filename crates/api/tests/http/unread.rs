//! Files that are refused before they were read, over a socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use engine::Role;
use server::accept::{ListenerLimits, serve};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use crate::service::{LONG, Service};

/// Lines of a file of 4.7 MB, much more than the kernel keeps.
const LINES: usize = 1_500;

/// A client that reads only when it has sent all, as most libraries do, gets the problem, and may use its connection
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_it_all_gets_the_problem() {
    let service = Service::new();
    let token = service.token(Role::Admin, "root");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(
        listener,
        service.router(),
        api::two_hosts,
        ListenerLimits::default(),
        std::future::pending(),
    ));
    let memo = "m".repeat(3_072);
    let lines = (0..LINES).map(|nth| format!("LONG{nth:05},2031-12-31,{memo}\n"));
    let file = format!("code,expires_at,memo\n{}", lines.collect::<String>());
    let post = |token: &str, more: &str| {
        format!(
            "POST /v1/campaigns/nowhere/batches?ignore=memo HTTP/1.1\r\nhost: x\r\n{more}\
             authorization: Bearer {token}\r\ncontent-type: text/csv\r\n"
        )
    };
    let whole = |head: String| format!("{head}content-length: {}\r\n\r\n{file}", file.len());
    let chunk = format!("{:x}\r\n{file}\r\n0\r\n\r\n", file.len());
    let cases = [
        ("no such campaign", whole(post(&token, "")), "404"),
        (
            "in chunks",
            format!("{}transfer-encoding: chunked\r\n\r\n{chunk}", post(&token, "")),
            "404",
        ),
        ("nobody's token", whole(post("x", "")), "401"),
        ("the last one", whole(post(&token, "connection: close\r\n")), "404"),
    ];
    let again = post(&token, "connection: close\r\ncontent-length: 0\r\n") + "\r\n";
    for (name, request, want) in cases {
        let again = again.clone();
        let answers = spawn_blocking(move || {
            let mut client = TcpStream::connect(address).expect("a connection");
            client.set_read_timeout(Some(LONG)).expect("a time-out");
            client.write_all(request.as_bytes())?;
            if !request.contains("connection: close") {
                client.write_all(again.as_bytes())?;
            }
            let mut answers = String::new();
            client.read_to_string(&mut answers).map(|_| answers)
        });
        let answers = answers.await.expect("a client");
        let answers = answers.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(answers.starts_with(&format!("HTTP/1.1 {want} ")), "{name}: {answers}");
        let count = if name == "the last one" { 1 } else { 2 };
        assert_eq!(answers.matches("HTTP/1.1 ").count(), count, "{name}: {answers}");
    }
}
