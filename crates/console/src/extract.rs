//! What handlers take from a request: the desk, fields of a form, and parts of the path.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use coupon::code::{CodeText, half_width};

use crate::desk::PageContext;
use crate::fields::FormFields;
use crate::trouble::{ConsoleError, ConsoleResult};

/// The guard has put the desk there.
impl<S: Sync> FromRequestParts<S> for PageContext {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ConsoleResult<PageContext> {
        parts.extensions.get::<PageContext>().cloned().ok_or(ConsoleError::Broken)
    }
}

/// The guard has read the form.
impl<S: Sync> FromRequestParts<S> for FormFields {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ConsoleResult<FormFields> {
        let fields = parts.extensions.get::<FormFields>().cloned().ok_or(ConsoleError::Broken)?;
        Ok(fields.with_numbers())
    }
}

impl FormFields {
    /// The parsed value of a field that has to be there.
    pub(crate) fn must<T: FromStr<Err: ToString>>(&self, name: &str) -> ConsoleResult<T> {
        self.may(name)?.ok_or_else(|| ConsoleError::field(name, "is missing"))
    }

    /// `None` if the field is empty or not there.
    pub(crate) fn may<T: FromStr<Err: ToString>>(&self, name: &str) -> ConsoleResult<Option<T>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or_default();
        let is_negative = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        text.parse().map(Some).map_err(|error: T::Err| match is_negative {
            true => ConsoleError::field(name, "is negative, want 0 or more"),
            false => ConsoleError::field(name, error.to_string()),
        })
    }
}

/// A code within a path, as people type it.
pub(crate) fn typed_code(text: &str) -> ConsoleResult<CodeText> {
    from_path(&half_width(text))
}

/// A part of a path; what cannot be one of these is no page.
pub(crate) fn from_path<T: FromStr>(text: &str) -> ConsoleResult<T> {
    text.parse().map_err(|_| ConsoleError::NotFound)
}
