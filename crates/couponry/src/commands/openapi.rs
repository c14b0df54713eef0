//! `couponry openapi`: the document of the HTTP interface.

use crate::failure::{Ended, Sorry};
use crate::output;

pub(crate) fn run() -> Result<Ended, Sorry> {
    let text = serde_json::to_string_pretty(&api::openapi::document());
    output::say(&text.map_err(|error| Sorry::new(error.to_string()))?)?;
    Ok(Ended::Done)
}
