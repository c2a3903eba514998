"""Saved source of a pipeline that the other client made declares the same tables with either."""

import re
from typing import Any

import pytest

import datajoint as dj

from .sides import Here, Incumbent
from .test_definitions import TABLES, ShowCreate, assert_equal, declare


def without_index_names(statements: dict[str, str]) -> dict[str, str]:
    """Leave out the names and the order of indexes: servers give them in the order of lines."""
    return {
        table: "\n".join(sorted(re.sub(r"KEY `\w+`", "KEY", line.rstrip(",")) for line in lines))
        for table, lines in ((name, text.splitlines()) for name, text in statements.items())
    }


@pytest.mark.parametrize("name", TABLES)
def test_saved_source(
    here: Here,
    incumbent: Incumbent,
    schema_name: str,
    show_create: ShowCreate,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(dj.conn, "connection", here.connection)
    made = f"{schema_name}_a"
    declare(incumbent, made, TABLES[name])
    source = dj.Schema(made).code
    expected = without_index_names(show_create(made))
    for side, copy in ((here, f"{schema_name}_b"), (incumbent, f"{schema_name}_c")):
        side.reset()
        side.run(source.replace(made, copy))
        assert_equal(without_index_names(show_create(copy)), expected)


def test_virtual_modules(here: Here, incumbent: Incumbent, schema_name: str, sql: Any) -> None:
    declare(incumbent, schema_name, TABLES["lookup with contents"])
    module = dj.VirtualModule("lab", schema_name, connection=here.connection)
    rows = "dj.VirtualModule('lab', name).Stain.fetch(as_dict=True)"
    assert module.Stain.fetch(as_dict=True) == incumbent.value(rows, name=schema_name)
    module.Stain.insert1(("blue", "red", 2.5))
    assert module.Stain.fetch(as_dict=True) == incumbent.value(rows, name=schema_name)
    definition = incumbent.value("dj.VirtualModule('lab', name).Stain.describe()", name=schema_name)
    assert module.Stain.definition.split() == definition.split()
