//! Campaigns that got a later end: their coupons with rows get it one after the other.
//!
//! A coupon to which nothing has happened ends when its campaign does, so a later end is its own at once. Once something has
//! happened to it, it has an end of its own. Those of an earlier end of their campaign are extended here, each by a change
//! as any other. Passes over them are repeated until the campaign is over: a later one finds what was held, what was given
//! back, and what a process wrote that was late.

use std::fmt::Display;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::Campaign;
use coupon::code::CodeText;
use coupon::coupon::{Coupon, State};
use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::time::{DAY_MS, Millis};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync};
use hot::{CouponFilter, ListOrder, ListPosition, ListQuery, ListScope, Span, bounded_join};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::pages::PAGE_MAX;
use crate::{Engine, HotError};

const PROGRESS: RecordKind = RecordKind { name: "extension", sync: RecordSync::Later };

/// Coupons between two notes of the progress.
const EXTENDED_PAGE: usize = 500;

/// Coupons that are extended at a time: so few that callers are hardly slower.
const AT_ONCE: usize = 8;

/// After which time without a note a pass is another process's to go on with.
const GIVEN_UP_AFTER_MS: i64 = 60_000;

/// The time between two passes if the last one met a coupon.
const AGAIN_AFTER_MS: i64 = 3_600_000;

/// How far the coupons of a campaign with a later end have got it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl ExtensionProgress {
    /// From when a pass may begin: the last one ended long enough ago, or whoever made it has given up.
    fn due_at(&self) -> Millis {
        let pause = match (self.is_passing, self.finished_at, self.met_any) {
            (true, _, _) => GIVEN_UP_AFTER_MS,
            (false, None, _) => 0,
            (false, Some(_), true) => AGAIN_AFTER_MS,
            (false, Some(_), false) => DAY_MS,
        };
        Millis(self.noted_at).plus_ms(pause)
    }
}

impl Engine {
    /// Goes on with campaigns that got a later end. May be called by several processes: one makes the pass over a
    /// campaign. One read, if there is nothing to do.
    ///
    /// # Errors
    /// Those of the store; the next call goes on.
    pub async fn extend_coupons(&self) -> Result<()> {
        let mut range = RecordRange::first(PAGE_MAX);
        loop {
            let rows = self.hot.tables().scan(&progress_part(), range.clone()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            range = range.after(&last.key);
            for row in rows {
                self.go_on(row).await?;
            }
        }
    }

    async fn go_on(&self, RecordRow { key, value }: RecordRow) -> Result<()> {
        let (now, progress) = (self.now(), read(&value)?);
        if progress.due_at() > now && progress.ends_at > now.0 {
            return Ok(());
        }
        let id: CampaignId = String::from_utf8_lossy(&key).parse().map_err(damaged)?;
        match self.hot.campaign(&id, now).await? {
            Some(found) if now < found.campaign.expires_at => {
                self.extend_those_of(&found.campaign, (value, progress)).await
            }
            // Nothing of it can be extended any more.
            Some(_) | None => {
                let over = RecordPut::delete(key);
                self.hot.tables().replace(&progress_part(), Some(&value), over).await?;
                Ok(())
            }
        }
    }

    /// Begins what was not begun: a process was killed after it gave a campaign a later end, or a copy or a restore
    /// brought one. Reads all campaigns.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find_extensions(&self) -> Result<()> {
        let mut after: Option<CampaignId> = None;
        loop {
            let rows = self.hot.campaigns(after, PAGE_MAX, self.now()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.campaign.id.clone());
            for row in &rows {
                if self.now() < row.campaign.expires_at {
                    self.begin_extension(&row.campaign).await?;
                }
            }
        }
    }

    /// Ends when somebody gives a campaign a later end in this process.
    pub async fn extension_begun(&self) {
        self.extensions_begun.notified().await;
    }

    /// Enters that the coupons of a campaign are to be extended, if it got a later end and that is not entered yet.
    pub(crate) async fn begin_extension(&self, campaign: &Campaign) -> Result<()> {
        if campaign.earlier_ends.is_empty() {
            return Ok(());
        }
        let (seen, progress) = self.extension_row(campaign).await?;
        if progress.is_some_and(|it| it.ends_at == campaign.expires_at.0) {
            return Ok(());
        }
        let begun = ExtensionProgress { ends_at: campaign.expires_at.0, ..Default::default() };
        self.put_extension(campaign, seen.as_deref(), &begun).await?;
        self.extensions_begun.notify_one();
        Ok(())
    }

    /// How far the coupons of a campaign have got its later end; `None` if it has none, or is over.
    pub(crate) async fn extension_of(
        &self,
        campaign: &Campaign,
    ) -> Result<Option<ExtensionProgress>> {
        if campaign.earlier_ends.is_empty() {
            return Ok(None);
        }
        let (_, progress) = self.extension_row(campaign).await?;
        Ok(progress.filter(|it| it.ends_at == campaign.expires_at.0))
    }

    async fn extension_row(
        &self,
        campaign: &Campaign,
    ) -> Result<(Option<Vec<u8>>, Option<ExtensionProgress>)> {
        let key = campaign.id.as_str().as_bytes();
        let seen = self.hot.tables().get(&progress_part(), key).await?;
        let progress = seen.as_deref().map(read).transpose()?;
        Ok((seen, progress))
    }

    /// The row that says so now; `None` if another process has changed it.
    async fn put_extension(
        &self,
        campaign: &Campaign,
        seen: Option<&[u8]>,
        progress: &ExtensionProgress,
    ) -> Result<Option<Vec<u8>>> {
        let next = serde_json::to_vec(progress).unwrap_or_default();
        let row = RecordPut::new(campaign.id.as_str(), next.clone());
        let is_ours = self.hot.tables().replace(&progress_part(), seen, row).await?;
        Ok(is_ours.then_some(next))
    }

    /// A pass over the coupons of a campaign, unless another process makes it. Takes its row.
    async fn extend_those_of(
        &self,
        campaign: &Campaign,
        (mut seen, before): (Vec<u8>, ExtensionProgress),
    ) -> Result<()> {
        let ends_at = campaign.expires_at.0;
        let before = if before.ends_at == ends_at { before } else { Default::default() };
        let now = self.now().0;
        let mut progress = ExtensionProgress {
            ends_at,
            refused: 0,
            is_passing: true,
            met_any: false,
            noted_at: now,
            ..before
        };
        for end in &campaign.earlier_ends {
            let mut after = None;
            loop {
                let Some(row) = self.put_extension(campaign, Some(&seen), &progress).await? else {
                    return Ok(());
                };
                seen = row;
                let query = ended_at(campaign, *end, after, self.now());
                let page = self.hot.list(query).await?;
                let coupons = page.coupons.iter().map(|it| &it.coupon);
                let late = coupons.filter_map(|it| Some((it, later_end(campaign, it)?)));
                let extended = late.map(|(it, end)| self.extend_one(campaign, it, end));
                for is_extended in bounded_join(AT_ONCE, extended).await? {
                    progress.met_any = true;
                    progress.extended += u64::from(is_extended);
                    progress.refused += u64::from(!is_extended);
                }
                progress.noted_at = self.now().0;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        progress.is_passing = false;
        progress.finished_at = Some(self.now().0);
        self.put_extension(campaign, Some(&seen), &progress).await.map(drop)
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

/// All progress is in one partition: few campaigns get a later end.
fn progress_part() -> RecordPart {
    PROGRESS.part(b"campaign")
}

fn read(row: &[u8]) -> Result<ExtensionProgress> {
    serde_json::from_slice(row).map_err(damaged)
}

fn damaged(why: impl Display) -> Failure {
    Failure::Store(HotError::Damaged(format!("an extension: {why}")))
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
