//! Every screen, in both languages: it is there, it escapes what others wrote, and it says so in one language.

use attempts::Attempt;
use axum::http::header;
use coupon::calendar::parse_instant;
use coupon::time::{DAY_MS, Millis};
use engine::{
    CampaignDraft, CompactionEnd, CompactionRun, EventsRequest, FeedStart, NoticeRound, OtherRuns,
    StaffRole,
};
use webhooks::NewEndpoint;

use crate::place::{HOSTILE, Place, admin};
use crate::roles::ROUTES;

/// Most bytes of a page, without its style.
const PAGE_BYTES_MAX: usize = 60_000;

#[tokio::test]
async fn what_a_campaign_has_cost() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    for path in ["/console/campaigns/spring", "/console/reports?from=2026-11-01&to=2026-11-30"] {
        let page = browser.get(path).await.must(200);
        for figure in ["<dd>₩3,500</dd>", "<dd>₩30,000</dd>", "<dd>12%</dd>"] {
            assert!(page.text.contains(figure), "{path} has no {figure}");
        }
    }
    let rows = [
        ("yesterday", "/console", "<dd class=\"change\">0 on the whole of yesterday</dd>"),
        ("the course", "/console/reports?from=2026-11-01&to=2026-11-30", "class=\"spark\""),
        ("of a campaign", "/console/reports", "<td class=\"n\">12%</td>"),
        ("of a redemption", "/console/reports", "<td class=\"small\">₩3,500 off ₩30,000</td>"),
    ];
    for (name, path, has) in rows {
        assert!(browser.get(path).await.must(200).text.contains(has), "{name}");
    }
}

#[tokio::test]
async fn every_screen_in_both_languages() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    place.webhook().await;
    let query = place.query().await;
    let mut admin = place.signed_in(StaffRole::Admin).await;
    admin
        .submit("/console/campaigns/spring/pause", &[("paused", "true"), ("reason", HOSTILE)])
        .await
        .must(303);
    let file = format!("code\nOLD-0001\n{HOSTILE}\n");
    admin.upload("/console/campaigns/spring/import", "import", "old", &file).await.must(303);
    let screens = ROUTES.iter().filter(|(_, method, _)| *method == "GET").map(|(_, _, path)| *path);
    let screens = screens.chain(["/console/campaigns/spring/batches/old", "/console/nowhere"]);
    let others = [".csv", ".xlsx", "/data/csv", "/data/json", "/live"];
    let is_page = |path: &&str| !others.iter().any(|end| path.ends_with(end));
    for path in screens.filter(is_page) {
        let path = path.replace("{issued}", &issued).replace("{redeemed}", &redeemed);
        let path = path.replace("{query}", &query);
        for lang in ["en", "ko"] {
            admin.lang = lang;
            let page = admin.get(&path).await;
            let want = if path == "/console/nowhere" { 404 } else { 200 };
            let page = page.must(want);
            page.has(&format!("<html lang=\"{lang}\""));
            assert!(!page.text.contains("<b>Bold"), "{path} does not escape");
            assert!(!page.text.contains(" style="), "{path}: the policy forbids styles in a page");
            assert!(!page.text.contains(" onclick"), "{path}: and scripts");
            assert!(page.text.len() < PAGE_BYTES_MAX, "{path}: {} bytes", page.text.len());
            let main = page.text.split("<main").nth(1).unwrap_or_default();
            let primary = main.matches("class=\"button main").count();
            assert!(primary <= 1, "{path}: {primary} primary actions");
            let other = if lang == "en" { "캠페인" } else { "Campaigns" };
            assert!(!page.text.contains(&format!("{other}</a>")), "{path} in {lang}");
            assert!(!page.text.contains('⟨'), "{path}: a particle was not chosen");
            assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        }
    }
}

#[tokio::test]
async fn headers() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    let page = browser.get("/console").await.must(200);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    let rows = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, want) in rows {
        assert_eq!(page.headers[&name], want, "{name}");
    }
    let style = page.text.split("href=\"").find(|it| it.contains("console.css")).unwrap();
    let style = browser.get(style.split('"').next().unwrap()).await.must(200);
    assert_eq!(style.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(style.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    browser.get("/console/assets/other.css").await.must(404);
}

#[tokio::test]
async fn preferences_are_kept() {
    let place = Place::new();
    let mut browser = place.browser();
    let fields = [
        ("lang", "ko"),
        ("theme", "dark"),
        ("zone", "Europe/Berlin"),
        ("next", "/console/sign-in"),
    ];
    let page = browser.post("/console/preferences", &fields).await.must(303);
    assert_eq!(page.to(), "/console/sign-in");
    let page = browser.get("/console/sign-in").await.must(200);
    page.has("<html lang=\"ko\" data-theme=\"dark\"");
    page.has("value=\"Europe/Berlin\"");
    browser.post("/console/preferences", &[("zone", "Nowhere/Else")]).await.must(422);
    let away = browser.post("/console/preferences", &[("next", "//evil.example")]).await;
    assert_eq!(away.must(303).to(), "/console");
}

#[tokio::test]
async fn an_empty_store_says_what_to_do_next() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let rows = [
        ("/console", "No campaigns yet"),
        ("/console/campaigns", "No campaigns yet"),
        ("/console/campaigns?from=18446744073709551615", "No campaigns yet"),
        ("/console/coupons", "What are you looking for?"),
        ("/console/customers/ann", "No coupons"),
        ("/console/reports", "Nothing was redeemed"),
        ("/console/import", "No campaigns yet"),
        ("/console/events", "No webhook yet. Make the first one"),
        ("/console/store", "No campaign yet"),
        ("/console/staff", "open ones are in no list"),
        ("/console/new-campaign", "never later than the last day above"),
    ];
    for (path, want) in rows {
        browser.get(path).await.must(200).has(want);
    }
    for (role, want) in [
        (StaffRole::Marketer, "give its coupons to customers"),
        (StaffRole::Support, "you find coupons and customers"),
        (StaffRole::Operator, "Meanwhile look at the store"),
        (StaffRole::Viewer, "then you see here how it goes"),
    ] {
        place.signed_in(role).await.get("/console").await.must(200).has(want);
    }
}

#[tokio::test]
async fn a_search_finds() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    let last = issued.chars().last().unwrap();
    let mistyped =
        format!("{}{}", &issued[..issued.len() - 1], if last == '0' { '1' } else { '0' });
    let tried = |user: Option<&str>, order: Option<&str>| {
        let (user, order) = (user.map(str::to_owned), order.map(str::to_owned));
        place.attempts.keep(Attempt { user, order, ..attempt(None, None) });
    };
    tried(Some("zoe"), None);
    tried(None, Some("A-771"));
    tried(Some("both"), Some("both"));
    let spelt = issued.to_lowercase().replace('-', "%20");
    let rows = [
        ("a code in another spelling", spelt.as_str(), 303, issued.as_str()),
        ("a mistyped code", mistyped.as_str(), 200, issued.as_str()),
        ("a customer", "ann", 303, "/console/customers/ann"),
        ("an order", "%3D1%2B1", 303, redeemed.as_str()),
        ("a customer with refusals only", "zoe", 303, "/console/customers/zoe"),
        ("a customer and an order", "both", 200, "/console/customers/both"),
        ("an order that was refused", "A-771", 200, "The coupon has expired"),
        ("a part of a campaign's name", "bold", 303, "/console/campaigns/spring"),
        ("nothing", "zzzz-zzzz", 200, "Nothing found"),
    ];
    for (name, q, status, want) in rows {
        let page = browser.get(&format!("/console/coupons?q={q}")).await;
        assert_eq!(page.status, status, "{name}: {}", page.text);
        let said = if status == 303 { page.to() } else { &page.text };
        assert!(said.contains(want), "{name}: {said}");
    }
}

pub(crate) fn attempt(code: Option<&str>, unknown: Option<&'static str>) -> Attempt {
    Attempt {
        at: 0,
        action: "redeem".into(),
        code: code.map(str::to_owned),
        campaign: None,
        user: None,
        order: None,
        actor: None,
        peer: None,
        problem: if unknown.is_some() { "NOT_FOUND" } else { "EXPIRED" }.into(),
        unknown: unknown.map(Into::into),
    }
}

/// A real coupon that was not found: its page says why, and no page says that it is none.
#[tokio::test]
async fn a_coupon_that_was_not_found() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    for reason in ["of_another_user", "not_issued"] {
        let kept = attempt(Some(&issued), Some(reason));
        place.attempts.keep(Attempt { user: Some("bob".to_owned()), ..kept });
    }
    for (role, sees_code) in
        [(StaffRole::Admin, true), (StaffRole::Support, true), (StaffRole::Viewer, false)]
    {
        let mut browser = place.signed_in(role).await;
        for path in [format!("/console/coupons/{issued}"), "/console/customers/bob".to_owned()] {
            for (lang, says) in [("en", "is of another customer"), ("ko", "다른 고객의 쿠폰")]
            {
                browser.lang = lang;
                let page = browser.get(&path).await.must(200);
                page.has(says);
                page.has(if lang == "en" {
                    "it must be given out first"
                } else {
                    "먼저 발급해야"
                });
                for lie in ["There is no such coupon", "not one of ours", "해당 쿠폰"] {
                    assert!(!page.text.contains(lie), "{path}: {}", page.text);
                }
                let link = format!("· <a href=\"/console/coupons?q={issued}\"><bdi>{issued}</bdi>");
                let has_code = page.text.contains(&link);
                assert_eq!(has_code, sees_code, "{role:?} {path}: {}", page.text);
            }
        }
    }
}

#[tokio::test]
async fn a_viewer_sees_where_a_webhook_leads_and_not_its_secrets() {
    let place = Place::new();
    let webhooks = place.webhook().await;
    let url = "https://hooks.example.com/T0/s3cret?token=s3cret".to_owned();
    let (webhook_id, ordered) = (Some("chat".to_owned()), false);
    let new = NewEndpoint {
        webhook_id,
        url,
        description: None,
        types: None,
        campaign: None,
        ordered,
        cursor: None,
    };
    webhooks.create(new).await.unwrap();
    for role in StaffRole::ALL {
        let mut browser = place.signed_in(role).await;
        for path in ["/console/events", "/console/webhooks/chat"] {
            let page = browser.get(path).await.must(200);
            page.has("https://hooks.example.com/");
            let may = matches!(role, StaffRole::Operator | StaffRole::Admin);
            assert_eq!(page.text.contains("s3cret"), may, "{role:?} {path}");
        }
    }
}

#[tokio::test]
async fn notices_that_are_due() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    // One of the two coupons is still out; the last day is 31 March.
    let rows = [
        ("/console/calendar?month=2027-03", "notices of 1 coupon", true),
        ("/console/calendar?month=2027-02", "notices of 1 coupon", false),
        ("/console/calendar/2027-03-01", "30 days before 31 Mar 2027", true),
        ("/console/calendar/2027-03-24", "7 days before 31 Mar 2027", true),
        ("/console/calendar/2027-03-25", "days before 31 Mar 2027", false),
        ("/console/calendar/2027-03-25", "Notices would be due 30, 7 days before", true),
    ];
    for (path, text, want) in rows {
        let page = browser.get(path).await.must(200);
        assert_eq!(page.text.contains(text), want, "{path}: {}", page.text);
    }
}

/// What was sent, by the day on which it was sent: 23:30 in UTC is the next day in Seoul.
#[tokio::test]
async fn notices_that_were_sent() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    let late = parse_instant("2026-11-19T23:30:00Z").expect("an instant");
    let sent = |at: Millis, sent, failed| NoticeRound {
        began_at: at.0,
        to: "as-mail".to_owned(),
        sent,
        coupons: sent + 1,
        failed,
    };
    for round in [sent(late, 1_200, 3), sent(late.plus_ms(3_600_000), 5, 0), sent(late, 0, 0)] {
        place.engine.note_notice_round(round).await.expect("entered");
    }
    let rows = [
        ("/console/calendar?month=2026-11", "1,205 notices sent", true),
        ("/console/calendar?month=2026-10", "notices sent", false),
        ("/console/calendar/2026-11-20", "08:30:00", true),
        ("/console/calendar/2026-11-20", "as-mail", true),
        ("/console/calendar/2026-11-20", "1,201", true),
        ("/console/calendar/2026-11-19", "as-mail", false),
    ];
    for (path, text, want) in rows {
        let page = browser.get(path).await.must(200);
        assert_eq!(page.text.contains(text), want, "{path}: {}", page.text);
    }
}

/// Who reads the feed, and how far behind they are.
#[tokio::test]
async fn readers_of_the_feed() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Operator).await;
    browser.get("/console/events").await.must(200).has("events?reader=warehouse");
    let read = async |name: &str, from: FeedStart| {
        let reader = Some(name.parse().expect("a name"));
        let request = EventsRequest { from, reader, ..EventsRequest::default() };
        place.engine.events(&admin(), request).await.expect("events");
    };
    read("slow", FeedStart::Oldest).await;
    place.clock.pass(3 * 3_600_000);
    read("kafka:coupon-events", FeedStart::Newest).await;
    let page = browser.get("/console/events").await.must(200);
    page.has("kafka:coupon-events").has("Up to date").has("slow").has("3 hours");
    let (slow, fast) = (page.text.find(">slow<"), page.text.find(">kafka:coupon"));
    assert!(slow < fast, "those that are behind come first");
    // The other process of a cluster knows them, too.
    let page = place.beside().signed_in(StaffRole::Viewer).await.get("/console/events").await;
    page.has("kafka:coupon-events");
}

#[tokio::test]
async fn the_funnel_and_the_report_by_campaign() {
    let place = Place::new();
    let (_, redeemed) = place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Support).await;
    let cancel = [("order_ref", "=1+1"), ("reason", "returned")];
    let path = format!("/console/coupons/{redeemed}/cancel-redemption");
    browser.submit(&path, &cancel).await.must(303);
    let page = browser.get("/console/campaigns/spring").await.must(200);
    for (step, count, share) in [
        ("Given out, without voided ones", "2", "10% of the stock"),
        ("\"row\">Redeemed<", "0", "0% of those given out"),
        ("Cancelled since 20 Nov 2026", "1", "50% of those given out"),
        ("row\">All<", "20", "100%"),
    ] {
        let row = page.text.split(step).nth(1).unwrap_or_default();
        let row = row.split("</tr>").next().unwrap_or_default();
        let has = [count, share].map(|it| row.contains(&format!("<td class=\"n\">{it}</td>")));
        assert_eq!(has, [true, true], "{step}: {row}");
    }
    let page = browser.get("/console/reports").await.must(200);
    page.has("By campaign");
    let row = page.text.split("By campaign").nth(2).and_then(|rest| rest.split("</table>").next());
    let row = row.unwrap_or_default();
    assert!(row.contains("/console/campaigns/spring") && row.contains("part redeemed"), "{row}");
}

/// A chart begins where its campaign begins, says what it shows, and shows what is not over yet as such.
#[tokio::test]
async fn charts() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    browser.get("/console").await.must(200).has("Nothing was issued or redeemed in this time.");
    place.seeded().await;
    let rows = [
        (
            "today, by the hour",
            "/console/campaigns/spring",
            13,
            "12:00: 2 issued, 1 redeemed",
            true,
        ),
        ("today alone", "/console/campaigns/spring?by=day", 1, "Today: 2 issued, 1 redeemed", true),
        ("a report of its first day", "/console/reports", 22, "21:00: 2 issued", true),
        ("two weeks", "/console", 14, "Today: 2 issued, 1 redeemed", true),
        (
            "one day",
            "/console/reports?from=2026-11-19&to=2026-11-19",
            0,
            "Nothing was issued",
            false,
        ),
        (
            "until yesterday",
            "/console/reports?from=2026-10-01&to=2026-11-19",
            0,
            "Nothing was",
            false,
        ),
    ];
    for (name, path, points, says, is_open) in rows {
        let page = browser.get(path).await.must(200);
        assert!(page.text.contains(says), "{name}: {}", page.text);
        let found = page.text.matches("<li tabindex=\"0\"><span>").count();
        assert_eq!(found, points, "{name}: {}", page.text);
        assert_eq!(page.text.contains("not over yet"), is_open, "{name}");
    }
    browser.lang = "ko";
    browser.get("/console/campaigns/spring").await.must(200).has("12:00 발급 2, 사용 1");
}

/// What a boss asks: of whom, of which days, and how it was before.
#[tokio::test]
async fn a_report_is_compared_with_the_span_before() {
    let place = Place::new();
    place.seeded().await;
    place.clock.pass(86_400_000);
    place.issued("cyd").await;
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    let rows = [
        ("a day", "from=2026-11-21&to=2026-11-21", "", "−50%, 2 before"),
        ("nothing before", "from=2026-11-20&to=2026-11-20", "", "0 before"),
        ("a month", "from=2026-11-01&to=2026-11-30", "1 Oct 2026 to 31 Oct 2026", "33%"),
        ("by name", "campaign=spring", "value=\"spring\" selected>", "all campaigns"),
        ("preset", "from=2026-11-20&to=2026-11-20", "aria-current=\"true\">Yesterday", ">Print<"),
        ("use rate", "", "<td class=\"n\">33%</td>", "The use rate is"),
    ];
    for (name, query, has, also) in rows {
        let page = browser.get(&format!("/console/reports?{query}")).await.must(200);
        assert!(page.text.contains(has), "{name}: {}", page.text);
        let is_there = page.text.contains(also);
        assert_eq!(is_there, name != "by name", "{name}: {}", page.text);
    }
    // Of two years ago no sums are kept.
    let page = browser.get("/console/reports?from=2024-12-01&to=2024-12-31").await.must(200);
    assert!(!page.text.contains("Compared with"), "{}", page.text);
}

#[tokio::test]
async fn times_are_those_of_the_campaign() {
    let place = Place::new();
    place.seeded().await;
    let draft = CampaignDraft {
        id: Some("paris".parse().unwrap()),
        expires_on: Some("2027-03-31".parse().unwrap()),
        time_zone: Some("Europe/Paris".parse().unwrap()),
        stock: Some(5),
        ..CampaignDraft::default()
    };
    place.engine.create_campaign(&crate::place::admin(), draft).await.unwrap();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    // Noon of UTC, in the zone of the campaign on its page, and in that of the reader among all; the terms are
    // those of the campaign on both.
    let rows = [
        ("/console/campaigns/paris", "20 Nov 2026 13:00"),
        ("/console/audit?campaign=paris", "20 Nov 2026 21:00"),
        ("/console/audit?campaign=paris", "<bdi>31 Mar 2027</bdi>"),
        ("/console/campaigns/paris/batches/first", "20 Nov 2026 13:00"),
        ("/console/store", "31 Mar 2027"),
    ];
    for (path, text) in rows {
        let page = browser.get(path).await.must(200);
        page.has(text);
        for raw in ["T12:00", "T22:00", "T15:00", "00.000Z"] {
            assert!(!page.text.contains(raw), "{path} has a raw instant {raw}");
        }
    }
}

#[tokio::test]
async fn the_machine() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Operator).await;
    let page = browser.get("/console/store").await.must(200);
    for text in ["<dd>1.2 GB</dd>", "<dd>12 kB</dd>", "<dd>999 B</dd>", "None yet."] {
        page.has(text);
    }
    assert!(!page.text.contains("Memory"), "what is not known is not there");
    for text in ["10.0.0.1:9042", "seoul", "5.0.8", "12 ms", "10.0.0.2:9042", "Does not answer"] {
        page.has(text);
    }
    for failed in [None, Some(HOSTILE.to_owned())] {
        let mut run = CompactionRun::new("serve", "app-1", place.engine.now());
        place.engine.begin_compaction(&run, OtherRuns::GoOn).await.expect("entered");
        let (days, rows, bytes) = (2, 1_234_567, 45_000_000);
        run.ended = Some(CompactionEnd { took_ms: 12_340, days, rows, bytes, failed });
        place.engine.note_compaction(&run).await.expect("noted");
    }
    let page = browser.get("/console/store").await.must(200);
    for text in ["12.3 s", "1,234,567", "45 MB", "Failed"] {
        page.has(text);
    }
    // What is wrong, and what mends it.
    page.has("The last compaction failed: ").has("run couponry compact");
    page.has("Node 10.0.0.2:9042 does not answer.").has("nodetool status");
    assert!(!page.text.contains("Tell an operator"), "they are one");
    let page = browser.get("/console/keys").await.must(200);
    for text in ["0ld0ld", "Retired", "new1new", "Newest", "365 days", "c0de", "Mints codes"] {
        page.has(text);
    }
}

/// Whoever does not run the store sees sentences, and can fold out the rest.
#[tokio::test]
async fn the_store_in_words() {
    let place = Place::new();
    place.seeded().await;
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    let page = viewer.get("/console/store").await.must(200);
    let (words, terms) = page.text.split_once("<details class=\"fold\">").expect("folded");
    for text in ["expire on 1 day.", "No coupon is in the archive yet.", "Tell an operator."] {
        assert!(words.contains(text), "{text}: {words}");
    }
    for text in ["Archive commits", "nodetool", "couponry compact"] {
        assert!(!words.contains(text), "{text}: {words}");
    }
    assert!(terms.contains("Archive commits") && terms.contains("Commits since the start"));
    let mut run = CompactionRun::new("serve", "app-1", place.engine.now());
    place.engine.begin_compaction(&run, OtherRuns::GoOn).await.expect("entered");
    viewer.get("/console/store").await.must(200).has("are moving to the archive now");
    run.ended = Some(CompactionEnd { rows: 10_000, ..CompactionEnd::default() });
    place.engine.note_compaction(&run).await.expect("noted");
    viewer.lang = "ko";
    viewer.get("/console/store").await.must(200).has("쿠폰 10,000장을 보관했습니다");
    let mut operator = place.signed_in(StaffRole::Operator).await;
    let page = operator.get("/console/store").await.must(200);
    page.has("<details class=\"fold\"><summary>In plain words").has("Archive commits");
}

/// The days of a list are read once, and today is not one of them.
#[tokio::test]
async fn the_last_days_of_a_list() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Viewer).await;
    let page = browser.get("/console/campaigns").await.must(200);
    assert!(!page.text.contains("class=\"spark\""), "there is nothing before today");
    place.clock.pass(DAY_MS);
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let said = "aria-label=\"The 30 days before today: 2 issued, 1 redeemed\"";
    for last in [false, true] {
        // A page that does not wait for its lines has them the next time.
        let mut page = browser.get("/console/campaigns").await.must(200);
        while !last && !page.text.contains(said) {
            page = browser.get("/console/campaigns").await.must(200);
        }
        page.has(said);
        place.issued("eva").await;
    }
}
