//! Pages of lists: what a caller may ask of one, and where the next one begins.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use engine::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::bodies::FieldReader;
use crate::cursor;
use crate::problem::Result;
use crate::views::List;

pub(crate) const LIMITS: RangeInclusive<u64> = 1..=PAGE_MAX as u64;

/// One page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The most items of a page: 1 to 1,000. If it is left out, it is 50.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 50)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageParams {
    /// Behind what, and at most how many.
    pub(crate) fn read<T: FromStr<Err: Display>>(&self, query: &str) -> Result<(Option<T>, usize)> {
        let mut reading = FieldReader::default();
        let after = behind(&mut reading, query, self.cursor.as_deref())?;
        let limit = limit(&mut reading, self.limit.as_deref());
        reading.done(Some((after, limit)))
    }
}

pub(crate) fn limit(reading: &mut FieldReader, text: Option<&str>) -> usize {
    reading.number("limit", text, LIMITS).map_or(PAGE_DEFAULT, |limit| limit as usize)
}

/// What a cursor of one word, as of [`next_cursor`], is behind.
pub(crate) fn behind<T: FromStr<Err: Display>>(
    reading: &mut FieldReader,
    query: &str,
    text: Option<&str>,
) -> Result<Option<T>> {
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
    let next_cursor = next_cursor(query, items, limit, |item| name(item).to_owned());
    List { data: items.iter().map(B::from).collect(), next_cursor }
}

/// The cursor behind a page, if it is full. What [`behind`] reads of it is `word` of its last item.
pub(crate) fn next_cursor<T>(
    query: &str,
    items: &[T],
    limit: usize,
    word: impl Fn(&T) -> String,
) -> Option<String> {
    let last = items.last().filter(|_| items.len() == limit);
    last.map(|last| cursor::cursor(query, &[&word(last)]))
}
