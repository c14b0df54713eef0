//! Pages of lists: what a caller may ask of one, and where the next one begins.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use engine::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::bodies::Reading;
use crate::cursor;
use crate::problem::Problem;
use crate::views::List;

pub(crate) const LIMITS: RangeInclusive<u64> = 1..=PAGE_MAX as u64;

/// One page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The most items of a page: 1 to 1,000. If it is left out, it is 50.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Page {
    /// Behind what, and at most how many.
    pub(crate) fn read<T: FromStr<Err: Display>>(
        &self,
        query: &str,
    ) -> Result<(Option<T>, usize), Problem> {
        let mut reading = Reading::default();
        let after = behind(&mut reading, query, self.cursor.as_deref())?;
        let limit = reading.number("limit", self.limit.as_deref(), LIMITS);
        reading.done(Some((after, limit.map_or(PAGE_DEFAULT, |limit| limit as usize))))
    }
}

/// What a cursor of one word, as of [`named_page`], is behind.
pub(crate) fn behind<T: FromStr<Err: Display>>(
    reading: &mut Reading,
    query: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let words = cursor::position(query, text)?;
    Ok(reading.must("cursor", words.first().map(String::as_str)))
}

/// One page of things that are named, behind which the next begins.
pub(crate) fn named_page<T, B: for<'a> From<&'a T>>(
    query: &str,
    items: &[T],
    limit: usize,
    name: impl Fn(&T) -> &str,
) -> List<B> {
    let last = items.last().filter(|_| items.len() == limit);
    let next_cursor = last.map(|last| cursor::cursor(query, &[name(last)]));
    List { data: items.iter().map(B::from).collect(), next_cursor }
}
