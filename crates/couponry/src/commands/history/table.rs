//! A coupon as a table, for a terminal.

use serde_json::Value;

use crate::output::{self, CellAlignment};

/// One field a line, then one event a line. Leaves out fields that are null.
pub(super) fn of_coupon(detail: &Value) -> String {
    let fields = detail.as_object().into_iter().flatten();
    let shown = fields.filter(|(name, value)| !value.is_null() && *name != "events");
    let rows: Vec<Vec<String>> =
        shown.map(|(name, value)| vec![name.clone(), output::cell_text(value)]).collect();
    let mut text = output::table(&[CellAlignment::Left, CellAlignment::Left], &rows);
    let events = detail["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        return text;
    }
    let mut rows = vec![["#", "AT", "WHAT", "BY", "REFERENCE"].map(str::to_owned).to_vec()];
    rows.extend(events.iter().map(|event| {
        let fields = ["sequence", "at", "kind", "actor", "reference"];
        fields.map(|name| output::cell_text(&event[name])).to_vec()
    }));
    text.push('\n');
    let left = CellAlignment::Left;
    text.push_str(&output::table(&[CellAlignment::Right, left, left, left, left], &rows));
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
                    1  2026-11-01T00:00:00.000Z  voided  admin:cli  printed twice\n";
        assert_eq!(of_coupon(&detail), want);
    }
}
