//! A notice: what one user is told at a time, as one line of JSON. The only place that writes and
//! reads that line.

use coupon::calendar::{Date, format_instant, parse_instant};
use coupon::ids::UserId;
use coupon::time::Millis;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::CliError;

/// How every notice begins; what begins otherwise was written by somebody else.
pub(super) const BEGINS: &str = r#"{"notice_id":"ntc_"#;

/// Most coupons of one notice; whoever holds more gets several.
pub(super) const COUPONS_MAX: usize = 100;

/// Bytes of coupons at which a notice is ended: a body that any receiver takes.
pub(super) const NOTICE_BYTES: usize = 64 << 10;

/// What names one coupon's notice for ever: its holder, its last day, and how many days before.
/// A coupon that is extended is told of anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlainKey", into = "PlainKey")]
pub(super) struct Key {
    pub(super) user: UserId,
    pub(super) expires_on: Date,
    pub(super) code: String,
    pub(super) days: u16,
}

/// A key as it is kept: user, last day, code, days.
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

/// One coupon of a notice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) code: String,
    pub(super) campaign_id: String,
    pub(super) campaign_name: String,
    /// Which of --days it is told for.
    pub(super) days: u16,
    /// How many there really are.
    pub(super) days_left: u16,
    pub(super) valid_from: String,
    pub(super) expires_at: String,
    pub(super) expires_on: String,
    pub(super) time_zone: String,
    pub(super) metadata: Option<Value>,
}

/// A notice, ready to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The same for the same coupons, days and user, whenever and wherever it is made.
    pub(super) id: String,
    pub(super) user: UserId,
    pub(super) keys: Vec<Key>,
    /// When the last of its coupons expires: nobody need be told after that.
    pub(super) expires_at: Millis,
    /// The JSON, without a line end.
    pub(super) line: String,
}

#[derive(Serialize)]
struct Body<'a> {
    notice_id: &'a str,
    r#type: &'static str,
    timestamp: String,
    user_id: &'a str,
    days_left: u16,
    coupons: &'a [Told],
}

/// As much of a line as says what was told.
#[derive(Deserialize)]
struct Read {
    notice_id: String,
    user_id: String,
    coupons: Vec<ReadCoupon>,
}

#[derive(Deserialize)]
struct ReadCoupon {
    code: String,
    days: u16,
    expires_at: String,
    expires_on: String,
}

impl Key {
    /// As text in which the keys of a user stand together, soonest last day first. Users come in
    /// the order of a hash: a receiver that trips over some of them does not meet them in a row.
    pub(super) fn line(&self) -> String {
        let Key { user, expires_on, code, days } = self;
        let hash = hex(&digest(&SHA256, user.as_str().as_bytes()).as_ref()[..4]);
        format!("{hash}\t{user}\t{expires_on}\t{code}\t{days}")
    }
}

impl Notice {
    /// The notice of these coupons, of which there is at least one, all of one user.
    pub(super) fn new(coupons: Vec<(Key, Told)>, at: Millis) -> Result<Notice, CliError> {
        let (keys, told): (Vec<Key>, Vec<Told>) = coupons.into_iter().unzip();
        let user = keys[0].user.clone();
        let id = id(&keys);
        let body = Body {
            notice_id: &id,
            r#type: "coupons.expiring",
            timestamp: format_instant(at),
            user_id: user.as_str(),
            days_left: told.iter().map(|it| it.days_left).min().unwrap_or(0),
            coupons: &told,
        };
        let line =
            serde_json::to_string(&body).map_err(|error| CliError::new(error.to_string()))?;
        let ends = told.iter().filter_map(|it| parse_instant(&it.expires_at).ok());
        let expires_at = ends.max().unwrap_or(at);
        Ok(Notice { id, user, keys, expires_at, line })
    }

    /// The notice that `line` is, if it is one.
    pub(super) fn read(line: &str) -> Option<Notice> {
        if !line.starts_with(BEGINS) {
            return None;
        }
        let read: Read = serde_json::from_str(line).ok()?;
        let user: UserId = read.user_id.parse().ok()?;
        let mut keys = Vec::with_capacity(read.coupons.len());
        let mut expires_at = Millis(0);
        for coupon in read.coupons {
            expires_at = expires_at.max(parse_instant(&coupon.expires_at).ok()?);
            let ReadCoupon { code, days, expires_on, .. } = coupon;
            keys.push(Key::try_from((read.user_id.clone(), expires_on, code, days)).ok()?);
        }
        Some(Notice { id: read.notice_id, user, keys, expires_at, line: line.to_owned() })
    }
}

fn id(keys: &[Key]) -> String {
    let keys: Vec<String> = keys.iter().map(Key::line).collect();
    format!("ntc_{}", hex(&digest(&SHA256, keys.join("\n").as_bytes()).as_ref()[..16]))
}

/// The first bytes of a hash, in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: &str, code: &str, days: u16) -> (Key, Told) {
        let plain = (user.to_owned(), "2026-12-31".to_owned(), code.to_owned(), days);
        let told = Told {
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
        (Key::try_from(plain).unwrap(), told)
    }

    #[test]
    fn written_and_read() {
        let coupons = vec![told("ann", "7K2M-9QXD", 7), told("ann", "AUTUMN", 3)];
        let notice = Notice::new(coupons.clone(), Millis(0)).unwrap();
        assert!(notice.line.starts_with(BEGINS), "{}", notice.line);
        assert!(notice.line.contains("\"days_left\":3,\"coupons\""), "{}", notice.line);
        assert_eq!(Notice::read(&notice.line).as_ref(), Some(&notice));
        let later = Notice::new(coupons, Millis(86_400_000)).unwrap();
        assert_eq!(later.id, notice.id, "the same on another day");
    }

    #[test]
    fn another_notice_has_another_id() {
        let id = |coupons: Vec<(Key, Told)>| Notice::new(coupons, Millis(0)).unwrap().id;
        let one = id(vec![told("ann", "AAAA", 7)]);
        let cases = [
            ("another user", vec![told("bob", "AAAA", 7)]),
            ("another coupon", vec![told("ann", "BBBB", 7)]),
            ("other days", vec![told("ann", "AAAA", 3)]),
            ("one more", vec![told("ann", "AAAA", 7), told("ann", "BBBB", 7)]),
        ];
        for (name, coupons) in cases {
            assert_ne!(id(coupons), one, "{name}");
        }
    }

    #[test]
    fn lines_of_somebody_else() {
        let line = Notice::new(vec![told("ann", "AAAA", 7)], Millis(0)).unwrap().line;
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
