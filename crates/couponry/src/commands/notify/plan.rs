//! Plans the notices: the coupons that are due and were not sent before, user by user.
//!
//! The store returns due coupons in the order of expiry, perhaps more than fit into memory. So they
//! are sorted by user, together with the keys that were sent. A due coupon after its own sent key
//! is left out.

use std::collections::HashMap;
use std::sync::Arc;

use coupon::calendar::format_instant;
use coupon::campaign::Campaign;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use engine::{DueCoupon, Engine, Watch};

use super::notice::{COUPONS_MAX, CouponEntry, Key, NOTICE_BYTES, Notice};
use super::sorter::{Sorted, Sorter};
use crate::failure::CliError;
use crate::open;

/// Most campaigns in memory; each has at most 4 KiB of metadata.
const CAMPAIGNS_MAX: usize = 1_000;

/// Bytes of a coupon in a notice, without the metadata of its campaign.
const COUPON_BYTES: usize = 512;

/// What follows a key in a line, so that a sent key comes before the due one.
const SENT: &str = "0";
const DUE: &str = "1";

/// The line of a key that was sent.
pub(super) fn sent_line(key: &Key) -> String {
    format!("{}\t{SENT}", key.line())
}

/// Sorts in every coupon that is due at `now`. Calls `looked_at` with the coupons that each page
/// has read.
pub(super) async fn look(
    engine: &Engine,
    watches: &[Watch],
    now: Millis,
    sorter: &mut Sorter,
    looked_at: &mut (dyn FnMut(u64) + Send),
) -> Result<(), CliError> {
    let mut after = None;
    loop {
        let page = engine.due(&open::caller(), watches, now, after).await?;
        for coupon in &page.coupons {
            sorter.push(&due_line(coupon))?;
        }
        looked_at(page.looked_at as u64);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn due_line(due: &DueCoupon) -> String {
    let coupon = &due.coupon;
    let key = Key {
        user: due.user.clone(),
        expires_on: coupon.expires_on(),
        code: due.code.clone(),
        days: due.due.days,
    };
    let genesis = coupon.genesis();
    let (campaign, valid_from) = (&genesis.campaign, genesis.valid_from.0);
    let (expires_at, zone, left) = (coupon.expires_at().0, coupon.zone(), due.due.days_left);
    format!("{}\t{DUE}\t{campaign}\t{valid_from}\t{expires_at}\t{zone}\t{left}", key.line())
}

/// A line from the sorter.
enum Line {
    Sent(Key),
    Due(Box<DueLine>),
}

struct DueLine {
    key: Key,
    campaign: CampaignId,
    valid_from: Millis,
    expires_at: Millis,
    zone: String,
    days_left: u16,
}

/// Makes the notices one after the other.
pub(super) struct Plan<'a> {
    engine: &'a Engine,
    now: Millis,
    sorted: Sorted,
    /// The key that was sent last: its coupon is left out.
    known: Option<Key>,
    /// A due coupon that is not yet in a notice.
    waiting: Option<DueLine>,
    campaigns: HashMap<CampaignId, Arc<Campaign>>,
    /// Coupons that are due and whose notice was sent before.
    pub(super) already: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        now: Millis,
        sorter: Sorter,
    ) -> Result<Plan<'a>, CliError> {
        let sorted = sorter.finish()?;
        let (known, waiting, campaigns) = (None, None, HashMap::new());
        Ok(Plan { engine, now, sorted, known, waiting, campaigns, already: 0 })
    }

    /// The next notices, at most `count`; none at the end.
    pub(super) async fn take(&mut self, count: usize) -> Result<Vec<Notice>, CliError> {
        let mut notices = Vec::with_capacity(count);
        while notices.len() < count {
            let Some(notice) = self.next().await? else { break };
            notices.push(notice);
        }
        Ok(notices)
    }

    async fn next(&mut self) -> Result<Option<Notice>, CliError> {
        let (mut coupons, mut bytes) = (Vec::<(Key, CouponEntry)>::new(), 0);
        while let Some(due) = self.next_due()? {
            let another = coupons.first().is_some_and(|(key, _)| key.user != due.key.user);
            if another || coupons.len() == COUPONS_MAX || bytes >= NOTICE_BYTES {
                self.waiting = Some(due);
                break;
            }
            let campaign = self.campaign(&due.campaign).await?;
            bytes += COUPON_BYTES + campaign.metadata.as_ref().map_or(0, String::len);
            coupons.push((due.key.clone(), entry(due, &campaign)));
        }
        match coupons.is_empty() {
            true => Ok(None),
            false => Notice::new(coupons, self.now).map(Some),
        }
    }

    fn next_due(&mut self) -> Result<Option<DueLine>, CliError> {
        if let Some(due) = self.waiting.take() {
            return Ok(Some(due));
        }
        while let Some(line) = self.sorted.next()? {
            match parse(&line) {
                Some(Line::Sent(key)) => self.known = Some(key),
                Some(Line::Due(due)) if self.known.as_ref() == Some(&due.key) => self.already += 1,
                Some(Line::Due(due)) => {
                    // A coupon may be listed twice.
                    self.known = Some(due.key.clone());
                    return Ok(Some(*due));
                }
                None => return Err(CliError::new("a temporary file is damaged: run it again")),
            }
        }
        Ok(None)
    }

    async fn campaign(&mut self, id: &CampaignId) -> Result<Arc<Campaign>, CliError> {
        if let Some(known) = self.campaigns.get(id) {
            return Ok(Arc::clone(known));
        }
        let view = self.engine.campaign(&open::caller(), id).await?;
        if self.campaigns.len() == CAMPAIGNS_MAX {
            self.campaigns.clear();
        }
        self.campaigns.insert(id.clone(), Arc::clone(&view.campaign));
        Ok(view.campaign)
    }
}

fn entry(due: DueLine, campaign: &Campaign) -> CouponEntry {
    let metadata = campaign.metadata.as_deref();
    CouponEntry {
        code: due.key.code,
        campaign_id: campaign.id.to_string(),
        campaign_name: campaign.name.clone(),
        days: due.key.days,
        days_left: due.days_left,
        valid_from: format_instant(due.valid_from),
        expires_at: format_instant(due.expires_at),
        expires_on: due.key.expires_on.to_string(),
        time_zone: due.zone,
        // The metadata was JSON when it was stored.
        metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut cells = line.split('\t').skip(1);
    let mut cell = || cells.next();
    let (user, expires_on, code) = (cell()?.parse().ok()?, cell()?.parse().ok()?, cell()?.into());
    let key = Key { user, expires_on, code, days: cell()?.parse().ok()? };
    if cell()? == SENT {
        return Some(Line::Sent(key));
    }
    Some(Line::Due(Box::new(DueLine {
        key,
        campaign: cell()?.parse().ok()?,
        valid_from: Millis(cell()?.parse().ok()?),
        expires_at: Millis(cell()?.parse().ok()?),
        zone: cell()?.to_owned(),
        days_left: cell()?.parse().ok()?,
    })))
}
