//! Goodwill: of which campaigns, why, once; and what an agent did today.

use engine::{CampaignDraft, StaffRole};

use crate::place::{GIFTS_PER_DAY, Place, admin};

/// The box of a form about somebody of whom nothing is known.
const NEW: (&str, &str) = ("newcomer", "true");

/// A campaign that is meant for goodwill.
async fn sorry(place: &Place) {
    let draft = CampaignDraft {
        id: Some("sorry".parse().expect("an id")),
        name: Some("We are sorry".to_owned()),
        stock: Some(20),
        expires_on: Some("2027-03-31".parse().expect("a day")),
        metadata: Some("{\"goodwill\": true}".to_owned()),
        ..CampaignDraft::default()
    };
    place.engine.create_campaign(&admin(), draft).await.expect("a campaign");
    place.clock.pass(1);
}

#[tokio::test]
async fn it_is_given_once_and_with_a_reason() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    let page = browser.get("/console/customers/cyd").await.must(200);
    page.has("No running campaign is meant for goodwill");
    sorry(&place).await;
    let mut browser = browser.at(&place.beside().browser());
    let page = browser.get("/console/customers/cyd").await.must(200);
    let gift = page.value("gift");
    page.has("<option value=\"sorry\">").has("<option value=\"late-delivery\">Delivered late");
    assert!(!page.text.contains("<option value=\"spring\">"), "{}", page.text);
    let give = "/console/customers/cyd/give";
    let fields = |campaign, reason, gift| {
        let fields = [("campaign_id", campaign), ("reason", reason), ("gift", gift)];
        [&fields[..], &[NEW, ("reason_text", "배송 문의 3회")]].concat()
    };
    for (name, fields) in [
        ("no reason", fields("sorry", "", gift.as_str())),
        ("another reason", fields("sorry", "rain", &gift)),
        ("another campaign", fields("spring", "other", &gift)),
        ("no gift", fields("sorry", "other", "")),
        ("nothing else is said", fields("sorry", "other", &gift)[..4].to_vec()),
        ("nobody is known", fields("sorry", "late-delivery", &gift)[..3].to_vec()),
    ] {
        assert_eq!(browser.submit(give, &fields).await.status, 422, "{name}");
    }
    let page = browser.submit(give, &fields("sorry", "late-delivery", &gift)).await.must(303);
    assert_eq!(page.to(), "/console/customers/cyd?done=issued");
    browser.get(page.to()).await.must(200).has("<bdi>Delivered late</bdi>");
    let zoe = browser.get("/console/customers/zoe").await.must(200).value("gift");
    let other = fields("sorry", "other", &zoe);
    let page = browser.submit("/console/customers/zoe/give", &other).await.must(303);
    browser.get(page.to()).await.must(200).has("<bdi>Something else: 배송 문의 3회</bdi>");
    // Sent again, and sent again with another reason.
    for reason in ["late-delivery", "other"] {
        let page = browser.submit(give, &fields("sorry", reason, &gift)).await.must(303);
        let page = browser.get(page.to()).await.must(200);
        page.has("Nothing was given").has("cyd\u{2069} has this coupon");
    }
    // Another form, and the one coupon that she may have is used.
    let other = "01976543-0000-7000-8000-000000000000";
    let page = browser.submit(give, &fields("sorry", "other", other)).await.must(303);
    browser.lang = "ko";
    browser.get(page.to()).await.must(200).has("발급하지 않았습니다").has("배송 지연");
}

#[tokio::test]
async fn each_person_gives_so_many_a_day() {
    let place = Place::new();
    let (code, _) = place.seeded().await;
    sorry(&place).await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    for given in 0..GIFTS_PER_DAY {
        let user = format!("/console/customers/user-{given}");
        let page = browser.get(&user).await.must(200);
        page.has(&format!("You can give {} more today.", GIFTS_PER_DAY - given));
        let fields = [
            ("campaign_id", "sorry"),
            ("reason", "bad-service"),
            ("gift", &page.value("gift")),
            NEW,
        ];
        browser.submit(&format!("{user}/give"), &fields).await.must(303);
    }
    let page = browser.get("/console/customers/one-more").await.must(200);
    page.has("You can give 0 more today.");
    let fields =
        [("campaign_id", "sorry"), ("reason", "bad-service"), ("gift", &page.value("gift")), NEW];
    browser
        .submit("/console/customers/one-more/give", &fields)
        .await
        .must(409)
        .has("as one person may");
    // Nor by the code of one.
    let mut other = place.signed_in(StaffRole::Admin).await;
    let path = |action| format!("/console/coupons/{code}/{action}");
    let revoked = [("user_id", "ann"), ("reason", "A test")];
    other.submit(&path("revoke"), &revoked).await.must(303);
    let give = [("user_id", "one-more")];
    browser.submit(&path("issue"), &give).await.must(409).has("as one person may");
    other.submit(&path("issue"), &give).await.must(303);
    // Where the store is, tomorrow has begun.
    place.clock.pass(4 * 3_600_000);
    let page = browser.get("/console/customers/one-more").await;
    page.must(200).has(&format!("You can give {GIFTS_PER_DAY} more today."));
}

#[tokio::test]
async fn a_box_says_what_is_meant_for_it() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let new = [
        ("name", "Ten"),
        ("campaign_id", "ten"),
        ("handout", "shop"),
        ("stock", "10"),
        ("expires_on", "2027-12-31"),
        ("metadata", "{\"a\": 1}"),
        ("goodwill", "true"),
        ("create", "1"),
    ];
    browser.submit("/console/new-campaign", &new).await.must(303);
    let metadata = async || {
        let ten = "ten".parse().expect("an id");
        place.engine.campaign(&admin(), &ten).await.expect("it").campaign.metadata.clone()
    };
    assert_eq!(metadata().await.as_deref(), Some("{\"a\":1,\"goodwill\":true}"));
    for path in ["/console/campaigns/ten/terms", "/console/new-campaign?like=ten"] {
        let page = browser.get(path).await.must(200);
        page.has("value=\"true\" checked").has(">{&#34;a&#34;:1}</textarea>");
    }
    let kept = [("name", "Ten"), ("per_user_limit", "1"), ("metadata", "{\"a\": 1}")];
    browser.submit("/console/campaigns/ten/terms", &kept).await.must(303);
    assert_eq!(metadata().await.as_deref(), Some("{\"a\": 1}"), "the box is empty");
}

#[tokio::test]
async fn what_an_agent_did_today() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let mut support = place.signed_in(StaffRole::Support).await;
    let today = "/console/today";
    support.get(today).await.must(200).has("You have not changed any coupon");
    let fields = [("expires_on", "2027-04-30"), ("time_zone", "UTC"), ("reason", "shipped late")];
    support.submit(&format!("/console/coupons/{issued}/extend"), &fields).await.must(303);
    let page = support.get(today).await.must(200);
    page.has(&format!("href=\"/console/coupons/{issued}\"")).has("shipped late");
    let page = support.get("/console/customers/ann").await.must(200);
    page.has("What was done for this customer").has("shipped late");
    support.submit("/console/sign-out", &[]).await.must(303);
    // It is known at every browser.
    let mut again = place.browser();
    let form = [("name", "support"), ("password", crate::place::PASSWORD)];
    again.post("/console/sign-in", &form).await.must(303);
    let page = again.get(today).await.must(200);
    assert!(!page.text.contains("Signed in"), "it changes nothing: {}", page.text);
    page.has(&format!("href=\"/console/coupons/{issued}\"")).has("shipped late");
    // Another person.
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let pause = [("paused", "true"), ("reason", "leaked")];
    admin.submit("/console/campaigns/spring/pause", &pause).await.must(303);
    let page = admin.get(today).await.must(200);
    page.has("Campaign paused").has("leaked");
    assert!(!page.text.contains(&issued), "{}", page.text);
}

#[tokio::test]
async fn the_audit_of_one_person_on_one_day() {
    let place = Place::new();
    place.seeded().await;
    let mut marketer = place.signed_in(StaffRole::Marketer).await;
    let pause = [("paused", "true"), ("reason", "a wrong text")];
    marketer.submit("/console/campaigns/spring/pause", &pause).await.must(303);
    let mut operator = place.signed_in(StaffRole::Operator).await;
    let of = "href=\"/console/audit?actor=staff%3Amarketer\"";
    operator.get("/console/audit").await.must(200).has(of).has("Campaign created");
    let rows = [
        ("the actor", "actor=staff:marketer", true),
        ("their name", "actor=marketer", true),
        ("and the day", "actor=marketer&day=2026-11-20", true),
        ("and the campaign", "actor=marketer&campaign=spring", true),
        ("another day", "actor=marketer&day=2026-11-19", false),
        ("a day to come", "day=2026-11-21", false),
        ("somebody else", "actor=eva", false),
    ];
    for (name, query, has) in rows {
        let page = operator.get(&format!("/console/audit?{query}")).await.must(200);
        assert_eq!(page.text.contains("a wrong text"), has, "{name}: {}", page.text);
        assert!(!page.text.contains("Campaign created"), "{name}: {}", page.text);
        assert_eq!(page.text.contains("Nothing fits"), !has, "{name}: {}", page.text);
    }
}
