//! `couponry openapi`: the document of the HTTP interface.

use clap::Args;

use crate::failure::{CliError, Ended, Result};
use crate::output;

/// Print the OpenAPI document of the HTTP interface
///
/// Prints the same JSON that a running service returns at /openapi.json.
#[derive(Args)]
#[command(after_help = help_ending!("0 printed, 2 usage error, or no such shape",
    "couponry openapi > openapi.json",
    "couponry openapi --shape FeedEvent > event.json"))]
pub(crate) struct OpenapiArgs {
    /// Print only this shape, as a JSON Schema with all that it needs
    #[arg(long, value_name = "NAME")]
    shape: Option<String>,
}

pub(crate) fn run(args: &OpenapiArgs) -> Result<Ended> {
    let document = api::openapi::document();
    let printed = match &args.shape {
        None => document,
        Some(name) => api::openapi::json_schema(&document, name).ok_or_else(|| {
            CliError::usage(format!("there is no shape {name}; /docs lists them"))
        })?,
    };
    let text = serde_json::to_string_pretty(&printed);
    output::done(&text.map_err(CliError::of)?)
}
