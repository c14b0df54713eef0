//! Callers without a token, and a process that is frozen for a while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::client::connect;
use super::data::{Data, despite_stalls, wait_until};

/// Longer than the service keeps a connection between two requests.
const FROZEN: Duration = Duration::from_millis(10_500);

const PARALLEL: usize = 400;

const MIB: u64 = 1 << 20;

/// Sends a request and reads the first line of its answer. `None` without an answer.
fn status(socket: &mut TcpStream, request: &str) -> Option<String> {
    let _may_be_reset = socket.write_all(request.as_bytes());
    first_line(socket)
}

fn first_line(socket: &mut TcpStream) -> Option<String> {
    let mut line = [0; 12];
    socket.read_exact(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Wrong passwords from 400 clients at once. The allocator used to keep the memory of every hash.
#[test]
fn wrong_sign_ins_take_little_memory_and_give_it_back() {
    let data = Data::new();
    let server = data.serve_with(|command| {
        command.env("COUPONRY_TRUSTED_PROXIES", "127.0.0.1");
    });
    let before = server.resident();
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..PARALLEL)
            .map(|nth| {
                let address = server.address;
                scope.spawn(move || {
                    let body = format!("{{\"login_id\":\"u{nth}\",\"password\":\"wrong horse\"}}");
                    let request = format!(
                        "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                         X-Forwarded-For: 198.51.{}.{}\r\nContent-Type: application/json\r\n\
                         Content-Length: {}\r\n\r\n{body}",
                        nth / 250,
                        nth % 250,
                        body.len()
                    );
                    let asked = || {
                        let mut socket = connect(address).expect("a connection");
                        status(&mut socket, &request)
                    };
                    // A client that stalls before it asks loses its connection, and asks again.
                    asked().filter(|line| !line.ends_with("408")).or_else(asked).expect("an answer")
                })
            })
            .collect();
        let answers = clients.into_iter().map(|client| client.join().expect("a client"));
        answers.collect::<Vec<_>>()
    });
    let wrong = answers.iter().filter(|line| line.ends_with("401")).count();
    let busy = answers.iter().filter(|line| line.ends_with("429")).count();
    assert_eq!(wrong + busy, PARALLEL, "{answers:?}");
    assert!(wrong > 30, "the queue was full: {wrong} were checked");
    let most = server.resident_most();
    assert!(most < 150 * MIB, "{} MiB at the peak", most / MIB);
    // The mapped code of a debug build is not memory of the service.
    let rest = (60 * MIB).max(before + 16 * MIB);
    wait_until("memory given back", || server.resident() < rest);
    eprintln!("{} MiB before, {} at the peak, {wrong} checked", before / MIB, most / MIB);
    server.stop();
}

/// Bytes that arrive while the process is frozen are read before a timer closes their connection.
#[test]
fn a_frozen_process_answers_what_arrived_meanwhile() {
    despite_stalls(FROZEN, frozen_process);
}

fn frozen_process() {
    const CLIENTS: usize = 40;
    let data = Data::new();
    let server = data.serve();
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (first, second) = request.split_at(20);
    let mut kept: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut socket = connect(server.address).expect("a connection");
            assert!(status(&mut socket, request).is_some_and(|line| line.ends_with("200")));
            // The rest of the answer, so that the next answer can be read.
            let mut body = [0; 4_096];
            assert!(socket.read(&mut body).expect("the body") > 0);
            socket
        })
        .collect();
    let mut half: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut socket = connect(server.address).expect("a connection");
            socket.write_all(first.as_bytes()).expect("half a header");
            socket
        })
        .collect();
    // Connections are accepted in order, so all of the above are accepted.
    let mut last = connect(server.address).expect("a connection");
    assert!(status(&mut last, request).is_some());
    server.signal(Signal::STOP);
    let stopped = Instant::now();
    for (sockets, text) in [(&mut kept, request), (&mut half, second)] {
        for socket in sockets {
            socket.write_all(text.as_bytes()).expect("the kernel takes it");
        }
    }
    // The pause is the point of the test.
    std::thread::sleep(FROZEN.saturating_sub(stopped.elapsed()));
    server.signal(Signal::CONT);
    let answered = |sockets: &mut Vec<TcpStream>| {
        let lines = sockets.iter_mut().filter_map(first_line);
        lines.filter(|line| line.ends_with("200")).count()
    };
    let found = (answered(&mut kept), answered(&mut half));
    assert_eq!(found, (CLIENTS, CLIENTS), "answered of those kept, and of half a header");
    server.stop();
}
