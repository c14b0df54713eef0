//! What is known of a person, as a document or as a file for a spreadsheet.

use coupon::calendar::format_instant;
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::csv::{BYTE_ORDER_MARK, row};
use engine::{PersonFormat, PersonRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::CouponBody;

/// Everything that is known of a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonBody {
    /// The person.
    user_id: String,
    /// When the answer began.
    read_at: String,
    /// First the coupons that the person has, then those that they had and whatever else names them.
    #[schema(max_items = 4294967295)]
    records: Vec<PersonRecordBody>,
}

/// A coupon, and what happened to it while it was the person's.
#[derive(Serialize)]
struct PersonCoupon {
    #[serde(flatten)]
    coupon: CouponBody,
    events: Vec<Value>,
}

/// One thing that is known of a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PersonRecord)]
pub struct PersonRecordBody {
    /// What it is: `coupon`, `account`, `imported_line`, `audit`, `attempt`, or the kind of record in
    /// which the server keeps it, such as `webhook.log`.
    kind: String,
    /// A coupon and an attempt have the fields that other calls return, and each event of a coupon its reason and its
    /// amounts, too; anything else has the fields with which it is kept.
    #[schema(value_type = Object)]
    value: Value,
}

impl PersonRecordBody {
    pub(crate) fn of(kind: &str, value: &impl Serialize) -> PersonRecordBody {
        let value = serde_json::to_value(value).unwrap_or_default();
        PersonRecordBody { kind: kind.to_owned(), value }
    }

    /// The lines of a file: one, and one for each event of a coupon.
    fn lines(&self) -> String {
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let value = &self.value;
        let [campaign, code] = ["campaign_id", "code"].map(|name| text(value, name));
        let line = |kind: &str, of: &Value, what: &str, said: &str| {
            let [at, what, actor] = ["at", what, "actor"].map(|name| text(of, name));
            row([kind, &at, &campaign, &code, &what, &actor, said])
        };
        let Some(events) = value["events"].as_array() else {
            let what = if value["type"].is_string() { "type" } else { "action" };
            return line(&self.kind, value, what, &value.to_string());
        };
        let said = |it: &Value| {
            let said = ["reference", "reason"].map(|name| text(it, name));
            said.join(" ").trim().to_owned()
        };
        let events = events.iter().map(|it| line("event", it, "kind", &said(it)));
        let coupon = line(&self.kind, value, "state", &text(value, "order_ref"));
        coupon + &events.collect::<String>()
    }
}

impl From<PersonRecord> for PersonRecordBody {
    fn from(record: PersonRecord) -> PersonRecordBody {
        match record {
            PersonRecord::Coupon { view, events } => {
                let coupon = CouponBody::from(view.as_ref());
                PersonRecordBody::of("coupon", &PersonCoupon { coupon, events })
            }
            PersonRecord::Other { kind, value } => PersonRecordBody { kind, value },
        }
    }
}

/// Writes what is known of a person piece by piece.
pub(crate) enum PersonWriter {
    Csv,
    /// The end of the text before the next record.
    Json(&'static str),
}

impl PersonWriter {
    pub(crate) fn of(format: PersonFormat) -> PersonWriter {
        match format {
            PersonFormat::Json => PersonWriter::Json(""),
            PersonFormat::Csv => PersonWriter::Csv,
        }
    }

    pub(crate) fn begin(&self, user: &UserId, now: Millis) -> String {
        match self {
            PersonWriter::Csv => {
                format!("{BYTE_ORDER_MARK}kind,at,campaign_id,code,what,actor,text\n")
            }
            PersonWriter::Json(_) => {
                let (user_id, read_at) = (user.to_string(), format_instant(now));
                let empty = PersonBody { user_id, read_at, records: Vec::new() };
                let text = serde_json::to_string(&empty).unwrap_or_default();
                text.trim_end_matches(self.end()).to_owned()
            }
        }
    }

    /// In JSON, no records are a blank line, so that nobody in between takes a long look for silence.
    pub(crate) fn piece(&mut self, records: &[PersonRecordBody]) -> String {
        let mut piece = String::new();
        for record in records {
            match self {
                PersonWriter::Csv => piece += &record.lines(),
                PersonWriter::Json(before) => {
                    piece += before;
                    *before = ",\n";
                    piece += &serde_json::to_string(record).unwrap_or_default();
                }
            }
        }
        if piece.is_empty() && matches!(self, PersonWriter::Json(_)) {
            piece.push('\n');
        }
        piece
    }

    pub(crate) fn end(&self) -> &'static str {
        match self {
            PersonWriter::Csv => "",
            PersonWriter::Json(_) => "]}",
        }
    }
}
