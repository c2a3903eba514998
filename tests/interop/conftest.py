"""The other client beside this package, on one MariaDB server.

The other client, ``datajoint==0.14.10`` from PyPI, has a virtual environment of its own, since
both packages have the same name. ``DJ_TEST_INCUMBENT`` names its Python; without it, it is looked
for in the folder ``incumbent`` of the environment that runs the tests.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

import datajoint as dj

from .sides import Here, Incumbent, Side

Sql = Callable[..., list[tuple[Any, ...]]]


def _is_required() -> bool:
    required = os.environ.get("DJ_TEST_REQUIRE", "").split(",")
    return "interop" in (name.strip() for name in required)


def _missing(reason: str) -> None:
    if _is_required():
        pytest.fail(f"interop is required by DJ_TEST_REQUIRE: {reason}", pytrace=False)
    pytest.skip(f"interop: {reason}")


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Give the options of connections to the server that both clients use."""
    # not imported: there must be one list of targets, whose servers the suite stops at its end
    path = Path(__file__).parent.parent / "conftest.py"
    suite: Any = request.config.pluginmanager.get_plugin(str(path))
    target = suite.TARGETS.get("mysql")
    reason = "there is no mysql backend" if target is None else target.unavailable()
    if reason is not None:
        _missing(reason)
    options: dict[str, Any] = target.options(tmp_path_factory.mktemp("interop"))
    return options


@pytest.fixture(scope="session")
def incumbent_python() -> str:
    """The Python that has the other client."""
    python = Path(
        os.environ.get("DJ_TEST_INCUMBENT") or Path(sys.prefix, "incumbent", "bin", "python")
    )
    if not python.exists():
        _missing(f"no datajoint==0.14.10 at {python}; DJ_TEST_INCUMBENT names its Python")
    return str(python)


@pytest.fixture(scope="session")
def incumbent_process(
    incumbent_python: str, server: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Incumbent]:
    log = tmp_path_factory.mktemp("incumbent") / "stderr"
    process = Incumbent(incumbent_python, log, **server)
    yield process
    process.stop()


@pytest.fixture
def another_incumbent(
    incumbent_python: str, server: dict[str, Any], tmp_path: Path
) -> Iterator[Incumbent]:
    """The other client in a process that a test may kill."""
    process = Incumbent(incumbent_python, tmp_path / "stderr", **server)
    yield process
    process.stop()


@pytest.fixture
def incumbent(incumbent_process: Incumbent) -> Incumbent:
    """The other client, without variables of other tests."""
    incumbent_process.reset()
    return incumbent_process


@pytest.fixture
def connection(server: dict[str, Any]) -> Iterator[dj.Connection]:
    """Connect this package."""
    with dj.config(safemode=False, database__timeout=20.0):
        connection = dj.Connection(**server)
        yield connection
        connection.close()


@pytest.fixture
def here(connection: dj.Connection) -> Here:
    """This package, with the interface of the other client."""
    return Here(connection)


@pytest.fixture
def sql(server: dict[str, Any], schema_name: str) -> Iterator[Sql]:
    """Run SQL past both clients; drops the schemas of the test, whose names begin alike."""
    raw = pymysql.connect(
        **{name: server[name] for name in ("host", "port", "user", "password")},
        charset="utf8mb4",
        autocommit=True,
    )

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with raw.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    yield run
    run("SET FOREIGN_KEY_CHECKS = 0, lock_wait_timeout = 20")
    for (name,) in run("SHOW DATABASES"):
        if re.fullmatch(rf"{schema_name}(_\w+)?", name):
            run(f"DROP DATABASE `{name}`")
    raw.close()


@dataclass(frozen=True)
class Pair:
    """One client that makes tables or rows, and the other one, which uses them."""

    maker: Side
    user: Side
    schema_name: str
    sql: Sql

    def run(self, source: str, **values: Any) -> None:
        """Run the same statements on both sides, the maker's first."""
        for side in (self.maker, self.user):
            side.run(source, name=self.schema_name, **values)

    def assert_same(self, expression: str, **values: Any) -> Any:
        """Check that both sides evaluate an expression to the same; give the value."""
        expected = self.maker.text(expression, **values)
        assert self.user.text(expression, **values) == expected, expression
        return self.user.value(expression, **values)


@pytest.fixture(params=["made there", "made here"])
def pair(
    request: pytest.FixtureRequest, incumbent: Incumbent, here: Here, schema_name: str, sql: Sql
) -> Pair:
    """Both clients on one schema, in both roles."""
    if request.param == "made there":
        return Pair(incumbent, here, schema_name, sql)
    return Pair(here, incumbent, schema_name, sql)


@pytest.fixture
def show_create(sql: Sql, schema_name: str) -> Callable[[str], dict[str, str]]:
    """Show how the server describes all tables of a schema.

    The name of the test's schema, to which suffixes may be added, is left out.
    """

    def show(schema: str) -> dict[str, str]:
        statements = {}
        for (table,) in sql(f"SHOW TABLES IN `{schema}`"):
            if table == "~log":  # made when the first event is logged, which tests do not control
                continue
            ((_, text),) = sql(f"SHOW CREATE TABLE `{schema}`.`{table}`")
            text = re.sub(r" AUTO_INCREMENT=\d+", "", text)
            statements[table] = text.replace(schema_name, "SCHEMA")
        return statements

    return show
