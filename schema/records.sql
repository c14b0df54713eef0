-- records.db: everything about coupons that is not in hot.db. crates/hot/src/tables.rs says what a record is.

CREATE TABLE record_kind (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE record (
    kind  INTEGER NOT NULL,
    part  BLOB NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    -- The row is gone from this time on, in milliseconds since 1970; null: it stays.
    until INTEGER,
    PRIMARY KEY (kind, part, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_until ON record (until) WHERE until IS NOT NULL;
