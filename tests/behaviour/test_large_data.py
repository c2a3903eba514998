"""Large data: many rows, large rows, values that are too large, and what they cost.

Every database has a limit for what one statement may carry: 64 MB at the MariaDB of the suite
(``max_allowed_packet``), 1 GB at PostgreSQL and SQLite.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import datajoint as dj
from datajoint.errors import DataJointError, DuplicateError

MB = 2**20
mysql_only = pytest.mark.parametrize("backend", ["mysql"], indirect=True)


def declare(schema: dj.Schema) -> Any:
    @schema
    class Recording(dj.Manual):
        definition = """
        recording : int
        ---
        note = "" : varchar(100)
        trace = null : longblob
        """

    return Recording


@pytest.fixture
def Recording(schema: dj.Schema) -> Any:
    return declare(schema)


@pytest.fixture
def small_packets(connection: dj.Connection, connect: Any) -> Iterator[dj.Connection]:
    """Connect to a MySQL server that takes no more than 1 MB at once."""
    ((before,),) = connection.query("SELECT @@max_allowed_packet").fetchall()
    connection.query(f"SET GLOBAL max_allowed_packet = {MB}")
    yield connect()
    connection.query(f"SET GLOBAL max_allowed_packet = {before}")


def random_bytes(size: int, seed: int = 0) -> np.ndarray:
    """Data that no compression makes smaller."""
    return np.frombuffer(np.random.default_rng(seed).bytes(size), np.uint8)


# -- many rows ----------------------------------------------------------------------------------


def test_many_small_rows(schema):
    @schema
    class Sample(dj.Manual):
        definition = """
        sample : int
        ---
        value : double
        """

    count = 200_000
    Sample.insert((i, i / 2) for i in range(count))
    values = Sample.fetch("value", order_by="sample")
    assert np.array_equal(values, np.arange(count) / 2)


def test_a_failure_in_the_last_of_many_rows_leaves_nothing(Recording):
    rows = [(i, "x" * 100, None) for i in range(30_000)]
    with pytest.raises(DuplicateError):
        Recording.insert([*rows, rows[0]])
    assert len(Recording()) == 0
    Recording.insert(rows[:1])
    assert len(Recording()) == 1


def test_many_large_rows(Recording):
    traces = [random_bytes(MB, seed) for seed in range(10)]
    Recording.insert((i, "", traces[i % 10]) for i in range(80))
    assert len(Recording()) == 80
    for i in (0, 40, 79):
        assert np.array_equal((Recording & {"recording": i}).fetch1("trace"), traces[i % 10])
    connection = Recording.connection
    length = "length" if connection.backend.name == "sqlite" else "octet_length"
    ((total,),) = connection.query(
        f"SELECT sum({length}({connection.dialect.quote('trace')})) FROM {Recording()._quoted}"
    ).fetchall()
    assert 80 * MB < total < 81 * MB


def test_a_failure_in_the_last_of_many_large_rows_leaves_nothing(Recording):
    trace = random_bytes(MB)
    rows = [(i, "", trace) for i in range(70)]
    with pytest.raises(DuplicateError):
        Recording.insert([*rows, (5, "", None)])
    assert len(Recording()) == 0


@mysql_only
def test_rows_are_cut_into_packets(small_packets, schema_name, Recording):
    """The server takes 1 MB at once; ten rows are sent in more than one statement."""
    table = declare(dj.Schema(schema_name, connection=small_packets))
    trace = random_bytes(300_000)
    table.insert((i, "", trace) for i in range(10))
    table.insert([(i, "x" * 100, None) for i in range(100, 30_000)])
    assert len(table()) == 29_910
    assert np.array_equal((table & {"recording": 9}).fetch1("trace"), trace)
    with pytest.raises(DuplicateError):
        table.insert([*((i, "", trace) for i in range(10, 20)), (0, "", None)])
    assert len(table()) == 29_910


@mysql_only
@pytest.mark.parametrize("size", range(MB - 200, MB + 20, 20))
def test_every_size_near_the_limit_is_inserted_or_refused(
    small_packets, schema_name, Recording, size
):
    """What fits by our count fits by that of the server."""
    table = declare(dj.Schema(schema_name, connection=small_packets))
    session = small_packets.connection_id
    row = (1, "", b"\0" * (size - 100))  # compressed to nothing, so that it is inserted
    table.insert1(row)
    table.delete_quick()
    quoted = table()._quoted
    text = "x" * (size - len(quoted) - 60)
    try:
        small_packets.query(f"SELECT recording FROM {quoted} WHERE note = %s", (text,)).fetchall()
    except DataJointError as error:
        assert "max_allowed_packet" in str(error)  # noqa: PT017 - either outcome is right
    assert small_packets.connection_id == session
    small_packets.ping()


# -- values that are too large ------------------------------------------------------------------


@mysql_only
class TestTooLarge:
    """A value over the limit is refused before it is sent, which would end the session."""

    @pytest.fixture
    def table(self, small_packets, schema_name, Recording) -> Any:
        table = declare(dj.Schema(schema_name, connection=small_packets))
        table.insert1((0, "kept", None))
        return table

    @pytest.fixture(autouse=True)
    def unharmed(self, table, small_packets) -> Iterator[None]:
        session = small_packets.connection_id
        yield
        assert small_packets.connection_id == session
        assert table.fetch(as_dict=True) == [{"recording": 0, "note": "kept", "trace": None}]

    MESSAGE = (
        r"^The value of attribute `trace` has 2,000,0\d\d bytes, and its row 2,0\d\d,\d\d\d as it "
        r"is sent; the server takes no more than 1,048,576 \(its variable max_allowed_packet, up "
        r"to 1 GB\)\. Raise it, or keep large values in a store$"
    )

    def test_insert1(self, table):
        with pytest.raises(DataJointError, match=self.MESSAGE):
            table.insert1((1, "", random_bytes(2_000_000)))

    def test_the_last_of_many(self, table):
        rows = [(i, "", random_bytes(100_000)) for i in range(1, 50)]
        with pytest.raises(DataJointError, match=self.MESSAGE):
            table.insert([*rows, (100, "", random_bytes(2_000_000))])

    def test_inside_a_transaction(self, table, small_packets):
        with small_packets.transaction:
            table.insert1((1, "", None))
            with pytest.raises(DataJointError, match=self.MESSAGE):
                table.insert1((2, "", random_bytes(2_000_000)))
            assert (table & "recording > 0").fetch("recording").tolist() == [1]
            (table & {"recording": 1}).delete_quick()

    def test_update1(self, table):
        with pytest.raises(DataJointError, match="max_allowed_packet"):
            table.update1({"recording": 0, "trace": random_bytes(2_000_000)})

    def test_a_query(self, table, small_packets):
        with pytest.raises(DataJointError) as raised:
            small_packets.query("SELECT %s", ("x" * 2 * MB,))
        assert str(raised.value) == (
            "The statement has 2,097,161 bytes; the server takes no more than 1,048,576 (its "
            "variable max_allowed_packet, up to 1 GB). Raise it, or keep large values in a store"
        )


# -- one large value ----------------------------------------------------------------------------

#: Run in a process of its own, whose memory is that of the round trip alone.
ROUND_TRIP = """
import resource, sys
import numpy as np
import datajoint as dj

options, schema_name, size = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3])
connection = dj.Connection(**options)

@dj.Schema(schema_name, connection=connection)
class Recording(dj.Manual):
    definition = '''
    recording : int
    ---
    trace : longblob
    '''

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

value = np.frombuffer(np.random.default_rng(0).bytes(size), np.uint8)
before = peak()
Recording.insert1((1, value))
inserted = peak()
trace = Recording.fetch1("trace")
assert np.array_equal(trace, value)
assert trace.dtype == value.dtype
connection.close()
print(before, inserted, peak())
"""


def test_a_blob_of_200_mb(target, connection, backend, tmp_path, schema_name, record_property):
    """It comes back as it was, and takes a small multiple of its size in memory meanwhile."""
    size = 200 * MB
    options = target.options(tmp_path)
    if backend == "mysql":
        ((before,),) = connection.query("SELECT @@max_allowed_packet").fetchall()
        connection.query("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        run = subprocess.run(
            [sys.executable, "-c", ROUND_TRIP, repr(options), schema_name, str(size)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "DJ_LOG_LEVEL": "ERROR"},
        )
    finally:
        if backend == "mysql":
            connection.query(f"SET GLOBAL max_allowed_packet = {before}")
    assert run.returncode == 0, run.stderr
    start, inserted, fetched = (int(text) for text in run.stdout.split())
    record_property("peak memory", f"{inserted - start} MB to insert, {fetched - start} MB in all")
    print(f"{backend}: {inserted - start} MB to insert, {fetched - start} MB in all")
    assert fetched - start < 6 * 200
