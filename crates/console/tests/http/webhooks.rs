//! Webhooks that an admin makes and changes.

use engine::StaffRole;
use webhooks::{Endpoint, Webhooks};

use crate::place::{HOSTILE, Place};

const NEW: &str = "/console/new-webhook";

async fn endpoints(place: &Place) -> Vec<Endpoint> {
    let webhooks = Webhooks::new(place.engine.tables(), webhooks::Options::default());
    webhooks.expect("webhooks").list(None, 10).await.expect("a list")
}

#[tokio::test]
async fn a_webhook_is_made_changed_and_deleted() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    browser.get("/console/events").await.must(200).has("href=\"/console/new-webhook\"");
    let id = browser.get(NEW).await.must(200).value("webhook_id");
    let made = [
        ("webhook_id", id.as_str()),
        ("description", HOSTILE),
        ("url", "https://till.example.com/in"),
        ("campaign_id", "spring"),
        ("types", "coupon.redeemed"),
        ("types", "coupon.held"),
    ];
    let page = browser.submit(NEW, &made).await.must(200);
    let secret = |text: &str| text.split("whsec_").nth(1).map(|rest| rest[..40].to_owned());
    let first = secret(&page.text).expect("a secret");
    assert_eq!(secret(&browser.submit(NEW, &made).await.must(200).text), Some(first.clone()));
    let found = endpoints(&place).await;
    assert_eq!(found.len(), 1, "a form that is sent twice makes one");
    assert_eq!(found[0].campaign.as_deref(), Some("spring"));
    assert_eq!(found[0].types.as_ref().map(|types| types.len()), Some(2));

    let path = format!("/console/webhooks/{id}");
    let page = browser.get(&path).await.must(200);
    page.has("<h1><bdi>&#60;b&#62;Bold").has("<dd>coupon.held, coupon.redeemed</dd>");
    page.has("<dt>Campaign</dt><dd><bdi>&#60;b&#62;Bold");
    assert_eq!(secret(&page.text), None, "a secret is shown once");
    let rotation = page.value("rotate_ref");
    let change = format!("{path}/secret");
    let page = browser.submit(&change, &[("rotate_ref", &rotation)]).await.must(200);
    assert!(secret(&page.text).is_some_and(|second| second != first));
    assert_eq!(endpoints(&place).await[0].secrets.len(), 2, "the old one signs for a day");
    let leaked = [("rotate_ref", "another"), ("leaked", "true")];
    browser.submit(&change, &leaked).await.must(200);
    assert_eq!(endpoints(&place).await[0].secrets.len(), 1);

    let terms = format!("{path}/terms");
    browser
        .get(&terms)
        .await
        .must(200)
        .has("value=\"coupon.held\" checked")
        .has("from the internet");
    let changed = [("url", "https://till.example.com/2"), ("types", "report.weekly")];
    assert_eq!(browser.submit(&terms, &changed).await.must(303).to(), format!("{path}?done=saved"));
    let found = &endpoints(&place).await[0];
    assert_eq!((found.url.as_str(), &found.campaign), ("https://till.example.com/2", &None));
    let gone = browser.submit(&format!("{path}/delete"), &[]).await.must(303);
    browser.get(gone.to()).await.must(200).has("It is deleted");
    assert_eq!(endpoints(&place).await, []);
    let audit = browser.get("/console/audit").await.must(200);
    for text in ["Webhook created", "Webhook changed", "Webhook deleted"] {
        audit.has(text);
    }
    assert!(!audit.text.contains("whsec_"), "no secret is in the audit");
}

#[tokio::test]
async fn what_a_webhook_cannot_be() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    browser.lang = "ko";
    let url = ("url", "https://till.example.com/in");
    /// Its name, its form, and what the page says.
    type FormCase<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [FormCase<'_>; 6] = [
        ("no address", &[], "필수 항목입니다"),
        ("no https", &[("url", "http://till.example.com/in")], "https:// 주소여야 합니다"),
        ("no URL", &[("url", "till")], "https://호스트/경로 형식"),
        ("a private address", &[("url", "https://10.0.0.1/")], "공개되지 않은 주소"),
        ("an unknown type", &[url, ("types", "coupon.lost")], "coupon.lost"),
        (
            "the report of one campaign",
            &[url, ("types", "report.weekly"), ("campaign_id", "spring")],
            "주간 보고서는 모든 캠페인을 다룹니다",
        ),
    ];
    for (name, fields, want) in cases {
        let page = browser.submit(NEW, fields).await.must(422);
        assert!(page.text.contains(want), "{name}: {}", page.text);
    }
    assert_eq!(endpoints(&place).await, []);
}
