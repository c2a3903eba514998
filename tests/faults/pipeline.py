"""What the workers compute: contents follow from the key, so that they can be checked."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import datajoint as dj

STORE = "faults"
PIECES = 3
#: One key of so many takes longer than the lease of a worker.
LONG = 25

#: The least and the most seconds of a ``make``, and those of a long one.
Pause = tuple[float, float, float]
#: The key and the moment at which a worker halts itself, and the file in which it tells its number.
Halt = list[Any] | None


def declare(schema: dj.Schema) -> SimpleNamespace:
    """Declare the tables, or find them."""

    @schema
    class Item(dj.Manual):
        definition = """
        item : int
        ---
        value : int
        """

    @schema
    class Attempt(dj.Manual):
        definition = """  # a row for each make that was committed, whatever becomes of its rows
        attempt : uuid
        ---
        item : int
        pid : int
        """

    @schema
    class Result(dj.Computed):
        definition = f"""
        -> Item
        ---
        total : int
        movie : blob@{STORE}
        """

        class Piece(dj.Part):
            definition = f"""
            -> master
            piece : tinyint
            ---
            image : blob@{STORE}
            """

        transient_errors = (OSError,)  # a disk may be full for a while

        def make(self, key: dict[str, Any], pause: Pause, halt: Halt) -> None:
            item = key["item"]
            value = (Item & key).fetch1("value")
            seconds = pause[-1] if item % LONG == 7 else random.uniform(*pause[:2])
            time.sleep(seconds * 0.9)
            halt_at(item, "computing", halt)  # it has changed nothing yet
            self.insert1({**key, "total": total(value), "movie": movie(item)})
            time.sleep(seconds * 0.1)
            halt_at(item, "inserting", halt)  # it holds locks
            self.Piece.insert({**key, "piece": n, "image": image(item, n)} for n in range(PIECES))
            Attempt.insert1({"attempt": uuid.uuid4(), "item": item, "pid": os.getpid()})

    return SimpleNamespace(Item=Item, Attempt=Attempt, Result=Result)


def halt_at(item: int, moment: str, halt: Halt) -> None:
    """Halt this process where it shall be, if none has been halted; another one lets it go on."""
    if halt is None or halt[:2] != [item, moment]:
        return
    try:
        with Path(halt[2]).open("x") as opened:
            opened.write(str(os.getpid()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


def value(item: int) -> int:
    return item * item


def total(value: int) -> int:
    return 3 * value + 1


def movie(item: int) -> np.ndarray:
    """Give what only this key has."""
    return np.random.default_rng(item).integers(256, size=4000, dtype=np.uint8)


def image(item: int, piece: int) -> np.ndarray:
    """Give what this key has; the first piece is shared with other keys."""
    seed = (item % 5, 0) if piece == 0 else (item, piece)
    return np.random.default_rng([1, *seed]).integers(256, size=1000, dtype=np.uint8)
