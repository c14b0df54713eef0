//! Names: the only place that says what a text such as `user_id` looks like, in every body, answer,
//! path and query. The limits are those of the domain.

use std::ops::RangeInclusive;

use coupon::calendar::ZONE_LEN_MAX;
use coupon::campaign::{PREFIX_LEN_MAX, STOCK_MAX};
use coupon::code::{FOREIGN_LEN_MIN, TEXT_LEN_MAX};
use coupon::ids::{NAME_LEN_MAX, REASON_LEN_MAX, WORD_LEN_MAX};
use coupon::money::AMOUNT_MAX;
use serde_json::{Value, json};

use super::{operations, schemas};
use crate::bodies::NUMBER_MAX;
use crate::cursor::CURSOR_BYTES_MAX;
use crate::tags::IF_MATCH_LEN_MAX;
use crate::token::TOKEN_BYTES_MAX;

/// Texts that look the same wherever they stand: their names, their length and their pattern.
const TEXTS: &[(&[&str], RangeInclusive<usize>, &str)] = &[
    (
        &["campaign_id", "batch_id", "webhook_id", "erasure_id", "reader"],
        1..=NAME_LEN_MAX,
        "^(\\.*[A-Za-z0-9_~:-][A-Za-z0-9._~:-]*|\\.{3,})$",
    ),
    // No step of a path (`.` and `..`) is a name. Characters, of which a longer one takes several of the bytes.
    (
        &["user_id", "holder", "login_id", "order_ref", "issue_ref", "revoke_ref", "rotate_ref"],
        1..=WORD_LEN_MAX,
        WORD_PATTERN,
    ),
    (
        &["code", "after", "shared_code"],
        FOREIGN_LEN_MIN..=TEXT_LEN_MAX,
        "^[ -]*([A-Za-z0-9][ -]*){4,64}$",
    ),
    (&["currency"], 3..=3, "^[A-Z]{3}$"),
    (&["code_prefix"], 1..=PREFIX_LEN_MAX, "^[A-Za-z0-9]+$"),
    (&["Idempotency-Key"], 1..=WORD_LEN_MAX, "^[!-~]+$"),
    (&["If-Match"], 1..=IF_MATCH_LEN_MAX, "^(\\*|(W/)?\\x22[^,]*\\x22(, *(W/)?\\x22[^,]*\\x22)*)$"),
    (&["time_zone"], 1..=ZONE_LEN_MAX, "^[A-Za-z0-9._/+-]+$"),
    (&["cursor", "next_cursor"], 1..=CURSOR_BYTES_MAX, "^[A-Za-z0-9_-]+$"),
    (&["token"], 1..=TOKEN_BYTES_MAX, "^[A-Za-z0-9._-]+$"),
];

/// Without the ranges that nobody sees: of the characters that a word cannot have, all are too many for a pattern.
const WORD_PATTERN: &str = "^[^\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u2000-\\u200f\\u2028-\\u202f\
                            \\u205f-\\u206f\\u3000\\ufff0-\\uffff]+$";

/// What people write for people, in the body of a request: no control characters, and no marks of direction.
const SENTENCES: [&str; 5] = ["name", "description", "reason", "en", "ko"];

const SENTENCE_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u202a-\\u202e\
                                \\u2066-\\u2069]+$";

/// An example of each parameter, and what it is if it stands in a path.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("campaign_id", "spring-2027", "The id of the campaign."),
    ("batch_id", "first", "The id of the batch. It is unique within its campaign."),
    ("webhook_id", "orders", "The id of the webhook."),
    ("erasure_id", "ticket-4711", "The id of the erasure."),
    (
        "user_id",
        "ann",
        "The id of the user: the shop's own, or that of their account on this server.",
    ),
    (
        "code",
        "7K2M-9QXD-4TRB-H0VE",
        "The code of the coupon. Hyphens, spaces and case do not matter.",
    ),
    ("order_ref", "991", "The order: one attempt to pay."),
    ("after", "7K2M-9QXD-4TRB-H0VE", ""),
    ("time_zone", "Asia/Seoul", ""),
    ("cursor", "WyI4ZjE0ZTQ1ZmNlZWExNjdhIixbInNwcmluZy0yMDI3Il1d", ""),
];

/// Numbers of coupons, lines or attempts. A campaign has no more, so neither has a part of it.
const COUNTS: &str = "stock issued redeemed void count lines imported already_there rejected new known unchecked \
                      repeated line dropped pending failures attempts redelivered duration_ms redemptions_cancelled";

/// Amounts of money.
const AMOUNTS: &str = "order_amount discount missing min_order amount max_discount budget";

/// Adds the limits of each text and number, and the format of each instant, to every schema and
/// parameter, and to each parameter an example. What a handler or a body says itself stays.
pub(super) fn add(document: &mut Value) {
    for (_, schema) in schemas(document) {
        let is_request = schema["additionalProperties"] == false;
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, property) in properties.into_iter().flatten() {
            if is_request && SENTENCES.contains(&name.as_str()) {
                or_insert(property, "minLength", json!(1));
                or_insert(property, "maxLength", json!(REASON_LEN_MAX));
                or_insert(property, "pattern", json!(SENTENCE_PATTERN));
            }
            limit(name, property);
        }
    }
    for operation in operations(document) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            limit(&name, &mut parameter["schema"]);
            let known = PARAMETERS.iter().find(|(known, ..)| *known == name);
            let Some((_, example, about)) = known else { continue };
            or_insert(parameter, "description", json!(about));
            or_insert(parameter, "example", json!(example));
        }
    }
}

fn limit(name: &str, schema: &mut Value) {
    let text = TEXTS.iter().find(|(names, ..)| names.contains(&name));
    if let (true, Some((_, len, pattern))) = (is(schema, "string"), text) {
        or_insert(schema, "minLength", json!(len.start()));
        or_insert(schema, "maxLength", json!(len.end()));
        or_insert(schema, "pattern", json!(pattern));
    }
    if is(schema, "string")
        && let Some(format) = format_of(name)
    {
        or_insert(schema, "format", json!(format));
    }
    let largest = [(COUNTS, STOCK_MAX), (AMOUNTS, AMOUNT_MAX), ("version number", NUMBER_MAX)];
    for (names, max) in largest {
        if is(schema, "integer") && names.split(' ').any(|it| it == name) {
            or_insert(schema, "maximum", json!(max));
        }
    }
}

/// How an instant or a date is written. The name says which it is.
fn format_of(name: &str) -> Option<&'static str> {
    let is_instant = ["_at", "_from", "_until", "_before"].iter().any(|end| name.ends_with(end));
    match name {
        "at" | "until" | "failing_since" => Some("date-time"),
        "expires_on" => Some("date"),
        _ => is_instant.then_some("date-time"),
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

    /// An instant whose name `format_of` does not know would be a text of any form to a client.
    #[test]
    fn each_parameter_has_a_form() {
        let free = ["columns", "encoding", "ignore", "values"];
        let mut document = crate::openapi::document();
        let mut texts = 0;
        for operation in operations(&mut document) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                let schema = &parameter["schema"];
                if is(schema, "string") && !free.contains(&name) {
                    let has = |key: &str| !schema[key].is_null();
                    assert!(has("format") || has("pattern") || has("enum"), "{name}: {schema}");
                    texts += 1;
                }
            }
        }
        assert!(texts > 20, "{texts} texts in paths and queries");
    }

    /// The domain takes each example, and a text of each limit.
    #[test]
    fn the_domain_takes_what_the_document_says() {
        use coupon::calendar::Zone;
        use coupon::campaign::Prefix;
        use coupon::code::CodeText;
        use coupon::ids::{BatchId, CampaignId, IssueRef, OrderRef, RevokeRef, RotateRef, UserId};

        let takes = |name: &str, text: &str| match name {
            "campaign_id" => text.parse::<CampaignId>().is_ok(),
            "batch_id" | "webhook_id" | "erasure_id" | "reader" => text.parse::<BatchId>().is_ok(),
            "user_id" | "holder" | "login_id" => text.parse::<UserId>().is_ok(),
            "code" | "after" | "shared_code" => text.parse::<CodeText>().is_ok(),
            "code_prefix" => text.parse::<Prefix>().is_ok(),
            "order_ref" => text.parse::<OrderRef>().is_ok(),
            "issue_ref" => text.parse::<IssueRef>().is_ok(),
            "revoke_ref" | "Idempotency-Key" => text.parse::<RevokeRef>().is_ok(),
            "rotate_ref" => text.parse::<RotateRef>().is_ok(),
            "time_zone" => text.parse::<Zone>().is_ok(),
            "currency" => text.parse::<coupon::money::Currency>().is_ok(),
            "cursor" | "next_cursor" | "token" | "If-Match" => true,
            other => panic!("{other} is of no kind here"),
        };
        for (names, len, _) in TEXTS {
            for name in *names {
                let free = !["time_zone", "cursor", "next_cursor", "token", "If-Match", "currency"]
                    .contains(name);
                // Hyphens make a code longer, and do not count.
                let is_code = ["code", "after", "shared_code"].contains(name);
                let long = match is_code {
                    true => "A-".repeat(len.end() / 2),
                    false => "A".repeat(*len.end()),
                };
                assert!(!free || takes(name, &long), "{name} at its limit");
                assert!(!free || !takes(name, &format!("{long}A")), "{name} past its limit");
            }
        }
        let texts = [
            "",
            "a",
            "abcd",
            "ABCD",
            "a b",
            "가",
            "a\u{a0}b",
            "a\u{200b}b",
            "a\u{ad}b",
            "\u{3000}",
            ".",
            "..",
            "...",
            ".a",
            "..a",
            "a.",
            "----",
            "A-B-C",
            "ab- -cd",
            "ab_c",
            "a/b",
            "a\nb",
            "A".repeat(65).leak(),
        ];
        for (names, len, pattern) in TEXTS {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            for (name, text) in names.iter().flat_map(|name| texts.map(|text| (name, text))) {
                // A dot of a word would need a pattern that is twice as long.
                let is_dots = pattern.as_str() == WORD_PATTERN && [".", ".."].contains(&text);
                if PARAMETERS.iter().any(|it| it.0 == *name)
                    && *name != "time_zone"
                    && *name != "cursor"
                    && !is_dots
                {
                    let fits = len.contains(&text.chars().count()) && pattern.is_match(text);
                    assert_eq!(fits, takes(name, text), "{name}: {text:?} and {pattern}");
                }
            }
        }
        for (name, example, _) in PARAMETERS {
            assert!(takes(name, example), "{name} {example}");
            let (_, len, _) = TEXTS.iter().find(|(names, ..)| names.contains(name)).expect(name);
            assert!(len.contains(&example.len()), "{name} {example}");
        }
    }
}
