//! What somebody did today: the coupons that they changed, and what else the audit has of them.

use std::collections::BTreeSet;

use askama::Template;
use engine::{AuditKind, CHANGED_COUPONS_MAX, CouponNotes, CouponView, Failure};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::desk::PageContext;
use crate::roles::ConsoleAction;
use crate::screens::audit::{AuditFilter, AuditRow, filtered};
use crate::screens::coupon::{HistoryRow, staff_acts};
use crate::trouble::{ConsoleError, ConsoleResult};

/// Coupons that are read at a time.
const AT_ONCE: usize = 5;

#[derive(Template)]
#[template(path = "today.html")]
struct TodayPage<'a> {
    d: &'a PageContext,
    happened: Vec<HistoryRow>,
    /// `None` where no audit is kept.
    entries: Option<Vec<AuditRow>>,
}

impl PageContext {
    /// Notes a coupon of which something has happened: where it cannot be noted, the log says so.
    pub(crate) async fn note_coupon(&self, notes: CouponNotes<'_>, code: &str) {
        if let Err(error) = self.engine().note_coupon(notes, code).await {
            tracing::warn!(?error, "a page of the console lacks a coupon");
        }
    }

    /// Reads the coupons of such notes, each once.
    pub(crate) async fn noted(&self, notes: CouponNotes<'_>) -> ConsoleResult<Vec<CouponView>> {
        let reader = &self.reader()?;
        let codes: BTreeSet<String> =
            self.engine().noted_coupons(notes).await?.into_iter().collect();
        let reads = codes.into_iter().map(async |code| {
            let Ok(text) = code.parse() else { return Ok(None) };
            match self.engine().coupon(reader, &text, None).await {
                Ok(view) => Ok(Some(view)),
                Err(Failure::Refused { .. }) => Ok(None),
                Err(other) => Err(ConsoleError::from(other)),
            }
        });
        let coupons: Vec<Option<CouponView>> =
            iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
        Ok(coupons.into_iter().flatten().collect())
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let (today, reader) = (desk.today(), desk.reader()?);
    let actor = reader.to_string();
    let coupons = desk.noted(CouponNotes::ChangedBy(&reader)).await?;
    let begin = today.first_instant(&desk.zone);
    let mut happened = staff_acts(&desk, &coupons, None);
    happened.retain(|row| row.actor == actor && row.at >= begin);
    // Their own entries: everybody may read those.
    let filter = AuditFilter { actor: Some(&actor), day: Some(today), ..AuditFilter::default() };
    let found = filtered(&desk, ConsoleAction::Look, &filter, None).await?;
    // A sign-in changes nothing.
    let is_change = |it: &AuditRow| it.kind != AuditKind::StaffSignedIn;
    let entries = found.map(|(entries, _)| entries.into_iter().filter(is_change).collect());
    desk.page(&TodayPage { d: &desk, happened, entries })
}
