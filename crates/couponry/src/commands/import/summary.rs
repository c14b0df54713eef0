//! What `couponry import` prints at its end.

use std::path::Path;

use coupon::cell_guard::unguarded;
use engine::import::DRY_RUN_LOOKUPS_MAX;
use serde_json::Value;

use crate::output::{cell_text, thousands};

/// The counts of a batch, and its first rejected lines; `all_in` is the file that gets all of them.
pub(super) fn of_import(batch: &Value, rejected: &[String], all_in: Option<&Path>) -> String {
    let mut text = rows([
        ("batch", cell_text(&batch["batch_id"])),
        ("lines", number(batch, "lines")),
        ("imported", number(batch, "imported")),
        ("already there", number(batch, "already_there")),
        ("rejected", number(batch, "rejected")),
    ]);
    text.extend(rejected.iter().map(String::as_str));
    let more = count(batch, "rejected").saturating_sub(rejected.len() as u64);
    if more > 0 {
        let more = thousands(more);
        let all = match all_in {
            Some(path) => format!("all of them go to {}", path.display()),
            None => "--rejects FILE writes all of them".to_owned(),
        };
        text.push_str(&format!("  and {more} more; {all}\n"));
    }
    text
}

/// A record of the report of rejected lines: its number, the line, the reason, and the reason for people.
pub(super) fn rejected_line(record: &str) -> String {
    let cells = cells(record);
    let cell = |nth: usize| cells.get(nth).map_or("", String::as_str);
    rejected(cell(0).parse().unwrap_or_default(), [cell(1), cell(2), cell(3)])
}

fn rejected(line: u64, [text, reason, detail]: [&str; 3]) -> String {
    let detail = with_flags(detail);
    format!("  line {}: {:?}: {reason}: {detail}\n", thousands(line), text.trim())
}

/// A sentence of the API, with the flags of this command in place of parameters.
pub(super) fn with_flags(sentence: &str) -> String {
    let flag = |text: String, name| text.replace(&format!(" {name}="), &format!(" --{name} "));
    ["columns", "ignore", "values"].into_iter().fold(sentence.to_owned(), flag)
}

/// The cells of a row that [`engine::csv::row`] has written.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut rest = row.chars().peekable();
    while let Some(found) = rest.next() {
        match found {
            '"' if is_quoted && rest.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(unguarded(&std::mem::take(&mut cell))),
            other => cell.push(other),
        }
    }
    cells.push(unguarded(&cell));
    cells
}

fn rows<const ROWS: usize>(rows: [(&str, String); ROWS]) -> String {
    rows.iter().map(|(name, value)| format!("{name:<15}{value}\n")).collect()
}

fn number(object: &Value, name: &str) -> String {
    thousands(count(object, name))
}

fn count(object: &Value, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_default()
}

fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().map_or(&[], Vec::as_slice)
}

/// What `ImportDryRun` says, for people.
pub(super) fn of_dry_run(found: &Value) -> String {
    let columns = items(found, "columns").iter().map(|it| it.as_str().unwrap_or("(skipped)"));
    let separator = match found["separator"].as_str() {
        Some("\t") => "tab",
        Some(other) => other,
        None => "none",
    };
    let mut text = "nothing was written\n".to_owned()
        + &rows([
            ("encoding", cell_text(&found["encoding"])),
            ("separator", separator.to_owned()),
            ("header", found["header"].as_str().unwrap_or("none").to_owned()),
            ("columns", columns.collect::<Vec<_>>().join(", ")),
            ("lines", number(found, "lines")),
            ("new", number(found, "new")),
            ("known", number(found, "known")),
            ("rejected", number(found, "rejected")),
        ]);
    if let Some(export) = found["exported_by"].as_str() {
        let left_out = cell_text(&found["left_out"]);
        text.push_str(&format!("export of      {export}; left out: {left_out}\n"));
    }
    let (unchecked, repeated) = (count(found, "unchecked"), count(found, "repeated"));
    if unchecked > 0 {
        let (unchecked, first) = (thousands(unchecked), thousands(DRY_RUN_LOOKUPS_MAX as u64));
        text.push_str(&format!(
            "not looked up  {unchecked}: a dry run looks up only the first {first} codes\n"
        ));
    }
    if repeated > 0 {
        let repeated = thousands(repeated);
        text.push_str(&format!(
            "repeated       {repeated}: lines with the code of an earlier line\n"
        ));
    }
    let zone = cell_text(&found["time_zone"]);
    text.extend(items(found, "parsed_lines").iter().map(|line| parsed(line, &zone)));
    let rejected_lines = items(found, "rejected_lines");
    text.extend(rejected_lines.iter().map(|line| {
        let cells = ["text", "reason", "detail"].map(|it| line[it].as_str().unwrap_or_default());
        rejected(count(line, "line"), cells)
    }));
    let more = count(found, "rejected").saturating_sub(rejected_lines.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {} more\n", thousands(more)));
    }
    text
}

/// A line as it was read: `ABCD1234, issued to ann, from 2026-01-01T00:00:00.000Z, last day …`.
fn parsed(line: &Value, zone: &str) -> String {
    let cell = |name: &str| cell_text(&line[name]);
    let to = line["user_id"].as_str().map(|user| format!(" to {user}")).unwrap_or_default();
    format!(
        "  line {}: {}, {}{to}, from {}, last day {} ({zone})\n",
        thousands(count(line, "line")),
        cell("code"),
        cell("state"),
        cell("valid_from"),
        cell("expires_on"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn batch(lines: u64, rejected: u64) -> Value {
        json!({
            "batch_id": "partner-a", "lines": lines, "imported": lines - rejected,
            "already_there": 0, "rejected": rejected,
        })
    }

    #[test]
    fn summaries() {
        let line = |number: &str| {
            let cells = [number, "a\"b", "CODE", "has 2 characters"];
            rejected_line(engine::csv::row(cells).trim_end())
        };
        let all = of_import(&batch(1_200, 0), &[], None);
        assert_eq!(
            all,
            "batch          partner-a\nlines          1,200\nimported       1,200\n\
             already there  0\nrejected       0\n"
        );
        let one = of_import(&batch(1_200, 1), &[line("1007")], None);
        assert!(one.ends_with("  line 1,007: \"a\\\"b\": CODE: has 2 characters\n"), "{one}");
        let five = ["1", "2", "3", "4", "5"].map(line);
        let many = of_import(&batch(1_200, 7), &five, None);
        assert!(many.ends_with("  and 2 more; --rejects FILE writes all of them\n"), "{many}");
        let many = of_import(&batch(1_200, 7), &five, Some(Path::new("r.csv")));
        assert!(many.ends_with("  and 2 more; all of them go to r.csv\n"), "{many}");
    }

    #[test]
    fn parameters_are_flags() {
        let said = "map it, as in columns=code:1,state:2, or skip it with ignore=used";
        let want = "map it, as in --columns code:1,state:2, or skip it with --ignore used";
        assert_eq!(with_flags(said), want);
    }

    #[test]
    fn cells_come_back() {
        for row in [["7", "a,\"b\"\n", "=1+1", ""], ["", " x ", "'", "-"]] {
            assert_eq!(cells(engine::csv::row(row).trim_end_matches('\n')), row, "{row:?}");
        }
    }
}
