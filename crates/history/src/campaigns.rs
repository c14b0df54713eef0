//! The table `campaigns`: terms and counts from hot, as they are now.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use hot::CampaignRow;

use crate::MICROS;
use crate::tiers::TierReader;

/// Campaigns of one read.
const PAGE: usize = 1_000;

static COLUMNS: LazyLock<SchemaRef> =
    LazyLock::new(|| batch(&[]).expect("the columns have the same number of rows").schema());

#[derive(Debug)]
pub(crate) struct CampaignsTable(pub(crate) TierReader);

impl CampaignsTable {
    async fn rows(&self) -> Result<RecordBatch> {
        let mut rows: Vec<CampaignRow> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.campaign.id.clone());
            let page = self.0.engine.hot().campaigns(after, PAGE, self.0.now).await;
            let page = page.map_err(|error| DataFusionError::External(Box::new(error)))?;
            let ended = page.len() < PAGE;
            rows.extend(page);
            if ended {
                return batch(&rows);
            }
        }
    }
}

#[async_trait]
impl TableProvider for CampaignsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&COLUMNS)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = MemTable::try_new(self.schema(), vec![vec![self.rows().await?]])?;
        table.scan(state, projection, filters, limit).await
    }
}

/// Each column has a name, its values, and whether one may be null.
fn batch(rows: &[CampaignRow]) -> Result<RecordBatch> {
    let paused = BooleanArray::from_iter(rows.iter().map(|row| Some(row.campaign.paused)));
    let columns: [(&str, ArrayRef, bool); 27] = [
        ("campaign_id", text(rows, |row| Some(row.campaign.id.to_string())), false),
        ("name", text(rows, |row| Some(row.campaign.name.clone())), false),
        ("handout", text(rows, |row| Some(row.campaign.handout.as_str().to_owned())), false),
        ("stock", long(rows, |row| Some(row.counts.stock)), false),
        ("issued", long(rows, |row| Some(row.counts.issued)), false),
        ("redeemed", long(rows, |row| Some(row.counts.redeemed)), false),
        ("void", long(rows, |row| Some(row.counts.void)), false),
        ("paused", Arc::new(paused), false),
        ("shared_code", text(rows, |row| shown(&row.campaign.shared_code)), true),
        ("code_prefix", text(rows, |row| shown(&row.campaign.code_prefix)), true),
        ("valid_from", instant(rows, |row| Some(row.campaign.valid_from)), false),
        ("expires_at", instant(rows, |row| Some(row.campaign.expires_at)), false),
        ("expires_on", Arc::new(Date32Array::from_iter_values(rows.iter().map(last_day))), false),
        ("time_zone", text(rows, |row| Some(row.campaign.zone.name().to_owned())), false),
        ("valid_days", long(rows, |row| row.campaign.valid_days.map(u64::from)), true),
        ("issue_from", instant(rows, |row| row.campaign.issue_from), true),
        ("issue_until", instant(rows, |row| row.campaign.issue_until), true),
        ("per_user_limit", long(rows, |row| row.campaign.per_user_limit.map(u64::from)), true),
        ("cancel_days", long(rows, |row| Some(row.campaign.cancel_days.into())), false),
        ("extend_days", long(rows, |row| Some(row.campaign.extend_days.into())), false),
        ("metadata", text(rows, |row| row.campaign.metadata.clone()), true),
        (
            "currency",
            text(rows, |row| row.campaign.worth.currency.map(|it| it.as_str().into())),
            true,
        ),
        ("benefit", text(rows, |row| shown(&row.campaign.worth.benefit)), true),
        ("budget", long(rows, |row| row.campaign.worth.budget), true),
        ("spent", long(rows, |row| row.campaign.worth.budget.map(|_| row.spent)), true),
        ("created_at", instant(rows, |row| Some(row.campaign.created_at)), false),
        ("counted_at", instant(rows, |row| Some(row.counted_at)), false),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn shown(text: &Option<impl ToString>) -> Option<String> {
    text.as_ref().map(ToString::to_string)
}

fn last_day(row: &CampaignRow) -> i32 {
    let date = Date::last_of(row.campaign.expires_at, &row.campaign.zone);
    date.first_instant(&Zone::utc()).day().0
}

fn text(rows: &[CampaignRow], of: impl Fn(&CampaignRow) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(of)))
}

fn long(rows: &[CampaignRow], of: impl Fn(&CampaignRow) -> Option<u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(rows.iter().map(|row| of(row).map(u64::cast_signed))))
}

fn instant(rows: &[CampaignRow], of: impl Fn(&CampaignRow) -> Option<Millis>) -> ArrayRef {
    let micros = rows.iter().map(|row| of(row).map(|at| at.0.saturating_mul(MICROS)));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
}
