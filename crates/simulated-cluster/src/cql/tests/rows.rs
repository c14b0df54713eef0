//! Which write wins, and what is left of a row.

use super::super::ReadAnswer;
use super::{NOW_S, Replica, bigint, collection, int, text};
use cql_session::BoundValue;

const VALUE: &str = "SELECT name, value FROM setting WHERE name = 'a'";
const LEASES: &str =
    "SELECT cursor, kind, first, count FROM lease WHERE campaign_id = 'c' AND batch_id = 'b'";
const DAY: &[u8] = &[0x80, 0, 0, 7];

/// Writes without parameters in each order, and each on a replica of its own.
fn check(name: &str, writes: &[String], read: &str, want: &[&str]) {
    let (mut forward, mut backward, mut merged) =
        (Replica::new(), Replica::new(), ReadAnswer::default());
    for cql in writes {
        forward.write(cql, &[]);
        let mut alone = Replica::new();
        alone.write(cql, &[]);
        merged.merge(alone.rows(read, &[]));
    }
    for cql in writes.iter().rev() {
        backward.write(cql, &[]);
    }
    assert_eq!(forward.read(read, &[]), want, "{name}");
    assert_eq!(forward.data, backward.data, "{name}, written backward");
    assert_eq!(forward.shown(read, &[], &merged, NOW_S), want, "{name}, merged");
    let mut again = forward.data.clone();
    again.merge_from(&backward.data);
    assert_eq!(again, forward.data, "{name}, repaired");
}

fn set(value: &str, at: i64) -> String {
    format!("UPDATE setting USING TIMESTAMP {at} SET value = {value} WHERE name = 'a'")
}

fn insert(at: i64) -> String {
    format!("INSERT INTO setting (name, value) VALUES ('a', 'in') USING TIMESTAMP {at}")
}

fn lease(kind: i32, first: i64, at: i64) -> String {
    format!(
        "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
         VALUES ('c', 'b', {kind}, {first}, '', {at}) USING TIMESTAMP {at}"
    )
}

fn cursor(at: i64) -> String {
    format!(
        "UPDATE lease USING TIMESTAMP {at} SET cursor = {at} \
         WHERE campaign_id = 'c' AND batch_id = 'b'"
    )
}

fn delete(rest: &str, at: i64) -> String {
    format!(
        "DELETE FROM lease USING TIMESTAMP {at} WHERE campaign_id = 'c' AND batch_id = 'b'{rest}"
    )
}

#[test]
fn the_later_write_wins() {
    let rows = [
        ("two values", vec![set("'old'", 1), set("'new'", 2)], vec!["a|new"]),
        ("one of 1970", vec![set("'now'", 1_790_000_000_000_000), set("'z'", 1)], vec!["a|now"]),
        ("two of one time", vec![set("'x'", 5), set("'y'", 5)], vec!["a|y"]),
        ("a null of the same time", vec![insert(1), set("null", 5), set("'z'", 5)], vec!["a|-"]),
        ("an older null", vec![set("'x'", 5), set("null", 4)], vec!["a|x"]),
        ("a row without a cell", vec![set("'x'", 5), set("null", 6)], vec![]),
        ("an inserted row without one", vec![insert(5), set("null", 6)], vec!["a|-"]),
        ("an insert of 1970", vec![insert(1), set("null", 6)], vec!["a|-"]),
        (
            "a deleted row",
            vec![insert(5), "DELETE FROM setting USING TIMESTAMP 5 WHERE name = 'a'".into()],
            vec![],
        ),
        (
            "a cell after the row was deleted",
            vec![
                insert(5),
                "DELETE FROM setting USING TIMESTAMP 6 WHERE name = 'a'".into(),
                set("'x'", 7),
            ],
            vec!["a|x"],
        ),
    ];
    for (name, writes, want) in rows {
        check(name, &writes, VALUE, &want);
    }
}

#[test]
fn deletions_reach_what_is_older() {
    let one = || delete(" AND kind = 2 AND first = 1 AND name = ''", 5);
    let rows = [
        ("a static column alone", vec![cursor(3)], vec!["3|-|-|-"]),
        ("a static column and a row", vec![cursor(3), lease(2, 1, 4)], vec!["3|2|1|4"]),
        ("a row", vec![cursor(3), lease(2, 1, 4), one()], vec!["3|-|-|-"]),
        ("a row that came back", vec![one(), lease(2, 1, 6)], vec!["-|2|1|6"]),
        (
            "a range",
            vec![
                lease(1, 5, 1),
                lease(2, 0, 1),
                lease(2, 1, 1),
                lease(2, 2, 9),
                cursor(2),
                delete(" AND kind = 2 AND first > 0", 5),
            ],
            vec!["2|1|5|1", "2|2|0|1", "2|2|2|9"],
        ),
        (
            "a range with two ends",
            vec![
                lease(2, 1, 1),
                lease(2, 2, 1),
                lease(2, 3, 1),
                delete(" AND kind = 2 AND first > 1 AND first <= 2", 5),
            ],
            vec!["-|2|1|1", "-|2|3|1"],
        ),
        (
            "a range in another",
            vec![
                lease(2, 1, 3),
                lease(2, 2, 8),
                delete(" AND kind = 2", 4),
                delete(" AND kind >= 1", 7),
            ],
            vec!["-|2|2|8"],
        ),
        ("a partition", vec![cursor(3), lease(2, 1, 4), delete("", 5)], vec![]),
        ("a later static column", vec![cursor(6), lease(2, 1, 4), delete("", 5)], vec!["6|-|-|-"]),
    ];
    for (name, writes, want) in rows {
        check(name, &writes, LEASES, &want);
    }
}

#[test]
fn a_lone_static_column_is_shown_only_for_whole_partitions() {
    let mut replica = Replica::new();
    replica.write(&cursor(3), &[]);
    let rows = [
        ("the partition", String::from(LEASES), 1),
        ("some of its rows", format!("{LEASES} AND kind = 2"), 0),
        ("other columns", LEASES.replace("cursor, ", ""), 1),
        ("the first row", format!("{LEASES} LIMIT 1"), 1),
        ("its name", "SELECT DISTINCT campaign_id, batch_id FROM lease".into(), 1),
        ("the whole table", "SELECT cursor FROM lease".into(), 1),
    ];
    for (name, cql, want) in rows {
        assert_eq!(replica.read(&cql, &[]).len(), want, "{name}");
    }
}

#[test]
fn elements_are_written_one_by_one() {
    let of = "WHERE campaign_id = 'c' AND user_id = 'u'";
    let mut replica = Replica::new();
    let mut put = |key: i32, value: BoundValue, at: i64| {
        let cql = format!("UPDATE claim USING TIMESTAMP ? SET claimed[?] = ? {of}");
        replica.write(&cql, &[bigint(at), int(key), value]);
    };
    put(2, text("two"), 5);
    put(1, text("one"), 4);
    put(3, text("three"), 5);
    put(3, BoundValue::Null, 6);
    put(4, BoundValue::Unset, 9);
    let read = format!("SELECT claimed FROM claim {of}");
    let whole = |parts: &[&str], keys: &[i32]| {
        let keys: Vec<[u8; 4]> = keys.iter().map(|key| key.to_be_bytes()).collect();
        let all: Vec<&[u8]> = keys
            .iter()
            .zip(parts)
            .flat_map(|(key, part)| [key.as_slice(), part.as_bytes()])
            .collect();
        let BoundValue::Value(value) = collection(keys.len() as i32, &all) else { unreachable!() };
        value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(replica.read(&read, &[]), [whole(&["one", "two"], &[1, 2])]);
    // A whole null deletes what is older than itself, and nothing of its own time.
    replica.write(&format!("UPDATE claim USING TIMESTAMP 5 SET claimed = null {of}"), &[]);
    assert_eq!(replica.read(&read, &[]), [whole(&["two"], &[2])]);
    replica.write(&format!("UPDATE claim USING TIMESTAMP 6 SET claimed = null {of}"), &[]);
    assert_eq!(replica.read(&read, &[]), [] as [String; 0]);
}

#[test]
fn a_set_grows_and_is_replaced() {
    let mut replica = Replica::new();
    let read = "SELECT entered FROM partition_plan WHERE expiry_day = ?";
    let day = || BoundValue::Value(DAY.to_vec());
    let more = "UPDATE partition_plan USING TIMESTAMP 5 SET entered = entered + ? \
                WHERE expiry_day = ?";
    replica.write(more, &[collection(1, &[&[0x80, 0, 0, 9]]), day()]);
    replica.write(more, &[collection(1, &[&[0x80, 0, 0, 2]]), day()]);
    assert_eq!(replica.read(read, &[day()]), ["0000000200000004800000020000000480000009"]);
    let whole = "UPDATE partition_plan USING TIMESTAMP 6 SET entered = ? WHERE expiry_day = ?";
    replica.write(whole, &[collection(1, &[&[0x80, 0, 0, 4]]), day()]);
    assert_eq!(replica.read(read, &[day()]), ["000000010000000480000004"]);
}

#[test]
fn a_cell_expires() {
    let mut replica = Replica::new();
    replica.write("UPDATE setting USING TTL 60 SET value = 'x' WHERE name = 'a'", &[]);
    let rows = replica.rows(VALUE, &[]);
    for (name, now, want) in [
        ("at once", NOW_S, vec!["a|x"]),
        ("in its last second", NOW_S + 59, vec!["a|x"]),
        ("after it", NOW_S + 60, vec![]),
    ] {
        assert_eq!(replica.shown(VALUE, &[], &rows, now), want, "{name}");
    }
}

#[test]
fn the_time_that_a_cell_has_left_is_read() {
    let mut replica = Replica::new();
    let read = "SELECT TTL(value) AS left FROM setting";
    replica.write("UPDATE setting USING TTL 60 SET value = 'x' WHERE name = 'a'", &[]);
    let rows = replica.rows(read, &[]);
    for (name, now, want) in [
        ("at once", NOW_S, vec!["60"]),
        ("in its last second", NOW_S + 59, vec!["1"]),
        ("after it", NOW_S + 60, vec![]),
    ] {
        assert_eq!(replica.shown(read, &[], &rows, now), want, "{name}");
    }
    replica.write("UPDATE setting USING TIMESTAMP 2 SET value = 'y' WHERE name = 'a'", &[]);
    assert_eq!(replica.read(read, &[]), ["-"], "it stays for ever");
}

#[test]
fn write_times_are_read() {
    let mut replica = Replica::new();
    replica.write(&set("'x'", 7), &[]);
    let read = "SELECT WRITETIME(value) AS written FROM setting";
    assert_eq!(replica.read(read, &[]), ["7"]);
    replica.write(&insert(8), &[]);
    replica.write(&set("null", 9), &[]);
    assert_eq!(replica.read(read, &[]), ["-"]);
}

#[test]
fn a_repair_makes_replicas_equal() {
    let (mut one, mut other) = (Replica::new(), Replica::new());
    for cql in [cursor(3), lease(1, 1, 4), delete(" AND kind = 2", 5)] {
        one.write(&cql, &[]);
    }
    for cql in [lease(1, 1, 6), lease(2, 1, 5), lease(2, 2, 7)] {
        other.write(&cql, &[]);
    }
    let mut rows = one.rows(LEASES, &[]);
    rows.merge(other.rows(LEASES, &[]));
    for repair in rows.repairs() {
        one.data.apply(&repair);
        other.data.apply(&repair);
    }
    assert_eq!(one.data, other.data);
    assert_eq!(one.read(LEASES, &[]), ["3|1|1|6", "3|2|2|7"]);
}
