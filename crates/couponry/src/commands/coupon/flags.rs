//! What the commands of `couponry coupon` have in common: which coupons, why, and until when.

use std::path::PathBuf;

use clap::Args;
use coupon::calendar::{Date, Zone, format_instant, parse_instant};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, OrderRef, Reason, UserId};
use coupon::money::Currency;
use coupon::time::Millis;
use engine::import::columns::KnownColumn;
use serde_json::{Value, json};

use crate::failure::{CliError, Result};

pub(super) enum Selection<'a> {
    One(&'a CodeText),
    Lines(LineSubject<'a>, &'a PathBuf),
    Stock(&'a CampaignId),
}

/// What the lines of a file name.
#[derive(Clone, Copy)]
pub(super) enum LineSubject<'a> {
    /// Coupons, by their codes.
    Coupons,
    /// People who get a coupon of the campaign each.
    People(&'a CampaignId),
}

impl LineSubject<'_> {
    pub(super) fn column(self) -> KnownColumn {
        match self {
            LineSubject::Coupons => KnownColumn::Code,
            LineSubject::People(_) => KnownColumn::UserId,
        }
    }

    pub(super) fn header(self) -> &'static str {
        match self {
            LineSubject::Coupons => "code,result,detail\n",
            LineSubject::People(_) => "user_id,code,result,detail\n",
        }
    }

    /// Why a text names nothing that there could be.
    pub(super) fn fault(self, text: &str) -> Option<String> {
        match self {
            LineSubject::Coupons => text.parse::<CodeText>().err().map(|why| why.to_string()),
            LineSubject::People(_) => text.parse::<UserId>().err().map(|why| why.to_string()),
        }
    }
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Code of the coupon; hyphens, spaces and case do not matter
    code: Option<CodeText>,
    /// File of codes: CSV with a header that names the column of the codes as an import does, such as
    /// `code`, or with codes in its first column; `-` for standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

impl Which {
    pub(super) fn selection(&self) -> Result<Selection<'_>> {
        match (&self.code, &self.file) {
            (Some(code), None) => Ok(Selection::One(code)),
            (None, Some(file)) => Ok(Selection::Lines(LineSubject::Coupons, file)),
            (Some(_), Some(_)) | (None, None) => {
                Err(CliError::usage("no coupon is named: give a code, or a --file of codes"))
            }
        }
    }
}

/// The coupons of `coupon issue`, and who gets them.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct WhichAndWho {
    /// Code of the coupon; hyphens, spaces and case do not matter
    #[arg(conflicts_with_all = ["file", "campaign"])]
    code: Option<CodeText>,
    /// File of codes, as of other commands; with --campaign, file of users: CSV with a header that names their column
    /// as an import does, such as `user_id`, or with users in its first column; `-` for standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// Take the next coupon of the stock of this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
}

impl WhichAndWho {
    pub(super) fn selection(&self) -> Result<Selection<'_>> {
        match (&self.code, &self.file, &self.campaign) {
            (Some(code), None, None) => Ok(Selection::One(code)),
            (None, Some(file), None) => Ok(Selection::Lines(LineSubject::Coupons, file)),
            (None, None, Some(campaign)) => Ok(Selection::Stock(campaign)),
            (None, Some(file), Some(campaign)) => {
                Ok(Selection::Lines(LineSubject::People(campaign), file))
            }
            (Some(_), ..) | (None, None, None) => Err(CliError::usage(
                "no coupon is named: give a code, a --campaign, or a --file of codes",
            )),
        }
    }
}

#[derive(Args)]
pub(crate) struct AdminWhy {
    /// Reason, for people who read the history; at most 200 bytes
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    /// Change the coupon only if it has this version; `coupon show` prints the version
    #[arg(long, value_name = "NUMBER", conflicts_with = "file")]
    pub(super) version: Option<u64>,
}

impl AdminWhy {
    pub(super) fn body(&self) -> Value {
        json!({"reason": self.reason.as_ref().map(Reason::as_str), "version": self.version})
    }
}

#[derive(Args)]
pub(crate) struct OrderMoneyFlags {
    /// What the order costs without any coupon, in the smallest unit of the currency: 50000 is
    /// ₩50,000, and 5000 is $50.00
    #[arg(long, value_name = "AMOUNT")]
    order_amount: Option<u64>,
    /// Currency of the amounts, such as KRW; needed only if the campaign has none
    #[arg(long, value_name = "CODE")]
    currency: Option<Currency>,
    /// How much less the order costs, if couponry does not calculate it
    #[arg(long, value_name = "AMOUNT")]
    discount: Option<u64>,
}

impl OrderMoneyFlags {
    pub(super) fn body(&self, user: &UserId, order: &OrderRef) -> Value {
        json!({
            "user_id": user.as_str(),
            "order_ref": order.as_str(),
            "order_amount": self.order_amount,
            "currency": self.currency.map(Currency::as_str),
            "discount": self.discount,
        })
    }
}

#[derive(Args)]
pub(crate) struct Until {
    #[command(flatten)]
    end: End,
    /// Time zone of --expires-on, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "expires_on")]
    time_zone: Option<Zone>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct End {
    /// New time at which the coupon expires, such as 2027-07-01T00:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant, conflicts_with = "time_zone")]
    expires_at: Option<Millis>,
    /// New last day on which the coupon can be redeemed, such as 2027-06-30
    #[arg(long, value_name = "DATE")]
    expires_on: Option<Date>,
}

impl Until {
    pub(super) fn write_into(&self, body: &mut Value) {
        body["expires_at"] = json!(self.end.expires_at.map(format_instant));
        body["expires_on"] = json!(self.end.expires_on.map(|on| on.to_string()));
        body["time_zone"] = json!(self.time_zone.as_ref().map(Zone::name));
    }
}
