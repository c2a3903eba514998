"""Processes that populate one SQLite file side by side: `make soak-populate` runs them long."""

import os
from contextlib import nullcontext

import pytest

import datajoint as dj
import populate_soak

SECONDS = float(os.environ.get("DJ_TEST_SECONDS", "3"))


def test_processes_that_populate_insert_and_read(target, tmp_path, backend, schema_name, capsys):
    """All of them begin with a file that does not exist, and some are killed."""
    if backend != "sqlite":
        pytest.skip("it is about locks of a file")
    options = target.options(tmp_path)
    kills = max(3, int(SECONDS / 5))
    counts = populate_soak.run(options, schema_name, SECONDS, kills=kills)
    with capsys.disabled() if SECONDS > 3 else nullcontext():
        print(f"\n{dict(counts)}")
    with dj.config(safemode=False):
        connection = dj.Connection(**options)
        populate_soak.check(dj.Schema(schema_name, connection=connection))
        connection.close()
    assert counts["keys made"] > 0
