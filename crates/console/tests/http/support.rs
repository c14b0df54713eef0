//! What a support agent meets: half a code, two wrong characters, somebody new, and a way back from each refusal.

use attempts::Attempt;
use axum::http::Method;
use engine::{CampaignDraft, StaffRole};

use crate::browser::Browser;
use crate::place::{Place, admin};
use crate::screens::attempt;

/// What it is, its fields, and the status of the answer.
type WrongForm<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

/// The code with other characters at these places.
fn mistyped(code: &str, places: &[usize]) -> String {
    let other = |(at, it): (usize, char)| match (places.contains(&at), it) {
        (false, it) => it,
        (true, '7') => '4',
        (true, _) => '7',
    };
    code.chars().enumerate().map(other).collect()
}

#[tokio::test]
async fn searches_that_find_nothing() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let mut support = place.signed_in(StaffRole::Support).await;
    let code = issued.as_str();
    let rows = [
        ("one wrong character", mistyped(code, &[2]), code),
        ("two wrong characters", mistyped(code, &[2, 12]), code),
        ("three of them", mistyped(code, &[0, 6, 12]), "Nothing found"),
        ("half a code", mistyped(&code[..9], &[0]), "and this has 8"),
        ("somebody new", "zoe".to_owned(), "href=\"/console/customers/zoe\""),
        ("a name with digits", "zoe2027".to_owned(), "href=\"/console/customers/zoe2027\""),
        ("a telephone", "010-1234-5678".to_owned(), "href=\"/console/customers/010-1234-5678\""),
    ];
    for (name, q, want) in rows {
        let page = support.get(&format!("/console/coupons?q={q}")).await.must(200);
        assert!(page.text.contains(want), "{name}: {}", page.text);
    }
    for part in ["7K2M9Q", "7K2M-9QXD", "7k2m-9qxd"] {
        let page = support.get(&format!("/console/coupons?q={part}")).await.must(200);
        assert!(!page.text.contains("/console/customers/7"), "{part} is nobody: {}", page.text);
    }
    support.get("/console/customers/zoe").await.must(200).has("Give a coupon");
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    let page = viewer.get("/console/coupons?q=zoe").await.must(200);
    assert!(!page.text.contains("/console/customers/zoe"), "who may not give is offered nothing");
}

/// Keyboards for Korean make wide letters and digits, too.
#[tokio::test]
async fn codes_in_wide_letters() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).expect("a wide character");
    let escaped = |byte: u8| format!("%{byte:02X}");
    let typed: String = issued.chars().map(wide).collect();
    let typed: String = typed.bytes().map(escaped).collect();
    let mut support = place.signed_in(StaffRole::Support).await;
    let found = support.get(&format!("/console/coupons?q={typed}")).await.must(303);
    assert_eq!(found.to(), format!("/console/coupons/{issued}"));
    support.get(&format!("/console/coupons/{typed}/revoke")).await.must(200).has(&issued);
    // Nor has a word that many share another width.
    let draft = CampaignDraft {
        id: Some("shared".parse().unwrap()),
        handout: Some(coupon::campaign::Handout::Shared),
        shared_code: Some("SUMMER".parse().unwrap()),
        expires_on: Some("2027-03-31".parse().unwrap()),
        stock: Some(2),
        ..CampaignDraft::default()
    };
    place.engine.create_campaign(&admin(), draft).await.unwrap();
    let word: String = "summer".chars().map(wide).collect();
    let word: String = word.bytes().map(escaped).collect();
    let found = support.get(&format!("/console/coupons?q={word}")).await.must(303);
    assert_eq!(found.to(), "/console/campaigns/shared");
}

/// What is wrong with the form that forgets somebody is said at its field, and nobody is forgotten.
#[tokio::test]
async fn a_name_that_is_typed_wrong() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let path = "/console/customers/ann/erase";
    for (name, fields, want) in [
        ("another name", [("user_id", "anna"), ("reason", "asked")], "is another name than"),
        ("no name", [("user_id", ""), ("reason", "asked")], "is missing"),
        ("no reason", [("user_id", "ann"), ("reason", "")], "is missing"),
    ] {
        let page = browser.submit(path, &fields).await.must(422);
        assert!(
            page.text.contains(&format!("<strong class=\"fault\">{want}")),
            "{name}: {}",
            page.text
        );
        assert!(!page.text.contains(".."), "{name}: {}", page.text);
    }
    let page = browser.submit(path, &[("user_id", "anna"), ("reason", "asked")]).await;
    page.has("value=\"anna\" ")
        .has("value=\"asked\"")
        .has("action=\"/console/customers/ann/erase\"");
    browser.get("/console/erasures").await.must(200).has("Nobody was forgotten");
    browser.submit(path, &[("user_id", "ann"), ("reason", "asked")]).await.must(303);
}

#[tokio::test]
async fn a_coupon_under_another_account() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let tried = |user: &str, unknown: &'static str| Attempt {
        code: Some(issued.clone()),
        user: Some(user.to_owned()),
        ..attempt(None, Some(unknown))
    };
    for (user, unknown) in
        [("bob", "of_another_user"), ("bob", "of_another_user"), ("cid", "other")]
    {
        place.attempts.keep(tried(user, unknown));
    }
    let mut support = place.signed_in(StaffRole::Support).await;
    let page = support.get(&format!("/console/coupons/{issued}")).await.must(200);
    let page = page.text.replace(['\u{2068}', '\u{2069}'], "");
    assert_eq!(page.matches("bob tried to use it").count(), 1, "{page}");
    assert!(!page.contains("cid tried"), "{page}");
    assert!(page.contains("href=\"/console/customers/bob\""), "{page}");
}

async fn sent_from(browser: &mut Browser, from: &'static str, path: &str) -> String {
    browser.extra = vec![("referer", from)];
    let page = browser.send(Method::GET, path, None, axum::body::Body::empty()).await.must(404);
    browser.extra.clear();
    page.text
}

#[tokio::test]
async fn refusals_lead_back() {
    let place = Place::new();
    place.seeded().await;
    let mut support = place.signed_in(StaffRole::Support).await;
    let back = "href=\"/console/customers/ann?x=1&#38;y=2\"";
    let from = "http://shop.example/console/customers/ann?x=1&y=2";
    let page = sent_from(&mut support, from, "/console/coupons/NONE-0000").await;
    assert!(page.contains(back) && page.contains("Back to where you were"), "{page}");
    let elsewhere = "http://evil.example/console/customers/ann?x=1&y=2";
    let page = sent_from(&mut support, elsewhere, "/console/coupons/NONE-0000").await;
    assert!(!page.contains("Back to where you were"), "{page}");
    let page = sent_from(&mut place.browser(), from, "/console/nowhere").await;
    assert!(!page.contains("Back to where you were"), "{page}");
}

#[tokio::test]
async fn the_list_of_campaigns() {
    let place = Place::new();
    place.seeded().await;
    for (id, name, stock) in [("aa", "Aardvark", 5), ("zz", "Zebra", 500)] {
        let draft = CampaignDraft {
            id: Some(id.parse().unwrap()),
            name: Some(name.to_owned()),
            stock: Some(stock),
            expires_on: Some("2027-03-31".parse().unwrap()),
            ..CampaignDraft::default()
        };
        place.engine.create_campaign(&admin(), draft).await.unwrap();
    }
    let mut browser = place.signed_in(StaffRole::Operator).await;
    let rows = [
        ("name", ["Aardvark", "Zebra"], "sort=-name", "aria-sort=\"ascending\""),
        ("-name", ["Zebra", "Aardvark"], "sort=name", "aria-sort=\"descending\""),
        ("left", ["Aardvark", "Zebra"], "sort=-left", "aria-sort=\"ascending\""),
        ("-left", ["Zebra", "Aardvark"], "sort=left", "aria-sort=\"descending\""),
        ("redeemed", ["Aardvark", "Zebra"], "sort=-redeemed", "aria-sort=\"descending\""),
    ];
    for (sort, names, link, order) in rows {
        let page = browser.get(&format!("/console/campaigns?sort={sort}")).await.must(200);
        let [one, other] = names.map(|name| page.text.find(&format!("<bdi>{name}</bdi></a>")));
        assert!(one.is_some() && one < other, "{sort}: {}", page.text);
        page.has(link).has(order);
    }
    let path = "/console/pause-campaigns";
    let fields = [("reason", "leaked"), ("campaign", "aa"), ("campaign", "zz"), ("paused", "true")];
    let page = browser.submit(&format!("{path}?q=z&sort=name&done=x"), &fields).await.must(303);
    assert_eq!(page.to(), "/console/campaigns?q=z&sort=name&done=paused-all", "the list stays");
    browser.get(page.to()).await.must(200).has("They are paused");
    let is_paused = async |id: &str| {
        let view = place.engine.campaign(&admin(), &id.parse().unwrap()).await.unwrap();
        view.campaign.paused
    };
    for (id, want) in [("aa", true), ("zz", true), ("spring", false)] {
        assert_eq!(is_paused(id).await, want, "{id}");
    }
    let fields = [("reason", "mended"), ("campaign", "zz"), ("paused", "false")];
    browser.submit(path, &fields).await.must(303);
    assert!(is_paused("aa").await && !is_paused("zz").await);
    let wrong: [WrongForm<'_>; 3] = [
        ("none chosen", &[("reason", "x"), ("paused", "true")], 422),
        ("no reason", &[("campaign", "aa"), ("paused", "true")], 422),
        ("no such campaign", &[("campaign", "none"), ("reason", "x"), ("paused", "true")], 404),
    ];
    for (name, fields, status) in wrong {
        assert_eq!(browser.submit(path, fields).await.status, status, "{name}");
    }
    let some = [("reason", "x"), ("campaign", "zz"), ("campaign", "none"), ("paused", "true")];
    let page = browser.submit(path, &some).await.must(303);
    browser.get(page.to()).await.must(200).has("Only some of them were changed");
    let mut viewer = place.signed_in(StaffRole::Viewer).await;
    let page = viewer.get("/console/campaigns").await.must(200);
    assert!(!page.text.contains("type=\"checkbox\""), "{}", page.text);
}

/// What was refused leads to the coupon, for whoever sees its whole code.
#[tokio::test]
async fn a_refused_order_leads_to_its_coupon() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let of_another = attempt(Some(&issued), Some("of_another_user"));
    place.attempts.keep(Attempt { order: Some("A-1".to_owned()), ..of_another });
    let unknown = attempt(Some("NONE-0000"), Some("other"));
    place.attempts.keep(Attempt { order: Some("A-2".to_owned()), ..unknown });
    // The search knows words that many share, too.
    let link = format!("href=\"/console/coupons?q={issued}\"");
    for (role, order, has) in [
        (StaffRole::Support, "A-1", true),
        (StaffRole::Viewer, "A-1", false),
        (StaffRole::Support, "A-2", false),
    ] {
        let mut browser = place.signed_in(role).await;
        let page = browser.get(&format!("/console/coupons?q={order}")).await.must(200);
        let main = page.text.split("<main").nth(1).unwrap_or_default();
        assert_eq!(main.contains(&link), has, "{role:?} {order}: {main}");
        assert_eq!(main.contains("coupons?q="), has, "{role:?} {order}: {main}");
    }
}

/// A form of terms that another person has changed meanwhile: nothing typed is lost, and what each wants is there.
#[tokio::test]
async fn two_people_change_the_terms() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let terms = "/console/campaigns/spring/terms";
    let page = browser.get(terms).await.must(200);
    let [tag, was] = ["tag", "was"].map(|name| page.value(name).replace("&#38;", "&"));
    let form = |name, limit, until| {
        let tags = [("tag", tag.as_str()), ("was", was.as_str())];
        let fields = [("name", name), ("per_user_limit", limit), ("issue_until", until)];
        tags.into_iter().chain(fields).collect::<Vec<_>>()
    };
    // A pause is no change of a field.
    let pause = [("paused", "true"), ("reason", "leaked")];
    browser.submit("/console/campaigns/spring/pause", &pause).await.must(303);
    browser.submit(terms, &form("Spring", "1", "")).await.must(303);
    let page = browser.submit(terms, &form("Spring!", "1", "2027-02-28")).await.must(409);
    for text in [
        "while this form was open",
        "<bdi>Spring</bdi></td><td><bdi>Spring!</bdi></td>",
        "<td><bdi></bdi></td><td><bdi></bdi></td><td><bdi>2027-02-28</bdi></td>",
        "value=\"Spring!\"",
        "value=\"2027-02-28\"",
    ] {
        page.has(text);
    }
    let [tag, was] = ["tag", "was"].map(|name| page.value(name).replace("&#38;", "&"));
    let again = [("tag", tag.as_str()), ("was", was.as_str()), ("name", "Spring!")];
    let again = [&again[..], &[("per_user_limit", "1")]].concat();
    browser.submit(terms, &again).await.must(303);
    // What is wrong is said beside what was typed.
    let page = browser.submit(terms, &[("name", "Mine"), ("per_user_limit", "0")]).await.must(422);
    page.has("value=\"Mine\"").has("Coupons per person");
}

/// Whoever begins a campaign meets the currency of the last one, and the end of the one that they duplicate.
#[tokio::test]
async fn a_form_begins_with_what_is_likely() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Marketer).await;
    let form = "/console/new-campaign";
    let currency = |value: &str| {
        format!("name=\"currency\" list=\"currencies\" maxlength=\"3\" value=\"{value}\"")
    };
    browser.get(form).await.must(200).has(&currency(""));
    browser.lang = "ko";
    browser.get(form).await.must(200).has(&currency("KRW"));
    let fields = [
        ("name", "Ten"),
        ("handout", "shop"),
        ("expires_on", "2027-12-31"),
        ("currency", "USD"),
        ("create", "1"),
    ];
    browser.submit(form, &fields).await.must(303);
    browser.get(form).await.must(200).has(&currency("USD"));
    let like = "/console/new-campaign?like=spring";
    let page = browser.get(&format!("{like}&handout=bearer")).await.must(200);
    page.has("name=\"expires_on\" required value=\"2027-03-31\"");
    browser.get(like).await.must(200).has("name=\"expires_on\" required value=\"\"");
}

/// Which of the two is paused, since when and why: on every page on which somebody looks for it.
#[tokio::test]
async fn what_is_paused() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let mut support = place.signed_in(StaffRole::Support).await;
    let campaign = "/console/campaigns/spring";
    let batch = format!("{campaign}/batches/first");
    let pages = [format!("/console/coupons/{issued}"), "/console/customers/ann".to_owned()];
    let rows = [
        (
            campaign,
            "true",
            "Campaign \u{2068}",
            &[campaign.to_owned(), pages[0].clone(), pages[1].clone()][..],
        ),
        (campaign, "false", "", &[]),
        (&batch, "true", "Batch \u{2068}", &pages[..]),
    ];
    for (path, paused, what, pages) in rows {
        let form = [("paused", paused), ("reason", "a leaked list")];
        admin.submit(&format!("{path}/pause"), &form).await.must(303);
        for page in pages {
            let page = support.get(page).await.must(200);
            page.has(what).has("has been paused since 20 Nov 2026 12:00 UTC").has("a leaked list");
        }
    }
}

/// A file says what happened before, and who sent it did not do it.
#[tokio::test]
async fn what_a_file_said() {
    let place = Place::new();
    place.seeded().await;
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let file = "code,state,user_id,redeemed_at,order_ref\n\
                OLD-0001,redeemed,ann,2025-01-05T03:00:00Z,A-1\n\
                OLD-0002,redeemed,ann,2026-11-19T03:00:00Z,A-2\nOLD-0003,issued,ann,,\n";
    let path = "/console/campaigns/spring/import";
    admin.upload(path, "import", "old", file).await.must(303);
    for (code, is_open) in [("OLD0001", false), ("OLD0002", true), ("OLD0003", false)] {
        let page = admin.get(&format!("/console/coupons/{code}")).await.must(200);
        page.has("imported from \u{2068}old\u{2069} by \u{2068}admin\u{2069}");
        assert!(!page.text.contains("· <bdi>admin</bdi>"), "{code}: {}", page.text);
        assert_eq!(page.text.contains("/cancel-redemption\""), is_open, "{code}: {}", page.text);
    }
    let page = admin.get("/console/customers/ann").await.must(200);
    page.has("Nobody has done anything");
}

/// A coupon that was taken back is in no list of the customer, and what was done for them stays.
#[tokio::test]
async fn what_was_done_stays() {
    let place = Place::new();
    let (issued, _) = place.seeded().await;
    let mut support = place.signed_in(StaffRole::Support).await;
    let coupon = |action: &str| format!("/console/coupons/{issued}/{action}");
    let extend = [("expires_on", "2027-04-30"), ("time_zone", "UTC"), ("reason", "shipped late")];
    support.submit(&coupon("extend"), &extend).await.must(303);
    let revoke = [("user_id", "ann"), ("reason", "wrong person")];
    support.submit(&coupon("revoke"), &revoke).await.must(303);
    support.submit(&coupon("issue"), &[("user_id", "zoe")]).await.must(303);
    support.submit(&coupon("void"), &[("reason", "not hers")]).await.must(303);
    for (user, has) in
        [("ann", ["shipped late", "wrong person"]), ("zoe", ["Given to", "not hers"])]
    {
        let page = support.get(&format!("/console/customers/{user}")).await.must(200);
        page.has(has[0]).has(has[1]);
        for other in ["shipped late", "wrong person", "not hers"] {
            let is_theirs = has.contains(&other);
            assert_eq!(page.text.contains(other), is_theirs, "{user} {other}: {}", page.text);
        }
    }
    let reason = "asked".parse().unwrap();
    let request = engine::ErasureRequest { id: None, reason, is_urgent: false };
    place
        .engine
        .erase_person(&crate::place::admin(), &"ann".parse().unwrap(), request)
        .await
        .unwrap();
    let codes = place
        .engine
        .noted_coupons(engine::CouponNotes::RevokedFrom(&"ann".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(codes, Vec::<String>::new(), "a person who is forgotten has had nothing");
}
