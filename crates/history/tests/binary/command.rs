//! Queries on the command line.

use std::fs;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use datafusion::arrow::ipc::reader::FileReader;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::data::TestData;

const BY_STATE: &str = "select state, count(*) as coupons from coupons group by 1 order by 1";

#[test]
fn a_query_answers_and_writes_nothing() {
    let data = TestData::new();
    let before = data.fingerprint();
    let cases: [(&str, &[&str], &str); 4] = [
        (
            "a table",
            &[BY_STATE],
            "state      coupons\navailable       54\nissued          53\nredeemed        53\n",
        ),
        (
            "CSV",
            &["--format", "csv", BY_STATE],
            "state,coupons\navailable,54\nissued,53\nredeemed,53\n",
        ),
        (
            "JSON lines",
            &[BY_STATE, "--format", "jsonl"],
            "{\"state\":\"available\",\"coupons\":54}\n{\"state\":\"issued\",\"coupons\":53}\n\
             {\"state\":\"redeemed\",\"coupons\":53}\n",
        ),
        (
            "cold as it was before the last archive commit",
            &["--as-of", "1", "--format", "csv", "select count(*) as n from coupons"],
            "n\n60\n",
        ),
    ];
    for (name, arguments, want) in cases {
        let ran = data.run(arguments);
        // A count over the archive alone is lower, and says so.
        let said = match arguments.contains(&"--as-of") {
            true => "couponry-history: version 1 of the archive alone, without active coupons\n",
            false => "",
        };
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, want, said), "{name}");
    }
    assert_eq!(data.fingerprint(), before, "nothing was written");
}

#[test]
fn files_are_complete_and_readable() {
    let data = TestData::new();
    let rows = |name: &str| {
        let file = File::open(data.at(name)).unwrap();
        match name {
            "a.parquet" => ParquetRecordBatchReader::try_new(file, 1_000)
                .unwrap()
                .map(|batch| batch.unwrap().num_rows())
                .sum::<usize>(),
            _ => FileReader::try_new(file, None)
                .unwrap()
                .map(|batch| batch.unwrap().num_rows())
                .sum(),
        }
    };
    for (format, name) in [("parquet", "a.parquet"), ("arrow", "a.arrow")] {
        let to = data.at(name).display().to_string();
        let sql = "select * from coupons";
        let ran = data.run(&["--format", format, "--output", &to, sql]);
        assert_eq!(ran.code, 0, "{format}: {}", ran.err);
        assert_eq!(rows(name), 160, "{format}");
        assert!(ran.err.starts_with("couponry-history: 160 rows in "), "{}", ran.err);
    }
    let to = data.at("b.parquet").display().to_string();
    let failing = "select 1 / (version - version) from coupons";
    let ran = data.run(&["--format", "parquet", "--output", &to, failing]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let left = fs::read_dir(data.at("")).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("b.")).collect();
    assert!(left.is_empty(), "half a file: {left:?}");
}

#[test]
fn sql_comes_from_a_file_or_from_standard_input() {
    let data = TestData::new();
    let sql = "-- two of them\nselect 1 as a;\nselect 2 as b;\n";
    fs::write(data.at("two.sql"), sql).unwrap();
    let ran = data.run(&["--file", "two.sql", "--format", "csv"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\n1\nb\n2\n"), "{}", ran.err);
    let ran = data.run_with_input(&["-", "--format", "csv"], "select 3 as c");
    assert_eq!((ran.code, ran.out.as_str()), (0, "c\n3\n"), "{}", ran.err);
    let ran = data.run_with_input(&["-"], sql);
    assert_eq!(ran.code, 2);
    let want =
        "couponry-history: 2 statements, want one: put them into a file and name it with --file\n";
    assert_eq!(ran.err, want);
}

#[test]
fn exit_codes_and_errors() {
    let data = TestData::new();
    let long = "select sum(a.version * b.version) from coupons a cross join (coupons b cross join \
         (coupons c cross join coupons d))";
    let cases: [(&str, &[&str], i32, &str); 9] = [
        ("no SQL", &[], 2, "there is no SQL: "),
        ("empty SQL", &[""], 2, "there is no SQL statement"),
        ("a syntax error", &["selct 1"], 2, "syntax: Expected: an SQL statement, found: selct"),
        (
            "a table",
            &["select * from coupon"],
            2,
            "there is no table coupon: did you mean coupons?",
        ),
        ("a write", &["drop table coupons"], 2, "DROP is not allowed"),
        ("both", &["select 1", "--file", "x.sql"], 2, "cannot be used with"),
        ("no file", &["--file", "none.sql"], 1, "cannot read none.sql: "),
        ("a version", &["--as-of", "99", "select 1 from coupons"], 2, "no version 99"),
        ("time", &["--time-limit", "1", long], 1, "the query took more than 1s: "),
    ];
    for (name, arguments, code, want) in cases {
        let ran = data.run(arguments);
        assert_eq!(ran.code, code, "{name}: {ran:?}");
        assert!(ran.err.contains(want), "{name}: {}", ran.err);
        assert_eq!(ran.out, "", "{name}");
    }
}

#[test]
fn data_of_an_earlier_release_is_not_upgraded() {
    let data = TestData::new();
    // The position of `user_version` in a SQLite file.
    let mut store = File::options().write(true).open(data.at("hot/hot.db")).unwrap();
    store.seek(SeekFrom::Start(60)).unwrap();
    store.write_all(&0_u32.to_be_bytes()).unwrap();
    drop(store);
    let before = data.fingerprint();
    let ran = data.run(&["select count(*) from coupons"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("are of an earlier release: `couponry serve` upgrades them"),
        "{ran:?}"
    );
    assert_eq!(data.fingerprint(), before, "nothing was written");
}

#[test]
fn a_missing_folder_is_not_created() {
    let data = TestData::new();
    let none = data.at("none").display().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_couponry-history"))
        .env_clear()
        .current_dir(data.at(""))
        .args(["--data", &none, "select count(*) from coupons"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("there is no couponry data in "), "{err}");
    assert!(!data.at("none").exists());
}
