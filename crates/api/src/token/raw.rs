//! A token before it is believed: its parts, and the checks that make [`TokenClaims`] of them.
//!
//! Nothing here chooses a key. [`TokenParts::check_signature`] comes before [`RawClaims::check`].
//! `jsonwebtoken` reads the parts. It does not check them: it would use the clock of the machine,
//! with leeway, and ignore `crit`.

use coupon::ids::UserId;
use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::{Algorithm, DecodingKey, Header, TokenData};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::claims::{BadToken, Role, TOKEN_BYTES_MAX, TokenClaims, TokenIssuer};
use super::key_rules::KID_BYTES_MAX;
use super::text::echo;

/// Latest `exp`, `nbf` and `iat`, in seconds: the end of the year 9999, the last that RFC 3339
/// can print. Keeps milliseconds far from overflow.
pub(super) const SECONDS_MAX: u64 = 253_402_300_799;

/// What every token has to be before anything else is checked.
pub(super) const FORM: &str =
    "want header.payload.signature of base64url and JSON objects, with an alg known here";

/// The parts of a token, of which nothing is trusted yet. Of the header only `alg`, `kid` and `crit`
/// count: `jku`, `x5u`, `jwk` and `x5c` would let a token bring its own key.
pub(super) struct TokenParts<'a> {
    header: Header,
    pub(super) claims: RawClaims,
    signed: &'a str,
    signature: &'a str,
}

/// A name claimed twice is malformed: two readers could take it differently.
#[derive(Deserialize)]
pub(super) struct RawClaims {
    iss: Option<Value>,
    aud: Option<Value>,
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    role: Option<Value>,
    /// Has serde refuse an array, which it would take for these fields in their order.
    #[serde(flatten)]
    _others: IgnoredAny,
}

impl TokenParts<'_> {
    pub(super) fn parse(token: &str) -> Result<TokenParts<'_>, BadToken> {
        TokenParts::parse_within(TOKEN_BYTES_MAX, token)
    }

    pub(super) fn parse_within(bytes_max: usize, token: &str) -> Result<TokenParts<'_>, BadToken> {
        if token.len() > bytes_max {
            return Err(BadToken::TooLong { len: token.len() });
        }
        let malformed = |what| BadToken::Malformed { what };
        let TokenData { header, claims } =
            insecure_decode::<RawClaims>(token).map_err(|_| malformed(FORM))?;
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed(FORM))?;
        if signature.is_empty() {
            return Err(BadToken::Unsigned);
        }
        if header.crit.is_some() {
            return Err(malformed("crit names an extension unknown here"));
        }
        Ok(TokenParts { header, claims, signed, signature })
    }

    pub(super) fn kid(&self) -> Result<Option<&str>, BadToken> {
        match self.header.kid.as_deref() {
            Some(kid) if kid.len() > KID_BYTES_MAX => Err(BadToken::KidTooLong { len: kid.len() }),
            kid => Ok(kid),
        }
    }

    pub(super) fn check_signature(
        &self,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<(), BadToken> {
        if self.header.alg != algorithm {
            let [found, wanted] = [self.header.alg, algorithm].map(|it| format!("{it:?}"));
            return Err(BadToken::Algorithm { found, wanted });
        }
        match jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm) {
            Ok(true) => Ok(()),
            // An error is a signature that is not even base64url: as wrong as any other.
            Ok(false) | Err(_) => Err(BadToken::Signature),
        }
    }
}

impl RawClaims {
    pub(super) fn issuer(&self) -> Result<&str, BadToken> {
        text("iss", self.iss.as_ref())
    }

    /// Called after the signature was checked.
    pub(super) fn check(
        &self,
        issuer: TokenIssuer,
        audience: &str,
        role: impl FnOnce() -> Result<Role, BadToken>,
        now_ms: i64,
    ) -> Result<TokenClaims, BadToken> {
        self.check_audience(audience)?;
        let subject = text("sub", self.sub.as_ref())?;
        let subject: UserId = subject.parse().map_err(BadToken::Subject)?;
        let role = role()?;
        let expires_at_ms = self.check_time(now_ms)?;
        Ok(TokenClaims { subject, role, issuer, expires_at_ms })
    }

    /// The role of one of our tokens.
    pub(super) fn role(&self) -> Result<Role, BadToken> {
        let role = text("role", self.role.as_ref())?;
        role.parse().map_err(|_| BadToken::Role { found: echo(role) })
    }

    pub(super) fn check_audience(&self, wanted: &str) -> Result<(), BadToken> {
        let names = match self.aud.as_ref().ok_or(missing("aud"))? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                let wanted = "a string or a list of them";
                return Err(BadToken::ClaimType { claim: "aud", wanted });
            }
        };
        match names.contains(&wanted) {
            true => Ok(()),
            false => Err(BadToken::Audience {
                found: echo(&names.join(", ")),
                wanted: wanted.to_owned(),
            }),
        }
    }

    /// Returns when the token expires, in milliseconds since 1970.
    pub(super) fn check_time(&self, now_ms: i64) -> Result<i64, BadToken> {
        let expires_at_ms = instant("exp", self.exp.as_ref().ok_or(missing("exp"))?)?;
        let starts_at_ms = self.nbf.as_ref().map(|nbf| instant("nbf", nbf)).transpose()?;
        // Nothing here depends on when a token was issued, but no issuer writes a wrong `iat`.
        if let Some(iat) = &self.iat {
            instant("iat", iat)?;
        }
        let now_s = now_ms.div_euclid(1_000);
        if now_ms >= expires_at_ms {
            return Err(BadToken::Expired { exp_s: expires_at_ms.div_euclid(1_000), now_s });
        }
        if let Some(nbf_ms) = starts_at_ms.filter(|nbf_ms| now_ms < *nbf_ms) {
            return Err(BadToken::NotYet { nbf_s: nbf_ms.div_euclid(1_000), now_s });
        }
        Ok(expires_at_ms)
    }
}

/// Called after the signature was checked.
pub(super) fn all_claims(token: &str) -> Result<Map<String, Value>, BadToken> {
    let read = insecure_decode::<Map<String, Value>>(token);
    Ok(read.map_err(|_| BadToken::Malformed { what: FORM })?.claims)
}

fn missing(claim: &'static str) -> BadToken {
    BadToken::Missing { claim }
}

fn text<'a>(claim: &'static str, value: Option<&'a Value>) -> Result<&'a str, BadToken> {
    let value = value.ok_or(missing(claim))?;
    value.as_str().ok_or(BadToken::ClaimType { claim, wanted: "a string" })
}

/// A NumericDate in milliseconds; RFC 7519 allows fractions of a second, which are cut.
fn instant(claim: &'static str, value: &Value) -> Result<i64, BadToken> {
    let range = 0.0..=SECONDS_MAX as f64;
    match (value.as_u64(), value.as_f64()) {
        (Some(seconds), _) if seconds <= SECONDS_MAX => Ok(seconds as i64 * 1_000),
        (None, Some(seconds)) if range.contains(&seconds) => Ok((seconds * 1_000.0) as i64),
        _ => Err(BadToken::ClaimType { claim, wanted: "a number of seconds since 1970" }),
    }
}
