//! The names of spaces.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Most characters of a name: it becomes a part of a keyspace's name, which has 48.
const NAME_MAX: usize = 24;

/// The name of a space: a folder, a part of a keyspace's name, and a label of metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SpaceName(String);

impl SpaceName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SpaceName {
    type Err = String;

    fn from_str(text: &str) -> Result<SpaceName, String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || !text.bytes().all(fits) || text.len() > NAME_MAX {
            return Err(format!(
                "{text:?} is no name of a space: a-z 0-9 _, a letter first, {NAME_MAX} at most"
            ));
        }
        Ok(SpaceName(text.to_owned()))
    }
}

impl TryFrom<String> for SpaceName {
    type Error = String;

    fn try_from(text: String) -> Result<SpaceName, String> {
        text.parse()
    }
}

impl fmt::Display for SpaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
