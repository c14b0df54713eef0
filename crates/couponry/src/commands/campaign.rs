//! `couponry campaign`: making, reading, pausing campaigns, and minting for them.

use std::sync::Arc;

use api::bodies::NewCampaign;
use api::views::{BatchBody, CampaignBody};
use clap::{Args, Subcommand};
use coupon::ids::{BatchId, CampaignId};
use engine::{BatchRequest, CampaignPatch, CampaignView, Done, Engine, PAGE_MAX};
use serde_json::Value;

use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output::{self, Out, Side};
use crate::settings::Settings;

/// Make, read and pause campaigns, and mint coupons for them
///
/// Works beside a running `serve` or without one. What it prints is JSON as the HTTP interface
/// answers it: pretty on a terminal, on one line elsewhere.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CampaignArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Create(Box<CreateFlags>),
    /// List the campaigns
    ///
    /// In the order of their ids: a table on a terminal, a JSON object a line elsewhere.
    #[command(after_help = "\
Exit codes: 0 listed, 1 failed, 2 wrong call.

Example:
  couponry campaign list --json | jq -r .campaign_id")]
    List {
        /// JSON lines on a terminal, too
        #[arg(long)]
        json: bool,
    },
    /// Print one campaign with its counts
    #[command(after_help = "\
Exit codes: 0 printed, 1 there is no such campaign, or it failed, 2 wrong call.

Example:
  couponry campaign show spring-2027")]
    Show {
        /// The campaign
        id: CampaignId,
    },
    /// Pause a campaign: nothing of it is issued, held or redeemed any more
    ///
    /// When it ends, every process obeys. Prints the campaign. Pausing twice changes nothing.
    #[command(after_help = "\
Exit codes: 0 paused, 1 there is no such campaign, or it failed, 2 wrong call.

Example:
  couponry campaign pause spring-2027")]
    Pause {
        /// The campaign
        id: CampaignId,
    },
    /// Resume a paused campaign
    ///
    /// Prints the campaign. Resuming twice changes nothing.
    #[command(after_help = "\
Exit codes: 0 resumed, 1 there is no such campaign, or it failed, 2 wrong call.

Example:
  couponry campaign resume spring-2027")]
    Resume {
        /// The campaign
        id: CampaignId,
    },
    /// Mint a batch of coupons for a campaign
    ///
    /// One small write, whatever the count; prints the batch. The codes come from `export codes`.
    /// The same --batch and --count again changes nothing, so name the batch where a repeat must
    /// not mint twice.
    #[command(after_help = "\
Exit codes: 0 minted (now or before), 1 refused or failed, 2 wrong call.

Example:
  couponry campaign generate spring-2027 --count 10000 --batch second-mailing")]
    Generate {
        /// The campaign
        id: CampaignId,
        /// How many coupons: 1 to 100000000000
        #[arg(long, value_name = "N")]
        count: u64,
        /// Name of the batch; made by us where it is left out
        #[arg(long, value_name = "ID")]
        batch: Option<BatchId>,
    },
}

/// Make a campaign
///
/// Takes what POST /v1/campaigns takes, a flag for each field, and prints the campaign. Needs an
/// expiry, as --expires-at or as --expires-on. The same id with the same flags again changes
/// nothing; with others it is refused as NAME_TAKEN.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 made (now or before), 1 refused or failed, 2 wrong call.

Examples:
  couponry campaign create --campaign-id spring-2027 --stock 10000 --expires-on 2027-05-31 \\
      --time-zone Asia/Seoul --metadata '{\"percent\": 10}'
  couponry campaign create --campaign-id summer --handout shared --shared-code SUMMER2027 \\
      --stock 5000 --expires-at 2027-09-01T00:00:00Z")]
struct CreateFlags {
    /// Its name in URLs; made by us where it is left out
    #[arg(long, value_name = "ID", visible_alias = "id", alias = "campaign")]
    campaign_id: Option<String>,
    /// Its name for people [default: the id]
    #[arg(long)]
    name: Option<String>,
    /// Coupons to mint at once [default: 0]
    #[arg(long, value_name = "N")]
    stock: Option<u64>,
    /// How its coupons reach people [default: shop]
    #[arg(long, value_parser = ["shop", "self", "bearer", "shared"])]
    handout: Option<String>,
    /// The one word for everybody, with --handout shared
    #[arg(long, value_name = "WORD")]
    shared_code: Option<String>,
    /// Decoration in front of its codes: 1 to 12 of A-Z 0-9
    #[arg(long, value_name = "TEXT")]
    code_prefix: Option<String>,
    /// When its coupons begin to work, as 2027-03-01T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    valid_from: Option<String>,
    /// First instant at which they no longer work
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<String>,
    /// Last day on which they work, in --time-zone
    #[arg(long, value_name = "DATE")]
    expires_on: Option<String>,
    /// Zone of its dates, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A coupon works until the end of the day so many days after its issue
    #[arg(long, value_name = "DAYS")]
    valid_days: Option<u16>,
    /// When it begins to issue
    #[arg(long, value_name = "INSTANT")]
    issue_from: Option<String>,
    /// When it no longer issues
    #[arg(long, value_name = "INSTANT")]
    issue_until: Option<String>,
    /// Most coupons of one user, 1 to 100, or none, with --handout bearer [default: 1]
    #[arg(long, value_name = "N|none", value_parser = limit)]
    per_user_limit: Option<Limit>,
    /// Days in which a redemption can be cancelled, 0 to 366 [default: 30]
    #[arg(long, value_name = "DAYS")]
    cancel_days: Option<u16>,
    /// Days after expiry in which a coupon can be extended, 0 to 366 [default: 30]
    #[arg(long, value_name = "DAYS")]
    extend_days: Option<u16>,
    /// The shop's own JSON object, 4 KiB at most
    #[arg(long, value_name = "JSON", value_parser = json)]
    metadata: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(Option<u16>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        number => {
            let number = number.parse().map_err(|_| "want a number from 1 to 100, or none")?;
            Ok(Limit(Some(number)))
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))
}

impl CreateFlags {
    fn body(&self) -> NewCampaign {
        NewCampaign {
            campaign_id: self.campaign_id.clone(),
            name: self.name.clone(),
            stock: self.stock,
            handout: self.handout.clone(),
            shared_code: self.shared_code.clone(),
            code_prefix: self.code_prefix.clone(),
            valid_from: self.valid_from.clone(),
            expires_at: self.expires_at.clone(),
            expires_on: self.expires_on.clone(),
            time_zone: self.time_zone.clone(),
            valid_days: self.valid_days,
            issue_from: self.issue_from.clone(),
            issue_until: self.issue_until.clone(),
            per_user_limit: self.per_user_limit.map(|Limit(limit)| limit),
            cancel_days: self.cancel_days,
            extend_days: self.extend_days,
            metadata: self.metadata.clone(),
        }
    }
}

pub(crate) async fn run(settings: &Settings, ask: &CampaignArgs) -> Result<Ended, CliError> {
    match &ask.what {
        What::Create(flags) => create(settings, flags).await?,
        What::List { json } => {
            let work = async |engine: &Arc<Engine>| match output::is_terminal() && !json {
                true => list_table(engine).await,
                false => list_lines(engine).await,
            };
            open::with(settings, Purpose::Read, work).await?;
        }
        What::Show { id } => {
            let work =
                async |engine: &Arc<Engine>| show(engine.campaign(&open::caller(), id).await, id);
            open::with(settings, Purpose::Read, work).await?;
        }
        What::Pause { id } => pause(settings, id, true).await?,
        What::Resume { id } => pause(settings, id, false).await?,
        What::Generate { id, count, batch } => {
            let ask = BatchRequest { id: batch.clone(), count: *count };
            generate(settings, id, ask).await?;
        }
    }
    Ok(Ended::Done)
}

async fn create(settings: &Settings, flags: &CreateFlags) -> Result<(), CliError> {
    // Read before anything is opened: a flag that cannot be read makes no folder.
    let draft = flags.body().into_draft()?;
    let work = async |engine: &Arc<Engine>| {
        let done = engine.create_campaign(&open::caller(), draft).await?;
        output::say_json(&CampaignBody::from(&same(done)))
    };
    open::with(settings, Purpose::Make, work).await
}

async fn pause(settings: &Settings, id: &CampaignId, paused: bool) -> Result<(), CliError> {
    let patch = CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
    let work = async |engine: &Arc<Engine>| {
        show(engine.patch_campaign(&open::caller(), id, patch).await, id)
    };
    open::with(settings, Purpose::Write, work).await
}

async fn generate(settings: &Settings, id: &CampaignId, ask: BatchRequest) -> Result<(), CliError> {
    let work = async |engine: &Arc<Engine>| {
        let done = engine.mint_batch(&open::caller(), id, ask).await;
        let done = done.map_err(CliError::about(format!("campaign {id}")))?;
        output::say_json(&BatchBody::from(&same(done)))
    };
    open::with(settings, Purpose::Write, work).await
}

fn show(view: Result<CampaignView, engine::Failure>, id: &CampaignId) -> Result<(), CliError> {
    let view = view.map_err(CliError::about(format!("campaign {id}")))?;
    output::say_json(&CampaignBody::from(&view))
}

/// What was made, with a word about it when that was before.
fn same<T>(done: Done<T>) -> T {
    if matches!(done, Done::Same(_)) {
        output::note("it was made before; nothing was changed");
    }
    done.into_inner()
}

async fn list_lines(engine: &Engine) -> Result<(), CliError> {
    let mut out = Out::standard();
    let mut after = None;
    loop {
        let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
        let Some(last) = page.last() else { return out.finish() };
        after = Some(last.campaign.id.clone());
        for view in &page {
            let line = serde_json::to_string(&CampaignBody::from(view));
            out.put(&line.map_err(|error| CliError::new(error.to_string()))?)?;
            out.put("\n")?;
        }
    }
}

async fn list_table(engine: &Engine) -> Result<(), CliError> {
    let head = ["CAMPAIGN", "HANDOUT", "STOCK", "ISSUED", "REDEEMED", "VOID", "LAST DAY", "STATE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut after = None;
    loop {
        let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.campaign.id.clone());
        rows.extend(page.iter().map(|view| table_row(view, engine.now())));
    }
    let (left, right) = (Side::Left, Side::Right);
    let sides = [left, left, right, right, right, right, left, left];
    output::say(output::table(&sides, &rows).trim_end())
}

fn table_row(view: &CampaignView, now: coupon::time::Millis) -> Vec<String> {
    let (campaign, counts) = (&view.campaign, view.counts.map(|(counts, _)| counts));
    let counts = counts.unwrap_or_default();
    let state = match (campaign.paused, now >= campaign.expires_at) {
        (_, true) => "expired",
        (true, false) => "paused",
        (false, false) => "runs",
    };
    vec![
        campaign.id.to_string(),
        campaign.handout.as_str().to_owned(),
        output::thousands(counts.stock),
        output::thousands(counts.issued),
        output::thousands(counts.redeemed),
        output::thousands(counts.void),
        campaign.expires_on().to_string(),
        state.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let cases = [
            ("1", Some(Limit(Some(1)))),
            ("100", Some(Limit(Some(100)))),
            ("none", Some(Limit(None))),
            ("", None),
            ("-1", None),
            ("many", None),
        ];
        for (text, want) in cases {
            assert_eq!(limit(text).ok(), want, "{text:?}");
        }
    }
}
