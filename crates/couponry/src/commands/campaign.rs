//! `couponry campaign`: creates, shows, pauses and resumes campaigns, and mints coupons for them.

mod create;
mod list;
mod remote;

use std::sync::Arc;

use api::views::{BatchBody, CampaignBody};
use clap::Subcommand;
use coupon::ids::{BatchId, CampaignId, Reason};
use engine::{BatchRequest, CampaignPatch, CampaignView, Done, Engine, Failure};

use self::create::CreateFlags;
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::remote::Remote;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum CampaignCommand {
    Create(Box<CreateFlags>),
    /// List the campaigns in the order of their ids
    ///
    /// Prints a table on a terminal. Elsewhere prints one line for each campaign, a JSON object.
    #[command(after_help = "\
Exit codes: 0 listed, 1 failed, 2 usage error.

Example:
  couponry campaign list --json | jq -r .campaign_id")]
    List {
        /// Print JSON lines on a terminal too
        #[arg(long)]
        json: bool,
    },
    /// Print one campaign with its counts
    #[command(after_help = "\
Exit codes: 0 printed, 1 no such campaign, or failed; 2 usage error.

Example:
  couponry campaign show spring-2027")]
    Show {
        /// Campaign to print
        id: CampaignId,
    },
    /// Pause a campaign: none of its coupons can be issued, held or redeemed
    ///
    /// An order whose hold began before can still redeem. When the command ends, every `serve`
    /// process knows the pause. Prints the campaign. Changes nothing if the campaign is paused
    /// already.
    #[command(after_help = "\
Exit codes: 0 paused, 1 no such campaign, or failed; 2 usage error.

Example:
  couponry campaign pause spring-2027 --reason 'codes leaked'")]
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
    #[command(after_help = "\
Exit codes: 0 resumed, 1 no such campaign, or failed; 2 usage error.

Example:
  couponry campaign resume spring-2027")]
    Resume {
        /// Campaign to resume
        id: CampaignId,
        /// Reason, for people who read the audit later
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Mint a batch of coupons for a campaign
    ///
    /// Prints the batch; `export codes` prints the codes. Takes one small write for any count. Name
    /// the batch: then a second call with the same --batch and --count changes nothing. Without
    /// --batch, each call mints new coupons.
    #[command(after_help = "\
Exit codes: 0 minted (now or before), 1 refused or failed, 2 usage error.

Example:
  couponry campaign generate spring-2027 --count 10000 --batch second-mailing")]
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

pub(crate) async fn run(settings: &Settings, command: &CampaignCommand) -> Result<Ended, CliError> {
    if let Some(remote) = Remote::of(settings)? {
        return remote::run(&remote, command).await;
    }
    match command {
        CampaignCommand::Create(flags) => create::run(settings, flags).await?,
        CampaignCommand::List { json } => {
            let work = async |engine: &Arc<Engine>| list::run(engine, *json).await;
            open::with(settings, Purpose::Read, work).await?;
        }
        CampaignCommand::Show { id } => {
            let work =
                async |engine: &Arc<Engine>| show(engine.campaign(&open::caller(), id).await, id);
            open::with(settings, Purpose::Read, work).await?;
        }
        CampaignCommand::Pause { id, reason } => pause(settings, id, true, reason).await?,
        CampaignCommand::Resume { id, reason } => pause(settings, id, false, reason).await?,
        CampaignCommand::Generate { id, count, batch } => {
            let request = BatchRequest { id: batch.clone(), count: *count };
            generate(settings, id, request).await?;
        }
    }
    Ok(Ended::Done)
}

async fn pause(
    settings: &Settings,
    id: &CampaignId,
    paused: bool,
    reason: &Option<Reason>,
) -> Result<(), CliError> {
    let patch = CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
    let work = async |engine: &Arc<Engine>| {
        show(engine.patch_campaign(&open::caller(), id, patch, reason.clone()).await, id)
    };
    open::with(settings, Purpose::Write, work).await
}

async fn generate(
    settings: &Settings,
    id: &CampaignId,
    request: BatchRequest,
) -> Result<(), CliError> {
    let work = async |engine: &Arc<Engine>| {
        let done = engine.mint_batch(&open::caller(), id, request).await;
        let done = done.map_err(CliError::about(format!("campaign {id}")))?;
        output::say_json(&BatchBody::from(&made(done)))
    };
    open::with(settings, Purpose::Write, work).await
}

fn show(view: Result<CampaignView, Failure>, id: &CampaignId) -> Result<(), CliError> {
    let view = view.map_err(CliError::about(format!("campaign {id}")))?;
    output::say_json(&CampaignBody::from(&view))
}

/// What was made, with a note if an earlier call made it.
fn made<T>(done: Done<T>) -> T {
    if matches!(done, Done::Same(_)) {
        note_same();
    }
    done.into_inner()
}

fn note_same() {
    output::note("it was created before; nothing was changed");
}
