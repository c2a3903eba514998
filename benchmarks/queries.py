"""What restricting by many keys and reading many rows costs, on every database.

Run it with ``make benchmark``: on servers of its own, as the tests have them. It prints, for each
database,

- statements and seconds of ``len(table & keys)``, where the table has 100,000 entities and the keys
  are dicts: the median of some runs, and the shortest and the longest one;
- peak memory above what the process had before, and seconds, of iterating over 1,000,000 rows.
"""

from __future__ import annotations

import ast
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import SERVERS, account, shown, started

import datajoint as dj

ROWS, MANY = 100_000, 1_000_000
RUNS = 5


def declare(connection: dj.Connection) -> dict[str, type[dj.Table]]:
    """Declare the tables, one with a single key and one with a composite one, and a large one."""
    schema = dj.Schema("benchmark", connection=connection)

    @schema
    class Single(dj.Manual):
        definition = """
        a : int
        ---
        value : int
        """

    @schema
    class Composite(dj.Manual):
        definition = """
        subject : varchar(16)
        session : int
        ---
        value : int
        """

    @schema
    class Large(dj.Manual):
        definition = """
        n : int
        ---
        x : float
        label : varchar(20)
        day : date
        count=null : int
        """

    return {"single": Single, "composite": Composite, "large": Large}


def fill(tables: dict[str, type[dj.Table]]) -> None:
    """Enter the rows."""
    tables["single"].insert((n, n % 7) for n in range(ROWS))
    tables["composite"].insert((f"s{n % 300:04d}", n // 300, n % 7) for n in range(ROWS))
    tables["large"].insert(
        (n, n / 7, f"label {n}", "2020-01-01", None if n % 3 else n) for n in range(MANY)
    )


def restriction(name: str, tables: dict[str, type[dj.Table]]) -> None:
    """Time restrictions by more and more keys."""
    for kind in ("single", "composite"):
        table = tables[kind]
        keys = table.fetch("KEY")
        random.Random(0).shuffle(keys)
        statements: list[Any] = []
        connection = table.connection
        rows = connection.rows
        connection.rows = lambda sql, rows=rows, sent=statements: sent.append(sql) or rows(sql)
        for number in (1_000, 10_000, 100_000):
            seconds = []
            statements.clear()
            for _ in range(RUNS):
                start = time.perf_counter()
                assert len(table & keys[:number]) == number
                seconds.append(time.perf_counter() - start)
            print(
                f"{name:10}  {kind:9}  {number:>7,} keys  {len(statements) // RUNS} statement  "
                f"{shown(seconds, 3, 's')}",
                flush=True,
            )
        connection.rows = rows


def streaming(name: str, options: dict[str, Any]) -> None:
    """Measure the iteration over many rows, in a process that does nothing else."""
    command = [sys.executable, __file__, repr(options)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    memory, seconds = output.split()
    print(f"{name:10}  {MANY:,} rows streamed  {memory} MB above the base  {seconds} s", flush=True)


def stream(options: dict[str, Any]) -> None:
    """Iterate over the large table; print the memory that it took, and the time."""
    table = declare(dj.Connection(**options))["large"]
    assert len(table) == MANY
    for _ in table & "n < 10":  # whatever is loaded when it is first needed
        pass
    base, start = peak(), time.perf_counter()
    assert sum(1 for _ in table()) == MANY
    print(f"{peak() - base:.0f} {time.perf_counter() - start:.1f}")


def peak() -> float:
    """Tell the most memory that the process had, in MB; on Linux, ru_maxrss has the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def measure(name: str, options: dict[str, Any]) -> None:
    """Measure one database."""
    with dj.config(loglevel="WARNING"):
        connection = dj.Connection(**options)
        tables = declare(connection)
        fill(tables)
        restriction(name, tables)
        streaming(name, options)
        connection.close()


def main() -> None:
    """Measure every database that can be had here."""
    with tempfile.TemporaryDirectory() as folder:
        measure("sqlite", {"backend": "sqlite", "path": str(Path(folder) / "benchmark.db")})
    for name, kind in SERVERS.items():
        with started(kind()) as server:
            if server is not None:
                measure(name, {"backend": name, **account(server)})


if __name__ == "__main__":
    if len(sys.argv) == 2:
        dj.config["loglevel"] = "WARNING"
        stream(ast.literal_eval(sys.argv[1]))
    else:
        main()
