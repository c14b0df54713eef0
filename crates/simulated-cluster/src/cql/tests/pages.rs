//! Slices, their order, and pages while rows change.

use cql_session::BoundValue;

use super::super::PagePosition;
use super::{NOW_S, Replica, collection, shown};

const ALL: &str =
    "SELECT version, code FROM returned WHERE campaign_id = 'c' AND batch_id = 'b' AND part = 0";

fn put(replica: &mut Replica, version: i64) {
    let cql = format!(
        "INSERT INTO returned (campaign_id, batch_id, part, version, code) \
         VALUES ('c', 'b', 0, {version}, 'x')"
    );
    replica.write(&cql, &[]);
}

/// One page, and where it ends after a round trip through its bytes.
fn page(
    replica: &Replica,
    cql: &str,
    from: Option<PagePosition>,
    page_rows: usize,
) -> (Vec<String>, Option<PagePosition>) {
    let statement = replica.statement(cql);
    let read = statement.read(&[]).unwrap();
    let read = match from {
        Some(position) => read.after(position),
        None => read,
    };
    let rows = replica.data.read(&read);
    let (rows, next) = statement.page(&[], &rows, page_rows, NOW_S).unwrap();
    let rows = rows.iter().map(|row| shown(&statement.columns(), row)).collect();
    (rows, next.and_then(|next| PagePosition::from_bytes(&next.to_bytes())))
}

#[test]
fn a_page_begins_behind_the_last_row() {
    let mut replica = Replica::new();
    for version in [1, 3, 5, 7] {
        put(&mut replica, version);
    }
    let (rows, next) = page(&replica, ALL, None, 2);
    assert_eq!(rows, ["1|x", "3|x"]);
    put(&mut replica, 2);
    put(&mut replica, 4);
    let gone = "DELETE FROM returned WHERE campaign_id = 'c' AND batch_id = 'b' AND part = 0 \
                AND version = 3 AND code = 'x'";
    replica.write(gone, &[]);
    let (rows, next) = page(&replica, ALL, next, 2);
    assert_eq!(rows, ["4|x", "5|x"]);
    let (rows, next) = page(&replica, ALL, next, 1);
    assert_eq!(rows, ["7|x"]);
    assert!(next.is_some(), "a full page does not know that it is the last");
    assert_eq!(page(&replica, ALL, next, 1), (vec![], None));
}

#[test]
fn a_limit_counts_the_rows_of_all_pages() {
    let mut replica = Replica::new();
    for version in 0..9 {
        put(&mut replica, version);
    }
    let cql = format!("{ALL} LIMIT 3");
    let (rows, next) = page(&replica, &cql, None, 2);
    assert_eq!((rows.len(), next.is_some()), (2, true));
    assert_eq!(page(&replica, &cql, next, 2), (vec!["2|x".to_owned()], None));
    let statement = replica.statement(&format!("{ALL} LIMIT 0"));
    assert!(statement.answer(&[], &replica.rows(ALL, &[]), NOW_S).is_err());
}

#[test]
fn a_table_is_read_in_pages() {
    let mut replica = Replica::new();
    for name in ["a", "b", "c", "d", "e"] {
        let cql = format!("INSERT INTO setting (name, value) VALUES ('{name}', 'v')");
        replica.write(&cql, &[]);
    }
    let cql = "SELECT name FROM setting";
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let (rows, next) = page(&replica, cql, from, 2);
        all.extend(rows);
        from = next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(all, replica.read(cql, &[]));
    assert_eq!(all.len(), 5);
}

#[test]
fn slices_have_their_order() {
    let mut replica = Replica::new();
    for (at, tie) in [(-5, 1), (1, 4), (1, 6), (2, 0), (9, -1), (9, 0)] {
        let cql = "INSERT INTO wallet (user_id, expires_at, tie, code) VALUES ('u', ?, ?, 'C')";
        let number = |number: i64| BoundValue::Value(number.to_be_bytes().to_vec());
        replica.write(cql, &[number(at), number(tie)]);
    }
    let of = "SELECT expires_at, tie FROM wallet WHERE user_id = 'u'";
    let between = "AND (expires_at, tie) > (1, 4) AND (expires_at, tie) < (9, 0)";
    let backward = "ORDER BY expires_at DESC, tie DESC, code DESC";
    let rows = [
        ("all", String::new(), vec!["-5|1", "1|4", "1|6", "2|0", "9|-1", "9|0"]),
        ("between", between.to_owned(), vec!["1|6", "2|0", "9|-1"]),
        ("backward", format!("{between} {backward} LIMIT 2"), vec!["9|-1", "2|0"]),
        (
            "behind one of a pair",
            "AND (expires_at, tie) > (1, 4) AND expires_at <= 2".to_owned(),
            vec!["1|6", "2|0"],
        ),
        ("nothing", "AND expires_at > 5 AND expires_at < 3".to_owned(), vec![]),
    ];
    for (name, rest, want) in rows {
        assert_eq!(replica.read(&format!("{of} {rest}"), &[]), want, "{name}");
    }
    let (rows, next) = page(&replica, &format!("{of} {backward}"), None, 4);
    assert_eq!(rows, ["9|0", "9|-1", "2|0", "1|6"]);
    let (rows, next) = page(&replica, &format!("{of} {backward}"), next, 4);
    assert_eq!((rows, next), (vec!["1|4".to_owned(), "-5|1".to_owned()], None));
}

#[test]
fn a_descending_column_is_read_from_its_end() {
    let mut replica = Replica::new();
    let day = || BoundValue::Value(vec![0x80, 0, 0, 7]);
    for first in [0, 10, 20] {
        let cql =
            format!("INSERT INTO minted_run (expiry_day, first, count) VALUES (?, {first}, 10)");
        replica.write(&cql, &[day()]);
    }
    let of = "SELECT first FROM minted_run WHERE expiry_day = ?";
    let rows = [
        ("all", "", vec!["20", "10", "0"]),
        ("up to a serial", "AND first <= 19 LIMIT 1", vec!["10"]),
        ("up to a first one", "AND first <= 10 LIMIT 1", vec!["10"]),
        ("below it", "AND first < 10", vec!["0"]),
        ("from it on", "AND first >= 10", vec!["20", "10"]),
        ("above it", "AND first > 10", vec!["20"]),
    ];
    for (name, rest, want) in rows {
        assert_eq!(replica.read(&format!("{of} {rest}"), &[day()]), want, "{name}");
    }
}

#[test]
fn each_partition_has_its_limit() {
    let mut replica = Replica::new();
    let day = || BoundValue::Value(vec![0x80, 0, 0, 7]);
    for (bucket, code) in [(0, "A"), (0, "B"), (0, "C"), (1, "D"), (2, "E")] {
        let cql = format!(
            "UPDATE coupon SET version = 1 WHERE expiry_day = ? AND bucket = {bucket} \
             AND code = '{code}'"
        );
        replica.write(&cql, &[day()]);
    }
    let cql = "SELECT code FROM coupon WHERE expiry_day = ? AND bucket IN ? AND code > 'A' \
               PER PARTITION LIMIT 1";
    let buckets = collection(2, &[&[0, 0, 0, 0], &[0, 0, 0, 1]]);
    let mut codes = replica.read(cql, &[day(), buckets.clone()]);
    codes.sort();
    assert_eq!(codes, ["B", "D"]);
    let statement = replica.statement(cql);
    let partitions = statement.partitions(&[day(), buckets.clone()]).unwrap();
    assert!(partitions.len() == 2 && partitions.is_sorted());
    assert_eq!(statement.partition(&[day(), buckets]).unwrap(), None, "more than one");
}
