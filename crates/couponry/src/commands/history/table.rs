//! A coupon as a table, for a terminal.

use serde_json::Value;

use crate::output::{self, Left, Right};

/// One field a line, then one event a line. Leaves out fields that are null.
pub(super) fn of_coupon(detail: &Value) -> String {
    let fields = detail.as_object().into_iter().flatten();
    let shown = fields.filter(|(name, value)| !value.is_null() && *name != "events");
    let rows: Vec<Vec<String>> =
        shown.map(|(name, value)| vec![name.clone(), output::cell_text(value)]).collect();
    let mut text = command_line::table(&[Left, Left], &rows);
    let events = detail["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        return text;
    }
    let row = |event: &Value| {
        ["sequence", "at", "kind", "actor", "reference"].map(|name| output::cell_text(&event[name]))
    };
    let heads = [("#", Right), ("AT", Left), ("WHAT", Left), ("BY", Left), ("REFERENCE", Left)];
    text.push('\n');
    text.push_str(&output::table(heads, events.iter().map(row)));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables() {
        let event = json!({
            "sequence": 1, "kind": "voided", "at": "2026-11-01T00:00:00.000Z",
            "actor": "admin:cli", "reference": "printed twice",
        });
        let mut detail = json!({"code": "A-B", "expired": false, "holder": null, "events": []});
        assert_eq!(of_coupon(&detail), "code     A-B\nexpired  false\n", "nothing has happened");
        detail["events"] = json!([event]);
        let want = "code     A-B\nexpired  false\n\n\
                    #  AT                        WHAT    BY         REFERENCE\n\
                    1  2026-11-01T00:00:00.000Z  voided  admin:cli  printed twice";
        assert_eq!(of_coupon(&detail), want);
    }
}
