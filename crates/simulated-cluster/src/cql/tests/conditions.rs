//! Conditional updates and their answers.

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};

use super::super::KeyspaceSchema;
use super::{Replica, bigint, collection, int, text};

const DAY: &[u8] = &[0x80, 0, 0, 7];

fn day() -> BoundValue {
    BoundValue::Value(DAY.to_vec())
}

#[test]
fn a_refused_update_says_what_is_there() {
    let mut replica = Replica::new();
    let first = "UPDATE setting SET value = ? WHERE name = ? IF value = null";
    let later = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
    let steps = [
        ("a value that is not there", later, vec![text("x"), text("a"), text("y")], "false|-"),
        ("the first value", first, vec![text("x"), text("a")], "true|-"),
        ("a second one", first, vec![text("y"), text("a")], "false|x"),
        ("of another value", later, vec![text("z"), text("a"), text("y")], "false|x"),
        ("of this value", later, vec![text("z"), text("a"), text("x")], "true|-"),
        ("of null, as a parameter", later, vec![text("w"), text("a"), BoundValue::Null], "false|z"),
        ("to null", later, vec![BoundValue::Null, text("a"), text("z")], "true|-"),
        ("after null", first, vec![text("v"), text("a")], "true|-"),
    ];
    for (ballot, (name, cql, values, want)) in (10..).zip(steps) {
        assert_eq!(replica.change(cql, &values, ballot), want, "{name}");
    }
    assert_eq!(replica.read("SELECT value FROM setting", &[]), ["v"]);
}

#[test]
fn an_insert_happens_once() {
    let mut replica = Replica::new();
    let cql = "INSERT INTO account (login_id, user_id) VALUES (?, ?) IF NOT EXISTS";
    // In the order of `SELECT *`.
    assert_eq!(replica.change(cql, &[text("l"), text("u")], 5), "true|-|-|-|-");
    assert_eq!(replica.change(cql, &[text("l"), text("v")], 6), "false|l|-|-|u");
    let delete = "DELETE FROM account WHERE login_id = ? IF user_id = ?";
    assert_eq!(replica.change(delete, &[text("l"), text("v")], 7), "false|u");
    assert_eq!(replica.change(delete, &[text("l"), text("u")], 8), "true|-");
    assert_eq!(replica.change(cql, &[text("l"), text("v")], 9), "true|-|-|-|-");
}

#[test]
fn a_row_and_its_seal() {
    let mut replica = Replica::new();
    let seal = "UPDATE coupon SET sealed = true WHERE expiry_day = ? AND bucket = ? \
                IF sealed = null";
    let put = "UPDATE coupon SET version = ? WHERE expiry_day = ? AND bucket = ? AND code = ? \
               IF version = ? AND sealed = null";
    let put = |replica: &mut Replica, code: &str, version: i64, before: BoundValue| {
        replica.change(put, &[bigint(version), day(), int(0), text(code), before], 10 + version)
    };
    assert_eq!(put(&mut replica, "A", 1, bigint(0)), "false|-|-");
    assert_eq!(put(&mut replica, "A", 1, BoundValue::Null), "true|-|-");
    assert_eq!(put(&mut replica, "A", 2, BoundValue::Null), "false|1|-");
    assert_eq!(put(&mut replica, "A", 2, bigint(1)), "true|-|-");
    assert_eq!(replica.change(seal, &[day(), int(0)], 20), "true|-");
    assert_eq!(replica.change(seal, &[day(), int(0)], 21), "false|true");
    assert_eq!(put(&mut replica, "A", 3, bigint(2)), "false|2|true");
    assert_eq!(put(&mut replica, "B", 1, BoundValue::Null), "false|-|true");
    let read = "SELECT bucket, code, WRITETIME(sealed) FROM coupon WHERE expiry_day = ? \
                AND bucket IN ? PER PARTITION LIMIT 1";
    let buckets = collection(2, &[&[0, 0, 0, 0], &[0, 0, 0, 1]]);
    assert_eq!(replica.read(read, &[day(), buckets]), ["0|A|20"]);
}

#[test]
fn a_set_is_compared_as_a_whole() {
    let mut replica = Replica::new();
    let cql = "UPDATE partition_plan SET closing = true WHERE expiry_day = ? IF entered = ?";
    let more = "UPDATE partition_plan SET entered = entered + ? WHERE expiry_day = ?";
    let (low, high): (&[u8], &[u8]) = (&[0x80, 0, 0, 1], &[0x80, 0, 0, 2]);
    replica.write(more, &[collection(2, &[high, low]), day()]);
    let cases = [
        ("null", BoundValue::Null, false),
        ("a part", collection(1, &[low]), false),
        ("both, in another order", collection(2, &[high, low]), true),
    ];
    for (name, wanted, applied) in cases {
        let answer = replica.change(cql, &[day(), wanted], 5);
        assert_eq!(answer.starts_with("true"), applied, "{name}: {answer}");
    }
    let statement = replica.statement(cql);
    let other = [BoundValue::Value(vec![0x80, 0, 0, 8]), collection(0, &[])];
    let rows = replica.data.read(&statement.condition_read(&other).unwrap());
    assert!(statement.decide(&other, &rows, 1, 1).unwrap().applied, "an empty set is null");
    let unset = [day(), BoundValue::Unset];
    let rows = replica.data.read(&statement.condition_read(&unset).unwrap());
    assert!(statement.decide(&unset, &rows, 1, 1).is_err(), "nothing to compare with");
}

#[test]
fn a_lease_ends_by_itself() {
    let mut replica = Replica::new();
    let insert = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                  VALUES ('c', 'b', 1, 0, 'n', 7)";
    replica.write(insert, &[]);
    let take = "UPDATE lease USING TTL ? SET owner = ? WHERE campaign_id = 'c' \
                AND batch_id = 'b' AND kind = 1 AND first = 0 AND name = 'n' \
                IF owner = null AND count = 7";
    let owner = || BoundValue::Value(vec![0x44; 16]);
    let values = [int(60), owner()];
    assert_eq!(replica.change(take, &values, 5), "true|-|-");
    assert!(replica.change(take, &values, 6).starts_with("false|44"));
    let statement = replica.statement(take);
    let rows = replica.data.read(&statement.condition_read(&values).unwrap());
    let later = super::NOW_S + 60;
    assert!(statement.decide(&values, &rows, 7, later).unwrap().applied, "the owner is gone");
}

#[test]
fn engines_answer_in_other_shapes() {
    let tables = "CREATE TABLE IF NOT EXISTS t \
                  (p int, c int, s int static, v int, w int, PRIMARY KEY (p, c));";
    let insert = "INSERT INTO t (p, c, v, w) VALUES (1, ?, 7, 8) IF NOT EXISTS";
    let change = "UPDATE t SET w = 9 WHERE p = 1 AND c = ? IF w = ? AND v = 7";
    let sealed = "UPDATE t SET w = 9 WHERE p = 1 AND c = ? IF w = ? AND s = 5";
    let (gone, statics) = (BoundValue::Null, "UPDATE t SET s = 6 WHERE p = 1 IF s = ?");
    // Before each: a row 1 with 7 and 8, and 5 for its partition.
    let rows = [
        ("a row is there", insert, vec![int(1)], "false|1|1|5|7|8", "false|1|1|5|7|8"),
        ("a row is new", insert, vec![int(2)], "true|-|-|-|-|-", "true|-|-|-|-|-"),
        ("it applies", change, vec![int(1), int(8)], "true|-|-", "true|7|8"),
        ("it does not", change, vec![int(1), int(3)], "false|8|7", "false|7|8"),
        ("there is no row", change, vec![int(2), gone.clone()], "false|-|-", "false|-|-"),
        ("a static applies", sealed, vec![int(1), int(8)], "true|-|-", "true|5|8"),
        ("a static does not", sealed, vec![int(1), int(3)], "false|8|5", "false|5|8"),
        ("a static without a row", sealed, vec![int(2), int(3)], "false|-|5", "false|5|-"),
        ("it makes the row", sealed, vec![int(2), gone], "true|-|-", "true|5|-"),
        ("statics alone", statics, vec![int(5)], "true|-", "true|5"),
        ("statics alone do not", statics, vec![int(4)], "false|5", "false|5"),
    ];
    for (name, cql, values, cassandra, scylla) in rows {
        for (engine, want) in [(CqlEngine::Cassandra, cassandra), (CqlEngine::Scylla, scylla)] {
            let schema = Arc::new(KeyspaceSchema::parse(tables).unwrap());
            let mut replica = Replica::of(engine, schema);
            replica.write("INSERT INTO t (p, c, v, w) VALUES (1, 1, 7, 8)", &[]);
            replica.write("UPDATE t SET s = 5 WHERE p = 1", &[]);
            assert_eq!(replica.change(cql, &values, 10), want, "{name}, {}", engine.name());
        }
    }
}
