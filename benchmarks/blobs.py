"""What packing and unpacking blobs costs, beside DataJoint 0.14.10.

Run it with ``make benchmark-blobs``. Both clients run in processes of their own and take turns;
they get the same values, made from a seed. It prints, for each kind of value and each direction,
the median of the rates, the slowest and the fastest one, and how many times faster this package is.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import datajoint
from datajoint.blob import pack, unpack

SEED = 6
RUNS = 7
DOUBLES = 4_000_000  # 32 MB
ELEMENTS, TIMES = 200, 200


def random_doubles() -> Any:
    """Make 32 MB that do not compress to speak of."""
    return np.random.default_rng(SEED).standard_normal(DOUBLES)


def random_image() -> Any:
    """Make the same with two dimensions, in C order: it is transposed on the way."""
    return random_doubles().reshape(2000, -1)


def compressible_doubles() -> Any:
    """Make 32 MB that compress well: few values, which stay for a while."""
    return np.repeat(np.random.default_rng(SEED).integers(0, 100, DOUBLES // 100) / 10, 100)


def nested() -> Any:
    """Make a dict of 200 elements, as the records of 200 trials could be."""
    rng = random.Random(SEED)
    numbers = np.random.default_rng(SEED)
    start = datetime(2024, 5, 17, 9, 30)
    kinds: list[Callable[[], Any]] = [
        lambda: rng.randrange(10_000),
        rng.random,
        lambda: rng.choice(["left", "right", "no response"]),
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: start + timedelta(seconds=rng.randrange(10_000)),
        lambda: [rng.random() for _ in range(5)],
        lambda: (rng.randrange(640), rng.randrange(480)),
        lambda: numbers.standard_normal(8),
        lambda: numbers.integers(0, 255, (3, 4)),
        lambda: numbers.random(),
        lambda: {"stimulus": f"grating {rng.randrange(16)}", "contrast": rng.random(), "on": True},
        lambda: {"position": [rng.random(), rng.random()], "lick": {"time": 0.1, "side": "left"}},
    ]
    return {f"trial {i}": kinds[i % len(kinds)]() for i in range(ELEMENTS)}


#: What is measured: the value, and how many times it is packed.
VALUES: dict[str, tuple[Callable[[], Any], int]] = {
    "random doubles": (random_doubles, 1),
    "random doubles, 2-D": (random_image, 1),
    "compressible doubles": (compressible_doubles, 1),
    f"nested x {TIMES}": (nested, TIMES),
}


def serve() -> None:
    """Measure whatever line asks for, with the package that this Python has installed."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed goes to stderr

    print(json.dumps(datajoint.__version__), file=replies)
    for line in sys.stdin:
        make, times = VALUES[json.loads(line)]
        value = make()
        marks = [time.perf_counter()]
        for _ in range(times):
            stored = pack(value)
        marks.append(time.perf_counter())
        for _ in range(times):
            unpack(stored)
        marks.append(time.perf_counter())
        size = times * len(pack(value, compress=False))
        reply = {"pack": marks[1] - marks[0], "unpack": marks[2] - marks[1], "bytes": size}
        print(json.dumps({**reply, "stored": times * len(stored)}), file=replies)


class Client:
    """A process that measures one of the packages."""

    def __init__(self, python: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [python, __file__, "serve"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = self._read()

    def measure(self, name: str) -> dict[str, float]:
        """Have a value packed and unpacked; give seconds and bytes."""
        assert self._process.stdin is not None
        print(json.dumps(name), file=self._process.stdin, flush=True)
        result: dict[str, float] = self._read()
        return result

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def rate(runs: list[dict[str, float]], what: str) -> str:
    """Describe the rates of some runs."""
    rates = sorted(run["bytes"] / run[what] / 1e6 for run in runs)
    return f"{statistics.median(rates):7.0f} MB/s ({rates[0]:5.0f} to {rates[-1]:5.0f})"


def main() -> None:
    """Compare the two packages."""
    incumbent = os.environ.get("DJ_TEST_INCUMBENT") or str(
        Path(sys.prefix, "incumbent", "bin", "python")
    )
    clients = {"this": Client(sys.executable), "0.14.10": Client(incumbent, PYTHONPATH="")}
    assert [client.version for client in clients.values()] == [datajoint.__version__, "0.14.10"]
    for name in VALUES:
        runs: dict[str, list[dict[str, float]]] = {client: [] for client in clients}
        for number in range(RUNS + 1):
            for client, process in clients.items():
                result = process.measure(name)
                if number:  # the first one warms up
                    runs[client].append(result)
        for what in ("pack", "unpack"):
            seconds = {c: statistics.median(run[what] for run in runs[c]) for c in clients}
            rates = "  ".join(f"{c} {rate(runs[c], what)}" for c in clients)
            ratio = seconds["0.14.10"] / seconds["this"]
            print(f"{name:20}  {what:6}  {rates}  {ratio:5.1f} x", flush=True)
        sizes = ", ".join(f"{c} {runs[c][0]['stored'] / 1e6:.2f} MB" for c in clients)
        print(f"{name:20}  stored  {sizes}", flush=True)
    for process in clients.values():
        process.stop()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main()
