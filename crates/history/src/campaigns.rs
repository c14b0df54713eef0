//! The table `campaigns`: terms and counts from hot, as they are now.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use hot::CampaignRow;

use crate::columns::MICROS;
use crate::tiers::Tiers;

/// Campaigns of one read.
const PAGE: usize = 1_000;

static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let needed = |name, kind| Field::new(name, kind, false);
    let optional = |name, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        needed("campaign_id", DataType::Utf8),
        needed("name", DataType::Utf8),
        needed("handout", DataType::Utf8),
        needed("stock", DataType::Int64),
        needed("issued", DataType::Int64),
        needed("redeemed", DataType::Int64),
        needed("void", DataType::Int64),
        needed("paused", DataType::Boolean),
        optional("shared_code", DataType::Utf8),
        optional("code_prefix", DataType::Utf8),
        needed("valid_from", instant()),
        needed("expires_at", instant()),
        needed("expires_on", DataType::Date32),
        needed("time_zone", DataType::Utf8),
        optional("valid_days", DataType::Int64),
        optional("issue_from", instant()),
        optional("issue_until", instant()),
        optional("per_user_limit", DataType::Int64),
        needed("cancel_days", DataType::Int64),
        needed("extend_days", DataType::Int64),
        optional("metadata", DataType::Utf8),
        needed("created_at", instant()),
        needed("counted_at", instant()),
    ]))
});

/// The table.
#[derive(Debug)]
pub(crate) struct Campaigns {
    tiers: Tiers,
}

impl Campaigns {
    pub(crate) fn new(tiers: Tiers) -> Campaigns {
        Campaigns { tiers }
    }

    async fn rows(&self) -> Result<RecordBatch> {
        let mut rows: Vec<CampaignRow> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.campaign.id.clone());
            let page = self.tiers.engine.hot().campaigns(after, PAGE, self.tiers.now).await;
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
impl TableProvider for Campaigns {
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

fn batch(rows: &[CampaignRow]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        text(rows, |row| Some(row.campaign.id.to_string())),
        text(rows, |row| Some(row.campaign.name.clone())),
        text(rows, |row| Some(row.campaign.handout.as_str().to_owned())),
        long(rows, |row| Some(row.counts.stock)),
        long(rows, |row| Some(row.counts.issued)),
        long(rows, |row| Some(row.counts.redeemed)),
        long(rows, |row| Some(row.counts.void)),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.campaign.paused)))),
        text(rows, |row| row.campaign.shared_code.as_ref().map(ToString::to_string)),
        text(rows, |row| row.campaign.code_prefix.as_ref().map(ToString::to_string)),
        instant(rows, |row| Some(row.campaign.valid_from)),
        instant(rows, |row| Some(row.campaign.expires_at)),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(last_day))),
        text(rows, |row| Some(row.campaign.zone.name().to_owned())),
        long(rows, |row| row.campaign.valid_days.map(u64::from)),
        instant(rows, |row| row.campaign.issue_from),
        instant(rows, |row| row.campaign.issue_until),
        long(rows, |row| row.campaign.per_user_limit.map(u64::from)),
        long(rows, |row| Some(row.campaign.cancel_days.into())),
        long(rows, |row| Some(row.campaign.extend_days.into())),
        text(rows, |row| row.campaign.metadata.clone()),
        instant(rows, |row| Some(row.campaign.created_at)),
        instant(rows, |row| Some(row.counted_at)),
    ];
    Ok(RecordBatch::try_new(Arc::clone(&COLUMNS), columns)?)
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
