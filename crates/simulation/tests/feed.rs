//! What reading the event feed costs on a cluster, and what it does while some coupons cannot be read.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "common/simulated.rs"]
mod simulated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::campaign::Campaign;
use coupon::code::Code;
use cql_session::{BoundValue, RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use hot::feed::{CouponHappened, FeedEvent, FeedRead, FeedStart, Happened};
use hot::{HotError, HotStore};
use hot_conformance::kit::{Kit, MINUTE, MemoryArchive, NOW, redeem};
use hot_cql::{CqlHot, CqlOptions};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use simulated::ClusterFixture;
use simulated_cluster::session::StatementTamper;
use tokio::time::sleep;

/// After so long a slot is over for every reader.
const OVER: Duration = Duration::from_secs(5);

/// Coupons whose partition has no quorum: each statement that names one of them fails.
#[derive(Default)]
struct LostQuorum(Mutex<BTreeSet<String>>);

impl LostQuorum {
    fn of(&self, codes: &[&Code]) {
        *self.0.lock().unwrap() = codes.iter().map(ToString::to_string).collect();
    }
}

impl StatementTamper for LostQuorum {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let lost = self.0.lock().unwrap();
        let is_lost = |value: &BoundValue| match value {
            BoundValue::Value(bytes) => lost.iter().any(|code| code.as_bytes() == bytes),
            BoundValue::Null | BoundValue::Unset => false,
        };
        let of_coupons = [" FROM coupon ", "UPDATE coupon ", "INTO coupon "];
        let fails = of_coupons.iter().any(|text| request.cql.contains(text))
            && request.rows.iter().flatten().any(is_lost);
        let error =
            DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        let error = RequestAttemptError::DbError(error, "two nodes of three are down".to_owned());
        let answer = fails.then_some(Err(ExecutionError::LastAttemptError(error)));
        std::future::ready(answer).boxed()
    }
}

struct FeedFixture {
    simulated: ClusterFixture,
    archive: Arc<MemoryArchive>,
    lost: Arc<LostQuorum>,
    hot: Arc<CqlHot>,
    kit: Kit,
}

impl FeedFixture {
    async fn of(seed: u64) -> FeedFixture {
        let simulated = ClusterFixture::calm(seed);
        let (archive, lost) = (Arc::<MemoryArchive>::default(), Arc::<LostQuorum>::default());
        let hot = FeedFixture::process(&simulated, &archive, &lost).await;
        let kit = Kit::numbered(Arc::clone(&hot) as _, Arc::clone(&archive), seed);
        FeedFixture { simulated, archive, lost, hot, kit }
    }

    async fn process(
        simulated: &ClusterFixture,
        archive: &Arc<MemoryArchive>,
        lost: &Arc<LostQuorum>,
    ) -> Arc<CqlHot> {
        // Few buckets, so that a partition is sealed in a moment; and all processes have one clock.
        let options = CqlOptions { bucket_bits: 4, clock_bound_ms: 0, ..ClusterFixture::options() };
        simulated.process(options, Arc::clone(archive) as _, Some(Arc::clone(lost) as _)).await
    }

    /// Coupons that are issued and redeemed: two events of each.
    async fn redeemed(&self, count: u64) -> (Campaign, Vec<Code>) {
        let kit = &self.kit;
        let campaign = Campaign { per_user_limit: None, ..kit.draft() };
        kit.stocked(&campaign, count).await;
        let ann = kit.user("ann");
        let mut codes = Vec::new();
        for nth in 0..count {
            let code = kit.issued(&campaign, &ann, &format!("no-{nth}")).await;
            kit.done(&code, redeem(&ann, &format!("order-{nth}"))).await;
            codes.push(code);
        }
        (campaign, codes)
    }
}

/// A reader and its cursor.
struct Reader {
    from: FeedStart,
    events: Vec<FeedEvent>,
}

impl Reader {
    fn new() -> Reader {
        Reader { from: FeedStart::Oldest, events: Vec::new() }
    }

    /// Reads a page. Whether there are no more.
    async fn reads(&mut self, hot: &CqlHot, limit: usize) -> Result<bool, HotError> {
        let FeedRead::Page(page) = hot.feed().unwrap().events(self.from.clone(), limit).await?
        else {
            panic!("the cursor is of this store");
        };
        assert!(page.events.len() <= limit, "{limit}");
        self.events.extend(page.events);
        self.from = FeedStart::After(page.next);
        Ok(page.is_end)
    }

    /// Reads to the end, or to the first error.
    async fn reads_on(&mut self, hot: &CqlHot, limit: usize) -> Result<(), HotError> {
        while !self.reads(hot, limit).await? {}
        Ok(())
    }

    /// The versions of each coupon in the order in which they came first.
    fn versions(&self) -> BTreeMap<&Code, Vec<u64>> {
        let mut all: BTreeMap<&Code, Vec<u64>> = BTreeMap::new();
        for coupon in self.events.iter().filter_map(of_coupon) {
            let versions = all.entry(&coupon.code).or_default();
            if !versions.contains(&coupon.version) {
                versions.push(coupon.version);
            }
        }
        all
    }
}

fn of_coupon(event: &FeedEvent) -> Option<&CouponHappened> {
    match &event.happened {
        Happened::Coupon(coupon) => Some(coupon),
        Happened::AuditEvent { .. } => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_reader_has_settled_is_settled_for_all() {
    const COUPONS: u64 = 200;
    let fixture = FeedFixture::of(11).await;
    fixture.redeemed(COUPONS).await;
    sleep(OVER).await;
    let reads = || fixture.hot.gauge().reads;
    // Each event costs the read of its coupon once; each page that of the epoch and the clocks.
    let rows = [("one at a time", 1, 8), ("again", 1, 4), ("a page at a time", 100, 1)];
    let mut first = None;
    for (name, limit, each) in rows {
        let (mut reader, before) = (Reader::new(), reads());
        reader.reads_on(&fixture.hot, limit).await.unwrap();
        let (count, cost) = (reader.events.len() as u64, reads() - before);
        eprintln!("{name}: {cost} reads of {count} events");
        assert!(count >= 2 * COUPONS, "{name}: {count}");
        assert!(cost <= each * count, "{name}: {cost} reads of {count} events");
        let names: Vec<_> = reader.events.iter().map(|event| event.id).collect();
        assert_eq!(*first.get_or_insert(names.clone()), names, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn archived_coupons_are_looked_up_together() {
    let fixture = FeedFixture::of(12).await;
    let (campaign, codes) = fixture.redeemed(40).await;
    sleep(OVER).await;
    let day = campaign.expiry_day();
    let archived = fixture.kit.archive_closed(day, NOW.plus_ms(100_000 * MINUTE)).await;
    assert_eq!(archived, codes.len() as u64);
    fixture.archive.asked();
    let mut reader = Reader::new();
    reader.reads_on(&fixture.hot, 1_000).await.unwrap();
    assert_eq!(reader.versions().len(), codes.len());
    let (calls, asked) = fixture.archive.asked();
    // The rows of a slot lie in 16 shards.
    assert!(calls <= 32 && asked >= codes.len(), "{calls} calls for {asked} coupons");
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_before_a_coupon_that_cannot_be_read_is_told() {
    let fixture = FeedFixture::of(13).await;
    let (_, codes) = fixture.redeemed(20).await;
    sleep(OVER).await;
    let mut whole = Reader::new();
    whole.reads_on(&fixture.hot, 100).await.unwrap();
    let order: Vec<&Code> =
        whole.events.iter().filter_map(of_coupon).map(|coupon| &coupon.code).collect();
    let lost = order[order.len() / 2];
    fixture.lost.of(&[lost]);
    // Another process has settled nothing.
    let hot = FeedFixture::process(&fixture.simulated, &fixture.archive, &fixture.lost).await;
    let mut reader = Reader::new();
    let error = reader.reads_on(&hot, 100).await.unwrap_err();
    let told = reader.versions();
    assert!(matches!(error, HotError::Unavailable(_)), "{error}");
    assert!(told.len() >= codes.len() / 3 && !told.contains_key(lost), "{told:?}");
    fixture.lost.of(&[]);
    reader.reads_on(&hot, 100).await.unwrap();
    assert_eq!(reader.versions(), whole.versions());
}
