//! The session of a query: its tables, its functions and its memory.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use engine::Engine;

use super::QueryLimits;
use crate::campaigns::CampaignsTable;
use crate::columns;
use crate::coupons::CouponsTable;
use crate::error::SuggestedNames;
use crate::redemptions;
use crate::tiers::TierReader;

/// Functions that are left out: one row of their result can fill the memory, before the memory limit notices.
const DENIED: &[&str] = &[
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "range",
    "repeat",
    "rpad",
];

const TABLES: [&str; 4] = ["campaigns", "coupons", "events", "redemptions"];

/// One row for each event of a coupon.
const EVENTS: &str = "SELECT code, campaign_id, batch_id, event['sequence'] AS sequence, \
     event['kind'] AS kind, event['at'] AS at, event['actor'] AS actor, \
     event['user_id'] AS user_id, event['reference'] AS reference, event['reason'] AS reason, \
     event['expires_at'] AS expires_at, event['time_zone'] AS time_zone, \
     event['operation'] AS operation, modified_at, tier, expiry_day, \
     event['order_amount'] AS order_amount, event['discount'] AS discount, \
     event['currency'] AS currency \
     FROM (SELECT code, campaign_id, batch_id, modified_at, tier, expiry_day, \
     unnest(events) AS event FROM coupons)";

/// One row for each redemption of a coupon, cancelled ones too.
const REDEMPTIONS: &str = "SELECT code, campaign_id, batch_id, redemption['user_id'] AS user_id, \
     redemption['order_ref'] AS order_ref, redemption['redeemed_at'] AS redeemed_at, \
     redemption['redeemed_by'] AS redeemed_by, redemption['cancelled_at'] AS cancelled_at, \
     redemption['cancelled_by'] AS cancelled_by, redemption['reason'] AS reason, \
     modified_at, tier, expiry_day, redemption['order_amount'] AS order_amount, \
     redemption['discount'] AS discount, redemption['currency'] AS currency \
     FROM (SELECT code, campaign_id, batch_id, modified_at, tier, expiry_day, \
     unnest(redemptions_of(events)) AS redemption FROM coupons)";

/// How many of the biggest consumers an error of the memory pool names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// A session of one query: it has its own memory, and no tables but ours.
pub(super) async fn context(
    engine: &Arc<Engine>,
    limits: &QueryLimits,
    shared: &RuntimeEnv,
    as_of: Option<u64>,
) -> Result<SessionContext> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(limits.memory), CONSUMERS_NAMED);
    let runtime =
        RuntimeEnvBuilder::from_runtime_env(shared).with_memory_pool(Arc::new(pool)).build_arc()?;
    let state = SessionStateBuilder::new()
        .with_config(config(limits.cores))
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(
            SessionStateDefaults::default_scalar_functions()
                .into_iter()
                .filter(|it| {
                    !DENIED.contains(&it.name())
                        && !it.aliases().iter().any(|alias| DENIED.contains(&alias.as_str()))
                })
                .collect(),
        )
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .build();
    let context = SessionContext::new_with_state(state);
    let tiers = TierReader::new(Arc::clone(engine), as_of);
    context.register_table("coupons", Arc::new(CouponsTable(tiers.clone())))?;
    context.register_table("campaigns", Arc::new(CampaignsTable(tiers)))?;
    context.register_udf(redemptions::udf(columns::OF_TABLE.field_with_name("events")?));
    for (name, sql) in [("events", EVENTS), ("redemptions", REDEMPTIONS)] {
        let plan = context.state().create_logical_plan(sql).await?;
        context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
    }
    context.deregister_udf(redemptions::NAME);
    Ok(context)
}

fn config(cores: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(cores)
        .with_default_catalog_and_schema("couponry", "history")
        .with_information_schema(true);
    let options = config.options_mut();
    // The table `coupons` turns it on where it saves time.
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.bloom_filter_on_read = false;
    options.execution.parquet.enable_page_index = false;
    options.execution.enable_recursive_ctes = false;
    config
}

pub(super) fn names(context: Option<&SessionContext>) -> SuggestedNames {
    let functions = context.map(|context| {
        let state = context.state();
        let scalar = state.scalar_functions().keys().cloned();
        scalar
            .chain(state.aggregate_functions().keys().cloned())
            .chain(state.window_functions().keys().cloned())
            .collect()
    });
    SuggestedNames {
        tables: TABLES.map(str::to_owned).to_vec(),
        functions: functions.unwrap_or_default(),
        denied: DENIED,
    }
}
