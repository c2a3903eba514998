"""Populate while workers, the server, the network and the disk fail; ``make faults`` goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import datajoint as dj
from servers import Server

from . import scenarios
from .scenarios import SHORT, Figures

Try = Callable[..., Figures]


@pytest.fixture
def attempt(
    request: pytest.FixtureRequest, backend: str, target: Any, tmp_path: Path, schema_name: str
) -> Try:
    """Try a scenario, on the server that tests share unless another is given."""

    def run(
        scenario: scenarios.Scenario, server: Server | None = None, workers: int = 2
    ) -> Figures:
        if scenario in scenarios.OF_SERVERS and not target.shared:
            pytest.skip("a file has no server")
        if reason := scenarios.unavailable(scenario):
            pytest.skip(reason)
        if server is None:
            request.getfixturevalue("connection")  # which drops the schema
            options = target.options(tmp_path)
        else:
            options = {"backend": backend, **scenarios.account(server)}
        return scenario(
            scale=replace(SHORT, workers=workers),
            options=options,
            schema=schema_name,
            folder=tmp_path,
            server=server,
        )

    return run


@pytest.fixture
def own_server(target: Any) -> Iterator[Server | None]:
    """A server that can be killed without disturbing other tests."""
    if not target.shared:
        yield None
        return
    server: Server = type(target.server)()
    server.start()
    yield server
    server.stop()


def assert_nothing_wrong(figures: Figures) -> None:
    assert figures.wrong == {}
    assert figures.faults > 0


def test_killed_workers(attempt):
    assert_nothing_wrong(attempt(scenarios.workers_killed, workers=3))


def test_killed_server(attempt, own_server):
    assert_nothing_wrong(attempt(scenarios.server_killed, own_server))


def test_cut_network(attempt):
    assert_nothing_wrong(attempt(scenarios.network_cut))


def test_full_disk(attempt):
    assert_nothing_wrong(attempt(scenarios.disk_full))


def test_frozen_worker(attempt):
    assert_nothing_wrong(attempt(scenarios.worker_frozen))


def test_what_is_wrong_is_counted(schema, tmp_path):
    """A verifier that finds nothing is right only if it finds what is there."""
    folder = tmp_path / "store"
    folder.mkdir()
    store = {"protocol": "file", "location": str(folder)}
    dj.config["stores"] = {scenarios.pipeline.STORE: store}
    tables = scenarios.pipeline.declare(schema)
    keys = [{"item": item} for item in range(6)]
    tables.Item.insert({**key, "value": scenarios.pipeline.value(key["item"])} for key in keys)
    tables.Result.populate(make_kwargs={"pause": (0, 0, 0), "halt": None})
    assert scenarios.verify(schema, tables, 6, 1, 1.0, []).wrong == {}

    (tables.Result & keys[0]).delete()
    twice = (tables.Attempt & keys[1]).fetch1()
    tables.Attempt.insert1({**twice, "attempt": "00000000-0000-0000-0000-000000000001"})
    (tables.Result.Piece & keys[2] & "piece = 1").delete(force=True)
    tables.Result.update1({**keys[3], "total": 0})
    tables.Result.update1({**keys[4], "movie": [1, 2]})
    schema.jobs.reserve(tables.Result.table_name, keys[0])
    (folder / schema.database / "00").mkdir()
    (folder / schema.database / "00" / "stray").touch()
    (folder / schema.database / "00" / "stray.0123abcd.part").touch()
    wrong = scenarios.verify(schema, tables, 6, 1, 1.0, ["ended with 1: …"]).wrong
    assert wrong == {
        "lost": 1,
        "duplicated": 1,
        "partial": 3,
        "stale": 1,
        # the stray one; and what keys 0, 2 and 4 had: in the store and in the tracking table
        "orphans": 1 + 2 * (3 + 1 + 1),
        "failures": ["ended with 1: …"],
    }
