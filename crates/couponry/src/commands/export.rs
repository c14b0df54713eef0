//! `couponry export`: writes codes, coupons and redemptions as CSV or JSON lines.

pub(super) mod coupons;
mod redemptions;
pub(super) mod remote;
pub(super) mod sink;

use std::sync::Arc;

use clap::{Args, Subcommand};
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId};
use engine::{CodesFormat, CodesRequest, Engine, Failure};
use futures::TryStreamExt;

use self::coupons::CouponsFlags;
use self::redemptions::RedemptionsFlags;
use self::sink::{Format, Into, Sink, in_order, written};
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::remote::Remote;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum ExportCommand {
    Codes(CodesFlags),
    Coupons(CouponsFlags),
    Redemptions(RedemptionsFlags),
}

/// Export the unused codes of a campaign
///
/// Prints one code a line under the header `code`, with hyphens, for a printer, a mailing or a
/// partner. Leaves out imported codes, and codes that were issued, redeemed or voided.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done, or the reader closed the output; 1 failed, 2 usage error.

Examples:
  couponry export codes --campaign spring-2027 --output codes.csv
  couponry export codes --campaign spring-2027 | head -n 101
  couponry export codes --campaign spring-2027 --after 7K2M-9QXD-4TRB-H0VE")]
pub(crate) struct CodesFlags {
    /// Campaign of the codes
    #[arg(long, value_name = "ID")]
    campaign: CampaignId,
    /// Export only this batch
    #[arg(long, value_name = "ID")]
    batch: Option<BatchId>,
    /// Export only the codes after this one, to continue an interrupted list
    #[arg(long, value_name = "CODE")]
    after: Option<CodeText>,
    #[command(flatten)]
    into: Into,
}

pub(crate) async fn run(settings: &Settings, command: &ExportCommand) -> Result<Ended, CliError> {
    match command {
        ExportCommand::Codes(_) => {}
        ExportCommand::Coupons(flags) => in_order(flags.from, flags.to)?,
        ExportCommand::Redemptions(flags) => in_order(Some(flags.from), Some(flags.to))?,
    }
    if let Some(remote) = Remote::of(settings)? {
        return remote::run(&remote, command).await;
    }
    open::with(settings, Purpose::Read, async |engine| written_out(engine, command).await).await
}

async fn written_out(engine: &Arc<Engine>, command: &ExportCommand) -> Result<Ended, CliError> {
    let engine = Arc::clone(engine);
    match command {
        ExportCommand::Codes(flags) => {
            let write = async |sink: &mut Sink<'_>| codes(&engine, flags, sink).await;
            written(&flags.into, "codes", write).await
        }
        ExportCommand::Coupons(flags) => {
            let write =
                async |sink: &mut Sink<'_>| coupons::write(engine, flags.request(), sink).await;
            written(&flags.into, "coupons", write).await
        }
        ExportCommand::Redemptions(flags) => {
            let write =
                async |sink: &mut Sink<'_>| redemptions::write(engine, flags.request(), sink).await;
            written(&flags.into, "redemptions", write).await
        }
    }
}

async fn codes(
    engine: &Arc<Engine>,
    flags: &CodesFlags,
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    let (batch, after) = (flags.batch.clone(), flags.after.clone());
    let request = CodesRequest { batch, after, format: CodesFormat::Csv };
    let caller = open::caller();
    let found = engine.campaign(&caller, &flags.campaign).await;
    found.map_err(CliError::about(format!("campaign {}", flags.campaign)))?;
    let about = |failure: Failure| match &flags.batch {
        Some(batch) => CliError::about(format!("batch {batch} in {}", flags.campaign))(failure),
        None => failure.into(),
    };
    let chunks =
        Arc::clone(engine).codes(&caller, &flags.campaign, request).await.map_err(about)?;
    sink.header("code\n")?;
    futures::pin_mut!(chunks);
    while let Some(lines) = chunks.try_next().await? {
        match sink.format() {
            Format::Csv => sink.lines(&lines)?,
            Format::Jsonl => sink.lines(&code_objects(&lines))?,
        }
        sink.page_done(lines.lines().count(), 0)?;
    }
    Ok(())
}

/// A JSON object a line. A code has no character that JSON escapes.
fn code_objects(lines: &str) -> String {
    lines.lines().map(|code| format!("{{\"code\":\"{code}\"}}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_objects() {
        assert_eq!(code_objects("A-B\nC\n"), "{\"code\":\"A-B\"}\n{\"code\":\"C\"}\n");
        assert_eq!(code_objects(""), "");
    }
}
