//! Pages of coupons over both tiers.
//!
//! Hot is read first and cold after it, so that what is moved in between is in one of them at
//! least; of two versions of a code the higher is the coupon. Within one expiry the coupons of hot
//! come before those of cold: whoever is moved between two pages may be seen on both, but is never
//! left out. What was copied and not removed yet is listed where hot has it, and there alone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use cold::ScanFilter;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::{
    CouponFilter, CouponSnapshot, HotError, ListOrder, ListPosition, ListQuery, ListScope,
    ListedPage, Tier,
};

use crate::Engine;
use crate::archive::in_time;
use crate::failure::Failure;

/// Archived coupons that one page of a campaign or of an expiry span looks at, by the statistics
/// of their files: some seconds. A person's coupons have a table of their own.
pub(crate) const ARCHIVED_MAX: u64 = 10_000_000;

/// Archived coupons of a person that are looked up at a time.
const LOOKED_UP: usize = 64;

/// Where a page ended: the next one begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last coupon's expiry.
    pub expires_at: Millis,
    /// What tells coupons of one expiry apart.
    pub tie: Tie,
}

/// Among coupons of one expiry: those of hot, then those of cold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// By the hot store's own number.
    Hot(u64),
    /// By code.
    Cold(Code),
}

/// One page that is wanted.
pub(crate) struct PageQuery {
    pub(crate) scope: ListScope,
    pub(crate) filter: CouponFilter,
    pub(crate) order: ListOrder,
    pub(crate) after: Option<Position>,
    pub(crate) limit: usize,
}

/// One page.
pub(crate) struct Page {
    pub(crate) snapshots: Vec<CouponSnapshot>,
    pub(crate) next: Option<Position>,
}

impl Position {
    /// Which of two comes first in a list.
    fn order(&self, other: &Position, order: ListOrder) -> Ordering {
        let by_expiry = match order {
            ListOrder::Soonest => self.expires_at.cmp(&other.expires_at),
            ListOrder::Latest => other.expires_at.cmp(&self.expires_at),
        };
        by_expiry.then_with(|| match (&self.tie, &other.tie, order) {
            (Tie::Hot(one), Tie::Hot(other), ListOrder::Latest) => other.cmp(one),
            (one, other, _) => one.cmp(other),
        })
    }

    /// The position in hot behind which everything lies that is behind this one.
    fn in_hot(&self, order: ListOrder) -> ListPosition {
        let tie = match (&self.tie, order) {
            (Tie::Hot(tie), _) => *tie,
            // All of hot's coupons with this expiry have been seen.
            (Tie::Cold(_), ListOrder::Soonest) => u64::MAX >> 1,
            (Tie::Cold(_), ListOrder::Latest) => 0,
        };
        ListPosition { expires_at: self.expires_at, tie }
    }
}

impl From<&ListPosition> for Position {
    fn from(position: &ListPosition) -> Position {
        Position { expires_at: position.expires_at, tie: Tie::Hot(position.tie) }
    }
}

/// A coupon of cold and its place in the list: the greatest is the last of them.
struct Archived {
    position: Position,
    order: ListOrder,
    day: Day,
    coupon: Coupon,
}

/// What cold has for a page.
#[derive(Default)]
struct ArchivedPage {
    coupons: Vec<Archived>,
    /// How far it was looked, where more lies behind that.
    next: Option<Position>,
}

impl ArchivedPage {
    /// The first of what was found: one more than fit says that there is more.
    fn of(mut found: Vec<Archived>, limit: usize) -> ArchivedPage {
        let is_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| is_more).map(|last| last.position.clone());
        ArchivedPage { coupons: found, next }
    }
}

impl PartialEq for Archived {
    fn eq(&self, other: &Archived) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Archived {}

impl PartialOrd for Archived {
    fn partial_cmp(&self, other: &Archived) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Archived {
    fn cmp(&self, other: &Archived) -> Ordering {
        self.position.order(&other.position, self.order)
    }
}

impl Engine {
    /// One page over both tiers.
    pub(crate) async fn page(&self, query: PageQuery) -> Result<Page, Failure> {
        let now = self.now();
        let hot = self
            .hot
            .list(ListQuery {
                scope: query.scope.clone(),
                filter: query.filter.clone(),
                order: query.order,
                after: query.after.as_ref().map(|after| after.in_hot(query.order)),
                limit: query.limit,
                now,
            })
            .await?;
        let cold = match may_be_archived(&query, now) {
            true => self.archived(&query, now).await?,
            false => ArchivedPage::default(),
        };
        // Behind it one of the two has not been looked at yet.
        let ends = [hot.next.as_ref().map(Position::from), cold.next];
        let end = ends.into_iter().flatten().min_by(|one, other| one.order(other, query.order));
        let cold = self.snapshots(self.not_in_hot(cold.coupons).await?).await?;
        let (mut snapshots, mut next) = (Vec::with_capacity(query.limit), None);
        for (position, snapshot) in newest(hot, cold, query.order, end.as_ref()) {
            if snapshots.len() == query.limit {
                return Ok(Page { snapshots, next });
            }
            snapshots.push(snapshot);
            next = Some(position);
        }
        // Short, and yet not the end: a store looks at a bounded number of rows for each page.
        Ok(Page { snapshots, next: end })
    }

    /// The first coupons of cold behind the position.
    async fn archived(&self, query: &PageQuery, now: Millis) -> Result<ArchivedPage, Failure> {
        if !in_time(&self.cold, 0, self.has_cold()).await? {
            return Ok(ArchivedPage::default());
        }
        match &query.scope {
            ListScope::Holder(holder) => self.archived_of(holder, query, now).await,
            ListScope::Campaign(campaign) => {
                let filter = ScanFilter { campaign: Some(campaign.clone()), ..scan(query) };
                self.archived_by(filter, query, now).await
            }
            ListScope::Everybody => self.archived_by(scan(query), query, now).await,
        }
    }

    /// A person's: an index has most of them whole in one place, and those that it does not have yet
    /// are looked up by their codes.
    async fn archived_of(
        &self,
        holder: &UserId,
        query: &PageQuery,
        now: Millis,
    ) -> Result<ArchivedPage, Failure> {
        // A coupon never outlives its partition.
        let from = scan(query).expires_from.map(Day::expiry_day_of);
        let mut entries = in_time(&self.cold, 0, self.cold.of_holder(holder, from)).await?;
        entries.retain(|entry| {
            let position = archived_at(entry.expires_at, &entry.code);
            query.filter.expires.holds(Some(entry.expires_at)) && is_behind(&position, query)
        });
        entries.sort_by(|one, other| {
            let [one, other] = [one, other].map(|it| archived_at(it.expires_at, &it.code));
            one.order(&other, query.order)
        });
        let mut found = Vec::new();
        for some in entries.chunks_mut(LOOKED_UP) {
            let mut by_day: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
            let mut here = Vec::new();
            for entry in some {
                match entry.coupon.take() {
                    Some(coupon) => here.push((entry.day, *coupon)),
                    None => by_day.entry(entry.day).or_default().push(entry.code.clone()),
                }
            }
            for (day, codes) in by_day {
                let found = self.cold.find(day, &codes);
                let coupons = in_time(&self.cold, codes.len(), found).await?;
                for (code, coupon) in codes.iter().zip(coupons) {
                    here.push((day, coupon.ok_or_else(|| not_there(day, code))?));
                }
            }
            let wanted = here.into_iter().filter(|(_, coupon)| {
                coupon.holder() == Some(holder) && query.filter.holds(coupon, now)
            });
            found.extend(wanted.map(|(day, coupon)| archived(day, coupon, query.order)));
            if found.len() > query.limit {
                break;
            }
        }
        found.sort();
        Ok(ArchivedPage::of(found, query.limit))
    }

    /// The first of all that a scan finds.
    async fn archived_by(
        &self,
        filter: ScanFilter,
        query: &PageQuery,
        now: Millis,
    ) -> Result<ArchivedPage, Failure> {
        // Each step for itself: a page may look at millions, as long as they come.
        let mut scan = in_time(&self.cold, 0, self.cold.scan(filter)).await?;
        let mut first: BinaryHeap<Archived> = BinaryHeap::new();
        while let Some(chunk) = in_time(&self.cold, 0, scan.next()).await? {
            for (day, coupon) in chunk {
                let position = archived_at(coupon.expires_at(), coupon.code());
                if !is_behind(&position, query) || !query.filter.holds(&coupon, now) {
                    continue;
                }
                first.push(archived(day, coupon, query.order));
                if first.len() > query.limit + 1 {
                    first.pop();
                }
            }
        }
        Ok(ArchivedPage::of(first.into_sorted_vec(), query.limit))
    }

    /// Without those whose rows were not removed yet: hot's pages have them, in another place.
    async fn not_in_hot(&self, mut archived: Vec<Archived>) -> Result<Vec<Archived>, Failure> {
        let mut by_day: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for Archived { day, coupon, .. } in &archived {
            by_day.entry(*day).or_default().push(coupon.code().clone());
        }
        let mut versions: HashMap<Code, u64> = HashMap::new();
        for (day, mut codes) in by_day {
            codes.sort_unstable();
            let rows = self.hot.coupons_of(day, codes).await?;
            versions.extend(rows.iter().map(|coupon| (coupon.code().clone(), coupon.version())));
        }
        archived.retain(|Archived { coupon, .. }| {
            versions.get(coupon.code()).is_none_or(|version| *version < coupon.version())
        });
        Ok(archived)
    }

    /// Archived coupons with what an answer about them needs besides.
    async fn snapshots(
        &self,
        archived: Vec<Archived>,
    ) -> Result<Vec<(Position, CouponSnapshot)>, Failure> {
        let coupons = archived.into_iter().map(|archived| (archived.coupon, Tier::Cold)).collect();
        let snapshots = self.snapshots_of(coupons).await?;
        let position = |snapshot: &CouponSnapshot| {
            archived_at(snapshot.coupon.expires_at(), snapshot.coupon.code())
        };
        Ok(snapshots.into_iter().map(|snapshot| (position(&snapshot), snapshot)).collect())
    }

    /// Coupons with their terms. Of a campaign that a restored hot store does not know there is
    /// nothing to show.
    pub(crate) async fn snapshots_of(
        &self,
        coupons: Vec<(Coupon, Tier)>,
    ) -> Result<Vec<CouponSnapshot>, Failure> {
        let mut known = HashMap::new();
        let mut snapshots = Vec::with_capacity(coupons.len());
        for (coupon, tier) in coupons {
            let genesis = coupon.genesis();
            let key = (genesis.campaign.clone(), genesis.batch.clone());
            if !known.contains_key(&key) {
                let campaign = self.hot.campaign(&key.0, self.now()).await?;
                let batch = self.hot.batch(&key.0, &key.1).await?;
                let both = campaign.map(|row| row.campaign).zip(batch.map(|batch| batch.paused));
                known.insert(key.clone(), both);
            }
            if let Some(Some((campaign, batch_paused))) = known.get(&key).cloned() {
                snapshots.push(CouponSnapshot { coupon, campaign, batch_paused, tier });
            }
        }
        Ok(snapshots)
    }
}

/// Whether anything that the filter leaves in can lie in cold. Not so for the list that is asked
/// for most, that of a wallet: what is available or issued there has expired.
fn may_be_archived(query: &PageQuery, now: Millis) -> bool {
    let CouponFilter { state, expired, expires, .. } = &query.filter;
    let unspent = matches!(state, Some("available" | "issued"));
    let unexpired = *expired == Some(false) || expires.from.is_some_and(|from| from > now);
    !(unspent && unexpired)
}

fn archived_at(expires_at: Millis, code: &Code) -> Position {
    Position { expires_at, tie: Tie::Cold(code.clone()) }
}

fn archived(day: Day, coupon: Coupon, order: ListOrder) -> Archived {
    Archived { position: archived_at(coupon.expires_at(), coupon.code()), order, day, coupon }
}

/// The side table is made of the partitions, so that what is in the one is in the other.
fn not_there(day: Day, code: &Code) -> Failure {
    let why = format!("{code} is somebody's and is not in its partition {day}");
    Failure::Store(HotError::Cold(why.into()))
}

fn is_behind(position: &Position, query: &PageQuery) -> bool {
    query.after.as_ref().is_none_or(|after| position.order(after, query.order) == Ordering::Greater)
}

fn scan(query: &PageQuery) -> ScanFilter {
    // What lies before the position need not be read.
    let (mut from, mut before) = (query.filter.expires.from, query.filter.expires.before);
    if let Some(after) = &query.after {
        match query.order {
            ListOrder::Soonest => from = from.max(Some(after.expires_at)),
            ListOrder::Latest => {
                let end = after.expires_at.plus_ms(1);
                before = Some(before.map_or(end, |before| before.min(end)));
            }
        }
    }
    ScanFilter {
        expires_from: from,
        expires_before: before,
        rows_max: Some(ARCHIVED_MAX),
        ..ScanFilter::default()
    }
}

/// Both in one order up to `end`, each code once.
fn newest(
    hot: ListedPage,
    cold: Vec<(Position, CouponSnapshot)>,
    order: ListOrder,
    end: Option<&Position>,
) -> Vec<(Position, CouponSnapshot)> {
    let mut all: Vec<(Position, CouponSnapshot)> =
        hot.positions.iter().map(Position::from).zip(hot.coupons).chain(cold).collect();
    all.retain(|(position, _)| end.is_none_or(|end| position.order(end, order).is_le()));
    all.sort_by(|one, other| one.0.order(&other.0, order));
    let mut newest: HashMap<Code, u64> = HashMap::new();
    for (_, snapshot) in &all {
        let version = newest.entry(snapshot.coupon.code().clone()).or_default();
        *version = snapshot.coupon.version().max(*version);
    }
    // The first of two that are the same is that of hot.
    all.retain(|(_, snapshot)| {
        let code = snapshot.coupon.code();
        let is_newest = newest.get(code) == Some(&snapshot.coupon.version());
        is_newest && newest.remove(code).is_some()
    });
    all
}
