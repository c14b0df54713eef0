//! Pages of other origins, which a browser asks about.

use api::AccessPolicy;

use super::service::{ANN, Asked, Service};

const SHOP: &str = "https://shop.example";

fn access(origins: &str) -> AccessPolicy {
    AccessPolicy { cors_origins: origins.parse().expect("origins"), ..AccessPolicy::default() }
}

#[tokio::test]
async fn who_may_call_from_a_page() {
    // The setting, the origin of the page, whether it may call.
    let cases = [
        ("an allowed one", SHOP, SHOP, true),
        ("one of two", "https://m.shop.example,https://shop.example", SHOP, true),
        ("another one", SHOP, "https://shop.example.evil.example", false),
        ("another port", SHOP, "https://shop.example:8443", false),
        ("nothing is set", "", SHOP, false),
    ];
    for (name, origins, page, may) in cases {
        let service = Service::new().allowing(access(origins));
        let list = || Asked::new("GET", "/v1/coupons?limit=1").header("origin", page);
        let answer = service.send(ANN, list()).await;
        answer.is("200", name);
        let allowed = may.then_some(page);
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{name}");
    }
}

#[tokio::test]
async fn a_browser_asks_before_it_calls() {
    let service = Service::new().allowing(access(SHOP));
    let path = "/v1/campaigns/c/issue";
    let asked = Asked::new("OPTIONS", path)
        .header("origin", SHOP)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let answer = service.preflight(asked).await;
    assert_eq!(answer.status, 200);
    let said = |name: &str| answer.header(name).unwrap_or_default().to_lowercase();
    assert_eq!(said("access-control-allow-origin"), SHOP);
    assert!(said("access-control-allow-methods").contains("post"));
    assert!(said("access-control-allow-headers").contains("authorization"));
    assert_eq!(answer.header("access-control-allow-credentials"), None, "cookies are for nobody");
}
