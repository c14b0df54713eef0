//! Who was erased, as keyed hashes: so that neither an import nor a restored backup brings a person back. Whoever has no
//! code key of the store cannot tell of a name whether it is among them.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::ids::UserId;
use coupon::minted::CodeKey;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// Bytes of a hash that are kept: no two persons of ten billion have the same.
const HASH_BYTES: usize = 16;

/// The hash of a person under a key, with the id of the key in front.
pub(crate) fn person_hash(key: &CodeKey, user: &UserId) -> String {
    hash(&key.id().to_string(), &Key::new(HMAC_SHA256, key.person_key()), user)
}

fn hash(id: &str, key: &Key, user: &UserId) -> String {
    let signed = sign(key, user.as_str().as_bytes());
    format!("{id}-{}", hex::encode(&signed.as_ref()[..HASH_BYTES]))
}

/// The persons who were erased or are being erased.
pub(crate) struct ErasedPeople {
    hashes: Arc<HashSet<String>>,
    /// Those under which there are hashes.
    keys: Vec<(String, Key)>,
}

impl ErasedPeople {
    pub(crate) fn of(hashes: Arc<HashSet<String>>, keys: &[CodeKey]) -> ErasedPeople {
        let used = |id: &str| hashes.iter().any(|hash| hash.starts_with(id));
        let keys = keys.iter().map(|key| (key.id().to_string(), key.person_key()));
        let keys = keys.filter(|(id, _)| used(id));
        let keys = keys.map(|(id, key)| (id, Key::new(HMAC_SHA256, key))).collect();
        ErasedPeople { hashes, keys }
    }

    /// The hash of somebody who is one of them. About 1 µs for each key.
    pub(crate) fn hash_of(&self, user: &UserId) -> Option<String> {
        let mut hashes = self.keys.iter().map(|(id, key)| hash(id, key, user));
        hashes.find(|hash| self.hashes.contains(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_key_knows_them() {
        let (one, other) = (CodeKey::new([1; 16]), CodeKey::new([2; 16]));
        let user = |name: &str| -> UserId { name.parse().unwrap() };
        let of_ann = person_hash(&one, &user("ann"));
        assert!(!of_ann.contains("ann") && of_ann.len() == 8 + 1 + 2 * HASH_BYTES, "{of_ann}");
        let hashes = Arc::new(HashSet::from([of_ann.clone()]));
        let cases: [(&str, &[CodeKey], &str, Option<String>); 4] = [
            ("the person", &[one], "ann", Some(of_ann.clone())),
            ("another one", &[CodeKey::new([1; 16])], "anna", None),
            ("another key", &[other], "ann", None),
            ("no key", &[], "ann", None),
        ];
        for (name, keys, of, want) in cases {
            assert_eq!(ErasedPeople::of(hashes.clone(), keys).hash_of(&user(of)), want, "{name}");
        }
    }
}
