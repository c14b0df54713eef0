//! Fields of a form or a query, each a short text.

use std::str::FromStr;

use crate::trouble::Trouble;

/// Names and values in the order of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Reads `name=value&…`.
    pub(crate) fn parse(text: &str) -> Fields {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let field = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Fields(pairs.map(field).collect())
    }

    /// The value of a field, without blanks around it; `None` if it is empty or not there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value as typed; empty if it is not there.
    pub(crate) fn shown(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The parsed value of a field that has to be there.
    ///
    /// # Errors
    /// [`Trouble::Field`].
    pub(crate) fn must<T: FromStr<Err: ToString>>(&self, name: &str) -> Result<T, Trouble> {
        self.may(name)?.ok_or_else(|| Trouble::field(name, "is missing"))
    }

    /// The parsed value of a field.
    ///
    /// # Errors
    /// [`Trouble::Field`].
    pub(crate) fn may<T: FromStr<Err: ToString>>(&self, name: &str) -> Result<Option<T>, Trouble> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|error: T::Err| Trouble::field(name, error.to_string()))
    }

    /// As the body of a form.
    pub(crate) fn encoded(&self) -> String {
        let pairs =
            self.0.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text within a query or a path.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let cases = [
            ("nothing", "", None),
            ("a value", "a=1", Some("1")),
            ("the first of two", "a=1&a=2", Some("1")),
            ("blanks", "a=+x+y+", Some("x y")),
            ("only blanks", "a=++", None),
            ("no value", "a", None),
            ("Korean", "a=%EB%B4%84", Some("봄")),
            ("no escape", "a=100%", Some("100%")),
            ("half an escape", "a=%E", Some("%E")),
            ("a character cut in two", "a=%é", Some("%é")),
            ("another field", "b=1", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(Fields::parse(text).get("a"), want, "{name}");
        }
    }

    #[test]
    fn there_and_back() {
        let fields = Fields(vec![("a b".into(), "<봄>&=%+\n".into()), ("c".into(), String::new())]);
        assert_eq!(Fields::parse(&fields.encoded()), fields);
    }
}
