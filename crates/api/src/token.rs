//! Tokens: the only place where text becomes [`TokenClaims`], and the only one that signs any.
//!
//! A token is a JWT with `iss`, `aud`, `sub`, `exp` and `role`. Two issuers exist. *Local* tokens
//! are ours: HS256, signed by the newest of [`LocalKeys`]. *External* tokens come from an identity
//! provider and are verified with its public key or its JWKS. The `iss` of a token only chooses
//! whose keys it must stand up to; the algorithm belongs to the key, never to the token. Both
//! stay valid side by side.
//!
//! The clock is an argument everywhere, in milliseconds since 1970; there is no leeway.

mod claims;
mod external;
mod id_token;
mod jwks;
mod key_rules;
mod local_keys;
mod mint;
mod provider;
mod public_key;
mod raw;
mod role_claim;
#[cfg(test)]
pub(crate) mod testkeys;
mod text;
mod verified;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use parking_lot::RwLock;

pub use self::claims::{BadToken, Role, TOKEN_BYTES_MAX, TokenClaims, TokenIssuer};
pub use self::external::ExternalIssuer;
pub use self::jwks::Jwks;
pub use self::key_rules::{BadKey, PublicAlgorithm, SECRET_BYTES_MIN};
pub use self::local_keys::{LocalKey, LocalKeys};
pub use self::mint::{BadMint, TTL_MS_MAX};
pub use self::public_key::PublicKey;
pub use self::role_claim::{ROLE_PREFIX, RoleClaim};

use self::claims::{LOCAL_AUDIENCE, LOCAL_ISSUER};
use self::jwks::PublishedKey;
use self::local_keys::LocalState;
use self::mint::sign;
use self::raw::{TokenParts, all_claims};
use self::text::echo;
use self::verified::{VerifiedTokens, print_of};

#[derive(Debug)]
pub struct TokenService {
    local: RwLock<Arc<LocalIssuer>>,
    external: Option<ExternalIssuer>,
}

/// Our keys, and the tokens that were verified while they were ours: both are replaced as one, so
/// that no token outlives its key here.
#[derive(Debug)]
struct LocalIssuer {
    keys: LocalKeys,
    verified: VerifiedTokens,
}

impl LocalIssuer {
    fn of(keys: LocalKeys) -> RwLock<Arc<LocalIssuer>> {
        RwLock::new(Arc::new(LocalIssuer { keys, verified: VerifiedTokens::default() }))
    }
}

impl TokenService {
    /// Installs the crypto provider and signs and verifies one token, so that a broken set-up is
    /// found at start and not by the first caller.
    ///
    /// # Errors
    /// [`BadKey::SelfTest`].
    pub fn new(local: LocalKeys, external: Option<ExternalIssuer>) -> Result<TokenService, BadKey> {
        provider::install();
        let tokens = TokenService { local: LocalIssuer::of(local), external };
        tokens.self_test()?;
        Ok(tokens)
    }

    /// Puts other keys of ours in the place of those there are: what one signed that is not among
    /// them, or is retired, is refused from now on.
    pub fn replace_local(&self, keys: LocalKeys) {
        let local = Arc::new(LocalIssuer { keys, verified: VerifiedTokens::default() });
        *self.local.write() = local;
    }

    fn local(&self) -> Arc<LocalIssuer> {
        Arc::clone(&self.local.read())
    }

    /// Whether tokens of another issuer are accepted, which turns sign-up here off.
    pub fn accepts_external(&self) -> bool {
        self.external.is_some()
    }

    /// A token of ours and its `exp` in milliseconds, which is the whole second in or after
    /// `now_ms + ttl_ms`.
    pub fn mint(
        &self,
        subject: &str,
        role: Role,
        ttl_ms: i64,
        now_ms: i64,
    ) -> Result<(String, i64), BadMint> {
        sign(&self.local().keys, subject, role, ttl_ms, now_ms)
    }

    /// What `token` says, if it is valid at `now_ms`.
    ///
    /// Microseconds, without I/O, unless the token names a key that its issuer's JWKS is not
    /// known to have, or the JWKS is stale: then at most one fetch a minute, which takes [`Jwks`]'s
    /// time-out at most. One that was verified is remembered for some minutes, at most until it
    /// expires or its issuer's keys are stale.
    ///
    /// # Errors
    /// [`BadToken`]; the first check that fails wins: form, issuer, key, signature, claims, time.
    pub async fn verify(&self, token: &str, now_ms: i64) -> Result<TokenClaims, BadToken> {
        let print = print_of(token);
        let local = self.local();
        if let Some(claims) = local.verified.claims(&print, now_ms) {
            return Ok(claims);
        }
        let (claims, good_until_ms) = self.verify_anew(&local.keys, token, now_ms).await?;
        local.verified.keep(print, &claims, good_until_ms, now_ms);
        Ok(claims)
    }

    /// The claims, and until when the key counts that they were verified with.
    async fn verify_anew(
        &self,
        local: &LocalKeys,
        token: &str,
        now_ms: i64,
    ) -> Result<(TokenClaims, i64), BadToken> {
        let parts = TokenParts::parse(token)?;
        let kid = parts.kid()?;
        let iss = parts.claims.issuer()?;
        match &self.external {
            Some(external) if external.issuer == iss => {
                let PublishedKey { key, good_until_ms } = external.key(kid, now_ms).await?;
                parts.check_signature(key.algorithm, &key.key)?;
                let role = || external.role_claim.role(&all_claims(token)?);
                let audience = &external.audience;
                let claims = parts.claims.check(TokenIssuer::External, audience, role, now_ms)?;
                Ok((claims, good_until_ms))
            }
            Some(_) | None if iss == LOCAL_ISSUER => {
                Ok((verify_local(local, &parts, kid, now_ms)?, i64::MAX))
            }
            Some(external) => Err(BadToken::Issuer {
                found: echo(iss),
                wanted: format!("{LOCAL_ISSUER:?} or {:?}", external.issuer),
            }),
            None => Err(BadToken::Issuer { found: echo(iss), wanted: format!("{LOCAL_ISSUER:?}") }),
        }
    }

    /// Signs a token and verifies it. A provider that was never installed panics at its first
    /// use: that comes out as an error too.
    ///
    /// # Errors
    /// [`BadKey::SelfTest`].
    pub fn self_test(&self) -> Result<(), BadKey> {
        let failed = |why: String| BadKey::SelfTest { why };
        // Nothing is written in there, so nothing can be left half done.
        catch_unwind(AssertUnwindSafe(|| self.sign_and_verify()))
            .map_err(|_| failed("the crypto provider panicked".to_owned()))?
            .map_err(failed)
    }

    fn sign_and_verify(&self) -> Result<(), String> {
        let (token, _) =
            self.mint("self-test", Role::User, 1_000, 0).map_err(|bad| bad.to_string())?;
        let verify = |token: &str| {
            let parts = TokenParts::parse(token)?;
            verify_local(&self.local().keys, &parts, parts.kid()?, 0)
        };
        verify(&token).map_err(|bad| bad.to_string())?;
        let (signed, _) = token.rsplit_once('.').ok_or("no signature")?;
        match verify(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 32]))) {
            Err(BadToken::Signature) => Ok(()),
            other => Err(format!("a forged signature gave {other:?}")),
        }
    }
}

fn verify_local(
    keys: &LocalKeys,
    parts: &TokenParts<'_>,
    kid: Option<&str>,
    now_ms: i64,
) -> Result<TokenClaims, BadToken> {
    let kid = kid.ok_or(BadToken::NoKid)?;
    let key = match keys.find(kid) {
        Some(LocalState::Active { verifies, .. }) => verifies,
        Some(LocalState::Retired) => return Err(BadToken::RetiredKey { kid: echo(kid) }),
        None => return Err(BadToken::UnknownKey { kid: echo(kid) }),
    };
    parts.check_signature(Algorithm::HS256, key)?;
    parts.claims.check(TokenIssuer::Local, LOCAL_AUDIENCE, || parts.claims.role(), now_ms)
}

#[cfg(test)]
mod tests {
    use coupon::ids::{UserId, WORD_LEN_MAX};
    use serde_json::{Value, json};

    use super::raw::{FORM, SECONDS_MAX};
    use super::testkeys::{TestKey, unsigned};
    use super::*;

    const NOON: i64 = 1_763_596_800_000;
    const NOON_S: i64 = NOON / 1_000;
    const SECRET: [u8; 32] = [7; 32];
    const IDP: &str = "https://id.example";
    const SHOP: &str = "shop.example";

    fn local_keys() -> LocalKeys {
        LocalKeys::new(vec![
            LocalKey::active("old", &[6; 32], 1).unwrap(),
            LocalKey::active("new", &SECRET, 2).unwrap(),
            LocalKey::retired("gone").unwrap(),
        ])
        .unwrap()
    }

    fn tokens(external: Option<(&TestKey, PublicAlgorithm)>) -> TokenService {
        let external = external.map(|(key, algorithm)| {
            let key = PublicKey::from_pem(algorithm, key.public_pem().as_bytes()).unwrap();
            ExternalIssuer::with_key(IDP, SHOP, key).unwrap()
        });
        TokenService::new(local_keys(), external).unwrap()
    }

    fn local_claims() -> Value {
        json!({"iss": "couponry", "aud": "couponry", "sub": "ann", "role": "user", "exp": NOON_S + 60})
    }

    fn external_claims() -> Value {
        json!({"iss": IDP, "aud": SHOP, "sub": "ann", "role": "user", "exp": NOON_S + 60})
    }

    fn ann(issuer: TokenIssuer) -> TokenClaims {
        TokenClaims {
            subject: "ann".parse().unwrap(),
            role: Role::User,
            issuer,
            expires_at_ms: NOON + 60_000,
        }
    }

    fn with(mut claims: Value, name: &str, value: Value) -> Value {
        claims[name] = value;
        claims
    }

    fn without(mut claims: Value, name: &str) -> Value {
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    fn local_token(claims: &Value) -> String {
        TestKey::hmac(&SECRET).token(&json!({"alg": "HS256", "kid": "new"}), claims)
    }

    #[tokio::test]
    async fn mints_what_it_verifies() {
        let tokens = tokens(None);
        for role in [Role::User, Role::Shop, Role::Operator, Role::Admin] {
            let (token, expires_at_ms) = tokens.mint("ann", role, 60_000, NOON).unwrap();
            let want = TokenClaims { role, expires_at_ms, ..ann(TokenIssuer::Local) };
            assert_eq!(tokens.verify(&token, NOON).await, Ok(want), "{role}");
        }
    }

    #[test]
    fn mint_limits() {
        let (ok, tokens) = (|expires_at_ms| Ok(expires_at_ms), tokens(None));
        let long = "u".repeat(WORD_LEN_MAX + 1);
        let bad = |text: &str| Err(BadMint::Subject(text.parse::<UserId>().unwrap_err()));
        let cases = [
            ("a second", "ann", 1_000, ok(NOON + 1_000)),
            ("a millisecond, rounded up", "ann", 1, ok(NOON + 1_000)),
            ("no time", "ann", 0, Err(BadMint::Ttl { ttl_ms: 0 })),
            ("the longest", "ann", TTL_MS_MAX, ok(NOON + TTL_MS_MAX)),
            ("longer", "ann", TTL_MS_MAX + 1, Err(BadMint::Ttl { ttl_ms: TTL_MS_MAX + 1 })),
            ("the longest name", &long[1..], 1_000, ok(NOON + 1_000)),
            ("a longer name", &long, 1_000, bad(&long)),
            ("nobody", "", 1_000, bad("")),
            ("a blank", "a b", 1_000, bad("a b")),
        ];
        for (name, subject, ttl_ms, want) in cases {
            let got = tokens.mint(subject, Role::User, ttl_ms, NOON).map(|(_, exp)| exp);
            assert_eq!(got, want, "{name}");
        }
    }

    #[tokio::test]
    async fn time() {
        let exp = |seconds: Value| with(local_claims(), "exp", seconds);
        let expired = |exp_s| Some(BadToken::Expired { exp_s, now_s: NOON_S });
        let not_number =
            |claim| Some(BadToken::ClaimType { claim, wanted: "a number of seconds since 1970" });
        let cases = [
            ("a second left", exp(json!(NOON_S + 1)), None),
            ("exp is exclusive", exp(json!(NOON_S)), expired(NOON_S)),
            ("past", exp(json!(NOON_S - 1)), expired(NOON_S - 1)),
            ("half a second left", exp(json!(NOON_S as f64 + 0.5)), None),
            ("exp as a string", exp(json!((NOON_S + 60).to_string())), not_number("exp")),
            ("exp below zero", exp(json!(-1)), not_number("exp")),
            ("the year 9999", exp(json!(SECONDS_MAX)), None),
            ("the year 10000", exp(json!(SECONDS_MAX + 1)), not_number("exp")),
            ("exp without end", exp(json!(1e300)), not_number("exp")),
            ("nbf now", with(local_claims(), "nbf", json!(NOON_S)), None),
            (
                "nbf in a second",
                with(local_claims(), "nbf", json!(NOON_S + 1)),
                Some(BadToken::NotYet { nbf_s: NOON_S + 1, now_s: NOON_S }),
            ),
            ("nbf as a string", with(local_claims(), "nbf", json!("0")), not_number("nbf")),
            ("iat as a string", with(local_claims(), "iat", json!("0")), not_number("iat")),
        ];
        for (name, claims, want) in cases {
            let got = tokens(None).verify(&local_token(&claims), NOON).await;
            assert_eq!(got.err(), want, "{name}");
        }
    }

    #[tokio::test]
    async fn claims() {
        let long = "u".repeat(WORD_LEN_MAX + 1);
        let bad = |text: &str| Some(BadToken::Subject(text.parse::<UserId>().unwrap_err()));
        let has = |name, value| with(local_claims(), name, value);
        let text = |claim| Some(BadToken::ClaimType { claim, wanted: "a string" });
        let meant_for = |found: &str| {
            Some(BadToken::Audience { found: found.into(), wanted: "couponry".into() })
        };
        let issued_by = |found: &str| {
            Some(BadToken::Issuer { found: found.into(), wanted: "\"couponry\"".into() })
        };
        let cases = [
            ("all there", local_claims(), None),
            ("aud in a list", has("aud", json!(["x", "couponry"])), None),
            ("another aud", has("aud", json!("x")), meant_for("x")),
            ("other auds", has("aud", json!(["x", "y"])), meant_for("x, y")),
            ("no aud in a list", has("aud", json!([])), meant_for("")),
            ("another iss", has("iss", json!("x")), issued_by("x")),
            ("iss in a list", has("iss", json!(["couponry"])), text("iss")),
            (
                "an unknown role",
                has("role", json!("root")),
                Some(BadToken::Role { found: "root".into() }),
            ),
            ("role in a list", has("role", json!(["admin"])), text("role")),
            ("the longest sub", has("sub", json!(long[1..])), None),
            ("a longer sub", has("sub", json!(long)), bad(&long)),
            ("an empty sub", has("sub", json!("")), bad("")),
            ("sub with a blank", has("sub", json!("a b")), bad("a b")),
            ("sub beyond ASCII", has("sub", json!("김철수")), None),
            ("sub as a number", has("sub", json!(1)), text("sub")),
        ];
        for (name, claims, want) in cases {
            let got = tokens(None).verify(&local_token(&claims), NOON).await;
            assert_eq!(got.err(), want, "{name}");
        }
        for claim in ["iss", "aud", "sub", "exp", "role"] {
            for claims in [without(local_claims(), claim), has(claim, Value::Null)] {
                let got = tokens(None).verify(&local_token(&claims), NOON).await;
                assert_eq!(got, Err(BadToken::Missing { claim }), "{claims}");
            }
        }
    }

    #[tokio::test]
    async fn form() {
        let form = || Err(BadToken::Malformed { what: FORM });
        let good = local_token(&local_claims());
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let head = part(r#"{"alg":"HS256","kid":"new"}"#);
        let none = |alg: &str| unsigned(&json!({"alg": alg}), &local_claims());
        let crit = json!({"alg": "HS256", "kid": "new", "crit": ["b64"]});
        let twice = r#"{"iss":"couponry","iss":"x"}"#;
        let in_order = r#"["couponry","couponry","ann",9999999999,0,0,"user"]"#;
        let cases = [
            ("nothing", String::new(), form()),
            ("garbage", "garbage".into(), form()),
            ("points", "..".into(), form()),
            ("two parts", none("HS256"), form()),
            ("four parts", format!("{good}.x"), form()),
            ("not base64", "!.!.!".into(), form()),
            ("not JSON", format!("{}.e30.x", part("x")), form()),
            ("an array for a header", format!("{}.e30.x", part(r#"["HS256",null,null]"#)), form()),
            ("no alg", format!("{}.e30.x", part("{}")), form()),
            ("an array of claims", format!("{head}.{}.x", part("[]")), form()),
            ("claims in an array", format!("{head}.{}.x", part(in_order)), form()),
            ("a claim twice", format!("{head}.{}.x", part(twice)), form()),
            ("no signature", format!("{}.", none("HS256")), Err(BadToken::Unsigned)),
            ("alg none", format!("{}.", none("none")), form()),
            ("alg nOnE, signed", format!("{}.AAAA", none("nOnE")), form()),
            (
                "crit",
                TestKey::hmac(&SECRET).token(&crit, &local_claims()),
                Err(BadToken::Malformed { what: "crit names an extension unknown here" }),
            ),
            ("4,096 bytes", "x".repeat(TOKEN_BYTES_MAX), form()),
            ("4,097 bytes", "x".repeat(TOKEN_BYTES_MAX + 1), Err(BadToken::TooLong { len: 4_097 })),
            ("base64 with padding", format!("{good}="), Err(BadToken::Signature)),
            ("it was good", good, Ok(ann(TokenIssuer::Local))),
        ];
        for (name, token, want) in cases {
            assert_eq!(tokens(None).verify(&token, NOON).await, want, "{name}");
        }
        let big = local_token(&with(local_claims(), "pad", json!("x".repeat(7_500))));
        let got = tokens(None).verify(&big, NOON).await;
        assert_eq!(got, Err(BadToken::TooLong { len: big.len() }), "10 kB, well signed");
    }

    #[tokio::test]
    async fn keys_that_are_replaced() {
        let tokens = tokens(None);
        let token = local_token(&local_claims());
        assert!(tokens.verify(&token, NOON).await.is_ok(), "and remembered");
        let key = |id, secret: u8| LocalKey::active(id, &[secret; 32], 3).unwrap();
        tokens.replace_local(LocalKeys::new(vec![key("newest", 9)]).unwrap());
        let gone = tokens.verify(&token, NOON).await;
        assert!(matches!(gone, Err(BadToken::UnknownKey { .. })), "{gone:?}");
        let (newer, _) = tokens.mint("ann", Role::User, 60_000, NOON).unwrap();
        assert!(tokens.verify(&newer, NOON).await.is_ok(), "signed with the newest");
        let retired = LocalKey::retired("newest").unwrap();
        tokens.replace_local(LocalKeys::new(vec![key("another", 8), retired]).unwrap());
        let retired = tokens.verify(&newer, NOON).await;
        assert!(matches!(retired, Err(BadToken::RetiredKey { .. })), "{retired:?}");
    }

    #[tokio::test]
    async fn local_keys_and_algorithms() {
        let (right, old) = (TestKey::hmac(&SECRET), TestKey::hmac(&[6; 32]));
        let kid = |kid: &str| json!({"alg": "HS256", "kid": kid});
        let unknown = |kid: &str| Err(BadToken::UnknownKey { kid: kid.into() });
        let wrong_alg =
            |found: &str| Err(BadToken::Algorithm { found: found.into(), wanted: "HS256".into() });
        let long = "k".repeat(65);
        let brought =
            json!({"alg": "HS256", "jku": "http://127.0.0.1:1/", "jwk": right.jwk("new")});
        let cases = [
            ("the signing key", &right, kid("new"), Ok(ann(TokenIssuer::Local))),
            ("an older key", &old, kid("old"), Ok(ann(TokenIssuer::Local))),
            ("a key under another's id", &old, kid("new"), Err(BadToken::Signature)),
            ("a stranger's key", &TestKey::hmac(&[9; 32]), kid("new"), Err(BadToken::Signature)),
            (
                "a retired key",
                &right,
                kid("gone"),
                Err(BadToken::RetiredKey { kid: "gone".into() }),
            ),
            ("no kid", &right, json!({"alg": "HS256"}), Err(BadToken::NoKid)),
            ("a key brought along", &right, brought, Err(BadToken::NoKid)),
            ("an unknown kid", &right, kid("x"), unknown("x")),
            ("kid of 64", &right, kid(&long[1..]), unknown(&long[1..])),
            ("kid of 65", &right, kid(&long), Err(BadToken::KidTooLong { len: 65 })),
            ("HS512", &right, json!({"alg": "HS512", "kid": "new"}), wrong_alg("HS512")),
            ("RS256", &TestKey::rsa(), json!({"alg": "RS256", "kid": "new"}), wrong_alg("RS256")),
            ("RS256 called HS256", &TestKey::rsa(), kid("new"), Err(BadToken::Signature)),
        ];
        for (name, key, header, want) in cases {
            let token = key.token(&header, &local_claims());
            assert_eq!(tokens(None).verify(&token, NOON).await, want, "{name}");
        }
        let good = local_token(&local_claims());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (head, _) = signed.split_once('.').unwrap();
        let admin = with(local_claims(), "role", json!("admin")).to_string();
        let changed = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(admin));
        assert_eq!(tokens(None).verify(&changed, NOON).await, Err(BadToken::Signature));
    }

    #[tokio::test]
    async fn external_algorithms() {
        let keys = [
            (TestKey::rsa(), PublicAlgorithm::Rs256),
            (TestKey::ec(), PublicAlgorithm::Es256),
            (TestKey::ed(), PublicAlgorithm::EdDsa),
        ];
        for (key, algorithm) in &keys {
            let tokens = tokens(Some((key, *algorithm)));
            for (other, called) in &keys {
                let token = other.token(&json!({"alg": called.to_string()}), &external_claims());
                let want = match called == algorithm {
                    true => Ok(ann(TokenIssuer::External)),
                    false => Err(BadToken::Algorithm {
                        found: called.to_string(),
                        wanted: key.alg().into(),
                    }),
                };
                assert_eq!(tokens.verify(&token, NOON).await, want, "{called} for {algorithm}");
            }
        }
    }

    #[tokio::test]
    async fn public_key_as_secret() {
        let rsa = TestKey::rsa();
        let forger = TestKey::hmac(rsa.public_pem().as_bytes());
        let tokens = tokens(Some((&rsa, PublicAlgorithm::Rs256)));
        let named =
            |found: &str| Err(BadToken::Algorithm { found: found.into(), wanted: "RS256".into() });
        let cases = [
            ("the classic", json!({"alg": "HS256"}), external_claims(), named("HS256")),
            ("named RS256", json!({"alg": "RS256"}), external_claims(), Err(BadToken::Signature)),
            (
                "as ours",
                json!({"alg": "HS256", "kid": "new"}),
                local_claims(),
                Err(BadToken::Signature),
            ),
        ];
        for (name, header, claims, want) in cases {
            let token = forger.token(&header, &claims);
            assert_eq!(tokens.verify(&token, NOON).await, want, "{name}");
        }
    }

    #[tokio::test]
    async fn two_issuers_side_by_side() {
        let (ed, stranger) = (TestKey::ed(), TestKey::ed());
        let tokens = tokens(Some((&ed, PublicAlgorithm::EdDsa)));
        let eddsa = json!({"alg": "EdDSA"});
        let ours = json!({"alg": "HS256", "kid": "new"});
        let neither = BadToken::Issuer {
            found: "x".into(),
            wanted: "\"couponry\" or \"https://id.example\"".into(),
        };
        let own_aud = with(external_claims(), "aud", json!("couponry"));
        let for_us = BadToken::Audience { found: "couponry".into(), wanted: SHOP.into() };
        let wants_hs = BadToken::Algorithm { found: "EdDSA".into(), wanted: "HS256".into() };
        let wants_ed = BadToken::Algorithm { found: "HS256".into(), wanted: "EdDSA".into() };
        let hmac = TestKey::hmac(&SECRET);
        let eddsa_kid = json!({"alg": "EdDSA", "kid": "new"});
        let cases = [
            ("theirs", &ed, &eddsa, external_claims(), Ok(ann(TokenIssuer::External))),
            ("ours", &hmac, &ours, local_claims(), Ok(ann(TokenIssuer::Local))),
            ("a stranger as them", &stranger, &eddsa, external_claims(), Err(BadToken::Signature)),
            ("they as us", &ed, &eddsa_kid, local_claims(), Err(wants_hs)),
            ("we as them", &hmac, &ours, external_claims(), Err(wants_ed)),
            ("theirs with our aud", &ed, &eddsa, own_aud, Err(for_us)),
            ("neither", &ed, &eddsa, with(external_claims(), "iss", json!("x")), Err(neither)),
        ];
        for (name, key, header, claims, want) in cases {
            let token = key.token(header, &claims);
            assert_eq!(tokens.verify(&token, NOON).await, want, "{name}");
        }
    }

    #[test]
    fn external_names() {
        let ed = TestKey::ed();
        let key =
            || PublicKey::from_pem(PublicAlgorithm::EdDsa, ed.public_pem().as_bytes()).unwrap();
        let taken = |found: &str| Some(BadKey::IssuerName { found: found.into() });
        let cases = [
            ("good", IDP, SHOP, None),
            ("ours", LOCAL_ISSUER, SHOP, taken(LOCAL_ISSUER)),
            ("none", "", SHOP, taken("")),
            ("no audience", IDP, "", Some(BadKey::AudienceName)),
        ];
        for (name, issuer, audience, want) in cases {
            assert_eq!(ExternalIssuer::with_key(issuer, audience, key()).err(), want, "{name}");
        }
    }

    #[test]
    fn errors_do_not_repeat_a_whole_token() {
        let bad = "x".repeat(4_000).parse::<Role>().unwrap_err();
        assert!(bad.to_string().len() < 200, "{bad}");
    }
}
