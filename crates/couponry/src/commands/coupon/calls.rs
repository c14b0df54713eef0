//! The commands of `couponry coupon`, with their help.

use clap::Subcommand;
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};

use super::flags::{AdminWhy, Selection, Until, Which};
use crate::failure::CliError;

/// The end of each help.
macro_rules! endings {
    ($($example:literal)+) => {
        concat!(
            "Exit codes: 0 done (now or before), 1 refused or failed, 2 usage error; with --file \
             also\n3 if some codes were refused, and 1 if all were.\n\nExamples:\n",
            $($example),+
        )
    };
}

#[derive(Subcommand)]
pub(crate) enum Call {
    /// Print a coupon with its history
    ///
    /// With --file, the detail is the state of the coupon.
    #[command(after_help = endings!(
        "  couponry coupon show 7K2M-9QXD-4TRB-H0VE\n"
        "  couponry coupon show SUMMER2027 --user ann"
    ))]
    Show {
        #[command(flatten)]
        which: Which,
        /// Show the coupon only if this user holds it; for a shared code, the coupon of this user
        #[arg(long, value_name = "ID")]
        user: Option<UserId>,
    },
    /// Issue a coupon to a user
    ///
    /// CODE names the coupon. With --campaign it is the next one of the stock of the campaign, and
    /// the per-user limit of the campaign holds. --issue-ref names the request, so that a repeated
    /// call returns the same coupon; it is required if the limit is not 1.
    #[command(after_help = endings!(
        "  couponry coupon issue 7K2M-9QXD-4TRB-H0VE --user ann\n"
        "  couponry coupon issue --campaign spring-2027 --user ann --issue-ref goodwill-17"
    ))]
    Issue {
        #[command(flatten)]
        which: Which,
        /// Take the next coupon of the stock of this campaign
        #[arg(long, value_name = "ID", group = "Which")]
        campaign: Option<CampaignId>,
        /// User who gets the coupon
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Name of this request, for ever; replaces:CODE for a replacement
        #[arg(long, value_name = "REF", requires = "campaign")]
        issue_ref: Option<IssueRef>,
    },
    /// Redeem a coupon for an order
    ///
    /// A coupon is redeemed at most once: the same order again is a replay, another order is
    /// refused.
    #[command(after_help = endings!(
        "  couponry coupon redeem 7K2M-9QXD-4TRB-H0VE --user ann --order 991"
    ))]
    Redeem {
        #[command(flatten)]
        which: Which,
        /// User who redeems the coupon
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Order that the coupon is redeemed for
        #[arg(long, value_name = "REF")]
        order: OrderRef,
    },
    /// Release a hold
    ///
    /// Releases the coupon that an order holds. If the order does not hold it, that is a replay.
    #[command(after_help = endings!(
        "  couponry coupon release 7K2M-9QXD-4TRB-H0VE --order 991"
    ))]
    Release {
        #[command(flatten)]
        which: Which,
        /// Order that holds the coupon
        #[arg(long, value_name = "REF")]
        order: OrderRef,
    },
    /// Cancel a redemption
    ///
    /// The coupon returns to its state before the redemption; `coupon.expired` says whether it has
    /// expired meanwhile. The same order cannot redeem it again.
    #[command(after_help = endings!(
        "  couponry coupon cancel-redemption 7K2M-9QXD-4TRB-H0VE --order 991 \\\n"
        "      --reason 'goods returned'"
    ))]
    CancelRedemption {
        #[command(flatten)]
        which: Which,
        /// Order that redeemed the coupon
        #[arg(long, value_name = "REF")]
        order: OrderRef,
        /// Reason, for people who read the history; at most 200 bytes
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Revoke a coupon from its holder
    ///
    /// The coupon is available again, and no longer counts towards the per-user limit. With
    /// --revoke-ref you may repeat the call: it never revokes a newer issue.
    #[command(after_help = endings!(
        "  couponry coupon revoke 7K2M-9QXD-4TRB-H0VE --user ann --revoke-ref ticket-4711 \\\n"
        "      --reason 'sent by mistake'"
    ))]
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Holder of the coupon
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Name of this request, for ever
        #[arg(long, value_name = "REF")]
        revoke_ref: Option<RevokeRef>,
        #[command(flatten)]
        why: AdminWhy,
    },
    /// Void a coupon: it can no longer be issued or redeemed
    ///
    /// Its record is kept.
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
    /// Extend a coupon to a later expiry
    ///
    /// Extends an expired coupon too, for extend_days of its campaign. Needs --expires-at or
    /// --expires-on.
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

impl Call {
    /// Whether it only reads the store.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Call::Show { .. })
    }

    /// The coupons that it is for.
    ///
    /// # Errors
    /// Usage: flags that clap should have refused.
    pub(super) fn selection(&self) -> Result<Selection<'_>, CliError> {
        match self {
            Call::Issue { campaign: Some(campaign), .. } => Ok(Selection::Stock(campaign)),
            Call::Issue { which, .. }
            | Call::Show { which, .. }
            | Call::Redeem { which, .. }
            | Call::Release { which, .. }
            | Call::CancelRedemption { which, .. }
            | Call::Revoke { which, .. }
            | Call::Void { which, .. }
            | Call::Extend { which, .. } => which.selection(),
        }
    }
}
