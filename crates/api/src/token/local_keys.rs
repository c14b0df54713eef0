//! Local keys: HS256 secrets of this server, of which the newest active one signs.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};

use super::key_rules::{BadKey, KID_BYTES_MAX, SECRET_BYTES_MIN};

#[derive(Clone)]
pub struct LocalKey {
    kid: String,
    state: LocalState,
}

#[derive(Clone, Debug)]
pub(super) enum LocalState {
    Active { signs: EncodingKey, verifies: DecodingKey, made_at_ms: i64 },
    Retired,
}

impl LocalKey {
    /// A key that verifies, and signs when no other one is newer.
    ///
    /// # Errors
    /// [`BadKey::Kid`], [`BadKey::Secret`].
    pub fn active(kid: &str, secret: &[u8], made_at_ms: i64) -> Result<LocalKey, BadKey> {
        let kid = checked_kid(kid)?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(BadKey::Secret { kid, len: secret.len() });
        }
        let (signs, verifies) =
            (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Ok(LocalKey { kid, state: LocalState::Active { signs, verifies, made_at_ms } })
    }

    /// A key that neither signs nor verifies; it is known so that its tokens are told apart from
    /// those of an unknown key. Needs no secret.
    ///
    /// # Errors
    /// [`BadKey::Kid`].
    pub fn retired(kid: &str) -> Result<LocalKey, BadKey> {
        Ok(LocalKey { kid: checked_kid(kid)?, state: LocalState::Retired })
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// All of our keys; at least one is active.
#[derive(Clone, Debug)]
pub struct LocalKeys {
    signing: TokenSigningKey,
    all: HashMap<String, LocalState>,
}

#[derive(Clone, Debug)]
pub(super) struct TokenSigningKey {
    pub(super) kid: String,
    pub(super) key: EncodingKey,
}

impl LocalKeys {
    /// Takes the keys in any order; of two made in the same millisecond the later id signs.
    ///
    /// # Errors
    /// [`BadKey::Twice`], [`BadKey::NoneActive`].
    pub fn new(keys: Vec<LocalKey>) -> Result<LocalKeys, BadKey> {
        let mut all = HashMap::with_capacity(keys.len());
        for key in &keys {
            if all.insert(key.kid.clone(), key.state.clone()).is_some() {
                return Err(BadKey::Twice { kid: key.kid.clone() });
            }
        }
        Ok(LocalKeys { signing: newest(keys).ok_or(BadKey::NoneActive)?, all })
    }

    pub(super) fn signing(&self) -> &TokenSigningKey {
        &self.signing
    }

    pub(super) fn find(&self, kid: &str) -> Option<&LocalState> {
        self.all.get(kid)
    }
}

fn newest(keys: Vec<LocalKey>) -> Option<TokenSigningKey> {
    keys.into_iter()
        .filter_map(|key| match key.state {
            LocalState::Active { signs, made_at_ms, .. } => Some((made_at_ms, key.kid, signs)),
            LocalState::Retired => None,
        })
        .max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)))
        .map(|(_, kid, key)| TokenSigningKey { kid, key })
}

pub(super) fn checked_kid(kid: &str) -> Result<String, BadKey> {
    let is_visible = kid.bytes().all(|byte| byte.is_ascii_graphic());
    match (1..=KID_BYTES_MAX).contains(&kid.len()) && is_visible {
        true => Ok(kid.to_owned()),
        false => Err(BadKey::Kid { len: kid.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_keys() {
        let good = |kid, made_at_ms| LocalKey::active(kid, &[7; 32], made_at_ms).unwrap();
        let cases = [
            ("the newest signs", vec![good("a", 1), good("c", 3), good("b", 2)], Ok("c")),
            ("the later id of two", vec![good("b", 1), good("a", 1)], Ok("b")),
            ("a retired one never", vec![good("a", 1), LocalKey::retired("z").unwrap()], Ok("a")),
            ("none", vec![], Err(BadKey::NoneActive)),
            ("all retired", vec![LocalKey::retired("a").unwrap()], Err(BadKey::NoneActive)),
            (
                "one id twice",
                vec![good("a", 1), good("a", 2)],
                Err(BadKey::Twice { kid: "a".into() }),
            ),
        ];
        for (name, keys, want) in cases {
            let signs = LocalKeys::new(keys).map(|keys| keys.signing().kid.clone());
            assert_eq!(signs, want.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn local_key_limits() {
        let long = "k".repeat(KID_BYTES_MAX + 1);
        let cases = [
            ("32 bytes", "a", 32, None),
            ("31 bytes", "a", 31, Some(BadKey::Secret { kid: "a".into(), len: 31 })),
            ("an empty secret", "a", 0, Some(BadKey::Secret { kid: "a".into(), len: 0 })),
            ("an id of 64", &long[1..], 32, None),
            ("an id of 65", &long, 32, Some(BadKey::Kid { len: 65 })),
            ("no id", "", 32, Some(BadKey::Kid { len: 0 })),
            ("an id with a blank", "a b", 32, Some(BadKey::Kid { len: 3 })),
        ];
        for (name, kid, len, want) in cases {
            assert_eq!(LocalKey::active(kid, &vec![7; len], 0).err(), want, "{name}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = LocalKey::active("a", &[b'S'; 32], 0).unwrap();
        let keys = LocalKeys::new(vec![key.clone()]).unwrap();
        for text in [format!("{key:?}"), format!("{keys:?}")] {
            assert!(!text.contains("SSS") && !text.contains("83, 83"), "{text}");
        }
    }
}
