//! `couponry campaign`: creates, shows, pauses, resumes and extends campaigns, and mints coupons for them.

mod create;
mod list;

use clap::Subcommand;
use coupon::calendar::Date;
use coupon::ids::{BatchId, CampaignId, Reason};
use serde_json::{Value, json};

use self::create::CreateFlags;
use crate::client::{self, Refused, Repeat, Reply, ServiceClient};
use crate::failure::{CliError, Ended, Result};
use crate::open::Purpose;
use crate::output;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum CampaignCommand {
    Create(Box<CreateFlags>),
    /// List the campaigns in the order of their ids
    ///
    /// Prints a table on a terminal. Elsewhere prints one line for each campaign, a JSON object.
    #[command(after_help = help_ending!("0 listed, 1 failed, 2 usage error",
        "couponry campaign list --json | jq -r .campaign_id"))]
    List {
        /// Print JSON lines on a terminal too
        #[arg(long)]
        json: bool,
    },
    /// Print one campaign with its counts
    #[command(after_help = help_ending!("0 printed, 1 no such campaign, or failed; 2 usage error",
        "couponry campaign show spring-2027"))]
    Show {
        /// Campaign to print
        id: CampaignId,
    },
    /// Pause a campaign: none of its coupons can be issued, held or redeemed
    ///
    /// An order whose hold began before can still redeem. When the command ends, every `serve` process knows the pause.
    /// Prints the campaign. Changes nothing if the campaign is paused already.
    #[command(after_help = help_ending!("0 paused, 1 no such campaign, or failed; 2 usage error",
        "couponry campaign pause spring-2027 --reason 'codes leaked'"))]
    Pause {
        /// Campaign to pause
        id: CampaignId,
        /// Reason, for people who read the audit later
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Resume a paused campaign
    ///
    /// Prints the campaign. Changes nothing if the campaign is not paused.
    #[command(after_help = help_ending!("0 resumed, 1 no such campaign, or failed; 2 usage error",
        "couponry campaign resume spring-2027"))]
    Resume {
        /// Campaign to resume
        id: CampaignId,
        /// Reason, for people who read the audit later
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Let a campaign and its coupons end later
    ///
    /// Coupons to which nothing has happened follow the new end at once. Others follow it one after the other, in the
    /// background of a `serve` process; `campaign show` says how far that is. Refuses an earlier end. Prints the campaign.
    #[command(after_help = help_ending!("0 extended, 1 refused, no such campaign, or failed; 2 usage error",
        "couponry campaign extend spring-2027 --expires-on 2027-06-30"))]
    Extend {
        /// Campaign to extend
        id: CampaignId,
        /// New last day on which its coupons work, in its time zone
        #[arg(long, value_name = "DATE")]
        expires_on: Date,
        /// Reason, for people who read the audit later
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Mint a batch of coupons for a campaign
    ///
    /// Prints the batch; `export codes` prints the codes. Takes one small write for any count. Name the batch: then a
    /// second call with the same --batch and --count changes nothing. Without --batch, each call mints new coupons.
    #[command(after_help = help_ending!("0 minted (now or before), 1 refused or failed, 2 usage error",
        "couponry campaign generate spring-2027 --count 10000 --batch second-mailing"))]
    Generate {
        /// Campaign of the coupons
        id: CampaignId,
        /// Number of coupons: 1 to 100000000000
        #[arg(long, value_name = "N")]
        count: u64,
        /// Name of the batch [default: a new id]
        #[arg(long, value_name = "ID")]
        batch: Option<BatchId>,
    },
}

pub(crate) async fn run(settings: &Settings, command: &CampaignCommand) -> Result<Ended> {
    let purpose = match command {
        CampaignCommand::Create(flags) => {
            // Before anything is opened, so that a wrong flag makes no folder.
            flags.check()?;
            Purpose::Make
        }
        CampaignCommand::List { .. } | CampaignCommand::Show { .. } => Purpose::Read,
        CampaignCommand::Pause { .. }
        | CampaignCommand::Resume { .. }
        | CampaignCommand::Extend { .. }
        | CampaignCommand::Generate { .. } => Purpose::Write,
    };
    client::with(settings, purpose, async |service| ask(service, command).await).await?;
    Ok(Ended::Done)
}

async fn ask(service: &ServiceClient, command: &CampaignCommand) -> Result<()> {
    match command {
        CampaignCommand::Create(flags) => {
            let body = flags.body()?;
            let repeat = repeat(body["campaign_id"].is_string());
            made(service.post(&["campaigns"], &body, repeat).await?)
        }
        CampaignCommand::List { json } => list::print(service, *json).await,
        CampaignCommand::Show { id } => {
            let campaign = service.get(&["campaigns", id.as_str()], &[]).await;
            output::say_json(&campaign.map_err(absent(id))?.body)
        }
        CampaignCommand::Pause { id, reason } | CampaignCommand::Resume { id, reason } => {
            let paused = matches!(command, CampaignCommand::Pause { .. });
            change(service, id, json!({"paused": paused}), reason.as_ref()).await
        }
        CampaignCommand::Extend { id, expires_on, reason } => {
            let later = json!({"expires_on": expires_on.to_string()});
            change(service, id, later, reason.as_ref()).await
        }
        CampaignCommand::Generate { id, count, batch } => {
            let body = json!({"count": count, "batch_id": batch.as_ref().map(BatchId::as_str)});
            let path = ["campaigns", id.as_str(), "batches"];
            let minted = service.post(&path, &body, repeat(batch.is_some())).await;
            made(minted.map_err(absent(id))?)
        }
    }
}

/// Changes terms, and prints the campaign.
async fn change(
    service: &ServiceClient,
    id: &CampaignId,
    mut terms: Value,
    reason: Option<&Reason>,
) -> Result<()> {
    terms["reason"] = reason.map(Reason::as_str).into();
    let changed = service.patch(&["campaigns", id.as_str()], &terms).await;
    output::say_json(&changed.map_err(absent(id))?.body)
}

fn absent(id: &CampaignId) -> impl FnOnce(Refused) -> CliError {
    Refused::about(format!("campaign {id}"))
}

/// Without a name each call makes another one.
fn repeat(is_named: bool) -> Repeat {
    if is_named { Repeat::Harmless } else { Repeat::Harmful }
}

/// Prints what was made, with a note if an earlier call made it.
fn made(reply: Reply) -> Result<()> {
    if reply.is_replay {
        output::note("it was created before; nothing was changed");
    }
    output::say_json(&reply.body)
}
