//! `couponry coupon`: what is done with one coupon, or with every coupon of a file.

mod action;
mod codes;
mod many;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use coupon::calendar::{Date, Zone, parse_instant};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use coupon::time::Millis;
use engine::{AdminChange, Engine, Expiry};

use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;
use action::CouponAction;

/// The end of every help below.
macro_rules! endings {
    ($($example:literal)+) => {
        concat!(
            "Exit codes: 0 done (now or before), 1 refused or failed, 2 wrong call; with --file \
             also\n3 when some codes were refused, and 1 when all were.\n\nExamples:\n",
            $($example),+
        )
    };
}

/// Show coupons and change them
///
/// Works as an admin, beside a running `serve` or without one, on one CODE or on every code of a
/// --file. Of one code it prints the answer of the HTTP interface as JSON; a refusal is one line
/// on standard error. Of a file it prints CSV, one line a code: code, result, detail; the result
/// is `ok`, `replay` (it was so before) or the word of the refusal.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CouponArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print a coupon with its history
    ///
    /// With --file the detail is the coupon's state.
    #[command(after_help = endings!(
        "  couponry coupon show 7K2M-9QXD-4TRB-H0VE\n"
        "  couponry coupon show SUMMER2027 --user ann"
    ))]
    Show {
        #[command(flatten)]
        which: Which,
        /// Only if it is this user's; behind a shared word, whose coupon is meant
        #[arg(long, value_name = "ID")]
        user: Option<UserId>,
    },
    /// Give a coupon to a user: a named one, or one of a campaign's stock
    ///
    /// With CODE it is that coupon; with --campaign the next of its stock, which also obeys the
    /// campaign's limit for one user. --issue-ref names the request, so that a repeat answers the
    /// same coupon; it is needed where the limit is not 1.
    #[command(after_help = endings!(
        "  couponry coupon issue 7K2M-9QXD-4TRB-H0VE --user ann\n"
        "  couponry coupon issue --campaign spring-2027 --user ann --issue-ref goodwill-17"
    ))]
    Issue {
        #[command(flatten)]
        which: Stocked,
        /// For whom
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Names this request, for ever; replaces:CODE for a replacement
        #[arg(long, value_name = "REF", requires = "campaign")]
        issue_ref: Option<IssueRef>,
    },
    /// Redeem a coupon for an order
    ///
    /// At most once: the same order again is a replay, another one is refused.
    #[command(after_help = endings!(
        "  couponry coupon redeem 7K2M-9QXD-4TRB-H0VE --user ann --order 991"
    ))]
    Redeem {
        #[command(flatten)]
        which: Which,
        /// Who redeems
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// The attempt to pay
        #[arg(long, value_name = "REF")]
        order: OrderRef,
    },
    /// Let go of a hold
    ///
    /// Releases what an order holds; a coupon that it does not hold is a replay.
    #[command(after_help = endings!(
        "  couponry coupon release 7K2M-9QXD-4TRB-H0VE --order 991"
    ))]
    Release {
        #[command(flatten)]
        which: Which,
        /// The order that holds it
        #[arg(long, value_name = "REF")]
        order: OrderRef,
    },
    /// Cancel a redemption
    ///
    /// The coupon is what it was before it was redeemed; `coupon.expired` says whether it came
    /// back dead. That order cannot redeem it again.
    #[command(after_help = endings!(
        "  couponry coupon cancel-redemption 7K2M-9QXD-4TRB-H0VE --order 991 \\\n"
        "      --reason 'goods returned'"
    ))]
    CancelRedemption {
        #[command(flatten)]
        which: Which,
        /// The order that redeemed it
        #[arg(long, value_name = "REF")]
        order: OrderRef,
        #[command(flatten)]
        why: Why,
    },
    /// Take a coupon back from its holder
    ///
    /// It is available again, and the user may have another one under the campaign's limit. With
    /// --revoke-ref the command may be repeated: it never takes back a newer issue.
    #[command(after_help = endings!(
        "  couponry coupon revoke 7K2M-9QXD-4TRB-H0VE --user ann --revoke-ref ticket-4711 \\\n"
        "      --reason 'sent by mistake'"
    ))]
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Its holder
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Names this request, for ever
        #[arg(long, value_name = "REF")]
        revoke_ref: Option<RevokeRef>,
        #[command(flatten)]
        why: AdminWhy,
    },
    /// Void a coupon: it can no longer be issued or redeemed
    #[command(after_help = endings!(
        "  couponry coupon void 7K2M-9QXD-4TRB-H0VE --reason 'printed twice'\n"
        "  couponry coupon void --file stolen.csv --reason stolen > results.csv"
    ))]
    Void {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: AdminWhy,
    },
    /// Give a coupon a later expiry
    ///
    /// An expired one too, for the campaign's extend_days. Needs --expires-at or --expires-on.
    #[command(after_help = endings!(
        "  couponry coupon extend 7K2M-9QXD-4TRB-H0VE --expires-on 2027-06-30 \\\n"
        "      --time-zone Asia/Seoul\n"
        "  couponry coupon extend --file late.csv --expires-at 2027-07-01T00:00:00Z"
    ))]
    Extend {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        until: Until,
        #[command(flatten)]
        why: AdminWhy,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The coupon; hyphens, spaces and case do not matter
    code: Option<CodeText>,
    /// A CSV file of codes, in its first column, with a header `code` or none; `-` for standard
    /// input
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Stocked {
    /// The coupon; hyphens, spaces and case do not matter
    code: Option<CodeText>,
    /// A CSV file of codes, in its first column, with a header `code` or none; `-` for standard
    /// input
    #[arg(long)]
    file: Option<PathBuf>,
    /// Instead of a code: the next coupon of this campaign's stock
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
}

#[derive(Args)]
struct Why {
    /// Why, for whoever reads the history: 200 bytes at most
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
}

#[derive(Args)]
struct AdminWhy {
    #[command(flatten)]
    why: Why,
    /// Change the coupon only while it has this version
    #[arg(long, value_name = "NUMBER", conflicts_with = "file")]
    version: Option<u64>,
}

impl AdminWhy {
    fn change(&self) -> AdminChange {
        AdminChange { reason: self.why.reason.clone(), if_version: self.version }
    }
}

#[derive(Args)]
struct Until {
    #[command(flatten)]
    end: End,
    /// Zone of --expires-on, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "expires_on")]
    time_zone: Option<Zone>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct End {
    /// First instant at which it no longer works, as 2027-07-01T00:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant, conflicts_with = "time_zone")]
    expires_at: Option<Millis>,
    /// Last day on which it works, as 2027-06-30
    #[arg(long, value_name = "DATE")]
    expires_on: Option<Date>,
}

impl Until {
    fn expiry(&self) -> Result<Expiry, CliError> {
        match (self.end.expires_at, self.end.expires_on) {
            (Some(at), None) => Ok(Expiry::At(at)),
            (None, Some(on)) => {
                Ok(Expiry::On(on, self.time_zone.clone().unwrap_or_else(Zone::utc)))
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(CliError::wrong_call("give --expires-at, or --expires-on"))
            }
        }
    }
}

/// What is to be done, and to which coupons.
enum CouponSelection<'a> {
    One(&'a CodeText),
    File(&'a PathBuf),
    Stock(&'a CampaignId),
}

impl Which {
    fn target(&self) -> Result<CouponSelection<'_>, CliError> {
        target(self.code.as_ref(), self.file.as_ref(), None)
    }
}

fn target<'a>(
    code: Option<&'a CodeText>,
    file: Option<&'a PathBuf>,
    campaign: Option<&'a CampaignId>,
) -> Result<CouponSelection<'a>, CliError> {
    match (code, file, campaign) {
        (Some(code), None, None) => Ok(CouponSelection::One(code)),
        (None, Some(file), None) => Ok(CouponSelection::File(file)),
        (None, None, Some(campaign)) => Ok(CouponSelection::Stock(campaign)),
        _ => Err(CliError::wrong_call("name a code, or a --file of codes")),
    }
}

impl What {
    fn plan(&self) -> Result<(CouponSelection<'_>, CouponAction), CliError> {
        let plan = match self {
            What::Show { which, user } => {
                (which.target()?, CouponAction::Show { user: user.clone() })
            }
            What::Issue { which: Stocked { code, file, campaign }, user, issue_ref } => {
                let target = target(code.as_ref(), file.as_ref(), campaign.as_ref())?;
                let (user, reference) = (user.clone(), issue_ref.clone());
                (target, CouponAction::Issue { user, reference })
            }
            What::Redeem { which, user, order } => {
                let action = CouponAction::Redeem { user: user.clone(), order: order.clone() };
                (which.target()?, action)
            }
            What::Release { which, order } => {
                (which.target()?, CouponAction::Release { order: order.clone() })
            }
            What::CancelRedemption { which, order, why } => {
                let action =
                    CouponAction::Cancel { order: order.clone(), reason: why.reason.clone() };
                (which.target()?, action)
            }
            What::Revoke { which, user, revoke_ref, why } => {
                let (user, reference) = (user.clone(), revoke_ref.clone());
                (which.target()?, CouponAction::Revoke { user, reference, with: why.change() })
            }
            What::Void { which, why } => {
                (which.target()?, CouponAction::Void { with: why.change() })
            }
            What::Extend { which, until, why } => {
                let action = CouponAction::Extend { expiry: until.expiry()?, with: why.change() };
                (which.target()?, action)
            }
        };
        Ok(plan)
    }
}

pub(crate) async fn run(settings: &Settings, ask: &CouponArgs) -> Result<Ended, CliError> {
    let (target, action) = ask.what.plan()?;
    let reads = action.only_reads();
    let work = async |engine: &Arc<Engine>| {
        let done = match target {
            CouponSelection::File(path) => return many::run(engine, &action, path).await,
            CouponSelection::One(code) => action.to(engine, code).await?,
            CouponSelection::Stock(campaign) => action.to_stock(engine, campaign).await?,
        };
        output::say_json(&done.into_inner().body)?;
        Ok(Ended::Done)
    };
    let purpose = if reads { Purpose::Read } else { Purpose::Write };
    open::with(settings, purpose, work).await
}
