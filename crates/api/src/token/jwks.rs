//! The keys that an identity provider publishes (JWKS): the only place that fetches any.
//!
//! The address is the configured one, always: no header of a token (`jku`, `x5u`) and no redirect
//! leads elsewhere. A fetch happens when a token names an unknown key, and every few minutes so
//! that a key withdrawn by its owner dies here too; never more than one a minute, so that made-up
//! key ids cannot be turned into traffic. A failed fetch leaves the old keys in force until they
//! are [`STALE_AFTER_MS`] old. From then on whoever needs one waits for a fetch.

mod fetch;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use reqwest::{Client, Url};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use self::fetch::{
    BadJwks, FETCH_EVERY_MS_MIN, FETCH_TIMEOUT, UsableKeys, client_for, get, usable_keys,
};
use crate::outbound;
use crate::token::PublicKey;

/// Age at which known keys are fetched again, beside the request that noticed, in milliseconds.
/// A third of [`STALE_AFTER_MS`]: with a provider that fails for some minutes, nobody waits.
const REFRESH_AFTER_MS: i64 = 5 * 60_000;

/// Age at which known keys are no longer used, in milliseconds: how long a withdrawn key counts at
/// most, whatever was remembered.
const STALE_AFTER_MS: i64 = 15 * 60_000;

const _: () = assert!(REFRESH_AFTER_MS >= FETCH_EVERY_MS_MIN);
const _: () = assert!(STALE_AFTER_MS > REFRESH_AFTER_MS);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The issuer has none of this name, as far as is known.
    Unknown,
    /// The last fetch failed, or there was none yet: the issuer may have one.
    #[default]
    Unavailable,
}

/// A key, and until when its issuer's word for it counts.
#[derive(Clone, Debug)]
pub(crate) struct PublishedKey {
    pub(crate) key: PublicKey,
    /// Milliseconds since 1970, exclusive.
    pub(crate) good_until_ms: i64,
}

/// The published keys of one issuer, cached. Cheap to clone; clones share the cache.
#[derive(Clone, Debug)]
pub struct Jwks {
    shared: Arc<JwksState>,
}

#[derive(Debug)]
struct JwksState {
    url: Url,
    client: Client,
    known: RwLock<FetchedKeys>,
    /// Held while a fetch is under way; holds the time of the last attempt.
    gate: Arc<Mutex<Option<i64>>>,
}

#[derive(Debug, Default)]
struct FetchedKeys {
    keys: UsableKeys,
    fetched_at_ms: Option<i64>,
    /// What it means that a key is not among them, by how the last fetch ended.
    missing: NoKey,
}

impl Jwks {
    /// Fetches nothing yet. Makes ring the TLS provider of this process unless there is one.
    pub fn new(address: &str) -> Result<Jwks, BadJwks> {
        Jwks::fetched_within(FETCH_TIMEOUT, address)
    }

    fn fetched_within(timeout: Duration, address: &str) -> Result<Jwks, BadJwks> {
        let url = outbound::checked(address)?;
        let client = client_for(&url, timeout)?;
        let (known, gate) = (RwLock::default(), Arc::default());
        Ok(Jwks { shared: Arc::new(JwksState { url, client, known, gate }) })
    }

    /// The key named `kid`; without a name, the only one. Waits for a fetch only if there is none, or
    /// the keys are stale.
    pub(crate) async fn key(&self, kid: Option<&str>, now_ms: i64) -> Result<PublishedKey, NoKey> {
        if let Some(key) = self.shared.find(kid, now_ms) {
            self.refresh_if_old(now_ms);
            return Ok(key);
        }
        let gate = Arc::clone(&self.shared.gate).lock_owned().await;
        // Whoever held the gate may have brought it.
        if let Some(key) = self.shared.find(kid, now_ms) {
            return Ok(key);
        }
        if let Some(fetch) = self.fetch(gate, now_ms) {
            // Its failure is logged where it happens, and shows below.
            let _ended = fetch.await;
        }
        self.shared.find(kid, now_ms).ok_or_else(|| self.shared.read(|known| known.missing))
    }

    fn refresh_if_old(&self, now_ms: i64) {
        let fetched_at_ms = self.shared.read(|known| known.fetched_at_ms);
        if !due(fetched_at_ms, REFRESH_AFTER_MS, now_ms) {
            return;
        }
        if let Ok(gate) = Arc::clone(&self.shared.gate).try_lock_owned() {
            self.fetch(gate, now_ms);
        }
    }

    /// Begins a fetch, unless the last one was less than a minute ago. In a task of its own: a caller
    /// who hangs up must not leave the attempt counted and the keys unread.
    fn fetch(&self, gate: OwnedMutexGuard<Option<i64>>, now_ms: i64) -> Option<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        due(*gate, FETCH_EVERY_MS_MIN, now_ms)
            .then(|| tokio::spawn(async move { shared.fetch(gate, now_ms).await }))
    }
}

impl JwksState {
    async fn fetch(&self, mut gate: OwnedMutexGuard<Option<i64>>, now_ms: i64) {
        *gate = Some(now_ms);
        let body = get(&self.client, &self.url).await;
        let fetched = body.and_then(|body| usable_keys(&body));
        let mut known = self.known.write();
        match fetched {
            Ok(keys) => {
                tracing::info!(url = %self.url, keys = keys.count(), "token keys fetched");
                *known = FetchedKeys { keys, fetched_at_ms: Some(now_ms), missing: NoKey::Unknown };
            }
            Err(error) => {
                let kept = known.keys.count();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(url = %self.url, kept, %error, cause, "token keys not fetched");
                known.missing = NoKey::Unavailable;
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&FetchedKeys) -> T) -> T {
        look(&self.known.read())
    }

    fn find(&self, kid: Option<&str>, now_ms: i64) -> Option<PublishedKey> {
        self.read(|known| {
            if due(known.fetched_at_ms, STALE_AFTER_MS, now_ms) {
                return None;
            }
            let good_until_ms = known.fetched_at_ms?.saturating_add(STALE_AFTER_MS);
            let key = known.keys.find(kid)?.clone();
            Some(PublishedKey { key, good_until_ms })
        })
    }
}

/// Whether `every_ms` have passed. A clock put back counts as passed: better one fetch too many
/// than none for an hour.
fn due(last_ms: Option<i64>, every_ms: i64, now_ms: i64) -> bool {
    last_ms.is_none_or(|last_ms| now_ms < last_ms || now_ms - last_ms >= every_ms)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex as StdMutex;

    use axum::Router;
    use axum::response::{IntoResponse, Redirect, Response};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::fetch::{JWKS_BYTES_MAX, JWKS_KEYS_MAX};
    use super::*;
    use crate::token::testkeys::TestKey;
    use crate::token::{BadToken, ExternalIssuer, LocalKey, LocalKeys, TokenService};

    const NOON: i64 = 1_763_596_800_000;
    const MINUTE: i64 = 60_000;

    /// Longer than a machine stops for while it does other things.
    const PATIENCE: Duration = Duration::from_secs(180);

    impl Jwks {
        /// Fetches the keys now, unless that was done less than a minute ago; gives their number.
        async fn refresh(&self, now_ms: i64) -> usize {
            let gate = Arc::clone(&self.shared.gate).lock_owned().await;
            if let Some(fetch) = self.fetch(gate, now_ms) {
                fetch.await.unwrap();
            }
            self.shared.read(|known| known.keys.count())
        }
    }

    /// What the identity provider answers, and how often it was asked.
    #[derive(Clone)]
    struct Provider {
        answer: Arc<StdMutex<Answer>>,
        asked: Arc<StdMutex<Vec<String>>>,
        address: SocketAddr,
    }

    #[derive(Clone)]
    enum Answer {
        Keys(Value),
        Text(String),
        Broken,
        Elsewhere,
    }

    impl Provider {
        async fn start(answer: Answer) -> Provider {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let answer = Arc::new(StdMutex::new(answer));
            let provider = Provider { answer, asked: Arc::default(), address };
            let asked = provider.clone();
            let app = Router::new().fallback(move |request: axum::extract::Request| async move {
                asked.asked.lock().unwrap().push(request.uri().path().to_owned());
                let answer = asked.answer.lock().unwrap().clone();
                answer.into_response()
            });
            tokio::spawn(async move { axum::serve(listener, app).await });
            provider
        }

        fn jwks(&self) -> Jwks {
            Jwks::fetched_within(PATIENCE, &format!("http://{}/keys", self.address)).unwrap()
        }

        fn says(&self, answer: Answer) {
            *self.answer.lock().unwrap() = answer;
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    impl IntoResponse for Answer {
        fn into_response(self) -> Response {
            match self {
                Answer::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
                Answer::Text(text) => text.into_response(),
                Answer::Broken => axum::http::StatusCode::BAD_GATEWAY.into_response(),
                Answer::Elsewhere => Redirect::temporary("/elsewhere").into_response(),
            }
        }
    }

    /// A good set of `bytes` bytes with the one key `b`.
    fn padded(bytes: usize) -> String {
        let text = json!({"keys": [TestKey::ed().jwk("b")]}).to_string();
        format!("{text}{}", " ".repeat(bytes - text.len()))
    }

    async fn finds(jwks: &Jwks, kid: &str, now_ms: i64) -> Result<(), NoKey> {
        jwks.key(Some(kid), now_ms).await.map(|_| ())
    }

    #[tokio::test]
    async fn an_unknown_key_is_fetched_once_a_minute() {
        let (first, second) = (TestKey::ed(), TestKey::ec());
        let provider = Provider::start(Answer::Keys(json!([first.jwk("a")]))).await;
        let jwks = provider.jwks();
        assert_eq!(provider.asked(), 0, "nothing before the first token");
        let both = Answer::Keys(json!([first.jwk("a"), second.jwk("b")]));
        let steps = [
            ("the first token", "a", NOON, Ok(()), 1),
            ("a known key", "a", NOON + 1, Ok(()), 1),
            ("an unknown one too soon", "b", NOON + MINUTE - 1, Err(NoKey::Unknown), 1),
            ("after a minute", "b", NOON + MINUTE, Ok(()), 2),
            ("made up", "x", NOON + 2 * MINUTE - 1, Err(NoKey::Unknown), 2),
            ("made up, a minute later", "x", NOON + 2 * MINUTE, Err(NoKey::Unknown), 3),
            ("made up at once again", "y", NOON + 2 * MINUTE, Err(NoKey::Unknown), 3),
        ];
        for (name, kid, now_ms, want, asked) in steps {
            assert_eq!(
                (finds(&jwks, kid, now_ms).await, provider.asked()),
                (want, asked),
                "{name}"
            );
            provider.says(both.clone());
        }
    }

    #[tokio::test]
    async fn many_callers_share_one_fetch() {
        let provider = Provider::start(Answer::Keys(json!([TestKey::ed().jwk("a")]))).await;
        let jwks = provider.jwks();
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let jwks = jwks.clone();
                tokio::spawn(async move { finds(&jwks, "a", NOON).await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Ok(()));
        }
        assert_eq!(provider.asked(), 1);
    }

    #[tokio::test]
    async fn a_failure_keeps_the_old_keys() {
        let keys = |found: Value| Answer::Keys(found);
        let secret = TestKey::hmac(&[7; 32]).jwk("b");
        let failures = [
            ("502", Answer::Broken),
            ("not JSON", Answer::Text("<html>".into())),
            ("no keys", Answer::Text("{}".into())),
            ("an empty set", keys(json!([]))),
            ("symmetric only", keys(json!([secret]))),
            ("a redirect", Answer::Elsewhere),
            ("a byte too large", Answer::Text(padded(JWKS_BYTES_MAX + 1))),
        ];
        for (name, failure) in failures {
            let provider = Provider::start(keys(json!([TestKey::ed().jwk("a")]))).await;
            let jwks = provider.jwks();
            assert_eq!(jwks.refresh(NOON).await, 1, "{name}");
            provider.says(failure);
            let later = NOON + MINUTE;
            assert_eq!(finds(&jwks, "b", later).await, Err(NoKey::Unavailable), "{name}");
            assert_eq!(finds(&jwks, "a", later).await, Ok(()), "{name}");
            assert_eq!(finds(&jwks, "b", later + 1).await, Err(NoKey::Unavailable), "{name}");
            assert_eq!(*provider.asked.lock().unwrap(), ["/keys", "/keys"], "{name}");
        }
    }

    #[tokio::test]
    async fn the_largest_answer_is_read() {
        let provider = Provider::start(Answer::Text(padded(JWKS_BYTES_MAX))).await;
        assert_eq!(provider.jwks().refresh(NOON).await, 1);
    }

    #[tokio::test]
    async fn a_withdrawn_key_dies_after_the_refresh() {
        let (gone, stays) = (TestKey::ed().jwk("a"), TestKey::ed().jwk("b"));
        let provider = Provider::start(Answer::Keys(json!([gone, stays]))).await;
        let jwks = provider.jwks();
        jwks.refresh(NOON).await;
        provider.says(Answer::Keys(json!([stays])));
        assert_eq!(finds(&jwks, "a", NOON + REFRESH_AFTER_MS - 1).await, Ok(()));
        assert_eq!(provider.asked(), 1);
        assert_eq!(finds(&jwks, "a", NOON + REFRESH_AFTER_MS).await, Ok(()), "does not wait");
        // The refresh holds the gate until it is done.
        drop(Arc::clone(&jwks.shared.gate).lock_owned().await);
        assert_eq!(provider.asked(), 2);
        assert_eq!(finds(&jwks, "a", NOON + REFRESH_AFTER_MS).await, Err(NoKey::Unknown));
        assert_eq!(finds(&jwks, "b", NOON + REFRESH_AFTER_MS).await, Ok(()));
    }

    /// Nobody has called for a while, so no refresh has happened beside a request.
    #[tokio::test]
    async fn stale_keys_wait_for_the_fetch() {
        let (gone, stays) = (TestKey::ed().jwk("a"), TestKey::ed().jwk("b"));
        let cases = [
            ("a moment before", STALE_AFTER_MS - 1, Ok(()), Ok(())),
            ("stale", STALE_AFTER_MS, Err(NoKey::Unknown), Ok(())),
            ("after idle hours", 5 * 60 * MINUTE, Err(NoKey::Unknown), Ok(())),
        ];
        for (name, age_ms, withdrawn, kept) in cases {
            let provider = Provider::start(Answer::Keys(json!([gone, stays]))).await;
            let jwks = provider.jwks();
            jwks.refresh(NOON).await;
            provider.says(Answer::Keys(json!([stays])));
            assert_eq!(finds(&jwks, "a", NOON + age_ms).await, withdrawn, "{name}");
            assert_eq!(finds(&jwks, "b", NOON + age_ms).await, kept, "{name}");
        }
        let provider = Provider::start(Answer::Keys(json!([stays]))).await;
        let jwks = provider.jwks();
        jwks.refresh(NOON).await;
        provider.says(Answer::Broken);
        let stale = NOON + STALE_AFTER_MS;
        assert_eq!(finds(&jwks, "b", stale).await, Err(NoKey::Unavailable), "no answer");
        provider.says(Answer::Keys(json!([stays])));
        assert_eq!(finds(&jwks, "b", stale + MINUTE).await, Ok(()), "it answers again");
    }

    /// A token that was verified is remembered, but not past the keys it was verified with.
    #[tokio::test]
    async fn a_remembered_token_dies_with_its_key() {
        let (gone, stays) = (TestKey::ed(), TestKey::ec());
        let both = json!([gone.jwk("a"), stays.jwk("b")]);
        let provider = Provider::start(Answer::Keys(both)).await;
        let local = LocalKeys::new(vec![LocalKey::active("l", &[7; 32], 0).unwrap()]).unwrap();
        let external = ExternalIssuer::with_jwks("idp", "shop", provider.jwks()).unwrap();
        let tokens = TokenService::new(local, Some(external)).unwrap();
        let exp = NOON / 1_000 + 24 * 3_600;
        let claims = json!({"iss": "idp", "aud": "shop", "sub": "ann", "role": "shop", "exp": exp});
        let token = gone.token(&json!({"alg": "EdDSA", "kid": "a"}), &claims);
        tokens.verify(&token, NOON).await.unwrap();
        provider.says(Answer::Keys(json!([stays.jwk("b")])));
        // Looked at anew a minute before, and so remembered for some minutes more.
        let outcome = tokens.verify(&token, NOON + STALE_AFTER_MS - MINUTE).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        let outcome = tokens.verify(&token, NOON + STALE_AFTER_MS).await;
        assert_eq!(outcome.err(), Some(BadToken::UnknownKey { kid: "a".into() }));
    }

    #[test]
    fn which_entries_are_keys() {
        let with = |mut jwk: Value, name: &str, value: &str| {
            jwk[name] = json!(value);
            jwk
        };
        let (rsa, ec, ed) =
            (TestKey::rsa().jwk("k"), TestKey::ec().jwk("k"), TestKey::ed().jwk("k"));
        let mut nameless = ed.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let cases = [
            ("RSA", rsa.clone(), true),
            ("P-256", ec.clone(), true),
            ("Ed25519", ed.clone(), true),
            ("its alg", with(rsa.clone(), "alg", "RS256"), true),
            ("another alg", with(rsa.clone(), "alg", "RS512"), false),
            ("HS256 for an RSA key", with(rsa.clone(), "alg", "HS256"), false),
            ("for signatures", with(ec.clone(), "use", "sig"), true),
            ("for encryption", with(ec.clone(), "use", "enc"), false),
            ("another curve", with(ec, "crv", "P-384"), false),
            ("RSA of 8 bits", with(rsa, "n", "_w"), false),
            ("Ed25519 cut short", with(ed.clone(), "x", "AAAA"), false),
            ("a long name", with(ed, "kid", &"k".repeat(65)), false),
            ("no name", nameless, false),
            ("a secret", TestKey::hmac(&[7; 32]).jwk("k"), false),
            ("a kind yet unknown", json!({"kty": "AKP", "kid": "k", "pub": "x"}), false),
            ("not an object", json!("k"), false),
        ];
        for (name, entry, want) in cases {
            let good = TestKey::ed().jwk("good");
            let body = json!({"keys": [entry, good]}).to_string();
            let keys = usable_keys(body.as_bytes()).unwrap();
            assert!(keys.find(Some("good")).is_some(), "{name} spoils the others");
            assert_eq!(keys.find(Some("k")).is_some(), want, "{name}");
        }
    }

    #[test]
    fn keys_without_a_name() {
        let (one, other) = (TestKey::ed(), TestKey::ec());
        let nameless = |key: &TestKey| {
            let mut jwk = key.jwk("k");
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        };
        let encryption = {
            let mut jwk = other.jwk("e");
            jwk["use"] = json!("enc");
            jwk
        };
        // Whether a token that names `k`, `x` or nothing has a key.
        let cases = [
            ("one with a name", json!([one.jwk("k")]), [true, false, true]),
            ("one without", json!([nameless(&one)]), [true, true, true]),
            ("beside one of no use", json!([nameless(&one), encryption]), [true, true, true]),
            ("two with names", json!([one.jwk("k"), other.jwk("l")]), [true, false, false]),
            ("one of two has none", json!([one.jwk("k"), nameless(&other)]), [true, false, false]),
        ];
        for (name, set, want) in cases {
            let keys = usable_keys(json!({"keys": set}).to_string().as_bytes()).unwrap();
            let found = [Some("k"), Some("x"), None].map(|kid| keys.find(kid).is_some());
            assert_eq!(found, want, "{name}");
        }
        let two = json!({"keys": [nameless(&one), nameless(&other)]}).to_string();
        assert!(usable_keys(two.as_bytes()).is_err(), "nobody knows which of two is meant");
    }

    #[test]
    fn keys_past_the_limit_are_left_out() {
        let ed = TestKey::ed();
        for (found, taken) in [(JWKS_KEYS_MAX, JWKS_KEYS_MAX), (JWKS_KEYS_MAX + 1, JWKS_KEYS_MAX)] {
            let keys: Vec<Value> = (0..found).map(|i| ed.jwk(&i.to_string())).collect();
            let body = json!({ "keys": keys }).to_string();
            assert_eq!(usable_keys(body.as_bytes()).unwrap().count(), taken, "{found}");
        }
    }

    #[tokio::test]
    async fn tokens_through_a_jwks() {
        let (rsa, ec, ed) = (TestKey::rsa(), TestKey::ec(), TestKey::ed());
        let set = json!([rsa.jwk("rsa"), ec.jwk("ec"), ed.jwk("ed")]);
        let provider = Provider::start(Answer::Keys(set)).await;
        let local = LocalKeys::new(vec![LocalKey::active("l", &[7; 32], 0).unwrap()]).unwrap();
        let external = ExternalIssuer::with_jwks("idp", "shop", provider.jwks()).unwrap();
        let tokens = TokenService::new(local, Some(external)).unwrap();
        let claims =
            json!({"iss": "idp", "aud": "shop", "sub": "ann", "role": "shop", "exp": NOON / 1_000});
        let now_ms = NOON - 1;
        let wrong_alg = BadToken::Algorithm { found: "EdDSA".into(), wanted: "RS256".into() };
        let cases = [
            ("RS256", &rsa, json!({"alg": "RS256", "kid": "rsa"}), None),
            ("ES256", &ec, json!({"alg": "ES256", "kid": "ec"}), None),
            ("EdDSA", &ed, json!({"alg": "EdDSA", "kid": "ed"}), None),
            ("another's kid", &ed, json!({"alg": "EdDSA", "kid": "rsa"}), Some(wrong_alg)),
            ("no kid", &ed, json!({"alg": "EdDSA"}), Some(BadToken::NoKid)),
            (
                "an address brought along",
                &ed,
                json!({"alg": "EdDSA", "kid": "x", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}),
                Some(BadToken::UnknownKey { kid: "x".into() }),
            ),
        ];
        for (name, key, header, want) in cases {
            let token = key.token(&header, &claims);
            assert_eq!(tokens.verify(&token, now_ms).await.err(), want, "{name}");
        }
        assert_eq!(*provider.asked.lock().unwrap(), ["/keys"]);
    }
}
