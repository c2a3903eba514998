"""What a process must not take over from the one that it was forked from."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Something that is made when it is first asked for, and once more in each forked process.

    What the parent made is kept there too, untouched: letting go of a client could close what
    the parent still uses.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    @property
    def made(self) -> bool:
        """Whether this process, or one that it was forked from, has made one."""
        return bool(self._made)

    def get(self) -> T:
        """Give what belongs to this process."""
        pid = os.getpid()
        if pid not in self._made:
            # Two threads may both make one; without a lock a fork cannot find it locked.
            self._made.setdefault(pid, self._make())
        return self._made[pid]
