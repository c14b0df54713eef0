//! What the console signs: sessions, one-time links, and the tokens of forms.
//!
//! All `serve` processes of a store have the same token keys, so each of them reads what another one signed, and
//! a proxy may send every request anywhere. Each purpose has its own prefix under the signature, so that no text
//! for one purpose is good for another, and none is a token of the API.

use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long a person stays signed in, in milliseconds: a working day.
pub const SESSION_MS: i64 = 12 * 3_600 * 1_000;

/// A cookie that is older is signed anew with the next page, by the newest key: so a key can be retired half a
/// day after the next one was made, and nobody notices.
pub(crate) const ROTATE_MS: i64 = 30 * 60 * 1_000;

/// Longest text that is looked at: ours have some 300 characters.
const SIGNED_LEN_MAX: usize = 1_024;

/// The keys that sign, the newest last: the token keys of the store that are not retired.
#[derive(Clone)]
pub struct SigningKeys(Vec<(String, hmac::Key)>);

impl SigningKeys {
    /// Keys by their ids, each made from a secret that other machines have too.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> SigningKeys {
        let key = |(id, secret): (&str, &[u8])| {
            // The secret also signs tokens of the API: what the console signs has a key of its own.
            let outer = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let own = hmac::sign(&outer, b"couponry console");
            (id.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
        };
        SigningKeys(keys.into_iter().map(key).collect())
    }
}

/// Signs and reads what was signed.
pub(crate) struct Signer(RwLock<SigningKeys>);

/// What is signed for which purpose.
pub(crate) trait Signed: Serialize + DeserializeOwned {
    /// The prefix under the signature.
    const PURPOSE: &'static str;
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Their name.
    pub(crate) name: String,
    /// The generation of their account.
    pub(crate) generation: u64,
    /// When they signed in.
    pub(crate) since: i64,
    /// When this cookie was signed.
    pub(crate) at: i64,
    /// Makes every cookie another one.
    pub(crate) salt: u128,
}

impl Signed for Session {
    const PURPOSE: &'static str = "session";
}

/// A one-time link: who may make an account with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) expires_at: i64,
    pub(crate) role: String,
    /// The name of the account; the person chooses one if there is none.
    pub(crate) name: Option<String>,
    /// Who made it; nobody if it was made with the keys of the store.
    pub(crate) by: Option<(String, u64)>,
    /// Whether it is good only while nobody has an account.
    pub(crate) only_first: bool,
}

impl Signed for Link {
    const PURPOSE: &'static str = "link";
}

/// The token of the forms of one session; it stays when the cookie is signed anew.
#[derive(Serialize, Deserialize)]
struct FormToken {
    name: String,
    generation: u64,
    since: i64,
}

impl Signed for FormToken {
    const PURPOSE: &'static str = "form";
}

impl Signer {
    pub(crate) fn new(keys: SigningKeys) -> Signer {
        Signer(RwLock::new(keys))
    }

    /// Puts other keys in the place of these.
    pub(crate) fn replace(&self, keys: SigningKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The text of a value, signed with the newest key.
    pub(crate) fn sign<T: Signed>(&self, value: &T) -> String {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((id, key)) = keys.0.last() else { return String::new() };
        let json = serde_json::to_vec(value).unwrap_or_default();
        let text = format!("{id}.{}", URL_SAFE_NO_PAD.encode(json));
        let tag = hmac::sign(key, format!("{} {text}", T::PURPOSE).as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The value, if one of the keys has signed it for this purpose.
    pub(crate) fn read<T: Signed>(&self, signed: &str) -> Option<T> {
        if signed.len() > SIGNED_LEN_MAX {
            return None;
        }
        let (text, tag) = signed.rsplit_once('.')?;
        let (id, json) = text.rsplit_once('.')?;
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (_, key) = keys.0.iter().find(|(known, _)| known == id)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(key, format!("{} {text}", T::PURPOSE).as_bytes(), &tag).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(json).ok()?).ok()
    }

    /// The token of the forms of a session.
    pub(crate) fn form_token(&self, session: &Session) -> String {
        let Session { name, generation, since, .. } = session.clone();
        self.sign(&FormToken { name, generation, since })
    }

    /// Whether a form belongs to the session.
    pub(crate) fn is_form_of(&self, session: &Session, token: &str) -> bool {
        self.read::<FormToken>(token).is_some_and(|form| {
            (form.name, form.generation, form.since)
                == (session.name.clone(), session.generation, session.since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session { name: "eva".into(), generation: 3, since: 1, at: 2, salt: 7 }
    }

    #[test]
    fn sessions() {
        let one = SigningKeys::new([("k1", b"first secret".as_slice())]);
        let two = SigningKeys::new([("k1", b"first secret".as_slice()), ("k2", b"second")]);
        let signer = Signer::new(one.clone());
        let signed = signer.sign(&session());
        let forged = format!("{}A", &signed[..signed.len() - 1]);
        let with_two = Signer::new(two).sign(&session());
        let cases = [
            ("its own", signed.clone(), Some(session())),
            ("another machine with the key", Signer::new(one).sign(&session()), Some(session())),
            ("a key that it has not", with_two, None),
            ("a wrong signature", forged, None),
            ("a token of a form", signer.form_token(&session()), None),
            ("no text", String::new(), None),
            ("too long", "a.".repeat(600), None),
        ];
        for (name, text, want) in cases {
            assert_eq!(signer.read::<Session>(&text), want, "{name}");
        }
        signer.replace(SigningKeys::new([("k2", b"second".as_slice())]));
        assert_eq!(signer.read::<Session>(&signed), None, "the key was retired");
    }

    #[test]
    fn forms() {
        let signer = Signer::new(SigningKeys::new([("k1", b"first secret".as_slice())]));
        let token = signer.form_token(&session());
        let cases = [
            ("the session", session(), true),
            ("its cookie signed anew", Session { at: 9, salt: 8, ..session() }, true),
            ("signed out everywhere since", Session { generation: 4, ..session() }, false),
            ("another sign-in", Session { since: 5, ..session() }, false),
            ("somebody else", Session { name: "bob".into(), ..session() }, false),
        ];
        for (name, session, want) in cases {
            assert_eq!(signer.is_form_of(&session, &token), want, "{name}");
        }
    }
}
