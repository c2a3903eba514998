"""Ending cleanly when the process is asked to end (SIGTERM): by an exception, once.

Manual 9.1.2 says what Ctrl-C does; batch systems and containers ask in this way.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM)."""


def _terminate(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, _terminating)
    check_terminated()


def _terminating(number: int, frame: object) -> None:
    """Let nobody who is impatient disturb what is being undone."""


def check_terminated() -> None:
    """End, if the process was asked to and somebody has caught that, as ``except:`` does.

    Raises
    ------
    Terminated
        It was.
    """
    if signal.getsignal(signal.SIGTERM) is _terminating:
        raise Terminated("SIGTERM received")


@contextmanager
def terminable() -> Iterator[None]:
    """End by an exception when the process is asked to end, so that it ends cleanly.

    Where the program handles the signal itself, and outside of the main thread, nothing is done.

    Raises
    ------
    Terminated
        When the process was asked to end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL:
        yield
        return
    _follow_forks()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
        check_terminated()
    finally:
        signal.signal(signal.SIGTERM, before)


@cache
def _follow_forks() -> None:
    """Let children that ``make`` forks end by SIGTERM as always, from their first moment on."""
    if not hasattr(os, "register_at_fork"):
        return
    thread = threading.local()

    def before() -> None:
        thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, thread.mask)

    def in_child() -> None:
        if signal.getsignal(signal.SIGTERM) in (_terminate, _terminating):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        in_parent()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
