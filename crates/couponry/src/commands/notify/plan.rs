//! Whom to tell of what: the coupons that are due, without those that were told of, user by user.
//!
//! What is due comes in the order of expiry, and may be more than fits into memory; so it is
//! sorted by user together with what was told, and a coupon behind its own "told" is left out.

use std::collections::HashMap;
use std::sync::Arc;

use coupon::calendar::format_instant;
use coupon::campaign::Campaign;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use engine::{DueCoupon, Engine, Watch};

use super::notice::{COUPONS_MAX, Key, NOTICE_BYTES, Notice, Told};
use super::sorter::{Sorted, Sorter};
use crate::failure::CliError;
use crate::open;

/// Campaigns remembered at a time; their metadata is 4 KiB at most.
const CAMPAIGNS_MAX: usize = 1_000;

/// Bytes of a coupon in a notice, without what its campaign brings.
const COUPON_BYTES: usize = 512;

/// What stands behind a key when it is sorted: what was told comes before what is due.
const TOLD: &str = "0";
const DUE: &str = "1";

/// A key that was told, to be sorted.
pub(super) fn told_line(key: &Key) -> String {
    format!("{}\t{TOLD}", key.line())
}

/// Puts everything that is due at `now` among what is sorted, and says how many coupons each page
/// has looked at.
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

/// A line out of the sorter.
enum Line {
    Told(Key),
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

/// Notices, made as they are asked for.
pub(super) struct Plan<'a> {
    engine: &'a Engine,
    now: Millis,
    sorted: Sorted,
    /// The key behind which its coupon is left out.
    known: Option<Key>,
    /// Read, and not yet in a notice.
    waiting: Option<DueLine>,
    campaigns: HashMap<CampaignId, Arc<Campaign>>,
    /// Coupons that are due and were told of before.
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

    /// The next notices, `count` at most; none at the end.
    pub(super) async fn take(&mut self, count: usize) -> Result<Vec<Notice>, CliError> {
        let mut notices = Vec::with_capacity(count);
        while notices.len() < count {
            let Some(notice) = self.next().await? else { break };
            notices.push(notice);
        }
        Ok(notices)
    }

    async fn next(&mut self) -> Result<Option<Notice>, CliError> {
        let (mut coupons, mut bytes) = (Vec::<(Key, Told)>::new(), 0);
        while let Some(due) = self.next_due()? {
            let another = coupons.first().is_some_and(|(key, _)| key.user != due.key.user);
            if another || coupons.len() == COUPONS_MAX || bytes >= NOTICE_BYTES {
                self.waiting = Some(due);
                break;
            }
            let campaign = self.campaign(&due.campaign).await?;
            bytes += COUPON_BYTES + campaign.metadata.as_ref().map_or(0, String::len);
            coupons.push((due.key.clone(), told(due, &campaign)));
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
                Some(Line::Told(key)) => self.known = Some(key),
                Some(Line::Due(due)) if self.known.as_ref() == Some(&due.key) => self.already += 1,
                Some(Line::Due(due)) => {
                    // Listed twice, told once.
                    self.known = Some(due.key.clone());
                    return Ok(Some(*due));
                }
                None => return Err(CliError::new("what was put aside to be sorted is damaged")),
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

fn told(due: DueLine, campaign: &Campaign) -> Told {
    let metadata = campaign.metadata.as_deref();
    Told {
        code: due.key.code,
        campaign_id: campaign.id.to_string(),
        campaign_name: campaign.name.clone(),
        days: due.key.days,
        days_left: due.days_left,
        valid_from: format_instant(due.valid_from),
        expires_at: format_instant(due.expires_at),
        expires_on: due.key.expires_on.to_string(),
        time_zone: due.zone,
        // It was JSON when it came in.
        metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut cells = line.split('\t').skip(1);
    let mut cell = || cells.next();
    let (user, expires_on, code) = (cell()?.parse().ok()?, cell()?.parse().ok()?, cell()?.into());
    let key = Key { user, expires_on, code, days: cell()?.parse().ok()? };
    if cell()? == TOLD {
        return Some(Line::Told(key));
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
