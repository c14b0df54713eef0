//! `couponry export coupons`: every coupon that has a row or is archived.

use std::collections::HashSet;
use std::sync::Arc;

use api::views::CouponBody;
use clap::{Args, ValueEnum};
use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use engine::{COUPON_COLUMNS, CouponsRequest, DayOf, Engine, coupon_csv_header, coupon_csv_row};
use serde_json::Value;

use super::sink::{Into, Sink, exported};
use crate::client::ServiceClient;
use crate::failure::{CliError, Ended, Result};
use crate::open;
use crate::output::cell_text;
use crate::settings::Settings;

pub(in crate::commands) type ListQuery = Vec<(&'static str, String)>;

/// Export coupons that were imported, or that something happened to
///
/// Prints every field that a coupon has in the HTTP interface, ordered by partition (the UTC day on which the coupon
/// expires at the latest) and code. Prints each coupon once, active or archived, even while a compaction runs; only a
/// coupon that is extended to another day meanwhile may appear again, in its later version. Leaves out minted coupons
/// that were never used: `export codes` lists those.
///
/// --from and --to choose days, both inclusive: by the last day of the coupon (`expires_on`), or
/// with --by last-change by the day of its last change (`modified_at`). Without them, and with --by
/// last-change, the command reads every coupon.
///
/// In CSV, a cell that a spreadsheet would take for a formula starts with an apostrophe. JSON lines
/// have every value unchanged.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done, or the reader closed the output; 1 failed; 2 usage error; 3 left out coupons
of campaigns that the restored backup did not have.

Examples: what expires in November, what changed in November in Seoul, and one campaign as JSON:
  couponry export coupons --from 2026-11-01 --to 2026-11-30 --output november.csv
  couponry export coupons --from 2026-11-01 --to 2026-11-30 --by last-change \\
      --time-zone Asia/Seoul
  couponry export coupons --campaign spring-2027 --format jsonl")]
pub(crate) struct CouponsFlags {
    /// Export only this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
    /// First day, such as 2026-11-01
    #[arg(long, value_name = "DATE")]
    pub(super) from: Option<Date>,
    /// Last day
    #[arg(long, value_name = "DATE")]
    pub(super) to: Option<Date>,
    /// Which day --from and --to choose by
    #[arg(long, value_enum, default_value_t = By::LastDay)]
    by: By,
    /// Time zone of the days, such as Asia/Seoul [default: the zone of each coupon; UTC with --by last-change]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    #[command(flatten)]
    pub(super) into: Into,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Last day on which the coupon can be redeemed
    LastDay,
    /// Day of its last change
    LastChange,
}

impl CouponsFlags {
    /// The same as the query of a list.
    ///
    /// # Errors
    /// Usage: there is no such list.
    pub(super) fn query(&self) -> Result<ListQuery> {
        let Some(campaign) = &self.campaign else {
            return Err(CliError::usage(
                "over HTTP this needs --campaign: without it, run the command where the data is",
            ));
        };
        match (self.from, self.to) {
            (None, None) => Ok(vec![("campaign_id", campaign.to_string())]),
            _ => Err(CliError::usage(
                "over HTTP this takes no days: run the command where the data is",
            )),
        }
    }

    pub(super) fn request(&self) -> CouponsRequest {
        CouponsRequest {
            campaign: self.campaign.clone(),
            by: match self.by {
                By::LastDay => DayOf::Expiry,
                By::LastChange => DayOf::Change,
            },
            from: self.from,
            to: self.to,
            zone: self.time_zone.clone(),
        }
    }
}

/// Writes the coupons of a request, or of the same query over HTTP.
pub(in crate::commands) async fn run(
    settings: &Settings,
    request: CouponsRequest,
    query: Result<ListQuery>,
    into: &Into,
) -> Result<Ended> {
    let there =
        async |service: &ServiceClient, sink: &mut Sink<'_>| listed(service, query?, sink).await;
    let here = async |engine: &Arc<Engine>, sink: &mut Sink<'_>| all(engine, request, sink).await;
    exported(settings, into, "coupons", there, here).await
}

async fn all(engine: &Arc<Engine>, request: CouponsRequest, sink: &mut Sink<'_>) -> Result<()> {
    let thing = format!("campaign {}", request.campaign.as_ref().map_or("", CampaignId::as_str));
    let coupons = Arc::clone(engine).every_coupon(&open::caller(), request).await;
    let coupons = coupons.map_err(CliError::about(thing))?;
    sink.header(&coupon_csv_header())?;
    sink.all(coupons, coupon_csv_row, |view| CouponBody::from(view)).await
}

/// Every coupon of a list, once.
pub(in crate::commands) async fn listed(
    service: &ServiceClient,
    query: ListQuery,
    sink: &mut Sink<'_>,
) -> Result<()> {
    sink.header(&coupon_csv_header())?;
    let mut listed = ListedCodes::of(&query);
    let page = |mut page: Vec<Value>| {
        page.retain(|coupon| listed.add(coupon));
        sink.page(&page, row, Value::clone, 0)
    };
    service.pages(&["coupons"], query, page).await
}

/// The codes of a list that may come again. A coupon that moves to cold between two pages comes a second time behind
/// the hot coupons of its `expires_at`; one that is extended meanwhile comes anywhere, and only the list of a user is
/// short enough to be remembered whole.
#[derive(Default)]
struct ListedCodes {
    is_of_user: bool,
    expires_at: Value,
    codes: HashSet<String>,
}

impl ListedCodes {
    fn of(query: &ListQuery) -> ListedCodes {
        let is_of_user = query.iter().any(|(name, _)| *name == "user_id");
        ListedCodes { is_of_user, ..ListedCodes::default() }
    }

    /// Whether the coupon has not been listed.
    fn add(&mut self, coupon: &Value) -> bool {
        if !self.is_of_user && self.expires_at != coupon["expires_at"] {
            self.expires_at = coupon["expires_at"].clone();
            self.codes.clear();
        }
        self.codes.insert(coupon["code"].to_string())
    }
}

fn row(coupon: &Value) -> String {
    let cells = COUPON_COLUMNS.map(|column| cell_text(&coupon[column]));
    engine::csv::row(cells.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_coupon_that_moves_to_cold_is_listed_once() {
        let coupons = [("A", "2027"), ("B", "2027"), ("A", "2027"), ("C", "2026"), ("B", "2026")];
        let coupons = coupons.map(|(code, at)| json!({"code": code, "expires_at": at}));
        for (name, kept) in [("user_id", "ABC"), ("expires_on", "ABCB")] {
            let mut listed = ListedCodes::of(&vec![(name, "x".to_owned())]);
            let added = coupons.iter().filter(|it| listed.add(it));
            let codes: String = added.filter_map(|it| it["code"].as_str()).collect();
            assert_eq!(codes, kept, "{name}");
        }
    }

    #[test]
    fn the_columns_are_the_fields_of_a_coupon() {
        let document = serde_json::to_value(api::openapi::document()).unwrap();
        let fields = document.pointer("/components/schemas/Coupon/properties").unwrap();
        let fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, engine::COUPON_COLUMNS);
    }
}
