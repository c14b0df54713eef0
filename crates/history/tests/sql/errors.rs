//! Each mistake in SQL has one clear error, and no statement writes.

use history::HistoryError;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_an_error() {
    let world = World::full().await;
    let before = world.fingerprint();
    let cases = [
        ("no SQL", "", "there is no SQL statement"),
        (
            "a syntax error",
            "selct 1",
            "syntax: Expected: an SQL statement, found: selct at Line: 1, Column: 1",
        ),
        ("an incomplete statement", "select * from", "syntax: Expected: identifier, found: EOF"),
        ("two", "select 1; select 2", "2 statements, want one"),
        (
            "a table",
            "select * from coupon",
            "there is no table coupon: did you mean coupons? tables: campaigns, coupons, events, redemptions",
        ),
        (
            "a file",
            "select * from 'x.parquet'",
            "there is no table x.parquet: campaigns, coupons, events, redemptions",
        ),
        (
            "a column",
            "select campain_id from campaigns",
            "there is no column campain_id: did you mean campaign_id? columns: campaign_id, name, ",
        ),
        (
            "a function",
            "select cuont(code) from coupons",
            "there is no function cuont: did you mean count?",
        ),
        (
            "a function that fills memory",
            "select repeat('x', 1000000000)",
            "function repeat is not available: it can fill the memory with one row",
        ),
        (
            "the same, as a table",
            "select * from generate_series(1, 9)",
            "function generate_series is not available: it can fill the memory with one row",
        ),
        ("by another name", "select list_repeat(1, 9)", "function list_repeat is not available: "),
        (
            "recursion",
            "with recursive a as (select 1 union all select * from a) select * from a",
            "this is not supported: Recursive CTEs are not enabled",
        ),
        (
            "types",
            "select code + 1 from coupons",
            "Cannot coerce arithmetic expression Utf8View + Int64 to valid types",
        ),
        ("arguments", "select sum(state) from coupons", "no function matches sum(Utf8View)"),
        (
            "a moment",
            "select * from coupons where expires_at > 'tomorrow'",
            "Error parsing timestamp from 'tomorrow'",
        ),
        (
            "a code of an export",
            "select * from redemptions where code = 'SPRING-7K2M-9QXD-4TRB-H0VE'",
            "no code is 'SPRING-7K2M-9QXD-4TRB-H0VE': codes here have no hyphens, prefix and small \
             letters: write '7K2M9QXD4TRBH0VE'",
        ),
        (
            "one of several codes",
            "select * from coupons where code in ('SUMMER26', 'summer27')",
            "no code is 'summer27': codes here have no hyphens, prefix and small letters: write 'SUMMER27'",
        ),
        (
            "a column of two tables",
            "select code from coupons c join campaigns k on campaign_id = campaign_id",
            "column campaign_id is in several tables: write TABLE.campaign_id",
        ),
        (
            "a column that is not grouped",
            "select state, count(*) from coupons",
            "Column in SELECT must be in GROUP BY or an aggregate function",
        ),
        (
            "an insert",
            "insert into coupons values (1)",
            "INSERT is not allowed, a query only reads: use SELECT, EXPLAIN, SHOW or DESCRIBE",
        ),
        ("an update", "update coupons set state = 'issued'", "UPDATE is not allowed, "),
        ("a delete", "delete from coupons", "DELETE is not allowed, "),
        ("a new table", "create table x as select 1", "CREATE is not allowed, "),
        (
            "a foreign file",
            "create external table x stored as csv location '/etc/passwd'",
            "CREATE is not allowed, ",
        ),
        ("a file to write", "copy coupons to 'x.csv'", "COPY is not allowed, "),
        ("a drop", "drop table coupons", "DROP is not allowed, "),
        ("a setting", "set datafusion.execution.batch_size = 1", "SET is not allowed, "),
        ("a prepared statement", "prepare p as select 1", "PREPARE is not allowed, "),
        (
            "an insert in explain",
            "explain analyze insert into coupons values (1)",
            "INSERT is not allowed, ",
        ),
        ("a table made by a select", "select 1 as a into x", "SELECT INTO is not allowed, "),
    ];
    for (name, sql, want) in cases {
        match world.asked(sql, None).await {
            Err(HistoryError::Sql(found)) => assert!(found.contains(want), "{name}: {found}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(world.fingerprint(), before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_cause_errors() {
    let world = World::full().await;
    let cases = [
        ("a division", "select 1 / (version - version) from coupons", "a row divides by zero"),
        ("a number", "select cast(code as int) from coupons", "Cannot cast string 'T"),
    ];
    for (name, sql, want) in cases {
        match world.asked(sql, None).await {
            Err(HistoryError::Values(found)) => assert!(found.starts_with(want), "{name}: {found}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_only_read() {
    let world = World::full().await;
    let cases = [
        "select 1",
        "with a as (select * from coupons) select count(*) from a",
        "values (1), (2)",
        "explain select * from coupons",
        "explain analyze select count(*) from coupons",
        "show tables",
        "describe coupons",
        "show columns from coupons",
        // As docs/readers.md converts a code of an export.
        "select count(*) from coupons where code = \
         (select case when shown like '%-%' then right(replace(shown, '-', ''), 16) else shown end \
          from (values ('SPRING-7K2M-9QXD-4TRB-H0VE')) as export(shown))",
        "select a.code from coupons a join coupons b on a.code = b.code limit 1",
        "select campaign_id, row_number() over (order by code) from coupons limit 1",
    ];
    for sql in cases {
        let rows = world.asked(sql, None).await;
        assert!(rows.as_ref().is_ok_and(|rows| !rows.is_empty()), "{sql}: {rows:?}");
    }
}
