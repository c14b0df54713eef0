//! Who sees which events of a coupon.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, BOB, Operator, Service, Shop, Who};

/// A coupon's history as a caller sees it: `sequence kind actor reference`.
async fn history(service: &Service, who: Who<'_>, code: &str) -> Vec<String> {
    let answer = service.get(who, &format!("/v1/coupons/{code}")).await;
    let events = answer.is("200", code).json["events"].as_array().cloned().unwrap_or_default();
    let event = |it: &Value| {
        let text = |field: &str| it[field].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", it["sequence"], text("kind"), text("actor"), text("reference"))
    };
    events.iter().map(event).collect()
}

/// A coupon that ann had and redeemed, that was revoked, and that bob has now.
async fn passed_on(service: &Service) -> String {
    service.campaign("c", json!({"stock": 1, "per_user_limit": 5})).await;
    let issue = async |user: &str, reference: &str| {
        let body = json!({"user_id": user, "issue_ref": reference});
        service.post(Shop, "/v1/campaigns/c/issue", body).await
    };
    let code = issue("ann", "ann-signed-up").await.is("201", "ann").string("code");
    service.does("redeem", &code, "ann-991").await.is("201", "redeemed");
    service.cancel(Shop, &code, "ann-991").await.is("200", "cancelled");
    let reason = json!({"user_id": "ann", "reason": "ann is under suspicion"});
    service.admin("revoke", &code, reason).await.is("200", "revoked");
    let again = issue("bob", "bob-signed-up").await.is("201", "bob").string("code");
    assert_eq!(again, code, "the history is found");
    let later = json!({"expires_on": "2028-06-30", "reason": "bob complained to olga"});
    service.admin("extend", &code, later).await.is("200", "extended");
    code
}

#[tokio::test]
async fn holders_see_the_events_since_their_issue() {
    let service = Service::new();
    let code = passed_on(&service).await;
    let own = json!({"order_ref": "bob-7"});
    let target = format!("/v1/coupons/{code}/redeem");
    service.post(BOB, &target, own).await.is("201", "by bob");
    let want = ["1 issued shop bob-signed-up", "2 extended admin -", "3 redeemed user:bob bob-7"];
    assert_eq!(history(&service, BOB, &code).await, want);
    let answer = service.get(BOB, &format!("/v1/coupons/{code}")).await;
    for theirs in ["ann", "suspicion", "olga", "root", "till-7"] {
        assert!(!answer.text.contains(theirs), "{theirs}: {}", answer.text);
    }
    service.get(ANN, &format!("/v1/coupons/{code}")).await.is("404 NOT_FOUND", "no longer ann's");
}

#[tokio::test]
async fn shops_and_admins_see_all_events() {
    let service = Service::new();
    let code = passed_on(&service).await;
    let want = [
        "1 issued shop:till-7 ann-signed-up",
        "2 redeemed shop:till-7 ann-991",
        "3 redemption_cancelled shop:till-7 ann-991",
        "4 revoked admin:root ann is under suspicion",
        "5 issued shop:till-7 bob-signed-up",
        "6 extended admin:root bob complained to olga",
    ];
    for who in [Shop, Operator, Admin] {
        assert_eq!(history(&service, who, &code).await, want, "{who:?}");
    }
}

/// A bearer code has no holder until somebody redeems it.
#[tokio::test]
async fn a_bearer_code_that_another_redeemed_before() {
    let service = Service::new();
    service.campaign("c", json!({"handout": "bearer", "stock": 1})).await;
    let code = service.codes("c").await.remove(0);
    let redeem = async |who: Who<'_>, order: &str| {
        let target = format!("/v1/coupons/{code}/redeem");
        service.post(who, &target, json!({"order_ref": order})).await
    };
    redeem(BOB, "bob-1").await.is("201", "bob first");
    service.cancel(Shop, &code, "bob-1").await.is("200", "cancelled");
    redeem(ANN, "ann-1").await.is("201", "ann");
    service.cancel(Shop, &code, "ann-1").await.is("200", "cancelled");
    redeem(BOB, "bob-2").await.is("201", "bob again");
    assert_eq!(history(&service, BOB, &code).await, ["1 redeemed user:bob bob-2"]);
    assert!(history(&service, ANN, &code).await.is_empty(), "ann shows the code");
    assert_eq!(history(&service, Admin, &code).await.len(), 5);
}
