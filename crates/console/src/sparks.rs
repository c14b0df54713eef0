//! The last days of the campaigns of a list, as lines. Sums are kept for each campaign by itself, so those of its days
//! that are over are read once, and kept here until the next day is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coupon::calendar::Date;
use coupon::campaign::Campaign;
use coupon::ids::CampaignId;
use coupon::time::{DAY_MS, Millis};
use engine::{CampaignView, CountInterval, CountsView};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::chart::{self, ChartSeries};
use crate::desk::PageContext;
use crate::trouble::ConsoleResult;

/// The days of a line: all of them are over, so nothing of it changes any more.
const DAYS: i64 = 30;

/// Most campaigns that are kept: some 3 MB.
const KEPT_MAX: usize = 5_000;

/// How long a page waits for lines that nobody has read today. It comes without the rest of them; they are read on, and
/// the next page has them.
const WAIT: Duration = Duration::from_millis(30);

/// What was issued and redeemed on each day.
#[derive(Debug)]
struct CampaignCourse {
    today: Date,
    issued: Vec<u64>,
    redeemed: Vec<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct SparkCache {
    kept: Mutex<HashMap<CampaignId, CampaignCourse>>,
    /// One reader at a time, whatever the number of people who look.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl SparkCache {
    fn kept(&self) -> MutexGuard<'_, HashMap<CampaignId, CampaignCourse>> {
        self.kept.lock()
    }

    fn lacks(&self, view: &CampaignView, now: Millis) -> bool {
        let today = Date::of(now, &view.campaign.zone);
        let is_used = view.counts().issued + view.counts().redeemed > 0;
        is_used && self.kept().get(&view.campaign.id).is_none_or(|course| course.today != today)
    }
}

impl PageContext {
    /// Reads the lines of these campaigns that nobody has read today.
    pub(crate) async fn read_sparks(&self, rows: &[&CampaignView]) {
        let sparks = &self.console.sparks;
        let lacking = rows.iter().filter(|view| sparks.lacks(view, self.now));
        let lacking: Vec<Arc<Campaign>> = lacking.map(|view| Arc::clone(&view.campaign)).collect();
        if lacking.is_empty() {
            return;
        }
        let Ok(reading) = Arc::clone(&sparks.reading).try_lock_owned() else { return };
        let desk = self.clone();
        let read = tokio::spawn(async move {
            let _one = reading;
            for campaign in lacking {
                if let Err(error) = desk.read_spark(&campaign).await {
                    return tracing::debug!(?error, "cannot read the last days of a campaign");
                }
            }
        });
        // It goes on without the page.
        let _ = timeout(WAIT, read).await;
    }

    async fn read_spark(&self, campaign: &Campaign) -> ConsoleResult<()> {
        let day = |before: i64| Date::of(self.now.plus_ms(-before * DAY_MS), &campaign.zone);
        let (by, days) = (CountInterval::Day, day(DAYS)..=day(1));
        let view = self.activity(Some(&campaign.id), by, days, &campaign.zone).await?;
        let counts = view.map_or_else(Vec::new, |CountsView { counts, .. }| counts);
        let course = CampaignCourse {
            today: day(0),
            issued: counts.iter().map(|it| it.activity.issued).collect(),
            redeemed: counts.iter().map(|it| it.activity.redeemed).collect(),
        };
        let mut kept = self.console.sparks.kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(campaign.id.clone(), course);
        Ok(())
    }

    /// The lines of a campaign; nothing if they are flat, or not read yet.
    pub(crate) fn spark(&self, view: &CampaignView) -> String {
        let kept = self.console.sparks.kept();
        let Some(course) = kept.get(&view.campaign.id) else { return String::new() };
        let sum = |values: &[u64]| self.t.number(values.iter().sum::<u64>());
        let said = self.t.spark_said(sum(&course.issued), sum(&course.redeemed));
        let lines = [("issued", &course.issued), ("redeemed", &course.redeemed)];
        chart::spark(
            &lines.map(|(class, values)| ChartSeries { class, values: values.clone() }),
            &said,
        )
    }
}
