"""The university database, filled once for each backend and only read by tests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import datajoint as dj

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
