"""What inserting and fetching many small objects of stores costs, beside DataJoint 0.14.

Run it with ``make benchmark-stores``: on servers of its own, as the tests have them. Each client
inserts 800 objects of 10 KB, random bytes of type ``blob@store``, by one call, and fetches them by
one, in a folder and in a bucket of ``rclone serve s3``, on the same servers, turn by turn. The
bucket is used directly, and as if it were 20 ms away. It prints the median of some runs, the
shortest and the longest one, and how many times as fast as 0.14 it is.

0.14 takes part if it is installed as ``make interop`` does; ``DJ_TEST_INCUMBENT`` names its Python.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import datajoint as dj
from interop.sides import Here, Incumbent, Side
from servers import MariaDBServer, PostgreSQLServer, S3Server

OBJECTS, SIZE = 800, 10_240
RUNS = 5

DEFINE = """
import time
import numpy as np

lab = schema(name)

@lab
class Item(dj.Manual):
    definition = '''
    item : int
    ---
    movie : blob@store
    '''

def inserting(seed):
    movies = np.random.default_rng(seed).integers(256, size=(objects, size), dtype='uint8')
    rows = [(number, movie) for number, movie in enumerate(movies)]
    start = time.perf_counter()
    Item.insert(rows)
    return time.perf_counter() - start

def fetching():
    start = time.perf_counter()
    movies = Item.fetch('movie')
    seconds = time.perf_counter() - start
    assert len(movies) == objects and movies[0].nbytes == size
    return seconds
"""


def run(side: Side, store: dict[str, Any], number: int) -> dict[str, float]:
    """Insert and fetch once, into a new schema."""
    side.run("dj.config['stores'] = stores", stores={"store": store})
    side.run(DEFINE, name=f"benchmark{number}", objects=OBJECTS, size=SIZE)
    seconds = {
        "insert": side.value(f"inserting({number})"),
        "fetch": side.value("fetching()"),
    }
    side.run("lab.drop()")
    return seconds


def measure(sides: dict[str, Side], stores: dict[str, dict[str, Any]]) -> None:
    """Let all take turns, and print what they took."""
    taken: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(RUNS + 1):
        for store, entry in stores.items():
            for name, side in sides.items():
                for action, seconds in run(side, entry, number).items():
                    if number:  # the first time, all is loaded and connected
                        taken[store, action, name].append(seconds)
    for (store, action, name), all_seconds in sorted(taken.items()):
        median = statistics.median(all_seconds)
        line = f"{store:5} {action:7} {name:17} {median:7.3f} s "
        line += f"({min(all_seconds):.3f} to {max(all_seconds):.3f})"
        theirs = taken.get((store, action, "0.14 mysql"))
        if theirs and name != "0.14 mysql":
            line += f"  {statistics.median(theirs) / median:.1f} times as fast as 0.14"
        print(line, flush=True)


def main() -> None:
    """Measure all that can be had here."""
    dj.config["loglevel"] = "WARNING"
    dj.config["safemode"] = False
    started = []
    with tempfile.TemporaryDirectory() as folder:
        sides: dict[str, Side] = {}
        try:
            path = str(Path(folder, "benchmark.db"))
            sides["sqlite"] = Here(dj.Connection(backend="sqlite", path=path))
            for name, server in (("mysql", MariaDBServer()), ("postgresql", PostgreSQLServer())):
                reason = server.unavailable()
                if reason is not None:
                    print(f"{name} is left out: {reason}")
                    continue
                server.start()
                started.append(server)
                parts = ("host", "port", "user", "password")
                account = {part: getattr(server, part) for part in parts}
                sides[name] = Here(dj.Connection(backend=name, **account))
                python = _incumbent()
                if name == "mysql" and python.exists():
                    sides["0.14 mysql"] = Incumbent(str(python), Path(folder, "log"), **account)
            Path(folder, "objects").mkdir()
            stores = {"file": {"protocol": "file", "location": str(Path(folder, "objects"))}}
            s3 = S3Server()
            if (reason := s3.unavailable()) is None:
                s3.start()
                started.append(s3)
                s3.make_bucket("bucket")
                stores["s3"] = {
                    "protocol": "s3",
                    "endpoint": s3.endpoint,
                    "bucket": "bucket",
                    "location": "lab",
                    "access_key": s3.user,
                    "secret_key": s3.password,
                }
            else:
                print(f"s3 is left out: {reason}")
            measure(sides, stores)
        finally:
            for side in sides.values():
                if isinstance(side, Incumbent):
                    side.stop()
                else:
                    side.connection.close()
            for server in started:
                server.stop()


def _incumbent() -> Path:
    given = os.environ.get("DJ_TEST_INCUMBENT")
    return Path(given or Path(sys.prefix, "incumbent", "bin", "python"))


if __name__ == "__main__":
    main()
