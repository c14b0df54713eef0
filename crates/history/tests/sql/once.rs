//! Each coupon once, wherever it is.

use compactor::Closed;

use crate::world::World;

const COUNTS: &str = "select count(*), count(distinct code), \
     sum(case when state = 'redeemed' then 1 else 0 end) from coupons";

#[tokio::test(flavor = "multi_thread")]
async fn each_coupon_is_a_row_once() {
    let world = World::full().await;
    let want = "160 160 53";
    assert_eq!(world.one(COUNTS).await, want, "all hot");
    world.compact(Closed::Now).await;
    assert_eq!(world.one(COUNTS).await, want, "two shelves settled, a third with stubs");
    let tiers = world.ask("select tier, count(*) from coupons group by 1 order by 1").await;
    assert_eq!(tiers, [["cold", "133"], ["hot", "27"]]);
}
