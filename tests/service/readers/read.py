"""Reads both tables of a cold folder with three libraries that know nothing of couponry.

Called with the folder. Prints a JSON object a line: first, for each reader and table, the version,
the count as the reader's own engine counts, and the type of the partition column; then every row,
in one normal form: instants as in the HTTP interface, days as YYYY-MM-DD.
"""

import datetime
import json
import sys

import deltalake
import duckdb
import polars

PARTITIONS = {"coupons": ("expiry_day", "DATE"), "coupons_by_holder": ("month", "VARCHAR")}


def by_deltalake(table, name):
    found = table.to_pyarrow_table()
    partition = PARTITIONS[name][0]
    return found.num_rows, str(found.schema.field(partition).type), found.to_pylist()


def by_polars(table, name):
    frame = polars.scan_delta(table.table_uri)
    count = frame.select(polars.len()).collect().item()
    return count, str(frame.collect_schema()[PARTITIONS[name][0]]), frame.collect().to_dicts()


def by_duckdb(table, name):
    # Its own reader of Delta is an extension that has to be fetched: the log is read for it.
    partition, kind = PARTITIONS[name]
    files = ", ".join("'" + uri.removeprefix("file://").replace("'", "''") + "'"
                      for uri in table.file_uris())
    if not files:
        return 0, kind, []
    source = (f"read_parquet([{files}], hive_partitioning = true, "
              f"hive_types = {{'{partition}': {kind}}})")
    count = duckdb.sql(f"SELECT count(*) FROM {source}").fetchall()[0][0]
    rows = duckdb.sql(f"SELECT * FROM {source}")
    return count, str(rows.types[rows.columns.index(partition)]), rows.to_arrow_table().to_pylist()


def normal(value):
    match value:
        case datetime.datetime():
            assert value.utcoffset() == datetime.timedelta(0), f"{value} is not in UTC"
            assert value.microsecond % 1000 == 0, f"{value} has more than milliseconds"
            return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
        case datetime.date():
            return value.isoformat()
        case dict():
            return {key: normal(one) for key, one in value.items()}
        case list():
            return [normal(one) for one in value]
        case _:
            return value


def main(cold):
    for reader, read in [("deltalake", by_deltalake), ("polars", by_polars), ("duckdb", by_duckdb)]:
        for name in PARTITIONS:
            table = deltalake.DeltaTable(f"{cold}/{name}")
            count, partition, rows = read(table, name)
            about = {"reader": reader, "table": name}
            head = {"version": table.version(), "count": count, "partition": partition}
            print(json.dumps(about | head))
            for row in rows:
                print(json.dumps(about | {"row": normal(row)}))


main(sys.argv[1])
