"""What ``populate`` costs for each key, beside DataJoint 0.14 and 2.3, and how it scales.

Run it with ``make benchmark-populate``: on servers of its own, as the tests have them. Each run is
a process of its own with a new schema; the clients take turns. It prints

- the milliseconds for each of 1,000 keys of a ``make`` that only inserts its key, with and without
  reservations, by 1 and 4 processes: the median of some runs, the shortest and the longest one;
- how many statements the server gets for each key, all processes together;
- the seconds that it takes to start and end 4 processes, which populate does once;
- the seconds for 240 keys of a ``make`` that computes for 50 ms in Python, by 1, 2 and 4 processes
  and by a Dask cluster of two workers, and how many times as fast as one process that is.

Starting worker processes is part of the time; starting the Dask cluster is not. The other clients
take part if they are installed as the Makefile does it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common import databases, shown
from populate_client import spin

import datajoint as dj
from behaviour.test_statements import COUNTERS

KEYS, BUSY_KEYS, BUSY_SECONDS = 1000, 240, 0.05
EMPTY_PROCESSES, BUSY_PROCESSES = (1, 4), (1, 2, 4)
RUNS, BUSY_RUNS = 5, 3
#: Seconds after which a client is stuck, as processes that were forked may be, and how often.
PATIENCE, TRIES = 120.0, 3
CLIENT = Path(__file__).with_name("populate_client.py")
#: The folders of their environments beside this one.
OTHERS = {"0.14.10 mysql": "incumbent", "2.3.5 mysql": "incumbent2"}

Side = tuple[str, dict[str, Any]]  # its Python, and how it connects


def find_sides(options: dict[str, dict[str, Any]]) -> dict[str, Side]:
    """Give all clients with all databases."""
    sides = {name: (sys.executable, given) for name, given in options.items()}
    for name, folder in OTHERS.items():
        python = Path(sys.prefix, folder, "bin", "python")
        if not python.exists():
            print(f"{name} is left out: there is no {python}")
        elif "mysql" in options:
            account = {part: each for part, each in options["mysql"].items() if part != "backend"}
            sides[name] = (str(python), {**account, "use_tls": False})
    return sides


_numbers = iter(range(10**6))


def run(side: Side, **given: Any) -> dict[str, float]:
    """Populate once, into a new schema."""
    python, options = side
    settings = {f"database.{name}": value for name, value in options.items()}
    request = {
        "schema": f"benchmark{next(_numbers)}",
        "settings": {**settings, "loglevel": "ERROR", "safemode": False},
        "pool": None,
        "counted": False,
        **given,
    }
    command = [python, "-W", "ignore", str(CLIENT), json.dumps(request)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if python != sys.executable:  # which has a package of the same name
        environment.pop("PYTHONPATH", None)
    for _ in range(TRIES):
        client = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            output, errors = client.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(client.pid, signal.SIGKILL)
            client.communicate()
            print(f"{python} was stuck for {PATIENCE:g} s with {given}: once more", flush=True)
            request["schema"] = f"benchmark{next(_numbers)}"
            command[-1] = json.dumps(request)
            continue
        if client.returncode:
            # The last line alone: what other clients raise would show their source.
            raise RuntimeError(f"{command}: {errors.splitlines()[-1:]}")
        result: dict[str, float] = json.loads(output.splitlines()[-1])
        return result
    raise RuntimeError(f"{command}: stuck {TRIES} times")


def name_processes(number: int) -> str:
    """Name what is done by some processes."""
    return f"{number} process{'es' * (number > 1)}"


def of_processes(number: int) -> dict[str, Any]:
    """Give the argument of ``populate``, which not all that are measured have."""
    return {"processes": number} if number > 1 else {}


def measure_keys(sides: dict[str, Side]) -> None:
    """Let all take turns with a ``make`` that does nothing, and print what a key took."""
    ways: dict[str, dict[str, Any]] = {
        name_processes(processes) + ", reserved" * reserved: {
            "reserve_jobs": reserved,
            **of_processes(processes),
        }
        for reserved in (False, True)
        for processes in EMPTY_PROCESSES
    }
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    sent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(RUNS):
        for way, options in ways.items():
            for name, side in sides.items():
                counted = "mysql" in name
                result = run(side, make="empty", keys=KEYS, options=options, counted=counted)
                taken[way, name].append(1000 * result["seconds"] / KEYS)
                if counted:
                    sent[way, name].append(result["statements"] / KEYS)
    for (way, name), times in taken.items():
        line = f"{way:22}  {name:13}  {shown(times, 2, 'ms')}"
        if (way, name) in sent:
            line += f"  {statistics.median(sent[way, name]):.2f} statements"
        print(line, flush=True)


def measure_start(sides: dict[str, Side]) -> None:
    """Let all take turns with as many keys as processes, and print what starting these takes."""
    number = max(EMPTY_PROCESSES)
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(RUNS):
        for name, side in sides.items():
            result = run(side, make="empty", keys=number, options=of_processes(number))
            taken[name].append(result["seconds"])
    for name, times in taken.items():
        print(f"start of {name_processes(number)}  {name:13}  {shown(times, 2, 's')}", flush=True)


def count_statements(name: str, options: dict[str, Any], server: Any) -> None:
    """Print how many statements a key takes in one process."""
    connection = dj.Connection(**options)
    schema = dj.Schema("statements", connection=connection)

    @schema
    class Item(dj.Manual):
        definition = "item : int"

    @schema
    class Empty(dj.Computed):
        definition = "-> Item"

        def make(self, key: dict[str, Any]) -> None:
            self.insert1(key)

    Item.insert((number,) for number in range(KEYS))
    for reserved in (False, True):
        len(Empty())
        with COUNTERS[name](connection, SimpleNamespace(server=server)) as statements:
            Empty.populate(reserve_jobs=reserved)
            count = len(statements())
        Empty.delete(safemode=False)
        way = f"1 process{', reserved' * reserved}"
        print(f"{way:22}  {name:13}  {count / KEYS:.2f} statements", flush=True)
    connection.close()


def measure_scaling(sides: dict[str, Side]) -> None:
    """Let all take turns with a ``make`` that computes, and print how more processes help."""
    ways = {name_processes(number): of_processes(number) for number in BUSY_PROCESSES}
    if importlib.util.find_spec("distributed"):
        ways["dask, 2 workers"] = {}
    loops = calibrate()
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(BUSY_RUNS):
        for way, options in ways.items():
            for name, side in sides.items():
                pool = "dask" if way.startswith("dask") else None
                if pool and name in OTHERS:
                    continue
                options = {**options, "make_kwargs": {"loops": loops}}
                result = run(side, make="busy", keys=BUSY_KEYS, options=options, pool=pool)
                taken[name, way].append(result["seconds"])
    for (name, way), seconds in sorted(taken.items()):
        ratio = statistics.median(taken[name, "1 process"]) / statistics.median(seconds)
        print(f"{name:13}  {way:15}  {shown(seconds, 2, 's')}  {ratio:.2f} times as fast as 1")


def calibrate() -> int:
    """Find how many loops take the time that a busy ``make`` shall take."""
    loops, seconds = 10_000, 0.0
    while seconds < BUSY_SECONDS:
        loops = int(loops * 1.1)
        start = time.perf_counter()
        spin(loops)
        seconds = time.perf_counter() - start
    return loops


def main() -> None:
    """Measure all that can be had here."""
    dj.config["loglevel"] = "WARNING"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers: dict[str, Any] = {}
        options = databases(Path(folder), stack, servers)
        sides = find_sides(options)
        print(f"{os.cpu_count()} processors; {KEYS} keys of an empty make: milliseconds for each")
        measure_keys(sides)
        measure_start(sides)
        for name, given in options.items():
            if name != "mysql":
                count_statements(name, given, servers.get(name))
        print(f"{BUSY_KEYS} keys that take {1000 * BUSY_SECONDS:.0f} ms each")
        measure_scaling(sides)


if __name__ == "__main__":
    main()
