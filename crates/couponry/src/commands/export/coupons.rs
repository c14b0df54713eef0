//! `couponry export coupons`.

use std::sync::Arc;

use api::views::CouponBody;
use clap::{Args, ValueEnum};
use coupon::calendar::{Date, Zone};
use coupon::ids::CampaignId;
use engine::{CouponView, CouponsRequest, DayOf, Engine};

use super::sink::{Into, Sink};
use crate::failure::CliError;
use crate::open;

/// The columns of `export coupons`: the fields of a coupon in the HTTP interface.
const COLUMNS: [&str; 19] = [
    "code",
    "campaign_id",
    "batch_id",
    "state",
    "expired",
    "paused",
    "holder",
    "valid_from",
    "expires_at",
    "expires_on",
    "time_zone",
    "held_until",
    "issued_at",
    "redeemed_at",
    "order_ref",
    "created_at",
    "modified_at",
    "version",
    "tier",
];

/// Coupons that something has happened to, or that were imported
///
/// Prints every field that a coupon has in the HTTP interface, each coupon once, whether it is
/// still hot or has been archived, also while a compaction runs: by partition (the UTC day on which
/// it expires at the latest), then by code. Minted coupons that nobody has touched are not among
/// them: `export codes` lists those. A coupon that is extended to another day meanwhile may come a
/// second time, in its later version.
///
/// --from and --to choose days, both inclusive: by the coupon's last day (`expires_on`), or with
/// --by last-change by that of its last change (`modified_at`), which reads every coupon. Without
/// them every coupon is written.
///
/// In CSV a cell that a spreadsheet would take for a formula gets an apostrophe in front; JSON
/// lines have every value as it is.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done (also when the reader has seen enough), 1 failed, 2 wrong call, 3 some coupons
are left out (after a restore, those of campaigns that the backup did not have).

Examples, what expires in November, what changed in it as Seoul counts it, and one campaign for a
program:
  couponry export coupons --from 2026-11-01 --to 2026-11-30 --output november.csv
  couponry export coupons --from 2026-11-01 --to 2026-11-30 --by last-change \\
      --time-zone Asia/Seoul
  couponry export coupons --campaign spring-2027 --format jsonl")]
pub(super) struct CouponsFlags {
    /// Only one campaign's
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
    /// First day, as 2026-11-01
    #[arg(long, value_name = "DATE")]
    pub(super) from: Option<Date>,
    /// Last day
    #[arg(long, value_name = "DATE")]
    pub(super) to: Option<Date>,
    /// Of what --from and --to are the days
    #[arg(long, value_enum, default_value_t = By::LastDay)]
    by: By,
    /// Whose days they are, such as Asia/Seoul [default: each coupon's own zone; UTC with --by
    /// last-change]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    #[command(flatten)]
    pub(super) into: Into,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The last day on which the coupon works
    LastDay,
    /// The day of its last change
    LastChange,
}

impl CouponsFlags {
    pub(super) fn ask(&self) -> CouponsRequest {
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

pub(in crate::commands) async fn write(
    engine: Arc<Engine>,
    ask: CouponsRequest,
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    let thing = format!("campaign {}", ask.campaign.as_ref().map_or("", CampaignId::as_str));
    let begun = engine.every_coupon(&open::caller(), ask).await;
    let mut coupons = begun.map_err(CliError::about(thing))?;
    sink.header(&COLUMNS)?;
    while let Some(some) = coupons.next().await? {
        put(&some.rows, sink)?;
        sink.page_done(some.rows.len(), some.looked_at)?;
    }
    sink.left_out(coupons.strangers());
    Ok(())
}

/// The rows of some coupons, without a header.
pub(in crate::commands) fn put(
    coupons: &[CouponView],
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    coupons.iter().try_for_each(|view| sink.row(&COLUMNS, &CouponBody::from(view)))
}

pub(in crate::commands) fn header(sink: &mut Sink<'_>) -> Result<(), CliError> {
    sink.header(&COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_the_fields_of_a_coupon() {
        let document = serde_json::to_value(api::openapi::document()).unwrap();
        let fields = document.pointer("/components/schemas/Coupon/properties").unwrap();
        let fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(COLUMNS.as_slice(), fields);
    }
}
