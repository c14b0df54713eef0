"""Compares what Spark and deltalake find in both tables of a cold folder.

Called by the script `spark` with the folder, the folder of Delta's jars, and the page whose examples
are run as they stand. Ends with an assertion where the two differ, or where Spark left a file behind.
"""

import collections
import contextlib
import datetime
import io
import json
import os
import pathlib
import re
import sys
import tempfile
import time

import deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as spark_functions

# A table, its partition column, and what Spark calls the type of that.
TABLES = {"coupons": ("expiry_day", "date"), "coupons_by_holder": ("month", "string")}


def session(jars, folder):
    settings = {
        "spark.jars": ",".join(str(jar) for jar in jars.glob("*.jar")),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        # For some thousand rows, not for a cluster.
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.memory": "1g",
        # Most of the time goes into code that runs once.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
    }
    builder = SparkSession.builder.master("local[2]").appName("couponry readers")
    for name, value in settings.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def normal(value):
    """As text that both agree on. Both give instants of UTC: Spark's session is set to it, and
    Python's own zone is, below."""
    match value:
        case datetime.datetime():
            return value.replace(tzinfo=None).isoformat(timespec="microseconds")
        case datetime.date():
            return value.isoformat()
        case dict():
            return {key: normal(one) for key, one in value.items()}
        case list():
            return [normal(one) for one in value]
        case _:
            return value


def lines(rows):
    """Sorted, one text a row."""
    return sorted(json.dumps(normal(row), sort_keys=True) for row in rows)


def same(what, by_spark, by_deltalake):
    if by_spark != by_deltalake:
        only = [one for one in by_spark if one not in by_deltalake][:3]
        missed = [one for one in by_deltalake if one not in by_spark][:3]
        sys.exit(f"{what}: only Spark has {only}, only deltalake has {missed}")


def rows_of(frame):
    return [row.asDict(recursive=True) for row in frame.collect()]


def compare(spark, path, name):
    partition, kind = TABLES[name]
    # What deltalake finds is compared with the service by tests/service/readers.rs.
    table = deltalake.DeltaTable(path)
    want = table.to_pyarrow_table().to_pylist()
    frame = spark.read.format("delta").load(path)

    version = spark.sql(f"DESCRIBE HISTORY delta.`{path}` LIMIT 1").collect()[0]["version"]
    same(f"{name}: version", [version], [table.version()])
    same(f"{name}: type of {partition}", [dict(frame.dtypes)[partition]], [kind])
    same(f"{name}: columns", frame.columns, [field.name for field in table.schema().fields])
    same(f"{name}: count", [frame.count()], [len(want)])
    same(f"{name}: rows", lines(rows_of(frame)), lines(want))

    states = {row["state"]: row["count"] for row in frame.groupBy("state").count().collect()}
    same(f"{name}: states", sorted(states.items()),
         sorted(collections.Counter(row["state"] for row in want).items()))

    if want:
        one = max(want, key=lambda row: row["code"])
        found = frame.where((frame[partition] == one[partition]) & (frame.code == one["code"]))
        same(f"{name}: {one['code']}", lines(rows_of(found)),
             lines(row for row in want if row["code"] == one["code"]))

    # Files that a merge replaced a week ago are gone, and the versions that had them.
    past = deltalake.DeltaTable(path, version=version // 2)
    told = "whose files are gone"
    if all(os.path.exists(file.removeprefix("file://")) for file in past.file_uris()):
        found = spark.read.format("delta").option("versionAsOf", version // 2).load(path)
        rows = past.to_pyarrow_table().to_pylist()
        same(f"{name}: version {version // 2}", lines(rows_of(found)), lines(rows))
        told = f"{len(rows)} rows"
    print(f"{name}: version {version}, {len(want)} rows, {dict(sorted(states.items()))}; "
          f"version {version // 2}: {told}")
    return frame, want


def compare_events(frame, coupons):
    exploded = frame.select("code", spark_functions.explode("events").alias("event"))
    found = exploded.select("code", "event.*")
    want = [{"code": row["code"]} | event for row in coupons for event in row["events"]]
    same("events", lines(rows_of(found)), lines(want))
    kinds = collections.Counter(event["kind"] for event in want)
    print(f"events: {len(want)}, {dict(sorted(kinds.items()))}")


def examples(page):
    """The blocks of Python under the page's heading about Spark."""
    section = page.read_text().partition("\n## Spark\n")[2].partition("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def files_of(folder):
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def main(folder, jars, page):
    os.environ["TZ"] = "UTC"
    time.tzset()
    began = time.monotonic()
    folder, page = pathlib.Path(folder).resolve(), pathlib.Path(page).resolve()
    jars = pathlib.Path(jars).resolve()
    before = files_of(folder)
    with tempfile.TemporaryDirectory(prefix="couponry-spark-") as scratch:
        os.chdir(scratch)
        spark = session(jars, scratch)
        print(f"Spark {spark.version}, deltalake {deltalake.__version__}")
        frame, coupons = compare(spark, f"{folder}/coupons", "coupons")
        compare_events(frame, coupons)
        compare(spark, f"{folder}/coupons_by_holder", "coupons_by_holder")
        pathlib.Path("couponry-data").mkdir()
        pathlib.Path("couponry-data/cold").symlink_to(folder)
        blocks = examples(page)
        assert blocks, f"{page.name} has no example for Spark"
        for block in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as told:
                exec(compile(block, page.name, "exec"), {"spark": spark})
            print(f"{page.name}: an example of {len(block.splitlines())} lines, "
                  f"{len(told.getvalue().splitlines())} lines of answers")
        spark.stop()
        os.chdir("/")
    same("files", files_of(folder), before)
    print(f"the same, in {time.monotonic() - began:.0f} s")


main(*sys.argv[1:])
