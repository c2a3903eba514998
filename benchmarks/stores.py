"""What inserting and fetching many small objects of stores costs, beside DataJoint 0.14.

Run it with ``make benchmark-stores``: on servers of its own, as the tests have them. Each client
inserts 800 objects of 10 KB, random bytes of type ``blob@store``, by one call, and fetches them by
one, in a folder and in a bucket of ``rclone serve s3``, on the same servers, turn by turn. The
bucket is used directly, and as if it were 20 ms away. It prints the median of some runs, the
shortest and the longest one, and how many times as fast as 0.14 it is.

0.14 takes part if it is installed as ``make interop`` does; ``DJ_TEST_INCUMBENT`` names its Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import databases, shown, started  # first: it makes the tests importable

import datajoint as dj
from interop.sides import Here, Incumbent, Side
from servers import S3Server

OBJECTS, SIZE = 800, 10_240
RUNS = 5
INCUMBENT = "0.14 mysql"
#: Seconds that each way to the distant server takes.
DELAY = 0.01

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
        line = f"{store:11}  {action:6}  {name:10}  {shown(all_seconds, 3, 's')}"
        theirs = taken.get((store, action, INCUMBENT))
        if theirs and name != INCUMBENT:
            line += f"  {statistics.median(theirs) / median:.1f} times as fast as 0.14"
        print(line, flush=True)


# -- servers --------------------------------------------------------------------------------------


async def delay(host: str, port: int) -> None:
    """Stand between clients and a server as a long way does, in a process of its own."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        later = asyncio.get_running_loop().call_later
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                later(DELAY, writer.write, data)
        later(DELAY, writer.close)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(host, port)
        await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def distant(server: S3Server) -> Iterator[str]:
    """Give the endpoint of a server as if it were far away."""
    command = [sys.executable, __file__, server.host, str(server.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def open_sides(folder: Path, stack: contextlib.ExitStack) -> dict[str, Side]:
    """Connect all clients with all databases."""
    sides: dict[str, Side] = {}
    options = databases(folder, stack)
    for name, given in options.items():
        connection = dj.Connection(**given)
        stack.callback(connection.close)
        sides[name] = Here(connection)
    given = os.environ.get("DJ_TEST_INCUMBENT")
    python = Path(given or Path(sys.prefix, "incumbent", "bin", "python"))
    if "mysql" in options and python.exists():
        account = {name: text for name, text in options["mysql"].items() if name != "backend"}
        incumbent = Incumbent(str(python), folder / "log", **account)
        stack.callback(incumbent.stop)
        sides[INCUMBENT] = incumbent
    return sides


def open_stores(folder: Path, stack: contextlib.ExitStack) -> dict[str, dict[str, Any]]:
    """Make a folder, and buckets near and far."""
    (folder / "objects").mkdir()
    stores = {"file": {"protocol": "file", "location": str(folder / "objects")}}
    server = stack.enter_context(started(S3Server()))
    if server is not None:
        server.make_bucket("bucket")
        stores["s3"] = {
            "protocol": "s3",
            "endpoint": server.endpoint,
            "bucket": "bucket",
            "location": "lab",
            "access_key": server.user,
            "secret_key": server.password,
        }
        endpoint = stack.enter_context(distant(server))
        stores["s3 far away"] = {**stores["s3"], "endpoint": endpoint}
    return stores


def main() -> None:
    """Measure all that can be had here."""
    dj.config["loglevel"] = "WARNING"
    dj.config["safemode"] = False
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stores = open_stores(Path(folder), stack)
        measure(open_sides(Path(folder), stack), stores)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(delay(sys.argv[1], int(sys.argv[2])))
    else:
        main()
