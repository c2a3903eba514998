"""Results in every form: dicts, arrays, frames and tables, and rows that come batch by batch."""

from __future__ import annotations

import datetime as dt
import gc
import itertools
import math
import os
import subprocess
import sys
import textwrap
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
    QuerySyntaxError,
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
            1 for row in numbers & "n < 3" for _ in numbers & f"n >= {row['n']}" for _ in up & "n<2"
        )
        assert count == 2 * (ROWS + ROWS - 1 + ROWS - 2)
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
            wait = sessions.replace("SELECT id", "SELECT count(*)").replace(
                "SELECT pid", "SELECT count(*)"
            )
            while connection.query(wait).fetchall() != type(connection.query(wait).fetchall())(
                [(0,)]
            ):
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
