use std::fs;
use std::sync::Barrier;

use super::*;

fn attempt(nth: i64) -> Attempt {
    Attempt {
        at: now() + nth,
        action: "redeem".into(),
        code: Some(format!("CODE{nth}")),
        campaign: None,
        user: Some("ann".to_owned()),
        order: Some(format!("o{}", nth % 2)),
        actor: Some("shop:till-7".to_owned()),
        peer: Some("192.0.2.1".to_owned()),
        problem: if nth % 3 == 0 { "EXPIRED" } else { "HELD" }.into(),
        unknown: None,
    }
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn numbers(found: &Found) -> Vec<String> {
    found.attempts.iter().map(|it| it.attempt.code.clone().unwrap()[4..].to_owned()).collect()
}

#[test]
fn found_by_each_of_their_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempts.db");
    let log = AttemptLog::open(&path, Options::default()).unwrap();
    for nth in 0..7 {
        log.keep(attempt(nth));
    }
    let some = |text: &str| Some(text.to_owned());
    let codes = |codes: &[&str]| Some(codes.iter().map(|&code| code.to_owned()).collect());
    let all = Wanted::default;
    let cases = [
        ("all", all(), "6 5 4 3 2 1 0"),
        ("of a code", Wanted { codes: codes(&["CODE3"]), ..all() }, "3"),
        ("of two codes", Wanted { codes: codes(&["CODE3", "CODE5"]), ..all() }, "5 3"),
        ("of a user", Wanted { user: some("ann"), ..all() }, "6 5 4 3 2 1 0"),
        ("of nobody", Wanted { user: some("bob"), ..all() }, ""),
        ("of an order", Wanted { order: some("o1"), ..all() }, "5 3 1"),
        ("for a reason", Wanted { problem: some("EXPIRED"), ..all() }, "6 3 0"),
        ("of both", Wanted { order: some("o1"), problem: some("EXPIRED"), ..all() }, "3"),
        ("by an actor", Wanted { actor: some("shop:other"), ..all() }, ""),
    ];
    for (name, wanted, want) in cases {
        let found = log.find(&wanted, 10).unwrap();
        assert_eq!(numbers(&found).join(" "), want, "{name}");
        assert_eq!(found.dropped, 0, "{name}");
    }
    let first = log.find(&all(), 3).unwrap();
    let before = first.attempts.last().map(|it| it.number);
    let second = log.find(&Wanted { before, ..all() }, 10).unwrap();
    assert_eq!(numbers(&second), ["3", "2", "1", "0"]);
    let kept = first.attempts[0].attempt.clone();
    assert_eq!(kept, Attempt { at: kept.at, ..attempt(6) });
    drop(log);
    let log = AttemptLog::open(&path, Options::default()).unwrap();
    assert_eq!(log.find(&all(), 10).unwrap().attempts.len(), 7, "they are in the file");
}

#[test]
fn the_oldest_go_first_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { rows_max: 10, ..Options::default() };
    let log = AttemptLog::open(&folder.path().join("attempts.db"), options).unwrap();
    for nth in 0..25 {
        log.keep(attempt(nth));
        if nth % 4 == 0 {
            log.find(&Wanted::default(), 1).unwrap();
        }
    }
    let found = log.find(&Wanted::default(), 100).unwrap();
    let want: Vec<String> = (15..25).rev().map(|nth: i64| nth.to_string()).collect();
    assert_eq!(numbers(&found), want);
    assert_eq!(found.dropped, 15);
}

#[test]
fn old_ones_are_deleted_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempts.db");
    let log = AttemptLog::open(&path, Options::default()).unwrap();
    let day = 86_400_000;
    for ago in [40 * day, 31 * day, 29 * day, 0] {
        log.keep(Attempt { at: now() - ago, ..attempt(0) });
    }
    assert_eq!(log.find(&Wanted::default(), 9).unwrap().attempts.len(), 4, "an untrusted clock");
    log.forget_old(true);
    log.keep(attempt(0));
    assert_eq!(log.find(&Wanted::default(), 9).unwrap().attempts.len(), 3);
    // The last one stays: its number must not come again.
    drop(log);
    let options = Options { keep_ms: -day, ..Options::default() };
    let log = AttemptLog::open(&path, options).unwrap();
    log.forget_old(true);
    log.keep(attempt(1));
    let found = log.find(&Wanted::default(), 9).unwrap();
    assert_eq!((numbers(&found), found.dropped), (vec!["1".to_owned()], 0));
}

#[test]
fn refusals_are_counted_by_the_quarter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempts.db");
    let options = Options { waiting_max: 1, ..Options::default() };
    let log = AttemptLog::open(&path, options).unwrap();
    let quarter = now() / QUARTER_MS;
    let of = |campaign: &str, quarter: i64, problem: &'static str| Attempt {
        at: quarter * QUARTER_MS,
        campaign: (!campaign.is_empty()).then(|| campaign.to_owned()),
        problem: Cow::Borrowed(problem),
        ..attempt(0)
    };
    for _ in 0..3 {
        log.keep(of("a", quarter, "HELD"));
        log.keep(of("a", quarter - 1, "EXPIRED"));
        log.keep(of("b", quarter, "HELD"));
        log.keep(of("", quarter, "NOT_FOUND"));
        log.keep(of("b", quarter - 800 * 96, "HELD"));
    }
    let counts = |campaign, from| {
        let refused = log.refused(campaign, from, quarter + 1).unwrap();
        let line = |it: &Refused| format!("{} {} {}", quarter - it.quarter, it.problem, it.count);
        refused.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(counts(Some("a"), 0), "1 EXPIRED 3, 0 HELD 3");
    assert_eq!(counts(Some("a"), quarter), "0 HELD 3");
    assert_eq!(counts(Some("b"), quarter), "0 HELD 3");
    assert_eq!(counts(None, quarter), "0 HELD 6, 0 NOT_FOUND 3", "also the dropped ones");
    // Those of more than two years ago go.
    assert_eq!(counts(Some("b"), 0), "76800 HELD 3, 0 HELD 3");
    log.forget_old(true);
    log.keep(of("b", quarter, "HELD"));
    assert_eq!(counts(Some("b"), 0), "0 HELD 4");
}

/// A flood never waits for the disk: of what does not fit into memory the oldest are dropped.
#[test]
fn a_flood_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { waiting_max: 100, ..Options::default() };
    let log = AttemptLog::open(&folder.path().join("attempts.db"), options).unwrap();
    let (threads, each) = (4, 5_000);
    let begin = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                begin.wait();
                (0..each).for_each(|nth| log.keep(attempt(nth)));
            });
        }
    });
    let found = log.find(&Wanted::default(), 100_000).unwrap();
    let all = found.attempts.len() as u64 + found.dropped;
    assert_eq!(all, threads as u64 * each as u64, "each is kept or counted");
    assert!(found.dropped > 0 && found.attempts.len() >= 100);
}

/// Nobody else is hurt by a file that takes no writes.
#[test]
fn a_file_that_takes_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempts.db");
    let log = AttemptLog::open(&path, Options::default()).unwrap();
    let blocker = rusqlite::Connection::open(&path).unwrap();
    blocker.execute_batch("DROP TABLE attempt").unwrap();
    log.keep(attempt(1));
    assert!(log.find(&Wanted::default(), 1).is_err());
    log.keep(attempt(2));
    drop(log);
}

#[test]
fn a_file_of_another_release() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attempts.db");
    drop(AttemptLog::open(&path, Options::default()).unwrap());
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 2).unwrap();
    drop(conn);
    let error = AttemptLog::open(&path, Options::default()).expect_err("it is newer");
    assert_eq!(
        error.to_string(),
        "the file of refused attempts has version 2, this release knows 1: move it away"
    );
    fs::remove_file(&path).unwrap();
}
