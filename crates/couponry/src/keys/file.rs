//! Key files: TOML that only its owner can read, one file a key.

use std::fs::File;
use std::path::Path;

use coupon::calendar::{format_instant, parse_instant};
use serde::{Deserialize, Serialize};

use super::{CODE_KEY_LEN, Key, Kind, TOKEN_KEY_LEN};
use crate::failure::{CliError, Result};
use crate::files;
use crate::output::Out;

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

/// Locks the folder while keys are made, so that two processes do not both make the first.
pub(super) fn locked(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = files::lock_file(&path)?;
    file.lock().map(|()| file).map_err(CliError::cannot("lock", &path))
}

/// Oldest first.
pub(super) fn read_all(folder: &Path) -> Result<Vec<Key>> {
    let cannot = || CliError::cannot("read", folder);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot())? {
        let path = entry.map_err(cannot())?.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            all.push(read(&path)?);
        }
    }
    all.sort_by(|a, b| (a.made_at, &a.id).cmp(&(b.made_at, &b.id)));
    Ok(all)
}

fn read(path: &Path) -> Result<Key> {
    let bad = |why: String| CliError::new(format!("{} is not a key file: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let text: KeyText = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
    let instant = |text: &str| parse_instant(text).map_err(|error| bad(error.to_string()));
    let key = Key {
        kind: text.kind,
        made_at: instant(&text.made_at)?,
        retired_at: text.retired_at.as_deref().map(instant).transpose()?,
        path: path.to_owned(),
        secret: hex::decode(&text.secret)
            .map_err(|_| bad("its secret is not hexadecimal".into()))?,
        id: text.id,
    };
    match key.kind {
        Kind::Code => {
            let wrong_length = || bad(format!("its secret has not {CODE_KEY_LEN} bytes"));
            let found = key.code_key().ok_or_else(wrong_length)?.id().to_string();
            if found != key.id {
                return Err(bad(format!("its secret belongs to key {found}, not to {}", key.id)));
            }
        }
        Kind::Token if key.secret.len() < TOKEN_KEY_LEN => {
            return Err(bad(format!("its secret has fewer than {TOKEN_KEY_LEN} bytes")));
        }
        Kind::Token => {}
    }
    Ok(key)
}

/// Writes a key file durably, and whole or not at all.
pub(super) fn write(key: &Key) -> Result<()> {
    let text = KeyText {
        kind: key.kind,
        id: key.id.clone(),
        made_at: format_instant(key.made_at),
        retired_at: key.retired_at.map(format_instant),
        secret: hex::encode(&key.secret),
    };
    let mut out = Out::file(&key.path)?;
    out.put(&toml::to_string(&text).map_err(CliError::of)?)?;
    out.finish()
}
