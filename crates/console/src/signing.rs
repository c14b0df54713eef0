//! What the console signs: sessions, one-time links, and the tokens of forms.
//!
//! All `serve` processes of a store have the same token keys, so each of them reads what another one signed, and
//! a proxy may send every request anywhere. Each purpose has its own prefix under the signature, so that no text
//! for one purpose is good for another, and none is a token of the API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon::time::Millis;
use parking_lot::RwLock;
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long a person stays signed in, in milliseconds: a working day.
pub const SESSION_MS: i64 = 12 * 3_600 * 1_000;

/// How old a key is before it signs, in milliseconds: an hour, unless there is no older one. What it signs is good
/// only where the key is, so there is time to copy it to all machines, as with a code key; and two processes that
/// read the folder at different times do not refuse each other's sessions.
pub const SETTLED_MS: i64 = 3_600 * 1_000;

/// A cookie that is older is signed anew with the next page: so a key can be retired half a day after the next
/// one signs, and nobody notices.
pub(crate) const ROTATE_MS: i64 = 30 * 60 * 1_000;

/// Longest text that is looked at: ours have some 300 characters.
const SIGNED_LEN_MAX: usize = 1_024;

/// The keys that sign: the token keys of the store that are not retired, the newest last.
#[derive(Clone)]
pub struct SigningKeys(Vec<SigningKey>);

#[derive(Clone)]
struct SigningKey {
    id: String,
    key: hmac::Key,
    made_at: Millis,
}

impl SigningKeys {
    /// Keys by their ids and when they were made, each from a secret that other machines have too.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [u8], Millis)>) -> SigningKeys {
        let key = |(id, secret, made_at): (&str, &[u8], Millis)| {
            // The secret also signs tokens of the API: what the console signs has a key of its own.
            let outer = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let own = hmac::sign(&outer, b"couponry console");
            let key = hmac::Key::new(hmac::HMAC_SHA256, own.as_ref());
            SigningKey { id: id.to_owned(), key, made_at }
        };
        SigningKeys(keys.into_iter().map(key).collect())
    }

    /// The key that signs at `now`: the newest that all machines have, else the oldest.
    fn signing(&self, now: Millis) -> Option<&SigningKey> {
        let settled = self.0.iter().rev().find(|key| key.made_at.plus_ms(SETTLED_MS) <= now);
        settled.or_else(|| self.0.first())
    }
}

pub(crate) struct PayloadSigner(RwLock<SigningKeys>);

pub(crate) trait SignedPayload: Serialize + DeserializeOwned {
    /// The prefix under the signature.
    const PURPOSE: &'static str;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StaffSession {
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) since: i64,
    /// When this cookie was signed.
    pub(crate) at: i64,
    /// Names the session: it stays when the cookie is signed anew.
    pub(crate) id: u64,
    /// Makes every cookie another one.
    pub(crate) salt: u128,
}

impl StaffSession {
    pub(crate) fn ends_at(&self) -> Millis {
        Millis(self.since).plus_ms(SESSION_MS)
    }

    /// Whether it has begun and not ended by itself.
    pub(crate) fn is_within(&self, now: Millis) -> bool {
        (self.since..self.ends_at().0).contains(&now.0)
    }
}

impl SignedPayload for StaffSession {
    const PURPOSE: &'static str = "session";
}

/// A one-time link: who may make an account with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvitationLink {
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

impl SignedPayload for InvitationLink {
    const PURPOSE: &'static str = "link";
}

/// The token of the forms of one session; it stays when the cookie is signed anew.
#[derive(Serialize, Deserialize)]
struct FormToken {
    name: String,
    generation: u64,
    id: u64,
}

impl SignedPayload for FormToken {
    const PURPOSE: &'static str = "form";
}

impl PayloadSigner {
    pub(crate) fn new(keys: SigningKeys) -> PayloadSigner {
        PayloadSigner(RwLock::new(keys))
    }

    pub(crate) fn replace(&self, keys: SigningKeys) {
        *self.0.write() = keys;
    }

    /// The text of a value, signed with the key that signs at `now`.
    pub(crate) fn sign<T: SignedPayload>(&self, value: &T, now: Millis) -> String {
        let keys = self.0.read();
        let Some(SigningKey { id, key, .. }) = keys.signing(now) else { return String::new() };
        let json = serde_json::to_vec(value).unwrap_or_default();
        let text = format!("{id}.{}", URL_SAFE_NO_PAD.encode(json));
        let tag = hmac::sign(key, format!("{} {text}", T::PURPOSE).as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The value, if one of the keys has signed it for this purpose.
    pub(crate) fn read<T: SignedPayload>(&self, signed: &str) -> Option<T> {
        if signed.len() > SIGNED_LEN_MAX {
            return None;
        }
        let (text, tag) = signed.rsplit_once('.')?;
        let (id, json) = text.rsplit_once('.')?;
        let keys = self.0.read();
        let SigningKey { key, .. } = keys.0.iter().find(|known| known.id == id)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(key, format!("{} {text}", T::PURPOSE).as_bytes(), &tag).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(json).ok()?).ok()
    }

    pub(crate) fn form_token(&self, session: &StaffSession, now: Millis) -> String {
        let StaffSession { name, generation, id, .. } = session.clone();
        self.sign(&FormToken { name, generation, id }, now)
    }

    pub(crate) fn is_form_of(&self, session: &StaffSession, token: &str) -> bool {
        self.read::<FormToken>(token).is_some_and(|form| {
            (form.name, form.generation, form.id)
                == (session.name.clone(), session.generation, session.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_763_596_800_000);

    fn session() -> StaffSession {
        StaffSession { name: "eva".into(), generation: 3, since: 1, at: 2, id: 5, salt: 7 }
    }

    fn keys(made: &[(&'static str, &'static [u8], Millis)]) -> SigningKeys {
        SigningKeys::new(made.iter().copied())
    }

    const FIRST: (&str, &[u8], Millis) = ("k1", b"first secret", Millis(0));
    const SECOND: (&str, &[u8], Millis) = ("k2", b"second", NOON);

    #[test]
    fn sessions() {
        let signer = PayloadSigner::new(keys(&[FIRST]));
        let sign = |signer: &PayloadSigner| signer.sign(&session(), NOON);
        let signed = sign(&signer);
        let forged = format!("{}A", &signed[..signed.len() - 1]);
        let cases = [
            ("its own", signed.clone(), Some(session())),
            (
                "another machine with the key",
                sign(&PayloadSigner::new(keys(&[FIRST]))),
                Some(session()),
            ),
            ("a key that it has not", sign(&PayloadSigner::new(keys(&[SECOND]))), None),
            ("a wrong signature", forged, None),
            ("a token of a form", signer.form_token(&session(), NOON), None),
            ("no text", String::new(), None),
            ("too long", "a.".repeat(600), None),
        ];
        for (name, text, want) in cases {
            assert_eq!(signer.read::<StaffSession>(&text), want, "{name}");
        }
        signer.replace(keys(&[SECOND]));
        assert_eq!(signer.read::<StaffSession>(&signed), None, "the key was retired");
    }

    #[test]
    fn a_new_key_signs_when_all_machines_have_it() {
        let both = PayloadSigner::new(keys(&[FIRST, SECOND]));
        let old = PayloadSigner::new(keys(&[FIRST]));
        let hour = NOON.plus_ms(SETTLED_MS);
        // When it is signed, and whether a machine without the new key reads it.
        let cases = [
            ("at once", NOON, true),
            ("a moment before the hour", hour.plus_ms(-1), true),
            ("after the hour", hour, false),
        ];
        for (name, now, want) in cases {
            let signed = both.sign(&session(), now);
            assert_eq!(old.read::<StaffSession>(&signed).is_some(), want, "{name}");
            assert!(both.read::<StaffSession>(&signed).is_some(), "{name}");
        }
        let alone = PayloadSigner::new(keys(&[SECOND])).sign(&session(), NOON);
        assert!(both.read::<StaffSession>(&alone).is_some(), "the only key signs at once");
    }

    #[test]
    fn forms() {
        let signer = PayloadSigner::new(keys(&[FIRST]));
        let token = signer.form_token(&session(), NOON);
        let cases = [
            ("the session", session(), true),
            ("its cookie signed anew", StaffSession { at: 9, salt: 8, ..session() }, true),
            ("signed out everywhere since", StaffSession { generation: 4, ..session() }, false),
            ("another sign-in", StaffSession { id: 6, ..session() }, false),
            ("somebody else", StaffSession { name: "bob".into(), ..session() }, false),
        ];
        for (name, session, want) in cases {
            assert_eq!(signer.is_form_of(&session, &token), want, "{name}");
        }
    }
}
