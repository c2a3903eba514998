"""Starts processes that work on the same data, kills some of them, and gathers what they counted.

A process is a file of the suite run as a program, whose only argument is JSON, and whose last line
of output is what it counted. An error ends it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

_Process = subprocess.Popen[str]


def run(
    program: str,
    given: Callable[[int, float], list[Any]],
    seconds: float,
    processes: int,
    kills: int,
) -> Counter[str]:
    """Run the processes, and count what they did.

    Parameters
    ----------
    program : str
        The path of the file.
    given : callable
        Gives the argument of a process, of its number and of the seconds that it is to run.
    seconds : float
        For how long they run.
    processes, kills : int
        How many run at a time, and how many are killed; others take their places.

    Raises
    ------
    AssertionError
        With what a process wrote when it failed.
    """

    def start(number: int, seconds: float) -> _Process:
        command = [sys.executable, program, json.dumps(given(number, seconds))]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    started = time.monotonic()
    running = [start(number, seconds) for number in range(processes)]
    killed: list[_Process] = []
    for number in range(processes, processes + kills):
        time.sleep(seconds / (kills + 1))
        killed.append(running.pop(0))
        killed[-1].send_signal(signal.SIGKILL)
        running.append(start(number, seconds - (time.monotonic() - started)))
    counts: Counter[str] = Counter(kills=kills)
    failures = []
    for process in running:
        output, errors = process.communicate()
        counts.update(json.loads(output.splitlines()[-1]) if output else {})
        failures += [errors] * (process.returncode != 0)
    for process in killed:
        _, errors = process.communicate()
        failures += [errors] * ("Traceback" in errors)
    assert not failures, "\n\n".join(failures)
    return counts
