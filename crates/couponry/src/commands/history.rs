//! `couponry history`: what became of a coupon, of a person's coupons, of those of a day.

mod table;

use std::collections::HashSet;
use std::sync::Arc;

use api::views::CouponDetail;
use clap::{Args, Subcommand};
use coupon::calendar::{Date, Zone};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, UserId};
use engine::{CouponFilter, CouponsRequest, Engine, ListOrder, ListRequest, PAGE_MAX};

use crate::commands::export::coupons;
use crate::commands::export::sink::{Into, Sink, written};
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

/// Look up what became of coupons, wherever they are by now
///
/// Reads what is still hot and what has been archived, beside a running `serve` or without one.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct HistoryArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One coupon and all that happened to it
    ///
    /// A table on a terminal; elsewhere the JSON that the HTTP interface answers, on one line.
    #[command(after_help = "\
Exit codes: 0 found, 1 not found or failed, 2 wrong call.

Example:
  couponry history code 7K2M-9QXD-4TRB-H0VE")]
    Code {
        /// The coupon; hyphens, spaces and case do not matter
        code: CodeText,
    },
    /// All coupons of a person, the latest expiry first
    ///
    /// Those that the person holds, has redeemed, or held when they expired or were voided. What
    /// was taken back (revoked) is not among them, nor what another person has redeemed since: only
    /// the present holder of a coupon is looked up, and who held it before stands in the history of
    /// that coupon (`history code`). Prints the columns of `export coupons`.
    #[command(after_help = "\
Exit codes: 0 done, also when there is none, 1 failed, 2 wrong call.

Examples:
  couponry history user ann
  couponry history user guest:991 --format jsonl")]
    User {
        /// The person, as the shop names people
        user: UserId,
        #[command(flatten)]
        into: Into,
    },
    /// All coupons whose last day this is
    ///
    /// Prints the columns of `export coupons`, in constant memory, by partition and by code. Minted
    /// coupons that nobody has touched are not among them.
    #[command(after_help = "\
Exit codes: 0 done, also when there is none, 1 failed, 2 wrong call, 3 some coupons are left out
(after a restore, those of campaigns that the backup did not have).

Examples:
  couponry history expires-on 2026-12-31 --output last-day.csv
  couponry history expires-on 2026-12-31 --time-zone Asia/Seoul --campaign spring-2027")]
    ExpiresOn {
        /// The day, as 2026-12-31
        date: Date,
        /// Whose day it is, such as Asia/Seoul [default: each coupon's own zone]
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<Zone>,
        /// Only one campaign's
        #[arg(long, value_name = "ID")]
        campaign: Option<CampaignId>,
        #[command(flatten)]
        into: Into,
    },
}

pub(crate) async fn run(settings: &Settings, ask: &HistoryArgs) -> Result<Ended, CliError> {
    open::with(settings, Purpose::Read, async |engine| said(engine, ask).await).await
}

async fn said(engine: &Arc<Engine>, ask: &HistoryArgs) -> Result<Ended, CliError> {
    match &ask.what {
        What::Code { code } => one(engine, code).await,
        What::User { user, into } => {
            let write = async |sink: &mut Sink<'_>| of_user(engine, user, sink).await;
            written(into, "coupons", write).await
        }
        What::ExpiresOn { date, time_zone, campaign, into } => {
            let ask = CouponsRequest {
                campaign: campaign.clone(),
                from: Some(*date),
                to: Some(*date),
                zone: time_zone.clone(),
                ..CouponsRequest::default()
            };
            let engine = Arc::clone(engine);
            let write = async |sink: &mut Sink<'_>| coupons::write(engine, ask, sink).await;
            written(into, "coupons", write).await
        }
    }
}

async fn one(engine: &Engine, code: &CodeText) -> Result<Ended, CliError> {
    let view = engine.coupon(&open::caller(), code, None).await?;
    let detail = CouponDetail::from(&view);
    match output::is_terminal() {
        true => {
            let detail = serde_json::to_value(&detail);
            let detail = detail.map_err(|error| CliError::new(error.to_string()))?;
            output::say(table::of_coupon(&detail).trim_end())?;
        }
        false => output::say_json(&detail)?,
    }
    Ok(Ended::Done)
}

async fn of_user(engine: &Engine, user: &UserId, sink: &mut Sink<'_>) -> Result<(), CliError> {
    let mut ask = ListRequest {
        user: Some(user.clone()),
        campaign: None,
        filter: CouponFilter::default(),
        expires_on: None,
        order: ListOrder::Latest,
        after: None,
        limit: Some(PAGE_MAX as u64),
    };
    // What is moved to cold between two pages may be on both.
    let mut seen = HashSet::new();
    coupons::header(sink)?;
    loop {
        let mut page = engine.list(&open::caller(), ask.clone()).await?;
        page.coupons.retain(|view| seen.insert(view.code.clone()));
        coupons::put(&page.coupons, sink)?;
        sink.page_done(page.coupons.len(), 0)?;
        match page.next {
            Some(next) => ask.after = Some(next),
            None => return Ok(()),
        }
    }
}
