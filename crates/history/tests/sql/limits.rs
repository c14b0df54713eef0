//! Limits of a query.

use std::sync::Arc;
use std::time::Duration;

use history::{History, HistoryError, QueryLimits};

use crate::world::{World, limits};

async fn asked(world: &World, limits: QueryLimits, sql: &str) -> Result<u64, HistoryError> {
    let history = History::new(Arc::clone(&world.engine), limits).unwrap();
    let mut answer = history.ask(sql, None).await?;
    let mut rows = 0;
    while let Some(batch) = answer.next().await? {
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn time() {
    let world = World::full().await;
    let short = QueryLimits { time: Duration::from_millis(20), ..limits() };
    let ended = asked(&world, short, &large()).await.unwrap_err();
    assert!(matches!(ended, HistoryError::TooLong { .. }), "{ended:?}");
    assert!(ended.to_string().starts_with("the query took more than 20ms: "), "{ended}");
}

/// 256,000 rows of some 40 bytes, in order.
fn large() -> String {
    let text = ["a.code || b.code"; 2].join(" || ");
    format!(
        "select {text} as text, unnest([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) as number from coupons a, coupons b \
         order by text desc, number"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_sort_spills_to_disk() {
    let world = World::full().await;
    let small = || QueryLimits { memory: 16 << 20, cores: 1, ..limits() };
    assert_eq!(asked(&world, small(), &large()).await.unwrap(), 256_000);
    let no_room = QueryLimits { spill: 0, ..small() };
    let ended = asked(&world, no_room, &large()).await.unwrap_err();
    assert!(matches!(ended, HistoryError::TooLarge(_)), "{ended:?}");
    assert!(ended.to_string().contains("--spill-limit"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_join_is_refused() {
    let world = World::full().await;
    let small = QueryLimits { memory: 1 << 20, ..limits() };
    let text = ["a.code || b.code"; 20].join(" || ");
    let wide = format!("select a.code || b.code as pair, {text} as text from coupons a, coupons b");
    let sql = format!("select x.text, y.text from ({wide}) x join ({wide}) y on x.pair = y.pair");
    let ended = asked(&world, small, &sql).await.unwrap_err();
    assert!(matches!(ended, HistoryError::TooLarge(_)), "{ended:?}");
    assert!(ended.to_string().contains("--memory-limit"), "{ended}");
}
