//! The keys in `DATA/keys/`: one file each, readable by its owner alone.
//!
//! A *code key* mints and opens codes and is named by a check value of itself. A *token key*
//! signs tokens. The newest of a kind that is not retired is the one in use; a retired code key
//! still opens its codes, a retired token key accepts nothing. The first of each kind is made on
//! first use.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coupon::calendar::{format_instant, parse_instant};
use coupon::minted::CodeKey;
use coupon::time::Millis;
use engine::{Clock, SystemClock};
use ring::rand::{SecureRandom, SystemRandom};
use router::KeyRing;
use serde::{Deserialize, Serialize};

use crate::failure::CliError;

/// Bytes of a token key: as many as HMAC-SHA-256 puts out.
const TOKEN_KEY_LEN: usize = 32;

/// Bytes of a code key: AES-128.
const CODE_KEY_LEN: usize = 16;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Mints codes.
    Code,
    /// Signs tokens.
    Token,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Code => "code",
            Kind::Token => "token",
        }
    }
}

/// A key file, as TOML.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    kind: Kind,
    id: String,
    made_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at: Option<String>,
    /// Hexadecimal.
    secret: String,
}

/// One key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) made_at: Millis,
    pub(crate) retired_at: Option<Millis>,
    pub(crate) path: PathBuf,
    secret: Vec<u8>,
}

impl Key {
    /// The secret of a token key.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    fn code_key(&self) -> Option<CodeKey> {
        let secret: [u8; CODE_KEY_LEN] = self.secret.as_slice().try_into().ok()?;
        (self.kind == Kind::Code).then(|| CodeKey::new(secret))
    }
}

/// All keys of a data folder, oldest first.
#[derive(Clone)]
pub(crate) struct Keys {
    folder: PathBuf,
    pub(crate) all: Vec<Key>,
    ring: KeyRing,
}

impl Keys {
    /// The keys of `data`, with the first of each kind made where there is none.
    pub(crate) fn load_or_make(data: &Path) -> Result<Keys, CliError> {
        let folder = data.join("keys");
        let cannot = format!("cannot make {}", folder.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(CliError::because(cannot))?;
        let _lock = lock(&folder)?;
        let mut keys = Keys::load(data)?;
        for kind in [Kind::Token, Kind::Code] {
            if !keys.all.iter().any(|key| key.kind == kind && key.retired_at.is_none()) {
                keys.make(kind)?;
            }
        }
        Ok(keys)
    }

    /// The keys of `data` as they are.
    pub(crate) fn load(data: &Path) -> Result<Keys, CliError> {
        Keys { folder: data.join("keys"), all: Vec::new(), ring: Vec::new().into() }.found()
    }

    /// The keys of `data`; none where there is no folder of them.
    pub(crate) fn load_if_any(data: &Path) -> Result<Keys, CliError> {
        match data.join("keys").is_dir() {
            true => Keys::load(data),
            false => {
                Ok(Keys { folder: data.join("keys"), all: Vec::new(), ring: Vec::new().into() })
            }
        }
    }

    fn read_all(folder: &Path) -> Result<Vec<Key>, CliError> {
        let cannot = || format!("cannot read {}", folder.display());
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(CliError::because(cannot()))? {
            let path = entry.map_err(CliError::because(cannot()))?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                all.push(read(&path)?);
            }
        }
        all.sort_by(|a, b| (a.made_at, &a.id).cmp(&(b.made_at, &b.id)));
        Ok(all)
    }

    /// Makes a key; it is the newest of its kind from then on.
    pub(crate) fn add(&mut self, kind: Kind) -> Result<Key, CliError> {
        let _lock = lock(&self.folder)?;
        // Somebody else may have made one meanwhile.
        self.all = Keys::read_all(&self.folder)?;
        self.make(kind)
    }

    fn make(&mut self, kind: Kind) -> Result<Key, CliError> {
        let mut secret = vec![0; if kind == Kind::Code { CODE_KEY_LEN } else { TOKEN_KEY_LEN }];
        let random = SystemRandom::new().fill(&mut secret);
        random.map_err(|_| CliError::new("the system gives no random bytes"))?;
        let id = match <[u8; CODE_KEY_LEN]>::try_from(secret.as_slice()) {
            Ok(secret) => CodeKey::new(secret).id().to_string(),
            Err(_) => hex(&random_id()?),
        };
        // Two keys made in one millisecond would have no newest.
        let newest = self.all.iter().map(|key| key.made_at.plus_ms(1)).max();
        let made_at = newest.map_or(SystemClock.now(), |at| at.max(SystemClock.now()));
        let path = self.folder.join(format!("{}-{id}.key", kind.as_str()));
        let key = Key { kind, id, made_at, retired_at: None, path, secret };
        write(&key)?;
        self.all.push(key.clone());
        self.ring.replace(self.code_keys());
        Ok(key)
    }

    /// Retires a key. The last of its kind stays.
    pub(crate) fn retire(&mut self, id: &str) -> Result<Key, CliError> {
        let _lock = lock(&self.folder)?;
        // Somebody else may have retired the others meanwhile.
        self.all = Keys::read_all(&self.folder)?;
        let found = self.all.iter().position(|key| key.id == id);
        let at = found.ok_or_else(|| CliError::wrong_call(format!("there is no key {id}")))?;
        let kind = self.all[at].kind;
        let others = self.all.iter().filter(|key| key.kind == kind && key.id != id);
        if others.filter(|key| key.retired_at.is_none()).count() == 0 {
            let word = kind.as_str();
            let sentence = format!("{id} is the only {word} key in use: add another first");
            return Err(CliError::wrong_call(sentence));
        }
        let key = &mut self.all[at];
        key.retired_at.get_or_insert(SystemClock.now());
        write(key)?;
        Ok(key.clone())
    }

    /// The one in use for what is minted or signed from now on.
    pub(crate) fn newest(&self, kind: Kind) -> Option<&Key> {
        self.all.iter().rev().find(|key| key.kind == kind && key.retired_at.is_none())
    }

    /// The code keys, the one that mints last.
    pub(crate) fn code_keys(&self) -> Vec<CodeKey> {
        code_keys(&self.all)
    }

    /// The code keys as they were read last, for all who mint and open codes with them: see
    /// [`Keys::replace`].
    pub(crate) fn ring(&self) -> KeyRing {
        self.ring.clone()
    }

    /// Where they lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What lies there now; the ring is its own.
    pub(crate) fn found(&self) -> Result<Keys, CliError> {
        let all = Keys::read_all(&self.folder)?;
        let ring = code_keys(&all).into();
        Ok(Keys { folder: self.folder.clone(), all, ring })
    }

    /// The id of a code key that is here and not in `found`.
    pub(crate) fn code_key_without(&self, found: &Keys) -> Option<&str> {
        let is_there = |id: &str| found.all.iter().any(|key| key.id == id);
        let mut codes = self.all.iter().filter(|key| key.kind == Kind::Code);
        codes.find(|key| !is_there(&key.id)).map(|key| key.id.as_str())
    }

    /// Takes over what was found, in the ring too.
    pub(crate) fn replace(&mut self, found: Keys) {
        self.ring.replace(found.code_keys());
        self.all = found.all;
    }

    /// The token keys.
    pub(crate) fn token_keys(&self) -> impl Iterator<Item = &Key> {
        self.all.iter().filter(|key| key.kind == Kind::Token)
    }
}

fn code_keys(all: &[Key]) -> Vec<CodeKey> {
    let (retired, active): (Vec<&Key>, Vec<&Key>) =
        all.iter().partition(|key| key.retired_at.is_some());
    retired.into_iter().chain(active).filter_map(Key::code_key).collect()
}

fn random_id() -> Result<[u8; 4], CliError> {
    let mut id = [0; 4];
    let random = SystemRandom::new().fill(&mut id);
    random.map_err(|_| CliError::new("the system gives no random bytes"))?;
    Ok(id)
}

/// Held while keys are made, so that two processes do not both make the first.
fn lock(folder: &Path) -> Result<File, CliError> {
    let path = folder.join("lock");
    let cannot = || format!("cannot lock {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(CliError::because(cannot()))?;
    file.lock().map_err(CliError::because(cannot()))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Key, CliError> {
    let bad = |why: String| CliError::new(format!("{} is no key file: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let text: KeyText = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
    let instant = |text: &str| parse_instant(text).map_err(|error| bad(error.to_string()));
    let key = Key {
        kind: text.kind,
        made_at: instant(&text.made_at)?,
        retired_at: text.retired_at.as_deref().map(instant).transpose()?,
        path: path.to_owned(),
        secret: unhex(&text.secret).ok_or_else(|| bad("its secret is not hexadecimal".into()))?,
        id: text.id,
    };
    match key.kind {
        Kind::Code => {
            let code_key = key.code_key().ok_or_else(|| bad("want 16 bytes of secret".into()))?;
            let found = code_key.id().to_string();
            if found != key.id {
                return Err(bad(format!("its secret belongs to key {found}, not to {}", key.id)));
            }
        }
        Kind::Token if key.secret.len() < TOKEN_KEY_LEN => {
            return Err(bad("want 32 bytes of secret".into()));
        }
        Kind::Token => {}
    }
    Ok(key)
}

/// Writes a key file whole or not at all, durably.
fn write(key: &Key) -> Result<(), CliError> {
    let text = KeyText {
        kind: key.kind,
        id: key.id.clone(),
        made_at: format_instant(key.made_at),
        retired_at: key.retired_at.map(format_instant),
        secret: hex(&key.secret),
    };
    let text = toml::to_string(&text).map_err(|error| CliError::new(error.to_string()))?;
    let staged = key.path.with_extension("new");
    let wrote = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&staged, &key.path)?;
        match key.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    wrote().map_err(CliError::because(format!("cannot write {}", key.path.display())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    (bytes.len().is_multiple_of(2) && bytes.is_ascii()).then_some(())?;
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
