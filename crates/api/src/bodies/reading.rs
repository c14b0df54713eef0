//! Reads texts into values: every field that cannot be used is named at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use coupon::calendar::parse_instant;
use coupon::time::Millis;
use engine::FieldFault;
use serde::{Deserialize, Deserializer};

use crate::extract::shown;
use crate::problem::{Problem, Result};

/// The largest whole number that every reader of JSON takes.
pub(crate) const NUMBER_MAX: u64 = (1 << 53) - 1;

pub(crate) const TRUE_OR_FALSE: [(&str, bool); 2] = [("true", true), ("false", false)];

#[derive(Default)]
pub(crate) struct FieldReader {
    faults: Vec<FieldFault>,
}

impl FieldReader {
    /// The value of a field that may be left out.
    pub(crate) fn may<T>(&mut self, field: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(field, text?.parse())
    }

    pub(crate) fn must<T>(&mut self, field: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        if text.is_none() {
            self.fault(field, "is missing");
        }
        self.may(field, text)
    }

    /// An instant of RFC 3339.
    pub(crate) fn instant(&mut self, field: &str, text: Option<&str>) -> Option<Millis> {
        self.parsed(field, parse_instant(text?))
    }

    pub(crate) fn number(
        &mut self,
        field: &str,
        text: Option<&str>,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let want = format!("{} to {}", range.start(), range.end());
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| range.contains(number));
        self.choice(field, text, &want, number)
    }

    /// One of a few words, each with its value.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        field: &str,
        text: Option<&str>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let want = names.join(if names.len() == 2 { " or " } else { ", " });
        let of = |text: &str| words.iter().find(|(name, _)| *name == text);
        self.choice(field, text, &want, of).map(|(_, value)| *value)
    }

    /// One of many values; `of` knows the text of each.
    pub(crate) fn choice<T>(
        &mut self,
        field: &str,
        text: Option<&str>,
        want: &str,
        of: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = text?;
        let found = of(text);
        if found.is_none() {
            self.fault(field, format!("is {:?}, want {want}", shown(text)));
        }
        found
    }

    pub(crate) fn parsed<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.fault(field, error.to_string())).ok()
    }

    pub(crate) fn fault(&mut self, field: &str, detail: impl Into<String>) {
        self.faults.push(FieldFault::new(field, detail));
    }

    pub(crate) fn done<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.faults)),
        }
    }
}

/// `null` and absence are two things: `Some(None)` and `None`.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
