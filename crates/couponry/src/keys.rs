//! The keys in the folder `keys` of the data folder.
//!
//! A *code key* mints and opens codes; its id is a check value of the key. A *token key* signs tokens. The newest key
//! of a kind that is not retired is the one in use. A retired code key still opens its codes; a retired token key
//! verifies nothing. The first start makes one key of each kind.

mod file;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coupon::minted::CodeKey;
use coupon::time::Millis;
use engine::{Clock, SystemClock};
use ring::rand::{SecureRandom, SystemRandom};
use router::KeyRing;
use serde::{Deserialize, Serialize};

use crate::failure::{CliError, Result};
use crate::files;

/// Bytes of a token key: as many as HMAC-SHA-256 puts out.
const TOKEN_KEY_LEN: usize = 32;

/// Bytes of a code key: AES-128.
const CODE_KEY_LEN: usize = 16;

coupon::words! {
    /// What a key is for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
    #[serde(rename_all = "lowercase")]
    pub(crate) enum Kind {
        /// Mints codes.
        Code = "code",
        /// Signs tokens.
        Token = "token",
    }
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) made_at: Millis,
    pub(crate) retired_at: Option<Millis>,
    pub(crate) path: PathBuf,
    pub(crate) secret: Vec<u8>,
}

impl Key {
    fn code_key(&self) -> Option<CodeKey> {
        let secret: [u8; CODE_KEY_LEN] = self.secret.as_slice().try_into().ok()?;
        (self.kind == Kind::Code).then(|| CodeKey::new(secret))
    }
}

/// All keys of a data folder, oldest first.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) folder: PathBuf,
    pub(crate) all: Vec<Key>,
    ring: KeyRing,
}

impl Keys {
    /// Loads the keys of `data`, and makes the first key of each kind that has none in use.
    pub(crate) fn load_or_make(data: &Path) -> Result<Keys> {
        let folder = data.join("keys");
        files::private_folder(&folder)?;
        let keys = Keys::load(data)?;
        if keys.missing().is_empty() {
            // The folder may be read-only, as a secret of Kubernetes is.
            return Ok(keys);
        }
        let _lock = file::locked(&folder)?;
        // Another process may have made them in the meantime.
        let mut keys = Keys::load(data)?;
        for kind in keys.missing() {
            keys.make(kind)?;
        }
        Ok(keys)
    }

    fn missing(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().rev().filter(|kind| self.newest(*kind).is_none()).collect()
    }

    pub(crate) fn load(data: &Path) -> Result<Keys> {
        Keys::none(data).found()
    }

    /// Has no keys if their folder does not exist.
    pub(crate) fn load_if_any(data: &Path) -> Result<Keys> {
        if data.join("keys").is_dir() { Keys::load(data) } else { Ok(Keys::none(data)) }
    }

    fn none(data: &Path) -> Keys {
        Keys { folder: data.join("keys"), all: Vec::new(), ring: Vec::new().into() }
    }

    /// Makes a key, which becomes the newest of its kind.
    pub(crate) fn add(&mut self, kind: Kind) -> Result<Key> {
        let _lock = file::locked(&self.folder)?;
        // Another process may have made one in the meantime.
        self.all = file::read_all(&self.folder)?;
        self.make(kind)
    }

    fn make(&mut self, kind: Kind) -> Result<Key> {
        let mut secret = vec![0; if kind == Kind::Code { CODE_KEY_LEN } else { TOKEN_KEY_LEN }];
        fill_random(&mut secret)?;
        let id = match <[u8; CODE_KEY_LEN]>::try_from(secret.as_slice()) {
            Ok(secret) => CodeKey::new(secret).id().to_string(),
            Err(_) => {
                let mut id = [0; 4];
                fill_random(&mut id)?;
                hex::encode(id)
            }
        };
        // Of two keys made in the same millisecond neither would be the newest.
        let newest = self.all.iter().map(|key| key.made_at.plus_ms(1)).max();
        let made_at = newest.map_or(SystemClock.now(), |at| at.max(SystemClock.now()));
        let path = self.folder.join(format!("{}-{id}.key", kind.as_str()));
        let key = Key { kind, id, made_at, retired_at: None, path, secret };
        file::write(&key)?;
        self.all.push(key.clone());
        self.ring.replace(code_keys(&self.all));
        Ok(key)
    }

    /// Refuses to retire the last key in use of a kind.
    pub(crate) fn retire(&mut self, id: &str) -> Result<Key> {
        let _lock = file::locked(&self.folder)?;
        // Another process may have retired the others in the meantime.
        self.all = file::read_all(&self.folder)?;
        let found = self.all.iter().position(|key| key.id == id);
        let at = found.ok_or_else(|| {
            CliError::usage(format!("there is no key {id}: `couponry key list` prints all"))
        })?;
        let kind = self.all[at].kind;
        let others = self.all.iter().filter(|key| key.kind == kind && key.id != id);
        if others.filter(|key| key.retired_at.is_none()).count() == 0 {
            let kind = kind.as_str();
            let sentence = format!("{id} is the only {kind} key in use: add another first");
            return Err(CliError::usage(sentence));
        }
        let key = &mut self.all[at];
        key.retired_at.get_or_insert(SystemClock.now());
        file::write(key)?;
        Ok(key.clone())
    }

    /// The key that mints or signs from now on.
    pub(crate) fn newest(&self, kind: Kind) -> Option<&Key> {
        self.all.iter().rev().find(|key| key.kind == kind && key.retired_at.is_none())
    }

    /// The code keys for all that mint and open codes. [`Keys::replace`] updates them.
    pub(crate) fn ring(&self) -> KeyRing {
        self.ring.clone()
    }

    /// Reads the folder again, into keys with a ring of their own. The name of each key survives a
    /// crash: the process that made a new one may have ended before it synced the folder.
    pub(crate) fn found(&self) -> Result<Keys> {
        let all = file::read_all(&self.folder)?;
        if all.iter().any(|key| self.all.iter().all(|known| known.path != key.path)) {
            files::sync_names_in(&self.folder).map_err(CliError::cannot("sync", &self.folder))?;
        }
        let ring = code_keys(&all).into();
        Ok(Keys { folder: self.folder.clone(), all, ring })
    }

    /// The id of a code key that is here and not in `found`.
    pub(crate) fn code_key_without(&self, found: &Keys) -> Option<&str> {
        let is_there = |id: &str| found.all.iter().any(|key| key.id == id);
        let mut codes = self.all.iter().filter(|key| key.kind == Kind::Code);
        codes.find(|key| !is_there(&key.id)).map(|key| key.id.as_str())
    }

    pub(crate) fn replace(&mut self, found: Keys) {
        self.ring.replace(code_keys(&found.all));
        self.all = found.all;
    }

    pub(crate) fn token_keys(&self) -> impl Iterator<Item = &Key> {
        self.all.iter().filter(|key| key.kind == Kind::Token)
    }
}

/// The code keys; the last one mints.
fn code_keys(all: &[Key]) -> Vec<CodeKey> {
    let (retired, active): (Vec<&Key>, Vec<&Key>) =
        all.iter().partition(|key| key.retired_at.is_some());
    retired.into_iter().chain(active).filter_map(Key::code_key).collect()
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    let filled = SystemRandom::new().fill(bytes);
    filled.map_err(|_| CliError::new("the system has no random bytes for a key"))
}
