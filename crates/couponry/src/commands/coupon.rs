//! `couponry coupon`: shows and changes one coupon, or every coupon of a file.

mod calls;
mod flags;
mod many;

pub(crate) use self::calls::Call;
use self::flags::Selection;
use crate::failure::{Ended, Result};
use crate::open::Purpose;
use crate::settings::Settings;
use crate::{client, output};

pub(crate) async fn run(settings: &Settings, call: &Call) -> Result<Ended> {
    let selection = call.selection()?;
    let purpose = if call.only_reads() { Purpose::Read } else { Purpose::Write };
    client::with(settings, purpose, async |service| {
        let reply = match selection {
            Selection::Lines(of, path) => return many::run(service, call, of, path).await,
            Selection::One(code) => call.send(service, code.foreign().as_str()).await?,
            Selection::Stock(campaign) => call.send_to_stock(service, campaign).await?,
        };
        if reply.is_replay {
            output::note("an earlier call did this; nothing was changed");
        }
        output::say_json(&reply.body)?;
        Ok(Ended::Done)
    })
    .await
}
