//! The examples of `/openapi.json` work when they are sent.

use serde_json::Value;

use crate::contract::DOCUMENT;
use crate::service::{Admin, Nobody, Service, Shop};

/// The example of a schema.
fn example(name: &str) -> Value {
    let example = &DOCUMENT["components"]["schemas"][name]["example"];
    assert!(example.is_object(), "{name} has no example: {example}");
    example.clone()
}

#[tokio::test]
async fn every_request_is_accepted() {
    let service = Service::new();
    let campaign = example("NewCampaign");
    service.post(Admin, "/v1/campaigns", campaign.clone()).await.is("201", "the campaign");
    let id = campaign["campaign_id"].as_str().expect("a name");
    let at = |what: &str| format!("/v1/campaigns/{id}{what}");
    service.patch(Admin, &at(""), example("CampaignChanges")).await.is("200", "its changes");
    let batch = example("NewBatch");
    service.post(Admin, &at("/batches"), batch.clone()).await.is("201", "a batch");
    let batch = at(&format!("/batches/{}", batch["batch_id"].as_str().expect("a name")));
    service.patch(Admin, &batch, example("BatchChanges")).await.is("200", "its pause");

    let issued = service.post(Shop, &at("/issue"), example("IssueRequest")).await;
    let code = issued.is("201", "a coupon").string("code");
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    for (who, what, request, want) in [
        (Shop, "check", "RedeemRequest", "200"),
        (Shop, "hold", "HoldRequest", "201"),
        (Shop, "release", "ReleaseRequest", "200"),
        (Shop, "redeem", "RedeemRequest", "201"),
        (Shop, "cancel-redemption", "CancelRedemptionRequest", "200"),
        (Admin, "revoke", "RevokeRequest", "200"),
        (Shop, "issue", "IssueCouponRequest", "201"),
        (Admin, "extend", "ExtendRequest", "200"),
        (Admin, "void", "VoidRequest", "200"),
    ] {
        service.post(who, &at(what), example(request)).await.is(want, what);
    }

    let login = example("Credentials");
    service.post(Nobody, "/v1/users", login.clone()).await.is("201", "an account");
    service.post(Nobody, "/v1/sessions", login).await.is("200", "a session");
}
