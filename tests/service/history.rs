//! Exports and look-ups of events over both tiers: the same before, during and after a compaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::client::at_once;
use super::data::{Data, Ran, full};

/// Coupons that are archived while they are exported.
fn many() -> usize {
    if full() { 300_000 } else { 30_000 }
}

/// The output of a command that must succeed.
#[track_caller]
fn done(data: &Data, arguments: &[&str]) -> String {
    let ran = data.run(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran.stdout
}

#[track_caller]
fn json(data: &Data, arguments: &[&str]) -> Value {
    let printed = done(data, arguments);
    serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{arguments:?}: {printed}"))
}

fn campaign(data: &Data, id: &str, more: &[&str]) {
    let create = ["campaign", "create", "--campaign-id", id, "--expires-on", "2031-12-31"];
    let limit = ["--stock", "20", "--per-user-limit", "100"];
    let arguments: Vec<&str> = create.iter().chain(&limit).chain(more).copied().collect();
    done(data, &arguments);
}

fn import(data: &Data, campaign: &str, lines: &str) {
    let path = data.folder().join(format!("{campaign}.csv"));
    let header = "code,valid_from,expires_at,state,user_id,redeemed_at,order_ref\n";
    fs::write(&path, format!("{header}{lines}")).expect("a file to import");
    let path = path.to_str().expect("UTF-8");
    done(data, &["import", path, "--campaign", campaign, "--batch", "old"]);
}

/// Issues the next coupon of the stock to `user`. Returns its code.
fn issue(data: &Data, campaign: &str, user: &str, name: &str) -> String {
    let issue = ["coupon", "issue", "--campaign", campaign, "--user", user, "--issue-ref", name];
    json(data, &issue)["code"].as_str().expect("a code").to_owned()
}

fn redeem(data: &Data, code: &str, user: &str, order: &str) {
    done(data, &["coupon", "redeem", code, "--user", user, "--order", order]);
}

/// The rows after the header. No row contains a line end.
fn rows(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).collect()
}

/// Rows without their tier, sorted. Each is there once.
#[track_caller]
fn wherever(name: &str, csv: &str) -> BTreeSet<String> {
    let bare = |row: &str| {
        let row =
            row.strip_suffix(",hot,,,").or_else(|| row.strip_suffix(",cold,,,")).unwrap_or(row);
        row.to_owned()
    };
    let found: BTreeSet<String> = rows(csv).into_iter().map(bare).collect();
    assert_eq!(found.len(), rows(csv).len(), "{name}: a row is there twice");
    found
}

fn tiers(csv: &str) -> BTreeSet<&str> {
    rows(csv).into_iter().filter_map(|row| row.trim_end_matches(',').rsplit(',').next()).collect()
}

/// Lines of an old system. Two thirds expired in June 2024, the rest later that month. One in four
/// was redeemed, in March.
fn old_lines(count: usize) -> String {
    let line = |n: usize| {
        let (expires, day) = (28 + n % 3, 1 + n % 28);
        let rest = match n % 4 {
            0 => ",,,".to_owned(),
            1 => format!("issued,u{},,", n % 50),
            2 => format!("redeemed,u{},2024-03-{day:02}T12:00:00Z,o{n}", n % 50),
            _ => "void,,,".to_owned(),
        };
        format!("H{n:07},2024-01-01,2024-06-{expires:02},{rest}\n")
    };
    (0..count).map(line).collect()
}

const ALL_REDEMPTIONS: [&str; 6] =
    ["export", "redemptions", "--from", "2024-01-01", "--to", "2031-01-01"];

/// The look-ups, by name.
fn looked_up(data: &Data, codes: &[String]) -> BTreeMap<String, String> {
    let asks: [(&str, &[&str]); 5] = [
        ("all coupons", &["export", "coupons"]),
        ("all redemptions", &ALL_REDEMPTIONS),
        ("a user", &["history", "user", "u2"]),
        ("a user of today", &["history", "user", "ann"]),
        ("a last day", &["history", "expires-on", "2024-06-28"]),
    ];
    let mut all: BTreeMap<String, String> =
        asks.iter().map(|(name, ask)| (name.to_string(), done(data, ask))).collect();
    for code in codes {
        let told = done(data, &["history", "code", code]);
        let told = told.replace("\"tier\":\"cold\"", "\"tier\":\"hot\"");
        all.insert(format!("code {code}"), format!("header\n{told}"));
    }
    all
}

#[track_caller]
fn same(found: &BTreeMap<String, String>, want: &BTreeMap<String, String>, when: &str) {
    for (name, want) in want {
        let (found, want) = (wherever(name, &found[name]), wherever(name, want));
        let missed: Vec<&String> = want.difference(&found).take(3).collect();
        let more: Vec<&String> = found.difference(&want).take(3).collect();
        assert!(missed.is_empty() && more.is_empty(), "{when}: {name}: {missed:?}, {more:?}");
    }
}

#[test]
fn before_during_and_after() {
    let count = many();
    if !full() {
        eprintln!("history: {count} coupons; 300,000 with COUPONRY_FULL=1 or in release");
    }
    let data = Data::new();
    campaign(&data, "old", &[]);
    campaign(&data, "here", &["--cancel-days", "0"]);
    import(&data, "old", &old_lines(count));
    let mut codes = vec!["H0000000".to_owned(), "H0000001".to_owned(), "H0000002".to_owned()];
    for nth in 0..6 {
        let code = issue(&data, "here", "ann", &format!("r{nth}"));
        if nth < 4 {
            redeem(&data, &code, "ann", &format!("n{nth}"));
        }
        codes.push(code);
    }
    let before = looked_up(&data, &codes);
    let sizes = [
        ("all coupons", count + 6),
        ("all redemptions", count / 4 + 4),
        ("a user", (0..count).filter(|n| n % 50 == 2 && [1, 2].contains(&(n % 4))).count()),
        ("a user of today", 6),
        ("a last day", count.div_ceil(3)),
    ];
    for (name, size) in sizes {
        assert_eq!(rows(&before[name]).len(), size, "{name}");
    }
    assert_eq!(tiers(&before["all coupons"]), BTreeSet::from(["hot"]));
    // While another process archives them.
    let mut compact = data.command(["compact", "--closed-now"]);
    let mut compact =
        compact.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("compact runs");
    let (mut during, mut mixed) = (0, 0);
    let asks: [(&str, &[&str]); 3] = [
        ("all coupons", &["export", "coupons"]),
        ("all redemptions", &ALL_REDEMPTIONS),
        ("a user", &["history", "user", "u2"]),
    ];
    while compact.try_wait().expect("wait").is_none() {
        let found = at_once(asks.len(), |nth| done(&data, asks[nth].1));
        for ((name, _), found) in asks.iter().zip(found) {
            mixed += usize::from(*name == "all coupons" && tiers(&found).len() == 2);
            let found = BTreeMap::from([(name.to_string(), found)]);
            let want = BTreeMap::from([(name.to_string(), before[*name].clone())]);
            same(&found, &want, "during");
            during += 1;
        }
    }
    assert!(compact.wait().expect("wait").success());
    eprintln!("history: {during} exports beside the compaction, {mixed} of them of both tiers");
    assert!(during > 0, "the compaction ended before the first export");
    let after = looked_up(&data, &codes);
    same(&after, &before, "after");
    assert_eq!(tiers(&after["all coupons"]), BTreeSet::from(["cold", "hot"]));
    assert_eq!(tiers(&after["a last day"]), BTreeSet::from(["cold"]));
    let sorted = |csv: &str| {
        let at = |row: &str| {
            let cells: Vec<String> = row.split(',').map(str::to_owned).collect();
            (cells[8].clone(), cells[0].clone())
        };
        rows(csv).into_iter().map(at).collect::<Vec<_>>().is_sorted()
    };
    assert!(sorted(&after["a last day"]), "by partition and code");
}

/// The redemptions of a month: days, zones, cancelled redemptions, cells with quotes.
#[test]
fn redemptions() {
    let data = Data::new();
    campaign(&data, "utc", &["--code-prefix", "GIFT"]);
    campaign(&data, "seoul", &["--time-zone", "Asia/Seoul"]);
    let line = |code: &str, at: &str, user: &str, order: &str| {
        format!("{code},2024-01-01,2024-06-30,redeemed,{user},{at},{order}\n")
    };
    let lines = [
        line("UTC00001", "2024-05-31T14:30:00Z", "ann", "1"),
        line("UTC00002", "2024-05-31T15:00:00Z", "ann", "\"a,b\""),
        line("UTC00003", "2024-05-31T23:59:59.999Z", "", "=1+1"),
        line("UTC00004", "2024-06-01T00:00:00Z", "@bob", "\"say\"\"x\"\"\""),
        // The old system accepted it long after its last day.
        line("UTC00005", "2024-12-24T12:00:00Z", "ann", "late"),
        // New York: the day with 25 hours, from its first instant to its last.
        line("UTC00006", "2024-11-03T04:00:00Z", "ann", "first"),
        line("UTC00007", "2024-11-04T04:59:59.999Z", "ann", "last"),
        line("UTC00008", "2024-11-04T05:00:00Z", "ann", "over"),
    ];
    import(&data, "utc", &lines.concat());
    import(&data, "seoul", &line("SEOUL001", "2024-05-31T15:00:00Z", "ann", "s"));
    // Redeemed, cancelled, redeemed again, then void: closed.
    let code = issue(&data, "utc", "cay", "r");
    let today = |data: &Data| -> String {
        let shown = json(data, &["coupon", "show", &code]);
        shown["modified_at"].as_str().expect("an instant")[..10].to_owned()
    };
    let first_day = today(&data);
    let cancel = |order: &str, reason: &[&str]| {
        let call = ["coupon", "cancel-redemption", &code, "--order", order];
        done(&data, &call.iter().chain(reason).copied().collect::<Vec<_>>());
    };
    redeem(&data, &code, "cay", "first");
    cancel("first", &["--reason", "=sent back, \"unopened\""]);
    redeem(&data, &code, "cay", "second");
    cancel("second", &[]);
    done(&data, &["coupon", "void", &code]);
    let last_day = today(&data);
    let month = |from: &str, to: &str, more: &[&str]| -> Vec<String> {
        let ask = ["export", "redemptions", "--from", from, "--to", to];
        let csv = done(&data, &ask.iter().chain(more).copied().collect::<Vec<_>>());
        let header = "\u{feff}code,campaign_id,campaign_name,batch_id,user_id,order_ref,\
                      redeemed_at,cancelled_at,cancel_reason,time_zone,\
                      order_amount,discount,currency";
        assert_eq!(csv.lines().next(), Some(header));
        rows(&csv).into_iter().map(str::to_owned).collect()
    };
    let codes = |rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| row.split(',').next().unwrap_or_default().to_owned()).collect()
    };
    for tier in ["hot", "cold"] {
        if tier == "cold" {
            done(&data, &["compact", "--closed-now"]);
            let shown = json(&data, &["coupon", "show", &code]);
            assert_eq!(shown["tier"], "cold", "{shown}");
        }
        let (may, june) = ("2024-05-01..2024-05-31", "2024-06-01..2024-06-30");
        let seoul = ["--time-zone", "Asia/Seoul"];
        let cases: [(&str, &str, &[&str], &[&str]); 10] = [
            ("May", may, &[], &["SEOUL001", "UTC00001", "UTC00002", "UTC00003"]),
            ("June", june, &[], &["UTC00004"]),
            ("May in Seoul", may, &seoul, &["UTC00001"]),
            ("June in Seoul", june, &seoul, &["SEOUL001", "UTC00002", "UTC00003", "UTC00004"]),
            ("a campaign's own zone: May", may, &["--campaign", "seoul"], &[]),
            ("a campaign's own zone: June", june, &["--campaign", "seoul"], &["SEOUL001"]),
            ("another zone", may, &["--campaign", "seoul", "--time-zone", "UTC"], &["SEOUL001"]),
            ("long after its day", "20241224..20241224", &[], &["UTC00005"]),
            (
                "25 hours",
                "2024-11-03..2024-11-03",
                &["--time-zone", "America/New_York"],
                &["UTC00006", "UTC00007"],
            ),
            ("nothing", "2023-01-01..2023-12-31", &[], &[]),
        ];
        for (name, days, more, want) in cases {
            let (from, to) = days.split_once("..").expect("two days");
            assert_eq!(codes(&month(from, to, more)), want, "{tier}: {name}");
        }
        let june = month("2024-05-31", "2024-06-01", &["--campaign", "utc"]);
        assert_eq!(
            june,
            [
                "UTC00001,utc,utc,old,ann,1,2024-05-31 14:30:00,,,UTC,,,",
                "UTC00002,utc,utc,old,ann,\"a,b\",2024-05-31 15:00:00,,,UTC,,,",
                "UTC00003,utc,utc,old,,'=1+1,2024-05-31 23:59:59,,,UTC,,,",
                "UTC00004,utc,utc,old,'@bob,\"say\"\"x\"\"\",2024-06-01 00:00:00,,,UTC,,,",
            ],
            "{tier}"
        );
        let twice = month(&first_day, &last_day, &["--format", "csv", "--campaign", "utc"]);
        assert_eq!(codes(&twice), [code.as_str(), code.as_str()], "{tier}: {twice:?}");
        assert!(twice[0].contains(",cay,first,") && twice[1].contains(",cay,second,"), "{twice:?}");
        assert!(
            twice[0].ends_with(",\"'=sent back, \"\"unopened\"\"\",UTC,,,"),
            "{tier}: {twice:?}"
        );
        assert!(twice[1].ends_with(",,UTC,,,"), "{tier}: cancelled without a reason: {twice:?}");
        let ask = ["--from", &first_day, "--to", &last_day, "--format", "jsonl"];
        let ask: Vec<&str> = ["export", "redemptions"].iter().chain(&ask).copied().collect();
        let lines = done(&data, &ask);
        let first: Value =
            serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
        assert_eq!(first["cancel_reason"], "=sent back, \"unopened\"", "{tier}: as it is");
        assert_eq!(first["user_id"], "cay", "{tier}: {first}");
        let amounts = ["order_amount", "discount", "currency"];
        assert!(amounts.iter().all(|name| first.get(name).is_some()), "{tier}: {first}");
        assert_eq!(lines.lines().count(), 2, "{tier}");
    }
}

#[test]
fn last_days_and_users() {
    let data = Data::new();
    campaign(&data, "old", &["--time-zone", "Asia/Seoul"]);
    campaign(&data, "short", &["--valid-days", "3"]);
    // The last day in Seoul, and an instant on the day before in UTC.
    let lines = [
        "SEOUL001,2024-01-01,2024-06-30,,,,\n",
        "SEOUL002,2024-01-01,2024-06-30T00:00:00Z,issued,dan,,\n",
        "SEOUL003,2024-01-01,2024-06-29T15:00:00Z,,,,\n",
    ];
    import(&data, "old", &lines.concat());
    // In the partition of 2031, and expired in three days.
    let code = issue(&data, "short", "ann", "r");
    let short = json(&data, &["history", "code", &code]);
    let soon = short["expires_on"].as_str().expect("a date");
    let back = issue(&data, "short", "ann", "back");
    done(&data, &["coupon", "revoke", &back, "--user", "ann", "--reason", "by mistake"]);
    let on = |day: &str, more: &[&str]| -> Vec<String> {
        let ask: Vec<&str> = ["history", "expires-on", day].iter().chain(more).copied().collect();
        let csv = done(&data, &ask);
        let range = ["export", "coupons", "--from", day, "--to", day];
        let range: Vec<&str> = range.iter().chain(more).copied().collect();
        assert_eq!(done(&data, &range), csv, "{day}: the same by export");
        let code = |row: &str| row.split(',').next().unwrap_or_default().to_owned();
        rows(&csv).into_iter().map(code).collect()
    };
    for tier in ["hot", "cold"] {
        if tier == "cold" {
            done(&data, &["compact"]);
            assert_eq!(json(&data, &["history", "code", "SEOUL001"])["tier"], "cold");
        }
        let cases: [(&str, &str, &[&str], &[&str]); 7] = [
            ("its own zone", "2024-06-30", &[], &["SEOUL001", "SEOUL002"]),
            ("the day before", "2024-06-29", &[], &["SEOUL003"]),
            ("in UTC", "2024-06-30", &["--time-zone", "UTC"], &["SEOUL001"]),
            ("in UTC before", "2024-06-29", &["--time-zone", "UTC"], &["SEOUL003", "SEOUL002"]),
            ("another campaign", "2024-06-30", &["--campaign", "short"], &[]),
            ("before its partition", soon, &[], &[&code]),
            ("before its partition, by campaign", soon, &["--campaign", "short"], &[&code]),
        ];
        for (name, day, more, want) in cases {
            let mut found = on(day, more);
            let mut want = want.to_vec();
            found.sort();
            want.sort_unstable();
            assert_eq!(found, want, "{tier}: {name}");
        }
        let of = |user: &str| rows(&done(&data, &["history", "user", user])).len();
        assert_eq!(of("dan"), 1, "{tier}");
        assert_eq!(of("ann"), 1, "{tier}: a revoked coupon does not count");
        assert_eq!(of("nobody"), 0, "{tier}");
        let taken = json(&data, &["history", "code", &back]);
        assert_eq!(taken["events"][1]["reference"], "by mistake", "{tier}: {taken}");
    }
    // The changes of a day: an import is a change.
    let changed = json(&data, &["history", "code", "SEOUL001"]);
    let changed = &changed["modified_at"].as_str().expect("an instant")[..10];
    let by = |from: &str, to: &str| {
        let ask = ["export", "coupons", "--by", "last-change", "--from", from, "--to", to];
        rows(&done(&data, &[&ask[..], &["--campaign", "old"]].concat())).len()
    };
    assert_eq!((by(changed, changed), by("2024-06-01", "2024-06-30")), (3, 0));
}

#[test]
fn wrong_calls() {
    let data = Data::new();
    let none = data.run(&["history", "code", "H0000000"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stderr.contains("there is no couponry data"), "{none:?}");
    campaign(&data, "old", &[]);
    let rows: [(&str, &[&str], i32, &str); 11] = [
        (
            "the wrong order",
            &["export", "redemptions", "--from", "2024-06-01", "--to", "2024-05-31"],
            2,
            "--from 2024-06-01 is after --to 2024-05-31",
        ),
        (
            "the wrong order of coupons",
            &["export", "coupons", "--from", "2024-06-01", "--to", "2024-05-31"],
            2,
            "--from 2024-06-01 is after --to 2024-05-31",
        ),
        ("no last day", &["export", "redemptions", "--from", "2024-06-01"], 2, "--to"),
        (
            "no such day",
            &["export", "redemptions", "--from", "2024-06-31", "--to", "2024-07-01"],
            2,
            "want a day that exists",
        ),
        (
            "no such zone",
            &["export", "coupons", "--time-zone", "Asia/Soul"],
            2,
            "want a name of the IANA database",
        ),
        (
            "no such zone of a day",
            &["history", "expires-on", "2024-06-30", "--time-zone", "KST"],
            2,
            "IANA",
        ),
        ("no date", &["history", "expires-on", "tomorrow"], 2, "2026-12-31"),
        ("no code", &["history", "code", "???"], 2, "code"),
        ("no such code", &["history", "code", "H0000000"], 1, "NOT_FOUND"),
        (
            "no such campaign",
            &["export", "coupons", "--campaign", "x"],
            1,
            "there is no campaign x",
        ),
        (
            "no such campaign of redemptions",
            &["export", "redemptions", "--campaign", "x", "--from", "20240101", "--to", "20240101"],
            1,
            "there is no campaign x",
        ),
    ];
    for (name, arguments, code, words) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(words), "{name}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{name}: {ran:?}");
    }
}

/// Without the cold folder nothing is exported, and no incomplete file is left.
#[test]
fn cold_folder_gone() {
    let data = Data::new();
    campaign(&data, "old", &[]);
    import(&data, "old", &old_lines(40));
    done(&data, &["compact"]);
    let output = data.folder().join("out.csv");
    let path = output.to_str().expect("UTF-8");
    let (cold, aside) = (data.path().join("cold"), data.folder().join("aside"));
    let asks: [&[&str]; 4] = [
        &["export", "coupons"],
        &["export", "redemptions", "--from", "2024-01-01", "--to", "2024-12-31"],
        &["history", "expires-on", "2024-06-30"],
        &["history", "user", "u2"],
    ];
    for ask in asks {
        let ask: Vec<&str> = ask.iter().copied().chain(["--output", path]).collect();
        fs::rename(&cold, &aside).expect("moved");
        for old in [None, Some("an older export\n")] {
            if let Some(old) = old {
                fs::write(&output, old).expect("out.csv");
            }
            let Ran { code, stdout, stderr } = data.run(&ask);
            assert_eq!((code, stdout.as_str()), (Some(1), ""), "{ask:?}: {stderr}");
            assert!(stderr.contains("couponry: the cold tier is unavailable"), "{ask:?}: {stderr}");
            assert_eq!(fs::read_to_string(&output).ok().as_deref(), old, "{ask:?}");
            assert!(!data.folder().join("out.csv.part").exists(), "{ask:?}: half a file is left");
        }
        fs::rename(&aside, &cold).expect("moved back");
        done(&data, &ask);
        let written = fs::read_to_string(&output).expect("out.csv");
        assert!(!rows(&written).is_empty(), "{ask:?}: {written}");
        fs::remove_file(&output).expect("removed");
    }
}
