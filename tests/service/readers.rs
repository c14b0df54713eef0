//! Readers: PyPI's `deltalake`, `polars` and `duckdb` read the same coupons from the cold folder as
//! the service returns, also after a checkpoint and a merge.
//!
//! The three are installed once, into a virtual environment beside the build cache of `.ci/run`, or
//! `COUPONRY_TEST_PYTHON` names an interpreter that has them. Spark is ten times larger. The script
//! `readers/spark` downloads it and compares it with `deltalake`. The examples of docs/readers.md are
//! run unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testengines::Engine;

use super::client::Client;
use super::data::Data;
use super::downloads::python_with;
use super::finished::{
    campaign, cold, compact, copy_all, count_in, day_that_is_over, doctor_finds_nothing, exported,
    files, import, issued, order, redeemed, serve,
};

const REQUIREMENTS: &str = include_str!("readers/requirements.txt");
const SCRIPT: &str = include_str!("readers/read.py");
const PAGE: &str = include_str!("../../docs/readers.md");
const SPARK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/service/readers/spark");

/// Prints the list of complete days as each reader finds it.
const COMPLETE_DAYS: &str = r#"
import json, sys
import duckdb, pandas, polars
folder = sys.argv[1] + "/complete_days"
by_duckdb = duckdb.read_parquet(folder + "/*.parquet").fetchall()
by_polars = polars.read_parquet(folder + "/*.parquet").rows()
by_pandas = pandas.read_parquet(folder).itertuples(index=False, name=None)
for rows in [by_duckdb, by_polars, by_pandas]:
    print(json.dumps({day.isoformat(): count for day, count in rows}))
"#;

/// Exit code of the script if Spark is not there and cannot be downloaded.
const CANNOT_BE_HAD: i32 = 69;

const READERS: [&str; 3] = ["deltalake", "polars", "duckdb"];
/// A table, and the type of its partition column in each reader.
const TABLES: [(&str, [&str; 3]); 2] = [
    ("coupons", ["date32[day]", "Date", "DATE"]),
    ("coupons_by_holder", ["string", "String", "VARCHAR"]),
];

/// The fields that a row of `coupons` and the HTTP interface have in common.
const FIELDS: [&str; 13] = [
    "campaign_id",
    "batch_id",
    "state",
    "holder",
    "valid_from",
    "expires_at",
    "time_zone",
    "issued_at",
    "redeemed_at",
    "order_ref",
    "created_at",
    "modified_at",
    "version",
];

/// More commits than there are between two checkpoints.
const DAYS_OVER: usize = 56;

/// An interpreter with the three readers, or why there is none.
fn python() -> Result<PathBuf, String> {
    match std::env::var_os("COUPONRY_TEST_PYTHON") {
        Some(named) => Ok(named.into()),
        None => python_with("readers", REQUIREMENTS),
    }
}

/// What one reader read from one table.
#[derive(Debug)]
struct Found {
    version: u64,
    partition: String,
    rows: Vec<Value>,
}

/// What all readers read, by reader and table.
fn read(python: &Path, folder: &Path) -> BTreeMap<(String, String), Found> {
    let output = Command::new(python).args(["-c", SCRIPT]).arg(folder).output().expect("python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", folder.display());
    let mut all: BTreeMap<(String, String), Found> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let row = line.get_mut("row").map(Value::take);
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let key = (text("reader"), text("table"));
        match row {
            Some(row) => all.get_mut(&key).expect("a head first").rows.push(row),
            None => {
                let number = |field: &str| line[field].as_u64().expect("a number");
                counts.insert(key.clone(), number("count"));
                let (version, partition) = (number("version"), text("partition"));
                all.insert(key, Found { version, partition, rows: Vec::new() });
            }
        }
    }
    for (key, found) in &mut all {
        assert_eq!(counts[key], found.rows.len() as u64, "{key:?}: counted and read");
        found.rows.sort_by_key(|row| (row["holder"].to_string(), row["code"].to_string()));
    }
    all
}

/// The rows of both tables, which are equal for all readers, and the version of `coupons`.
fn agreed(python: &Path, folder: &Path, name: &str) -> (u64, Vec<Value>, Vec<Value>) {
    let mut all = read(python, folder);
    assert_eq!(all.len(), READERS.len() * TABLES.len(), "{name}");
    for (table, partitions) in TABLES {
        let of = |reader: &str| &all[&(reader.to_owned(), table.to_owned())];
        for (reader, partition) in READERS.iter().zip(partitions) {
            let (found, first) = (of(reader), of(READERS[0]));
            assert_eq!(found.partition, partition, "{name}: {table} by {reader}");
            assert_eq!(found.version, first.version, "{name}: {table} by {reader}");
            assert_eq!(found.rows.len(), first.rows.len(), "{name}: {table} by {reader}");
            for (row, want) in found.rows.iter().zip(&first.rows) {
                assert_eq!(row, want, "{name}: {table} by {reader} and by {}", READERS[0]);
            }
        }
    }
    let mut take = |table: &str| all.remove(&(READERS[0].to_owned(), table.to_owned()));
    let (coupons, by_holder) = (take("coupons"), take("coupons_by_holder"));
    let (coupons, by_holder) = (coupons.expect("read"), by_holder.expect("read"));
    (coupons.version, coupons.rows, by_holder.rows)
}

/// An event of a row as the HTTP interface has it.
fn event(row: &Value) -> Value {
    let reference = if row["reference"].is_null() { &row["reason"] } else { &row["reference"] };
    json!({"sequence": row["sequence"], "kind": row["kind"], "at": row["at"],
        "actor": row["actor"], "reference": reference})
}

/// The row of the side table, computed from the row of the coupon.
fn held(row: &Value) -> Value {
    let day = row["expiry_day"].as_str().expect("a day");
    json!({"month": day[..7], "holder": row["holder"], "code": row["code"], "expiry_day": day,
        "expires_at": row["expires_at"], "state": row["state"], "version": row["version"]})
}

/// Checks that the readers and the service agree on every archived coupon. Returns their number.
fn compared(python: &Path, data: &Data, admin: &mut Client, name: &str) -> usize {
    let (_, rows, by_holder) = agreed(python, &cold(data), name);
    let exported = exported(data, name);
    let bare = |code: &str| code.replace('-', "");
    let archived: BTreeMap<String, &Value> = exported
        .iter()
        .filter(|(_, coupon)| coupon["tier"] == "cold")
        .map(|(code, coupon)| (bare(code), coupon))
        .collect();
    for row in &rows {
        let code = row["code"].as_str().expect("a code");
        // A prefix is not part of a code.
        let found = archived.iter().find(|(shown, _)| shown.ends_with(code));
        let (_, coupon) = found.unwrap_or_else(|| panic!("{name}: {code} is not exported"));
        let detail = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
        for field in FIELDS {
            assert_eq!(row[field], coupon[field], "{name}: {field} of {code}, exported");
            assert_eq!(row[field], detail[field], "{name}: {field} of {code}, over HTTP");
        }
        let events = row["events"].as_array().expect("events");
        let events: Value = events.iter().map(event).collect();
        assert_eq!(events, detail["events"], "{name}: events of {code}");
    }
    assert_eq!(rows.len(), archived.len(), "{name}: rows, and archived coupons");
    let codes: BTreeSet<String> = rows.iter().map(|row| row["code"].to_string()).collect();
    assert_eq!(codes.len(), rows.len(), "{name}: a code is there twice");
    let mut want: Vec<Value> =
        rows.iter().filter(|row| !row["holder"].is_null()).map(held).collect();
    want.sort_by_key(|row| (row["holder"].to_string(), row["code"].to_string()));
    assert_eq!(by_holder.len(), want.len(), "{name}: by holder");
    for (row, want) in by_holder.iter().zip(&want) {
        assert_eq!(row, want, "{name}: by holder");
    }
    rows.len()
}

/// Coupons with every kind of event, closed or of a day that is over.
fn every_kind(data: &Data, admin: &mut Client) {
    let terms = json!({"campaign_id": "kst", "stock": 20, "expires_on": "2031-12-31",
        "time_zone": "Asia/Seoul", "cancel_days": 0, "per_user_limit": 9, "code_prefix": "KST"});
    admin.post("/v1/campaigns", &terms).must(201);
    let post = |admin: &mut Client, code: &str, what: &str, body: &Value| {
        let answer = admin.post(&format!("/v1/coupons/{code}/{what}"), body);
        assert!(answer.is_good(), "{what} {body}: {}", answer.text());
    };
    let odd = "o'neil,\"x\"\\=+~";
    let named = json!({"user_id": odd, "issue_ref": "ref/'\",;\\"});
    let code = admin.post("/v1/campaigns/kst/issue", &named).must(201).field("code");
    post(admin, &code, "redeem", &order(odd, "=1+1,\"'\\"));
    let issue = |admin: &mut Client, user: &str| {
        let body = json!({"user_id": user, "issue_ref": format!("for-{user}")});
        admin.post("/v1/campaigns/kst/issue", &body).must(201).field("code")
    };
    let code = issue(admin, "ann");
    post(admin, &code, "revoke", &json!({"user_id": "ann", "reason": "Rückruf, \"zurück\" 🙂"}));
    post(admin, &code, "issue", &json!({"user_id": "bob"}));
    post(admin, &code, "redeem", &order("bob", "after-revoke"));
    let code = issue(admin, "cat");
    post(admin, &code, "extend", &json!({"expires_on": "2032-02-03", "reason": "goodwill"}));
    post(admin, &code, "redeem", &order("cat", "after-extend"));
    let code = issue(admin, "dan");
    post(admin, &code, "void", &json!({"reason": "Fehldruck"}));
    let code = issue(admin, "eve");
    post(admin, &code, "void", &json!({}));

    let terms = json!({"campaign_id": "usual", "stock": 5, "expires_on": "2031-12-31",
        "valid_days": 9});
    admin.post("/v1/campaigns", &terms).must(201);
    let code = issued(admin, "usual", "fay");
    post(admin, &code, "redeem", &order("fay", "given-back"));
    post(admin, &code, "cancel-redemption", &json!({"order_ref": "given-back", "reason": "no"}));
    post(admin, &code, "void", &json!({"reason": "after all"}));

    let terms = json!({"campaign_id": "bearer", "handout": "bearer", "stock": 2,
        "expires_on": "2031-12-31", "cancel_days": 0, "per_user_limit": null});
    admin.post("/v1/campaigns", &terms).must(201);
    let codes = admin.get("/v1/campaigns/bearer/codes").must(200).text();
    let code = codes.lines().nth(1).expect("a code").to_owned();
    post(admin, &code, "redeem", &order("gus", "bearer"));

    campaign(admin, "old", 0);
    let times = "2019-03-01T01:02:03.004Z,2019-04-01T00:00:00+09:00";
    let lines = [
        "OLDFREE1,2019-01-01,2019-12-31,,,,,".to_owned(),
        format!("OLDHELD1,2019-01-01,2019-12-31,issued,ann,{},,", &times[..24]),
        format!("OLDSPENT1,2019-01-01,2019-12-31,redeemed,ann,{times},order 1"),
        "OLDSPENT2,2019-01-01,2019-12-31,redeemed,,,2019-04-01T00:00:00Z,".to_owned(),
        "OLDVOID1,2019-01-01,2019-12-31,void,,,,".to_owned(),
        "OLDOTHER1,2019-01-01,2019-11-30T12:00:00+02:00,,,,,".to_owned(),
    ];
    let lines = lines.map(|line| line.replace("order 1", "order-1") + "\n").concat();
    import(data, "old", "paper", &lines);
}

/// One commit a day, then a new log.
fn day_after_day(data: &Data) {
    let day = |n: usize| {
        let day = day_that_is_over(n);
        format!("DAY{n:05},2019-01-01,{day},issued,u{},2019-03-01T00:00:00Z,,\n", n % 7)
    };
    import(data, "old", "days", &(0..DAYS_OVER).map(day).collect::<String>());
    compact(data, &[]);
}

/// The ninth archive commit of a partition merges the files of the others, of three coupons each.
fn merged(data: &Data, admin: &mut Client) {
    campaign(admin, "merged", 100);
    for archive_commit in 0..9 {
        redeemed(admin, "merged", &format!("m{archive_commit}"), 3);
        compact(data, &["--closed-now"]);
    }
}

/// Every reader finds the same days in the list of complete days, and each has as many rows as it says.
fn complete_days_agree(python: &Path, data: &Data) {
    let folder = cold(data);
    let output = Command::new(python).args(["-c", COMPLETE_DAYS]).arg(&folder).output();
    let output = output.expect("python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let (_, rows, _) = agreed(python, &folder, "complete days");
    let mut want: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *want.entry(row["expiry_day"].as_str().expect("a day").to_owned()).or_default() += 1;
    }
    // The other days of this store end in 2031, or later.
    want.retain(|day, _| day.as_str() < "2031");
    assert!(want.len() >= DAYS_OVER, "{want:?}");
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let found: BTreeMap<String, u64> = serde_json::from_str(line).expect("JSON");
        assert_eq!(found, want);
    }
}

/// The examples of the page for these readers, which come before those for Spark.
fn examples() -> Vec<&'static str> {
    let (before, _) = PAGE.split_once("\n## Spark\n").expect("a part about Spark");
    let block = |rest: &'static str| rest.split("```").next();
    before.split("```python\n").skip(1).filter_map(block).collect()
}

#[test]
fn other_readers_find_the_same() {
    let Some(python) = Engine::READERS.found("readers", python) else { return };
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    every_kind(&data, &mut admin);
    compact(&data, &["--closed-now"]);
    let first = compared(&python, &data, &mut admin, "every kind");
    assert_eq!(first, 13, "coupons of every kind");

    day_after_day(&data);
    let second = compared(&python, &data, &mut admin, "checkpoint");
    assert_eq!(second, first + DAYS_OVER, "a coupon a day more");
    complete_days_agree(&python, &data);
    for (table, _) in TABLES {
        let log = cold(&data).join(table).join("_delta_log");
        assert_eq!(files(&log, ".checkpoint.parquet").len(), 1, "{table}: checkpoints");
    }

    merged(&data, &mut admin);
    let log = files(&cold(&data).join("coupons/_delta_log"), ".json");
    let merges = log.iter().filter(|entry| {
        let entry = fs::read_to_string(entry).expect("an entry");
        entry.lines().filter(|line| line.starts_with("{\"remove\"")).count() == 8
    });
    assert_eq!(merges.count(), 1, "commits that took eight files out");
    let third = compared(&python, &data, &mut admin, "merge");
    assert_eq!(third, second + 27, "three coupons an archive commit more");

    // The checkpoint has everything of the entries before it.
    let copy = data.folder().join("copy");
    copy_all(&cold(&data), &copy);
    for (table, _) in TABLES {
        let log = copy.join(table).join("_delta_log");
        let checkpoint = files(&log, ".checkpoint.parquet").remove(0);
        let until = checkpoint.with_extension("").with_extension("json");
        for entry in files(&log, ".json").iter().filter(|entry| **entry <= until) {
            fs::remove_file(entry).expect("removed");
        }
    }
    assert_eq!(agreed(&python, &copy, "copy"), agreed(&python, &cold(&data), "whole"));

    symlink(data.path(), data.folder().join("couponry-data")).expect("a link to the data");
    assert_eq!(examples().len(), 3, "DuckDB, polars, pandas");
    for example in examples() {
        let mut command = Command::new(&python);
        let output = command.args(["-c", example]).current_dir(data.folder()).output();
        let output = output.expect("python");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !output.stdout.is_empty(), "{example}{errors}");
    }
    doctor_finds_nothing(&data, "readers");
    server.stop();
}

#[test]
fn spark_finds_the_same() {
    if !Engine::SPARK.is_asked_for("spark") {
        return;
    }
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    every_kind(&data, &mut admin);
    compact(&data, &["--closed-now"]);
    day_after_day(&data);
    merged(&data, &mut admin);
    let rows = count_in(&exported(&data, "spark"), "cold");
    let output = Command::new(SPARK).arg(cold(&data)).output().expect("the script");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(CANNOT_BE_HAD) {
        Engine::SPARK.is_missing("spark", &errors);
    }
    assert!(output.status.success(), "{said}{errors}");
    let coupons = said.lines().find(|line| line.starts_with("coupons: ")).expect("a line");
    assert!(coupons.contains(&format!(", {rows} rows,")), "{coupons}: want {rows}");
    eprintln!("{said}");
    doctor_finds_nothing(&data, "spark");
    server.stop();
}
