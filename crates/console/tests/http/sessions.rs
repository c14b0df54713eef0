//! Signing in and out: links, passwords, sessions, and the tokens of forms.

use attempts::Wanted;
use axum::body::Body;
use axum::http::{Method, header};
use console::{FIRST_LINK_MS, SETTLED_MS, SigningKeys};
use coupon::time::Millis;
use engine::StaffRole;
use passwords::{Password, Purpose};

use crate::place::{PASSWORD, Place, SECRET, signing};

const NAME: &str = "admin";

/// Another key than that of the place.
const SECOND: (&str, &[u8], Millis) = ("k2", b"another one of thirty-two bytes!", Millis(0));

#[tokio::test]
async fn a_link_makes_one_account() {
    let place = Place::new();
    let mut browser = place.browser();
    browser.get("/console/campaigns").await.must(303);
    let link = place.link(StaffRole::Admin, None);
    // Programs that look at links in messages do not use them up.
    for _ in 0..2 {
        browser.get(&link).await.must(200).has("role Admin");
    }
    let signed = link.split_once("link=").unwrap().1;
    let cases = [
        ("a short password", [("link", signed), ("name", "eva"), ("password", "short")], 422),
        ("a name with blanks", [("link", signed), ("name", "e v a"), ("password", PASSWORD)], 422),
        (
            "another signature",
            [("link", &signed[1..]), ("name", "eva"), ("password", PASSWORD)],
            410,
        ),
        ("as it should be", [("link", signed), ("name", "eva"), ("password", PASSWORD)], 303),
        ("a second time", [("link", signed), ("name", "bob"), ("password", PASSWORD)], 410),
    ];
    for (name, fields, want) in cases {
        let page = browser.post("/console/welcome", &fields).await;
        assert_eq!(page.status, want, "{name}: {}", page.text);
    }
    browser.get("/console/campaigns").await.must(200).has("eva");
    let people = place.engine.staff().await.unwrap();
    assert_eq!(people.people().iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["eva"]);
}

#[tokio::test]
async fn names_that_look_alike() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let enroll = async |name: &str, link: String| {
        let signed = link.split_once("link=").unwrap().1.to_owned();
        let fields = [("link", signed.as_str()), ("name", name), ("password", PASSWORD)];
        place.browser().post("/console/welcome", &fields).await
    };
    let twin = "\u{430}dmin";
    let rows = [
        ("a Cyrillic letter", twin, 422),
        ("a digit for a letter", "adm1n", 303),
        ("its own", "eva", 303),
        ("a full-width letter", "ｅva", 422),
        ("another one", "evi", 303),
    ];
    for (row, name, want) in rows {
        let page = enroll(name, place.link(StaffRole::Viewer, None)).await;
        assert_eq!(page.status, want, "{row}: {}", page.text);
        assert_eq!(page.text.contains("looks like that of somebody"), want == 422, "{row}");
    }
    enroll("", place.link(StaffRole::Viewer, Some(twin))).await.must(422);
    let page = admin.submit("/console/staff/invite", &[("role", "viewer"), ("name", twin)]).await;
    page.must(422).has("looks like that of somebody");
    // Their own name stays theirs: a new password.
    enroll("", place.link(StaffRole::Admin, Some(NAME))).await.must(303);
}

#[tokio::test]
async fn a_link_ends_after_an_hour() {
    let place = Place::new();
    let link = place.link(StaffRole::Admin, None);
    place.clock.pass(console::FIRST_LINK_MS - 1);
    place.browser().get(&link).await.must(200);
    place.clock.pass(1);
    place.browser().get(&link).await.must(410);
}

#[tokio::test]
async fn passwords() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    let cases = [
        ("a wrong password", NAME, "wrong horse battery", 401),
        ("an unknown name", "nobody", PASSWORD, 401),
        ("no password", NAME, "", 401),
        ("as it should be", NAME, PASSWORD, 303),
    ];
    for (name, login, password, want) in cases {
        let mut browser = place.browser();
        let fields = [("name", login), ("password", password), ("next", "/console/store")];
        let page = browser.post("/console/sign-in", &fields).await;
        assert_eq!(page.status, want, "{name}");
        assert_eq!(page.to() == "/console/store", want == 303, "{name}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_counted() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    let mut browser = place.browser();
    let wrong = [("name", NAME), ("password", "wrong horse battery")];
    for _ in 0..console::SIGN_INS_MAX {
        browser.post("/console/sign-in", &wrong).await.must(401).has("is wrong");
    }
    let right = [("name", NAME), ("password", PASSWORD)];
    browser.post("/console/sign-in", &right).await.must(401).has("Too many wrong passwords");
    place.clock.pass(console::SIGN_IN_WINDOW_MS);
    browser.post("/console/sign-in", &right).await.must(303);
}

#[tokio::test]
async fn a_name_has_one_count_in_all_spellings() {
    let place = Place::new();
    let mut browser = place.browser();
    let signed = place.link(StaffRole::Admin, Some("가각"));
    let signed = signed.split_once("link=").unwrap().1;
    browser.post("/console/welcome", &[("link", signed), ("password", PASSWORD)]).await.must(303);
    let mut sign_in = async |name: &str, password: &str| {
        browser.post("/console/sign-in", &[("name", name), ("password", password)]).await
    };
    let spellings =
        ["가각", "\u{1100}\u{1161}각", "가\u{1100}\u{1161}\u{11a8}", "\u{1100}\u{1161}가\u{11a8}"];
    sign_in(spellings[1], PASSWORD).await.must(303);
    for nth in 0..console::SIGN_INS_MAX as usize {
        let name = spellings[nth % spellings.len()];
        sign_in(name, "wrong horse battery").await.must(401).has("is wrong");
    }
    for name in spellings {
        sign_in(name, PASSWORD).await.must(401).has("Too many wrong passwords");
    }
    // What can be no name has one count, too.
    for nth in 0..console::SIGN_INS_MAX {
        sign_in(&format!("no name {nth}"), PASSWORD).await.must(401).has("is wrong");
    }
    sign_in("another one", PASSWORD).await.must(401).has("Too many wrong passwords");
    sign_in("nobody", PASSWORD).await.must(401).has("is wrong");
}

#[tokio::test]
async fn neighbours_of_version_6_share_their_wrong_passwords() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    let sign_in = async |address: &str, password| {
        let mut browser = place.browser();
        browser.peer = address.parse().unwrap();
        browser.post("/console/sign-in", &[("name", NAME), ("password", password)]).await
    };
    for nth in 0..console::SIGN_INS_MAX {
        sign_in(&format!("2001:db8::{nth}"), "wrong horse battery").await.must(401);
    }
    let page = sign_in("2001:db8::ffff:1", PASSWORD).await.must(401);
    page.has("Too many wrong passwords");
    sign_in("2001:db8:0:1::1", PASSWORD).await.must(303);
}

#[tokio::test]
async fn the_bound_on_hashes_is_that_of_the_process() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    // As many sign-ins elsewhere in the process as may wait, and more.
    let elsewhere = (0..300).map(|_| {
        let passwords = place.passwords.clone();
        tokio::spawn(async move {
            let password = Password::new(PASSWORD).unwrap();
            passwords.verify(Purpose::SignIn, password, None).await.is_ok()
        })
    });
    let elsewhere: Vec<_> = elsewhere.collect();
    tokio::task::yield_now().await;
    let sign_in = async || {
        let fields = [("name", NAME), ("password", PASSWORD)];
        place.browser().post("/console/sign-in", &fields).await
    };
    // One of them may get the place of a hash that has just ended.
    let pages = futures::join!(sign_in(), sign_in(), sign_in());
    let pages = [pages.0, pages.1, pages.2];
    assert!(pages.iter().any(|page| page.text.contains("Too many people")), "{pages:?}");
    for one in elsewhere {
        one.await.unwrap();
    }
    sign_in().await.must(303);
}

#[tokio::test]
async fn refused_sign_ins_are_kept() {
    let place = Place::new();
    place.signed_in(StaffRole::Admin).await;
    for (name, password) in [(NAME, "wrong horse battery"), ("my password", PASSWORD)] {
        let fields = [("name", name), ("password", password)];
        place.browser().post("/console/sign-in", &fields).await.must(401);
    }
    let kept = place.attempts.find(&Wanted::default(), 9).unwrap().attempts;
    let of = |at: usize| {
        let it = &kept[at].attempt;
        (&*it.action, it.actor.as_deref(), it.user.as_deref(), it.peer.as_deref(), &*it.problem)
    };
    let peer = Some("192.0.2.7");
    // What was typed as a name may be a password.
    assert_eq!(of(0), ("staff-sign-in", None, None, peer, "UNAUTHENTICATED"));
    assert_eq!(of(1), ("staff-sign-in", Some("staff:admin"), None, peer, "UNAUTHENTICATED"));
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn a_copy_of_the_cookie_ends_with_its_session() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    place.clock.pass(31 * 60_000);
    let mut older = browser.at(&browser);
    // The page signs the cookie anew: both are of one session.
    browser.get("/console/store").await.must(200);
    let mut newer = browser.at(&browser);
    assert_ne!(older.cookies, newer.cookies);
    let mut elsewhere = newer.at(&place.beside().browser());
    let mut another = place.browser();
    let sign_in = [("name", NAME), ("password", PASSWORD)];
    another.post("/console/sign-in", &sign_in).await.must(303);
    browser.submit("/console/sign-out", &[]).await.must(303);
    for copy in [&mut older, &mut newer, &mut elsewhere] {
        copy.get("/console/store").await.must(303);
    }
    another.get("/console/store").await.must(200);
}

#[tokio::test]
async fn a_new_key_waits_for_all_machines() {
    let place = Place::new();
    let other = place.beside();
    // One process has the new key, the other one has not.
    let second = (SECOND.0, SECOND.1, place.engine.now());
    place.console.replace_keys(SigningKeys::new([("k1", SECRET, Millis(0)), second]));
    let browser = place.signed_in(StaffRole::Admin).await;
    browser.at(&other.browser()).get("/console/store").await.must(200);
    place.clock.pass(SETTLED_MS);
    let mut browser = browser.at(&browser);
    browser.get("/console/store").await.must(200);
    browser.at(&other.browser()).get("/console/store").await.must(303);
    other.console.replace_keys(SigningKeys::new([second]));
    browser.at(&other.browser()).get("/console/store").await.must(200);
}

#[tokio::test]
async fn the_cookie() {
    let place = Place::new();
    let mut browser = place.browser();
    let signed = place.link(StaffRole::Admin, Some(NAME));
    let signed = signed.split_once("link=").unwrap().1.to_owned();
    let page = browser.post("/console/welcome", &[("link", &signed), ("password", PASSWORD)]).await;
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["; Path=/console", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "over http a browser would drop it: {cookie}");
    place.clock.pass(31 * 60_000);
    let page = browser.get("/console/store").await.must(200);
    let newer = page.headers[header::SET_COOKIE].to_str().unwrap();
    assert_ne!(newer.split(';').next(), cookie.split(';').next());
    let page = browser.get("/console/store").await.must(200);
    assert!(!page.headers.contains_key(header::SET_COOKIE), "not with every page");
    // Over https it can be of this host only, and one that another host of the domain may have put is none.
    browser.extra = vec![("x-forwarded-proto", "https")];
    browser.get("/console/store").await.must(303);
    let page = browser.post("/console/sign-in", &[("name", NAME), ("password", PASSWORD)]).await;
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["__Host-couponry_session=", "; Path=/;", "; HttpOnly", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    browser.get("/console/store").await.must(200);
    let page = browser.submit("/console/sign-out", &[]).await.must(303);
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-couponry_session=; Path=/;"), "{cookie}");
}

#[tokio::test]
async fn a_session_ends() {
    let place = Place::new();
    let mut one = place.signed_in(StaffRole::Admin).await;
    let mut two = one.at(&one);
    place.clock.pass(console::SESSION_MS - 1);
    one.get("/console/store").await.must(200);
    place.clock.pass(1);
    one.get("/console/store").await.must(303);
    let sign_in = [("name", NAME), ("password", PASSWORD)];
    one.post("/console/sign-in", &sign_in).await.must(303);
    two.post("/console/sign-in", &sign_in).await.must(303);
    one.submit("/console/sign-out", &[]).await.must(303);
    one.get("/console/store").await.must(303);
    two.get("/console/store").await.must(200);
    one.post("/console/sign-in", &sign_in).await.must(303);
    one.submit("/console/sign-out", &[("everywhere", "1")]).await.must(303);
    two.get("/console/store").await.must(303);
}

#[tokio::test]
async fn several_processes() {
    let place = Place::new();
    let browser = place.signed_in(StaffRole::Admin).await;
    let other = place.beside();
    let mut there = browser.at(&other.browser());
    there.get("/console/store").await.must(200);
    // A form of one process is good at the other.
    let csrf = browser.at(&browser).csrf().await;
    there.post("/console/sign-out", &[("csrf", &csrf), ("everywhere", "1")]).await.must(303);
    browser.at(&browser).get("/console/store").await.must(303);
    // And a link that one has used is used for both.
    let link = place.link(StaffRole::Viewer, Some("vera"));
    let signed = link.split_once("link=").unwrap().1;
    let fields = [("link", signed), ("password", PASSWORD)];
    other.browser().post("/console/welcome", &fields).await.must(303);
    place.browser().post("/console/welcome", &fields).await.must(410);
}

#[tokio::test]
async fn a_retired_key_signs_nobody_in() {
    let place = Place::new();
    let mut browser = place.signed_in(StaffRole::Admin).await;
    place.console.replace_keys(console::SigningKeys::new([SECOND]));
    browser.get("/console/store").await.must(303);
    place.console.replace_keys(signing());
    browser.get("/console/store").await.must(200);
}

#[tokio::test]
async fn people() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let mut mina = place.signed_in(StaffRole::Support).await;
    mina.get("/console/staff").await.must(403);
    admin.submit("/console/staff/support/role", &[("role", "admin")]).await.must(303);
    mina.get("/console/staff").await.must(200).has("support");
    // Who is an admin no longer is signed out, and the links that they made stay over.
    let invite = [("role", "admin"), ("name", "olga")];
    let page = mina.submit("/console/staff/invite", &invite).await.must(200);
    let link = page.text.split("value=\"http://shop.example").nth(1).unwrap();
    let link = link.split('"').next().unwrap();
    place.browser().get(link).await.must(200);
    for role in ["viewer", "admin", "viewer"] {
        admin.submit("/console/staff/support/role", &[("role", role)]).await.must(303);
        place.browser().get(link).await.must(410);
    }
    mina.get("/console/staff").await.must(303);
    let sign_in = [("name", "support"), ("password", PASSWORD)];
    mina.post("/console/sign-in", &sign_in).await.must(303);
    mina.get("/console/staff").await.must(403);
    admin.submit("/console/staff/admin/role", &[("role", "viewer")]).await.must(422);
    admin.submit("/console/staff/admin/remove", &[]).await.must(422).has("last admin");
    admin.submit("/console/staff/support/sign-out", &[]).await.must(303);
    mina.get("/console/store").await.must(303);
    admin.submit("/console/staff/support/remove", &[]).await.must(303);
    mina.post("/console/sign-in", &sign_in).await.must(401);
    let page = admin.submit("/console/staff/invite", &[("role", "viewer"), ("name", "vera")]).await;
    let page = page.must(200);
    let link = page.text.split("readonly value=\"http://shop.example").nth(1).unwrap();
    let link = link.split('"').next().unwrap();
    place.browser().get(link).await.must(200).has("vera");
    let audit = admin.get("/console/audit").await.must(200);
    for text in
        ["Account added", "Account changed", "Account deleted", "Invitation made", "staff%3Aadmin"]
    {
        audit.has(text);
    }
}

#[tokio::test]
async fn the_link_of_the_log_is_for_the_first_admin() {
    let place = Place::new();
    let links = [(); 2].map(|()| console::first_link(signing(), place.engine.now(), FIRST_LINK_MS));
    let signed = links.each_ref().map(|link| link.split_once("link=").unwrap().1);
    let cases = [("the first", signed[0], "eva", 303), ("another one", signed[1], "mallory", 410)];
    for (name, link, person, want) in cases {
        let fields = [("link", link), ("name", person), ("password", PASSWORD)];
        let page = place.browser().post("/console/welcome", &fields).await;
        assert_eq!(page.status, want, "{name}");
    }
}

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let path = "/console/campaigns/spring/pause";
    let good = browser.csrf().await;
    let other = place.signed_in(StaffRole::Operator).await.csrf().await;
    let cases = [
        ("no token", vec![("paused", "true")], vec![], 401),
        ("somebody else's", vec![("csrf", other.as_str()), ("paused", "true")], vec![], 401),
        (
            "from another site",
            vec![("csrf", good.as_str()), ("paused", "true")],
            vec![("sec-fetch-site", "cross-site")],
            403,
        ),
        (
            "from another site, in an older browser",
            vec![("csrf", good.as_str()), ("paused", "true")],
            vec![("origin", "https://evil.example")],
            403,
        ),
        (
            "its own",
            vec![("csrf", good.as_str()), ("paused", "true")],
            vec![("sec-fetch-site", "same-origin")],
            303,
        ),
    ];
    let is_paused = async || {
        let id = "spring".parse().unwrap();
        place.engine.campaign(&crate::place::admin(), &id).await.unwrap().campaign.paused
    };
    for (name, fields, extra, want) in cases {
        browser.extra = extra;
        let page = browser.post(path, &fields).await;
        assert_eq!(page.status, want, "{name}");
        assert_eq!(is_paused().await, want == 303, "{name}");
    }
    // A form of another kind would have no token.
    browser.extra = Vec::new();
    for kind in [Some("text/plain"), Some("multipart/form-data; boundary=x"), None] {
        let page = browser.send(Method::POST, path, kind, Body::from("paused=false")).await;
        assert_eq!((page.status, is_paused().await), (403, true), "{kind:?}");
    }
}

#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session() {
    let place = Place::new();
    place.seeded().await;
    let mut browser = place.signed_in(StaffRole::Admin).await;
    let path = "/console/campaigns/spring/pause";
    let csrf = browser.csrf().await;
    place.clock.pass(console::SESSION_MS);
    let fields = [("csrf", csrf.as_str()), ("paused", "true"), ("reason", "a <typo> & more")];
    let page = browser.post(path, &fields).await.must(401);
    page.has("what you typed is kept");
    let (next, kept) = (page.value("next"), page.value("kept"));
    assert_eq!(next, path);
    let sign_in = [("name", NAME), ("password", PASSWORD), ("next", &next), ("kept", &kept)];
    let page = browser.post("/console/sign-in", &sign_in).await.must(200);
    page.has("a &#60;typo&#62; &#38; more");
    let again = [("csrf", &*page.value("csrf")), ("paused", "true"), ("reason", "a <typo> & more")];
    browser.post(path, &again).await.must(303);
}

#[tokio::test]
async fn a_link_that_names_nobody_takes_no_account() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let link = place.link(StaffRole::Viewer, None);
    let signed = link.split_once("link=").unwrap().1;
    let fields = |name| [("link", signed), ("name", name), ("password", "another password")];
    let mut stranger = place.browser();
    stranger.post("/console/welcome", &fields(NAME)).await.must(422).has("has an account already");
    admin.get("/console/staff").await.must(200);
    stranger.post("/console/welcome", &fields("vera")).await.must(303);
}

#[tokio::test]
async fn an_invitation_ends_with_its_admin() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let invited = async |admin: &mut crate::browser::Browser| {
        let page = admin.submit("/console/staff/invite", &[("role", "admin")]).await.must(200);
        let link = page.text.split("readonly value=\"http://shop.example").nth(1).unwrap();
        link.split('"').next().unwrap().to_owned()
    };
    let link = invited(&mut admin).await;
    place.browser().get(&link).await.must(200);
    admin.submit("/console/sign-out", &[("everywhere", "1")]).await.must(303);
    place.browser().get(&link).await.must(410);
}

#[tokio::test]
async fn a_new_account_of_an_old_name_has_none_of_its_sessions() {
    let place = Place::new();
    let mut admin = place.signed_in(StaffRole::Admin).await;
    let mut mina = place.signed_in(StaffRole::Support).await;
    admin.submit("/console/staff/support/remove", &[]).await.must(303);
    mina.get("/console/store").await.must(303);
    place.clock.pass(1_000);
    place.signed_in(StaffRole::Support).await.get("/console/store").await.must(200);
    mina.get("/console/store").await.must(303);
}
