"""All faults on all databases, as a table: ``make faults``.

``ARGS="--keys 100 --only worker_frozen --backend sqlite --parallel 1"`` does less. What is wrong is
told below the table, and makes the program fail. Since a ``make`` here mostly waits, some scenarios
run side by side, each on a server of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import datajoint as dj
from servers import MariaDBServer, PostgreSQLServer, Server

from . import scenarios
from .scenarios import SCENARIOS, Figures, Scale, Scenario

SERVERS: dict[str, type[Server] | None] = {
    "sqlite": None,
    "mysql": MariaDBServer,
    "postgresql": PostgreSQLServer,
}
COUNTS = ("faults", "keys", "lost", "duplicated", "partial", "stale", "orphans")


def attempt(scenario: Scenario, backend: str, scale: Scale) -> Figures:
    """Try a scenario on a database of its own."""
    dj.config["loglevel"] = "ERROR"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kind = SERVERS[backend]
        server = None if kind is None else kind()
        options: dict[str, Any] = {"backend": backend, "path": str(folder / "faults.db")}
        if server is not None:
            stack.callback(server.stop)
            server.start()
            options = {"backend": backend, **scenarios.account(server)}
        return scenario(scale=scale, options=options, schema="faults", folder=folder, server=server)


def why_not(scenario: Scenario, backend: str) -> str | None:
    """Say why a scenario cannot be had here; None if it can."""
    kind = SERVERS[backend]
    if kind is None:
        return (
            "a file has no server"
            if scenario in scenarios.OF_SERVERS
            else (scenarios.unavailable(scenario))
        )
    return kind.unavailable() or scenarios.unavailable(scenario)


def is_missing(backend: str) -> bool:
    """Tell whether a database cannot be had that ``DJ_TEST_REQUIRE`` names."""
    kind = SERVERS[backend]
    required = os.environ.get("DJ_TEST_REQUIRE", "").split(",")
    return backend in required and kind is not None and kind.unavailable() is not None


def line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="faults.table")
    parser.add_argument("--keys", type=int, default=Scale.keys)
    parser.add_argument("--seed", type=int, help="repeats which workers are hit")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", choices=[each.__name__ for each in SCENARIOS])
    parser.add_argument("--backend", nargs="*", choices=list(SERVERS))
    given = parser.parse_args()
    scale = Scale(keys=given.keys)
    if given.seed is not None:
        scale = dataclasses.replace(scale, seed=given.seed)
    print(f"seed {scale.seed}, {scale.workers} workers", flush=True)
    print(line("scenario", "database", *COUNTS, "seconds"))
    print(line(*["---"] * (len(COUNTS) + 3)), flush=True)
    wanted = [
        (scenario, backend)
        for scenario in SCENARIOS
        for backend in given.backend or SERVERS
        if not given.only or scenario.__name__ in given.only
    ]
    failures: list[str] = []
    # Processes, since each trial has settings of its own.
    with ProcessPoolExecutor(given.parallel, multiprocessing.get_context("spawn")) as pool:
        trials: list[tuple[Scenario, str, str | Future[Figures]]] = [
            (
                scenario,
                backend,
                why_not(scenario, backend) or pool.submit(attempt, scenario, backend, scale),
            )
            for scenario, backend in wanted
        ]
        for scenario, backend, trial in trials:
            name = scenario.__name__.replace("_", " ")
            if isinstance(trial, str):
                print(line(name, backend, f"none: {trial}"), flush=True)
                failures += [f"{backend} is required: {trial}"] * is_missing(backend)
                continue
            figures = trial.result()
            counts = dataclasses.asdict(figures)
            print(
                line(name, backend, *(counts[each] for each in COUNTS), f"{figures.seconds:.0f}"),
                flush=True,
            )
            failures += [f"{name}, {backend}: {figures.wrong}"] * bool(figures.wrong)
            failures += [f"{name}, {backend}: {text}" for text in figures.failures]
    print("\n" + "\n\n".join(failures) if failures else "\nnothing is wrong")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
