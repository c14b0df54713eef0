//! `couponry events`: what happened, one event a line.

use std::time::Duration;

use clap::Args;
use command_line::CursorCycleDetector;
use coupon::ids::CampaignId;
use engine::{EventType, PAGE_MAX};

use crate::client::{self, ServiceClient};
use crate::failure::{CliError, Ended, Result};
use crate::open::Purpose;
use crate::output::{self, Out};
use crate::settings::Settings;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Print what happened: every accepted change once, oldest first
///
/// Prints one JSON object a line, as GET /v1/events has them, and at the end the cursor to go on from on standard
/// error. You can run this while `serve` is running.
#[derive(Args)]
#[command(after_help = help_ending!(
    "0 done, or the reader closed the output; 1 failed, or the events behind --after are gone; \
     2 usage error",
    "couponry events --type coupon.redeemed | jq -r .coupon.code",
    "couponry events --after newest --follow --campaign spring-2027"))]
pub(crate) struct EventsFlags {
    /// Begin after this cursor, or with what happens from now on: `newest` [default: the oldest]
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Only events of these types, separated by commas [default: all but coupon.held and coupon.released]
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',', value_parser = type_of)]
    types: Vec<EventType>,
    /// Only events of this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
    /// Go on until you stop it
    #[arg(long)]
    follow: bool,
}

fn type_of(text: &str) -> Result<EventType, String> {
    let found = EventType::all().find(|it| it.as_str() == text);
    found.ok_or_else(|| {
        let all: Vec<&str> = EventType::all().map(EventType::as_str).collect();
        format!("want one of {}", all.join(", "))
    })
}

pub(crate) async fn run(settings: &Settings, flags: &EventsFlags) -> Result<Ended> {
    client::with(settings, Purpose::Read, async |service| printed(service, flags).await).await
}

async fn printed(service: &ServiceClient, flags: &EventsFlags) -> Result<Ended> {
    let mut out = Out::standard();
    let mut after = flags.after.clone();
    let mut cursors = CursorCycleDetector::default();
    loop {
        let read = service.get(&["events"], &query(flags, after.as_deref())).await?.body;
        for event in read["data"].as_array().into_iter().flatten() {
            out.put(&(output::json_line(event)? + "\n"))?;
        }
        out.flush()?;
        after = read["next_cursor"].as_str().map(str::to_owned);
        if read["has_more"] == true {
            cursors.next(after.as_deref().unwrap_or_default()).map_err(CliError::of)?;
            continue;
        }
        cursors = CursorCycleDetector::default();
        if !flags.follow {
            out.finish()?;
            output::note(&format!("go on with --after {}", after.unwrap_or_default()));
            return Ok(Ended::Done);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn query<'a>(flags: &EventsFlags, after: Option<&str>) -> Vec<(&'a str, String)> {
    let types: Vec<&str> = flags.types.iter().map(|it| it.as_str()).collect();
    let mut query = vec![("limit", PAGE_MAX.to_string())];
    query.extend(after.map(|it| ("after", it.to_owned())));
    query.extend((!types.is_empty()).then(|| ("type", types.join(","))));
    query.extend(flags.campaign.as_ref().map(|it| ("campaign_id", it.to_string())));
    query
}
