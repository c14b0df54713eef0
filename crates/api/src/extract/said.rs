//! What serde says of a request, in plain words: the only place that knows its sentences.
//!
//! A sentence that is not known here is passed on as it is.

use engine::FieldFault;
use engine::import::columns;
use serde_json::Value;
use serde_json::error::Category;

/// Longest part of a value that an answer repeats, in characters.
const SHOWN_MAX: usize = 64;

/// The fault of a body. `limits` has the schema of a field.
pub(super) fn of_body(
    path: &str,
    error: &serde_json::Error,
    limits: impl Fn(&str) -> Value,
) -> FieldFault {
    let said = error.to_string();
    match error.classify() {
        Category::Data => {
            let position = format!(" at line {} column {}", error.line(), error.column());
            of_field(path, said.strip_suffix(&position).unwrap_or(&said), "body", limits)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            // A `?` stands for what was not read to its end.
            let field = if path == "." || path.contains('?') { "body" } else { path };
            FieldFault::new(field, unreadable(error, &said))
        }
    }
}

fn unreadable(error: &serde_json::Error, said: &str) -> String {
    match (error.is_eof(), said) {
        (true, _) => {
            format!("ends too early, at line {} column {}", error.line(), error.column())
        }
        (_, said) if said.starts_with("recursion limit") => "is nested too deeply".to_owned(),
        (_, said) if said.starts_with("number out of range") => {
            "has a number that is too large".to_owned()
        }
        _ => format!("is not JSON: {said}"),
    }
}

/// The fault of a field or a parameter; `whole` is what has them.
pub(super) fn of_field(
    path: &str,
    said: &str,
    whole: &str,
    limits: impl Fn(&str) -> Value,
) -> FieldFault {
    let mut quoted = said.split('`').skip(1).step_by(2);
    let named = ["unknown field `", "missing field `", "duplicate field `"];
    let Some(begin) = named.into_iter().find(|begin| said.starts_with(begin)) else {
        let field = if path == "." { whole } else { path };
        return FieldFault::new(field, of_value(said, &limits(path)));
    };
    let name = quoted.next().unwrap_or_default();
    let detail = match begin {
        "unknown field `" => unknown(name, &quoted.collect::<Vec<_>>()),
        "missing field `" => "is missing".to_owned(),
        _ => "is there twice".to_owned(),
    };
    let field = match path {
        "." => shown(name),
        path if path.ends_with(name) => shown(path),
        path => shown(&format!("{path}.{name}")),
    };
    FieldFault::new(field, detail)
}

fn unknown(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "is unknown: nothing may stand here".to_owned();
    }
    let near =
        known.iter().filter_map(|other| Some((columns::distance(name, other)?, other))).min();
    let known = known.join(", ");
    match near {
        Some((_, meant)) => format!("is unknown: did you mean {meant}? Known are {known}"),
        None => format!("is unknown: known are {known}"),
    }
}

/// `invalid type: string "5", expected u64`: what was found, and what is wanted.
fn of_value(said: &str, schema: &Value) -> String {
    let value = said.strip_prefix("invalid type: ").or(said.strip_prefix("invalid value: "));
    // A text in the request may have the same word: ours is the last.
    match value.and_then(|value| value.rsplit_once(", expected ")) {
        Some((is, want)) => format!("is {}, want {}", found(is), wanted(want, schema)),
        None => said.to_owned(),
    }
}

fn found(is: &str) -> String {
    let kinds = [
        ("boolean `", ""),
        ("integer `", "the number "),
        ("floating point `", "the number "),
        ("string ", "the text "),
    ];
    let known = kinds.into_iter().find_map(|(begin, word)| {
        let value = is.strip_prefix(begin)?;
        Some(format!("{word}{}", shown(value.trim_end_matches('`'))))
    });
    match is {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        _ => known.unwrap_or_else(|| is.to_owned()),
    }
}

fn wanted(want: &str, schema: &Value) -> String {
    match want {
        "u16" | "u32" | "u64" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (least, Some(most)) => {
                format!("a whole number from {} to {most}", least.unwrap_or_default())
            }
            (least, None) => format!("a whole number, at least {}", least.unwrap_or_default()),
        },
        "a string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        want if want.starts_with("struct ") => "an object".to_owned(),
        want => want.to_owned(),
    }
}

/// As much of a text of the caller as an answer repeats.
pub(crate) fn shown(text: &str) -> String {
    coupon::text::clipped(text, SHOWN_MAX)
}
