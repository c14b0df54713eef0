//! `couponry coupon`: shows and changes one coupon, or every coupon of a file.

mod action;
mod calls;
mod flags;
mod many;
mod remote;

use std::sync::Arc;

use engine::{Done, Engine};
use serde_json::Value;

pub(crate) use self::calls::Call;
use self::flags::Selection;
use self::many::Place;
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::remote::Remote;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, call: &Call) -> Result<Ended, CliError> {
    let selection = call.selection()?;
    if let Some(remote) = Remote::of(settings)? {
        return over(&remote, call, selection).await;
    }
    let purpose = if call.only_reads() { Purpose::Read } else { Purpose::Write };
    let work = async |engine: &Arc<Engine>| {
        let done = match selection {
            Selection::File(path) => return many::run(Place::Here(engine), call, path).await,
            Selection::One(code) => call.to(engine, code).await?,
            Selection::Stock(campaign) => call.to_stock(engine, campaign).await?,
        };
        let is_replay = matches!(done, Done::Same(_));
        said(is_replay, &done.into_inner())
    };
    open::with(settings, purpose, work).await
}

/// The same over HTTP.
async fn over(remote: &Remote, call: &Call, selection: Selection<'_>) -> Result<Ended, CliError> {
    let said = match selection {
        Selection::File(path) => return many::run(Place::There(remote), call, path).await,
        Selection::One(code) => call.over(remote, code.foreign().as_str()).await?,
        Selection::Stock(campaign) => call.over_stock(remote, campaign).await?,
    };
    self::said(said.is_replay, &said.body)
}

/// Prints an answer, and whether an earlier call did the same.
fn said(is_replay: bool, body: &Value) -> Result<Ended, CliError> {
    if is_replay {
        output::note("an earlier call did this; nothing was changed");
    }
    output::say_json(body)?;
    Ok(Ended::Done)
}
