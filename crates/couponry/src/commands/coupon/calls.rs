//! The commands of `couponry coupon`, with their help and their requests.

use clap::Subcommand;
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use serde_json::{Value, json};

use super::flags::{AdminWhy, LineSubject, OrderMoneyFlags, Selection, Until, Which, WhichAndWho};
use crate::client::{Refused, Repeat, Reply, ServiceClient};
use crate::failure::{CliError, Result};

macro_rules! endings {
    ($($example:literal)+) => {
        concat!(
            "Exit codes: 0 done (now or before), 1 refused or failed, 2 usage error. With --file: \
             3 if\nsome lines were refused, 1 if all lines were refused.\n\nExamples:\n",
            $($example),+
        )
    };
}

#[derive(Subcommand)]
pub(crate) enum Call {
    /// Print a coupon with its history
    ///
    /// With --file, prints the state of each coupon as its detail.
    #[command(after_help = endings!(
        "  couponry coupon show 7K2M-9QXD-4TRB-H0VE\n"
        "  couponry coupon show SUMMER2027 --user ann"
    ))]
    Show {
        #[command(flatten)]
        which: Which,
        /// Show the coupon only if this user is its holder; for a shared code, show the coupon of this user
        #[arg(long, value_name = "ID")]
        user: Option<UserId>,
    },
    /// Check whether a coupon can be redeemed
    ///
    /// Writes nothing. `redeemable` says whether `coupon redeem` would redeem the coupon now; if not,
    /// `refusal` says why. With --file, the detail is `redeemable`, or the code of the refusal.
    #[command(after_help = endings!(
        "  couponry coupon check 7K2M-9QXD-4TRB-H0VE --user ann --order 991"
    ))]
    Check {
        #[command(flatten)]
        which: Which,
        /// User who wants to redeem the coupon
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// Order that the coupon would be redeemed for
        #[arg(long, value_name = "REF", default_value = "check")]
        order: OrderRef,
        #[command(flatten)]
        money: OrderMoneyFlags,
    },
    /// Issue a coupon to a user
    ///
    /// With CODE, issues this coupon. With --campaign, issues the next coupon of the stock of the
    /// campaign. Both check the per-user limit of the campaign. With --campaign and --file, issues a
    /// coupon to each user of the file, and prints CSV with one line for each: user_id, code, result,
    /// detail. If that breaks off, run it again with the same file: who has a coupon keeps it.
    ///
    /// --issue-ref names the request with --campaign: a second call with the same name returns the
    /// same coupon. It is required if the limit is not 1.
    #[command(after_help = endings!(
        "  couponry coupon issue 7K2M-9QXD-4TRB-H0VE --user ann\n"
        "  couponry coupon issue --campaign spring-2027 --user ann --issue-ref goodwill-17\n"
        "  couponry coupon issue --campaign spring-2027 --file people.csv > issued.csv"
    ))]
    Issue {
        #[command(flatten)]
        which: WhichAndWho,
        /// User who gets the coupon
        #[arg(long, value_name = "ID", required_unless_present_all = ["campaign", "file"])]
        user: Option<UserId>,
        /// Name of this request; couponry never forgets it. replaces:CODE asks for a replacement of the coupon CODE
        #[arg(long, value_name = "REF", requires = "campaign")]
        issue_ref: Option<IssueRef>,
    },
    /// Redeem a coupon for an order
    ///
    /// A coupon is redeemed at most once. A second call for the same order is a replay, and a call
    /// for another order is refused.
    #[command(after_help = endings!(
        "  couponry coupon redeem 7K2M-9QXD-4TRB-H0VE --user ann --order 991\n"
        "  couponry coupon redeem 7K2M-9QXD-4TRB-H0VE --user ann --order 991 --order-amount 50000"
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
        #[command(flatten)]
        money: OrderMoneyFlags,
    },
    /// Release a hold
    ///
    /// Ends the hold of an order. If the order does not hold the coupon, the call is a replay.
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
    /// The coupon returns to its state before the redemption. `coupon.expired` in the answer says
    /// whether it has expired since. The same order cannot redeem it again: use a new `order_ref`.
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
    /// The coupon is available again, and no longer counts towards the per-user limit of the user. With --revoke-ref
    /// you can repeat the call safely: if the coupon was issued again since, the call does not revoke it a second time.
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
        /// Name of this request; couponry never forgets it
        #[arg(long, value_name = "REF")]
        revoke_ref: Option<RevokeRef>,
        #[command(flatten)]
        why: AdminWhy,
    },
    /// Void a coupon: it can no longer be issued or redeemed
    ///
    /// couponry keeps its record.
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
    /// Also extends an expired coupon, until the extend_days of its campaign have passed. Needs
    /// --expires-at or --expires-on.
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
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Call::Show { .. } | Call::Check { .. })
    }

    /// # Errors
    /// Usage: flags that clap should have refused.
    pub(super) fn selection(&self) -> Result<Selection<'_>> {
        match self {
            Call::Issue { which, user, .. } => match (which.selection()?, user) {
                (Selection::Lines(LineSubject::People(_), _), Some(_)) => {
                    Err(CliError::usage("the file names the users: leave --user out"))
                }
                (selection, _) => Ok(selection),
            },
            Call::Show { which, .. }
            | Call::Check { which, .. }
            | Call::Redeem { which, .. }
            | Call::Release { which, .. }
            | Call::CancelRedemption { which, .. }
            | Call::Revoke { which, .. }
            | Call::Void { which, .. }
            | Call::Extend { which, .. } => which.selection(),
        }
    }

    pub(super) fn repeat(&self) -> Repeat {
        match self {
            // Its repeat could revoke the coupon from somebody who got it in between.
            Call::Revoke { revoke_ref: None, why, .. } if why.version.is_none() => Repeat::Harmful,
            _ => Repeat::Harmless,
        }
    }

    /// Does it with the coupon that has this code.
    pub(super) async fn send(&self, service: &ServiceClient, code: &str) -> Result<Reply, Refused> {
        if let Call::Show { user, .. } = self {
            let query = user.iter().map(|it| ("user_id", it.to_string())).collect::<Vec<_>>();
            return service.get(&["coupons", code], &query).await;
        }
        let (action, body) = self.request();
        service.post(&["coupons", code, action], &body, self.repeat()).await
    }

    /// The same as one operation of many.
    pub(super) fn operation(&self, code: &str) -> Value {
        let (action, body) = self.request();
        json!({"action": action, "code": code, "body": body})
    }

    /// Does it with the next coupon of a campaign's stock.
    pub(super) async fn send_to_stock(
        &self,
        service: &ServiceClient,
        campaign: &CampaignId,
    ) -> Result<Reply> {
        let (action, body) = self.request();
        let path = ["campaigns", campaign.as_str(), action];
        let issued = service.post(&path, &body, Repeat::Harmless).await;
        issued.map_err(Refused::about(format!("campaign {campaign}")))
    }

    /// The same for a user of a file, as one operation of many.
    pub(super) fn operation_on_stock(&self, campaign: &CampaignId, user: &str) -> Value {
        let (action, mut body) = self.request();
        body["user_id"] = json!(user);
        json!({"action": action, "campaign_id": campaign.as_str(), "body": body})
    }

    /// The last part of its path, and its body.
    fn request(&self) -> (&'static str, Value) {
        match self {
            Call::Show { .. } => ("", Value::Null),
            Call::Check { user, order, money, .. } => ("check", money.body(user, order)),
            Call::Issue { user, issue_ref, .. } => {
                let mut body = json!({"user_id": user.as_ref().map(UserId::as_str)});
                if let Some(issue_ref) = issue_ref {
                    body["issue_ref"] = json!(issue_ref.as_str());
                }
                ("issue", body)
            }
            Call::Redeem { user, order, money, .. } => ("redeem", money.body(user, order)),
            Call::Release { order, .. } => ("release", json!({"order_ref": order.as_str()})),
            Call::CancelRedemption { order, reason, .. } => {
                let reason = reason.as_ref().map(|it| it.as_str());
                ("cancel-redemption", json!({"order_ref": order.as_str(), "reason": reason}))
            }
            Call::Revoke { user, revoke_ref, why, .. } => {
                let mut body = why.body();
                body["user_id"] = json!(user.as_str());
                body["revoke_ref"] = json!(revoke_ref.as_ref().map(|it| it.as_str()));
                ("revoke", body)
            }
            Call::Void { why, .. } => ("void", why.body()),
            Call::Extend { until, why, .. } => {
                let mut body = why.body();
                until.write_into(&mut body);
                ("extend", body)
            }
        }
    }
}
