//! Fields of a form or a query, each a short text.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Names and values in the order of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormFields(pub(crate) Vec<(String, String)>);

impl FormFields {
    pub(crate) fn parse(text: &str) -> FormFields {
        FormFields(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
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

    /// The values of a field that is there several times, in the order of the form.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(field, _)| field == name);
        found.map(|(_, value)| value.trim())
    }

    /// In the place of what it was.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(field, _)| field != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn encoded(&self) -> String {
        let pairs =
            self.0.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// What is escaped within a query or a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
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
            assert_eq!(FormFields::parse(text).get("a"), want, "{name}");
        }
    }

    #[test]
    fn there_and_back() {
        let fields =
            FormFields(vec![("a b".into(), "<봄>&=%+\n".into()), ("c".into(), String::new())]);
        assert_eq!(FormFields::parse(&fields.encoded()), fields);
    }
}
