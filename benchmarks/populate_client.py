"""Populates one table, and tells how long it took; the same program for all clients.

Run by ``populate.py`` with the Python of a client. Prints the seconds, and how many statements the
server counted meanwhile, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import datajoint as dj

schema = dj.Schema()


@schema
class Item(dj.Manual):
    """The key source."""

    definition = "item : int"


@schema
class Empty(dj.Computed):
    """What costs nothing to compute."""

    definition = "-> Item"

    def make(self, key: dict[str, Any]) -> None:
        self.insert1(key)


@schema
class Busy(dj.Computed):
    """What keeps a processor busy."""

    definition = "-> Item"

    def make(self, key: dict[str, Any], loops: int) -> None:
        spin(loops)
        self.insert1(key)


def spin(loops: int) -> int:
    """Compute for a while."""
    return sum(number * number % 7 for number in range(loops))


@contextlib.contextmanager
def pool(name: str | None) -> Iterator[dict[str, Any]]:
    """Start a Dask cluster of two workers, if it is asked for."""
    if name is None:
        yield {}
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield {"executor": client.get_executor()}


def questions(counted: bool) -> int:
    """Ask MariaDB how many statements it has had from everybody."""
    if not counted:
        return 0
    rows = dj.conn().query("SHOW GLOBAL STATUS LIKE 'Questions'").fetchall()
    return int(rows[0][1])


def main() -> None:
    """Populate as the arguments say."""
    given = json.loads(sys.argv[1])
    for name, value in given["settings"].items():
        dj.config[name] = value
    dj.logger.setLevel("ERROR")
    schema.activate(given["schema"])
    Item.insert([(number,) for number in range(given["keys"])])
    table = {"empty": Empty, "busy": Busy}[given["make"]]
    len(table())
    with pool(given["pool"]) as executor:
        before, start = questions(given["counted"]), time.perf_counter()
        result = table.populate(**given["options"], **executor)
        seconds = time.perf_counter() - start
        statements = questions(given["counted"]) - before - 1
    assert result["success_count"] == len(table()) == given["keys"], result
    print(json.dumps({"seconds": seconds, "statements": statements}))


if __name__ == "__main__":
    import populate_client  # so that workers find the classes in a module

    populate_client.main()
