//! Goes through the feed and adds up what happened, each event once.
//!
//! Any number of processes do this at the same time. Each row of `activity` names the last event that is in
//! its numbers, and is written together with them by one conditional update. So an event that is in a row is
//! not added again, by whoever was frozen for however long. The row of `counted` names a place in the feed up
//! to which all rows have everything: a process begins there. It is only moved from the place at which the
//! process began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coupon::time::Millis;
use cql_session::feed_cursor::is_behind;
use cql_session::values::{instant, signed};
use cql_session::{CqlSession, Result, StatementProfile, WriteAttempts, bounded_join};
use hot::HotError;
use hot::activity::{Activity, quarter_of};
use hot::feed::{CouponEventKind, CouponHappened, Feed, FeedEvent, FeedRead, FeedStart, Happened};
use hot::records::RecordSource;
use scylla::value::CqlTimestamp;

use crate::redemption_index::{Redeemed, RedemptionIndex};

/// The one row of `counted`.
const PART: i32 = 0;

/// The name under which all campaigns together are counted. No campaign has it.
pub(crate) const ALL_CAMPAIGNS: &str = "*";

/// Events that are read at a time.
const EVENTS: usize = 1_000;

/// Rows of `activity` that are written at a time: each is a conditional update.
const AT_ONCE: usize = 16;

/// So long after one process has counted, another one does not begin by itself.
const COUNTED_EVERY_MS: i64 = 55_000;

/// A row of `activity`, and the events that belong to it, in their order.
type Rows<'a> = BTreeMap<(String, i64), Vec<(&'a FeedEvent, CouponEventKind)>>;

struct Progress {
    to: Option<String>,
    at: Millis,
}

pub(crate) struct Counter {
    pub(crate) session: Arc<CqlSession>,
    pub(crate) source: Arc<dyn RecordSource>,
    pub(crate) index: Arc<RedemptionIndex>,
    pub(crate) call_limit: Duration,
}

impl Counter {
    /// Whether some process has counted a moment ago.
    pub(crate) async fn was_just_here(&self) -> Result<bool> {
        Ok(self.session.now_ms() - self.progress().await?.at.0 < COUNTED_EVERY_MS)
    }

    pub(crate) async fn count(&self) -> Result<()> {
        let Some(feed) = self.source.feed() else { return Ok(()) };
        loop {
            let progress = self.progress().await?;
            let is_old = self.session.now_ms() - progress.at.0 >= COUNTED_EVERY_MS;
            let page = match self.read(feed, &progress).await? {
                FeedRead::Page(page) => page,
                FeedRead::Gone { why, go_on } => {
                    tracing::warn!(?why, "some events were not counted: they are gone");
                    self.advance(&progress, &go_on).await?;
                    continue;
                }
                FeedRead::Unknown => {
                    let why = "the feed does not know its oldest event";
                    return Err(HotError::Damaged(why.into()));
                }
            };
            self.index.enter(&redeemed_in(&page.events)).await?;
            let rows = by_row(&page.events).into_iter();
            let rows = rows.map(|((campaign, quarter), events)| async move {
                self.add(&campaign, quarter, &events).await
            });
            bounded_join(AT_ONCE, rows).await.map(|_: Vec<()>| ())?;
            // Only now: everything before it is in all rows. A page without events may be the end of a part of
            // the feed that has none.
            if !page.events.is_empty() || is_old || !page.is_end {
                self.advance(&progress, &page.next).await?;
            }
            if page.is_end {
                return Ok(());
            }
        }
    }

    /// Events from where counting is. A cursor that is none of this feed was of a store that is no more: then
    /// from the oldest; each row knows what is in it.
    async fn read(&self, feed: &dyn Feed, progress: &Progress) -> Result<FeedRead> {
        match feed.events(start(progress), EVENTS).await? {
            FeedRead::Unknown => feed.events(FeedStart::Oldest, EVENTS).await,
            known => Ok(known),
        }
    }

    fn attempts(&self, what: &'static str) -> WriteAttempts {
        WriteAttempts::new(what, self.call_limit)
    }

    async fn progress(&self) -> Result<Progress> {
        let cql = "SELECT counted_to, counted_at FROM counted WHERE part = ?";
        let row: Option<(Option<String>, Option<CqlTimestamp>)> =
            self.session.row(cql, (PART,)).await?;
        let (to, at) = row.unwrap_or_default();
        Ok(Progress { to, at: Millis(at.map_or(0, |at| at.0)) })
    }

    /// Moves the beginning of the next count, unless another process has moved it.
    async fn advance(&self, from: &Progress, to: &str) -> Result<()> {
        let cql = "UPDATE counted SET counted_to = ?, counted_at = ? WHERE part = ? \
                   IF counted_to = ?";
        let now = instant(Millis(self.session.now_ms()));
        let values = (to, now, PART, from.to.as_deref());
        let mut attempts = self.attempts("a count of events");
        // If it was refused or is unknown, the next read shows from where to go on.
        let cas = self.session.change(StatementProfile::Change, cql, values).await;
        attempts.wrote(cas).await.map(drop)
    }

    /// Adds those of some events of a row that are not in it.
    async fn add(
        &self,
        campaign: &str,
        quarter: i64,
        events: &[(&FeedEvent, CouponEventKind)],
    ) -> Result<()> {
        let mut attempts = self.attempts("a count of a quarter of an hour");
        loop {
            let (mut sum, counted_to) = attempts.looked(self.sum(campaign, quarter).await)?;
            let is_new = |event: &FeedEvent| {
                counted_to.as_ref().is_none_or(|to| is_behind(&event.cursor, to))
            };
            let new = events.iter().filter(|(event, _)| is_new(event));
            let Some((last, _)) = new.clone().next_back() else { return Ok(()) };
            new.for_each(|(_, kind)| sum.add(one(*kind)));
            let cql = "UPDATE activity SET issued = ?, redeemed = ?, cancelled = ?, counted_to = ? \
                       WHERE campaign_id = ? AND quarter = ? IF counted_to = ?";
            let Activity { issued, redeemed, cancelled } = sum;
            let [issued, redeemed, cancelled] = [issued, redeemed, cancelled].map(signed);
            let (to, before) = (last.cursor.as_str(), counted_to.as_deref());
            let values = (issued, redeemed, cancelled, to, campaign, quarter, before);
            let cas = self.session.change(attempts.profile(), cql, values).await;
            if attempts.wrote(cas).await? {
                return Ok(());
            }
        }
    }

    /// The numbers of a row, and the last event that is in them.
    async fn sum(&self, campaign: &str, quarter: i64) -> Result<(Activity, Option<String>)> {
        let cql = "SELECT issued, redeemed, cancelled, counted_to FROM activity \
                   WHERE campaign_id = ? AND quarter = ?";
        type Row = (Option<i64>, Option<i64>, Option<i64>, Option<String>);
        let row: Option<Row> = self.session.row(cql, (campaign, quarter)).await?;
        let (issued, redeemed, cancelled, to) = row.unwrap_or_default();
        Ok((activity_of([issued, redeemed, cancelled]), to))
    }
}

fn start(progress: &Progress) -> FeedStart {
    match &progress.to {
        Some(cursor) => FeedStart::After(cursor.clone()),
        None => FeedStart::Oldest,
    }
}

/// The numbers in the columns issued, redeemed and cancelled.
pub(crate) fn activity_of(columns: [Option<i64>; 3]) -> Activity {
    let [issued, redeemed, cancelled] = columns.map(|it| it.unwrap_or(0).unsigned_abs());
    Activity { issued, redeemed, cancelled }
}

fn one(kind: CouponEventKind) -> Activity {
    let is = |it| u64::from(kind == it);
    Activity {
        issued: is(CouponEventKind::Issued),
        redeemed: is(CouponEventKind::Redeemed),
        cancelled: is(CouponEventKind::RedemptionCancelled),
    }
}

fn redeemed_in(events: &[FeedEvent]) -> Vec<Redeemed<'_>> {
    let redeemed = events.iter().filter_map(|event| {
        let coupon = counted(event).filter(|it| it.kind == CouponEventKind::Redeemed)?;
        let (campaign, order) = (coupon.owner.campaign.as_str(), coupon.reference.as_deref());
        Some(Redeemed { campaign, code: &coupon.code, at: event.at, order })
    });
    redeemed.collect()
}

/// The coupon of an event that counts here.
fn counted(event: &FeedEvent) -> Option<&CouponHappened> {
    match &event.happened {
        Happened::Coupon(coupon) => Some(coupon).filter(|_| !event.is_repeat),
        Happened::AuditEvent { .. } => None,
    }
}

fn by_row(events: &[FeedEvent]) -> Rows<'_> {
    let mut rows = Rows::new();
    for event in events {
        let Some(coupon) = counted(event) else { continue };
        if one(coupon.kind) == Activity::default() {
            continue;
        }
        for campaign in [coupon.owner.campaign.as_str(), ALL_CAMPAIGNS] {
            let row = rows.entry((campaign.to_owned(), quarter_of(event.at))).or_default();
            row.push((event, coupon.kind));
        }
    }
    rows
}
