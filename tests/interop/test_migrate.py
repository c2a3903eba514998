"""From the external blobs of DataJoint 0.11, as that client made them, to those of both clients."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint import legacy
from datajoint.blob import pack
from datajoint.hash import uuid_from_buffer
from datajoint.migrate import migrate_dj011_external_blob_storage_to_dj012 as migrate

from .conftest import Sql
from .sides import Here, Incumbent

Maker = Callable[..., None]

TABLES = """
CREATE TABLE `{schema}`.`~external` (
    `hash` char(51) NOT NULL COMMENT 'the hash of stored object + store name',
    `size` bigint unsigned NOT NULL COMMENT 'size of object in bytes',
    `timestamp` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP COMMENT 'automatic timestamp',
    PRIMARY KEY (`hash`)
) ENGINE=InnoDB COMMENT 'external storage tracking';
CREATE TABLE `{schema}`.`scan` (
    `scan` int NOT NULL,
    `movie` char(51) NOT NULL COMMENT ':external-raw:what was seen',
    `extra` char(51) DEFAULT NULL COMMENT ':external-raw:',
    `trace` char(51) NOT NULL COMMENT ':external:plain',
    `note` longblob DEFAULT NULL COMMENT 'native',
    PRIMARY KEY (`scan`),
    FOREIGN KEY (`movie`) REFERENCES `~external` (`hash`),
    FOREIGN KEY (`extra`) REFERENCES `~external` (`hash`),
    FOREIGN KEY (`trace`) REFERENCES `~external` (`hash`)
) ENGINE=InnoDB COMMENT 'scans';
CREATE TABLE `{schema}`.`__average` (
    `scan` int NOT NULL,
    `average` char(51) NOT NULL COMMENT ':external-raw:',
    PRIMARY KEY (`scan`),
    FOREIGN KEY (`scan`) REFERENCES `scan` (`scan`) ON UPDATE CASCADE,
    FOREIGN KEY (`average`) REFERENCES `~external` (`hash`)
) ENGINE=InnoDB COMMENT ''
"""


class Old:
    """A schema of DataJoint 0.11."""

    def __init__(self, schema: str, folder: Path, sql: Sql) -> None:
        self.schema, self.folder, self.sql = schema, folder, sql
        sql(f"CREATE DATABASE `{schema}`")
        sql(f"USE `{schema}`")
        for statement in TABLES.format(schema=schema).split(";"):
            sql(statement)

    def put(self, value: Any, store: str = "raw") -> str:
        """Store an object, and give its name."""
        data = pack(value)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        name = digest.rstrip("=") + store
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.sql("INSERT IGNORE INTO `~external` (hash, size) VALUES (%s, %s)", name, len(data))
        return name

    def path(self, name: str) -> Path:
        return self.folder / (name[43:] or "external") / self.schema / name

    def scan(self, number: int, movie: str, extra: str | None, trace: str) -> None:
        row = (number, movie, extra, trace)
        self.sql("INSERT INTO `scan` (scan, movie, extra, trace) VALUES (%s, %s, %s, %s)", *row)

    def average(self, number: int, average: str) -> None:
        self.sql("INSERT INTO `__average` VALUES (%s, %s)", number, average)

    def shown(self, table: str) -> str:
        ((_, text),) = self.sql(f"SHOW CREATE TABLE `{table}`")
        return str(text)


@pytest.fixture
def old(schema_name: str, sql: Sql, tmp_path: Path) -> Old:
    """Make a schema as 0.11 did, with its objects in folders."""
    old = Old(schema_name, tmp_path, sql)
    for number in range(3):
        old.scan(
            number,
            old.put(np.arange(100 * number + 1)),
            old.put(np.ones(2)) if number == 1 else None,
            old.put(np.zeros(3 + number), ""),
        )
        old.average(number, old.put(np.arange(100 * number + 1)))
    old.put("nothing refers to it")
    dj.config["stores"] = {
        name: {"protocol": "file", "location": str(tmp_path / name)} for name in ("raw", "external")
    }
    return old


READ = """
vm = dj.VirtualModule('vm', name{extra})
"""
VALUES = (
    "[(r['scan'], r['movie'].tolist(), r['extra'] is not None and r['extra'].tolist(), "
    "r['trace'].tolist()) for r in vm.Scan().fetch(as_dict=True, order_by='scan')], "
    "[a.tolist() for a in vm.Average().fetch('average', order_by='scan')]"
)
EXPECTED = (
    [
        (n, list(range(100 * n + 1)), [1.0, 1.0] if n == 1 else False, [0.0] * (3 + n))
        for n in range(3)
    ],
    [list(range(100 * n + 1)) for n in range(3)],
)


def assert_readable_here(here: Here, old: Old) -> None:
    here.run(
        READ.format(extra=", connection=connection"), name=old.schema, connection=here.connection
    )
    assert here.value(VALUES) == EXPECTED


def test_both_stores(old: Old, here: Here, incumbent: Incumbent, sql: Sql) -> None:
    before = {p: p.stat().st_mtime_ns for p in old.folder.rglob("*") if p.is_file()}
    migrate(old.schema, "raw", connection=here.connection)
    assert "REFERENCES `~external` " in old.shown("scan")  # the other store's
    migrate(old.schema, "external", connection=here.connection)
    assert_readable_here(here, old)
    incumbent.run("dj.config['stores'] = stores", stores=dict(dj.config["stores"]))
    incumbent.run(READ.format(extra=""), name=old.schema)
    assert incumbent.value(VALUES) == EXPECTED
    assert {p: p.stat().st_mtime_ns for p in old.folder.rglob("*") if p.is_file()} == before
    assert [table for (table,) in sql("SHOW TABLES") if table.startswith("~ext")] == [
        "~external_external",
        "~external_raw",
    ]
    shown = old.shown("scan")
    assert "`movie` binary(16) NOT NULL COMMENT ':blob@raw:what was seen'" in shown
    assert "`extra` binary(16) DEFAULT NULL COMMENT ':blob@raw:'" in shown
    assert "dj01" not in shown
    assert "KEY `movie` (`movie`)" in shown
    assert here.value("vm.Scan().heading.names") == ["scan", "movie", "extra", "trace", "note"]
    for side in (here, incumbent):
        assert "movie                : blob@raw" in side.value("vm.Scan().describe(printout=False)")


def test_rows_are_those_of_the_former_function(old: Old, here: Here, sql: Sql) -> None:
    migrate(old.schema, "raw", connection=here.connection)
    rows = sql("SELECT hash, size, attachment_name, filepath, contents_hash FROM `~external_raw`")
    expected = set()
    for name, size in sql("SELECT hash, size FROM `~external` WHERE length(hash) = 46"):
        path = f"{old.schema}/{name}"
        contents = uuid_from_buffer(old.path(name).read_bytes())
        expected.add((uuid_from_buffer(b"", path).bytes, size, None, path, contents.bytes))
    assert set(rows) == expected
    assert len(rows) == 5  # with what nothing refers to


def test_new_objects_and_again(old: Old, here: Here, incumbent: Incumbent) -> None:
    for store in ("external", "raw", "raw"):
        migrate(old.schema, store, connection=here.connection)
    here.run(
        READ.format(extra=", connection=connection"), name=old.schema, connection=here.connection
    )
    incumbent.run("dj.config['stores'] = stores", stores=dict(dj.config["stores"]))
    incumbent.run(READ.format(extra=""), name=old.schema)
    row = {"scan": 9, "movie": np.arange(101), "trace": np.zeros(1)}
    here.run("vm.Scan.insert1(row)", row=row)
    assert incumbent.value("(vm.Scan & 'scan = 9').fetch1('movie').tolist()") == list(range(101))
    incumbent.run("vm.Scan.insert1(dict(row, scan=10))", row=row)
    assert here.value("(vm.Scan & 'scan = 10').fetch1('movie').tolist()") == list(range(101))


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_faulty_objects_are_listed(old: Old, here: Here, sql: Sql, fault: str) -> None:
    names = sorted({name for (name,) in sql("SELECT movie FROM `scan`")})
    for name in names:
        path = old.path(name)
        path.rename(path.with_suffix(".away")) if fault == "missing" else path.write_bytes(b"x")
    before = old.shown("scan"), sql("SELECT * FROM `scan`")
    with pytest.raises(dj.DataJointError, match="no table was changed") as caught:
        migrate(old.schema, "raw", connection=here.connection)
    assert all(f"{old.path(name)} is {fault}" in str(caught.value) for name in names)
    assert (old.shown("scan"), sql("SELECT * FROM `scan`")) == before


def test_what_nothing_refers_to_may_be_missing(
    old: Old, here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    old.path(old.put("nothing refers to it")).unlink()
    with caplog.at_level("WARNING", logger="datajoint"):
        migrate(old.schema, "raw", connection=here.connection)
    migrate(old.schema, "external", connection=here.connection)
    assert_readable_here(here, old)


def test_plan_first(
    old: Old,
    here: Here,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = old.shown("scan")
    migrate(old.schema, "raw", connection=here.connection, dry_run=True)
    assert capsys.readouterr().out == (
        f"Migrating schema `{old.schema}` for the store `raw`:\n"
        f"    5 objects of `{old.schema}`.`~external` are verified, noted in "
        f"`{old.schema}`.`~external_raw`\n"
        f"    `{old.schema}`.`__average`: `average : external-raw` becomes `blob@raw`\n"
        f"    `{old.schema}`.`scan`: `movie : external-raw` becomes `blob@raw`\n"
        f"    `{old.schema}`.`scan`: `extra : external-raw` becomes `blob@raw`\n"
        "Make a backup, and stop all programs that use DataJoint 0.11, before.\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    with dj.config(safemode=True):
        migrate(old.schema, "raw", connection=here.connection)
    assert "Nothing was changed." in capsys.readouterr().out
    assert old.shown("scan") == before


def test_rows_of_0_11_meanwhile(old: Old, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was not stopped inserts between any two steps."""
    steps = {name: getattr(legacy._Upgrade, name) for name in ("_switch", "_fill_column")}
    numbers = itertools.count(3)

    def late(name: str) -> Any:
        def step(self: Any, *args: Any) -> None:
            if (number := next(numbers)) < 8:
                old.scan(number, old.put(f"m{number}"), old.put(f"e{number}"), old.put("t", ""))
            steps[name](self, *args)

        return step

    for name in steps:
        monkeypatch.setattr(legacy._Upgrade, name, late(name))
    migrate(old.schema, "raw", connection=here.connection)
    migrate(old.schema, "external", connection=here.connection)
    here.run(
        READ.format(extra=", connection=connection"), name=old.schema, connection=here.connection
    )
    extra = here.value("(vm.Scan & 'scan > 2').fetch('movie', 'extra', order_by='scan')")
    count = len(extra[0])
    assert count >= 2
    assert extra[0].tolist() == [f"m{n}" for n in range(3, 3 + count)]
    assert extra[1].tolist() == [f"e{n}" for n in range(3, 3 + count)]


def test_killed_anywhere(old: Old, here: Here, server: dict[str, Any]) -> None:
    """After each kill the next run comes further; at the end all is as without."""
    last = 0
    for last in itertools.count(1):
        child = os.fork()
        if child == 0:
            try:
                _migrate_until(last, old.schema, dj.Connection(**server))
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            break
        assert status == 9
    assert last > 5
    here.connection.forget_catalog(old.schema)
    assert_readable_here(here, old)
    assert "external-raw" not in old.shown("scan")


def _migrate_until(event: int, schema: str, connection: dj.Connection) -> None:
    """Migrate, and end as if killed before the so-manieth change."""
    events = itertools.count(1)

    def ends(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(events) == event:
                os._exit(9)
            return method(*args, **options)

        return call

    for name in ("commit_transaction", "alter_table", "create_table", "drop_table"):
        setattr(dj.Connection, name, ends(getattr(dj.Connection, name)))
    migrate(schema, "raw", connection=connection)
    migrate(schema, "external", connection=connection)
    os._exit(0)


def test_refused(old: Old, here: Here, schema_name: str, sql: Sql) -> None:
    sql("ALTER TABLE `scan` ADD COLUMN `movie_tempsub` binary(16)")
    with pytest.raises(dj.DataJointError, match="has the attribute `movie_tempsub`"):
        migrate(old.schema, "raw", connection=here.connection)
    sql("ALTER TABLE `scan` DROP COLUMN `movie_tempsub`")
    with pytest.raises(dj.DataJointError, match="not configured"):
        migrate(old.schema, "nowhere", connection=here.connection)
    sql(f"CREATE DATABASE `{schema_name}_new`")
    with pytest.raises(dj.DataJointError, match="has nothing of DataJoint"):
        migrate(f"{schema_name}_new", "raw", connection=here.connection)
