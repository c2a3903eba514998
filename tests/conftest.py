"""Fixtures of the whole suite: the databases, a connection to each, and isolation.

A database is one entry of ``TARGETS``. Every test that takes ``backend``, ``connection`` or a
fixture built on them runs once for each entry; adding an entry adds a database and no test.

``DJ_TEST_REQUIRE=sqlite,mariadb,s3`` makes a required database, or the store ``s3``, that is not
available fail instead of skip. The summary names in one line what was skipped.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import datajoint as dj
from servers import MariaDBServer, PostgreSQLServer, S3Server, Server

# The suite tries the same examples everywhere; searching for new ones is a command of its own:
# pytest --hypothesis-profile=search
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("suite")

KEPT_VARIABLES = ("DJ_TEST_",)


class Target:
    """A database that the suite runs on."""

    name: str
    #: Whether tests share one server, so that each must drop its schemas.
    shared = True

    def unavailable(self) -> str | None:
        """Say why the database cannot be used here; None when it can."""
        raise NotImplementedError

    def options(self, folder: Path) -> dict[str, Any]:
        """Give the options of ``dj.Connection`` for a test whose private folder is `folder`.

        The same folder gives the same database.
        """
        raise NotImplementedError

    def drop(self, connection: dj.Connection, schemas: Iterable[str]) -> None:
        """Drop schemas with all that they contain, quickly; only where tests share a server."""

    def stop(self) -> None:
        """Stop what was started for the suite, if anything."""


class SqliteTarget(Target):
    """One file for each test."""

    name = "sqlite"
    shared = False

    def unavailable(self) -> str | None:
        return None if importlib.util.find_spec("apsw") else "apsw is not installed"

    def options(self, folder: Path) -> dict[str, Any]:
        return {"backend": "sqlite", "path": str(folder / "test.db")}


class ServerTarget(Target):
    """A private server, started when the first test asks for it."""

    driver: str

    def __init__(self, server: Server) -> None:
        self.server = server
        self._started = False

    def drop_statements(self, schemas: list[str]) -> list[str]:
        """Write what drops schemas (quoted) with all that they contain, in whatever order."""
        raise NotImplementedError

    def unavailable(self) -> str | None:
        if not importlib.util.find_spec(self.driver):
            return f"{self.driver} is not installed"
        return self.server.unavailable()

    def options(self, folder: Path) -> dict[str, Any]:
        if not self._started:
            self.server.start()
            self._started = True
        server = self.server
        return {
            "backend": self.name,
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
        }

    def drop(self, connection: dj.Connection, schemas: Iterable[str]) -> None:
        for statement in self.drop_statements(list(map(connection.dialect.quote, schemas))):
            connection.query(statement)

    def stop(self) -> None:
        if self._started:
            self.server.stop()


class MySQLTarget(ServerTarget):
    name = "mysql"
    driver = "pymysql"

    def drop_statements(self, schemas: list[str]) -> list[str]:
        drops = [f"DROP DATABASE {schema}" for schema in schemas]
        return ["SET foreign_key_checks = 0", *drops, "SET foreign_key_checks = 1"]


class PostgreSQLTarget(ServerTarget):
    name = "postgresql"
    driver = "psycopg"

    def drop_statements(self, schemas: list[str]) -> list[str]:
        return [f"DROP SCHEMA {schema} CASCADE" for schema in schemas]


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        SqliteTarget(),
        MySQLTarget(MariaDBServer()),
        PostgreSQLTarget(PostgreSQLServer()),
    )
}

S3 = S3Server()

_REASONS = pytest.StashKey[dict[str, str]]()
_numbers = itertools.count(1)


def required_backends() -> set[str]:
    """Name what ``DJ_TEST_REQUIRE`` lists."""
    return {name.strip() for name in os.environ.get("DJ_TEST_REQUIRE", "").split(",")} - {""}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REASONS] = {}
    # A shell lets what it runs in the background ignore Ctrl-C, and what that starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reasons = config.stash[_REASONS]
    if reasons:
        listed = ", ".join(f"{name} ({reason})" for name, reason in sorted(reasons.items()))
        terminalreporter.write_line(f"Skipped: {listed}", yellow=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    for target in TARGETS.values():
        target.stop()
    S3.stop()


def _require(name: str, reason: str | None, config: pytest.Config) -> None:
    """Skip the test if there is a reason; fail if what is missing is required."""
    if reason is None:
        return
    if name in required_backends():
        pytest.fail(f"{name} is required by DJ_TEST_REQUIRE: {reason}", pytrace=False)
    config.stash[_REASONS][name] = reason
    pytest.skip(f"{name}: {reason}")


# -- isolation --------------------------------------------------------------------------------


def _forget_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DJ_") and not name.startswith(KEPT_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _session_isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's environment, home and working directory out of session fixtures."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _forget_environment(monkeypatch)
        home = tmp_path_factory.mktemp("home")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(home)
        dj.config.reset()
        yield
    dj.config.reset()


@pytest.fixture(autouse=True)
def _isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test in a folder of its own, without settings of the user or of other tests."""
    _forget_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    dj.config.reset()
    yield
    dj.config.reset()


# -- databases --------------------------------------------------------------------------------


@pytest.fixture(scope="session", params=list(TARGETS))
def backend(request: pytest.FixtureRequest) -> str:
    """Name the database; the test runs once for each."""
    name: str = request.param
    _require(name, TARGETS[name].unavailable(), request.config)
    return name


@pytest.fixture(scope="session")
def target(backend: str) -> Target:
    """The database; a module that imports ``TARGETS`` gets others, which are not started."""
    return TARGETS[backend]


@pytest.fixture
def connect(backend: str, tmp_path: Path) -> Iterator[Callable[[], dj.Connection]]:
    """Open connections to the test's database; all of them are closed after the test."""
    opened: list[dj.Connection] = []

    def open_connection() -> dj.Connection:
        opened.append(dj.Connection(**TARGETS[backend].options(tmp_path)))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(backend: str, connect: Callable[[], dj.Connection]) -> Iterator[dj.Connection]:
    """Connect to an empty database, with ``safemode`` off and little patience for locks."""
    with dj.config(safemode=False, database__timeout=2.0):
        connection = connect()
        before = set(connection.list_schemas()) if TARGETS[backend].shared else set()
        yield connection
        if TARGETS[backend].shared:
            TARGETS[backend].drop(connection, set(connection.list_schemas()) - before)


@pytest.fixture
def differs(backend: str, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Mark what a database does in a way of its own: ``differs(sqlite="the reason")``.

    The test must fail there, so that a difference which goes away is noticed.
    """

    def mark(**reasons: str) -> None:
        if backend in reasons:
            reason = f"{backend}: {reasons[backend]}"
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    return mark


@pytest.fixture
def schema_name() -> str:
    """Name a schema that no other test has."""
    return f"djtest_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def make_schema(connection: dj.Connection, schema_name: str) -> Callable[..., dj.Schema]:
    """Make schemas on the test's connection: ``make_schema()``, ``make_schema('other')``."""

    def make(suffix: str = "", **options: Any) -> dj.Schema:
        name = f"{schema_name}_{suffix}" if suffix else schema_name
        return dj.Schema(name, connection=connection, **options)

    return make


@pytest.fixture
def schema(make_schema: Callable[..., dj.Schema]) -> dj.Schema:
    """One empty schema."""
    return make_schema()


@pytest.fixture(scope="session")
def session_connection(
    backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dj.Connection]:
    """Connect to a database that read-only tests share."""
    folder = tmp_path_factory.mktemp(f"shared_{backend}")
    connection = dj.Connection(**TARGETS[backend].options(folder))
    before = set(connection.list_schemas())
    yield connection
    if TARGETS[backend].shared:
        TARGETS[backend].drop(connection, set(connection.list_schemas()) - before)
    connection.close()


# -- stores -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """A private server that speaks S3, with the bucket ``bucket``."""
    missing = None if importlib.util.find_spec("obstore") else "obstore is not installed"
    _require("s3", missing or S3.unavailable(), request.config)
    if S3._folder is None:
        S3.start()
        S3.make_bucket("bucket")
    return S3


@pytest.fixture(params=["file", "memory", "s3"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """An entry of ``dj.config['stores']`` whose location is empty; the test runs once for each."""
    name = f"djtest_{os.getpid()}_{next(_numbers)}"
    if request.param == "file":
        location = tmp_path / "objects"
        location.mkdir()
        return {"protocol": "file", "location": str(location)}
    if request.param == "memory":
        return {"protocol": "memory", "location": f"/{name}"}
    server: S3Server = request.getfixturevalue("s3_server")
    return {
        "protocol": "s3",
        "endpoint": server.endpoint,
        "bucket": "bucket",
        "location": f"lab/{name}",
        "access_key": server.user,
        "secret_key": server.password,
    }


@pytest.fixture
def stores(store_settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Configure one store, called ``store``, with a folder as its stage."""
    stage = tmp_path / "stage"
    stage.mkdir()
    dj.config["stores"] = {"store": {**store_settings, "stage": str(stage)}}
    entries: dict[str, Any] = dj.config["stores"]
    return entries
