//! The prefix that people read in front of a minted code.

use std::fmt;
use std::str::FromStr;

/// Longest `code_prefix`, in characters: a word, not a sentence.
pub const PREFIX_LEN_MAX: usize = 12;

/// 1 to [`PREFIX_LEN_MAX`] characters of A-Z and 0-9 in front of a minted code, and no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Box<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0:?}, want 1 to {PREFIX_LEN_MAX} characters of A-Z and 0-9")]
pub struct BadPrefix(String);

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Prefix, BadPrefix> {
        let upper = text.to_ascii_uppercase();
        let fits = (1..=PREFIX_LEN_MAX).contains(&upper.len())
            && upper.bytes().all(|b| b.is_ascii_alphanumeric());
        match fits {
            true => Ok(Prefix(upper.into())),
            false => Err(BadPrefix(text.chars().take(20).collect())),
        }
    }
}

impl Prefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
