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
use serde::{Deserialize, Serialize};

use super::notice::{COUPONS_MAX, CouponEntry, Key, NOTICE_BYTES, Notice};
use super::sorter::{Sorted, Sorter};
use crate::failure::CliError;
use crate::open;

/// Most campaigns in memory; each has at most 4 KiB of metadata.
const CAMPAIGNS_MAX: usize = 1_000;

/// Bytes of a coupon in a notice, without the metadata of its campaign.
const COUPON_BYTES: usize = 512;

/// What a notice says of a due coupon besides its key. In the sorter it follows the key in a line.
#[derive(Serialize, Deserialize)]
struct DueFacts {
    campaign: String,
    valid_from: i64,
    expires_at: i64,
    zone: String,
    days_left: u16,
}

/// The line of a key that was sent. It comes before the lines of the same key that are due.
pub(super) fn sent_line(key: &Key) -> String {
    format!("{}\t", key.line())
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
            sorter.push(&due_line(coupon)?)?;
        }
        looked_at(page.looked_at as u64);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn due_line(due: &DueCoupon) -> Result<String, CliError> {
    let coupon = &due.coupon;
    let key = Key {
        user: due.user.clone(),
        expires_on: coupon.expires_on(),
        code: due.code.clone(),
        days: due.due.days,
    };
    let facts = DueFacts {
        campaign: coupon.genesis().campaign.to_string(),
        valid_from: coupon.genesis().valid_from.0,
        expires_at: coupon.expires_at().0,
        zone: coupon.zone().to_string(),
        days_left: due.due.days_left,
    };
    let facts = serde_json::to_string(&facts).map_err(CliError::of)?;
    Ok(format!("{}\t{facts}", key.line()))
}

pub(super) struct Plan<'a> {
    engine: &'a Engine,
    now: Millis,
    sorted: Sorted,
    /// The key of the last line: its coupon was sent, or is in a notice.
    known: Option<Key>,
    /// A due coupon that is not yet in a notice.
    waiting: Option<(Key, DueFacts)>,
    campaigns: HashMap<String, Arc<Campaign>>,
    /// Coupons that are due and whose notice was sent before.
    pub(super) already: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(engine: &'a Engine, now: Millis, sorted: Sorted) -> Plan<'a> {
        let (known, waiting, campaigns) = (None, None, HashMap::new());
        Plan { engine, now, sorted, known, waiting, campaigns, already: 0 }
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
        while let Some((key, due)) = self.next_due()? {
            let another = coupons.first().is_some_and(|(first, _)| first.user != key.user);
            if another || coupons.len() == COUPONS_MAX || bytes >= NOTICE_BYTES {
                self.waiting = Some((key, due));
                break;
            }
            let campaign = self.campaign(&due.campaign).await?;
            bytes += COUPON_BYTES + campaign.metadata.as_ref().map_or(0, String::len);
            let entry = entry(&key, due, &campaign);
            coupons.push((key, entry));
        }
        match coupons.is_empty() {
            true => Ok(None),
            false => Notice::new(coupons, self.now).map(Some),
        }
    }

    fn next_due(&mut self) -> Result<Option<(Key, DueFacts)>, CliError> {
        if let Some(due) = self.waiting.take() {
            return Ok(Some(due));
        }
        while let Some(line) = self.sorted.next()? {
            let damaged = || CliError::new("a temporary file is damaged: run it again");
            let (key, due) = parse(&line).ok_or_else(damaged)?;
            let is_known = self.known.as_ref() == Some(&key);
            self.known = Some(key.clone());
            match due {
                None => {}
                // Sent before, or listed twice.
                Some(_) if is_known => self.already += 1,
                Some(due) => return Ok(Some((key, due))),
            }
        }
        Ok(None)
    }

    async fn campaign(&mut self, id: &str) -> Result<Arc<Campaign>, CliError> {
        if let Some(known) = self.campaigns.get(id) {
            return Ok(Arc::clone(known));
        }
        let campaign: CampaignId = id.parse().map_err(CliError::of)?;
        let view = self.engine.campaign(&open::caller(), &campaign).await?;
        if self.campaigns.len() == CAMPAIGNS_MAX {
            self.campaigns.clear();
        }
        self.campaigns.insert(id.to_owned(), Arc::clone(&view.campaign));
        Ok(view.campaign)
    }
}

fn entry(key: &Key, due: DueFacts, campaign: &Campaign) -> CouponEntry {
    let metadata = campaign.metadata.as_deref();
    CouponEntry {
        code: key.code.clone(),
        campaign_id: due.campaign,
        campaign_name: campaign.name.clone(),
        days: key.days,
        days_left: due.days_left,
        valid_from: format_instant(Millis(due.valid_from)),
        expires_at: format_instant(Millis(due.expires_at)),
        expires_on: key.expires_on.to_string(),
        time_zone: due.zone,
        // The metadata was JSON when it was stored.
        metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
    }
}

fn parse(line: &str) -> Option<(Key, Option<DueFacts>)> {
    let mut cells = line.splitn(6, '\t').skip(1);
    let mut cell = || cells.next();
    let (user, expires_on, code) = (cell()?.parse().ok()?, cell()?.parse().ok()?, cell()?.into());
    let key = Key { user, expires_on, code, days: cell()?.parse().ok()? };
    match cell()? {
        "" => Some((key, None)),
        due => Some((key, Some(serde_json::from_str(due).ok()?))),
    }
}
