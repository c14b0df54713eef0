//! The examples of `/openapi.json` work when they are sent.

use std::process::Command;

use serde_json::Value;

use crate::contract::{DOCUMENT, OPERATIONS};
use crate::service::{Admin, Asked, Nobody, Service, Shop};

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

/// What a shell makes of a command: the words that curl gets.
fn words(command: &str) -> Vec<String> {
    let script = format!("curl() {{ printf '%s\\0' \"$@\"; }}\n{command}\n");
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).env("COUPONRY", "").env("TOKEN", "t");
    let output = shell.output().expect("a shell");
    assert!(output.status.success(), "{command}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The request of a command on a page.
fn asked(command: &str) -> (&'static str, String, Asked) {
    let words = words(command);
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).map(String::as_str)
    };
    let methods = ["GET", "POST", "PATCH", "DELETE"];
    let method = methods.into_iter().find(|it| *it == after("-X").unwrap_or("GET")).expect(command);
    let target = words.iter().find(|word| word.starts_with('/')).expect(command).clone();
    let mut asked = Asked::new(method, &target);
    for pair in words.windows(2).filter(|pair| pair[0] == "-H") {
        let (name, value) = pair[1].split_once(": ").expect(command);
        if name == "Content-Type" {
            let file = after("--data-binary").map(|_| "code,expires_at\nOLD-0001,2027-05-01\n");
            let body = file.or(after("-d")).expect(command).to_owned();
            asked = asked.typed(value, body);
        } else {
            assert_eq!(pair[1], "Authorization: Bearer t", "{command}");
        }
    }
    (method, target, asked)
}

#[tokio::test]
async fn every_command_on_the_pages_is_understood() {
    let service = Service::new();
    service.post(Admin, "/v1/campaigns", example("NewCampaign")).await.is("201", "the campaign");
    let mut sent = 0;
    for tag in DOCUMENT["tags"].as_array().expect("tags") {
        let page =
            service.get(Nobody, &format!("/docs/{}", tag["name"].as_str().expect("a name"))).await;
        for part in page.text.split("<pre class=\"curl\" tabindex=\"0\"><code>").skip(1) {
            let command = part.split("</code>").next().unwrap_or_default();
            let command = command.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let (method, target, asked) = asked(&command);
            let answer = service.send(Admin, asked).await;
            let misunderstood = [400, 405, 415, 422].contains(&answer.status)
                || answer.text.contains("no such path");
            assert!(!misunderstood, "{method} {target}: {}\n{command}", answer.text);
            sent += 1;
        }
    }
    // One call has three kinds of bodies.
    assert_eq!(sent, OPERATIONS.len() + 2);
}
