//! Spans of time as people write them: `90s`, `15m`, `1h`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// Parses `90s`, `15m`, `1h` or `30d` into milliseconds, at least one.
pub fn milliseconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("it is {text:?}, want a number and s, m, h or d, such as 1h");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|ms| *ms > 0).ok_or_else(wrong)
}

/// How often something happens; `0` for never.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RepeatInterval {
    text: String,
    /// `None` for never.
    pub every: Option<Duration>,
}

impl FromStr for RepeatInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<RepeatInterval, String> {
        let every = match text {
            "0" => None,
            text => Some(Duration::from_millis(milliseconds(text)?.unsigned_abs())),
        };
        Ok(RepeatInterval { text: text.to_owned(), every })
    }
}

impl TryFrom<String> for RepeatInterval {
    type Error = String;

    fn try_from(text: String) -> Result<RepeatInterval, String> {
        text.parse()
    }
}

impl fmt::Display for RepeatInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            ("seconds", "90s", Some(90_000)),
            ("days", "30d", Some(30 * 86_400_000)),
            ("no unit", "90", None),
            ("no number", "h", None),
            ("nothing", "", None),
            ("zero", "0h", None),
            ("negative", "-1h", None),
            ("not ASCII", "1ä", None),
            ("more than there is", "9223372036854775807d", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(milliseconds(text).ok(), want, "{name}");
        }
        assert_eq!("0".parse::<RepeatInterval>().unwrap().every, None, "never");
        assert_eq!("2m".parse::<RepeatInterval>().unwrap().every, Some(Duration::from_secs(120)));
    }
}
