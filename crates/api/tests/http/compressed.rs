//! Long answers are compressed for clients that ask for it, and nothing else is.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::service::{Admin, Asked, Service};

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
