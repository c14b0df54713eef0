//! What reading the event feed costs on a cluster, and what it does while some coupons cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::simulated::ClusterFixture;
use coupon::campaign::Campaign;
use coupon::code::Code;
use cql_session::feed_cursor::FeedPosition;
use cql_session::{BoundValue, RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use hot::feed::{CouponHappened, FeedEvent, FeedRead, FeedStart, Happened};
use hot::{HotError, HotStore};
use hot_conformance::kit::{
    Kit, MINUTE, MemoryArchive, NOW, cancel, extend_days, hold, redeem, release, void,
};
use hot_cql::{CqlHot, CqlOptions, EventsAside};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use simulated_cluster::session::StatementTamper;
use tokio::time::{Instant, sleep};

/// After so long a slot is over for every reader.
const OVER: Duration = Duration::from_secs(5);

/// Coupons and parts of the feed that cannot be read.
#[derive(Default)]
struct UnreadCoupons(Mutex<(BTreeSet<String>, UnreadCause)>, Mutex<UnreadParts>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UnreadCause {
    /// Each statement about their row fails.
    #[default]
    NoQuorum,
    /// Their row is not what was written.
    Damaged,
    /// They are archived, and cold does not answer.
    Cold,
}

impl UnreadCoupons {
    fn set(&self, codes: &[&Code], cause: UnreadCause) {
        *self.0.lock().unwrap() = (codes.iter().map(ToString::to_string).collect(), cause);
    }

    fn concerns(&self, request: &StatementRequest, cause: UnreadCause) -> bool {
        let unread = self.0.lock().unwrap();
        let is_of = |value: &BoundValue| match value {
            BoundValue::Value(bytes) => unread.0.iter().any(|code| code.as_bytes() == bytes),
            BoundValue::Null | BoundValue::Unset => false,
        };
        unread.1 == cause
            && [" FROM coupon ", "UPDATE coupon "].iter().any(|it| request.cql.contains(it))
            && request.rows.iter().flatten().any(is_of)
    }
}

impl StatementTamper for UnreadCoupons {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let (consistency, required, alive) = (Consistency::LocalQuorum, 2, 1);
        let error = DbError::Unavailable { consistency, required, alive };
        let error = RequestAttemptError::DbError(error, "two nodes of three are down".to_owned());
        let fails =
            self.concerns(request, UnreadCause::NoQuorum) || self.1.lock().unwrap().fails(request);
        let answer = fails.then_some(Err(ExecutionError::LastAttemptError(error)));
        std::future::ready(answer).boxed()
    }

    fn after(
        &self,
        request: &StatementRequest,
        result: Result<RowPage, ExecutionError>,
    ) -> Result<RowPage, ExecutionError> {
        match self.concerns(request, UnreadCause::Damaged) {
            true => result.map(|page| RowPage { rows: vec![vec![1]; page.rows.len()], ..page }),
            false => result,
        }
    }
}

/// CQL partitions of the feed whose replicas do not answer.
#[derive(Default)]
struct UnreadParts {
    /// Slots and shards of index rows.
    places: BTreeSet<(i64, i32)>,
    /// A shard whose rows that were put aside cannot be read.
    asides_of: Option<i32>,
    /// A copy of each list.
    copy: Option<i32>,
}

impl UnreadParts {
    fn fails(&self, request: &StatementRequest) -> bool {
        let values = request.rows.first().map_or(&[][..], Vec::as_slice);
        let int = |at: usize| match values.get(at) {
            Some(BoundValue::Value(bytes)) => bytes.as_slice().try_into().map(i32::from_be_bytes),
            _ => panic!("no value {at}: {}", request.cql),
        };
        let has = |shard: i32, slot: i64| {
            let is_aside = self.asides_of == Some(shard) && slot.rem_euclid(64) == 0;
            // What is in them was written before.
            let is_read = request.cql.starts_with("SELECT");
            is_read && (self.places.contains(&(slot, shard)) || is_aside)
        };
        match request.cql.split("change").nth(1) {
            Some(of) if of.starts_with("_span") => {
                let part = int(if request.cql.starts_with("UPDATE") { 2 } else { 0 });
                self.copy.is_some_and(|copy| part.unwrap() / 3 == copy)
            }
            Some(_) => {
                let end = values.len();
                let at = if request.cql.starts_with("UPDATE") { end - 6 } else { 0 };
                let (shard, BoundValue::Value(slots)) = (int(at).unwrap(), &values[at + 1]) else {
                    panic!("no slot: {}", request.cql);
                };
                // A slot, or a list of them: their number, and each with its length.
                let slots = if slots.len() == 8 { slots.as_slice() } else { &slots[4..] };
                let size = if slots.len() == 8 { 8 } else { 12 };
                slots
                    .chunks(size)
                    .any(|it| has(shard, i64::from_be_bytes(it[size - 8..].try_into().unwrap())))
            }
            None => false,
        }
    }
}

struct FeedFixture {
    simulated: ClusterFixture,
    archive: Arc<MemoryArchive>,
    unread: Arc<UnreadCoupons>,
    hot: Arc<CqlHot>,
    kit: Kit,
}

impl FeedFixture {
    async fn of(seed: u64) -> FeedFixture {
        let simulated = ClusterFixture::calm(seed);
        let (archive, unread) = (Arc::<MemoryArchive>::default(), Arc::<UnreadCoupons>::default());
        let hot = FeedFixture::process(&simulated, &archive, &unread).await;
        let kit = Kit::numbered(Arc::clone(&hot) as _, Arc::clone(&archive), seed);
        FeedFixture { simulated, archive, unread, hot, kit }
    }

    async fn process(
        simulated: &ClusterFixture,
        archive: &Arc<MemoryArchive>,
        unread: &Arc<UnreadCoupons>,
    ) -> Arc<CqlHot> {
        // Few buckets, so that a partition is sealed in a moment; and all processes have one clock.
        let options = CqlOptions { bucket_bits: 4, clock_bound_ms: 0, ..ClusterFixture::options() };
        simulated.process(options, Arc::clone(archive) as _, Some(Arc::clone(unread) as _)).await
    }

    async fn another(&self) -> Arc<CqlHot> {
        FeedFixture::process(&self.simulated, &self.archive, &self.unread).await
    }

    /// Of another process.
    async fn other_kit(&self, seed: u64) -> Kit {
        Kit::numbered(self.another().await as _, Arc::clone(&self.archive), seed)
    }

    /// Archives the coupons of a campaign that are redeemed or void. Returns how many.
    async fn archived(&self, campaign: &Campaign) -> u64 {
        let closed = NOW.plus_ms(100_000 * MINUTE);
        self.kit.archive_closed(campaign.expiry_day(), closed).await
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
            kit.done(&code, redeem(&ann, &order_of_nth(nth))).await;
            codes.push(code);
        }
        (campaign, codes)
    }
}

fn order_of_nth(nth: u64) -> String {
    format!("order-{nth}")
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
    // Each event costs the read of its coupon once; each page those of the epoch, the clocks, and two of each list.
    let rows = [("one at a time", 1, 10), ("again", 1, 6), ("a page at a time", 100, 1)];
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
    assert_eq!(fixture.archived(&campaign).await, codes.len() as u64);
    fixture.archive.asked();
    let mut reader = Reader::new();
    reader.reads_on(&fixture.hot, 1_000).await.unwrap();
    assert_eq!(reader.versions().len(), codes.len());
    let (calls, asked) = fixture.archive.asked();
    // The rows of a slot lie in 16 shards.
    assert!(calls <= 32 && asked >= codes.len(), "{calls} calls for {asked} coupons");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_was_refused_is_not_told_of_an_archived_coupon() {
    let fixture = FeedFixture::of(15).await;
    let (kit, other) = (&fixture.kit, fixture.other_kit(15).await);
    let campaign = kit.draft();
    kit.stocked(&campaign, 1).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "no-1").await;
    other.done(&code, hold(&ann, "order", 5)).await;
    other.done(&code, release("order")).await;
    // By its row of version 1, then by that of version 3.
    assert_eq!(kit.done(&code, void()).await.version(), 4);
    assert_eq!(fixture.archived(&campaign).await, 1);
    sleep(OVER).await;
    let mut reader = Reader::new();
    reader.reads_on(&fixture.hot, 100).await.unwrap();
    assert_eq!(reader.versions()[&code], [1, 4], "holds of an archived coupon are not known");
}

#[tokio::test(start_paused = true)]
async fn holds_are_told_after_their_partition_is_gone() {
    let fixture = FeedFixture::of(16).await;
    let kit = &fixture.kit;
    let campaign = Campaign { extend_days: 9, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let ann = kit.user("ann");
    let code = kit.issued(&campaign, &ann, "no-1").await;
    kit.done(&code, hold(&ann, "order", 5)).await;
    kit.done(&code, release("order")).await;
    kit.done(&code, extend_days(&campaign, 3)).await;
    let day = campaign.expiry_day();
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    sleep(OVER).await;
    let mut reader = Reader::new();
    reader.reads_on(&fixture.hot, 100).await.unwrap();
    assert_eq!(reader.versions()[&code], [1, 2, 3, 4]);
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
    let unread = order[order.len() / 2];
    fixture.unread.set(&[unread], UnreadCause::NoQuorum);
    // Another process has settled nothing.
    let hot = fixture.another().await;
    let mut reader = Reader::new();
    let error = reader.reads_on(&hot, 100).await.unwrap_err();
    let told = reader.versions();
    assert!(matches!(error, HotError::Unavailable(_)), "{error}");
    assert!(told.len() >= codes.len() / 3 && !told.contains_key(unread), "{told:?}");
    fixture.unread.set(&[], UnreadCause::NoQuorum);
    reader.reads_on(&hot, 100).await.unwrap();
    assert_eq!(reader.versions(), whole.versions());
}

/// Reads to the end, over errors, until `is_done` or for so long.
async fn reads_for(
    reader: &mut Reader,
    hot: &CqlHot,
    time: Duration,
    is_done: impl Fn(&Reader) -> bool,
) {
    let until = Instant::now() + time;
    while !is_done(reader) && Instant::now() < until {
        if reader.reads_on(hot, 7).await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_cannot_be_read_holds_up_nobody_else() {
    for cause in [UnreadCause::NoQuorum, UnreadCause::Damaged, UnreadCause::Cold] {
        let fixture = FeedFixture::of(14).await;
        let kit = &fixture.kit;
        let (campaign, codes) = fixture.redeemed(12).await;
        let unread = &codes[4];
        match cause {
            UnreadCause::Cold => {
                fixture.archived(&campaign).await;
                fixture.archive.goes_out();
            }
            UnreadCause::NoQuorum | UnreadCause::Damaged => fixture.unread.set(&[unread], cause),
        }
        let (_, later_codes) = fixture.redeemed(3).await;
        sleep(OVER).await;
        let hots = [Arc::clone(&fixture.hot), fixture.another().await];
        let mut readers = [Reader::new(), Reader::new()];
        for (hot, reader) in hots.iter().zip(&mut readers) {
            let arrived = |reader: &Reader| {
                later_codes.iter().all(|code| reader.versions().contains_key(code))
            };
            reads_for(reader, hot, Duration::from_secs(60), arrived).await;
            assert!(arrived(reader), "{cause:?}: later events wait: {:?}", reader.versions());
            assert!(!reader.versions().contains_key(unread), "{cause:?}");
        }
        // It stays so for a while.
        sleep(Duration::from_secs(300)).await;
        for (hot, reader) in hots.iter().zip(&mut readers) {
            reads_for(reader, hot, Duration::from_secs(60), |_| false).await;
            assert!(!reader.versions().contains_key(unread), "{cause:?}");
        }
        let aside = fixture.hot.events_aside().await.unwrap();
        assert!(aside.events > 0 && aside.oldest >= Duration::from_secs(300), "{aside:?}");
        assert!(fixture.hot.gauge().events_aside > 0, "{cause:?}");
        fixture.archive.comes_back();
        fixture.unread.set(&[], cause);
        // It changes again before its earlier changes come.
        if cause != UnreadCause::Cold {
            kit.done(unread, cancel(&order_of_nth(4))).await;
        }
        let want: BTreeMap<&Code, usize> = codes
            .iter()
            .chain(&later_codes)
            .map(|code| (code, if code == unread && cause != UnreadCause::Cold { 3 } else { 2 }))
            .collect();
        for (hot, reader) in hots.iter().zip(&mut readers) {
            let is_whole = |reader: &Reader| {
                let versions = reader.versions();
                want.iter().all(|(code, count)| versions.get(code).map(Vec::len) == Some(*count))
            };
            reads_for(reader, hot, Duration::from_secs(400), is_whole).await;
            assert!(is_whole(reader), "{cause:?}: {:?}", reader.versions());
            let versions = reader.versions();
            assert!(versions.values().all(|it| it.is_sorted()), "{cause:?}: {versions:?}");
            // Each event is counted once: those that were put aside at the place where they are now.
            reads_for(reader, hot, Duration::from_secs(200), |_| false).await;
            for (code, count) in &want {
                let of_it = reader.events.iter().filter(|it| !it.is_repeat).filter_map(of_coupon);
                assert_eq!(of_it.filter(|it| it.code == **code).count(), *count, "{cause:?}");
            }
        }
        sleep(Duration::from_secs(300)).await;
        assert_eq!(fixture.hot.events_aside().await.unwrap(), EventsAside::default(), "{cause:?}");
    }
}

/// The slot and the shard in which each event of a coupon is.
async fn places_of(fixture: &FeedFixture, code: &Code) -> BTreeSet<(i64, i32)> {
    let mut reader = Reader::new();
    reader.reads_on(&*fixture.another().await, 100).await.unwrap();
    let is_of = |event: &&FeedEvent| of_coupon(event).is_some_and(|it| it.code == *code);
    let of_it = reader.events.iter().filter(is_of);
    of_it
        .map(|event| FeedPosition::parse(&event.cursor).unwrap().1)
        .map(|it| (it.slot, it.shard))
        .collect()
}

/// Whether readers meet the rows of a part that was lost while they cannot be read where they are then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LostAgain {
    No,
    Yes,
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_feed_that_cannot_be_read_holds_up_nobody() {
    let rows = [
        (None, LostAgain::No),
        (Some(0), LostAgain::No),
        (Some(1), LostAgain::Yes),
        (Some(2), LostAgain::No),
        (None, LostAgain::Yes),
    ];
    for (copy, again) in rows {
        let name = format!("copy {copy:?} of the lists is lost, the part again: {again:?}");
        let fixture = FeedFixture::of(15).await;
        let (kit, parts) = (&fixture.kit, &fixture.unread.1);
        let (_, codes) = fixture.redeemed(12).await;
        sleep(OVER).await;
        let unread = &codes[4];
        let mut lost = places_of(&fixture, unread).await;
        let (slot, shard) = *lost.first().unwrap();
        // And some of those that come next, as if two of twelve nodes were down; none to which rows are put aside.
        let next = (slot + 30..slot + 300).filter(|slot| slot.rem_euclid(64) != 0);
        lost.extend(next.map(|slot| (slot, ((slot * 7 + 3) % 16) as i32)));
        let count = lost.len();
        *parts.lock().unwrap() = UnreadParts { places: lost, asides_of: None, copy };
        let hots = [fixture.another().await, fixture.another().await];
        let mut readers = [Reader::new(), Reader::new()];
        let (_, later) = fixture.redeemed(3).await;
        kit.done(unread, cancel(&order_of_nth(4))).await;
        sleep(OVER).await;
        for (hot, reader) in hots.iter().zip(&mut readers) {
            let arrived =
                |reader: &Reader| later.iter().all(|it| reader.versions().contains_key(it));
            reads_for(reader, hot, Duration::from_secs(60), arrived).await;
            let error = reader.reads_on(hot, 7).await;
            assert!(
                arrived(reader),
                "{name}: {later:?} wait behind {unread} in {slot}, {shard}: {error:?}, {:?}: {:?}",
                reader.from,
                reader.versions()
            );
            assert!(!reader.versions().contains_key(unread), "{name}");
        }
        sleep(Duration::from_secs(300)).await;
        for (hot, reader) in hots.iter().zip(&mut readers) {
            reads_for(reader, hot, Duration::from_secs(60), |_| false).await;
            assert!(!reader.versions().contains_key(unread), "{name}: {:?}", reader.versions());
        }
        let aside = fixture.hot.events_aside().await.unwrap();
        let is_there = aside.parts > 1 && aside.parts <= count && aside.events > 0;
        assert!(is_there && aside.oldest >= Duration::from_secs(300), "{name}: {aside:?}");
        assert!(hots[0].gauge().events_aside > 1, "{name}");
        *parts.lock().unwrap() = UnreadParts { copy, ..UnreadParts::default() };
        if again == LostAgain::Yes {
            parts.lock().unwrap().asides_of = Some(shard);
            for _ in 0..4 {
                for (hot, reader) in hots.iter().zip(&mut readers) {
                    reads_for(reader, hot, Duration::from_secs(60), |_| false).await;
                    assert!(reader.versions().values().all(|it| it.is_sorted()), "{name}");
                }
            }
            parts.lock().unwrap().asides_of = None;
        }
        let want: BTreeMap<&Code, usize> = codes
            .iter()
            .chain(&later)
            .map(|code| (code, if code == unread { 3 } else { 2 }))
            .collect();
        for (hot, reader) in hots.iter().zip(&mut readers) {
            let is_whole = |reader: &Reader| {
                let versions = reader.versions();
                want.iter().all(|(code, count)| versions.get(code).map(Vec::len) == Some(*count))
            };
            reads_for(reader, hot, Duration::from_secs(600), is_whole).await;
            assert!(is_whole(reader), "{name}: {:?}", reader.versions());
            let versions = reader.versions();
            assert!(versions.values().all(|it| it.is_sorted()), "{name}: {versions:?}");
        }
        sleep(Duration::from_secs(300)).await;
        let aside = fixture.hot.events_aside().await.unwrap();
        assert_eq!(aside, EventsAside::default(), "{name}");
    }
}
