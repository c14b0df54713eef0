//! `couponry coupon`: shows and changes one coupon, or every coupon of a file.

mod action;
mod calls;
mod codes;
mod flags;
mod many;

use std::sync::Arc;

use clap::Args;
use engine::Engine;

use self::calls::Call;
use self::flags::Selection;
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

/// Show and change coupons
///
/// Acts as an admin on one CODE, or on every code of a --file. `serve` may run. For one code,
/// prints the answer of the HTTP interface as JSON; a refusal is one line on standard error. For a
/// file, prints CSV with one line a code: code, result, detail. The result is `ok`, `replay` (an
/// earlier call did the same), or the code of the refusal.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CouponArgs {
    #[command(subcommand)]
    call: Call,
}

pub(crate) async fn run(settings: &Settings, args: &CouponArgs) -> Result<Ended, CliError> {
    let (selection, action) = args.call.plan()?;
    let purpose = if action.only_reads() { Purpose::Read } else { Purpose::Write };
    let work = async |engine: &Arc<Engine>| {
        let done = match selection {
            Selection::File(path) => return many::run(engine, &action, path).await,
            Selection::One(code) => action.to(engine, code).await?,
            Selection::Stock(campaign) => action.to_stock(engine, campaign).await?,
        };
        output::say_json(&done.into_inner().body)?;
        Ok(Ended::Done)
    };
    open::with(settings, purpose, work).await
}
