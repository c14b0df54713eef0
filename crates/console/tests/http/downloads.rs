//! Files for spreadsheets: they open rightly, and nothing in them is run.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use coupon::benefit::{Benefit, BenefitKind};
use coupon::campaign::{CampaignWorth, Handout};
use engine::{CampaignDraft, StaffRole};
use futures::StreamExt;
use futures::stream::once;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::place::{Place, admin};

/// The columns of `GET /v1/redemptions` as CSV.
const REDEMPTIONS: &str = "\u{feff}code,campaign_id,campaign_name,batch_id,user_id,order_ref,redeemed_at,cancelled_at,\
    cancel_reason,time_zone,order_amount,discount,currency\n";

#[tokio::test]
async fn files() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let file = "code\nOLD-0001\n=cmd|' /C calc'!A0\n";
    browser.upload("/console/campaigns/spring/import", "import", "old", file).await.must(303);
    // The path, what it has, and what it must not have.
    let rows = [
        ("/console/reports/redemptions.csv?from=2026-11-01&to=2026-11-30", "'=1+1", ",=1+1"),
        ("/console/reports/redemptions.csv", REDEMPTIONS, "campaign,"),
        ("/console/campaigns/spring/batches/old/rejected.csv", "'=cmd", ",=cmd"),
        ("/console/campaigns/spring/codes.csv", "code,Last day\n", issued.as_str()),
        ("/console/import/template.csv", "code,", "=1"),
    ];
    for (path, has, not) in rows {
        let page = browser.get(path).await.must(200);
        assert!(page.text.starts_with('\u{feff}'), "{path}: a spreadsheet takes it for UTF-8");
        assert!(page.text.contains(has) && !page.text.contains(not), "{path}: {}", page.text);
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8", "{path}");
        let name = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert!(name.starts_with("attachment; filename=\""), "{path}: {name}");
    }
    let codes = browser.get("/console/campaigns/spring/codes.csv").await;
    assert_eq!(codes.text.lines().count(), 1 + 18, "those that nobody has got");
    let sheet = browser.get("/console/campaigns/spring/sheet").await.must(200);
    assert_eq!(sheet.text.matches("<svg class=\"qr\"").count(), 18);
    for line in codes.text.lines().skip(1) {
        let (code, until) = line.split_once(',').expect("two columns");
        assert_eq!(until, "2027-03-31");
        sheet.has(&format!("<span class=\"code\">{code}</span>"));
    }
    let book = browser.get("/console/campaigns/spring/codes.xlsx").await.must(200);
    assert!(book.text.starts_with("PK"), "a workbook is an archive");
    let name = book.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(name, "attachment; filename=\"spring-codes-2026-11-20.xlsx\"");
    browser.get("/console/campaigns/spring/codes").await.must(200).has("takes some seconds");
    let report = browser.get("/console/reports/redemptions.csv").await;
    assert!(report.text.contains(&redeemed), "{}", report.text);
    browser.lang = "ko";
    let korean = browser.get("/console/reports/redemptions.csv").await;
    assert!(korean.text.starts_with("\u{feff}코드,캠페인 ID,캠페인,"), "{}", korean.text);
    assert_eq!(
        korean.text.lines().skip(1).collect::<Vec<_>>(),
        report.text.lines().skip(1).collect::<Vec<_>>()
    );
    assert_eq!(korean.text.lines().next().map(|it| it.split(',').count()), Some(13));
}

#[tokio::test]
async fn what_is_known_of_a_customer() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    for (format, kind) in [("json", "application/json"), ("csv", "text/csv; charset=utf-8")] {
        let path = format!("/console/customers/ann/data/{format}");
        browser.get("/console/customers/ann").await.must(200).has(&format!("href=\"{path}\""));
        let page = browser.get(&path).await.must(200);
        if format == "json" {
            assert_eq!(page.text, "staff:admin asked for ann as json");
        }
        assert_eq!(page.headers[header::CONTENT_TYPE], kind);
        let name = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert_eq!(name, format!("attachment; filename=\"customer-2026-11-20.{format}\""));
    }
    browser.get("/console/customers/ann/data/xlsx").await.must(404);
}

/// The sheet is for the customer: in their words, and with nobody's name but their own.
#[tokio::test]
async fn a_sheet_for_the_customer() {
    let place = Place::new();
    let (_, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let path = |action: &str| format!("/console/coupons/{redeemed}/{action}");
    let cancel = [("order_ref", "=1+1"), ("reason", "returned")];
    browser.submit(&path("cancel-redemption"), &cancel).await.must(303);
    let revoke = [("user_id", "bob"), ("reason", "wrong person")];
    browser.submit(&path("revoke"), &revoke).await.must(303);
    browser.submit(&path("issue"), &[("user_id", "carl")]).await.must(303);
    let file = async |lang, browser: &mut crate::browser::Browser| {
        browser.lang = lang;
        browser.get("/console/customers/bob/data/csv").await.must(200).text
    };
    for (lang, wants) in [
        (
            "en",
            [
                "When,What,Campaign",
                "20 Nov 2026 21:00,\"Redeemed by bob for order =1+1: ₩3,500 off",
            ],
        ),
        (
            "ko",
            [
                "일시,내용,캠페인",
                "2026년 11월 20일 21:00,\"bob 고객이 주문 =1+1로 사용: 주문 ₩30,000",
            ],
        ),
    ] {
        let text = file(lang, &mut browser).await;
        let row = format!(",{redeemed},2027-03-31,wrong person");
        for want in wants.into_iter().chain([row.as_str(), "returned", "Bold"]) {
            assert!(text.contains(want), "{lang} lacks {want}: {text}");
        }
        for not in ["admin", "root", "carl", "spring", "{", "Z,", "\u{2068}"] {
            assert!(!text.contains(not), "{lang} has {not}: {text}");
        }
    }
}

/// Whoever makes letters or prints them needs what they promise.
#[tokio::test]
async fn codes_say_what_they_are_worth() {
    let place = Place::new();
    let benefit = Benefit { kind: BenefitKind::Amount(5_000), min_order: Some(30_000) };
    let draft = CampaignDraft {
        id: Some("worth".parse().unwrap()),
        expires_on: Some("2027-03-31".parse().unwrap()),
        stock: Some(2),
        worth: CampaignWorth {
            currency: "KRW".parse().ok(),
            benefit: Some(benefit),
            ..CampaignWorth::default()
        },
        ..CampaignDraft::default()
    };
    place.engine.create_campaign(&admin(), draft).await.unwrap();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    for (lang, head, said) in [
        ("en", "\u{feff}code,Last day,worth", "₩5,000 off orders of ₩30,000 or more"),
        ("ko", "\u{feff}쿠폰코드,만료일,혜택", "30,000원 이상 구매 시 5,000원 할인"),
    ] {
        browser.lang = lang;
        let codes = browser.get("/console/campaigns/worth/codes.csv").await.must(200);
        let mut lines = codes.text.lines();
        assert_eq!(lines.next(), Some(head), "{lang}");
        let lines: Vec<&str> = lines.collect();
        let has = |line: &&str| line.ends_with(&format!(",\"{said}\""));
        assert_eq!((lines.len(), lines.iter().filter(|it| has(it)).count()), (2, 2), "{lines:?}");
        let sheet = browser.get("/console/campaigns/worth/sheet").await.must(200);
        assert_eq!(sheet.text.matches(&format!("<span>{said}</span>")).count(), 2, "{lang}");
        browser.get("/console/campaigns/worth/codes.xlsx").await.must(200);
    }
}

/// Codes that nobody has got work in one sort of campaign alone; all others say so before anybody takes the file.
#[tokio::test]
async fn what_codes_are_for_is_said_before_they_are_taken() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let rows = [
        ("shop", Handout::Shop, Some("The shop or a support agent gives each coupon")),
        ("self", Handout::SelfService, Some("Customers take these coupons themselves")),
        ("shared", Handout::Shared, Some("Customers type the shared word")),
        ("bearer", Handout::Bearer, None),
    ];
    for (id, handout, warning) in rows {
        let draft = CampaignDraft {
            id: Some(id.parse().unwrap()),
            expires_on: Some("2027-03-31".parse().unwrap()),
            handout: Some(handout),
            shared_code: (handout == Handout::Shared).then(|| "SUMMER".parse().unwrap()),
            per_user_limit: (handout == Handout::Bearer).then_some(None),
            stock: Some(2),
            ..CampaignDraft::default()
        };
        place.engine.create_campaign(&admin(), draft).await.unwrap();
        browser.get(&format!("/console/campaigns/{id}")).await.must(200).has("/codes\"");
        let offer = format!("/console/new-campaign?like={id}&amp;handout=bearer");
        for page in ["codes", "sheet"] {
            browser.lang = "en";
            let path = format!("/console/campaigns/{id}/{page}");
            let found = browser.get(&path).await.must(200);
            let says = [warning.unwrap_or("NOT_ISSUED"), offer.as_str()];
            let has = says.map(|it| found.text.contains(it));
            assert_eq!(has, [warning.is_some(); 2], "{path}: {}", found.text);
            browser.lang = "ko";
            let found = browser.get(&path).await.must(200);
            let is_warned = found.text.contains("아무도 쓸 수 없는 코드입니다");
            assert_eq!(is_warned, warning.is_some(), "{path}: {}", found.text);
        }
        browser.lang = "en";
        let form = browser.get(&offer.replace("&amp;", "&")).await.must(200);
        form.has("value=\"bearer\" checked").has("name=\"per_user_limit\"");
        assert_eq!(form.text.matches(" checked required").count(), 1, "{id}: {}", form.text);
    }
    let form = browser.get("/console/new-campaign").await.must(200);
    assert!(!form.text.contains("checked required"), "nothing is chosen for anybody");
    let (handout, name) = (form.text.find("name=\"handout\""), form.text.find("name=\"name\""));
    assert!(handout < name, "it is asked first");
}

/// A sheet has no more rows.
#[tokio::test]
async fn more_codes_than_a_workbook_has_rows() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    for (id, stock) in [("large", 1_048_576), ("small", 10)] {
        let draft = CampaignDraft {
            id: Some(id.parse().unwrap()),
            expires_on: Some("2027-03-31".parse().unwrap()),
            stock: Some(stock),
            ..CampaignDraft::default()
        };
        place.engine.create_campaign(&admin(), draft).await.unwrap();
    }
    browser
        .get("/console/campaigns/large/codes.xlsx")
        .await
        .must(422)
        .has("1,048,575 rows for codes");
    browser.get("/console/campaigns/small/codes.xlsx").await.must(200);
}

/// More long streams than the machine makes pieces of at a time.
const STREAMS: usize = 200;

#[tokio::test]
async fn downloads_wait_for_other_long_streams() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let go_on = Arc::new(Semaphore::new(0));
    let streams = (0..STREAMS).map(|_| {
        let go_on = Arc::clone(&go_on);
        let piece = once(async move { go_on.acquire().await.expect("it goes on").forget() });
        tokio::spawn(place.engine.limited(piece.boxed()).collect::<Vec<()>>())
    });
    let streams: Vec<_> = streams.collect();
    let path = "/console/campaigns/spring/codes.csv";
    let waited = timeout(Duration::from_millis(300), browser.get(path)).await;
    assert!(waited.is_err(), "it did not wait");
    go_on.add_permits(STREAMS);
    for stream in streams {
        stream.await.expect("it ends");
    }
    browser.get(path).await.must(200);
    let audit = place.engine.audit(&crate::place::admin(), None, None, 9).await.unwrap().unwrap();
    let codes = audit.iter().find(|it| it.entry.event.kind.as_str() == "codes.downloaded");
    let entry = &codes.expect("an entry").entry;
    assert_eq!(entry.act.actor.as_str(), "staff:marketer");
    assert_eq!(entry.event.campaign.as_ref().map(|id| id.as_str()), Some("spring"));
}

#[tokio::test]
async fn sheets_go_on_where_the_last_one_ended() {
    let place = Place::new();
    let draft = engine::CampaignDraft {
        id: Some("many".parse().unwrap()),
        expires_on: Some("2027-03-31".parse().unwrap()),
        stock: Some(2_500),
        ..engine::CampaignDraft::default()
    };
    place.engine.create_campaign(&crate::place::admin(), draft).await.unwrap();
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let all = browser.get("/console/campaigns/many/codes.csv").await;
    let (mut path, mut codes) = ("/console/campaigns/many/sheet".to_owned(), Vec::new());
    let mut sheets = Vec::new();
    loop {
        let page = browser.get(&path).await.must(200);
        let found = page.text.split("<span class=\"code\">").skip(1);
        let found: Vec<String> =
            found.filter_map(|rest| Some(rest.split('<').next()?.to_owned())).collect();
        sheets.push(found.len());
        codes.extend(found);
        let next = page.text.split("rel=\"next\" href=\"").nth(1);
        let Some(next) = next.and_then(|rest| rest.split('"').next()) else { break };
        path = next.to_owned();
    }
    assert_eq!(sheets, [1_000, 1_000, 500]);
    let all = all.text.lines().skip(1).filter_map(|line| line.split(',').next());
    assert_eq!(codes, all.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_without_a_list_of_redemptions_gives_the_same_file() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let path = "/console/reports/redemptions.csv?from=2026-11-20&to=2026-11-20&zone=Asia/Seoul";
    let listed = browser.get(path).await.must(200);
    let day = "2026-11-20".parse().unwrap();
    let zone = Some("Asia/Seoul".parse().unwrap());
    let request = engine::RedemptionsRequest { campaign: None, days: day..=day, zone };
    let (engine, admin) = (Arc::clone(&place.engine), crate::place::admin());
    let lines = engine.whole_redemption_file(&admin, request).await.unwrap();
    let lines: Vec<_> = lines.collect().await;
    let whole: String = lines.into_iter().map(Result::unwrap).collect();
    assert_eq!((listed.text.lines().count(), whole), (2, listed.text));
}

#[tokio::test]
async fn workbooks_wait_for_each_other() {
    let place = Place::new();
    place.seeded().await;
    let browser = place.signed_in(StaffRole::Marketer).await;
    let book = async || {
        let mut browser = browser.at(&browser);
        browser.get("/console/campaigns/spring/codes.xlsx").await.status
    };
    assert_eq!(futures::join!(book(), book(), book()), (200, 200, 200));
}
