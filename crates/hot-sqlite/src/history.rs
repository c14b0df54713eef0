//! The text of a coupon's history in its row: one line for each event, oldest first, with tabs
//! between its fields.
//!
//! The fields are kind, at, actor, operation, user, reference, reason, expires_at and time_zone. A
//! field that an event does not have is empty, and empty fields at the end are not written. The
//! text has half the bytes of JSON.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon::coupon::{Coupon, Event, State};
use coupon::flat::Flat;
use coupon::ids::OperationId;
use coupon::time::Millis;

use crate::failure::damaged;

/// Blanks after the history of an issued coupon, in bytes. Its redemption replaces them, so that
/// the row does not grow and no page of the table is split. The line and the columns of a
/// redemption take about that much.
const ROOM: usize = 112;

/// The history of `coupon`, with room for its redemption.
pub(crate) fn to_text(coupon: &Coupon) -> String {
    let events = coupon.events();
    let mut text = String::with_capacity(events.len() * 96 + ROOM);
    for event in events {
        if !text.is_empty() {
            text.push('\n');
        }
        push(&mut text, event);
    }
    if matches!(coupon.state(), State::Issued { .. }) {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', ROOM));
    }
    text
}

fn push(text: &mut String, event: &Event) {
    let flat = Flat::of(event);
    text.push_str(flat.kind);
    let _ = write!(text, "\t{}\t", flat.at.0);
    push_escaped(text, flat.actor);
    text.push('\t');
    URL_SAFE_NO_PAD.encode_string(flat.operation.0.to_be_bytes(), text);
    let expires_at = flat.expires_at.map(|at| at.0.to_string());
    let rest = [flat.user, flat.reference, flat.reason, expires_at.as_deref(), flat.time_zone];
    let count = rest.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    for field in &rest[..count] {
        text.push('\t');
        match field {
            None => {}
            Some("") => text.push_str("\\0"),
            Some(field) => push_escaped(text, field),
        }
    }
}

/// Writes a backslash before each character that would end a field or a line, and before a
/// backslash.
fn push_escaped(text: &mut String, field: &str) {
    for char in field.chars() {
        match char {
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            char => text.push(char),
        }
    }
}

/// The events of a text that [`to_text`] wrote.
pub(crate) fn from_text(text: &str) -> rusqlite::Result<Vec<Event>> {
    let lines = text.split('\n').filter(|line| !line.trim_start_matches(' ').is_empty());
    lines.map(from_line).collect()
}

fn from_line(line: &str) -> rusqlite::Result<Event> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (kind, at, actor, operation) = (next(), next(), next(), next());
    let (user, reference, reason) = (optional(next())?, optional(next())?, optional(next())?);
    let (expires_at, time_zone) = (next(), optional(next())?);
    if fields.next().is_some() {
        return Err(damaged("events", format!("a field too many in {line:?}")));
    }
    let number = |text: &str| text.parse::<i64>().map_err(|why| damaged("events", why));
    let mut bytes = [0; 16];
    let decoded = URL_SAFE_NO_PAD.decode_slice(operation, &mut bytes);
    if decoded.as_ref().ok() != Some(&bytes.len()) {
        return Err(damaged("operation", format!("{operation:?} is none")));
    }
    let flat = Flat {
        kind,
        at: Millis(number(at)?),
        actor: &unescaped(actor)?,
        operation: OperationId(u128::from_be_bytes(bytes)),
        user: user.as_deref(),
        reference: reference.as_deref(),
        reason: reason.as_deref(),
        expires_at: Some(expires_at)
            .filter(|it| !it.is_empty())
            .map(number)
            .transpose()?
            .map(Millis),
        time_zone: time_zone.as_deref(),
    };
    flat.into_event().map_err(|why| damaged("events", why))
}

fn optional(field: &str) -> rusqlite::Result<Option<Cow<'_, str>>> {
    match field {
        "" => Ok(None),
        "\\0" => Ok(Some("".into())),
        field => unescaped(field).map(Some),
    }
}

fn unescaped(field: &str) -> rusqlite::Result<Cow<'_, str>> {
    if !field.contains('\\') {
        return Ok(field.into());
    }
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('\\') => '\\',
                _ => return Err(damaged("events", format!("{field:?} has a broken escape"))),
            },
            char => char,
        });
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: &str = "AAAAAAAAAAAAAAAAAAAAKg";

    #[test]
    fn what_is_written_is_read() {
        let cases = [
            ("issued", "issued\t5\tshop:till\tAAAAAAAAAAAAAAAAAAAAKg\tann"),
            ("with a reference", "issued\t5\tshop:till\tAAAAAAAAAAAAAAAAAAAAKg\tann\tr1"),
            ("with an expiry", "issued\t5\tshop:till\tAAAAAAAAAAAAAAAAAAAAKg\tann\t\t\t77"),
            ("redeemed", "redeemed\t6\tuser:ann\tAAAAAAAAAAAAAAAAAAAAKg\tann\torder-1"),
            ("redeemed by nobody", "redeemed\t6\timport\tAAAAAAAAAAAAAAAAAAAAKg\t\torder-1"),
            ("cancelled", "redemption_cancelled\t7\tshop:t\tAAAAAAAAAAAAAAAAAAAAKg\t\to\twhy not"),
            ("voided", "voided\t-8\tadmin:a\tAAAAAAAAAAAAAAAAAAAAKg"),
            ("voided, why", "voided\t8\tadmin:a\tAAAAAAAAAAAAAAAAAAAAKg\t\t\ta \\\\ b \u{2028} ü"),
            ("extended", "extended\t9\tadmin:a\tAAAAAAAAAAAAAAAAAAAAKg\t\t\t\t99\tEurope/Berlin"),
        ];
        for (name, line) in cases {
            let events = from_text(line).expect(name);
            assert_eq!((events.len(), events[0].operation), (1, OperationId(42)), "{name}");
            let mut again = String::new();
            push(&mut again, &events[0]);
            assert_eq!(again, line, "{name}");
        }
    }

    #[test]
    fn any_text_is_a_field() {
        for field in ["", "a\tb", "a\nb\r", "\\", "\\t", "\\0", " ", "{\"", "ü\u{0}"] {
            let mut line = String::new();
            push_escaped(&mut line, field);
            assert!(!line.contains(['\t', '\n', '\r']), "{field:?}");
            assert_eq!(unescaped(&line).expect(field), field);
        }
    }

    #[test]
    fn blanks_after_the_last_line_are_room() {
        let line = format!("issued\t5\tshop:till\t{OPERATION}\tann");
        let roomy = format!("{line}\n{}", " ".repeat(ROOM));
        assert_eq!(from_text(&roomy).unwrap(), from_text(&line).unwrap());
        assert_eq!(from_text("").unwrap(), []);
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let cases = [
            ("no event", "x".to_owned()),
            ("no time", format!("voided\tnow\tadmin:a\t{OPERATION}")),
            ("no operation", "voided\t5\tadmin:a\t".to_owned()),
            ("half an operation", "voided\t5\tadmin:a\tAAAA".to_owned()),
            ("no user", format!("issued\t5\tadmin:a\t{OPERATION}")),
            ("a broken escape", format!("voided\t5\tadmin:\\a\t{OPERATION}")),
            ("a field too many", format!("voided\t5\tadmin:a\t{OPERATION}\t\t\t\t\t\t")),
            ("JSON", "{\"kind\":\"voided\"}".to_owned()),
            ("an unknown kind", format!("lost\t5\tadmin:a\t{OPERATION}")),
        ];
        for (name, text) in cases {
            assert!(from_text(&text).is_err(), "{name}");
        }
    }
}
