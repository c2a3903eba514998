"""The processes that populate, and what is done to them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """Give the environment in which ``python -m faults…`` is found."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Fleet:
    """Worker processes; as a context, none of them stays behind.

    Parameters
    ----------
    job : dict
        What :mod:`faults.worker` is given.
    folder : Path
        Where their output goes.
    """

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        self._command = [sys.executable, "-m", "faults.worker", json.dumps(job)]
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._ended: list[subprocess.Popen[bytes]] = []
        self._killed: set[int] = set()
        self._started = 0
        self._logs: dict[int, Path] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    @property
    def kills(self) -> int:
        return len(self._killed)

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            log = self._folder / f"worker{self._started}.log"
            self._started += 1
            with log.open("wb") as file:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=environment(),
                )
            self._logs[process.pid] = log
            self._running.append(process)

    def alive(self) -> list[subprocess.Popen[bytes]]:
        """List the workers that have not ended."""
        for process in self._running:
            if process.poll() is not None:
                self._ended.append(process)
        self._running = [process for process in self._running if process.returncode is None]
        return self._running

    def ready(self) -> list[subprocess.Popen[bytes]]:
        """List the workers that have begun."""
        return [each for each in self.alive() if self._logs[each.pid].stat().st_size]

    @property
    def is_done(self) -> bool:
        """Whether a worker has found nothing left to do, or none is alive."""
        alive = self.alive()
        return not alive or any(process.returncode == 0 for process in self._ended)

    def kill_one(self, chance: random.Random) -> None:
        """Kill a worker, and start another; most must have begun, or none would ever get far."""
        ready = self.ready()
        if 2 * len(ready) > len(self._running):
            process = chance.choice(ready)
            self._killed.add(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.start()

    @contextmanager
    def frozen(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Halt a worker for the time of the block."""
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def halted(self, file: Path, seconds: float) -> Iterator[None]:
        """Wait for a worker that halts itself, and let it go on after the block."""
        if not self.wait_until(lambda: file.exists() and file.read_text() != "", seconds):
            raise RuntimeError("no worker has halted itself")
        try:
            yield
        finally:
            os.kill(int(file.read_text()), signal.SIGCONT)

    def wait_until(self, met: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition is met; False if it is not in time."""
        deadline = time.monotonic() + seconds
        while not met():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def finish(self, seconds: float) -> list[str]:
        """Wait for the workers, and give what those wrote that failed or did not end."""
        self.wait_until(lambda: not self.alive(), seconds)
        failures = [f"did not end: {self._output(each)}" for each in self.alive()]
        return failures + [
            f"ended with {each.returncode}: {self._output(each)}"
            for each in self._ended
            if each.returncode != 0 and each.pid not in self._killed
        ]

    def _output(self, process: subprocess.Popen[bytes]) -> str:
        return self._logs[process.pid].read_text(errors="replace")
