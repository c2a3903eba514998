"""What the benchmarks share: servers of their own, and how times are shown."""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers import MariaDBServer, PostgreSQLServer, Server

SERVERS: dict[str, type[Server]] = {"mysql": MariaDBServer, "postgresql": PostgreSQLServer}


@contextlib.contextmanager
def started(server: Any) -> Iterator[Any]:
    """Run a server; gives None where it is not installed."""
    reason = server.unavailable()
    if reason is not None:
        print(f"{server.name} is left out: {reason}")
        yield None
        return
    server.start()
    try:
        yield server
    finally:
        server.stop()


def account(server: Any) -> dict[str, Any]:
    """Give the options of connections to a server."""
    return {part: getattr(server, part) for part in ("host", "port", "user", "password")}


def databases(
    folder: Path, stack: contextlib.ExitStack, servers: dict[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Start what can be had here; give the options of connections to each, and its server."""
    options: dict[str, dict[str, Any]] = {
        "sqlite": {"backend": "sqlite", "path": str(folder / "benchmark.db")}
    }
    for name, kind in SERVERS.items():
        server = stack.enter_context(started(kind()))
        if server is not None:
            options[name] = {"backend": name, **account(server)}
            if servers is not None:
                servers[name] = server
    return options


def shown(values: Sequence[float], digits: int, unit: str) -> str:
    """Write the median of some values, the least and the greatest one."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:7.{digits}f} {unit} ({least:.{digits}f} to {most:.{digits}f})"
