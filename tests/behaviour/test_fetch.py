"""Results in every form: dicts, arrays, frames and tables, and rows that come batch by batch."""

from __future__ import annotations

import datetime as dt
import gc
import itertools
import math
import os
import re
import subprocess
import sys
import threading
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import datajoint as dj
from datajoint import streaming
from datajoint.errors import (
    DataJointError,
    LostConnectionError,
    UnknownAttributeError,
)

ROWS = 1000


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Make batches small, so that few rows are many batches."""
    monkeypatch.setattr(streaming, "MOST_ROWS", 100)
    monkeypatch.setattr(streaming, "IN_MEMORY", 2**10)


@pytest.fixture
def numbers(schema):
    @schema
    class Numbers(dj.Manual):
        definition = """
        n : int
        ---
        square : bigint
        """

    Numbers.insert((n, n * n) for n in range(ROWS))
    return Numbers


@pytest.fixture
def copies(schema):
    @schema
    class Copies(dj.Manual):
        definition = """
        n : int
        ---
        square : bigint
        """

    return Copies


EXPECTED = [{"n": n, "square": n * n} for n in range(ROWS)]


def in_order(rows):
    return sorted(rows, key=lambda row: row["n"])


# -- streaming ----------------------------------------------------------------------------------


class TestIteration:
    def test_all_rows_come_once(self, numbers):
        assert in_order(numbers) == EXPECTED
        assert in_order(numbers()) == EXPECTED
        assert list(numbers & "n < 0") == []
        assert list(numbers & "n = 5") == [{"n": 5, "square": 25}]

    @pytest.mark.parametrize("count", [255, 256, 257])
    def test_results_that_just_fill_a_batch(self, numbers, count):
        assert len(list(numbers & f"n < {count}")) == count

    def test_order_of_top_is_kept(self, numbers):
        query = numbers & dj.Top(700, "n desc", offset=100)
        assert list(query) == EXPECTED[::-1][100:800]

    def test_results_without_attributes(self, numbers):
        query = dj.U() & numbers
        assert list(query) == [{}]
        assert list(query.fetch_batches()) == [[{}]]
        assert list(dj.U() & (numbers & "n < 0")) == []

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_inserting_what_is_read(self, connection, numbers, copies, in_transaction):
        if in_transaction:
            connection.start_transaction()
        for row in numbers:
            copies.insert1(row)
        if in_transaction:
            connection.commit_transaction()
        assert in_order(copies.fetch(as_dict=True)) == EXPECTED

    def test_a_transaction_for_each_row(self, connection, numbers, copies):
        for row in numbers & "n < 400":
            with connection.transaction:
                copies.insert1(row)
        assert len(copies) == 400

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_one_snapshot_whatever_the_loop_changes(self, connection, numbers, in_transaction):
        if in_transaction:
            connection.start_transaction()
        seen = []
        for row in numbers:
            seen.append(row)
            if len(seen) == 10:
                numbers.insert1((ROWS, 0))
                (numbers & "n >= 500").delete_quick()
                numbers.update1({"n": 400, "square": -1})
        if in_transaction:
            connection.commit_transaction()
        assert in_order(seen) == EXPECTED
        assert len(numbers) == 500
        assert (numbers & "n = 400").fetch1("square") == -1

    def test_a_transaction_sees_its_own_changes(self, connection, numbers):
        with connection.transaction:
            numbers.insert1((ROWS, 7))
            assert {"n": ROWS, "square": 7} in list(numbers)
            (numbers & "n < 900").delete_quick()
            assert len(list(numbers)) == 101

    def test_changes_are_undone_meanwhile(self, connection, numbers):
        seen = []
        with pytest.raises(ZeroDivisionError), connection.transaction:
            numbers.insert1((ROWS, 7))
            rows = iter(numbers)
            seen += itertools.islice(rows, 300)
            raise ZeroDivisionError
        seen += rows
        assert in_order(seen) == [*EXPECTED, {"n": ROWS, "square": 7}]
        assert len(numbers) == ROWS

    def test_transactions_that_begin_and_end_meanwhile(self, connection, numbers, copies):
        rows = iter(numbers)
        seen = list(itertools.islice(rows, 10))
        connection.start_transaction()
        copies.insert1((1, 1))
        seen += itertools.islice(rows, 500)
        other = iter(numbers & "n < 600")
        seen_in_transaction = list(itertools.islice(other, 300))
        connection.commit_transaction()
        seen_in_transaction += other
        seen += rows
        assert in_order(seen) == EXPECTED
        assert in_order(seen_in_transaction) == EXPECTED[:600]

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_interleaved_and_nested(self, connection, numbers, in_transaction):
        if in_transaction:
            connection.start_transaction()
        up, down = numbers & dj.Top(None, "n"), numbers & dj.Top(None, "n desc")
        pairs = list(zip(up, down, strict=True))
        assert pairs == list(zip(EXPECTED, EXPECTED[::-1], strict=True))
        count = sum(
            1
            for row in numbers & "n < 3"
            for _ in numbers & f"n >= {row['n']}" & "n < 50"
            for _ in up & "n < 2"
        )
        assert count == 2 * (50 + 49 + 48)
        if in_transaction:
            connection.cancel_transaction()

    def test_queries_in_the_loop(self, numbers):
        for row in numbers & "n < 300":
            assert (numbers & {"n": row["n"]}).fetch1("square") == row["square"]

    def test_threads(self, numbers):
        results = {}

        def read(name):
            results[name] = in_order(numbers)

        threads = [threading.Thread(target=read, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == dict.fromkeys(range(4), EXPECTED)

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_leaving_early(self, connection, numbers, in_transaction):
        if in_transaction:
            connection.start_transaction()
        for _ in range(5):
            for row in numbers & dj.Top(None, "n"):
                if row["n"] == 300:
                    break
            with pytest.raises(ZeroDivisionError):
                for _ in numbers:
                    raise ZeroDivisionError
        rows = iter(numbers)
        next(rows)
        del rows
        gc.collect()
        assert len(list(numbers)) == ROWS
        if in_transaction:
            connection.commit_transaction()
        (numbers & "n = 3").delete_quick()
        assert len(numbers) == ROWS - 1

    def test_nothing_runs_before_the_first_row(self, numbers):
        rows = iter(numbers)
        (numbers & "n >= 10").delete_quick()
        assert len(list(rows)) == 10

    def test_tables_are_dropped_meanwhile(self, schema, numbers):
        seen = []
        for row in numbers:
            seen.append(row)
            if len(seen) == 10:
                numbers.drop_quick()
        assert in_order(seen) == EXPECTED
        assert schema.list_tables() == []

    def test_tables_are_altered_and_declared_meanwhile(self, schema, numbers):
        seen = []
        for row in numbers:
            seen.append(row)
            if len(seen) == 10:
                numbers.definition = """
                n : int
                ---
                cube = 0 : bigint
                square : bigint
                """
                numbers.alter(prompt=False)

                @schema
                class Child(dj.Manual):
                    definition = """
                    -> numbers
                    """

                Child.insert(numbers.proj())
        assert in_order(seen) == EXPECTED
        assert numbers.heading.names == ["n", "cube", "square"]
        assert len(Child) == ROWS

    def test_statements_of_the_user_drop_tables_meanwhile(self, connection, numbers):
        rows = iter(numbers)
        seen = list(itertools.islice(rows, 10))
        connection.query("DROP TABLE " + connection.dialect.table(numbers.database, "numbers"))
        seen += rows
        assert in_order(seen) == EXPECTED

    def test_the_schema_is_dropped_meanwhile(self, schema, numbers):
        rows = iter(numbers)
        seen = list(itertools.islice(rows, 10))
        schema.drop(force=True)
        seen += rows
        assert in_order(seen) == EXPECTED

    def test_the_connection_is_closed_meanwhile(self, connection, numbers):
        rows = iter(numbers)
        next(rows)
        connection.close()
        with pytest.raises(LostConnectionError, match="closed before all rows"):
            list(rows)
        assert len(list(numbers)) == ROWS  # on a new session

    def test_a_fault_of_the_query(self, connection, numbers):
        for _ in range(2):
            with pytest.raises(UnknownAttributeError):
                list(dj.FreeTable(connection, numbers.full_table_name) & "n < 3" & "bogus = 1")
        assert len(list(numbers)) == ROWS

    def test_the_table_is_gone(self, connection, numbers):
        query = numbers & "n > 3"
        query.heading  # noqa: B018 (known from here on)
        connection.query("DROP TABLE " + connection.dialect.table(numbers.database, "numbers"))
        with pytest.raises(DataJointError):
            list(query)

    def test_sessions_configured_by_the_user(self, backend, connection, numbers):
        if backend == "mysql":
            connection.query("SET SESSION group_concat_max_len = 7")
        elif backend == "postgresql":
            connection.query("SET SESSION extra_float_digits = 1")
        else:
            connection.query("PRAGMA case_sensitive_like = ON")
        totals = dj.U().aggr(numbers & "n < 20", all="group_concat(n order by n)")
        assert list(totals) == totals.fetch(as_dict=True)
        assert in_order(numbers) == EXPECTED

    def test_a_transaction_that_a_statement_began(self, connection, numbers):
        connection.query("BEGIN")
        numbers.insert1((ROWS, 7))
        assert len(list(numbers)) == ROWS + 1
        connection.query("ROLLBACK")
        assert len(list(numbers)) == ROWS

    def test_a_database_in_memory(self):
        connection = dj.Connection(backend="sqlite", path=":memory:")
        schema = dj.Schema("memory", connection=connection)

        @schema
        class Numbers(dj.Manual):
            definition = """
            n : int
            ---
            square : bigint
            """

        Numbers.insert((n, n * n) for n in range(ROWS))
        seen = []
        for row in Numbers:
            seen.append(row)
            (Numbers & row).delete_quick()
        assert in_order(seen) == EXPECTED
        connection.close()

    def test_where_no_second_session_can_be_had(self, monkeypatch, connection, numbers, copies):
        def refuse(session):
            raise DataJointError("too many connections")

        monkeypatch.setattr(type(connection.backend), "connect", refuse)
        for row in numbers:
            copies.insert1(row)
        assert in_order(copies.fetch(as_dict=True)) == EXPECTED


class TestFiles:
    """What is read through a temporary file, which cannot be written."""

    @pytest.fixture
    def full_disk(self, monkeypatch):
        class Pickle:
            UnpicklingError = streaming.pickle.UnpicklingError
            HIGHEST_PROTOCOL = streaming.pickle.HIGHEST_PROTOCOL
            load = staticmethod(streaming.pickle.load)

            @staticmethod
            def dump(rows, file, protocol):
                raise OSError("No space left on device")

        monkeypatch.setattr(streaming, "pickle", Pickle)

    def test_in_a_transaction(self, connection, numbers, full_disk):
        with (
            pytest.raises(DataJointError, match=r"cannot be kept in a temporary file .* No space"),
            connection.transaction,
        ):
            list(numbers)
        assert len(list(numbers)) == ROWS

    def test_rows_are_not_silently_missing(self, numbers, full_disk):
        rows = iter(numbers)
        seen = list(itertools.islice(rows, 10))
        numbers.drop_quick()
        with pytest.raises(DataJointError, match="cannot be kept in a temporary file"):
            seen += rows
        assert len(seen) < ROWS


class TestLoss:
    @pytest.fixture
    def kill(self, backend, connection):
        """End all other sessions."""
        if backend == "sqlite":
            pytest.skip("sqlite has no sessions to end")

        def end():
            sessions = (
                "SELECT id FROM information_schema.processlist WHERE id <> connection_id() "
                "AND user = 'root'"
                if backend == "mysql"
                else "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database() AND backend_type = 'client backend'"
            )
            for (session,) in connection.query(sessions).fetchall():
                connection.kill(session)
            count = re.sub("SELECT p?id", "SELECT count(*)", sessions)
            while connection.query(count).fetchone()[0]:
                pass

        return end

    def test_an_idle_session_is_lost(self, numbers, kill):
        assert len(list(numbers)) == ROWS
        kill()
        assert len(list(numbers)) == ROWS

    def test_lost_before_the_first_row(self, monkeypatch, connection, numbers, kill):
        losses = []
        stream = type(connection.backend).stream

        def lose_once(session, text, values):
            if not losses:
                losses.append(session)
                kill()
            return stream(session, text, values)

        monkeypatch.setattr(type(connection.backend), "stream", lose_once)
        assert len(list(numbers)) == ROWS
        assert len(losses) == 1

    def test_lost_in_a_transaction(self, backend, connect, connection, numbers):
        if backend == "sqlite":
            pytest.skip("sqlite has no sessions to end")
        connection.start_transaction()
        assert len(list(numbers)) == ROWS
        connect().kill(connection.connection_id)
        for _ in range(2):
            with pytest.raises(LostConnectionError):
                list(numbers)
        connection.cancel_transaction()
        assert len(list(numbers)) == ROWS

    def test_lost_between_rows(self, schema, kill):
        @schema
        class Big(dj.Manual):
            definition = """
            n : int
            ---
            data : longblob
            """

        Big.insert((n, np.random.default_rng(n).bytes(2**20)) for n in range(30))
        rows = iter(Big)
        next(rows)
        kill()
        with pytest.raises(LostConnectionError, match="read already"):
            list(rows)
        assert len(list(Big)) == 30


class TestFork:
    def test_a_child_leaves_the_rows_to_its_parent(self, connection, numbers):
        rows = iter(numbers & dj.Top(None, "n"))
        seen = list(itertools.islice(rows, 300))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                try:
                    next(itertools.islice(rows, 500, None))
                except LostConnectionError:
                    del rows
                    gc.collect()
                    status = 0 if len(list(numbers)) == ROWS else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert seen + list(rows) == EXPECTED


MEASURE = """
import re
import sys
from pathlib import Path
import datajoint as dj

options, first, second, in_transaction = eval(sys.argv[1])
connection = dj.Connection(**options)
query = dj.FreeTable(connection, first) * dj.FreeTable(connection, second)
list(query & "n < 2")  # loads what is loaded when first used


def peak():  # in KiB; ru_maxrss would have that of the parent process in it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])


before = peak()
if in_transaction:
    connection.start_transaction()
count = sum(1 for _ in query)
streamed = peak() - before
rows = query.fetch(as_dict=True)
print(count, streamed, peak() - before)
connection.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory is in use")
@pytest.mark.parametrize("in_transaction", [False, True])
def test_iteration_takes_little_memory(target, tmp_path, schema, in_transaction):
    @schema
    class First(dj.Manual):
        definition = """
        n : int
        ---
        a : varchar(80)
        """

    @schema
    class Second(dj.Manual):
        definition = """
        m : int
        ---
        b : varchar(80)
        """

    for table in First, Second:
        table.insert((i, f"{i:040d}") for i in range(450))
    values = (target.options(tmp_path), First.full_table_name, Second.full_table_name)
    command = [sys.executable, "-c", MEASURE, repr((*values, in_transaction))]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    count, streamed, fetched = map(int, output.split())
    assert count == 450 * 450
    assert streamed < 30 * 1024
    assert fetched > 60 * 1024  # what is measured shows when all rows are held


class TestBatches:
    def test_sizes(self, numbers):
        batches = list(numbers.fetch_batches(size=300, order_by="n"))
        assert [len(batch) for batch in batches] == [300, 300, 300, 100]
        assert list(itertools.chain(*batches)) == EXPECTED

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_sizes_in_a_transaction(self, connection, numbers, in_transaction):
        if in_transaction:
            connection.start_transaction()
        batches = numbers.fetch_batches(size=500)
        assert len(next(batches)) == 500
        (numbers & "n > 10").delete_quick()
        assert len(next(batches)) == 500
        assert list(batches) == []
        if in_transaction:
            connection.cancel_transaction()

    def test_without_a_size(self, numbers):
        batches = list(numbers.fetch_batches(order_by="n"))
        assert list(itertools.chain(*batches)) == EXPECTED
        assert max(map(len, batches)) <= 256

    def test_attributes_order_and_limits(self, numbers):
        query = numbers.fetch_batches("square", size=2, order_by="n desc", limit=3, offset=1)
        assert list(query) == [[{"square": 998**2}, {"square": 997**2}], [{"square": 996**2}]]
        assert list(numbers.fetch_batches("KEY", limit=1)) == [[{"n": 0}]]
        assert list(numbers.fetch_batches(dj.key, limit=1)) == [[{"n": 0}]]

    def test_of_nothing(self, numbers):
        assert list((numbers & "n < 0").fetch_batches()) == []

    def test_arguments_are_checked_at_once(self, numbers):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            numbers.fetch_batches("bogus")
        with pytest.raises(DataJointError, match="size must be 1 or more, not 0"):
            numbers.fetch_batches(size=0)
        with pytest.raises(TypeError, match="size must be an integer, not '7'"):
            numbers.fetch_batches(size="7")

    def test_large_values_come_in_small_batches(self, monkeypatch, schema):
        monkeypatch.setattr(streaming, "MOST_BYTES", 2**16)

        @schema
        class Frames(dj.Manual):
            definition = """
            n : int
            ---
            frame : longblob
            """

        noise = np.random.default_rng(1)
        Frames.insert((n, noise.bytes(2**14)) for n in range(20))
        batches = list(Frames.fetch_batches("n"))
        assert [len(batch) for batch in batches] == [20]
        batches = list(Frames.fetch_batches(order_by="n"))
        assert [len(batch) for batch in batches] == [1, 3, 3, 3, 3, 3, 3, 1]


# -- forms --------------------------------------------------------------------------------------

TYPES = {
    "ti": ("tinyint", -1, pa.int8()),
    "tiu": ("tinyint unsigned", 255, pa.uint8()),
    "si": ("smallint", -3, pa.int16()),
    "siu": ("smallint unsigned", 4, pa.uint16()),
    "mi": ("mediumint", 5, pa.int32()),
    "miu": ("mediumint unsigned", 5, pa.uint32()),
    "i": ("int", 7, pa.int32()),
    "iu": ("int unsigned", 8, pa.uint32()),
    "bi": ("bigint", -(2**63), pa.int64()),
    "biu": ("bigint unsigned", 2**63 - 1, pa.uint64()),
    "f": ("float", 1.5, pa.float32()),
    "d": ("double", 0.1, pa.float64()),
    "dc": ("decimal(8,3)", Decimal("1.500"), pa.decimal128(8, 3)),
    "wide": ("decimal(60,2)", Decimal("1.25"), pa.decimal256(60, 2)),
    "c": ("char(4)", "ab", pa.string()),
    "vc": ("varchar(20)", "aé", pa.string()),
    "e": ("enum('x','y','z')", "y", pa.dictionary(pa.int32(), pa.string())),
    "b": ("bool", 1, pa.bool_()),
    "da": ("date", dt.date(2020, 1, 2), pa.date32()),
    "tm": ("time", dt.timedelta(hours=-30, microseconds=0), pa.duration("us")),
    "dt": ("datetime", dt.datetime(2020, 1, 2, 3, 4, 5), pa.timestamp("us")),
    "dt3": ("datetime(3)", dt.datetime(2020, 1, 2, 3, 4, 5, 678000), pa.timestamp("us")),
    "ts": ("timestamp", dt.datetime(2020, 1, 2, 3, 4, 5), pa.timestamp("us")),
    "y": ("year", 2020, pa.int16()),
    "u": ("uuid", uuid.UUID(int=7), pa.string()),
    "js": ("json", {"a": [1, "é"]}, pa.string()),
    "bytes": ("longblob", b"\x00raw", pa.binary()),
    "wave": ("longblob", np.array([1.0, 2.5]), pa.list_(pa.float64())),
}
#: What comes back from a table where it is another value.
OTHERS = {"b": True, "u": str(uuid.UUID(int=7)), "js": '{"a": [1, "é"]}', "wave": [1.0, 2.5]}
COLUMNS = {name: OTHERS.get(name, value) for name, (_, value, _) in TYPES.items()}


@pytest.fixture
def typed(schema):
    @schema
    class Typed(dj.Manual):
        definition = "id : int\n---\n" + "\n".join(
            f"{n}=null : {t}" for n, (t, *_) in TYPES.items()
        )

    values = {name: value for name, (_, value, _) in TYPES.items()}
    Typed.insert([{"id": 1, **values}, {"id": 2}])
    return Typed


SCHEMA = {"id": pa.int32(), **{name: type_ for name, (*_, type_) in TYPES.items()}}


class TestArrow:
    def test_types_and_values(self, typed):
        table = typed.to_arrow(order_by="id")
        assert dict(zip(table.schema.names, table.schema.types, strict=True)) == SCHEMA
        full, null = table.to_pylist()
        assert full == {"id": 1, **COLUMNS}
        assert null == {"id": 2, **dict.fromkeys(TYPES)}

    @pytest.mark.parametrize("condition", ["id > 5", "id = 2"])
    def test_types_of_what_has_no_values(self, typed, condition):
        table = (typed & condition).to_arrow()
        expected = SCHEMA | {"wave": pa.binary()}  # blobs may hold anything
        assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
        assert table.num_rows == len(typed & condition)

    def test_many_batches(self, numbers):
        table = numbers.to_arrow(order_by="n")
        assert table.schema == pa.schema({"n": pa.int32(), "square": pa.int64()})
        assert table.to_pylist() == EXPECTED

    def test_attributes_in_the_order_of_the_arguments(self, typed):
        assert typed.to_arrow("vc", "KEY", "i").column_names == ["vc", "id", "i"]
        assert typed.to_arrow("i", "i").column_names == ["i"]
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            typed.to_arrow("bogus")

    def test_members_of_enums_keep_their_order(self, typed):
        column = typed.to_arrow("e").column("e")
        assert column.chunk(0).dictionary.to_pylist() == ["x", "y", "z"]

    def test_computed_attributes(self, typed):
        query = (typed & "id = 1").proj(
            n="i + 1",
            x="f * 2",
            ratio="i / 2",
            day="da + interval 1 day",
            text="concat(c, vc)",
            big="i > 3",
            who="u",
        )
        table = query.to_arrow()
        (row,) = table.to_pylist()
        assert row == {
            "id": 1,
            "n": 8,
            "x": 3.0,
            "ratio": 3.5,
            "day": dt.date(2020, 1, 3),
            "text": "abaé",
            "big": 1,
            "who": str(uuid.UUID(int=7)),
        }
        types = dict(zip(table.schema.names, table.schema.types, strict=True))
        assert types["n"] == types["big"] == pa.int64()
        assert types["x"] == types["ratio"] == pa.float64()
        assert types["day"] == pa.date32()

    def test_decimals(self, typed):
        """Exact where that is known, else as the other databases have it."""
        query = dj.U().aggr(typed & "id = 1", most="max(dc)", total="sum(dc)", twice="2 * max(dc)")
        table = query.to_arrow()
        exact = Decimal("1.500")
        assert table.to_pylist() == [{"most": exact, "total": exact, "twice": 3.0}]

    def test_aggregates(self, numbers):
        few = numbers & "n < 4"
        table = dj.U().aggr(few, n="count(*)", s="sum(square)", a="avg(n)", m="max(n)").to_arrow()
        assert table.schema == pa.schema(
            {"n": pa.int64(), "s": pa.int64(), "a": pa.float64(), "m": pa.int64()}
        )
        assert table.to_pylist() == [{"n": 4, "s": 14, "a": 1.5, "m": 3}]

    def test_blobs(self, schema):
        @schema
        class Blobs(dj.Manual):
            definition = """
            n : int
            ---
            data = null : longblob
            """

        def table(*values):
            Blobs.delete_quick()
            Blobs.insert(enumerate(values))
            return Blobs.to_arrow("data", order_by="n").column("data")

        assert table(b"a", None, b"").to_pylist() == [b"a", None, b""]
        counts = table(np.arange(3, dtype="int16"), None, np.array([], dtype="int16"))
        assert counts.type == pa.list_(pa.int16())
        assert counts.to_pylist() == [[0, 1, 2], None, []]
        for values, kinds in (
            ([np.eye(2)], "2-D array of float64"),
            ([np.arange(2), np.arange(2.0)], "1-D array of int64, 1-D array of float64"),
            ([b"a", np.arange(2)], "bytes, 1-D array of int64"),
            ([{"a": 1}], "dict"),
        ):
            with pytest.raises(DataJointError) as caught:
                table(*values)
            assert str(caught.value) == (
                f"`data` has values that no column of a table holds ({kinds}): of blobs it takes "
                "bytes alone, or 1-D arrays of numbers of one dtype. Leave the attribute out, or "
                "fetch by `to_dicts()`"
            )

    def test_squeezed_blobs(self, schema):
        @schema
        class Waves(dj.Manual):
            definition = """
            n : int
            ---
            wave : longblob
            """

        Waves.insert1((1, np.ones((1, 3))))
        assert Waves.to_arrow("wave", squeeze=True).to_pylist() == [{"wave": [1.0, 1.0, 1.0]}]

    def test_polars(self, typed):
        frame = typed.to_polars(order_by="id")
        assert isinstance(frame, pl.DataFrame)
        assert frame.schema["e"] == pl.Enum(["x", "y", "z"])
        assert frame.schema["tiu"] == pl.UInt8
        assert frame.schema["dc"] == pl.Decimal(8, 3)
        assert frame.schema["tm"] == pl.Duration("us")
        assert frame.schema["wave"] == pl.List(pl.Float64)
        assert frame.schema["wide"] == pl.Decimal(38, 2)
        full, null = frame.to_dicts()
        assert full == {"id": 1, **COLUMNS}
        assert set(null.values()) == {2, None}
        assert (typed & "id > 5").to_polars("e", "i").schema == {
            "e": pl.Enum(["x", "y", "z"]),
            "i": pl.Int32,
        }

    def test_decimals_that_polars_does_not_hold(self, typed):
        typed.update1({"id": 1, "wide": Decimal(10) ** 50})
        assert typed.to_arrow("wide", order_by="id").to_pylist()[0] == {"wide": Decimal(10) ** 50}
        with pytest.raises(DataJointError, match=r"`wide` .* 38 digits"):
            typed.to_polars()

    @pytest.mark.parametrize(
        ("method", "package"), [("to_arrow", "pyarrow"), ("to_polars", "polars")]
    )
    def test_missing_packages(self, monkeypatch, numbers, method, package):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(DataJointError, match=r"run `pip install 'datajoint\[arrow\]'`"):
            getattr(numbers, method)()


class TestForms:
    def test_dicts(self, typed):
        rows = typed.to_dicts("f", "id", order_by="id")
        assert rows == [{"f": 1.5, "id": 1}, {"f": None, "id": 2}]
        assert list(rows[0]) == ["f", "id"]
        assert typed.to_dicts("KEY", order_by="id desc", limit=1) == [{"id": 2}]
        assert (typed & "id = 2").to_dicts() == [{"id": 2, **dict.fromkeys(TYPES)}]
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            typed.to_dicts("bogus")

    def test_arrays(self, numbers):
        array = (numbers & "n < 3").to_arrays(order_by="n")
        assert array.dtype == np.dtype([("n", "int64"), ("square", "int64")])
        assert array.tolist() == [(0, 0), (1, 1), (2, 4)]
        squares = (numbers & "n < 3").to_arrays("square", order_by="n desc")
        assert squares.tolist() == [4, 1, 0]
        result = numbers.to_arrays("square", "KEY", order_by="n", limit=2, offset=1)
        assert type(result) is tuple
        squares, keys = result
        assert squares.tolist() == [1, 4]
        assert keys.dtype == np.dtype([("n", "int64")])
        assert len(numbers & keys) == 2

    def test_pandas(self, numbers):
        frame = numbers.to_pandas(order_by="n", limit=3)
        pd.testing.assert_frame_equal(frame, numbers.fetch(format="frame", order_by="n", limit=3))
        some = numbers.proj("square", cube="n*n*n").to_pandas("cube", order_by="n", limit=3)
        assert list(some.columns) == ["cube"]
        assert some.index.name == "n"
        assert some["cube"].tolist() == [0, 1, 8]
        assert list(numbers.to_pandas("KEY", limit=1).columns) == []

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_rows_that_come_one_by_one_are_those_that_are_fetched(
        self, connection, typed, in_transaction
    ):
        if in_transaction:
            connection.start_transaction()
        expected = typed.fetch(as_dict=True, order_by="id")
        (batch,) = typed.fetch_batches(order_by="id", size=5)
        for rows in (list(typed & dj.Top(None, "id")), batch, typed.to_dicts(order_by="id")):
            for row, other in zip(rows, expected, strict=True):
                np.testing.assert_equal(row, other)
                assert [type(v) for v in row.values()] == [type(v) for v in other.values()]
        if in_transaction:
            connection.cancel_transaction()

    def test_restrictions_with_many_and_with_strange_values(self, schema, numbers):
        keys = [{"n": n} for n in range(0, ROWS, 2)]
        assert in_order(numbers & keys) == EXPECTED[::2]

        @schema
        class Texts(dj.Manual):
            definition = """
            text : varchar(60)
            """

        texts = ["100%", "%s", "'; --", 'a "b"', "back\\slash", "é", "%%", "?"]
        Texts.insert((text,) for text in texts)
        assert [[row["text"] for row in Texts & {"text": t}] for t in texts] == [[t] for t in texts]

    def test_frames_of_nothing_keep_objects(self, typed):
        frame = (typed & "id > 5").fetch(format="frame")
        kinds = {name: frame[name].dtype.kind for name in TYPES}
        assert kinds == {name: "f" if name in ("f", "d") else "O" for name in TYPES}

    def test_computed_numbers_in_frames_are_as_fetched(self, typed):
        frame = (typed & "id = 1").proj(x="f * 2").fetch(format="frame")
        assert frame["x"].dtype == np.dtype("O")

    def test_dtypes_of_the_heading_are_those_of_arrays(self, typed):
        assert typed.heading.as_dtype == typed.fetch().dtype

    def test_years_are_objects(self, schema):
        @schema
        class Years(dj.Manual):
            definition = """
            n : int
            ---
            y : year
            """

        Years.insert1((1, 2020))
        assert Years.fetch("y").dtype == np.dtype("O")
        assert type(Years.fetch1("y")) is int

    def test_missing_numbers_in_dicts(self, typed):
        """Attributes that are named come as from arrays; all of them, as from the database."""
        query = typed & "id = 2"
        (row,) = query.fetch("id", "f", "i", as_dict=True)
        assert math.isnan(row.pop("f"))
        assert row == {"id": 2, "i": None}
        assert query.fetch(as_dict=True)[0]["f"] is None
        assert query.to_dicts("f") == [{"f": None}]


FORMS = {
    "fetch": lambda query, **options: query.fetch("data", **options)[0],
    "fetch as dicts": lambda query, **options: query.fetch(as_dict=True, **options)[0]["data"],
    "fetch a frame": lambda query, **options: query.fetch(format="frame", **options)["data"].iloc[
        0
    ],
    "fetch an array": lambda query, **options: query.fetch(**options)["data"][0],
    "fetch1": lambda query, **options: query.fetch1("data", **options),
    "fetch1 a dict": lambda query, **options: query.fetch1(**options)["data"],
    "to_dicts": lambda query, **options: query.to_dicts(**options)[0]["data"],
    "to_arrays": lambda query, **options: query.to_arrays("data", **options)[0],
    "to_pandas": lambda query, **options: query.to_pandas(**options)["data"].iloc[0],
    "fetch_batches": lambda query, **options: next(query.fetch_batches(**options))[0]["data"],
    "head": lambda query, **options: query.head(1, **options)["data"][0],
    "tail": lambda query, **options: query.tail(1, **options)["data"][0],
}
TABLES = {
    "to_arrow": lambda query, **options: query.to_arrow("data", **options)["data"][0].as_py(),
    "to_polars": lambda query, **options: query.to_polars("data", **options)["data"][0],
}


ORDERED = {
    "fetch": lambda query, **options: query.fetch("n", **options).tolist(),
    "as dicts": lambda query, **options: [r["n"] for r in query.fetch(as_dict=True, **options)],
    "keys": lambda query, **options: [r["n"] for r in query.fetch("KEY", **options)],
    "array": lambda query, **options: query.fetch(**options)["n"].tolist(),
    "frame": lambda query, **options: list(query.fetch(format="frame", **options).index),
    "to_dicts": lambda query, **options: [r["n"] for r in query.to_dicts(**options)],
    "to_arrays": lambda query, **options: query.to_arrays("n", **options).tolist(),
    "to_pandas": lambda query, **options: list(query.to_pandas(**options).index),
    "to_arrow": lambda query, **options: query.to_arrow(**options)["n"].to_pylist(),
    "to_polars": lambda query, **options: query.to_polars(**options)["n"].to_list(),
    "fetch_batches": lambda query, **options: [
        row["n"] for batch in query.fetch_batches(**options) for row in batch
    ],
}


class TestOptions:
    @pytest.mark.parametrize("form", FORMS)
    def test_squeeze(self, schema, form):
        @schema
        class Images(dj.Manual):
            definition = """
            n : int
            ---
            data : longblob
            """

        Images.insert1((1, np.ones((1, 2, 1, 2))))
        assert FORMS[form](Images).shape == (1, 2, 1, 2)
        assert FORMS[form](Images, squeeze=True).shape == (2, 2)

    @pytest.mark.parametrize("form", [*FORMS, *TABLES])
    def test_download_path(self, schema, tmp_path, form):
        @schema
        class Files(dj.Manual):
            definition = """
            n : int
            ---
            data : attach
            """

        (tmp_path / "notes.txt").write_text("hello")
        (tmp_path / "into").mkdir()
        Files.insert1((1, tmp_path / "notes.txt"))
        path = (FORMS | TABLES)[form](Files, download_path=tmp_path / "into")
        assert path == str(tmp_path / "into" / "notes.txt")
        assert (tmp_path / "into" / "notes.txt").read_text() == "hello"
        with pytest.raises(DataJointError, match="no folder"):
            (FORMS | TABLES)[form](Files, download_path=tmp_path / "nowhere")
        with pytest.raises(DataJointError, match="`download_path` is the path of a folder, not 5"):
            (FORMS | TABLES)[form](Files, download_path=5)

    def test_files_come_with_their_rows(self, schema, tmp_path):
        @schema
        class Files(dj.Manual):
            definition = """
            n : int
            ---
            data : attach
            """

        for n in range(3):
            (tmp_path / f"{n}.txt").write_text(str(n))
            Files.insert1((n, tmp_path / f"{n}.txt"))
            (tmp_path / f"{n}.txt").unlink()
        rows = iter(Files & dj.Top(None, "n"))
        for n in range(3):
            next(rows)
            assert sorted(file.name for file in tmp_path.glob("*.txt")) == [
                f"{i}.txt" for i in range(n + 1)
            ]

    @pytest.mark.parametrize("form", ORDERED)
    def test_order_limit_and_offset(self, numbers, form):
        fetch = ORDERED[form]
        few = numbers & "n < 8"
        assert fetch(few, order_by="square desc", limit=3, offset=2) == [5, 4, 3]
        assert fetch(few, order_by=("n % 2", "KEY desc")) == [6, 4, 2, 0, 7, 5, 3, 1]
        assert fetch(few, limit=2) == [0, 1]
        assert fetch(few, limit=0) == []
        assert fetch(few, offset=6) == [6, 7]  # the manual says: with a limit only
        assert fetch(few, offset=5, order_by="n desc") == [2, 1, 0]
        assert fetch(few, offset=0, order_by="n") == list(range(8))

    @pytest.mark.parametrize("form", ["fetch", "frame", "fetch_batches"])
    @pytest.mark.parametrize(
        "order_by",
        [
            "n; DROP TABLE numbers",
            "n limit 1",
            "n /*! , sleep(10) */",
            "n /*+ hint */",
            "n /*",
            "n) union (select 1, 2",
            "n desc desc",
            "1, (select 1",
            "",
        ],
    )
    def test_orders_are_parsed_not_pasted(self, numbers, form, order_by):
        with pytest.raises(DataJointError):
            ORDERED[form](numbers & "n < 3", order_by=order_by)
        assert len(numbers) == ROWS

    @pytest.mark.parametrize("order_by", ["-n -- n", "-n # n", "-n /* n */", "- -(-n)"])
    def test_comments_have_no_effect(self, numbers, order_by):
        assert numbers.fetch("n", order_by=order_by, limit=2).tolist() == [ROWS - 1, ROWS - 2]

    def test_comments_in_conditions(self, numbers):
        assert len(numbers & "n < 5 -- and n < 3") == 5
        assert len(numbers & "n /* the number */ < 5 # not more") == 5
        assert len(numbers & "n--1 < 5") == 4
        assert (numbers & "n = 3").proj(text="'-- # /* '").fetch1("text") == "-- # /* "

    @pytest.mark.parametrize("form", ORDERED)
    def test_bad_limits(self, numbers, form):
        for options in ({"limit": -1}, {"offset": -1}):
            with pytest.raises(DataJointError, match="cannot be negative"):
                ORDERED[form](numbers, **options)
        with pytest.raises(TypeError, match="limit must be an integer"):
            ORDERED[form](numbers, limit="3; DROP TABLE numbers")

    @pytest.mark.parametrize("form", ORDERED)
    def test_unknown_attributes_in_orders(self, numbers, form):
        with pytest.raises(UnknownAttributeError, match="`bogus`"):
            ORDERED[form](numbers, order_by="bogus")
