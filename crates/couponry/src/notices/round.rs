//! A round of notices to one destination: finds what is due, and hands it over. `couponry notify` runs one, `serve`
//! one an hour.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use coupon::time::Millis;
use engine::{DueCoupon, Engine, NoticeRange, NoticeRound};
use futures::{StreamExt, stream};
use webhooks::{Announced, Webhooks};

use super::notice::{Notice, NoticeDraft};
use crate::failure::{CliError, Ended, Result};
use crate::open;
use crate::output::{self, Out, thousands};

pub(crate) const WEBHOOKS: &str = "webhooks";

/// Holders whose notices a round remembers to have made, 16 MB of them. It looks again at those before.
const HOLDERS_MAX: usize = 1 << 20;

/// Notices that are handed over at a time.
const CHUNK: usize = 64;

/// How long a full webhook is waited for, which may be one that nobody answers: a minute.
const ROOM_PAUSE: Duration = Duration::from_secs(2);
const ROOM_LOOKS: u32 = 30;

/// Notices that did not reach everybody and are shown; the others are counted.
const SHOWN_MAX: usize = 5;

const ANNOUNCED_AT_ONCE: usize = 8;

pub(crate) enum NoticeDestination {
    /// Standard output, under a name. Its notices count as sent when the round ends; after an interrupted round, the
    /// next one prints all of them again.
    Standard(String),
    /// The webhooks of `/v1/webhooks` that ask for notices.
    Webhooks(Arc<Webhooks>),
}

impl NoticeDestination {
    fn name(&self) -> &str {
        match self {
            NoticeDestination::Standard(name) => name,
            NoticeDestination::Webhooks(_) => WEBHOOKS,
        }
    }
}

pub(crate) struct Round<'a> {
    pub(crate) engine: &'a Engine,
    /// Numbers of days before the last day, each once.
    pub(crate) days: &'a [u16],
    pub(crate) target: &'a NoticeDestination,
    /// Called with the notices that were sent and the coupons that were read.
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl Round<'_> {
    /// Sends every notice that is due. It may be repeated: the store knows how far the rounds are, and the webhooks
    /// know each notice by its id.
    ///
    /// # Errors
    /// An error of the store or of standard output; the next round begins with the same notices.
    pub(crate) async fn run(&self) -> Result<NoticeCounts> {
        let (began, mut counts) = (self.engine.now(), NoticeCounts::default());
        let sent = self.until(began, &mut counts).await;
        self.note(began, &counts).await;
        sent.map(|()| counts)
    }

    /// Counts what [`Round::run`] would send. Writes nothing.
    pub(crate) async fn dry_run(&self) -> Result<NoticeCounts> {
        let mut counts = NoticeCounts::default();
        let range = self.engine.next_notices(self.target.name()).await?;
        self.send(&range, &mut Outlet::new(None, &mut counts)).await?;
        Ok(counts)
    }

    /// A round that stopped half way comes first, and then the one until now.
    async fn until(&self, now: Millis, counts: &mut NoticeCounts) -> Result<()> {
        loop {
            let destination = self.target.name();
            let range = self.engine.begin_notices(destination).await?;
            let mut outlet = Outlet::new(Some(self.target), counts);
            let waiting = self.send(&range, &mut outlet).await?;
            if let NoticeDestination::Standard(_) = self.target {
                outlet.out.finish()?;
                output::sync()?;
            }
            self.engine.end_notices(destination, &range, waiting).await?;
            if range.until >= now {
                return Ok(());
            }
        }
    }

    /// Enters what was sent, also by a round that failed half way, for the calendar of the console.
    async fn note(&self, began: Millis, counts: &NoticeCounts) {
        let NoticeCounts { sent, coupons, failed, .. } = *counts;
        let to = self.target.name().to_owned();
        let round = NoticeRound { began_at: began.0, to, sent, coupons, failed };
        if let Err(error) = self.engine.note_notice_round(round).await {
            tracing::warn!(?error, "the calendar of the console does not show these notices");
        }
    }

    /// Looks through all coupons, soonest expiry first. A holder's first due coupon brings the others into their
    /// notice. Returns what is paused.
    async fn send(
        &self,
        range: &NoticeRange,
        outlet: &mut Outlet<'_>,
    ) -> Result<BTreeMap<String, Millis>> {
        let (mut waiting, mut next) = (BTreeMap::new(), Some(None));
        let (mut holders, caller) = (Holders::default(), open::caller());
        while let Some(after) = next {
            let due = (self.days, range);
            let page = self.engine.due(&caller, None, due, after, &mut waiting).await?;
            outlet.counts.looked_at += page.looked_at as u64;
            for found in &page.coupons {
                if holders.is_new(found) {
                    self.send_to_holder(found, range, holders.may_be_old, outlet).await?;
                }
            }
            (self.progress)(outlet.counts.sent, outlet.counts.looked_at);
            next = page.next.map(Some);
        }
        outlet.flush().await?;
        Ok(waiting)
    }

    /// The notices of a holder, one of whose coupons was found to be due. If the holder `may_be_old`, they were made
    /// before unless this coupon is the first.
    async fn send_to_holder(
        &self,
        found: &DueCoupon,
        range: &NoticeRange,
        may_be_old: bool,
        outlet: &mut Outlet<'_>,
    ) -> Result<()> {
        let (mut draft, caller) = (NoticeDraft::new(&found.holder, range.until), open::caller());
        let (mut next, mut is_first) = (Some(None), true);
        while let Some(after) = next {
            let (holder, due) = (Some(&found.holder), (self.days, range));
            // What of it is paused, the list of everybody says.
            let mut paused = BTreeMap::new();
            let page = self.engine.due(&caller, holder, due, after, &mut paused).await?;
            let is_later = page.coupons.first().is_some_and(|it| it.code != found.code);
            if may_be_old && is_first && is_later {
                return Ok(());
            }
            is_first &= page.coupons.is_empty();
            for coupon in &page.coupons {
                if let Some(full) = draft.push(coupon) {
                    outlet.put(full).await?;
                }
            }
            next = page.next.map(Some);
        }
        if let Some(last) = draft.take() { outlet.put(last).await } else { Ok(()) }
    }
}

/// Hands notices to a destination, some at a time, and counts them.
struct Outlet<'a> {
    /// `None` where notices are only counted.
    target: Option<&'a NoticeDestination>,
    out: Out,
    /// Whether it waits for a full webhook. One that makes no room in time is not waited for again in this round.
    waits: bool,
    chunk: Vec<Notice>,
    counts: &'a mut NoticeCounts,
}

impl<'a> Outlet<'a> {
    fn new(target: Option<&'a NoticeDestination>, counts: &'a mut NoticeCounts) -> Outlet<'a> {
        Outlet { target, out: Out::standard(), waits: true, chunk: Vec::new(), counts }
    }

    async fn put(&mut self, notice: Notice) -> Result<()> {
        self.chunk.push(notice);
        if self.chunk.len() < CHUNK { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<()> {
        let notices = std::mem::take(&mut self.chunk);
        match self.target {
            None => notices.iter().for_each(|notice| self.counts.add_sent(notice)),
            Some(NoticeDestination::Standard(_)) => {
                for notice in &notices {
                    self.out.put(&serde_json::to_string(notice).map_err(CliError::of)?)?;
                    self.out.put("\n")?;
                    self.counts.add_sent(notice);
                }
                self.out.flush()?;
            }
            Some(NoticeDestination::Webhooks(webhooks)) => {
                self.announce(webhooks, &notices).await?;
            }
        }
        Ok(())
    }

    async fn announce(&mut self, webhooks: &Webhooks, notices: &[Notice]) -> Result<()> {
        let announce = |notice: &Notice| webhooks.announce(notice.announcement());
        let announced = stream::iter(notices.iter().map(announce));
        let mut announced = announced.buffered(ANNOUNCED_AT_ONCE);
        for notice in notices {
            let Some(first) = announced.next().await else { break };
            let mut heard = first.map_err(CliError::of)?;
            let mut left = ROOM_LOOKS;
            while heard.full > 0 && self.waits {
                tokio::time::sleep(ROOM_PAUSE).await;
                heard = announce(notice).await.map_err(CliError::of)?;
                left -= 1;
                self.waits = left > 0 || heard.full == 0;
            }
            self.counts.add_announced(notice, heard);
        }
        Ok(())
    }
}

/// Hashes of the holders whose notices were made.
#[derive(Default)]
struct Holders {
    hash: RandomState,
    seen: HashSet<u64>,
    /// Whether some were forgotten, since there are too many.
    may_be_old: bool,
}

impl Holders {
    fn is_new(&mut self, due: &DueCoupon) -> bool {
        if self.seen.len() >= HOLDERS_MAX {
            self.seen.clear();
            self.may_be_old = true;
        }
        self.seen.insert(self.hash.hash_one(&due.holder))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoticeCounts {
    /// Issued coupons that were read.
    pub(crate) looked_at: u64,
    /// Notices that were sent, and the coupons in them.
    pub(crate) sent: u64,
    pub(crate) coupons: u64,
    /// Notices for which a webhook had no room: it does not get them.
    pub(crate) failed: u64,
    /// The reasons for the first of them.
    pub(crate) shown: Vec<String>,
}

impl NoticeCounts {
    fn add_sent(&mut self, notice: &Notice) {
        self.sent += 1;
        self.coupons += notice.coupons.len() as u64;
    }

    /// Nobody gets it if the last webhook that asked for notices was deleted within the round.
    fn add_announced(&mut self, notice: &Notice, Announced { endpoints, full }: Announced) {
        if endpoints > 0 {
            self.add_sent(notice);
        }
        if full == 0 {
            return;
        }
        self.failed += 1;
        if self.shown.len() < SHOWN_MAX {
            let Notice { notice_id, user_id, .. } = notice;
            let why = "webhooks have too many deliveries that wait";
            self.shown.push(format!("{notice_id} for {user_id}: {full} {why}"));
        }
    }

    pub(crate) fn summary(&self, dry_run: bool) -> String {
        let [sent, coupons, failed] = [self.sent, self.coupons, self.failed].map(thousands);
        match dry_run {
            true => format!("would send {sent} notices about {coupons} coupons"),
            false => format!("sent {sent} notices about {coupons} coupons; failed {failed}"),
        }
    }

    /// # Errors
    /// Nothing arrived.
    pub(crate) fn ended(&self) -> Result<Ended> {
        match (self.failed, self.sent) {
            (0, _) => Ok(Ended::Done),
            (_, 0) => Err(CliError::new("the webhooks have no room: run it again later")),
            (_, _) => Ok(Ended::Partly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `serve` runs rounds in a task.
    #[test]
    fn a_round_fits_in_a_task() {
        fn fits<T: Send>(_: impl FnOnce(&'static Round<'static>) -> T) {}
        fits(|round| round.run());
    }
}
