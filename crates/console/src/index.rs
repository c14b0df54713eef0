//! All campaigns of the store as one list in memory, for screens that sort, filter or search them.
//!
//! The store has campaigns only in the order of their ids. So the list is read whole, a page of the store at a
//! time, at most once in [`FRESH`] whatever the number of people who look; whoever comes meanwhile gets the list
//! that there is. What this process changes is in the list at once; what another one changes, a moment later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coupon::ids::CampaignId;
use coupon::time::Millis;
use engine::{CampaignView, PAGE_MAX};
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::desk::PageContext;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const FRESH: Duration = Duration::from_secs(10);

/// How old a list may be that is shown while the next one is read. After a quiet hour, people wait for it.
const SHOWN_MAX: Duration = Duration::from_secs(60);

/// The list is read again at once when this process has changed a campaign, and then not for so long: who
/// changes one after the other must not make everybody read all of them for each.
const STALE_MAX: Duration = Duration::from_secs(2);

/// Most campaigns of the list: some 20 MB.
const CAMPAIGNS_MAX: usize = 50_000;

#[derive(Debug)]
pub(crate) struct CampaignSnapshot {
    pub(crate) campaigns: Vec<CampaignView>,
    pub(crate) at: Millis,
    read: Instant,
    /// Whether it was read because this process had changed a campaign.
    after_change: bool,
}

impl CampaignSnapshot {
    pub(crate) fn of(&self, id: &CampaignId) -> Option<&CampaignView> {
        // They are in the order of their ids.
        let at = self.campaigns.binary_search_by(|it| it.campaign.id.cmp(id)).ok()?;
        self.campaigns.get(at)
    }

    /// Its name; the id if it was made a moment ago.
    pub(crate) fn name(&self, id: &CampaignId) -> String {
        self.of(id).map_or_else(|| id.to_string(), |it| it.campaign.name.clone())
    }

    pub(crate) fn worth(&self, id: &CampaignId, t: &PageTexts) -> Option<String> {
        t.worth(&self.of(id)?.campaign.worth)
    }
}

#[derive(Default)]
pub(crate) struct CampaignIndex {
    listed: RwLock<Option<Arc<CampaignSnapshot>>>,
    /// Whether this process has changed a campaign since.
    is_stale: AtomicBool,
    /// One reader at a time.
    reading: Mutex<()>,
}

impl CampaignIndex {
    fn listed(&self) -> Option<Arc<CampaignSnapshot>> {
        self.listed.read().clone()
    }

    pub(crate) fn has_changed(&self) {
        self.is_stale.store(true, Ordering::Release);
    }
}

impl PageContext {
    pub(crate) async fn all_campaigns(&self) -> ConsoleResult<Arc<CampaignSnapshot>> {
        let index = &self.console.index;
        // An empty list is read at once, and whoever sees it waits for the first campaign.
        let is_good = |known: &Arc<CampaignSnapshot>| {
            let may_be_shown = known.read.elapsed() <= SHOWN_MAX && !known.campaigns.is_empty();
            let is_stale = index.is_stale.load(Ordering::Acquire);
            let was_just_read_again = known.after_change && known.read.elapsed() <= STALE_MAX;
            may_be_shown && (!is_stale || was_just_read_again)
        };
        let known = index.listed().filter(is_good);
        if let Some(known) = known {
            if known.read.elapsed() > FRESH {
                let desk = self.clone();
                tokio::spawn(async move {
                    let Ok(_only) = desk.console.index.reading.try_lock() else { return };
                    if let Err(error) = desk.read_campaigns().await {
                        tracing::debug!(?error, "cannot read the campaigns again");
                    }
                });
            }
            return Ok(known);
        }
        let _only = index.reading.lock().await;
        match index.listed().filter(is_good) {
            Some(known) => Ok(known),
            None => self.read_campaigns().await,
        }
    }

    async fn read_campaigns(&self) -> ConsoleResult<Arc<CampaignSnapshot>> {
        let (engine, index) = (self.engine(), &self.console.index);
        // Before the read: a change during it makes the list stale again.
        let after_change = index.is_stale.swap(false, Ordering::AcqRel);
        let read = async {
            let reader = self.reader()?;
            let (mut campaigns, mut after) = (Vec::new(), None);
            while campaigns.len() < CAMPAIGNS_MAX {
                let page = engine.campaigns(&reader, after, PAGE_MAX).await?;
                let is_last = page.len() < PAGE_MAX;
                after = page.last().map(|last| last.campaign.id.clone());
                campaigns.extend(page);
                if is_last {
                    break;
                }
            }
            Ok(campaigns)
        };
        let campaigns = read.await.inspect_err(|_: &ConsoleError| index.has_changed())?;
        let (at, read) = (engine.now(), Instant::now());
        let listed = Arc::new(CampaignSnapshot { campaigns, at, read, after_change });
        *index.listed.write() = Some(Arc::clone(&listed));
        Ok(listed)
    }
}
