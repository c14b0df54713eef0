//! `couponry openapi`: the document of the HTTP interface.

use crate::failure::{CliError, Ended};
use crate::output;

pub(crate) fn run() -> Result<Ended, CliError> {
    let text = serde_json::to_string_pretty(&api::openapi::document());
    output::done(&text.map_err(CliError::of)?)
}
