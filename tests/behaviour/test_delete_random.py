"""Deletes from random graphs of tables, compared with a model in plain Python.

Tables have keys and references of every kind: in the key and outside of it, nullable, renamed, to
the table itself, to masters and from parts, into another schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datajoint as dj
from datajoint.errors import DataJointError

from .definitions import examples


@dataclass
class Model:
    """A table: its rows by their key ``i``, and its references."""

    name: str
    master: int | None = None
    #: Kind and position of the parent; the own position for references to itself.
    references: list[tuple[str, int]] = field(default_factory=list)
    rows: dict[int, list[int | None]] = field(default_factory=dict)

    def definition(self, position: int, names: list[str]) -> str:
        key = [f"i{position} : int"]
        rest = []
        for number, (kind, parent) in enumerate(self.references):
            if kind == "key":
                key.append(f"-> {names[parent]}.proj(r{number}='i{parent}')")
            else:
                option = "[nullable] " if kind == "nullable" else ""
                rest.append(f"-> {option}{names[parent]}.proj(r{number}='i{parent}')")
        return "\n".join([*key, "---", *rest, "x : int"])


@st.composite
def graphs(draw):
    """Tables, parents first. Every key is one number; references in keys refer to such tables."""
    models: list[Model] = []
    for position in range(draw(st.integers(3, 6))):
        # Only tables with one attribute in the key are referred to, which keeps the model simple.
        simple = [i for i, m in enumerate(models) if all(k != "key" for k, _ in m.references)]
        masters = [i for i in simple if models[i].master is None]
        master = draw(st.sampled_from([None, None, *masters]))
        model = Model(f"T{position}", master)
        if master is not None:
            model.references.append(("required", master))
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["key", "required", "nullable", "nullable", "self"]))
            parents = [position] if kind == "self" else simple
            if parents:
                model.references.append(
                    ("nullable" if kind == "self" else kind, draw(st.sampled_from(parents)))
                )
        if any(kind == "key" for kind, _ in model.references):
            model.references = [r for r in model.references if r[1] != position]
        fill(draw, models, model, position)
        models.append(model)
    return models


def fill(draw, models, model, position):
    for row in range(draw(st.integers(0, 4))):
        values = []
        for kind, parent in model.references:
            known = list(model.rows if parent == position else models[parent].rows)
            choices = known + [None] * (kind == "nullable")
            if not choices:
                return
            values.append(draw(st.sampled_from(choices)))
        model.rows[row] = values


def cascade(models, doomed):
    """Add all rows that refer to some that are deleted."""
    doomed = {position: set(rows) for position, rows in doomed.items()}
    while True:
        before = sum(map(len, doomed.values()))
        for position, model in enumerate(models):
            for row, values in model.rows.items():
                for (_, parent), value in zip(model.references, values):
                    if value in doomed.get(parent, ()):
                        doomed.setdefault(position, set()).add(row)
        if sum(map(len, doomed.values())) == before:
            return doomed


def orphans(models, doomed):
    """Find the masters of deleted parts that are not deleted themselves."""
    return {
        (model.master, model.rows[row][0])
        for position, model in enumerate(models)
        if model.master is not None
        for row in doomed.get(position, ())
        if model.rows[row][0] not in doomed.get(model.master, ())
    }


def expected(models, position, rows, force_parts, force_masters):
    """Say which rows are deleted; None when the delete is refused."""
    doomed = cascade(models, {position: rows})
    while force_masters and (found := orphans(models, doomed)):
        for master, row in found:
            doomed.setdefault(master, set()).add(row)
        doomed = cascade(models, doomed)
    if not force_parts and orphans(models, doomed):
        return None
    return doomed


def declare(make_schema, models):
    schemas = [make_schema(), make_schema("other")]
    names = [f"T{i}" if m.master is None else f"T{m.master}.T{i}" for i, m in enumerate(models)]
    tables: list = [None] * len(models)
    context: dict = {}
    for position, model in enumerate(models):
        if model.master is not None:
            continue
        body = {"definition": model.definition(position, names)}
        class_ = type(model.name, (dj.Manual,), body)
        context[model.name] = class_
        schemas[position % 2](class_, context=context)
        tables[position] = class_
    for position, model in enumerate(models):
        if model.master is not None:
            master = tables[model.master]
            body = {"definition": model.definition(position, names)}
            setattr(master, model.name, type(model.name, (dj.Part,), body))
            schemas[model.master % 2](master, context=context)
            tables[position] = getattr(master, model.name)
    return tables


def insert(models, tables):
    for position, (model, table) in enumerate(zip(models, tables)):
        for row, values in model.rows.items():
            names = {f"r{n}": value for n, value in enumerate(values)}
            table.insert1({f"i{position}": row, **names, "x": row % 2})


def remaining(models, tables):
    return [set(table.fetch(f"i{i}").tolist()) for i, table in enumerate(tables)]


def sortable(models):
    """A table is declared before its parts; no table outside refers to a part declared later."""
    return all(
        models[parent].master is None or model.master is not None
        for model in models
        for _, parent in model.references
    )


@pytest.mark.random
def test_a_delete_takes_what_the_model_says(make_schema, connection, target):
    number = iter(range(10**6))

    @examples(12)
    @given(
        models=graphs().filter(sortable),
        position=st.integers(0, 5),
        kind=st.sampled_from(["all", "text", "keys", "top", "children", "not children"]),
        options=st.sampled_from([{}, {"force_parts": True}, {"force_masters": True}]),
        transaction=st.booleans(),
    )
    def check(models, position, kind, options, transaction):
        suffix = f"g{next(number)}"
        tables = declare(lambda other="": make_schema(suffix + other), models)
        insert(models, tables)
        position %= len(models)
        model, table = models[position], tables[position]
        key = f"i{position}"
        children = [
            (i, n)
            for i, other in enumerate(models)
            for n, (_, parent) in enumerate(other.references)
            if parent == position
        ]
        rows = set(model.rows)
        query = table()
        if kind == "text":
            query, rows = query & "x = 1", {row for row in rows if row % 2}
        elif kind == "keys":
            query, rows = query & [{key: row} for row in (0, 2)], rows & {0, 2}
        elif kind == "top":
            query, rows = query & dj.Top(2, f"{key} desc"), set(sorted(rows)[-2:])
        elif kind.endswith("children") and children:
            child, n = children[0]
            referring = (
                dj.U(key) & tables[child].proj(**{"own": f"i{child}", key: f"r{n}"})
                if (child == position)
                else tables[child].proj(**{key: f"r{n}"})
            )
            parents = {values[n] for values in models[child].rows.values()}
            query = query & referring if kind == "children" else query - referring
            rows = rows & parents if kind == "children" else rows - parents
        if model.master is not None:
            options = {"force": True} if "force_parts" in options else options
        doomed = expected(
            models,
            position,
            rows,
            force_parts="force_parts" in options or "force" in options,
            force_masters="force_masters" in options,
        )
        if model.master is not None and not options:
            doomed = None
        before = [set(m.rows) for m in models]
        if doomed is None:
            for more in ({"dry_run": True}, {}):
                with pytest.raises(DataJointError):
                    query.delete(transaction=transaction, **options, **more)
            assert remaining(models, tables) == before
            return
        counts = {
            tables[i].full_table_name: len(doomed[i]) for i in doomed if doomed[i] or i == position
        }
        counts.setdefault(table.full_table_name, 0)
        assert query.delete(dry_run=True, **options) == counts
        assert remaining(models, tables) == before
        assert query.delete(transaction=transaction, **options) == len(doomed.get(position, ()))
        assert remaining(models, tables) == [
            rows - doomed.get(i, set()) for i, rows in enumerate(before)
        ]
        assert not connection.in_transaction
        if target.shared:
            target.drop(connection, {schema for t in tables for schema in [t.database]})

    check()
