"""The university database, filled once for each backend and only read by tests."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import datajoint as dj
from servers import Server

from . import university


@pytest.fixture(scope="session")
def shared_university(session_connection: dj.Connection) -> SimpleNamespace:
    tables = university.declare(dj.Schema("djtest_university", connection=session_connection))
    university.populate(tables, university.generate())
    return tables


@pytest.fixture
def uni(shared_university: SimpleNamespace) -> SimpleNamespace:
    """The tables of the university; not to be changed."""
    return shared_university


@pytest.fixture(scope="session")
def data() -> university.University:
    """What the tables of the university have in them, as plain Python."""
    return university.generate()


class SpareServer:
    """A server that tests may break, restart and change, and connections to it."""

    def __init__(self, backend: str, server: Server) -> None:
        self.backend = backend
        self.server = server

    def connect(self, **options: Any) -> dj.Connection:
        """Connect as the superuser, unless the options say otherwise; the caller closes."""
        given = {name: getattr(self.server, name) for name in ("host", "port", "user", "password")}
        return dj.Connection(backend=self.backend, **{**given, **options})


@pytest.fixture(scope="session")
def spare_server(backend: str, target: Any) -> Iterator[SpareServer]:
    """A server besides the one that tests share; a test leaves it running."""
    server = type(target.server)()
    server.start()
    yield SpareServer(backend, server)
    server.stop()
