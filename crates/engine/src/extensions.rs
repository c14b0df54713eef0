//! Campaigns that got a later end: their coupons with rows get it one after the other.
//!
//! A coupon to which nothing has happened ends when its campaign does, so a later end is its own at once. Once something has
//! happened to it, it has an end of its own. Those of an earlier end of their campaign are extended here, each by a change
//! as any other. Passes over them are repeated until the campaign is over: a later one finds what was held, what was given
//! back, and what a process wrote that was late.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::Campaign;
use coupon::code::CodeText;
use coupon::coupon::{Coupon, State};
use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::time::{DAY_MS, Millis};
use hot::tables::{RecordKind, RecordPut, RecordSync};
use hot::{CouponFilter, ListOrder, ListPosition, ListQuery, ListScope, Span, bounded_join};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::pages::PAGE_MAX;
use crate::{Engine, HotError};

const PROGRESS: RecordKind = RecordKind { name: "extension", sync: RecordSync::Later };

/// All progress is in one partition: few campaigns get a later end.
const OF_CAMPAIGN: &[u8] = b"campaign";

/// Coupons between two notes of the progress.
const EXTENDED_PAGE: usize = 500;

/// Coupons that are extended at a time: so few that callers are hardly slower.
const AT_ONCE: usize = 8;

/// After which time without a note a pass is another process's to go on with.
const GIVEN_UP_AFTER_MS: i64 = 60_000;

/// The time between two passes if the last one met a coupon.
const AGAIN_AFTER_MS: i64 = 3_600_000;

/// How far the coupons of a campaign with a later end have got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionProgress {
    /// The end that they get, as milliseconds.
    ends_at: i64,
    /// Coupons that were extended to it.
    pub extended: u64,
    /// Coupons that the last pass could not extend: they are held, or their history is full.
    pub refused: u64,
    /// When the last pass over all of them ended, in milliseconds; `None` before the first has.
    pub finished_at: Option<i64>,
    /// Whether a pass is under way.
    is_passing: bool,
    /// Whether that pass, or the last one, met a coupon.
    met_any: bool,
    noted_at: i64,
}

/// A pass that this process makes.
struct ExtensionTurn {
    progress: ExtensionProgress,
    /// The row as it was last written.
    seen: Option<Vec<u8>>,
}

impl Engine {
    /// Goes on with all campaigns that got a later end. May be called by several processes: one makes the pass.
    ///
    /// # Errors
    /// Those of the store; the next call goes on.
    pub async fn extend_coupons(&self) -> Result<()> {
        let mut after: Option<CampaignId> = None;
        loop {
            let rows = self.hot.campaigns(after, PAGE_MAX, self.now()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.campaign.id.clone());
            for row in &rows {
                let is_over = self.now() >= row.campaign.expires_at;
                if !is_over && !row.campaign.earlier_ends.is_empty() {
                    self.extend_those_of(&row.campaign).await?;
                }
            }
        }
    }

    /// Ends when somebody gives a campaign a later end in this process.
    pub async fn extension_begun(&self) {
        self.extensions_begun.notified().await;
    }

    /// How far the coupons of a campaign have got its later end; `None` if it has none, or nobody has begun.
    pub(crate) async fn extension_of(
        &self,
        campaign: &Campaign,
    ) -> Result<Option<ExtensionProgress>> {
        if campaign.earlier_ends.is_empty() {
            return Ok(None);
        }
        let (_, progress) = self.noted(campaign).await?;
        Ok(progress.filter(|it| it.ends_at == campaign.expires_at.0))
    }

    async fn noted(
        &self,
        campaign: &Campaign,
    ) -> Result<(Option<Vec<u8>>, Option<ExtensionProgress>)> {
        let key = campaign.id.as_str().as_bytes();
        let seen = self.hot.tables().get(&PROGRESS.part(OF_CAMPAIGN), key).await?;
        let damaged = |why| Failure::Store(HotError::Damaged(format!("an extension: {why}")));
        let progress = seen.as_deref().map(serde_json::from_slice).transpose().map_err(damaged)?;
        Ok((seen, progress))
    }

    async fn extend_those_of(&self, campaign: &Campaign) -> Result<()> {
        let Some(mut turn) = self.turn(campaign).await? else { return Ok(()) };
        for end in &campaign.earlier_ends {
            let mut after = None;
            loop {
                let query = ended_at(campaign, *end, after, self.now());
                let page = self.hot.list(query).await?;
                let coupons = page.coupons.iter().map(|it| &it.coupon);
                let late = coupons.filter_map(|it| Some((it, later_end(campaign, it)?)));
                let extended = late.map(|(it, end)| self.extend_one(campaign, it, end));
                for is_extended in bounded_join(AT_ONCE, extended).await? {
                    turn.progress.met_any = true;
                    turn.progress.extended += u64::from(is_extended);
                    turn.progress.refused += u64::from(!is_extended);
                }
                if !self.note_turn(campaign, &mut turn).await? {
                    return Ok(());
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        turn.progress.is_passing = false;
        turn.progress.finished_at = Some(self.now().0);
        self.note_turn(campaign, &mut turn).await.map(drop)
    }

    /// A pass over the coupons of a campaign, unless one has just ended or another process makes it.
    async fn turn(&self, campaign: &Campaign) -> Result<Option<ExtensionTurn>> {
        let (seen, before) = self.noted(campaign).await?;
        let before = before.filter(|it| it.ends_at == campaign.expires_at.0);
        let (now, ends_at) = (self.now().0, campaign.expires_at.0);
        let pause = before.as_ref().map(|it| match (it.is_passing, it.met_any) {
            (true, _) => GIVEN_UP_AFTER_MS,
            (false, true) => AGAIN_AFTER_MS,
            (false, false) => DAY_MS,
        });
        if before.as_ref().zip(pause).is_some_and(|(it, pause)| now < it.noted_at + pause) {
            return Ok(None);
        }
        let progress = ExtensionProgress {
            ends_at,
            extended: before.as_ref().map_or(0, |it| it.extended),
            refused: 0,
            finished_at: before.and_then(|it| it.finished_at),
            is_passing: true,
            met_any: false,
            noted_at: now,
        };
        let mut turn = ExtensionTurn { progress, seen };
        Ok(self.note_turn(campaign, &mut turn).await?.then_some(turn))
    }

    /// `false` if another process has gone on with it: it is no longer this one's.
    async fn note_turn(&self, campaign: &Campaign, turn: &mut ExtensionTurn) -> Result<bool> {
        turn.progress.noted_at = self.now().0;
        let next = serde_json::to_vec(&turn.progress).unwrap_or_default();
        let row = RecordPut::new(campaign.id.as_str(), next.clone());
        let (tables, part) = (self.hot.tables(), PROGRESS.part(OF_CAMPAIGN));
        let is_ours = tables.replace(&part, turn.seen.as_deref(), row).await?;
        turn.seen = Some(next);
        Ok(is_ours)
    }

    async fn extend_one(
        &self,
        campaign: &Campaign,
        coupon: &Coupon,
        expires_at: Millis,
    ) -> Result<bool, HotError> {
        let zone = campaign.zone.clone();
        let change = Change {
            action: Action::Extend { expires_at, zone, reason: None },
            asker: Asker::Shop,
            actor: Actor::new("system:extension"),
            operation: OperationId(uuid::Uuid::now_v7().as_u128()),
            at: self.now(),
            if_version: Some(coupon.version()),
        };
        let text = CodeText::from(coupon.code().clone());
        let Some(found) = self.router.find(&text, self.hot()).await? else { return Ok(false) };
        let applied = self.hot.apply(&found, change).await?;
        Ok(matches!(applied.outcome, Outcome::Accepted(_) | Outcome::Replayed))
    }
}

fn ended_at(
    campaign: &Campaign,
    end: Millis,
    after: Option<ListPosition>,
    now: Millis,
) -> ListQuery {
    let expires = Span { from: Some(end), before: Some(end.plus_ms(1)) };
    ListQuery {
        scope: ListScope::Campaign(campaign.id.clone()),
        filter: CouponFilter { expires, ..CouponFilter::default() },
        order: ListOrder::Soonest,
        after,
        limit: EXTENDED_PAGE,
        now,
    }
}

/// The end that a coupon gets with the later one of its campaign: `None` if it is final, or ended earlier by its own days.
fn later_end(campaign: &Campaign, coupon: &Coupon) -> Option<Millis> {
    let is_open = matches!(coupon.state(), State::Available | State::Issued { .. });
    let own = coupon.issued_at().and_then(|at| campaign.issued_until(at));
    let end = own.map_or(campaign.expires_at, |own| own.min(campaign.expires_at));
    (is_open && end > coupon.expires_at()).then_some(end)
}
