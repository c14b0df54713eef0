//! A notice: what one holder learns at a time. The only module that writes it.

use std::collections::BTreeSet;

use api::bodies::BenefitTitleBody;
use coupon::calendar::format_instant;
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::{DueCoupon, NOTICE_TYPE};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webhooks::Announcement;

/// Most coupons of one notice; a holder with more coupons gets several notices.
const COUPONS_MAX: usize = 100;

/// Bytes of coupons after which a notice ends: a body of this size every receiver accepts.
const NOTICE_BYTES: usize = 64 << 10;

/// Bytes of a coupon in a notice, without the texts of its campaign.
const COUPON_BYTES: usize = 512;

/// The notice as one line of JSON, field by field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notice {
    pub(super) notice_id: String,
    r#type: String,
    timestamp: String,
    pub(super) user_id: String,
    days_left: u16,
    pub(super) coupons: Vec<CouponEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CouponEntry {
    code: String,
    campaign_id: String,
    campaign_name: String,
    /// The number of --days that it is sent for.
    days: u16,
    /// The days that are really left.
    days_left: u16,
    valid_from: String,
    expires_at: String,
    expires_on: String,
    time_zone: String,
    metadata: Option<Value>,
    /// In each language, since nobody knows that of the user.
    worth: Option<Value>,
}

impl CouponEntry {
    fn new(due: &DueCoupon) -> CouponEntry {
        let (coupon, campaign) = (&due.snapshot.coupon, &due.snapshot.campaign);
        let metadata = campaign.metadata.as_deref();
        CouponEntry {
            code: due.code.clone(),
            campaign_id: campaign.id.to_string(),
            campaign_name: campaign.name.clone(),
            days: due.days,
            days_left: due.days_left,
            valid_from: format_instant(coupon.genesis().valid_from),
            expires_at: format_instant(coupon.expires_at()),
            expires_on: coupon.expires_on().to_string(),
            time_zone: coupon.zone().to_string(),
            // The metadata was JSON when it was stored.
            metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
            worth: BenefitTitleBody::of_worth(&campaign.worth).map(|texts| json!(texts)),
        }
    }
}

impl Notice {
    pub(super) fn announcement(&self) -> Announcement {
        let campaigns: BTreeSet<&str> =
            self.coupons.iter().map(|coupon| coupon.campaign_id.as_str()).collect();
        Announcement {
            id: self.notice_id.clone(),
            event_type: self.r#type.clone(),
            only_by_name: true,
            at_ms: coupon::calendar::parse_instant(&self.timestamp).map_or(0, |at| at.0),
            campaigns: campaigns.into_iter().map(str::to_owned).collect(),
            data: json!({
                "notice_id": self.notice_id,
                "user_id": self.user_id,
                "days_left": self.days_left,
                "coupons": self.coupons,
            }),
        }
    }
}

/// The notices of one holder, one after the other.
pub(super) struct NoticeDraft {
    user: String,
    at: Millis,
    coupons: Vec<CouponEntry>,
    bytes: usize,
}

impl NoticeDraft {
    pub(super) fn new(holder: &UserId, at: Millis) -> NoticeDraft {
        NoticeDraft { user: holder.to_string(), at, coupons: Vec::new(), bytes: 0 }
    }

    /// Adds a coupon of the same holder. Returns the notice of those before it if there is no room for it.
    pub(super) fn push(&mut self, due: &DueCoupon) -> Option<Notice> {
        let is_full = self.coupons.len() == COUPONS_MAX || self.bytes >= NOTICE_BYTES;
        let full = if is_full { self.take() } else { None };
        let coupon = CouponEntry::new(due);
        let texts = [&coupon.metadata, &coupon.worth].into_iter().flatten();
        self.bytes += COUPON_BYTES + texts.map(|text| text.to_string().len()).sum::<usize>();
        self.coupons.push(coupon);
        full
    }

    /// The notice of the coupons that are in none yet.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.bytes = 0;
        let coupons = std::mem::take(&mut self.coupons);
        let days_left = coupons.iter().map(|it| it.days_left).min()?;
        Some(Notice {
            notice_id: id(&self.user, &coupons),
            r#type: NOTICE_TYPE.to_owned(),
            timestamp: format_instant(self.at),
            user_id: self.user.clone(),
            days_left,
            coupons,
        })
    }
}

/// The same for the same coupons, days and holder, whenever and wherever the notice is made.
fn id(user: &str, coupons: &[CouponEntry]) -> String {
    let hash = hex::encode(&digest(&SHA256, user.as_bytes()).as_ref()[..4]);
    let lines = coupons.iter().map(|CouponEntry { expires_on, code, days, .. }| {
        format!("{hash}\t{user}\t{expires_on}\t{code}\t{days}")
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("ntc_{}", hex::encode(&digest(&SHA256, lines.as_bytes()).as_ref()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `docs/notices.md`, which shows every field of a notice.
    fn documented() -> Notice {
        let page = include_str!("../../../../docs/notices.md");
        let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let shown: Value = serde_json::from_str(example).unwrap();
        let notice: Notice = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(&notice).unwrap(), shown);
        notice
    }

    #[test]
    fn ids() {
        let Notice { notice_id, user_id, coupons, .. } = documented();
        assert_eq!(id(&user_id, &coupons), notice_id);
        let with = |change: fn(&mut CouponEntry)| {
            let mut coupons = coupons.clone();
            change(&mut coupons[0]);
            coupons
        };
        let cases = [
            ("another user", id("bob", &coupons)),
            ("another coupon", id(&user_id, &with(|it| it.code = "BBBB".to_owned()))),
            ("other days", id(&user_id, &with(|it| it.days = 3))),
            ("extended", id(&user_id, &with(|it| it.expires_on = "2027-12-31".to_owned()))),
            ("one more", id(&user_id, &[coupons.clone(), coupons.clone()].concat())),
        ];
        for (name, other) in cases {
            assert_ne!(other, notice_id, "{name}");
        }
        let later = with(|it| it.days_left = 1);
        assert_eq!(id(&user_id, &later), notice_id, "made again on another day");
    }

    #[test]
    fn announcements() {
        let notice = documented();
        let announcement = notice.announcement();
        assert_eq!(announcement.id, notice.notice_id);
        assert_eq!(announcement.campaigns, ["winter"]);
        assert_eq!(announcement.data["coupons"][0]["code"], "7K2M-9QXD-4TRB-H0VE");
        assert_eq!(format_instant(Millis(announcement.at_ms)), notice.timestamp);
    }
}
