//! What `couponry import` prints at its end.

use std::path::Path;

use coupon::calendar::{Date, format_instant};
use coupon::campaign::{Batch, ImportCounts};
use engine::RejectedLine;
use engine::import::columns::Column;
use engine::import::{CheckedLines, DRY_RUN_LOOKUPS_MAX, DryRun, ParsedLine};
use serde_json::Value;

use crate::output::thousands;

/// `all_in` is the file that gets all rejected lines.
pub(super) fn of_import(batch: &Batch, rejected: &[RejectedLine], all_in: Option<&Path>) -> String {
    let count = batch.import.rejected;
    let mut text = of_counts(batch.id.as_str(), batch.import);
    for line in rejected {
        let (shown, reason, why) = (line.text.trim(), &line.reason, &line.detail);
        text.push_str(&format!("  line {}: {shown:?}: {reason}: {why}\n", thousands(line.line)));
    }
    let more = count.saturating_sub(rejected.len() as u64);
    if more > 0 && !rejected.is_empty() {
        let more = thousands(more);
        let all = match all_in {
            Some(path) => format!("all of them go to {}", path.display()),
            None => "--rejects FILE writes all of them".to_owned(),
        };
        text.push_str(&format!("  and {more} more; {all}\n"));
    }
    text
}

fn of_counts(batch: &str, counts: ImportCounts) -> String {
    let ImportCounts { lines, imported, already_there, rejected } = counts;
    format!(
        "batch          {batch}\nlines          {}\nimported       {}\nalready there  {}\n\
         rejected       {}\n",
        thousands(lines),
        thousands(imported),
        thousands(already_there),
        thousands(rejected)
    )
}

/// The answer over HTTP has the counts and no lines.
pub(super) fn of_answer(batch: &Value, all_in: Option<&Path>) -> String {
    let count = |name: &str| batch[name].as_u64().unwrap_or_default();
    let counts = ImportCounts {
        lines: count("lines"),
        imported: count("imported"),
        already_there: count("already_there"),
        rejected: count("rejected"),
    };
    let mut text = of_counts(batch["batch_id"].as_str().unwrap_or_default(), counts);
    if counts.rejected > 0 {
        text.push_str(&match all_in {
            Some(path) => format!("  all of them go to {}\n", path.display()),
            None => "  --rejects FILE writes them, with the reason of each\n".to_owned(),
        });
    }
    text
}

pub(super) fn of_dry_run(found: &DryRun) -> String {
    let CheckedLines { lines, new, known, unchecked, rejected, repeated } = found.counts;
    let column = |column: &Option<Column>| column.map_or("(skipped)", Column::name);
    let columns: Vec<&str> = found.columns.iter().map(column).collect();
    let separator = match found.separator {
        Some('\t') => "tab".to_owned(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    };
    let mut text = format!(
        "nothing was written\nencoding       {}\nseparator      {separator}\n\
         header         {}\ncolumns        {}\nlines          {}\nnew            {}\n\
         known          {}\nrejected       {}\n",
        found.encoding,
        found.header.as_deref().unwrap_or("none"),
        columns.join(", "),
        thousands(lines),
        thousands(new),
        thousands(known),
        thousands(rejected),
    );
    if let Some(export) = found.export {
        text.push_str(&format!("export of      {}; left out: {}\n", export.name, export.left_out));
    }
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
    for parsed in &found.parsed {
        text.push_str(&format!("  line {}: {}\n", thousands(parsed.line), shown(parsed, found)));
    }
    for line in &found.rejected {
        let (number, shown) = (thousands(line.line), line.text.trim());
        text.push_str(&format!("  line {number}: {shown:?}: {}: {}\n", line.reason, line.detail));
    }
    let more = rejected.saturating_sub(found.rejected.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {} more\n", thousands(more)));
    }
    text
}

/// A line as it was read: `ABCD1234, issued to ann, from 2026-01-01T00:00:00.000Z, last day …`.
fn shown(parsed: &ParsedLine, found: &DryRun) -> String {
    let read = &parsed.read;
    let to = read.imported_state.holder().map(|user| format!(" to {user}")).unwrap_or_default();
    let last = Date::last_of(read.expires_at, &found.zone);
    let from = format_instant(read.valid_from);
    format!(
        "{}, {}{to}, from {from}, last day {last} ({})",
        read.code,
        parsed.state(),
        found.zone.name()
    )
}

#[cfg(test)]
mod tests {
    use coupon::campaign::BatchKind;
    use coupon::time::Millis;

    use super::*;

    fn batch(lines: u64, rejected: u64) -> Batch {
        Batch {
            id: "partner-a".parse().unwrap(),
            campaign: "spring".parse().unwrap(),
            kind: BatchKind::Imported,
            count: lines - rejected,
            paused: false,
            import: ImportCounts { lines, imported: lines - rejected, already_there: 0, rejected },
            created_at: Millis(0),
        }
    }

    fn line(line: u64) -> RejectedLine {
        let (reason, detail) = ("CODE".to_owned(), "has 2 characters".to_owned());
        RejectedLine { line, text: "a\"b".to_owned(), reason, detail }
    }

    #[test]
    fn summaries() {
        let all = of_import(&batch(1_200, 0), &[], None);
        assert_eq!(
            all,
            "batch          partner-a\nlines          1,200\nimported       1,200\n\
             already there  0\nrejected       0\n"
        );
        let one = of_import(&batch(1_200, 1), &[line(1_007)], None);
        assert!(one.ends_with("  line 1,007: \"a\\\"b\": CODE: has 2 characters\n"), "{one}");
        let five = [line(1), line(2), line(3), line(4), line(5)];
        let many = of_import(&batch(1_200, 7), &five, None);
        assert!(many.ends_with("  and 2 more; --rejects FILE writes all of them\n"), "{many}");
        let many = of_import(&batch(1_200, 7), &five, Some(Path::new("r.csv")));
        assert!(many.ends_with("  and 2 more; all of them go to r.csv\n"), "{many}");
    }
}
