"""Random optimistic transactions side by side, compared with the same ones one after another."""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj
from datajoint.errors import ConflictError

from .definitions import examples

CELLS = range(4)
BEGINNING = {0: 5, 1: 10, 2: 15}

#: How a transaction reads cells: in the database, and in a model of it, a dict.
READS = {
    "all": (
        lambda table, n: sorted((r["cell"], r["value"]) for r in table.fetch(as_dict=True)),
        lambda cells, n: sorted(cells.items()),
    ),
    "some": (
        lambda table, n: [(r["cell"], r["value"]) for r in table & f"value > {n}"],
        lambda cells, n: [(c, v) for c, v in sorted(cells.items()) if v > n],
    ),
    "one": (
        lambda table, n: (table & {"cell": n % 4}).fetch("value").tolist(),
        lambda cells, n: [cells[n % 4]] if n % 4 in cells else [],
    ),
    "count": (lambda table, n: len(table & f"value > {n}"), lambda cells, n: _count(cells, n)),
    "any": (
        lambda table, n: bool(table & f"value > {n}"),
        lambda cells, n: _count(cells, n) > 0,
    ),
    "sum": (
        lambda table, n: int(dj.U().aggr(table, n="ifnull(sum(value), 0)").fetch1("n")),
        lambda cells, n: sum(cells.values()),
    ),
    "largest": (
        lambda table, n: (table & dj.Top(1, ["value DESC", "cell"])).fetch("cell").tolist(),
        lambda cells, n: [min(cells, key=lambda c: (-cells[c], c))] if cells else [],
    ),
}


def _count(cells, n):
    return sum(v > n for v in cells.values())


def known(log):
    """Make a number of what a transaction has read."""
    return sum(map(ord, repr(log))) % 30


def step(table, action, n, log):
    """Do one step of a transaction in the database."""
    if action in READS:
        log.append(READS[action][0](table, n))
    elif action == "put":
        table.insert1((n % 4, known(log)), replace=True)
    elif action == "add":
        table.insert1((n % 4, known(log)), skip_duplicates=True)
    else:
        (table & f"value > {n}").delete_quick()


def model_step(cells, action, n, log):
    """Do one step of a transaction in a model."""
    if action in READS:
        log.append(READS[action][1](cells, n))
    elif action == "put":
        cells[n % 4] = known(log)
    elif action == "add":
        cells.setdefault(n % 4, known(log))
    else:
        for cell in [c for c, v in cells.items() if v > n]:
            del cells[cell]


actions = st.tuples(st.sampled_from([*READS, "put", "put", "add", "delete"]), st.integers(0, 20))


@st.composite
def histories(draw):
    """Transactions, each a list of steps; and whose turn it is."""
    programs = draw(st.lists(st.lists(actions, min_size=1, max_size=5), min_size=2, max_size=3))
    turns = [i for i, steps in enumerate(programs) for _ in range(len(steps) + 2)]
    return programs, draw(st.permutations(turns))


def run(tables, programs, turns):
    """Run transactions side by side; give what those have read that were committed."""
    logs = [[] for _ in programs]
    left = [[("begin", 0), *steps, ("commit", 0)] for steps in programs]
    committed = []
    for turn in turns:
        if not left[turn]:  # after a conflict
            continue
        action, n = left[turn].pop(0)
        connection = tables[turn].connection
        try:
            if action == "begin":
                connection.start_transaction(optimistic=True)
            elif action == "commit":
                connection.commit_transaction()
                committed.append(turn)
            else:
                step(tables[turn], action, n, logs[turn])
        except ConflictError:
            connection.cancel_transaction()
            left[turn].clear()
    return {turn: logs[turn] for turn in committed}


def is_serial(programs, logs, result):
    """Tell whether there is an order in which they could have run one after another."""
    for order in permutations(logs):
        cells = dict(BEGINNING)
        if all(_fits(cells, programs[i], logs[i]) for i in order) and cells == result:
            return True
    return False


def _fits(cells, steps, expected):
    log = []
    for action, n in steps:
        model_step(cells, action, n, log)
    return log == expected


@pytest.fixture
def tables(backend, schema, connect):
    if backend != "sqlite":
        pytest.skip("transactions that read what others write can overlap")

    @schema
    class Cell(dj.Manual):
        definition = "cell : int\n---\nvalue : int"

    with dj.config(database__timeout=0.0):
        connections = [connect() for _ in range(3)]
    return [dj.FreeTable(connection, Cell.full_table_name) for connection in connections]


@pytest.mark.random
def test_transactions_are_as_if_one_after_another(tables):
    counts = SimpleNamespace(committed=0, all=0)

    @examples(60)
    @given(histories())
    def check(history):
        programs, turns = history
        tables[0].delete_quick()
        tables[0].insert(BEGINNING.items())
        try:
            logs = run(tables, programs, turns)
        finally:
            for table in tables:
                with suppress(ConflictError):
                    table.connection.cancel_transaction()
        result = dict(zip(*tables[0].fetch("cell", "value"), strict=True))
        assert is_serial(programs, logs, result)
        counts.committed += len(logs)
        counts.all += len(programs)

    check()
    assert counts.all / 3 < counts.committed < counts.all
