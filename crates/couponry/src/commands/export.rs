//! `couponry export`: writes codes, coupons and redemptions as CSV or JSON lines.

pub(super) mod coupons;
mod redemptions;
pub(super) mod sink;

use std::pin::pin;
use std::sync::Arc;

use clap::{Args, Subcommand};
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId};
use engine::{CodesFormat, CodesRequest, Engine};
use futures::TryStreamExt;

use self::coupons::CouponsFlags;
use self::redemptions::RedemptionsFlags;
use self::sink::{Format, Into, Sink, exported, in_order};
use crate::client::{Refused, ServiceClient};
use crate::failure::{CliError, Ended, Result};
use crate::open;
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
#[command(after_help = help_ending!("0 done, or the reader closed the output; 1 failed, 2 usage error",
    "couponry export codes --campaign spring-2027 --output codes.csv",
    "couponry export codes --campaign spring-2027 | head -n 101",
    "couponry export codes --campaign spring-2027 --after 7K2M-9QXD-4TRB-H0VE"))]
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

pub(crate) async fn run(settings: &Settings, command: &ExportCommand) -> Result<Ended> {
    match command {
        ExportCommand::Codes(flags) => {
            let there = async |service: &ServiceClient, sink: &mut Sink<'_>| {
                downloaded(service, flags, sink).await
            };
            let here =
                async |engine: &Arc<Engine>, sink: &mut Sink<'_>| codes(engine, flags, sink).await;
            exported(settings, &flags.into, "codes", there, here).await
        }
        ExportCommand::Coupons(flags) => {
            in_order(flags.from, flags.to)?;
            coupons::run(settings, flags.request(), flags.query(), &flags.into).await
        }
        ExportCommand::Redemptions(flags) => {
            in_order(Some(flags.from), Some(flags.to))?;
            redemptions::run(settings, flags).await
        }
    }
}

impl CodesFlags {
    fn thing(&self) -> String {
        match &self.batch {
            Some(batch) => format!("campaign {}, or no batch {batch} in it", self.campaign),
            None => format!("campaign {}", self.campaign),
        }
    }

    /// How a format shows lines with a code each.
    fn shown(&self) -> fn(&str) -> String {
        match self.into.format {
            Format::Csv => str::to_owned,
            Format::Jsonl => code_objects,
        }
    }
}

async fn codes(engine: &Arc<Engine>, flags: &CodesFlags, sink: &mut Sink<'_>) -> Result<()> {
    let (batch, after) = (flags.batch.clone(), flags.after.clone());
    let request = CodesRequest { batch, after, format: CodesFormat::Csv };
    let chunks = Arc::clone(engine).codes(&open::caller(), &flags.campaign, request).await;
    let mut chunks = pin!(chunks.map_err(CliError::about(flags.thing()))?);
    sink.header("code\n")?;
    while let Some(lines) = chunks.try_next().await? {
        sink.lines(&flags.shown()(&lines))?;
    }
    Ok(())
}

async fn downloaded(
    service: &ServiceClient,
    flags: &CodesFlags,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut query = Vec::new();
    query.extend(flags.batch.as_ref().map(|it| ("batch_id", it.to_string())));
    query.extend(flags.after.as_ref().map(|it| ("after", it.foreign().to_string())));
    let answer = service.download(&["campaigns", flags.campaign.as_str(), "codes"], &query).await;
    let answer = answer.map_err(Refused::about(flags.thing()))?;
    let written = sink.download(answer, flags.shown()).await;
    written.map_err(|error| error.and("go on with --after and its last code"))
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
