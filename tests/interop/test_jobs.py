"""Both clients share the jobs of a schema: what one reserves, fails or ignores, the other sees."""

from __future__ import annotations

import datetime as dt
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import pytest

from datajoint.errors import ReservationLostError
from datajoint.leases import lease

from .conftest import Pair, Sql
from .sides import Here, Incumbent, Side

SCHEMA = "lab = schema(name)"
KEY: dict[str, Any] = {"sample_id": 2, "name": "x", "day": dt.date(2020, 1, 2)}
ENTRIES = "lab.jobs.proj(..., '-timestamp').fetch(as_dict=True, order_by='KEY')"


def columns(sql: Sql, schema_name: str, table: str) -> list[tuple[Any, ...]]:
    rows = sql(
        "SELECT column_name, column_type, is_nullable, column_default, column_key, extra, "
        "column_comment FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        schema_name,
        table,
    )
    assert rows
    return rows


@pytest.mark.parametrize("table", ["~jobs", "~log"])
def test_tables_are_the_same(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, table: str
) -> None:
    found: dict[str, Any] = {}
    for side, suffix in ((incumbent, "a"), (here, "b")):
        name = f"{schema_name}_{suffix}"
        side.run(
            f"{SCHEMA}\nlab.jobs\n@lab\nclass A(dj.Manual):\n    definition = 'a : int'", name=name
        )
        ((_, statement),) = sql(f"SHOW CREATE TABLE `{name}`.`{table}`")
        statement = statement.replace(name, "SCHEMA")
        found[side.name] = (columns(sql, name, table), statement.split("AUTO_INCREMENT=")[0])
        if "AUTO_INCREMENT=" in statement:
            found[side.name] += (statement.split("AUTO_INCREMENT=")[1].split(" ", 1)[1],)
    assert found["here"] == found["incumbent"]


def test_reservations(pair: Pair, sql: Sql) -> None:
    pair.run(SCHEMA)
    assert pair.maker.value("lab.jobs.reserve('__table', key)", key=KEY) is True
    assert pair.user.value("lab.jobs.reserve('__table', key)", key=KEY) is False
    assert pair.user.value("lab.jobs.reserve('__other', key)", key=KEY) is True
    pair.assert_same(ENTRIES)
    pair.assert_same("lab.jobs.fetch('timestamp').dtype.str")
    entries = pair.assert_same("(lab.jobs & 'table_name = \"__table\"').fetch(as_dict=True)")
    (entry,) = entries
    assert entry["status"] == "reserved"
    assert entry["key"] == KEY
    assert list(entry["key"]) == list(KEY)
    assert entry["error_message"] == ""
    assert entry["error_stack"] is None
    assert entry["host"] == platform.node()
    ids = {side.name: process_id(side) for side in (pair.maker, pair.user)}
    assert ids["here"] == os.getpid() != ids["incumbent"]
    assert entry["pid"] == ids[pair.maker.name]
    users: dict[int, str] = dict(sql("SELECT id, user FROM information_schema.processlist"))
    assert users[entry["connection_id"]] == entry["user"].partition("@")[0]
    # the same bytes, whoever writes them
    stored = sql(f"SELECT HEX(`key`), key_hash, `user` FROM `{pair.schema_name}`.`~jobs`")
    assert len(stored) == 2
    assert stored[0] == stored[1]
    # and each completes what the other reserved
    pair.user.run("lab.jobs.complete('__table', key)", key=KEY)
    pair.maker.run("lab.jobs.complete('__other', key)", key=KEY)
    assert pair.assert_same("len(lab.jobs)") == 0


def process_id(side: Side) -> int:
    process: int = side.value("__import__('os').getpid()")
    return process


@pytest.mark.parametrize("stack", ["line 1\nline 2: naïve\n", "long " * 1000, ""])
def test_errors(pair: Pair, sql: Sql, stack: str) -> None:
    pair.run(SCHEMA)
    for side, table in ((pair.maker, "__a"), (pair.user, "__b")):
        side.run(
            "lab.jobs.error(table, key, error_message=message, error_stack=stack)",
            message="ValueError: " + "ä" * 3000,
            table=table,
            key=KEY,
            stack=stack,
        )
    pair.assert_same(ENTRIES)
    for entry in pair.assert_same("lab.jobs.fetch(as_dict=True)"):
        assert entry["status"] == "error"
        assert entry["error_message"] == "ValueError: " + "ä" * 2023 + "...truncated"
        assert len(entry["error_message"]) == 2047
        assert entry["error_stack"] == stack
        assert entry["key"] == KEY
    assert pair.user.value("lab.jobs.reserve('__a', key)", key=KEY) is False
    # an error replaces a reservation
    other = {"sample_id": 5}
    assert pair.maker.value("lab.jobs.reserve('__a', key)", key=other) is True
    pair.user.run("lab.jobs.error('__a', key, 'failed', 'stack')", key=other)
    assert pair.assert_same("(lab.jobs & dict(error_message='failed')).fetch1('status')") == "error"
    pair.user.run("(lab.jobs & 'status = \"error\"').delete()")
    assert pair.assert_same("len(lab.jobs)") == 0


def test_ignored(pair: Pair) -> None:
    pair.run(SCHEMA)
    assert pair.maker.value("lab.jobs.ignore('__a', key)", key=KEY) is True
    assert pair.user.value("lab.jobs.ignore('__a', key)", key=KEY) is False
    assert pair.user.value("lab.jobs.reserve('__a', key)", key=KEY) is False
    assert pair.assert_same(ENTRIES)[0]["status"] == "ignore"


PIPELINE = """
import os, time
calls = []
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int
    name : varchar(8)
    '''
@lab
class Result(dj.Computed):
    definition = '''
    -> Sample
    ---
    pid : int unsigned
    '''
    class Item(dj.Part):
        definition = '''
        -> master
        item : int
        '''
    def make(self, key):
        calls.append(key['sample_id'])
        time.sleep(pause)
        if key['sample_id'] in failing:
            raise ValueError('no luck with {sample_id}'.format(**key))
        self.insert1(dict(key, pid=os.getpid()))
        self.Item.insert(dict(key, item=n) for n in range(2))
"""


def test_both_populate_at_once(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    count = 60
    for side in (incumbent, here):
        side.run(PIPELINE, name=schema_name, pause=0.01, failing=[])
    here.run("Sample.insert((n, f'n{n % 7}') for n in range(count))", count=count)
    populate = "done = Result.populate(reserve_jobs=True, order='random')"
    incumbent.start(populate)
    here.run(populate)
    incumbent.finish()
    made: dict[int, int] = dict(
        sql(f"SELECT pid, COUNT(*) FROM `{schema_name}`.`__result` GROUP BY pid")
    )
    assert set(made) == {process_id(here), process_id(incumbent)}
    assert sum(made.values()) == count
    assert sorted(here.value("calls") + incumbent.value("calls")) == list(range(count))
    assert sql(f"SELECT COUNT(*) FROM `{schema_name}`.`__result__item`") == [(2 * count,)]
    assert sql(f"SELECT COUNT(*) FROM `{schema_name}`.`~jobs`") == [(0,)]
    for side in (here, incumbent):
        assert tuple(side.value("Result.progress(display=False)")) == (0, count)
    for side in (here, incumbent):
        done = side.value("done")
        assert done["success_count"] == made[process_id(side)]
        assert done["error_list"] == []


def test_errors_and_reservations_are_skipped_by_the_other(pair: Pair, sql: Sql) -> None:
    pair.run(PIPELINE, pause=0, failing=[1, 3])
    pair.maker.run("Sample.insert((n, 'x') for n in range(6))")
    assert pair.maker.value("lab.jobs.ignore('__result', key)", key={"sample_id": 4, "name": "x"})
    assert pair.maker.value("lab.jobs.reserve('__result', key)", key={"sample_id": 5, "name": "x"})
    pair.maker.run("done = Result.populate(reserve_jobs=True, suppress_errors=True, max_calls=3)")
    done = pair.maker.value("done")
    first = pair.maker.value("Result.fetch('sample_id', order_by='KEY').tolist()")
    assert done["success_count"] == len(first)
    # the other one could make them all, but passes over what has an entry
    pair.user.run("failing = []\ndone = Result.populate(reserve_jobs=True, suppress_errors=True)")
    assert done["error_list"]
    assert len(done["error_list"]) == pair.assert_same("len(lab.jobs & dict(status='error'))")
    pair.maker.run("done = Result.populate(reserve_jobs=True, suppress_errors=True)")
    entries = {}
    for entry in pair.assert_same(
        "lab.jobs.proj('status', 'error_message', 'key').fetch(as_dict=True)"
    ):
        entries[entry["key"]["sample_id"]] = (entry["status"], entry["error_message"])
        assert entry["key"] == {"sample_id": entry["key"]["sample_id"], "name": "x"}
    assert entries[4] == ("ignore", "")
    assert entries[5] == ("reserved", "")
    errors = {n: entry for n, entry in entries.items() if n in (1, 3)}
    assert errors
    for n, entry in errors.items():
        assert entry == ("error", f"ValueError: no luck with {n}")
    made = pair.assert_same("Result.fetch('sample_id', order_by='KEY').tolist()")
    assert sorted([*made, *entries]) == list(range(6))
    # not the stacks themselves: they are those of the other client's source
    about = (
        "[('ValueError' in stack, 'no luck' in stack, type(stack) is str, len(stack) > 100) "
        "for stack in (lab.jobs & 'status = \"error\"').fetch('error_stack')]"
    )
    assert set(pair.assert_same(about)) == {(True, True, True, True)}
    # who repaired the cause lets them be made, whoever noted the errors
    pair.user.run("(lab.jobs & 'status = \"error\"').delete()")
    pair.user.run("done = Result.populate(reserve_jobs=True)")
    assert pair.assert_same("Result.fetch('sample_id', order_by='KEY').tolist()") == [0, 1, 2, 3]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not become so"
        time.sleep(0.01)


def test_leases_do_not_disturb_the_other(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    for side in (here, incumbent):
        side.run(PIPELINE, name=schema_name, pause=0, failing=[])
    here.run("Sample.insert((n, 'x') for n in range(6))")
    with lease(here.connection, schema_name) as ours:
        keys = [{"sample_id": n, "name": "x"} for n in range(3)]
        assert ours.reserve("__result", keys) == keys
        assert sql(f"SELECT COUNT(*) FROM `{schema_name}`.`~lease`") == [(1,)]
        # activated anew, with the table there
        incumbent.run(PIPELINE, name=schema_name, pause=0, failing=[])
        assert incumbent.value("lab.list_tables()") == here.value("lab.list_tables()")
        assert incumbent.value("sorted(n for n in dj.Diagram(lab).nodes if name in n)") == [
            f"`{schema_name}`.`__result__item`",
            f"`{schema_name}`.`__result`",
            f"`{schema_name}`.`sample`",
        ]
        assert incumbent.value("len(lab.jobs & 'status = \"reserved\"')") == 3
        incumbent.run("virtual = dj.VirtualModule('virtual', name)")
        assert incumbent.value("sorted(n for n in dir(virtual) if n[0].isupper())") == [
            "Result",
            "Sample",
        ]
        # and what is reserved here is passed over there
        incumbent.run("Result.populate(reserve_jobs=True)")
        assert incumbent.value("sorted(Result.fetch('sample_id').tolist())") == [3, 4, 5]
        assert all(ours.holds("__result", key) for key in keys)
        incumbent.run("(Sample & 'sample_id = 5').delete()")
    incumbent.run("Result.populate(reserve_jobs=True)")
    assert incumbent.value("sorted(Result.fetch('sample_id').tolist())") == [0, 1, 2, 3, 4]
    incumbent.run("lab.drop()")
    assert sql("SHOW DATABASES LIKE %s", schema_name) == []


def test_what_the_other_makes_is_taken_over_when_it_is_killed(
    here: Here, another_incumbent: Incumbent, schema_name: str, sql: Sql
) -> None:
    here.run(PIPELINE, name=schema_name, pause=0, failing=[])
    another_incumbent.run(PIPELINE, name=schema_name, pause=600, failing=[])
    here.run("Sample.insert((n, 'x') for n in range(6))")
    another_incumbent.start("Result.populate(reserve_jobs=True)")
    until(lambda: here.value("len(lab.jobs)"))
    # it works for as long as it likes
    here.run("done = Result.populate(reserve_jobs=True)")
    assert here.value("done") == {"success_count": 5, "error_list": []}
    assert here.value("lab.jobs.fetch('status').tolist()") == ["reserved"]
    another_incumbent.kill()
    until(lambda: here.value("Result.populate(reserve_jobs=True)['success_count']") == 1)
    assert here.value("(len(Result()), len(Result.Item()), len(lab.jobs))") == (6, 12, 0)


def test_what_is_made_here_is_left_to_the_other_when_it_is_lost(
    here: Here, incumbent: Incumbent, schema_name: str
) -> None:
    """An incumbent knows no leases: what it has finds no place for a second one."""
    for side in (here, incumbent):
        side.run(PIPELINE, name=schema_name, pause=0, failing=[])
    here.run("Sample.insert((n, 'x') for n in range(6))")
    key = {"sample_id": 2, "name": "x"}
    with lease(here.connection, schema_name) as ours:
        ours.reserve("__result", [key])
        incumbent.run("lab.jobs.delete()")
        incumbent.run("Result.populate(reserve_jobs=True)")
        with pytest.raises(ReservationLostError), here.connection.transaction:
            ours.verify("__result", key)
    assert here.value("len(Result())") == 6


def test_keys_of_many_types(pair: Pair, sql: Sql) -> None:
    """Populating reserves the same hash and the same key on both sides."""
    source = """
import uuid, datetime, decimal
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    a : smallint unsigned
    b : varchar(10)
    c : decimal(6,2)
    d : datetime(3)
    e : uuid
    g : double
    h : bool
    i : enum('x','y')
    j : date
    k : year
    '''
@lab
class Result(dj.Computed):
    definition = '-> Sample'
    def make(self, key):
        raise ValueError('refused')
"""
    pair.run(source)
    pair.maker.run(
        "Sample.insert1((1, 'b', '1.5', '2020-01-02 03:04:05.678', uuid.UUID(int=5), 0.1, True, "
        "'x', '2020-01-02', 2001))"
    )
    entries = []
    for side in (pair.maker, pair.user):
        side.run("Result.populate(reserve_jobs=True, suppress_errors=True)")
        entries += sql(
            f"SELECT key_hash, HEX(`key`), error_message FROM `{pair.schema_name}`.`~jobs`"
        )
        pair.assert_same("lab.jobs.fetch1('key')")
        sql(f"DELETE FROM `{pair.schema_name}`.`~jobs`")
    assert len(entries) == 2
    assert entries[0] == entries[1]
