//! Long answers are compressed for clients that ask for it, and nothing else is.

use std::io::Read;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use futures::poll;
use futures::stream::{StreamExt, once};
use serde_json::json;

use crate::service::{Admin, Asked, Nobody, Service};

#[tokio::test]
async fn what_is_compressed() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 200})).await;
    for nth in 0..20 {
        service.issued("c", &format!("user-{nth}")).await;
    }
    let ask = async |path: &str, accepted: &str| {
        let asked = Asked::new("GET", path).header("accept-encoding", accepted);
        service.send_unchecked(Admin, asked).await
    };
    let (list, codes) = ("/v1/coupons?campaign_id=c", "/v1/campaigns/c/codes");
    let one = "/v1/campaigns/c";
    let cases = [
        ("a list", list, "gzip", Some("gzip")),
        ("a list, the better of two", list, "gzip, zstd", Some("zstd")),
        ("a stream of lines", codes, "zstd", Some("zstd")),
        ("a client that takes none of ours", list, "br", None),
        ("a client that takes nothing", list, "identity", None),
        ("a short answer", "/healthz", "gzip, zstd", None),
        ("an answer with a tag", one, "gzip, zstd", None),
    ];
    for (name, path, accepted, want) in cases {
        let plain = ask(path, "identity").await;
        let answer = ask(path, accepted).await;
        assert_eq!(answer.header("content-encoding"), want, "{name}");
        let mut read = Vec::new();
        match want {
            None => read.extend_from_slice(&answer.bytes),
            Some("gzip") => {
                GzDecoder::new(&answer.bytes[..]).read_to_end(&mut read).expect("gzip");
            }
            Some(_) => read = zstd::decode_all(&answer.bytes[..]).expect("zstd"),
        }
        assert!(read == plain.bytes, "{name}: other bytes");
        if want.is_some() {
            assert!(answer.bytes.len() < plain.bytes.len(), "{name}: {}", answer.bytes.len());
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_fixed_is_compressed_once() {
    let service = Service::new();
    for path in [
        "/",
        "/docs",
        "/docs/coupons",
        "/docs/shapes/Coupon",
        "/docs/style.css",
        "/docs/problems",
        "/docs/problems/HELD",
        "/openapi.json",
    ] {
        for accepted in ["gzip", "zstd"] {
            let asked = || Asked::new("GET", path).header("accept-encoding", accepted);
            let first = service.send_unchecked(Nobody, asked()).await;
            if first.bytes.len() < 1_400 && first.header("content-encoding").is_none() {
                continue;
            }
            assert_eq!(first.header("content-encoding"), Some(accepted), "{path}");
            let again = service.send_unchecked(Nobody, asked()).await;
            assert_eq!(
                first.bytes.as_ptr(),
                again.bytes.as_ptr(),
                "{path} as {accepted}: the same bytes"
            );
        }
    }
}

/// While all places for long streams are taken, a long answer is not compressed, and all others are given.
#[tokio::test]
async fn what_is_long_is_compressed_among_long_streams() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 400})).await;
    for nth in 0..400 {
        service.issued("c", &format!("user-{nth}")).await;
    }
    let ask = |limit: usize, accepted: &str| {
        let path = format!("/v1/coupons?campaign_id=c&limit={limit}");
        let asked = Asked::new("GET", &path).header("accept-encoding", accepted);
        let service = &service;
        async move { service.send_unchecked(Admin, asked).await }
    };
    let long = ask(400, "identity").await;
    assert!(long.bytes.len() > 64 * 1024, "{} bytes", long.bytes.len());
    // More than there are places, each until this test has seen enough.
    let places = std::thread::available_parallelism().map_or(1, usize::from);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let (took, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let holders: Vec<_> = (0..places)
        .map(|_| {
            let (released, took) = (Arc::clone(&released), took.clone());
            let piece = async move {
                took.send(()).expect("the test waits");
                let _until_dropped = released.lock().map(|it| it.recv());
            };
            let mut stream = service.engine.limited(once(piece).boxed());
            tokio::spawn(async move { stream.next().await })
        })
        .collect();
    for _ in 0..(places / 2).max(1) {
        taken.recv().await.expect("a place is taken");
    }
    let mut compressed = pin!(ask(400, "gzip"));
    assert!(poll!(&mut compressed).is_pending());
    assert_eq!(ask(400, "identity").await.status, 200, "it need not be compressed");
    assert_eq!(ask(10, "gzip").await.header("content-encoding"), Some("gzip"), "it is short");
    assert!(poll!(&mut compressed).is_pending(), "no place");
    drop(release);
    assert_eq!(compressed.await.header("content-encoding"), Some("gzip"));
    futures::future::join_all(holders).await;
}
