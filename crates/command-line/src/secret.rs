//! Texts that no output shows.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

/// A text that no output shows: it displays as `set`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    pub fn in_file(path: &Path) -> Result<SecretText, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        SecretText(text).one_line()
    }

    /// Without the line end that editors, `echo` and mounted secrets leave behind it. Another one
    /// is no part of a secret, and no header can have it.
    pub fn one_line(self) -> Result<SecretText, String> {
        let text = self.0.trim_end_matches(['\r', '\n']);
        match text.contains(['\r', '\n']) {
            true => Err("it has several lines, want one".to_owned()),
            false => Ok(SecretText(text.to_owned())),
        }
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> SecretText {
        SecretText(text)
    }
}

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<SecretText, Infallible> {
        Ok(SecretText(text.to_owned()))
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(set)")
    }
}
