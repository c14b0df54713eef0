//! What can be the value of a setting: how it is read, and how `couponry config` shows it.

use std::path::PathBuf;
use std::str::FromStr;

use command_line::{RepeatInterval, SecretText};

use super::space_name::SpaceName;

pub(crate) trait Value: Sized {
    /// What a flag, a variable or the settings file holds.
    type Written;

    /// The value of `written`, or of `default` where nothing is written.
    fn read(written: Option<Self::Written>, default: &str) -> Result<Self, String>;

    /// The value as text; empty if there is none.
    fn shown(&self) -> String;
}

macro_rules! as_written {
    ($($type:ty: $shown:expr;)*) => {$(
        impl Value for $type {
            type Written = $type;

            fn read(written: Option<$type>, default: &str) -> Result<$type, String> {
                match written {
                    Some(written) => Ok(written),
                    None => {
                        default.parse().map_err(|error: <$type as FromStr>::Err| error.to_string())
                    }
                }
            }

            fn shown(&self) -> String {
                let shown: fn(&$type) -> String = $shown;
                shown(self)
            }
        }
    )*};
}

as_written! {
    PathBuf: |path| path.display().to_string();
    String: String::clone;
    bool: bool::to_string;
    u64: u64::to_string;
    RepeatInterval: RepeatInterval::to_string;
    SpaceName: SpaceName::to_string;
}

/// Has no default.
impl<T: Value<Written = T>> Value for Option<T> {
    type Written = T;

    fn read(written: Option<T>, default: &str) -> Result<Option<T>, String> {
        written.map(|written| T::read(Some(written), default)).transpose()
    }

    fn shown(&self) -> String {
        self.as_ref().map(T::shown).unwrap_or_default()
    }
}

impl Value for SecretText {
    type Written = SecretText;

    fn read(written: Option<SecretText>, default: &str) -> Result<SecretText, String> {
        written.unwrap_or_else(|| SecretText::from(default.to_owned())).one_line()
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Reads the environment variable `name`, for a setting without a flag.
pub(super) fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        let cases = [
            ("as it is", "a b", Some("a b")),
            ("from a file", "abc\n", Some("abc")),
            ("from a file of Windows", "abc\r\n", Some("abc")),
            ("several line ends", "abc\n\n", Some("abc")),
            ("a blank is a part of a password", " a ", Some(" a ")),
            ("two lines", "abc\ndef\n", None),
            ("a line before it", "\nabc", None),
            ("an old line end", "abc\rdef", None),
        ];
        for (name, text, want) in cases {
            let read = Option::<SecretText>::read(text.parse().ok(), "").ok().flatten();
            assert_eq!(read.as_ref().map(SecretText::reveal), want, "{name}");
        }
    }
}
