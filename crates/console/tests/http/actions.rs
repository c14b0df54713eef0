//! What people do: it happens, with their name, and once.

use coupon::code::CodeText;
use engine::{
    COMPACTION_RUNS_MAX, COMPACTION_SILENT_MS, CompactionEnd, CompactionRun, CompactionStep,
    CouponView, OtherRuns, StaffRole,
};

use crate::place::{HOSTILE, Place, admin};

async fn coupon(place: &Place, code: &str) -> CouponView {
    let text: CodeText = code.parse().expect("a code");
    place.engine.coupon(&admin(), &text, None).await.expect("a coupon")
}

async fn campaign(place: &Place, id: &str) -> engine::CampaignView {
    place.engine.campaign(&admin(), &id.parse().expect("an id")).await.expect("a campaign")
}

#[tokio::test]
async fn a_campaign_from_the_form() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let mut fields = vec![
        ("name", "Autumn"),
        ("campaign_id", "autumn"),
        ("stock", "100000000"),
        ("handout", "shop"),
        ("expires_on", "2026-12-31"),
        ("time_zone", "Asia/Seoul"),
        ("per_user_limit", "2"),
        ("cancel_days", "0"),
    ];
    let path = "/console/new-campaign";
    let page = browser.submit(path, &fields).await.must(200);
    for sentence in [
        "100,000,000 coupons",
        "from 20 Nov 2026 to the end of 31 Dec 2026 (Asia/Seoul)",
        "can have 2 coupons",
        "cannot be cancelled",
        "&#34;stock&#34;:100000000",
    ] {
        page.has(sentence);
    }
    assert!(place.engine.campaigns(&admin(), None, 9).await.unwrap().is_empty(), "only a preview");
    fields.push(("create", "1"));
    // Pressed twice: the same campaign.
    for said in ["created", "same"] {
        let page = browser.submit(path, &fields).await.must(303);
        assert_eq!(page.to(), format!("/console/campaigns/autumn?done={said}"));
    }
    let made = campaign(&place, "autumn").await;
    assert_eq!(made.counts.unwrap().0.stock, 100_000_000);
    assert_eq!(made.campaign.expires_on().to_string(), "2026-12-31");
    browser.get("/console/campaigns").await.must(200).has("Autumn");
}

/// Nobody meets a name that a machine has made, and numbers are read as people write them.
#[tokio::test]
async fn short_names_and_numbers() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let rows = [
        ("a title", "봄맞이 10% 할인", "10만", "bommaji-10-harin", 100_000),
        ("the same title", "봄맞이 10% 할인", "100,000", "bommaji-10-harin-2", 100_000),
        ("English", "Spring sale", "1만 5천 장", "spring-sale", 15_000),
    ];
    for (name, title, stock, id, count) in rows {
        let mut fields = vec![
            ("name", title),
            ("campaign_id", ""),
            ("handout", "bearer"),
            ("stock", stock),
            ("currency", "KRW"),
            ("benefit.kind", "amount"),
            ("benefit.amount", "5천 원"),
            ("expires_on", "2027-12-31"),
        ];
        let page = browser.submit("/console/new-campaign", &fields).await.must(200);
        page.has(&format!("value=\"{id}\"")).has("₩5,000");
        fields.push(("create", "1"));
        let page = browser.submit("/console/new-campaign", &fields).await.must(303);
        assert_eq!(page.to(), format!("/console/campaigns/{id}?done=created"), "{name}");
        assert_eq!(campaign(&place, id).await.counts.unwrap().0.stock, count, "{name}");
    }
    let path = "/console/campaigns/spring-sale/stock";
    browser.submit(path, &[("count", "2천")]).await.must(303);
    assert_eq!(campaign(&place, "spring-sale").await.counts.unwrap().0.stock, 17_000);
    browser.submit(path, &[("count", "1,5")]).await.must(422).has("want a number");
    browser.submit(path, &[("count", "-3")]).await.must(422).has("is negative, want 0 or more");
}

/// A new campaign says what to do next, with the call of the shop for its handout, until its first coupon is given out.
#[tokio::test]
async fn what_comes_next() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let quoted = |path: &str| format!("POST &#39;http://shop.example/v1/{path}&#39;");
    let issue = |id: &str| quoted(&format!("campaigns/{id}/issue"));
    let redeem = quoted("coupons/CODE/redeem");
    let rows = [
        ("shop", "5", [issue("shop"), redeem.clone(), "gets its code when".to_owned()]),
        ("self", "5", [issue("self"), redeem.clone(), "presses the button".to_owned()]),
        ("bearer", "5", [redeem.clone(), "/bearer/codes\">".to_owned(), "or print".to_owned()]),
        (
            "shared",
            "5",
            [quoted("coupons/SUMMER/redeem"), "Tell".to_owned(), "the word".to_owned()],
        ),
        (
            "empty",
            "",
            [
                issue("empty"),
                "button main\" href=\"/console/campaigns/empty/stock".to_owned(),
                redeem,
            ],
        ),
    ];
    for (id, stock, has) in rows {
        let handout = if id == "empty" { "shop" } else { id };
        let word = if id == "shared" { "SUMMER" } else { "" };
        let fields = [
            ("name", id),
            ("campaign_id", id),
            ("handout", handout),
            ("shared_code", word),
            ("stock", stock),
            ("expires_on", "2026-12-31"),
            ("create", "1"),
        ];
        let page = browser.submit("/console/new-campaign", &fields).await.must(303);
        let page = browser.get(page.to()).await.must(200);
        page.has("The campaign is there. What comes next is below.");
        for text in has {
            assert!(page.text.contains(&text), "{id} lacks {text}: {}", page.text);
        }
    }
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    assert!(!viewer.get("/console/campaigns/shop").await.text.contains("What comes next"));
    let (shop, ann) = ("shop".parse().expect("an id"), "ann".parse().ok());
    place.engine.issue(&admin(), &shop, ann, None).await.expect("issued");
    let page = browser.get("/console/campaigns/shop").await.must(200);
    assert!(!page.text.contains("What comes next"), "it is under way");
}

#[tokio::test]
async fn a_wrong_form_keeps_its_input() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let cases = [
        ("no last day", vec![("name", "A"), ("handout", "shop"), ("stock", "7")], "Last day"),
        (
            "a day that has passed",
            vec![("name", "A"), ("handout", "shop"), ("stock", "7"), ("expires_on", "2026-01-01")],
            "has passed",
        ),
        (
            "no number",
            vec![
                ("name", "A"),
                ("handout", "shop"),
                ("stock", "seven"),
                ("expires_on", "2027-01-01"),
            ],
            "How many",
        ),
        (
            "no way to people",
            vec![("name", "A"), ("stock", "7"), ("expires_on", "2027-01-01")],
            "How they reach people",
        ),
        (
            "a word that is missing",
            vec![
                ("name", "A"),
                ("stock", "7"),
                ("expires_on", "2027-01-01"),
                ("handout", "shared"),
            ],
            "shared word",
        ),
    ];
    for (name, fields, want) in cases {
        let page = browser.submit("/console/new-campaign", &fields).await;
        assert_eq!(page.status, 422, "{name}");
        assert!(page.text.contains(want), "{name}: {}", page.text);
        assert_eq!(page.value("name"), "", "{name}: the name has attributes between");
        page.has("value=\"A\"");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_its_field() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let fields = [
        ("name", "A"),
        ("stock", "seven"),
        ("currency", "KRW"),
        ("budget", "much"),
        ("benefit.kind", "percent"),
        ("benefit.percent", "200"),
        ("benefit.min_order", "0"),
        ("cancel_days", "60000"),
        ("expires_on", "2026-01-01"),
    ];
    let page = browser.submit("/console/new-campaign", &fields).await.must(422);
    page.has("<strong class=\"fault\">is missing</strong></legend>");
    let said = page.text.split("<p class=\"notice bad\"").nth(1).expect("a paragraph");
    let said = said.split("</p>").next().unwrap_or_default();
    let names = [
        "How they reach people",
        "How many",
        "Budget",
        "Percent off",
        "Days to cancel",
        "Last day",
    ];
    let places = names.map(|name| said.find(name));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {said}");
    // Both what cannot be read and what the rules refuse.
    let rows = [
        ("name", false),
        ("stock", true),
        ("currency", false),
        ("budget", true),
        ("benefit.percent", true),
        ("cancel_days", true),
        ("expires_on", true),
    ];
    for (input, want) in rows {
        let label = page.text.split(&format!("name=\"{input}\"")).nth(1).expect(input);
        let label = label.split("</label>").next().unwrap_or_default();
        for mark in [" aria-invalid=\"true\"", "class=\"fault\""] {
            assert_eq!(label.contains(mark), want, "{input}: {label}");
        }
    }
}

/// Whoever reads Korean reads no English when something is wrong.
#[tokio::test]
async fn what_is_wrong_is_said_in_korean() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    browser.lang = "ko";
    let form = "/console/new-campaign";
    let terms = "/console/campaigns/spring/terms";
    let right = [("name", "봄"), ("handout", "shop"), ("expires_on", "2027-01-01")];
    let rows = [
        ("no handout", form, vec![("name", "봄")], "필수 항목입니다. 입력하거나 선택하세요"),
        ("a day that has passed", form, vec![("expires_on", "2026-01-01")], "이미 지난 날짜입니다"),
        ("no day", form, vec![("expires_on", "2027-02-30")], "달력에 없는 날짜입니다"),
        ("no number", form, vec![("stock", "seven")], "숫자를 입력하세요"),
        ("too many days", form, vec![("valid_days", "60000")], "사이의 값을 입력하세요"),
        ("a short name with blanks", form, vec![("campaign_id", "a b")], "쓸 수 없는 문자"),
        ("no zone", form, vec![("time_zone", "Mars")], "없는 시간대입니다"),
        ("no word", form, vec![("handout", "shared")], "공용 코드가 필요합니다"),
        ("no currency", form, vec![("currency", "won")], "통화 코드를"),
        ("metadata", form, vec![("metadata", "1")], "JSON 객체로"),
        (
            "a smaller limit",
            terms,
            vec![("name", "봄"), ("per_user_limit", "0")],
            "값을 입력하세요",
        ),
        ("no name", "/console/campaigns/spring/terms", vec![("name", "")], "필수 항목입니다"),
        ("stock", "/console/campaigns/spring/stock", vec![("count", "x")], "숫자를 입력하세요"),
    ];
    for (name, path, fields, want) in rows {
        let mut all = fields;
        if path == form && name != "no handout" {
            let given: Vec<&str> = all.iter().map(|(field, _)| *field).collect();
            all.extend(right.iter().filter(|(field, _)| !given.contains(field)));
        }
        let page = browser.submit(path, &all).await.must(422);
        assert!(page.text.contains(want), "{name}: {}", page.text);
        for english in [" want ", " is ", " has ", "invalid"] {
            let said = page.text.split(want).next().unwrap_or_default();
            let said = said.rsplit('>').next().unwrap_or_default();
            assert!(!said.contains(english), "{name}: {said}");
        }
    }
    let path = "/console/campaigns/spring/import";
    let page = browser.upload(path, "check", "old", "code\nOLD-0001\nno code!\n").await.must(200);
    page.has("코드에는 영문과 숫자만 쓸 수 있습니다");
    let page = browser.upload(path, "check", "old", "{\"code\": 1}\n").await.must(422);
    page.has("JSON 파일로 보입니다");
    browser.get("/console/reports?from=2026-11-20&to=2026-11-01").await.must(422).has("앞섭니다");
    browser.get("/console/campaigns/spring").await.must(200).has("기본 묶음");
}

#[tokio::test]
async fn changes_of_a_campaign() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let pause = "/console/campaigns/spring/pause";
    let fields = [("paused", "true"), ("reason", "leaked")];
    browser.submit(pause, &fields).await.must(303);
    // A colleague who presses it at the same moment does not undo it.
    browser.submit(pause, &fields).await.must(303);
    assert!(campaign(&place, "spring").await.campaign.paused);
    browser.submit(pause, &[("paused", "false")]).await.must(303);
    let page = browser.get("/console/campaigns/spring/stock").await.must(200);
    let batch = page.value("batch_id");
    for said in ["stock", "same"] {
        let fields = [("batch_id", batch.as_str()), ("count", "1,000")];
        let page = browser.submit("/console/campaigns/spring/stock", &fields).await.must(303);
        assert_eq!(page.to(), format!("/console/campaigns/spring?done={said}"));
    }
    assert_eq!(campaign(&place, "spring").await.counts.unwrap().0.stock, 1_020);
    let first = "/console/campaigns/spring/batches/first";
    let fields = [("paused", "true"), ("reason", "its list has leaked")];
    browser.submit(&format!("{first}/pause"), &fields).await.must(303);
    browser.get(first).await.must(200).has("Paused");
    let terms = "/console/campaigns/spring/terms";
    let fields = [("name", "Spring"), ("per_user_limit", "3"), ("issue_until", "2027-02-28")];
    browser.submit(terms, &fields).await.must(303);
    let changed = campaign(&place, "spring").await;
    assert_eq!(
        (changed.campaign.name.as_str(), changed.campaign.per_user_limit),
        ("Spring", Some(3))
    );
    browser.get(terms).await.must(200).has("value=\"2027-02-28\"");
    let fields = [("name", "Spring"), ("per_user_limit", "1"), ("issue_until", "2027-02-28")];
    browser.submit(terms, &fields).await.must(422);
    // Of two people with the form open, the second does not change back what the first has changed.
    let tag = browser.get(terms).await.must(200).value("tag");
    let first = [("tag", tag.as_str()), ("name", "Spring & more"), ("per_user_limit", "3")];
    browser.submit(terms, &first).await.must(303);
    let second = [("tag", tag.as_str()), ("name", "Spring"), ("per_user_limit", "4")];
    browser.submit(terms, &second).await.must(409).has("while this form was open");
    let changed = campaign(&place, "spring").await;
    assert_eq!(changed.campaign.name, "Spring & more");
    let page = browser.get("/console/audit?campaign=spring").await.must(200);
    for text in [
        "leaked",
        "staff%3Aadmin\"><bdi>admin</bdi>",
        "Campaign paused",
        "Campaign resumed",
        "Batch paused",
        "Terms changed",
        "<bdi>Spring &#38; more</bdi></a>",
    ] {
        page.has(text);
    }
}

#[tokio::test]
async fn a_budget() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let new = [
        ("name", "Ten"),
        ("campaign_id", "ten"),
        ("handout", "shop"),
        ("stock", "10"),
        ("expires_on", "2027-12-31"),
        ("currency", "KRW"),
        ("benefit.kind", "amount"),
        ("benefit.amount", "5,000"),
        ("budget", "1,000,000"),
        ("create", "1"),
    ];
    let own = [&new[..9], &[("title_en", "Ten off")]].concat();
    let page = browser.submit("/console/new-campaign", &own).await.must(200);
    page.has("Ten off · ₩5,000 off").has("may cost ₩1,000,000");
    browser.submit("/console/new-campaign", &new).await.must(303);
    let (campaign_page, terms) = ("/console/campaigns/ten", "/console/campaigns/ten/terms");
    browser.get(campaign_page).await.must(200).has("₩1,000,000, of which ₩1,000,000 is left");
    browser.get(terms).await.must(200).has("value=\"1,000,000\"");
    for (name, budget, status, want) in [
        ("half a won", "2,000,000.5", 422, Some(1_000_000)),
        ("raised", "2,000,000", 303, Some(2_000_000)),
        ("taken away", "", 303, None),
    ] {
        let fields = [("name", "Ten"), ("per_user_limit", "1"), ("budget", budget)];
        browser.submit(terms, &fields).await.must(status);
        assert_eq!(campaign(&place, "ten").await.campaign.worth.budget, want, "{name}");
    }
}

#[tokio::test]
async fn a_support_call() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    let page = browser.get(&format!("/console/coupons/{issued}/extend")).await.must(200);
    let version = page.value("version");
    let extend = format!("/console/coupons/{issued}/extend");
    let fields = [("expires_on", "2027-04-30"), ("time_zone", "UTC"), ("version", &version)];
    browser.submit(&extend, &fields).await.must(422).has("Reason");
    let with_reason = |reason| [fields[0], fields[1], fields[2], ("reason", reason)];
    browser.submit(&extend, &with_reason("shipped late")).await.must(303);
    // The page that was open shows an older version: nothing happens to the coupon.
    let void = [("version", version.as_str()), ("reason", "too late")];
    browser.submit(&format!("/console/coupons/{issued}/void"), &void).await.must(409);
    let after = coupon(&place, &issued).await;
    assert_eq!(after.coupon.expires_on().to_string(), "2027-04-30");
    let event = after.coupon.events().last().unwrap();
    assert_eq!((event.actor.as_str(), event.reference()), ("staff:support", Some("shipped late")));
    let revoke = [("user_id", "ann"), ("reason", "wrong person")];
    browser.submit(&format!("/console/coupons/{issued}/revoke"), &revoke).await.must(303);
    assert_eq!(coupon(&place, &issued).await.coupon.holder(), None);
    let cancel = [("order_ref", "=1+1"), ("reason", "returned")];
    browser
        .submit(&format!("/console/coupons/{redeemed}/cancel-redemption"), &cancel)
        .await
        .must(303);
    assert_eq!(coupon(&place, &redeemed).await.coupon.state().as_str(), "issued");
    let page = browser.get(&format!("/console/coupons/{redeemed}")).await.must(200);
    for text in ["Redemption of order", "returned", "<bdi>support</bdi>"] {
        page.has(text);
    }
}

#[tokio::test]
async fn what_was_done_before_is_said() {
    type FormPairs<'a> = &'a [(&'a str, &'a str)];
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    let other = place.issued("dan").await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    let coupon = |code: &str, action: &str| format!("/console/coupons/{code}/{action}");
    let to_dan = [("user_id", "dan")];
    let of_dan = [("user_id", "dan"), ("reason", "wrong")];
    let extend = [("expires_on", "2027-04-30"), ("time_zone", "UTC"), ("reason", "late")];
    let cancel = [("order_ref", "=1+1"), ("reason", "returned")];
    browser.submit(&coupon(&other, "revoke"), &of_dan).await.must(303);
    let rows: [(&str, String, FormPairs<'_>, [&str; 2]); 4] = [
        ("extended", coupon(&issued, "extend"), &extend, ["extended", "same"]),
        ("cancelled", coupon(&redeemed, "cancel-redemption"), &cancel, ["cancelled", "same"]),
        ("given", coupon(&other, "issue"), &to_dan, ["issued", "had"]),
        ("voided", coupon(&issued, "void"), &[("reason", "leaked")], ["voided", "same"]),
    ];
    for (name, path, fields, said) in rows {
        for said in said {
            let page = browser.submit(&path, fields).await.must(303);
            assert!(page.to().ends_with(&format!("?done={said}")), "{name}: {}", page.to());
            let page = browser.get(page.to()).await.must(200);
            let is_new = !page.text.contains("Nothing was");
            assert_eq!(is_new, !matches!(said, "same" | "had"), "{name}: {}", page.text);
        }
    }
}

#[tokio::test]
async fn a_file_is_checked_and_imported() {
    let place = Place::new();
    place.seeded().await;
    let path = "/console/campaigns/spring/import";
    for (role, is_told) in [(StaffRole::Admin, false), (StaffRole::Marketer, true)] {
        let page = place.signed_in(role).await.get(path).await.must(200);
        let first = place.signed_in(role).await.get("/console/import").await.must(200);
        for page in [page, first] {
            let said = page.text.contains("Lines that say issued, redeemed or void are rejected");
            assert_eq!(said, is_told, "{role:?} {}", page.path);
        }
    }
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let file = "code\nOLD-0001\nOLD-0002\n=1+1\n";
    let page = browser.upload(path, "check", "old", file).await.must(200);
    page.has("3 lines: 2 new, 0 known already, 0 not compared, 1 would be rejected.");
    assert_eq!(campaign(&place, "spring").await.counts.unwrap().0.stock, 20, "only a check");
    let page = browser.upload(path, "import", "old", file).await.must(303);
    assert_eq!(page.to(), "/console/campaigns/spring/batches/old", "one of them is rejected");
    // Sent again after a connection broke: nothing twice.
    browser.upload(path, "import", "old", file).await.must(303);
    assert_eq!(campaign(&place, "spring").await.counts.unwrap().0.stock, 22);
    browser.get("/console/campaigns/spring/batches/old").await.must(200).has("=1+1");
    let page = browser.upload(path, "import", "x", "no header, no code!\n").await.must(422);
    page.has("cannot be imported");
    // Without its token the form goes nowhere.
    browser.upload_with(path, "", "import", "y", file).await.must(303);
    browser.get("/console/campaigns/spring/batches/y").await.must(404);
}

#[tokio::test]
async fn webhooks_are_managed() {
    let place = Place::new();
    let webhooks = place.webhook().await;
    let mut browser = place.signed_in(StaffRole::Operator).await;
    browser.submit("/console/webhooks/shop/state", &[("paused", "true")]).await.must(303);
    assert!(matches!(
        webhooks.get("shop").await.unwrap().state,
        webhooks::EndpointState::Paused { .. }
    ));
    browser.submit("/console/webhooks/shop/state", &[("paused", "false")]).await.must(303);
    browser.submit("/console/webhooks/shop/redeliver", &[("number", "7")]).await.must(404);
    // Nobody answers at that address; the attempt is in the audit all the same.
    let page = browser.submit("/console/webhooks/shop/test", &[]).await.must(303);
    assert_eq!(page.to(), "/console/webhooks/shop?done=test-failed");
    let page = browser.get(page.to()).await.must(200);
    page.has("The receiver did not accept the test").has("<p class=\"notice\" role=\"status\">");
    let filter = webhooks::DeliveryFilter { state: None, before: None };
    let tried = webhooks.deliveries("shop", filter, 1).await.unwrap();
    let number = tried[0].number.to_string();
    browser.submit("/console/webhooks/shop/redeliver", &[("number", &number)]).await.must(303);
    let audit = browser.get("/console/audit").await.must(200);
    for text in ["Webhook changed", "Webhook tested", "Delivered again by a webhook"] {
        audit.has(text);
    }
    browser.get("/console/webhooks/none").await.must(404);
}

#[tokio::test]
async fn a_compaction_is_asked_for_once() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Operator).await;
    let page = browser.get("/console/store").await.must(200);
    page.has("Compact now").has("/mnt/cold").has("s3://BUCKET/PREFIX");
    let page = browser.submit("/console/store/compact", &[]).await.must(303);
    assert_eq!(page.to(), "/console/store?done=compacting");
    let page = browser.get("/console/store?done=compacting").await.must(200);
    page.has("A compaction is running").has("It was asked for");
    assert!(!page.text.contains("Compact now"), "one at a time");
    // Somebody else has the page of before.
    let page = browser.submit("/console/store/compact", &[]).await.must(303);
    assert_eq!(page.to(), "/console/store", "nothing was asked for");
    let by = place.console.compactions().asked().await;
    assert_eq!(by, "staff:operator");
    let mut run = CompactionRun::new(&by, HOSTILE, place.engine.now());
    place.engine.begin_compaction(&run, OtherRuns::ComeFirst).await.expect("entered");
    place.console.compactions().done();
    let page = browser.get("/console/store").await.must(200);
    page.has("staff:operator").has("Looks for what can move");
    run.step = CompactionStep { day: Some(20_000), rows: 5, total: 1_000 };
    place.engine.note_compaction(&run).await.expect("noted");
    browser.get("/console/store").await.must(200).has("Expiry day 4 Oct 2024: 5 of 1,000");
    let failed = Some("the archive is away".to_owned());
    run.ended = Some(CompactionEnd { rows: 1_000, failed, ..CompactionEnd::default() });
    place.engine.note_compaction(&run).await.expect("noted");
    let page = browser.get("/console/store").await.must(200);
    page.has("the archive is away").has("Compact now");
    let audit = browser.get("/console/audit").await.must(200);
    assert_eq!(audit.text.matches("Compaction asked for").count(), 1, "{}", audit.text);
}

#[tokio::test]
async fn compactions_of_all_processes() {
    let place = Place::new();
    place.seeded().await;
    let other = place.beside();
    let mut browser = place.signed_in(StaffRole::Operator).await;
    let now = place.engine.now();
    let killed = CompactionRun::new("admin:cli", "app-2", now);
    let begin = async |run: &CompactionRun, others| {
        other.engine.begin_compaction(run, others).await.expect("entered")
    };
    assert_eq!(begin(&killed, OtherRuns::ComeFirst).await, None);
    let page = browser.get("/console/store").await.must(200);
    page.has("admin:cli").has("app-2");
    // While it runs, nobody begins another one here.
    browser.submit("/console/store/compact", &[]).await.must(303);
    assert!(!browser.get("/console/audit").await.must(200).text.contains("Compaction asked for"));
    let second = CompactionRun::new("serve", "app-1", now);
    assert_eq!(begin(&second, OtherRuns::ComeFirst).await, Some(killed.clone()));
    place.clock.set(now.plus_ms(COMPACTION_SILENT_MS));
    browser.get("/console/store").await.must(200).has("Broke off").has("Compact now");
    assert_eq!(begin(&second, OtherRuns::ComeFirst).await, None);
    // The list is bounded, and one that has nothing to do says it once.
    for nth in 0..2 * COMPACTION_RUNS_MAX {
        let mut run = CompactionRun::new("serve", &format!("idle-{}", nth % 2), place.engine.now());
        begin(&run, OtherRuns::GoOn).await;
        run.ended = Some(CompactionEnd::default());
        other.engine.note_compaction(&run).await.expect("noted");
    }
    let runs = place.engine.compaction_runs().await.expect("the list");
    assert_eq!(runs.len(), 4, "{runs:?}");
    for nth in 0..2 * COMPACTION_RUNS_MAX {
        let run = CompactionRun::new("serve", &format!("busy-{nth}"), place.engine.now());
        begin(&run, OtherRuns::AreOver).await;
    }
    let runs = place.engine.compaction_runs().await.expect("the list");
    assert_eq!(runs.len(), COMPACTION_RUNS_MAX);
    let running = runs.iter().filter(|run| run.is_running(place.engine.now())).count();
    assert_eq!(running, 1, "whoever has the lock knows that the others are over");
}

#[tokio::test]
async fn a_dry_run() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let page = browser.get("/console/store/plan").await.must(200);
    page.has("Close the day and move all of it")
        .has("4 Oct 2024")
        .has("1,234")
        .has("&#60;b&#62;Bold");
    assert!(place.engine.compaction_runs().await.expect("the list").is_empty());
}
