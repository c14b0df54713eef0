//! Names: the only place that says what a text such as `user_id` looks like, in every body, answer,
//! path and query. The limits are those of the domain.

use std::ops::RangeInclusive;

use coupon::calendar::ZONE_LEN_MAX;
use coupon::campaign::{PREFIX_LEN_MAX, STOCK_MAX};
use coupon::code::{FOREIGN_LEN_MIN, TEXT_LEN_MAX};
use coupon::ids::{NAME_LEN_MAX, REF_LEN_MAX};
use serde_json::{Value, json};

use super::{operations, schemas};
use crate::cursor::CURSOR_BYTES_MAX;
use crate::token::TOKEN_BYTES_MAX;

/// A text that looks the same wherever it stands.
struct Text {
    names: &'static [&'static str],
    len: RangeInclusive<usize>,
    pattern: &'static str,
    example: &'static str,
    /// What it is, for a path.
    about: &'static str,
}

const VISIBLE: &str = "^[!-~]+$";
const IN_A_PATH: &str = "^[A-Za-z0-9._~:-]+$";
const TYPED_CODE: &str = "^[A-Za-z0-9 -]+$";

const TEXTS: &[Text] = &[
    Text {
        names: &["campaign_id"],
        len: 1..=NAME_LEN_MAX,
        pattern: IN_A_PATH,
        example: "spring-2027",
        about: "The id of the campaign.",
    },
    Text {
        names: &["batch_id"],
        len: 1..=NAME_LEN_MAX,
        pattern: IN_A_PATH,
        example: "first",
        about: "The id of the batch. It is unique within its campaign.",
    },
    Text {
        names: &["user_id", "holder"],
        len: 1..=NAME_LEN_MAX,
        pattern: VISIBLE,
        example: "ann",
        about: "The id of the user: the shop's own, or that of their account on this server.",
    },
    Text {
        names: &["login_id"],
        len: 1..=NAME_LEN_MAX,
        pattern: VISIBLE,
        example: "ann@example.com",
        about: "The login of an account.",
    },
    Text {
        names: &["code", "after", "shared_code"],
        len: FOREIGN_LEN_MIN..=TEXT_LEN_MAX,
        pattern: TYPED_CODE,
        example: "7K2M-9QXD-4TRB-H0VE",
        about: "The code of the coupon. Hyphens, spaces and case do not matter.",
    },
    Text {
        names: &["code_prefix"],
        len: 1..=PREFIX_LEN_MAX,
        pattern: "^[A-Za-z0-9]+$",
        example: "SPRING",
        about: "Letters and digits that stand in front of each code.",
    },
    Text {
        names: &["order_ref"],
        len: 1..=REF_LEN_MAX,
        pattern: VISIBLE,
        example: "991",
        about: "The caller's own name for one attempt to pay.",
    },
    Text {
        names: &["issue_ref", "revoke_ref"],
        len: 1..=REF_LEN_MAX,
        pattern: VISIBLE,
        example: "welcome-2027",
        about: "The caller's own name for this request.",
    },
    Text {
        names: &["time_zone"],
        len: 1..=ZONE_LEN_MAX,
        pattern: "^[A-Za-z0-9._/+-]+$",
        example: "Asia/Seoul",
        about: "An IANA time zone.",
    },
    Text {
        names: &["cursor", "next_cursor"],
        len: 1..=CURSOR_BYTES_MAX,
        pattern: "^[A-Za-z0-9_-]+$",
        example: "WyI4ZjE0ZTQ1ZmNlZWExNjdhIixbInNwcmluZy0yMDI3Il1d",
        about: "The place in the list at which a page ends.",
    },
    Text {
        names: &["token"],
        len: 1..=TOKEN_BYTES_MAX,
        pattern: "^[A-Za-z0-9._-]+$",
        example: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
        about: "A JSON Web Token.",
    },
];

/// Numbers of coupons or lines. A campaign has no more, so neither has a part of it.
const COUNTS: &[&str] = &[
    "stock",
    "issued",
    "redeemed",
    "void",
    "count",
    "lines",
    "imported",
    "already_there",
    "rejected",
    "new",
    "known",
    "unchecked",
    "line",
];

/// The largest whole number that every reader of JSON takes.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Adds the limits of each text and number to every schema and parameter, and to each parameter an
/// example. What a handler or a body says itself stays.
pub(super) fn add(document: &mut Value) {
    for (_, schema) in schemas(document) {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, property) in properties.into_iter().flatten() {
            limit(name, property);
        }
    }
    for operation in operations(document) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            limit(&name, &mut parameter["schema"]);
            let Some(text) = text(&name) else { continue };
            or_insert(parameter, "description", json!(text.about));
            or_insert(parameter, "example", json!(text.example));
        }
    }
}

fn text(name: &str) -> Option<&'static Text> {
    TEXTS.iter().find(|text| text.names.contains(&name))
}

fn limit(name: &str, schema: &mut Value) {
    if is(schema, "string")
        && let Some(text) = text(name)
    {
        or_insert(schema, "minLength", json!(text.len.start()));
        or_insert(schema, "maxLength", json!(text.len.end()));
        or_insert(schema, "pattern", json!(text.pattern));
    }
    if is(schema, "integer") && COUNTS.contains(&name) {
        or_insert(schema, "maximum", json!(STOCK_MAX));
    }
    if is(schema, "integer") && name == "version" {
        or_insert(schema, "maximum", json!(NUMBER_MAX));
    }
}

/// Whether a schema is of this type, or of this type and null.
fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|it| it == kind),
        it => it == kind,
    }
}

fn or_insert(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The domain takes each example, and a text of each limit.
    #[test]
    fn the_domain_takes_what_the_document_says() {
        use coupon::calendar::Zone;
        use coupon::campaign::Prefix;
        use coupon::code::CodeText;
        use coupon::ids::{BatchId, CampaignId, IssueRef, OrderRef, RevokeRef, UserId};

        let takes = |name: &str, text: &str| match name {
            "campaign_id" => text.parse::<CampaignId>().is_ok(),
            "batch_id" => text.parse::<BatchId>().is_ok(),
            "user_id" | "holder" | "login_id" => text.parse::<UserId>().is_ok(),
            "code" | "after" | "shared_code" => text.parse::<CodeText>().is_ok(),
            "code_prefix" => text.parse::<Prefix>().is_ok(),
            "order_ref" => text.parse::<OrderRef>().is_ok(),
            "issue_ref" => text.parse::<IssueRef>().is_ok(),
            "revoke_ref" => text.parse::<RevokeRef>().is_ok(),
            "time_zone" => text.parse::<Zone>().is_ok(),
            "cursor" | "next_cursor" | "token" => true,
            other => panic!("{other} is of no kind here"),
        };
        for text in TEXTS {
            for name in text.names {
                assert!(takes(name, text.example), "{name} {}", text.example);
                assert!(text.len.contains(&text.example.len()), "{name} {}", text.example);
                let free = !["time_zone", "cursor", "next_cursor", "token"].contains(name);
                // Hyphens make a code longer, and do not count.
                let is_code = ["code", "after", "shared_code"].contains(name);
                let long = match is_code {
                    true => "A-".repeat(text.len.end() / 2),
                    false => "A".repeat(*text.len.end()),
                };
                assert!(!free || takes(name, &long), "{name} at its limit");
                assert!(!free || !takes(name, &format!("{long}A")), "{name} past its limit");
            }
        }
    }
}
