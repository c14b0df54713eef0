//! Sign-up, sign-in and the end of an account.

use api::{AccessPolicy, Passwords, SignUp};
use futures::future::join_all;
use passwords::Purpose;
use serde_json::json;

use crate::service::{ANN, Admin, Answer, Asked, Nobody, Service, Who};

const PASSWORD: &str = "correct horse";

async fn sign(service: &Service, where_to: &str, login: &str, password: &str) -> Answer {
    let body = json!({"login_id": login, "password": password});
    service.post(Nobody, &format!("/v1/{where_to}"), body).await
}

/// Two spaces of a process share what hashes passwords, and so what is under way.
#[tokio::test]
async fn a_peer_has_one_share_of_all_spaces() {
    let passwords = Passwords::new();
    let space = || {
        let passwords = passwords.clone();
        Service::new().allowing(AccessPolicy { passwords, ..AccessPolicy::default() })
    };
    let spaces = [space(), space()];
    // These tests have no connection, so all of them come from one peer.
    let peer = passwords::peer::Peer::NOWHERE.to_string();
    let begin = || passwords.begin(Purpose::SignIn, &peer);
    let share: Vec<_> = (0..api::SIGNING_MAX).map(|_| begin().expect("its share")).collect();
    for space in &spaces {
        let refused = sign(space, "sessions", "ann@example.com", PASSWORD).await;
        refused.is("429 TOO_MANY", "one more sign-in");
        sign(space, "users", "ann@example.com", PASSWORD).await.is("201", "a sign-up");
    }
    drop(share);
    for space in &spaces {
        sign(space, "sessions", "ann@example.com", PASSWORD).await.is("200", "again");
    }
}

#[tokio::test]
async fn sign_up_sign_in_and_delete() {
    let service = Service::new();
    let up = sign(&service, "users", "ann@example.com", PASSWORD).await;
    let id = up.is("201", "up").string("user_id");
    assert!(id.starts_with("acc_"), "{id}");
    let twice = sign(&service, "users", "ann@example.com", "another account").await;
    twice.is("409 LOGIN_TAKEN", "taken");
    let again = sign(&service, "users", "ann@example.com", PASSWORD).await;
    assert_eq!(again.is("200", "the same request again").string("user_id"), id);
    let inside = sign(&service, "sessions", "ann@example.com", PASSWORD).await;
    assert_eq!(inside.is("200", "in").string("user_id"), id);
    for answer in [&up, &twice, &inside] {
        let secret = answer.text.contains("argon2") || answer.text.contains(PASSWORD);
        assert!(!secret, "no hash and no password: {}", answer.text);
    }
    let (up, token) = (up.string("token"), inside.string("token"));
    service.campaign("c", json!({"handout": "self"})).await;
    let me = Who::Token(&token);
    let issued = service.post(me, "/v1/campaigns/c/issue", json!({})).await;
    assert_eq!(issued.is("201", "for themselves").string("holder"), id);

    let other = sign(&service, "users", "bob@example.com", PASSWORD).await;
    let (bob, bobs) = (other.string("user_id"), other.string("token"));
    let gone = |who, id: &str| {
        let (service, target) = (&service, format!("/v1/users/{id}"));
        async move { service.delete(who, &target).await }
    };
    gone(Who::Token(&bobs), &id).await.is("404 NOT_FOUND", "bob removes ann");
    gone(ANN, &id).await.is("404 NOT_FOUND", "a user of another issuer");
    gone(Nobody, &id).await.is("401 UNAUTHENTICATED", "nobody");
    gone(Admin, "acc_nobody").await.is("404 NOT_FOUND", "no such account");
    service.get(me, "/v1/coupons").await.is("200", "still there");
    gone(me, &id).await.is("204", "their own account");
    for (name, token) in [("of sign-up", &up), ("of sign-in", &token)] {
        let answer = service.get(Who::Token(token), "/v1/coupons").await;
        answer.is("401 UNAUTHENTICATED", name);
    }
    gone(me, &id).await.is("401 UNAUTHENTICATED", "their own account again");
    gone(Admin, &id).await.is("404 NOT_FOUND", "an admin afterwards");
    let wrong = sign(&service, "sessions", "ann@example.com", PASSWORD).await;
    wrong.is("401 UNAUTHENTICATED", "the login is gone");
    let again = sign(&service, "users", "ann@example.com", PASSWORD).await;
    assert_ne!(again.is("201", "the login is free").string("user_id"), id, "a new user");
    gone(Admin, &bob).await.is("204", "an admin");
    let service = service.reopened();
    service.get(Who::Token(&token), "/v1/coupons").await.is("401 UNAUTHENTICATED", "restart");
}

#[tokio::test]
async fn a_token_expires() {
    let service = Service::new();
    let up = sign(&service, "users", "ann@example.com", PASSWORD).await;
    let (token, expires_at) = (up.string("token"), up.string("expires_at"));
    assert_eq!(expires_at, service.after(api::USER_TOKEN_TTL_MS));
    service.set(&expires_at);
    let cases = [("a millisecond early", -1, "200"), ("at its end", 1, "401 UNAUTHENTICATED")];
    for (name, ms, want) in cases {
        service.clock.pass(ms);
        service.get(Who::Token(&token), "/v1/coupons").await.is(want, name);
    }
}

#[tokio::test]
async fn unknown_login_and_wrong_password_look_the_same() {
    let service = Service::new();
    sign(&service, "users", "ann@example.com", PASSWORD).await.is("201", "up");
    let blind = |answer: &Answer| answer.text.replace(&answer.string("request_id"), "ID");
    let wrong = sign(&service, "sessions", "ann@example.com", "wrong horse").await;
    let want = blind(wrong.is("401 UNAUTHENTICATED", "a wrong password"));
    let long = "x".repeat(129);
    let cases = [
        ("an unknown login", "nobody@example.com", PASSWORD),
        ("a malformed login", "a b", PASSWORD),
        ("a short password", "ann@example.com", "short"),
        ("a long password", "ann@example.com", &long),
        ("an empty password", "nobody@example.com", ""),
    ];
    for (name, login, password) in cases {
        let answer = sign(&service, "sessions", login, password).await;
        assert_eq!(blind(answer.is("401 UNAUTHENTICATED", name)), want, "{name}");
        assert_eq!(answer.headers.len(), wrong.headers.len(), "{name}");
    }
}

#[tokio::test]
async fn sign_ins_are_limited() {
    let service = Service::new();
    for login in ["ann@example.com", "bob@example.com"] {
        sign(&service, "users", login, PASSWORD).await.is("201", login);
    }
    for (name, login) in [("a login", "ann@example.com"), ("an unknown login", "eve@example.com")] {
        for _ in 0..5 {
            let answer = sign(&service, "sessions", login, "wrong horse").await;
            answer.is("401 UNAUTHENTICATED", name);
        }
        let closed = sign(&service, "sessions", login, PASSWORD).await;
        let wait = closed.is("429 TOO_MANY", name).header("retry-after").map(str::to_owned);
        assert_eq!(wait, Some((api::SIGN_IN_WINDOW_MS / 1_000).to_string()), "{name}");
    }
    sign(&service, "sessions", "bob@example.com", PASSWORD).await.is("200", "another login");
    service.clock.pass(api::SIGN_IN_WINDOW_MS - 1);
    let early = sign(&service, "sessions", "ann@example.com", PASSWORD).await;
    early.is("429 TOO_MANY", "a millisecond early");
    service.clock.pass(1);
    sign(&service, "sessions", "ann@example.com", PASSWORD)
        .await
        .is("200", "the window has passed");
    // Success closes the window: four failures, success, four failures, success.
    for _ in 0..2 {
        for _ in 0..4 {
            sign(&service, "sessions", "ann@example.com", "wrong horse").await;
        }
        sign(&service, "sessions", "ann@example.com", PASSWORD)
            .await
            .is("200", "a success between the failures");
    }
}

/// A sign-up or sign-in over a connection of `address`.
async fn sign_from(service: &Service, address: &str, what: &str, password: &str) -> Answer {
    let body = json!({"login_id": "ann@example.com", "password": password});
    let asked = Asked::new("POST", &format!("/v1/{what}")).json(&body).from(address);
    service.send(Nobody, asked).await
}

#[tokio::test]
async fn an_owner_signs_in_while_a_stranger_guesses() {
    let (owner, stranger) = ("192.0.2.1", "203.0.113.9");
    let service = Service::new();
    sign_from(&service, owner, "users", PASSWORD).await.is("201", "up");
    // Wrong passwords of sign-in and of sign-up count together.
    for (what, want) in [("sessions", "401 UNAUTHENTICATED"), ("users", "409 LOGIN_TAKEN")] {
        service.clock.pass(api::SIGN_IN_WINDOW_MS);
        for _ in 0..api::SIGN_INS_MAX {
            sign_from(&service, stranger, what, "wrong horse").await.is(want, what);
        }
        for again in ["sessions", "users"] {
            let refused = sign_from(&service, stranger, again, "wrong horse").await;
            refused.is("429 TOO_MANY", &format!("{what}, then {again}"));
        }
        sign_from(&service, owner, "sessions", PASSWORD).await.is("200", "the owner signs in");
        sign_from(&service, owner, "users", PASSWORD).await.is("200", "or signs up again");
    }
}

#[tokio::test]
async fn a_login_has_one_count_in_all_spellings() {
    let service = Service::new();
    let spellings =
        ["가각", "\u{1100}\u{1161}각", "가\u{1100}\u{1161}\u{11a8}", "\u{1100}\u{1161}가\u{11a8}"];
    let send = async |what: &str, login: &str, password: &str| {
        let body = json!({"login_id": login, "password": password});
        service.send(Nobody, Asked::new("POST", &format!("/v1/{what}")).json(&body)).await.word()
    };
    assert_eq!(send("users", spellings[0], PASSWORD).await, "201");
    for nth in 0..api::SIGN_INS_MAX as usize {
        let login = spellings[nth % spellings.len()];
        assert_eq!(send("sessions", login, "wrong horse").await, "401 UNAUTHENTICATED", "{nth}");
    }
    for login in spellings {
        for what in ["sessions", "users"] {
            assert_eq!(send(what, login, PASSWORD).await, "429 TOO_MANY", "{what} {login}");
        }
    }
    // What can be no login has one count, too.
    for nth in 0..api::SIGN_INS_MAX {
        let login = format!("no login {nth}");
        assert_eq!(send("sessions", &login, PASSWORD).await, "401 UNAUTHENTICATED", "{login}");
    }
    assert_eq!(send("sessions", "another one", PASSWORD).await, "429 TOO_MANY");
    assert_eq!(send("sessions", "nobody", PASSWORD).await, "401 UNAUTHENTICATED");
}

#[tokio::test]
async fn forwarded_addresses_of_trusted_proxies_count() {
    const PROXY: &str = "10.0.0.1";
    let behind = async |service: &Service, from: &str, client: &str| {
        let body = json!({"login_id": "ann@example.com", "password": "wrong horse"});
        let asked = Asked::new("POST", "/v1/sessions").json(&body).from(from);
        service.send(Nobody, asked.header("x-forwarded-for", client)).await.word()
    };
    let trusted_proxies = "10.0.0.0/8".parse().expect("a network");
    let access = AccessPolicy { trusted_proxies, ..AccessPolicy::default() };
    // Name, the service, the connection's address, whether another client is another peer.
    let cases = [
        ("a trusted proxy", access.clone(), PROXY, "401 UNAUTHENTICATED"),
        ("a stranger", access, "203.0.113.9", "429 TOO_MANY"),
        ("nobody is trusted", AccessPolicy::default(), PROXY, "429 TOO_MANY"),
    ];
    for (name, access, from, want) in cases {
        let service = Service::new().allowing(access);
        for _ in 0..api::SIGN_INS_MAX {
            let found = behind(&service, from, "198.51.100.1").await;
            assert_eq!(found, "401 UNAUTHENTICATED", "{name}");
        }
        let found = behind(&service, from, "198.51.100.1").await;
        assert_eq!(found, "429 TOO_MANY", "{name}: the same client");
        assert_eq!(behind(&service, from, "198.51.100.2").await, want, "{name}: another client");
    }
}

#[tokio::test]
async fn one_address_cannot_take_every_slot() {
    let service = Service::new();
    sign_from(&service, "192.0.2.1", "users", PASSWORD).await.is("201", "up");
    let strangers = (0..40).map(|nth| {
        let body = json!({"login_id": format!("u{nth}@example.com"), "password": PASSWORD});
        let asked = Asked::new("POST", "/v1/sessions").json(&body).from("203.0.113.9");
        service.send(Nobody, asked)
    });
    let owner = sign_from(&service, "192.0.2.1", "sessions", PASSWORD);
    let (strangers, owner) = futures::join!(join_all(strangers), owner);
    owner.is("200", "beside 40 of one address");
    let busy = strangers.iter().filter(|answer| answer.word() == "429 TOO_MANY").count();
    assert!(busy >= 20, "most of them were refused: {busy} of 40");
}

#[tokio::test]
async fn sign_ups_of_one_address_are_counted() {
    let service = Service::new();
    let up = async |address: &str, login: String| {
        let body = json!({"login_id": login, "password": PASSWORD});
        service.send(Nobody, Asked::new("POST", "/v1/users").json(&body).from(address)).await
    };
    for nth in 0..api::SIGN_UPS_MAX {
        up("203.0.113.9", format!("u{nth}")).await.is("201", "within the limit");
    }
    let wait = up("203.0.113.9", "over".into()).await;
    let wait =
        wait.is("429 TOO_MANY", "one more than the limit").header("retry-after").map(str::to_owned);
    assert_eq!(wait, Some((api::SIGN_UP_WINDOW_MS / 1_000).to_string()));
    up("203.0.113.9", "u0".into()).await.is("200", "no new account");
    up("203.0.113.10", "over".into()).await.is("201", "another address");
    service.clock.pass(api::SIGN_UP_WINDOW_MS);
    up("203.0.113.9", "later".into()).await.is("201", "the window has passed");
}

#[tokio::test]
async fn sign_up_can_be_off() {
    let service = Service::new();
    sign(&service, "users", "ann@example.com", PASSWORD).await.is("201", "up");
    let service =
        service.allowing(AccessPolicy { sign_up: SignUp::Off, ..AccessPolicy::default() });
    for login in ["bob@example.com", "ann@example.com"] {
        let refused = sign(&service, "users", login, PASSWORD).await;
        let detail = refused.is("403 FORBIDDEN", login).string("detail");
        assert!(detail.contains("sign_up"), "it names the setting: {detail}");
    }
    sign(&service, "sessions", "ann@example.com", PASSWORD)
        .await
        .is("200", "existing accounts still work");
}

#[tokio::test]
async fn two_equal_sign_ups_make_one_account() {
    let service = Service::new();
    let both = futures::join!(
        sign(&service, "users", "ann@example.com", PASSWORD),
        sign(&service, "users", "ann@example.com", PASSWORD)
    );
    let mut words = [both.0.word(), both.1.word()];
    words.sort();
    assert_eq!(words, ["200", "201"]);
    assert_eq!(both.0.string("user_id"), both.1.string("user_id"));
}

#[tokio::test]
async fn logins_and_passwords_have_limits() {
    let service = Service::new();
    let long_login = "x".repeat(129);
    let (fits, over) = ("p".repeat(128), "p".repeat(129));
    let cases = [
        ("the longest login", &long_login[..128], "12345678", "201", ""),
        ("a longer login", &long_login, "12345678", "400 INVALID", "login_id"),
        ("an empty login", "", "12345678", "400 INVALID", "login_id"),
        ("a blank in the login", "a b", "12345678", "400 INVALID", "login_id"),
        ("7 bytes", "seven", "1234567", "400 INVALID", "password"),
        ("8 bytes", "eight", "12345678", "201", ""),
        ("128 bytes", "long", &fits, "201", ""),
        ("129 bytes", "longer", &over, "400 INVALID", "password"),
    ];
    for (name, login, password, want, field) in cases {
        let answer = sign(&service, "users", login, password).await;
        answer.is(want, name);
        assert_eq!(answer.fields().join(" "), field, "{name}");
    }
}

#[tokio::test]
async fn no_hash_is_in_any_answer() {
    let service = Service::new();
    let up = sign(&service, "users", "ann@example.com", PASSWORD).await;
    let (id, token) = (up.string("user_id"), up.string("token"));
    service.campaign("c", json!({"handout": "self"})).await;
    let me = Who::Token(&token);
    let code = service.post(me, "/v1/campaigns/c/issue", json!({})).await.string("code");
    let targets = [
        format!("/v1/users/{id}"),
        "/v1/users".to_owned(),
        "/v1/sessions".to_owned(),
        format!("/v1/coupons/{code}"),
        "/v1/coupons?campaign_id=c".to_owned(),
        "/metrics".to_owned(),
        "/readyz".to_owned(),
    ];
    for target in targets {
        for who in [Nobody, me, Admin] {
            let answer = service.send(who, Asked::new("GET", &target)).await;
            assert!(!answer.text.contains("argon2"), "{target}");
            let login = answer.text.contains("ann@example.com");
            assert!(!login, "{target} tells the login: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn authorization_headers() {
    let service = Service::new();
    let token = service.token(engine::Role::Admin, "root");
    let cases = [
        ("a valid header", format!("Bearer {token}"), 200),
        ("lower case", format!("bearer {token}"), 200),
        ("no scheme", token.clone(), 401),
        ("another scheme", format!("Basic {token}"), 401),
        ("empty", String::new(), 401),
        ("no token", "Bearer".to_owned(), 401),
        ("a blank token", "Bearer ".to_owned(), 401),
        ("cut short", format!("Bearer {}", &token[..token.len() - 1]), 401),
        ("without signature", format!("Bearer {}.", &token[..token.rfind('.').unwrap_or(0)]), 401),
        ("too long", format!("Bearer {}", "A".repeat(10_000)), 401),
    ];
    for (name, value, want) in cases {
        let asked = Asked::new("GET", "/v1/campaigns").header("authorization", value);
        assert_eq!(service.send(Nobody, asked).await.status, want, "{name}");
    }
    let odd = Asked::new("GET", "/v1/campaigns").header("authorization", vec![b'B', 0xff, 0xfe]);
    service.send(Nobody, odd).await.is("401 UNAUTHENTICATED", "no ASCII");
}
