use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::*;

/// A name server that says nothing. Returns a resolver that asks it, and the questions that came.
async fn silent() -> (NameResolver, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    (NameResolver::asking(server.local_addr().unwrap()), server)
}

/// The name of the next question that comes.
async fn asked(server: &UdpSocket) -> String {
    let mut packet = [0; 512];
    let length = server.recv(&mut packet).await.unwrap();
    let mut rest = &packet[12..length];
    let mut name = String::new();
    while rest[0] > 0 {
        let (label, more) = rest[1..].split_at(usize::from(rest[0]));
        name = format!("{name}{}.", String::from_utf8_lossy(label));
        rest = more;
    }
    name
}

#[tokio::test]
async fn names_that_are_no_names_fail_at_once() {
    let (names, _server) = silent().await;
    let long = "x".repeat(64);
    for name in [long.as_str(), "a..b"] {
        let failed = names.resolve(name).await.unwrap_err();
        assert_eq!(failed.name, name);
    }
}

/// Names of containers may have an underscore.
#[tokio::test]
async fn all_names_are_asked_for() {
    let (names, server) = silent().await;
    for name in ["hooks.example", "my_service.example", "_a.example", "xn--oi2b61z.example"] {
        let asks = names.clone();
        let caller = tokio::spawn(async move { asks.resolve(name).await });
        while asked(&server).await != format!("{name}.") {}
        caller.abort();
    }
}

#[tokio::test]
async fn a_name_has_one_look_up_at_a_time() {
    let (names, server) = silent().await;
    let resolve = || {
        let names = names.clone();
        async move { names.resolve("hooks.example").await }
    };
    let first = tokio::spawn(resolve());
    asked(&server).await;
    let mut others = JoinSet::new();
    (0..300).for_each(|_| drop(others.spawn(resolve())));
    let under_way = || LOOK_UPS_MAX - names.0.places.available_permits();
    assert_eq!(under_way(), 1);
    // The caller that drives it is gone: one of the others begins it again.
    first.abort();
    first.await.unwrap_err();
    while under_way() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(&server).await, "hooks.example.");
    assert_eq!(under_way(), 1);
}

/// Names at a silent server, one more than there are places: the last one waits, and only the names do.
#[tokio::test]
async fn look_ups_have_a_limit() {
    let (names, server) = silent().await;
    let began = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for nth in 0..=LOOK_UPS_MAX {
        let (names, began) = (names.clone(), Arc::clone(&began));
        callers.spawn(async move {
            began.fetch_add(1, Ordering::SeqCst);
            names.resolve(&format!("hooks{nth}.example")).await
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < LOOK_UPS_MAX {
        seen.insert(asked(&server).await);
    }
    assert_eq!(began.load(Ordering::SeqCst), LOOK_UPS_MAX + 1);
    assert_eq!(names.0.places.available_permits(), 0);
    assert_eq!(seen.len(), LOOK_UPS_MAX, "the last one waits for a place");
    callers.abort_all();
}

#[tokio::test(start_paused = true)]
async fn failures_are_remembered_for_a_while() {
    let (names, _server) = silent().await;
    let failed = || async { names.resolve("hooks.example").await.unwrap_err() };
    let begun = Instant::now();
    let first = failed().await;
    assert_eq!(first.to_string(), "cannot resolve hooks.example: no name server answered");
    let took = begun.elapsed();
    assert!(took <= LOOK_UP_MAX, "{took:?}");
    let begun = Instant::now();
    assert_eq!(failed().await, first);
    assert_eq!(begun.elapsed(), Duration::ZERO, "the failure is the answer");
    tokio::time::advance(FAILURE_KEPT).await;
    failed().await;
    assert!(begun.elapsed() > FAILURE_KEPT, "asked again");
}

#[tokio::test(start_paused = true)]
async fn names_have_a_limit() {
    let (names, _server) = silent().await;
    let known = || names.0.look_ups.lock().len();
    let fails = |nth: usize| format!("{nth}..example");
    for nth in 0..NAMES_MAX {
        names.resolve(&fails(nth)).await.unwrap_err();
    }
    assert_eq!(known(), NAMES_MAX, "all of them");
    names.resolve(&fails(NAMES_MAX)).await.unwrap_err();
    assert_eq!(known(), 1, "only the last one");
}

#[test]
fn a_retry_asks_again() {
    let first = crate::retry::RETRY_PAUSES[0] * 4 / 5;
    assert!(FAILURE_KEPT < first, "{first:?}");
}

/// Answers one question: with so many addresses of version 4, or with none and this code.
fn answer(question: &[u8], count: u8, code: u8) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
    let is_v4 = question[name_end + 2] == 1;
    let count = if is_v4 { count } else { 0 };
    let mut answer = question[..name_end + 5].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    answer[4..12].copy_from_slice(&[0, 1, 0, count, 0, 0, 0, 0]);
    for nth in 0..count {
        // The name of the question, A, IN, 60 s, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 215, nth]);
    }
    answer
}

#[tokio::test]
async fn what_name_servers_say() {
    let many = u8::try_from(ADDRESSES_MAX).unwrap();
    let cases = [
        ("one address", 1, 0, Ok(1)),
        ("as many as are used", many, 0, Ok(ADDRESSES_MAX)),
        ("one more", many + 1, 0, Ok(ADDRESSES_MAX)),
        ("none", 0, 0, Err("cannot resolve hooks.example: it has no address")),
        ("no such name", 0, 3, Err("cannot resolve hooks.example: there is no such name")),
    ];
    for (name, count, code, want) in cases {
        let (names, server) = silent().await;
        let serve = async {
            let mut question = [0; 512];
            loop {
                let (length, from) = server.recv_from(&mut question).await.unwrap();
                server.send_to(&answer(&question[..length], count, code), from).await.unwrap();
            }
        };
        let found = tokio::select! {
            found = names.resolve("hooks.example") => found,
            () = serve => unreachable!("it goes on"),
        };
        let found = found.map(|found| found.len()).map_err(|error| error.to_string());
        assert_eq!(found, want.map_err(str::to_owned), "{name}");
    }
}
