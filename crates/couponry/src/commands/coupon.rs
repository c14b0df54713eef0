//! `couponry coupon`: shows and changes one coupon, or every coupon of a file.

mod action;
mod calls;
mod codes;
mod flags;
mod many;

use std::sync::Arc;

use engine::Engine;

pub(crate) use self::calls::Call;
use self::flags::Selection;
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, call: &Call) -> Result<Ended, CliError> {
    let selection = call.selection()?;
    let purpose = if call.only_reads() { Purpose::Read } else { Purpose::Write };
    let work = async |engine: &Arc<Engine>| {
        let done = match selection {
            Selection::File(path) => return many::run(engine, call, path).await,
            Selection::One(code) => call.to(engine, code).await?,
            Selection::Stock(campaign) => call.to_stock(engine, campaign).await?,
        };
        output::say_json(&done.into_inner().body)?;
        Ok(Ended::Done)
    };
    open::with(settings, purpose, work).await
}
