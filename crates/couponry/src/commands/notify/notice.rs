//! A notice: what one user learns at a time, as one line of JSON. The only module that writes and
//! reads this line.

use std::collections::BTreeSet;

use coupon::calendar::{Date, format_instant, parse_instant};
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::NOTICE_TYPE;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webhooks::Announcement;

use crate::failure::CliError;
use crate::keys::hex;

/// How every notice begins. A line that begins otherwise is of another program.
pub(super) const BEGINS: &str = r#"{"notice_id":"ntc_"#;

/// Most coupons of one notice; a user with more coupons gets several notices.
pub(super) const COUPONS_MAX: usize = 100;

/// Bytes of coupons after which a notice ends: a body of this size every receiver accepts.
pub(super) const NOTICE_BYTES: usize = 64 << 10;

/// Identifies the notice of one coupon for ever: its holder, its last day, and how many days
/// before. So an extended coupon gets new notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlainKey", into = "PlainKey")]
pub(super) struct Key {
    pub(super) user: UserId,
    pub(super) expires_on: Date,
    pub(super) code: String,
    pub(super) days: u16,
}

/// A key as the journal stores it: user, last day, code, days.
type PlainKey = (String, String, String, u16);

impl From<Key> for PlainKey {
    fn from(key: Key) -> PlainKey {
        (key.user.to_string(), key.expires_on.to_string(), key.code, key.days)
    }
}

impl TryFrom<PlainKey> for Key {
    type Error = String;

    fn try_from((user, expires_on, code, days): PlainKey) -> Result<Key, String> {
        let user = user.parse::<UserId>().map_err(|error| format!("user {error}"))?;
        let expires_on = expires_on.parse::<Date>().map_err(|error| error.to_string())?;
        if code.is_empty() || !code.chars().all(|c| c.is_ascii_graphic()) {
            return Err(format!("code is {code:?}, want visible ASCII characters"));
        }
        Ok(Key { user, expires_on, code, days })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CouponEntry {
    pub(super) code: String,
    pub(super) campaign_id: String,
    pub(super) campaign_name: String,
    /// The number of --days that it is sent for.
    pub(super) days: u16,
    /// The days that are really left.
    pub(super) days_left: u16,
    pub(super) valid_from: String,
    pub(super) expires_at: String,
    pub(super) expires_on: String,
    pub(super) time_zone: String,
    pub(super) metadata: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The same for the same coupons, days and user, whenever and wherever the notice is made.
    pub(super) id: String,
    pub(super) user: UserId,
    pub(super) keys: Vec<Key>,
    /// When the last of its coupons expires; after that it need not be sent.
    pub(super) expires_at: Millis,
    /// The JSON, without a line end.
    pub(super) line: String,
}

/// The line, field by field.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Body {
    notice_id: String,
    r#type: String,
    timestamp: String,
    user_id: String,
    days_left: u16,
    coupons: Vec<CouponEntry>,
}

impl Key {
    /// Sorted lines have the keys of a user together, the soonest last day first, and users in the
    /// order of a hash, so that users at whom a receiver fails are not in a row.
    pub(super) fn line(&self) -> String {
        let Key { user, expires_on, code, days } = self;
        let hash = hex(&digest(&SHA256, user.as_str().as_bytes()).as_ref()[..4]);
        format!("{hash}\t{user}\t{expires_on}\t{code}\t{days}")
    }
}

impl Notice {
    /// `coupons` has at least one, all of one user.
    pub(super) fn new(coupons: Vec<(Key, CouponEntry)>, at: Millis) -> Result<Notice, CliError> {
        let (keys, coupons): (Vec<Key>, Vec<CouponEntry>) = coupons.into_iter().unzip();
        let (id, user) = (id(&keys), keys[0].user.clone());
        let body = Body {
            notice_id: id.clone(),
            r#type: NOTICE_TYPE.to_owned(),
            timestamp: format_instant(at),
            user_id: user.to_string(),
            days_left: coupons.iter().map(|it| it.days_left).min().unwrap_or(0),
            coupons,
        };
        let line = serde_json::to_string(&body).map_err(CliError::of)?;
        let ends = body.coupons.iter().filter_map(|it| parse_instant(&it.expires_at).ok());
        let expires_at = ends.max().unwrap_or(at);
        Ok(Notice { id, user, keys, expires_at, line })
    }

    /// The notice for webhooks, which ask for it by name: its type and time are around it there.
    pub(super) fn announcement(&self) -> Result<Announcement, CliError> {
        let body: Body = serde_json::from_str(&self.line).map_err(CliError::of)?;
        let campaigns: BTreeSet<String> =
            body.coupons.iter().map(|coupon| coupon.campaign_id.clone()).collect();
        Ok(Announcement {
            id: self.id.clone(),
            event_type: body.r#type,
            only_by_name: true,
            at_ms: parse_instant(&body.timestamp).map_err(CliError::of)?.0,
            campaigns: campaigns.into_iter().collect(),
            data: json!({
                "notice_id": body.notice_id,
                "user_id": body.user_id,
                "days_left": body.days_left,
                "coupons": body.coupons,
            }),
        })
    }

    /// Parses a line; `None` if it is not a notice.
    pub(super) fn read(line: &str) -> Option<Notice> {
        if !line.starts_with(BEGINS) {
            return None;
        }
        let Body { notice_id: id, user_id, coupons, .. } = serde_json::from_str(line).ok()?;
        let user: UserId = user_id.parse().ok()?;
        let mut keys = Vec::with_capacity(coupons.len());
        let mut expires_at = Millis(0);
        for CouponEntry { code, days, expires_at: ends, expires_on, .. } in coupons {
            expires_at = expires_at.max(parse_instant(&ends).ok()?);
            keys.push(Key::try_from((user_id.clone(), expires_on, code, days)).ok()?);
        }
        Some(Notice { id, user, keys, expires_at, line: line.to_owned() })
    }
}

fn id(keys: &[Key]) -> String {
    let keys: Vec<String> = keys.iter().map(Key::line).collect();
    format!("ntc_{}", hex(&digest(&SHA256, keys.join("\n").as_bytes()).as_ref()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, code: &str, days: u16) -> (Key, CouponEntry) {
        let plain = (user.to_owned(), "2026-12-31".to_owned(), code.to_owned(), days);
        let entry = CouponEntry {
            code: code.to_owned(),
            campaign_id: "spring".to_owned(),
            campaign_name: "Spring \"27\"".to_owned(),
            days,
            days_left: days,
            valid_from: format_instant(Millis(0)),
            expires_at: "2027-01-01T00:00:00.000Z".to_owned(),
            expires_on: plain.1.clone(),
            time_zone: "UTC".to_owned(),
            metadata: Some(serde_json::json!({"worth": "5.00 €"})),
        };
        (Key::try_from(plain).unwrap(), entry)
    }

    #[test]
    fn written_and_read() {
        let coupons = vec![entry("ann", "7K2M-9QXD", 7), entry("ann", "AUTUMN", 3)];
        let notice = Notice::new(coupons.clone(), Millis(0)).unwrap();
        assert!(notice.line.starts_with(BEGINS), "{}", notice.line);
        assert!(notice.line.contains("\"days_left\":3,\"coupons\""), "{}", notice.line);
        assert_eq!(Notice::read(&notice.line).as_ref(), Some(&notice));
        let later = Notice::new(coupons, Millis(86_400_000)).unwrap();
        assert_eq!(later.id, notice.id, "the same on another day");
    }

    /// `docs/notices.md` shows every field of a notice.
    #[test]
    fn documented() {
        let page = include_str!("../../../../../docs/notices.md");
        let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let shown: Value = serde_json::from_str(example).unwrap();
        let body: Body = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(&body).unwrap(), shown);
        let notice = Notice::read(&serde_json::to_string(&body).unwrap()).unwrap();
        assert_eq!(notice.id, id(&notice.keys));
    }

    #[test]
    fn another_notice_has_another_id() {
        let id = |coupons: Vec<(Key, CouponEntry)>| Notice::new(coupons, Millis(0)).unwrap().id;
        let one = id(vec![entry("ann", "AAAA", 7)]);
        let cases = [
            ("another user", vec![entry("bob", "AAAA", 7)]),
            ("another coupon", vec![entry("ann", "BBBB", 7)]),
            ("other days", vec![entry("ann", "AAAA", 3)]),
            ("one more", vec![entry("ann", "AAAA", 7), entry("ann", "BBBB", 7)]),
        ];
        for (name, coupons) in cases {
            assert_ne!(id(coupons), one, "{name}");
        }
    }

    #[test]
    fn lines_of_somebody_else() {
        let line = Notice::new(vec![entry("ann", "AAAA", 7)], Millis(0)).unwrap().line;
        let cases = [
            ("torn", line[..line.len() - 1].to_owned()),
            ("other JSON", "{\"a\":1}".to_owned()),
            ("no JSON", "hello".to_owned()),
            ("nothing", String::new()),
            ("a code with a tab", line.replace("AAAA", "AA\\tA")),
            ("no user", line.replace("\"ann\"", "\"\"")),
        ];
        for (name, line) in cases {
            assert_eq!(Notice::read(&line), None, "{name}");
        }
    }
}
